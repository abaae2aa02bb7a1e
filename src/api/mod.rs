//! api: STUB
pub mod config;

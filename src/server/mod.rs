//! server: STUB
pub mod config;

//! store: STUB
pub mod config;

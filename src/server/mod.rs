//! server: STUB
pub mod config;
pub mod telemetry;

//! The whole configuration: the parts' own types, read together, every mistake reported at once. STUB
pub mod reader;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    pub sip: crate::transport::config::Config,
    pub media: crate::media::Config,
    pub http: crate::api::config::Config,
    pub records: crate::store::config::Config,
    pub server: crate::server::config::Config,
    pub log: crate::server::config::LogConfig,
    pub routing: crate::routing::config::Config,
}

/// What was read, and everything noteworthy about it.
pub struct Loaded {
    pub config: Config,
    /// Displayed as `file:line:column: what is wrong; what to write instead`.
    pub warnings: Vec<reader::Problem>,
    /// Environment overrides in force, one line each, secrets masked; to be logged once.
    pub overrides: Vec<String>,
}
/// Reads the file, `.env` beside it and `environment` (pass std::env::vars()).
pub fn load(_file: &Path, _environment: &[(String, String)]) -> Result<Loaded, Vec<reader::Problem>> {
    todo!()
}
/// The names of keys that differ and need a restart (listeners, worker count, ports); empty: the reload may go on.
pub fn needs_restart(_old: &Config, _new: &Config) -> Vec<&'static str> {
    todo!()
}

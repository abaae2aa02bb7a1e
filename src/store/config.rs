//! `[records]`: STUB (the configuration helper completes it).
use std::path::PathBuf;
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    pub file: Option<PathBuf>,
}

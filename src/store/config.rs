//! `[records]`: where call records go.
//!
//! Records are off unless a file is named; nothing else about a call is ever written to disk.

use std::path::PathBuf;

use crate::config::reader::{Reader, Section};

/// `[records]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// File that gets one JSON object per call and line, relative to the configuration's folder. Default
    /// none: off.
    pub file: Option<PathBuf>,
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self { file: table.file("file") }
    }
}

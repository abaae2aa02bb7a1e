//! `[server]` and `[log]`: how the process ends, and what it says.
//!
//! A log level is either one word for everything or a comma-separated filter; a bare word in a filter that is
//! no level would silently select a target of that name, so it is refused here.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use crate::config::reader::{Mistake, Reader, Section, nearest};
use crate::routing::limits::Limit;

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Seconds that calls in progress have to finish after SIGTERM; 0 is to wait for them without end.
    /// Default `300`.
    pub drain_s: u32,
    /// Calls at once, of all peers; 0 is no limit, which is the default.
    pub max_calls: u32,
    /// Calls that begin in a second, of all peers; 0 is no limit, which is the default.
    pub calls_per_second: u32,
    /// File that keeps what the next process has to know: which caller IDs were shown, to whom and how often,
    /// and what was used of hourly caps. Default none: forgotten at the end.
    pub state: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// Level (`trace` to `error`, or `off`) or filter (`"info,trunkline::sip=debug"`). Default `"info"`.
    pub level: String,
    /// Lines for people or JSON objects for programs. Default `"text"`.
    pub format: LogFormat,
}

/// `[log].format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `"text"`.
    Text,
    /// `"json"`.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { drain_s: 300, max_calls: 0, calls_per_second: 0, state: None }
    }
}

impl Config {
    /// What all peers together may have.
    #[must_use]
    pub fn limit(&self) -> Limit {
        Limit {
            calls: (self.max_calls > 0).then_some(self.max_calls),
            rate: (self.calls_per_second > 0).then_some(self.calls_per_second),
            ..Limit::default()
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            drain_s: table.seconds("drain_s", Self::default().drain_s),
            max_calls: table.whole("max_calls", 0, 0..=1_000_000),
            calls_per_second: table.whole("calls_per_second", 0, 0..=100_000),
            state: table.file_beside("state"),
        }
    }
}

impl Section for LogConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Self {
            level: table.parsed("level", parse_level).unwrap_or(defaults.level),
            format: table.choice("format", &formats, defaults.format),
        }
    }
}

/// Reads a level or a filter; pino's `fatal` and `silent` are `error` and `off`.
///
/// # Errors
///
/// The text is neither.
pub fn parse_level(text: &str) -> Result<String, Mistake> {
    let words: Vec<_> = text.split(',').map(|word| level_name(word.trim())).collect();
    for word in &words {
        if !word.contains(['=', '[']) && !LEVELS.contains(&word.to_lowercase().as_str()) {
            let instead = match nearest(word, LEVELS) {
                Some(meant) => format!("write \"{meant}\""),
                None => format!("write one of {}", LEVELS.join(", ")),
            };
            return Err(Mistake::new(format!("\"{word}\" is no log level"), instead));
        }
    }
    let filter = words.join(",");
    EnvFilter::builder().parse(&filter).map_err(|error| {
        let what = format!("\"{text}\" is no log filter ({error})");
        Mistake::new(
            what,
            "write a level such as \"info\", or a filter such as \"info,trunkline::sip=debug\"",
        )
    })?;
    Ok(filter)
}

fn level_name(word: &str) -> &str {
    match word {
        "fatal" => "error",
        "silent" => "off",
        other => other,
    }
}

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

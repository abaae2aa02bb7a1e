//! Logs: where they go, at which level, and what of a number may stand in them.
//!
//! They are global to the process and may be asked for again: the first subscriber stays.

use std::fmt;

use tracing::Level;
use tracing_subscriber::EnvFilter;

use super::config::{LogConfig, LogFormat};
use super::log_writer::Line;

/// `[log].level` is not a tracing filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "[log].level {level:?}: {reason}; write error, warn, info, debug or trace, or a filter like \
     trunkline=debug"
)]
pub struct FilterError {
    level: String,
    reason: tracing_subscriber::filter::ParseError,
}

/// Sends logs to standard error as `config` says; a process that logs already keeps its way of doing so.
///
/// # Errors
///
/// [`FilterError`], with nothing installed.
pub fn start_logs(config: &LogConfig) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|reason| FilterError { level: config.level.clone(), reason })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line).with_ansi(false);
    let installed = match config.format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("logs stay as they were set up first");
    }
    Ok(())
}

/// A number or user part in a log line: masked, and in full where this module's logs are at DEBUG.
///
/// Control characters are escaped either way, so that no peer can write a log line of its own.
#[derive(Clone, Copy, Debug)]
pub struct Redact<'a>(pub &'a str);

impl fmt::Display for Redact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if tracing::enabled!(Level::DEBUG) {
            return write!(f, "{}", self.0.escape_debug());
        }
        let (head, tail) = shown_ends(self.0);
        write!(f, "{}***{}", head.escape_debug(), tail.escape_debug())
    }
}

/// What may be seen: country and area at the front, and enough at the end to tell two calls apart.
fn shown_ends(number: &str) -> (&str, &str) {
    let (front, back) = match number.chars().count() {
        0..=5 => (0, 0),
        6..=10 => (0, 2),
        _ => (5, 4),
    };
    let front = number.char_indices().nth(front).map_or(number.len(), |(at, _)| at);
    let back = number.char_indices().rev().take(back).last().map_or(number.len(), |(at, _)| at);
    (&number[..front], &number[back..])
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_number_shows_its_country_and_its_last_digits_only() {
        assert_eq!(masked("+14155550100"), "+1415***0100");
        assert_eq!(masked("5550100"), "***00");
        assert_eq!(masked("1001"), "***");
        assert_eq!(masked(""), "***");
    }

    #[test]
    fn a_peer_cannot_write_a_log_line_of_its_own() {
        assert_eq!(masked("\r\nINF\u{e9}long user part\n"), "\\r\\nINF***art\\n");
    }

    #[test]
    fn at_debug_a_number_is_shown_in_full() {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(io::sink).finish();

        let shown = tracing::subscriber::with_default(subscriber, || Redact("+14155550100").to_string());

        assert_eq!(shown, "+14155550100");
    }

    #[test]
    fn asking_twice_for_logs_is_no_error() {
        start_logs(&LogConfig::default()).unwrap();
        start_logs(&LogConfig { format: LogFormat::Json, ..LogConfig::default() }).unwrap();
    }

    #[test]
    fn a_level_that_is_no_filter_says_what_to_write() {
        let error = start_logs(&LogConfig { level: "a=b=c".to_owned(), ..LogConfig::default() }).unwrap_err();

        assert!(error.to_string().contains("write error, warn, info"), "{error}");
    }

    fn masked(number: &str) -> String {
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(io::sink).finish();
        tracing::subscriber::with_default(subscriber, || Redact(number).to_string())
    }
}

//! The way of log lines to standard error: what stands in a field can neither end a
//! line nor steer a terminal.
//!
//! Fields hold what peers wrote, and the formatter writes a field given by `Display` as it is. So the
//! finished line is searched here, in one place for both formats, and control characters are escaped the way
//! JSON does it. There are no colours, on terminals neither: theirs could not be told from an escape
//! sequence that a peer sent.

use std::borrow::Cow;
use std::io::{self, Write};

/// Writes one event to standard error; the formatter hands it over in one piece.
///
/// A line that can't be written is lost: calls are worth more than their log, and the
/// formatter panics when it is told.
#[derive(Debug)]
pub(super) struct Line;

impl Write for Line {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let _ = io::stderr().write_all(in_one_line(&text).as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `event` with its last line end as the only control character.
fn in_one_line(event: &str) -> Cow<'_, str> {
    let line = event.strip_suffix('\n').unwrap_or(event);
    if !line.contains(steers) {
        return event.into();
    }
    let mut escaped = String::with_capacity(event.len() + 16);
    for character in line.chars() {
        match character {
            harmless if !steers(harmless) => escaped.push(harmless),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            other => escaped.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    escaped.push_str(&event[line.len()..]);
    escaped.into()
}

/// C0, DEL and C1, what some viewers take for a line end, and what turns the direction of writing.
fn steers(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_character_but_the_last_line_end_is_escaped() {
        assert_eq!(in_one_line("a\r\nINFO b\tc\u{1b}[2J\n"), "a\\r\\nINFO b\\tc\\u001b[2J\n");
        assert_eq!(
            in_one_line("\u{0}\u{7f}\u{9b}31m\u{2028}\u{202e}\u{2066}"),
            "\\u0000\\u007f\\u009b31m\\u2028\\u202e\\u2066"
        );
        assert_eq!(in_one_line("caf\u{e9} \u{65e5}\n"), "caf\u{e9} \u{65e5}\n");
    }

    #[test]
    fn a_line_with_escapes_is_still_json() {
        let line = "{\"reason\":\"a\u{9b}b\u{2028}c\"}\n";

        let read: serde_json::Value = serde_json::from_str(&in_one_line(line)).unwrap();

        assert_eq!(read["reason"], "a\u{9b}b\u{2028}c");
    }
}

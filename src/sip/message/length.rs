//! Content-Length (RFC 3261 §20.14), read in one way by the parser and by the framer of streams.
//!
//! Two that differ are an error and never a choice: whoever picks the other one sees another
//! message behind this one.

use super::index::{Scan, Scanner, split_header};
use crate::sip::headers::{Name, lex};

/// Why the length of a body can't be known.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum LengthError {
    /// Not digits alone: negative, a list, a fraction.
    #[error("Content-Length is not a number")]
    NotANumber,
    /// More than any message may have.
    #[error("Content-Length is above any limit")]
    Overflow,
    /// Several that differ.
    #[error("Content-Length stands twice with different values")]
    Conflict,
}

/// The one length that all `values` agree on; `None` when there is none.
pub(super) fn agreed<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<usize>, LengthError> {
    let mut agreed = None;
    for value in values {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(LengthError::NotANumber);
        }
        let length: u32 = lex::number(value).ok_or(LengthError::Overflow)?;
        let length = usize::try_from(length).map_err(|_| LengthError::Overflow)?;
        if agreed.is_some_and(|other| other != length) {
            return Err(LengthError::Conflict);
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

/// The Content-Length of a whole head as it came from a stream.
pub(in crate::sip) fn of_head(head: &[u8]) -> Result<Option<usize>, LengthError> {
    let mut scanner = Scanner::default();
    scanner.physical_line(head);
    agreed(
        std::iter::from_fn(|| match scanner.line(head) {
            Scan::Line(span) => Some(&head[span.start..span.end]),
            Scan::End(_) | Scan::More => None,
        })
        .filter_map(|line| {
            let (name, value_at) = split_header(line)?;
            (Name::parse(name) == Name::ContentLength).then(|| lex::trim(&line[value_at..]))
        }),
    )
}

//! Why bytes are no message, and what of them can still be answered (RFC 3261 §8.2, §16.3).
//!
//! The first fault is the one that is told; what the salvage holds decides whether anyone is told at all.

use super::{LengthError, Message};

/// The message cannot be indexed whole.
#[derive(Debug, Clone)]
pub struct ParseFailure {
    /// The first thing that is wrong.
    pub error: ParseError,
    /// What could be read of a request, lines that are wrong left out and without a body: enough to answer
    /// it with [`ParseError::status`]. `None` when Via, From, To, Call-ID or CSeq can't be read, for an
    /// ACK, and for a response.
    pub salvage: Option<Message>,
}

/// Why a message cannot be indexed; reads well as the reason phrase of a response.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ParseError {
    /// No line end at all, or nothing but empty lines.
    #[error("No start line")]
    NoStartLine,
    /// The request line is not `method SP uri SP SIP/2.0`.
    #[error("Bad request line: {0}")]
    RequestLine(&'static str),
    /// The status line is not `SIP/2.0 SP code SP reason`.
    #[error("Bad status line: {0}")]
    StatusLine(&'static str),
    /// A line without a name and a colon. The start line is line 1; a folded line counts once.
    #[error("Line {line} is not a header")]
    NotAHeader {
        /// Which one.
        line: usize,
    },
    /// CR or LF alone: lines end with both.
    #[error("Line {line} has a CR or LF alone")]
    StrayLineEnd {
        /// Which one.
        line: usize,
    },
    /// See [`Limits::line_bytes`](super::Limits::line_bytes).
    #[error("Line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// Which one.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// See [`Limits::headers`](super::Limits::headers).
    #[error("More than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// See [`Limits::message_bytes`](super::Limits::message_bytes).
    #[error("Message is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The message ends within its head.
    #[error("No empty line behind the headers")]
    NoEmptyLine,
    /// The length of the body can't be known.
    #[error(transparent)]
    ContentLength(#[from] LengthError),
    /// The body is shorter than it says.
    #[error("Content-Length is {announced}, but the body has {actual} bytes")]
    BodyTooShort {
        /// By Content-Length.
        announced: usize,
        /// What came.
        actual: usize,
    },
}

impl ParseError {
    /// The status code to answer with: 513 where a limit was passed, else 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::LineTooLong { .. } | Self::TooManyHeaders { .. } | Self::TooLarge { .. } => 513,
            Self::NoStartLine
            | Self::RequestLine(_)
            | Self::StatusLine(_)
            | Self::NotAHeader { .. }
            | Self::StrayLineEnd { .. }
            | Self::NoEmptyLine
            | Self::ContentLength(_)
            | Self::BodyTooShort { .. } => 400,
        }
    }
}

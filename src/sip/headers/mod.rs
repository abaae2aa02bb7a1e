//! Header names and the typed values of the headers that SIP itself needs (RFC 3261 §20, §25.1).
//!
//! Values are read when asked for, not when the message arrives: a header that nobody
//! asks for can't be wrong.

mod cseq;
pub(crate) mod lex;
mod name;
mod name_addr;
mod via;

pub use cseq::CSeq;
pub use name::Name;
pub(crate) use name::long_form;
pub use name_addr::NameAddr;
pub use via::Via;

use super::uri::UriError;

/// Why a header, or the request line, could not be used; names it, and reads well as the
/// reason phrase of a response.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum HeaderError {
    /// A mandatory header is not there.
    #[error("Missing {0}")]
    Missing(&'static str),
    /// A header that may stand once stands twice.
    #[error("More than one {0}")]
    Repeated(&'static str),
    /// The value is not what the grammar asks for.
    #[error("Bad {header}: {problem}")]
    Bad {
        /// Canonical name.
        header: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// The value holds a URI that we cannot use.
    #[error("Bad {header}: {error}")]
    Uri {
        /// Canonical name.
        header: &'static str,
        /// What is wrong with its URI.
        error: UriError,
    },
    /// The Request-URI cannot be used.
    #[error("Bad Request-URI: {0}")]
    RequestUri(UriError),
    /// The method in CSeq is not the one of the request line.
    #[error("CSeq method differs from the request's")]
    CSeqMethod,
    /// The request is of another SIP version.
    #[error("SIP version is not 2.0")]
    Version,
}

impl HeaderError {
    /// The status code to answer with: 505 for the version, 416 for an unknown scheme of
    /// the Request-URI, else 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Version => 505,
            Self::RequestUri(UriError::UnknownScheme(_)) => 416,
            Self::Missing(_)
            | Self::Repeated(_)
            | Self::Bad { .. }
            | Self::Uri { .. }
            | Self::RequestUri(_)
            | Self::CSeqMethod => 400,
        }
    }
}

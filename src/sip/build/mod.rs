//! Building messages that cannot be malformed (RFC 3261 §7, §8.1.1, §8.2.6).
//!
//! Whatever a value holds, it stays within its line: control characters other than tab become spaces, and a
//! header that may stand once, or that the builder writes itself, is not written twice. In a Request-URI
//! they are percent-escaped.

mod follow_up;
mod request;
mod response;
mod writer;

pub use follow_up::{ack_for_failure, cancel, cancel_with_reason};
pub use request::{Draft, RequestBuilder};
pub use response::ResponseBuilder;

pub(in crate::sip) use writer::Writer;

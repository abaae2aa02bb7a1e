//! Cutting a byte stream into messages (RFC 3261 §18.3, RFC 5626 §3.5.1 keep-alives): STUB.
use super::message::Limits;
use bytes::{Bytes, BytesMut};

#[derive(Debug, Default)]
pub struct Framer {}
#[derive(Debug, PartialEq)]
pub enum Frame {
    Message(Bytes),
    /** CRLFCRLF ping: answer CRLF. */
    Ping,
}
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum FramingError {
    #[error("stub")]
    Stub,
}
impl Framer {
    /// Takes the next whole frame out of `buffer`; `None` means more bytes are needed. After an error the connection must be closed.
    pub fn next(&mut self, _buffer: &mut BytesMut, _limits: &Limits) -> Result<Option<Frame>, FramingError> {
        todo!()
    }
}

//! Building messages that cannot be malformed: STUB.
use super::flow::Transport;
use super::headers::Name;
use super::message::{Message, Method};
use bytes::Bytes;
use std::fmt::Display;
use std::net::SocketAddr;

/// A request of ours without its top Via: the transport writes that when it knows by which transport the request goes.
#[derive(Clone, Debug)]
pub struct Draft {}
impl Draft {
    /// The whole message. `branch` from `Ids::branch`; `sent_by` is `host[:port]` as advertised. Writes `;rport` on UDP.
    pub fn with_via(&self, _transport: Transport, _sent_by: &str, _branch: &str) -> Bytes {
        todo!()
    }
    /// Length without the Via (decides UDP or TCP).
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        false
    }
    pub fn method(&self) -> Method<'_> {
        todo!()
    }
}

/// Writes headers in the order given; CR, LF and NUL in a value are removed, so nothing from outside can start a line.
#[derive(Debug)]
pub struct RequestBuilder {}
impl RequestBuilder {
    /// `uri` has been written by `Uri`'s Display.
    pub fn new(_method: Method<'_>, _uri: &dyn Display) -> Self {
        todo!()
    }
    pub fn header(self, _name: Name, _value: impl Display) -> Self {
        todo!()
    }
    /// A header by its own name (an invalid token name drops the header), value bytes as they came.
    pub fn header_raw(self, _name: &[u8], _value: &[u8]) -> Self {
        todo!()
    }
    /// Writes Content-Type, Content-Length and the body.
    pub fn body(self, _content_type: &str, _body: &[u8]) -> Draft {
        todo!()
    }
    /// Content-Length: 0.
    pub fn no_body(self) -> Draft {
        todo!()
    }
}

/// A response to `request`: Via (top one with `received`/`rport` filled, RFC 3261 §18.2.1, RFC 3581), From, To, Call-ID, CSeq copied;
/// Record-Route copied into 18x and 2xx of dialog-forming requests; `to_tag` added when the request's To has none.
#[derive(Debug)]
pub struct ResponseBuilder {}
impl ResponseBuilder {
    /// `reason` empty: the standard phrase.
    pub fn new(
        _request: &Message,
        _code: u16,
        _reason: &str,
        _to_tag: Option<&str>,
        _source: SocketAddr,
    ) -> Self {
        todo!()
    }
    pub fn header(self, _name: Name, _value: impl Display) -> Self {
        todo!()
    }
    pub fn header_raw(self, _name: &[u8], _value: &[u8]) -> Self {
        todo!()
    }
    pub fn body(self, _content_type: &str, _body: &[u8]) -> Bytes {
        todo!()
    }
    pub fn no_body(self) -> Bytes {
        todo!()
    }
}

/// ACK for a non-2xx final response (RFC 3261 §17.1.1.3): `invite` is our INVITE as sent.
pub fn ack_for_failure(_invite: &Message, _response: &Message) -> Bytes {
    todo!()
}
/// CANCEL for our INVITE as sent (RFC 3261 §9.1): same branch.
pub fn cancel(_invite: &Message) -> Bytes {
    todo!()
}
/// CANCEL for our INVITE as sent, with a Reason header value.
pub fn cancel_with_reason(_invite: &Message, _reason: Option<&str>) -> Bytes {
    todo!()
}

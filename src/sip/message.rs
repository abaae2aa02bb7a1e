//! A SIP message as it arrived, indexed in place over `Bytes`: STUB.
use super::headers::{CSeq, HeaderError, Name, NameAddr, Via};
use bytes::Bytes;
use std::borrow::Cow;

#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub line_bytes: usize,
    pub headers: usize,
}
impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: 65_536, line_bytes: 8_192, headers: 256 }
    }
}

/// Case-sensitive (RFC 3261 §7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Method<'a> {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    Other(&'a [u8]),
}
impl<'a> Method<'a> {
    pub fn parse(_token: &'a [u8]) -> Self {
        todo!()
    }
    pub fn as_bytes(&self) -> &'a [u8] {
        todo!()
    }
    pub fn as_str(&self) -> Cow<'a, str> {
        todo!()
    }
    /// For metrics: unknown methods are "other".
    pub fn label(&self) -> &'static str {
        todo!()
    }
}

/// Cheap to clone (a reference count on the raw bytes and on the index).
#[derive(Clone, Debug)]
pub struct Message {}

/// One header line: unfolded value, comma list NOT split.
pub struct Header<'a> {
    pub name: Name,
    pub raw_name: &'a [u8],
    pub value: Cow<'a, [u8]>,
}

/// The message cannot be indexed whole. `salvage` holds what could be (bad lines left out) when that is enough to answer a request with 400.
#[derive(Debug, Clone)]
pub struct ParseFailure {
    pub error: ParseError,
    pub salvage: Option<Message>,
}
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ParseError {
    #[error("stub")]
    Stub,
}

impl Message {
    /// Indexes; header contents are not looked into. Bytes behind Content-Length (UDP) are dropped; body shorter than Content-Length is an error.
    pub fn parse(_raw: Bytes, _limits: &Limits) -> Result<Self, ParseFailure> {
        todo!()
    }
    /// The checks of RFC 3261 §8.1.1/§8.2 that every element makes: the six mandatory headers present once and well formed,
    /// CSeq method equal to the request's, Request-URI parsable, Max-Forwards a number ... The error text is the 400's reason.
    pub fn validate(&self) -> Result<(), HeaderError> {
        todo!()
    }

    pub fn is_request(&self) -> bool {
        todo!()
    }
    /// None for responses.
    pub fn method(&self) -> Option<Method<'_>> {
        todo!()
    }
    /// Request-URI as written; empty for responses.
    pub fn request_uri(&self) -> &[u8] {
        todo!()
    }
    /// None for requests.
    pub fn status(&self) -> Option<u16> {
        todo!()
    }
    pub fn reason(&self) -> &[u8] {
        todo!()
    }
    pub fn raw(&self) -> &Bytes {
        todo!()
    }
    pub fn body(&self) -> Bytes {
        todo!()
    }

    /// All header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        std::iter::empty()
    }
    /// Unfolded value of the first line of `name`.
    pub fn value(&self, _name: Name) -> Option<Cow<'_, [u8]>> {
        todo!()
    }
    /// Same, for a header `Name` does not know; case-insensitive.
    pub fn value_named(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        todo!()
    }
    /// Every element of a comma-list header over all its lines, in order (quotes and <> respected).
    pub fn elements(&self, _name: Name) -> impl Iterator<Item = Cow<'_, [u8]>> {
        std::iter::empty()
    }
    /// Whether option tag `tag` stands in `name` (Require, Supported ...), case-insensitive.
    pub fn has_token(&self, _name: Name, _tag: &str) -> bool {
        todo!()
    }

    pub fn vias(&self) -> impl Iterator<Item = Result<Via, HeaderError>> {
        std::iter::empty()
    }
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        todo!()
    }
    /// Branch of the top Via without parsing the rest (hot).
    pub fn top_branch(&self) -> Option<&[u8]> {
        todo!()
    }
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        todo!()
    }
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        todo!()
    }
    /// Hot: without parsing the URI.
    pub fn from_tag(&self) -> Option<&[u8]> {
        todo!()
    }
    pub fn to_tag(&self) -> Option<&[u8]> {
        todo!()
    }
    pub fn call_id(&self) -> Result<&[u8], HeaderError> {
        todo!()
    }
    pub fn cseq(&self) -> Result<CSeq<'_>, HeaderError> {
        todo!()
    }
    /// Absent is `Ok(None)`.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        todo!()
    }
    /// First Contact; `*` is an error here.
    pub fn contact(&self) -> Result<Option<NameAddr>, HeaderError> {
        todo!()
    }
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        todo!()
    }
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        todo!()
    }
    pub fn retry_after(&self) -> Option<u32> {
        todo!()
    }
    /// Content-Type as (type/subtype lower-cased), without parameters.
    pub fn content_type(&self) -> Option<String> {
        todo!()
    }
}

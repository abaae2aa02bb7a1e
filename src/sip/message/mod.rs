//! A SIP message as it arrived, indexed in place over [`Bytes`] (RFC 3261 §7).
//!
//! Parsing notes where the lines are and looks into none: every getter reads its header when asked, and
//! says what is wrong with it. [`Message::validate`] asks for all that RFC 3261 §8.2 wants checked
//! before a request is used.

mod error;
mod getters;
mod index;
mod length;
mod method;
mod validate;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use self::index::{Line, Start};
use super::headers::{Name, lex};

pub use error::{ParseError, ParseFailure};
pub use length::LengthError;
pub use method::Method;

pub(in crate::sip) use index::{Scan, Scanner};
pub(in crate::sip) use length::of_head as content_length_of_head;
pub(in crate::sip) use validate::MAX_HOPS;

/// How large a message may be.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Head and body, in bytes. Default 65536.
    pub message_bytes: usize,
    /// The start line, or one header with its continuations, in bytes. Default 8192.
    pub line_bytes: usize,
    /// Header lines. Default 256.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: 65_536, line_bytes: 8_192, headers: 256 }
    }
}

/// A request or response; cheap to clone (a reference count on the raw bytes and one on the index).
///
/// It keeps the buffer alive that it was parsed from; see [`Self::head`] for what is kept long.
#[derive(Clone, Debug)]
pub struct Message {
    raw: Bytes,
    lines: Arc<[Line]>,
    start: Start,
    body_at: u32,
}

/// One header line.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// What it is, `Other` included.
    pub name: Name,
    /// The name as written.
    pub raw_name: &'a [u8],
    /// Trimmed and unfolded; a comma list is not split.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Header<'a> {
    /// The name in full: canonical if known, a compact form spelt out, else as written.
    #[must_use]
    pub fn full_name(&self) -> &'a [u8] {
        match self.name {
            Name::Other => super::headers::long_form(self.raw_name),
            known => known.as_str().as_bytes(),
        }
    }
}

impl Message {
    /// Indexes a datagram or one frame of a stream; the contents of headers are not looked
    /// into, but for Content-Length.
    ///
    /// Empty lines in front and bytes behind Content-Length are dropped; without Content-Length the body is
    /// the rest. Hot path: one allocation, for the index.
    ///
    /// # Errors
    /// [`ParseFailure`], with what a 400 needs where that could be read.
    pub fn parse(mut raw: Bytes, limits: &Limits) -> Result<Self, ParseFailure> {
        while raw.starts_with(b"\r\n") {
            bytes::Buf::advance(&mut raw, 2);
        }
        if raw.len() > limits.message_bytes || u32::try_from(raw.len()).is_err() {
            return Err(ParseFailure {
                error: ParseError::TooLarge { limit: limits.message_bytes },
                salvage: None,
            });
        }
        let index = index::index(&raw, limits);
        let values = index.lines.iter().filter(|line| line.name == Name::ContentLength);
        let length = length::agreed(values.map(|line| &raw[range(line.value)]));
        let present = raw.len() - index.head_end;
        let (length, error) = match (index.error, length) {
            (Some(error), _) => (0, Some(error)),
            (None, Err(error)) => (0, Some(error.into())),
            (None, Ok(Some(announced))) if announced > present => {
                (0, Some(ParseError::BodyTooShort { announced, actual: present }))
            }
            (None, Ok(length)) => (length.unwrap_or(present), None),
        };
        raw.truncate(index.head_end + length);
        let body_at = u32::try_from(index.head_end).unwrap_or(u32::MAX);
        let message =
            index.start.map(|start| Self { raw, lines: index.lines.as_slice().into(), start, body_at });
        match (message, error) {
            (Some(message), None) => Ok(message),
            (message, error) => Err(ParseFailure {
                error: error.unwrap_or(ParseError::NoStartLine),
                salvage: message.filter(Self::can_be_answered),
            }),
        }
    }

    /// The same message without its body, in memory of its own: for headers that are read long after the
    /// buffer that the message came in.
    #[must_use]
    pub fn head(&self) -> Self {
        let end = range((self.body_at, self.body_at)).start.min(self.raw.len());
        Self { raw: Bytes::copy_from_slice(&self.raw[..end]), ..self.clone() }
    }

    /// Whether it is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of the request line; `None` for responses.
    #[must_use]
    pub fn method(&self) -> Option<Method<'_>> {
        match self.start {
            Start::Request { method_end, .. } => Some(Method::parse(&self.raw[range((0, method_end))])),
            Start::Response { .. } => None,
        }
    }

    /// Request-URI as written; empty for responses.
    #[must_use]
    pub fn request_uri(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => &self.raw[range(uri)],
            Start::Response { .. } => &[],
        }
    }

    /// The status code, 100 to 699; `None` for requests.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(code),
        }
    }

    /// The reason phrase, which may be empty; empty for requests.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        match self.start {
            Start::Request { .. } => &[],
            Start::Response { reason, .. } => &self.raw[range(reason)],
        }
    }

    /// The message from its start line to the end of its body.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The body, exactly as long as Content-Length says.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.raw.slice(range((self.body_at, self.body_at)).start..)
    }

    /// All header lines in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.lines.iter().map(|line| Header {
            name: line.name,
            raw_name: self.raw_name(line),
            value: self.unfolded(line),
        })
    }

    /// Unfolded value of the first line of `name`. For `Other`, see [`Self::value_named`].
    #[must_use]
    pub fn value(&self, name: Name) -> Option<Cow<'_, [u8]>> {
        self.lines_of(name).next().map(|line| self.unfolded(line))
    }

    /// The same by spelling, in any case and compact or not: for headers that [`Name`] does not know.
    #[must_use]
    pub fn value_named(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.values_named(name).next()
    }

    /// Unfolded values of all lines of `name`, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.lines_of(name).map(|line| self.unfolded(line))
    }

    /// The same by spelling; see [`Self::value_named`].
    pub fn values_named(&self, name: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let known = Name::parse(name.as_bytes());
        let wanted = super::headers::long_form(name.as_bytes());
        self.lines
            .iter()
            .filter(move |line| {
                line.name == known
                    && (known != Name::Other
                        || super::headers::long_form(self.raw_name(line)).eq_ignore_ascii_case(wanted))
            })
            .map(|line| self.unfolded(line))
    }

    /// Every element of a comma-list header over all its lines, in order; empty elements are left out.
    pub fn elements(&self, name: Name) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.raw_elements(name).map(lex::unfold)
    }

    /// Whether option tag `tag` stands in `name` (Require, Supported ...), in any case.
    #[must_use]
    pub fn has_token(&self, name: Name, tag: &str) -> bool {
        self.raw_elements(name).any(|element| element.eq_ignore_ascii_case(tag.as_bytes()))
    }

    /// Elements of a comma list that may still hold folds.
    pub(in crate::sip) fn raw_elements(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines_of(name)
            .flat_map(|line| lex::split(&self.raw[range(line.value)], b','))
            .filter(|element| !element.is_empty())
    }

    /// Value of the first line of `name`, which may still hold folds.
    pub(in crate::sip) fn raw_value(&self, name: Name) -> Option<&[u8]> {
        self.lines_of(name).next().map(|line| &self.raw[range(line.value)])
    }

    fn lines_of(&self, name: Name) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.name == name && name != Name::Other)
    }

    fn raw_name(&self, line: &Line) -> &[u8] {
        let start = range((line.start, line.start)).start;
        &self.raw[start..start + usize::from(line.name_length)]
    }

    fn unfolded(&self, line: &Line) -> Cow<'_, [u8]> {
        let value = &self.raw[range(line.value)];
        if line.folded { lex::unfold(value) } else { Cow::Borrowed(value) }
    }
}

/// Offsets of the index as the range of a slice; `usize` has at least 32 bits wherever a socket is.
fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    fn fail(text: &str) -> ParseFailure {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap_err()
    }

    #[test]
    fn a_request_is_indexed() {
        let message = parse(REQUEST);

        assert_eq!(message.method(), Some(Method::Invite));
        assert_eq!(message.request_uri(), b"sip:+14155550100@bridge.example");
        assert_eq!(message.vias().filter_map(Result::ok).count(), 3);
        assert_eq!(message.top_branch(), Some(&b"z9hG4bKone"[..]));
        assert_eq!(message.from().unwrap().display.as_deref(), Some("Doe, J"));
        assert_eq!((message.from_tag(), message.to_tag()), (Some(&b"a1"[..]), None));
        assert_eq!(message.call_id(), Ok(&b"1@carrier.example"[..]));
        assert_eq!(message.cseq().unwrap().number, 7);
        assert_eq!(message.max_forwards(), Ok(Some(70)));
        assert_eq!(message.value_named("x-note").as_deref(), Some(&b"one two"[..]));
        assert!(message.has_token(Name::Supported, "TIMER") && !message.has_token(Name::Supported, "time"));
        assert_eq!(message.content_type().as_deref(), Some("application/sdp"));
        assert_eq!(message.body(), "v=0\r\n");
        assert_eq!(message.validate(), Ok(()));
        assert!(message.raw().ends_with(b"v=0\r\n"));
    }

    #[test]
    fn a_response_is_indexed_with_or_without_a_reason() {
        assert_eq!(parse("SIP/2.0 486 Busy Here\r\n\r\n").reason(), b"Busy Here");
        assert_eq!(parse("sip/2.0 180 \r\n\r\n").status(), Some(180));
        assert_eq!(parse("SIP/2.0 180\r\n\r\n").reason(), b"");
    }

    #[test]
    fn names_unknown_to_us_are_found_in_full_or_compact() {
        let message = parse("OPTIONS sip:h.example SIP/2.0\r\ns: hello\r\nj: x\r\nY: z\r\n\r\n");

        assert_eq!(message.value_named("Subject").as_deref(), Some(&b"hello"[..]));
        assert_eq!(message.value_named("reject-contact").as_deref(), Some(&b"x"[..]));
        let names: Vec<_> = message.headers().map(|header| header.full_name()).collect();
        assert_eq!(names, [&b"Subject"[..], b"Reject-Contact", b"Identity"]);
    }

    #[test]
    fn a_line_that_is_wrong_is_left_out_of_the_salvage() {
        for (wrong, error) in [
            ("no colon", ParseError::NotAHeader { line: 8 }),
            (": no name", ParseError::NotAHeader { line: 8 }),
            ("na me: x", ParseError::NotAHeader { line: 8 }),
            ("X: a\nb", ParseError::StrayLineEnd { line: 8 }),
            ("X: a\rb", ParseError::StrayLineEnd { line: 8 }),
            ("Content-Length: -1", LengthError::NotANumber.into()),
            ("Content-Length: 1, 1", LengthError::NotANumber.into()),
            ("Content-Length: 99999999999", LengthError::Overflow.into()),
            ("Content-Length: 1\r\nl: 2", LengthError::Conflict.into()),
            ("Content-Length: 9", ParseError::BodyTooShort { announced: 9, actual: 4 }),
        ] {
            let failure = fail(&format!("{HEAD}{wrong}\r\n\r\nbody"));

            assert_eq!(failure.error, error);
            assert_eq!(failure.salvage.unwrap().cseq().unwrap().number, 7, "{wrong}");
        }
    }

    #[test]
    fn a_bad_request_line_can_still_be_answered_but_not_an_ack_or_a_response() {
        let answerable = fail(&REQUEST.replacen("INVITE sip", "INVITE  sip", 1));
        let ack = fail(&REQUEST.replacen("INVITE sip", "ACK  sip", 1));
        let response = fail(&REQUEST.replacen(REQUEST.lines().next().unwrap(), "SIP/2.0 4294967301 x", 1));

        assert_eq!(answerable.salvage.unwrap().method(), Some(Method::Invite));
        assert!(ack.salvage.is_none() && response.salvage.is_none());
    }

    #[test]
    fn limits_are_kept() {
        let limits = Limits { message_bytes: 400, line_bytes: 60, headers: 6 };
        let parse = |text: String| Message::parse(text.into(), &limits).map_err(|failure| failure.error);

        assert!(parse(format!("{HEAD}\r\n")).is_ok());
        assert_eq!(
            parse(format!("{HEAD}X: 1\r\n\r\n")).unwrap_err(),
            ParseError::TooManyHeaders { limit: 6 }
        );
        let folded = format!("{HEAD}X: {}\r\n {}\r\n\r\n", "1".repeat(30), "2".repeat(30));
        assert_eq!(parse(folded).unwrap_err(), ParseError::LineTooLong { line: 8, limit: 60 });
        assert_eq!(parse(format!("{HEAD}\r\n{}", "b".repeat(400))).unwrap_err().status(), 513);
    }

    #[test]
    fn bytes_behind_the_body_are_dropped_and_a_detached_message_is_alike() {
        let message = parse(&format!("\r\n\r\n{HEAD}l: 2\r\n\r\nabcd"));

        assert_eq!(message.body(), "ab");
        let head = message.head();
        assert_eq!([head.raw().len(), head.body().len()], [message.raw().len() - message.body().len(), 0]);
        assert!(message.raw().starts_with(b"INVITE"));
    }

    #[test]
    fn what_has_no_start_line_has_no_salvage() {
        for text in ["", "\r\n\r\n", "INVITE", "\0\0\0\0", "GET / HTTP/1.1\r\n\r\n", "\r\nhello\r\n\r\n"] {
            assert!(fail(text).salvage.is_none());
        }
    }

    const HEAD: &str = "INVITE sip:h.example SIP/2.0\r\n\
        Via: SIP/2.0/UDP h.example;branch=z9hG4bKone\r\n\
        f: <sip:j@h.example>;tag=a1\r\n\
        t: <sip:k@h.example>\r\n\
        Max-Forwards: 70\r\n\
        i: 1@h.example\r\n\
        CSeq: 7 INVITE\r\n";

    const REQUEST: &str = "INVITE sip:+14155550100@bridge.example SIP/2.0\r\n\
        VIA: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKone , SIP/2.0/TCP\r\n\
        \t192.0.2.2;branch=z9hG4bKtwo\r\n\
        v: SIP/2.0/UDP [2001:db8::1]\r\n\
        From : \"Doe, J\"\r\n \
         <sip:j@carrier.example>;tag=a1\r\n\
        t:\r\n sip:+14155550100@bridge.example\r\n\
        Call-ID:1@carrier.example\r\n\
        cseq: 007 INVITE\r\n\
        Max-Forwards: 70\r\n\
        Supported: 100rel ,\r\n timer\r\n\
        k:\r\n\
        X-Note: one  \r\n   two \r\n\
        c: Application / SDP;charset=utf-8\r\n\
        l: 5\r\n\
        \r\n\
        v=0\r\ntrailing";
}

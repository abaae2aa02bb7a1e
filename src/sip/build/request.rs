//! Requests of ours (RFC 3261 §8.1.1).
//!
//! A request is built without its topmost Via: which address and transport stand there is known only when the
//! next hop has been resolved, and changes when the request goes again by another transport.

use std::fmt::{Display, Write as _};

use bytes::Bytes;

use super::writer::Writer;
use crate::sip::flow::Transport;
use crate::sip::headers::{Name, lex};
use crate::sip::message::Method;

/// A request of ours without its top Via: the transport writes that when it knows by which
/// transport the request goes.
#[derive(Clone, Debug)]
pub struct Draft {
    bytes: Bytes,
    /// Behind the request line.
    via_at: usize,
}

impl Draft {
    /// The whole message. `branch` from `Ids::branch`; `sent_by` is `host[:port]` as advertised. Writes
    /// `;rport` on UDP, where a NAT would otherwise lose the response (RFC 3581).
    #[must_use]
    pub fn with_via(&self, transport: Transport, sent_by: &str, branch: &str) -> Bytes {
        let (request_line, rest) = self.bytes.split_at(self.via_at);
        let mut message = Vec::with_capacity(self.bytes.len() + sent_by.len() + branch.len() + 40);
        let rport = if transport.is_reliable() { "" } else { ";rport" };
        message.extend_from_slice(request_line);
        for part in ["Via: SIP/2.0/", transport.via(), " ", sent_by, rport, ";branch=", branch, "\r\n"] {
            message.extend_from_slice(part.as_bytes());
        }
        message.extend_from_slice(rest);
        message.into()
    }

    /// The same with further Route headers, one for each of `routes`, bytes as they came, behind those it
    /// has.
    #[must_use]
    pub fn with_routes<'a>(&self, routes: impl Iterator<Item = &'a [u8]>) -> Self {
        let head = memchr::memmem::find(&self.bytes, b"\r\n\r\n").unwrap_or(self.via_at);
        let last = memchr::memmem::rfind(&self.bytes[..head], b"\r\nRoute: ");
        let line = last.and_then(|at| Some(at + 2 + memchr::memchr(b'\n', &self.bytes[at + 2..])? + 1));
        let (before, behind) = self.bytes.split_at(line.unwrap_or(self.via_at));
        let mut writer = Writer::new();
        writer.raw(before);
        for route in routes {
            writer.header_bytes(Name::Route, route);
        }
        writer.raw(behind);
        Self { bytes: writer.into_bytes(), via_at: self.via_at }
    }

    /// Length without the Via (decides UDP or TCP).
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a draft has at least its request line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The method of the request line.
    #[must_use]
    pub fn method(&self) -> Method<'_> {
        let end = memchr::memchr(b' ', &self.bytes).unwrap_or_default();
        Method::parse(&self.bytes[..end])
    }
}

/// Writes headers in the order given.
///
/// Control characters other than tab become spaces, so that nothing from outside can start a line. From, To,
/// Call-ID, CSeq and Max-Forwards stand once: the first stays. Content-Type and Content-Length are written by
/// [`Self::body`] and [`Self::no_body`] alone, the top Via by [`Draft::with_via`].
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    writer: Writer,
    via_at: usize,
}

impl RequestBuilder {
    /// `uri` as [`Uri`](crate::sip::uri::Uri) displays itself; spaces, control characters and angle brackets
    /// in it are percent-escaped.
    #[must_use]
    pub fn new(method: Method<'_>, uri: &dyn Display) -> Self {
        let mut writer = Writer::new();
        let token: Vec<u8> =
            method.as_bytes().iter().copied().filter(|&byte| lex::is_token_byte(byte)).collect();
        writer.raw(token);
        writer.raw(" ");
        let mut escaping = Escaping(&mut writer);
        write!(escaping, "{uri}").expect("a Display of our own types does not fail, and the writer can't");
        writer.raw(" SIP/2.0\r\n");
        let via_at = writer.len();
        Self { writer, via_at }
    }

    /// A header of ours. `Name::Other` is written by [`Self::header_raw`].
    #[must_use]
    pub fn header(mut self, name: Name, value: impl Display) -> Self {
        self.writer.add(name, value);
        self
    }

    /// A header by its own name, value bytes as they came; dropped when the name is no token, or the line
    /// would be longer than 8192 bytes.
    #[must_use]
    pub fn header_raw(mut self, name: &[u8], value: &[u8]) -> Self {
        self.writer.add_raw(name, value);
        self
    }

    /// Writes Content-Type, Content-Length and the body.
    #[must_use]
    pub fn body(self, content_type: &str, body: &[u8]) -> Draft {
        Draft { bytes: self.writer.finish(Some(content_type), body), via_at: self.via_at }
    }

    /// Writes Content-Length: 0.
    #[must_use]
    pub fn no_body(self) -> Draft {
        Draft { bytes: self.writer.finish(None, b""), via_at: self.via_at }
    }
}

/// Percent-escapes what may not stand in a request line.
struct Escaping<'a>(&'a mut Writer);

impl std::fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for &byte in text.as_bytes() {
            match byte {
                b'!'..=b'~' if !matches!(byte, b'<' | b'>' | b'"') => self.0.raw([byte]),
                byte => write!(self.0, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Limits, Message};

    #[test]
    fn a_request_is_written_in_order_with_its_via_first() {
        let draft = RequestBuilder::new(Method::Invite, &"sip:a@h.example")
            .header(Name::MaxForwards, 70)
            .header_raw(b"X-Note", b" one ")
            .body("text/plain", b"hi");

        assert_eq!(draft.method(), Method::Invite);
        assert_eq!(
            draft.with_via(Transport::Udp, "192.0.2.1:5060", "z9hG4bKx"),
            "INVITE sip:a@h.example SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKx\r\n\
             Max-Forwards: 70\r\n\
             X-Note: one\r\n\
             Content-Type: text/plain\r\n\
             Content-Length: 2\r\n\r\nhi"
        );
        let by_tcp = draft.with_via(Transport::Tcp, "h.example", "z9hG4bKx");
        assert!(memchr::memmem::find(&by_tcp, b"Via: SIP/2.0/TCP h.example;branch=z9hG4bKx\r\n").is_some());
    }

    #[test]
    fn further_routes_stand_behind_those_that_are_there() {
        for (first, expected) in [
            ("", "Route: <sip:one.example;lr>\r\nRoute: <sip:two.example;lr>\r\nMax-Forwards: 70\r\n"),
            (
                "<sip:proxy.example;lr>",
                "Max-Forwards: 70\r\nRoute: <sip:proxy.example;lr>\r\nRoute: <sip:one.example;lr>\r\n\
                 Route: <sip:two.example;lr>\r\n",
            ),
        ] {
            let request = RequestBuilder::new(Method::Invite, &"sip:a@h").header(Name::MaxForwards, 70);
            let request = if first.is_empty() { request } else { request.header(Name::Route, first) };
            let routes = [&b"<sip:one.example;lr>"[..], b"<sip:two.example;lr>"];

            let draft = request.body("text/plain", b"\r\nRoute: x").with_routes(routes.into_iter());

            let text = draft.with_via(Transport::Udp, "h", "z9hG4bKx");
            let written = String::from_utf8_lossy(&text);
            let (_, rest) = written.split_once("branch=z9hG4bKx\r\n").unwrap();
            assert!(rest.starts_with(expected), "{rest}");
        }
    }

    #[test]
    fn nothing_from_outside_starts_a_line_or_ends_the_head() {
        let draft = RequestBuilder::new(Method::Other(b"A B\r\n"), &"sip:a@h SIP/2.0\r\nX: y\r\n\r\n")
            .header(Name::Subject, "a\r\nEvil: 1\r\n\r\n\0")
            .header_raw(b"X-Note", b"b\nEvil: 2\r\rc\0\xff\t\x7f")
            .header_raw(b"Evil\r\nX", b"3")
            .header_raw(b"", b"4")
            .no_body();
        let message = parse(&draft);

        let names: Vec<_> = message.headers().map(|header| header.raw_name.to_vec()).collect();
        assert_eq!(names, [&b"Via"[..], b"Subject", b"X-Note", b"Content-Length"]);
        assert_eq!(message.value_named("x-note").as_deref(), Some(&b"b Evil: 2  c \xff"[..]));
        assert_eq!(message.request_uri(), b"sip:a@h%20SIP/2.0%0D%0AX:%20y%0D%0A%0D%0A");
        assert_eq!(message.method(), Some(Method::Other(b"AB")));
    }

    #[test]
    fn what_may_stand_once_stands_once() {
        let draft = RequestBuilder::new(Method::Bye, &"sip:h.example")
            .header(Name::CallId, "ours")
            .header_raw(b"i", b"theirs")
            .header_raw(b"Content-Length", b"99")
            .header(Name::ContentLength, 99)
            .header_raw(b"c", b"text/plain")
            .header_raw(b"Via", b"SIP/2.0/UDP h.example")
            .header(Name::Route, "<sip:p1.example;lr>")
            .header(Name::Route, "<sip:p2.example;lr>")
            .no_body();
        let message = parse(&draft);

        assert_eq!(message.values(Name::CallId).count(), 1);
        assert_eq!(message.call_id(), Ok(&b"ours"[..]));
        assert_eq!((message.vias().count(), message.elements(Name::Route).count()), (1, 2));
        assert_eq!((message.content_type(), message.body().len()), (None, 0));
    }

    #[test]
    fn a_line_that_others_would_refuse_is_dropped() {
        let fits = vec![b'x'; 8_192 - "X-Note: ".len()];
        let too_long = [&fits[..], b"x"].concat();
        let draft = RequestBuilder::new(Method::Bye, &"sip:h.example")
            .header_raw(b"X-Note", &fits)
            .header_raw(b"X-Note", &too_long)
            .no_body();

        assert_eq!(parse(&draft).values_named("X-Note").count(), 1);
    }

    fn parse(draft: &Draft) -> Message {
        Message::parse(draft.with_via(Transport::Udp, "h.example", "z9hG4bKx"), &Limits::default()).unwrap()
    }
}

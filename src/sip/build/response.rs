//! Responses (RFC 3261 §8.2.6, §12.1.1, §18.2.1, RFC 3581 §4).
//!
//! What identifies the request goes back as it came, byte for byte but unfolded: a sender that matches its To
//! or Via by text must find it again. Only the topmost Via gains what we saw of its source.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::writer::Writer;
use crate::sip::headers::{Name, Via, lex};
use crate::sip::message::{MAX_HOPS, Message, Method};
use crate::sip::status::reason_phrase;

/// A response to `request`: Via (the top one with `received` and `rport` filled in), From, To, Call-ID and
/// CSeq are copied; Record-Route too into 18x and 2xx of requests that form a dialog; Timestamp into a 100.
///
/// Values are cleaned as [`RequestBuilder`](super::RequestBuilder) does it, and a header that was
/// copied is not written again.
#[derive(Clone, Debug)]
pub struct ResponseBuilder {
    writer: Writer,
}

impl ResponseBuilder {
    /// `reason` empty: the standard phrase. `to_tag` is added when the request's To has none. `source` is
    /// where the request came from.
    #[must_use]
    pub fn new(request: &Message, code: u16, reason: &str, to_tag: Option<&str>, source: SocketAddr) -> Self {
        let code = code.clamp(100, 699);
        let mut writer = Writer::new();
        writer.raw(format!("SIP/2.0 {code} "));
        writer.value(phrase(code, reason).as_bytes());
        writer.raw("\r\n");
        for (at, via) in request.elements(Name::Via).take(MAX_HOPS).enumerate() {
            let via = if at == 0 { seen_from(&via, source) } else { via.into_owned() };
            writer.header_bytes(Name::Via, &via);
        }
        if is_for_dialog(request, code) {
            for value in request.values(Name::RecordRoute) {
                writer.header_bytes(Name::RecordRoute, &value);
            }
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(value) = request.value(name) else { continue };
            match to_tag {
                Some(tag) if name == Name::To && request.to_tag().is_none() => {
                    writer.header_bytes(name, &[&value[..], b";tag=", tag.as_bytes()].concat());
                }
                _ => writer.header_bytes(name, &value),
            }
        }
        if code == 100
            && let Some(value) = request.value_named("Timestamp")
        {
            writer.header_raw(b"Timestamp", &value);
        }
        Self { writer }
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
    pub fn body(self, content_type: &str, body: &[u8]) -> Bytes {
        self.writer.finish(Some(content_type), body)
    }

    /// Writes Content-Length: 0.
    #[must_use]
    pub fn no_body(self) -> Bytes {
        self.writer.finish(None, b"")
    }
}

/// The reason phrase with what its grammar forbids replaced, cut to a length that any log can take.
fn phrase(code: u16, reason: &str) -> String {
    if reason.is_empty() {
        return reason_phrase(code).to_owned();
    }
    let allowed = |letter: char| match letter {
        '"' => '\'',
        '<' | '>' | '#' | '%' | '[' | ']' | '\\' | '^' | '`' | '{' | '|' | '}' => ' ',
        letter => letter,
    };
    reason.chars().map(allowed).take(REASON_CHARS).collect()
}

/// The top Via with the source that we saw: `received` when it is not what sent-by says or when rport is
/// asked for, and `rport` in its place. What the sender wrote there itself is replaced.
fn seen_from(via: &[u8], source: SocketAddr) -> Vec<u8> {
    let params = lex::params_of_address(via);
    let mut seen = lex::trim(&via[..via.len() - params.len()]).to_vec();
    let mut wants_rport = false;
    for param in lex::split(params, b';').filter(|param| !param.is_empty()) {
        let name = lex::trim(param.split(|&byte| byte == b'=').next().unwrap_or_default());
        if name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        seen.push(b';');
        if name.eq_ignore_ascii_case(b"rport") {
            wants_rport = true;
            seen.extend_from_slice(format!("rport={}", source.port()).as_bytes());
        } else {
            seen.extend_from_slice(param);
        }
    }
    let ip = source.ip().to_canonical();
    let is_as_sent =
        Via::parse(via).is_ok_and(|via| via.host.ip().map(|host| host.to_canonical()) == Some(ip));
    if wants_rport || !is_as_sent {
        seen.extend_from_slice(
            match ip {
                IpAddr::V4(ip) => format!(";received={ip}"),
                IpAddr::V6(ip) => format!(";received=[{ip}]"),
            }
            .as_bytes(),
        );
    }
    seen
}

fn is_for_dialog(request: &Message, code: u16) -> bool {
    matches!(request.method(), Some(Method::Invite | Method::Subscribe | Method::Refer))
        && matches!(code, 101..=299)
}

const REASON_CHARS: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Limits;

    #[test]
    fn what_identifies_the_request_comes_back_unfolded_with_long_names() {
        let response = ResponseBuilder::new(&request(), 180, "", Some("ours"), source())
            .header(Name::Contact, "<sip:192.0.2.9:5060>")
            .no_body();

        assert_eq!(
            response,
            "SIP/2.0 180 Ringing\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;rport=1024;branch=z9hG4bKone;x=\"a;b\";received=198.51.100.7\r\n\
             Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKtwo;received=192.0.2.3\r\n\
             Via: SIP/2.0/UDP [2001:db8::1]\r\n\
             Record-Route: <sip:p1.example;lr>,<sip:p2.example;lr>\r\n\
             From: \"Doe, J\" <sip:j@carrier.example>;tag=a1\r\n\
             To: sip:+14155550100@bridge.example;tag=ours\r\n\
             Call-ID: 1@carrier.example\r\n\
             CSeq: 007 INVITE\r\n\
             Contact: <sip:192.0.2.9:5060>\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_failure_has_no_route_and_a_100_has_the_timestamp() {
        let failure =
            text(ResponseBuilder::new(&request(), 486, "Busy \"here\"\r\nX: y", None, source()).no_body());
        let trying = text(ResponseBuilder::new(&request(), 100, "", None, source()).no_body());

        assert!(failure.starts_with("SIP/2.0 486 Busy 'here'  X: y\r\nVia"));
        assert!(!failure.contains("Record-Route") && !failure.contains("Timestamp"));
        assert!(trying.contains("\r\nTimestamp: 54\r\n") && !trying.contains("Record-Route"));
    }

    #[test]
    fn a_tag_that_is_there_stays_and_the_source_is_noted_only_where_it_differs() {
        let request = Message::parse(
            Bytes::from(
                "BYE sip:h SIP/2.0\r\n\
                 Via: SIP/2.0/TCP [::ffff:198.51.100.7]:5060;received=192.0.2.66;branch=z9hG4bKx\r\n\
                 To: <sip:h>;tag=theirs\r\n\r\n",
            ),
            &Limits::default(),
        )
        .unwrap();
        let response = text(ResponseBuilder::new(&request, 200, "", Some("ours"), source()).no_body());

        assert!(response.contains("To: <sip:h>;tag=theirs\r\n"));
        assert!(response.contains("Via: SIP/2.0/TCP [::ffff:198.51.100.7]:5060;branch=z9hG4bKx\r\n"));
    }

    #[test]
    fn an_ipv6_source_is_noted_in_brackets() {
        let source = "[2001:db8::7]:1024".parse().unwrap();
        let response = text(ResponseBuilder::new(&request(), 100, "", None, source).no_body());

        assert!(response.contains(";received=[2001:db8::7]\r\n"));
    }

    fn text(bytes: Bytes) -> String {
        String::from_utf8(bytes.into()).unwrap()
    }

    fn source() -> SocketAddr {
        "198.51.100.7:1024".parse().unwrap()
    }

    fn request() -> Message {
        let text = "INVITE sip:+14155550100@bridge.example SIP/2.0\r\n\
            v: SIP/2.0/UDP 10.0.0.1:5060;rport;received=192.0.2.66\r\n ;branch=z9hG4bKone;x=\"a;b\" \
            ,SIP/2.0/TCP\r\n\
            \t192.0.2.2;branch=z9hG4bKtwo;received=192.0.2.3\r\n\
            v: SIP/2.0/UDP [2001:db8::1]\r\n\
            Record-Route: <sip:p1.example;lr>,<sip:p2.example;lr>\r\n\
            f: \"Doe, J\"\r\n  <sip:j@carrier.example>;tag=a1\r\n\
            t:\r\n sip:+14155550100@bridge.example\r\n\
            i:1@carrier.example\r\n\
            Timestamp: 54\r\n\
            CSeq: 007 INVITE\r\n\r\n";
        Message::parse(Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap()
    }
}

//! SIP messages of the far ends, read and written by rsip (RFC 3261 §7), apart from the product's own parser.
//!
//! rsip is not exact everywhere, so a few things go around it, each named where it is done:
//! status texts (`486 BusyHere`), unknown methods (refused), `transport=tcp` (rewritten in
//! capitals, which breaks a digest).

use rsip::headers::{self, ToTypedHeader, UntypedHeader};
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, SipMessage};

/// A message that came, with what every user of it asks for.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) raw: SipMessage,
    /// Of a request its method, of a response the method in CSeq.
    pub(super) method: String,
    /// Absent in requests.
    pub(super) code: Option<u16>,
    pub(super) reason: String,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    pub(super) branch: String,
    pub(super) from_tag: Option<String>,
    pub(super) to_tag: Option<String>,
}

/// Why a message could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParseError {
    #[error("rsip could not read it: {0}")]
    Rsip(#[from] rsip::Error),
    #[error("it is not UTF-8")]
    Text,
    #[error("{0} is missing or cannot be read")]
    Header(&'static str),
}

impl Message {
    /// Reads one whole message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Text)?;
        let line = text.lines().next().unwrap_or_default();
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is_response = first.eq_ignore_ascii_case("SIP/2.0");
        let raw = match SipMessage::try_from(bytes) {
            Ok(raw) => raw,
            // rsip refuses methods it does not know; the true one is kept beside.
            Err(_) if !is_response => SipMessage::try_from(text.replacen(first, "MESSAGE", 1))?,
            Err(error) => return Err(error.into()),
        };
        let cseq = raw.cseq_header()?.value().to_owned();
        let (number, cseq_method) = cseq.split_once(' ').ok_or(ParseError::Header("CSeq"))?;
        let (code, reason) = match &raw {
            SipMessage::Request(_) => (None, ""),
            SipMessage::Response(response) => {
                (Some(response.status_code.code()), rest.get(4..).unwrap_or(""))
            }
        };
        let via = raw.via_header()?.typed()?;
        Ok(Self {
            method: if is_response { cseq_method.trim().to_owned() } else { first.to_owned() },
            code,
            reason: reason.to_owned(),
            call_id: raw.call_id_header()?.value().trim().to_owned(),
            cseq: number.parse().map_err(|_| ParseError::Header("CSeq"))?,
            branch: via
                .branch()
                .map(|branch| branch.value().to_owned())
                .ok_or(ParseError::Header("branch"))?,
            from_tag: raw.from_header()?.tag()?.map(|tag| tag.value().to_owned()),
            to_tag: raw.to_header()?.tag()?.map(|tag| tag.value().to_owned()),
            raw,
        })
    }

    /// The value of the first header of that name.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.raw.headers().iter().find_map(|header| {
            let line = header.to_string();
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The Request-URI; of a response nothing.
    pub(super) fn request_uri(&self) -> Option<&rsip::Uri> {
        match &self.raw {
            SipMessage::Request(request) => Some(&request.uri),
            SipMessage::Response(_) => None,
        }
    }

    /// The URI of Contact, as it was written.
    pub(super) fn contact(&self) -> Option<String> {
        self.value("Contact").map(|value| addr_spec(&value).to_owned())
    }

    /// The user of To.
    pub(super) fn to_user(&self) -> Option<String> {
        self.raw.to_header().ok()?.uri().ok()?.user().map(str::to_owned)
    }

    /// The body, when it is declared to be SDP and nothing else.
    pub(super) fn sdp(&self) -> Option<&[u8]> {
        let declared = self.value("Content-Type")?;
        let body = self.raw.body();
        (declared.eq_ignore_ascii_case("application/sdp") && !body.is_empty()).then_some(body)
    }

    /// The start line without the URI and the version: `INVITE`, `180 Ringing`.
    pub(super) fn title(&self) -> String {
        match self.code {
            Some(code) => format!("{code} {}", self.reason).trim_end().to_owned(),
            None => self.method.clone(),
        }
    }
}

/// A request under construction.
pub(super) fn request(method: &str, uri: &str, headers: Vec<Header>) -> rsip::Request {
    rsip::Request {
        method: method.parse().expect("the far ends send methods that rsip knows"),
        uri: verbatim(uri),
        version: rsip::Version::V2,
        headers: headers.into(),
        body: Vec::new(),
    }
}

/// A response to `request`, with what RFC 3261 §8.2.6.2 has it copy; `to_tag` goes into To if it has none.
pub(super) fn response(request: &Message, code: u16, reason: &str, to_tag: &str) -> rsip::Response {
    let mut copied: Vec<Header> = Vec::new();
    for header in request.raw.headers().iter() {
        match header {
            Header::To(to) if request.to_tag.is_none() => {
                copied.push(headers::To::new(format!("{};tag={to_tag}", to.value())).into());
            }
            Header::Via(_) | Header::From(_) | Header::To(_) | Header::CallId(_) | Header::CSeq(_) => {
                copied.push(header.clone());
            }
            _ => {}
        }
    }
    rsip::Response {
        // `Other` keeps the reason phrase; rsip's own names lack their spaces.
        status_code: rsip::StatusCode::Other(code, reason.to_owned()),
        version: rsip::Version::V2,
        headers: copied.into(),
        body: Vec::new(),
    }
}

/// Adds Content-Type, if there is a body, and Content-Length, then serializes.
pub(super) fn finish(message: impl Into<SipMessage>, sdp: Option<String>) -> Vec<u8> {
    let mut message = message.into();
    let body = sdp.unwrap_or_default();
    if !body.is_empty() {
        message.headers_mut().push(headers::ContentType::new("application/sdp").into());
    }
    message.headers_mut().push(headers::ContentLength::new(body.len().to_string()).into());
    *message.body_mut() = body.into_bytes();
    message.to_string().into_bytes()
}

/// Answers the caller's `rport` (RFC 3581 §4) in the first Via.
pub(super) fn fill_rport(response: &mut rsip::Response, source: std::net::SocketAddr) {
    if let Ok(via) = response.via_header_mut() {
        let filled: Vec<_> = via
            .value()
            .split(';')
            .map(|part| match part.trim() {
                "rport" => format!("rport={};received={}", source.port(), source.ip()),
                _ => part.to_owned(),
            })
            .collect();
        *via = headers::Via::new(filled.join(";"));
    }
}

/// A URI that is written exactly as `text`: rsip would write `transport=TCP` for `transport=tcp`.
pub(super) fn verbatim(text: &str) -> rsip::Uri {
    rsip::Uri { host_with_port: rsip::Host::Domain(rsip::Domain::from(text)).into(), ..rsip::Uri::default() }
}

/// The URI inside `<>`, or before the parameters.
pub(super) fn addr_spec(name_addr: &str) -> &str {
    match name_addr.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => name_addr.split(';').next().unwrap_or(name_addr).trim(),
    }
}

/// The last ten digits: how the far ends recognise a number, whatever its format.
pub(super) fn digits(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    digits[digits.len().saturating_sub(10)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_identifiers() {
        let message = Message::parse(INVITE.as_bytes()).unwrap();

        assert_eq!((message.method.as_str(), message.code, message.cseq), ("INVITE", None, 7));
        assert_eq!((message.call_id.as_str(), message.branch.as_str()), ("abc@127.0.0.2", "z9hG4bK77"));
        assert_eq!((message.from_tag.as_deref(), message.to_tag.as_deref()), (Some("f1"), None));
        assert_eq!(message.contact().as_deref(), Some("sip:127.0.0.2:5070;transport=tcp"));
        assert_eq!(message.to_user().as_deref(), Some("+14155551000"));
    }

    #[test]
    fn an_unknown_method_keeps_its_name() {
        let message = Message::parse(INVITE.replace("INVITE", "FROBNICATE").as_bytes()).unwrap();

        assert_eq!(message.method, "FROBNICATE");
    }

    #[test]
    fn a_response_copies_what_it_must_and_spells_its_reason() {
        let request = Message::parse(INVITE.as_bytes()).unwrap();
        let mut busy = response(&request, 486, "Busy Here", "t1");
        fill_rport(&mut busy, "127.0.0.1:9".parse().unwrap());

        let text = String::from_utf8(finish(busy, None)).unwrap();

        assert!(
            text.starts_with("SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bK77;"),
            "{text}"
        );
        assert!(text.contains(";rport=9;received=127.0.0.1\r\n"), "{text}");
        assert!(
            text.contains("\r\nTo: <sip:+14155551000@127.0.0.1:5060;transport=tcp>;tag=t1\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nCSeq: 7 INVITE\r\n") && text.ends_with("\r\nContent-Length: 0\r\n\r\n"),
            "{text}"
        );
        let read = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (read.code, read.reason.as_str(), read.method.as_str()),
            (Some(486), "Busy Here", "INVITE")
        );
    }

    #[test]
    fn a_uri_is_written_as_it_was_given() {
        let bytes = finish(request("BYE", "sip:127.0.0.1:5060;transport=tcp", vec![]), None);

        assert!(bytes.starts_with(b"BYE sip:127.0.0.1:5060;transport=tcp SIP/2.0\r\n"));
    }

    #[test]
    fn numbers_are_compared_by_their_last_ten_digits() {
        assert_eq!(digits("+1 (415) 555-0100"), digits("4155550100"));
        assert_ne!(digits("+14155550100"), digits("+14155550101"));
    }

    const INVITE: &str = "INVITE sip:+14155551000@127.0.0.1:5060;transport=tcp SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bK77;rport\r\nMax-Forwards: 70\r\n\
        From: \"+14155550100\" <sip:+14155550100@127.0.0.2>;tag=f1\r\n\
        To: <sip:+14155551000@127.0.0.1:5060;transport=tcp>\r\nCall-ID: abc@127.0.0.2\r\nCSeq: 7 INVITE\r\n\
        Contact: <sip:127.0.0.2:5070;transport=tcp>\r\nContent-Length: 0\r\n\r\n";
}

//! The session description in the body of a message, alone or as one part of several
//! (RFC 2046 §5.1, RFC 5621).
//!
//! Carriers put ISUP, locations and recording metadata beside it. A part that we do not know is passed over,
//! unless it says `handling=required`. RFC 3204 and RFC 5621 make that the default; those who send such parts
//! mostly leave it out and mean the opposite, so only what is said counts.

use bytes::Bytes;

use super::headers::{Name, lex};
use super::message::Message;

/// Why a body cannot be used: 415 to a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum BodyError {
    /// It is neither a session description nor several parts.
    #[error("The body must be application/sdp, not {0}")]
    Type(String),
    /// It is encoded.
    #[error("Content-Encoding is not supported")]
    Encoding,
    /// A part that must be understood is not.
    #[error("A part of type {0} is required, which is not supported")]
    Required(String),
    /// It is said to have parts, but they cannot be told apart.
    #[error("The parts of the body cannot be told apart")]
    Malformed,
}

/// The session description of `message`; `None` when it has none.
///
/// # Errors
///
/// When there is a body that cannot be used.
pub fn session_of(message: &Message) -> Result<Option<Bytes>, BodyError> {
    let body = message.body();
    if body.is_empty() {
        return Ok(None);
    }
    let content_type = message.value(Name::ContentType).unwrap_or_default();
    let encoding = message.value(Name::ContentEncoding);
    Part {
        content_type: &content_type,
        is_encoded: encoding.is_some_and(|encoding| !is_plain(&encoding)),
        is_required: true,
        body,
    }
    .session(0)
}

/// A body, or a part of one.
struct Part<'a> {
    content_type: &'a [u8],
    is_encoded: bool,
    is_required: bool,
    body: Bytes,
}

impl Part<'_> {
    fn session(&self, depth: u8) -> Result<Option<Bytes>, BodyError> {
        let media_type = self.media_type();
        let is_known = media_type == SDP || (media_type.starts_with(MULTIPART) && depth < MAX_DEPTH);
        match (is_known, self.is_required) {
            (true, _) if self.is_encoded => Err(BodyError::Encoding),
            (true, _) if media_type == SDP => Ok(Some(self.body.clone())),
            (true, _) => self.inside(depth),
            (false, true) if depth == 0 => Err(BodyError::Type(media_type)),
            (false, true) => Err(BodyError::Required(media_type)),
            (false, false) => Ok(None),
        }
    }

    /// The first session description of the parts; every part is looked at, because one may be required.
    fn inside(&self, depth: u8) -> Result<Option<Bytes>, BodyError> {
        let at = lex::find(self.content_type, b';').unwrap_or(self.content_type.len());
        let boundary = lex::param(&self.content_type[at..], "boundary").flatten().and_then(lex::unquote);
        let boundary = boundary.filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()));
        let parts = split(&self.body, &boundary.ok_or(BodyError::Malformed)?).ok_or(BodyError::Malformed)?;
        let mut found = None;
        for part in parts {
            let (head, body) = halves(&part);
            let field = |name: &str| value_of(&head, name).unwrap_or_default();
            let (content_type, disposition) = (field("Content-Type"), field("Content-Disposition"));
            let at = lex::find(disposition, b';').unwrap_or(disposition.len());
            let handling = lex::param(&disposition[at..], "handling").flatten();
            let encodings = [field("Content-Encoding"), field("Content-Transfer-Encoding")];
            let part = Part {
                content_type,
                is_encoded: encodings.iter().any(|encoding| !is_plain(encoding)),
                is_required: handling.is_some_and(|handling| handling.eq_ignore_ascii_case(b"required")),
                body,
            };
            let session = part.session(depth + 1)?;
            found = found.or(session);
        }
        Ok(found)
    }

    /// `type/subtype` in lower case; text where nothing is said (RFC 2045 §5.2).
    fn media_type(&self) -> String {
        let at = lex::find(self.content_type, b';').unwrap_or(self.content_type.len());
        let text = String::from_utf8_lossy(lex::trim(&self.content_type[..at])).to_ascii_lowercase();
        match (text.is_empty(), self.is_required) {
            (true, true) => "absent".to_owned(),
            (true, false) => "text/plain".to_owned(),
            (false, _) => text.chars().filter(|letter| !letter.is_whitespace()).take(MAX_TYPE).collect(),
        }
    }
}

/// What stands between the delimiters, without the line end before each; `None` when
/// there are none, or too many.
fn split(body: &Bytes, boundary: &[u8]) -> Option<Vec<Bytes>> {
    let delimiter = [b"--", boundary].concat();
    let mut parts = Vec::new();
    let mut start = None;
    for at in memchr::memmem::find_iter(body, &delimiter) {
        let is_line_start = at == 0 || body[at - 1] == b'\n';
        let end = at + delimiter.len();
        let rest = &body[end..];
        let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let closes = rest.starts_with(b"--");
        if !is_line_start || !(closes || lex::trim(&rest[..line]).is_empty()) {
            continue;
        }
        if let Some(start) = start {
            let end = without_line_end(&body[..at]).len().max(start);
            parts.push(body.slice(start..end));
        }
        if closes || parts.len() > MAX_PARTS {
            break;
        }
        start = Some((end + line + 1).min(body.len()));
    }
    (!parts.is_empty() && parts.len() <= MAX_PARTS).then_some(parts)
}

/// The header lines of a part, and what follows the empty line.
fn halves(part: &Bytes) -> (Bytes, Bytes) {
    let mut at = 0;
    while at < part.len() {
        let line = memchr::memchr(b'\n', &part[at..]).map_or(part.len() - at, |end| end + 1);
        if lex::trim(&part[at..at + line]).is_empty() {
            return (part.slice(..at), part.slice(at + line..));
        }
        at += line;
    }
    (part.clone(), Bytes::new())
}

fn value_of<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        lex::trim(&line[..colon]).eq_ignore_ascii_case(name.as_bytes()).then(|| lex::trim(&line[colon + 1..]))
    })
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn is_plain(encoding: &[u8]) -> bool {
    encoding.is_empty() || PLAIN.iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
}

const SDP: &str = "application/sdp";
const MULTIPART: &str = "multipart/";
const PLAIN: [&[u8]; 4] = [b"identity", b"binary", b"8bit", b"7bit"];

/// How deep parts may stand within parts.
const MAX_DEPTH: u8 = 2;
const MAX_PARTS: usize = 16;
/// RFC 2046 §5.1.1.
const MAX_BOUNDARY: usize = 70;
/// A longer name of a type is cut where we repeat it.
const MAX_TYPE: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::message::Limits;
    use super::*;

    #[test]
    fn a_session_description_alone_is_the_body_itself() {
        assert_eq!(session("application/sdp", "v=0\r\n"), Ok(Some("v=0\r\n".into())));
        assert_eq!(session("Application / SDP;charset=utf-8", "v=0\r\n"), Ok(Some("v=0\r\n".into())));
        assert_eq!(session("application/sdp", ""), Ok(None));
        assert_eq!(session("text/plain", "hi"), Err(BodyError::Type("text/plain".into())));
    }

    #[test]
    fn it_is_found_beside_other_parts_wherever_it_stands() {
        for (kind, body) in [
            (
                "multipart/mixed;boundary=b1",
                "--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1--\r\n",
            ),
            (
                "multipart/mixed; boundary=\"b 1\"",
                "preamble\r\n--b 1\r\nContent-Type: application/isup;version=itu\r\n\
                 Content-Disposition: signal;\
                 handling=optional\r\n\r\n\x01\x02\x03\r\n--b 1  \r\ncontent-type : application/sdp\r\n\r\n\
                 v=0\r\n\r\n\
                 --b 1--\r\nepilogue",
            ),
            (
                "multipart/mixed;boundary=b",
                "--b\nContent-Type: application/pidf+xml\n\n<x/>\n--b\nContent-Type: application/sdp\n\n\
                 v=0\r\n\n--b--",
            ),
            (
                "multipart/mixed;boundary=o",
                "--o\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n--i\r\n\r\ntext\r\n--i\r\n\
                 Content-Type: application/sdp\r\n\r\nv=0\r\n\r\n--i--\r\n--o--\r\n",
            ),
        ] {
            assert_eq!(session(kind, body), Ok(Some("v=0\r\n".into())), "{kind}");
        }
    }

    #[test]
    fn parts_without_one_are_no_session_description() {
        let body = "--b\r\nContent-Type: application/isup\r\n\r\nx\r\n--b--\r\n";

        assert_eq!(session("multipart/mixed;boundary=b", body), Ok(None));
    }

    #[test]
    fn an_unknown_part_that_is_required_is_named() {
        let body = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\n\
                    Content-Type: application/isup\r\n\
                    Content-Disposition: signal ; handling=Required\r\n\r\nx\r\n--b--\r\n";

        let refused = session("multipart/mixed;boundary=b", body);

        assert_eq!(refused, Err(BodyError::Required("application/isup".into())));
    }

    #[test]
    fn an_encoding_is_refused() {
        let body =
            "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--";

        assert_eq!(session("multipart/mixed;boundary=b", body), Err(BodyError::Encoding));
        assert_eq!(session("application/sdp\r\nContent-Encoding: gzip", "x"), Err(BodyError::Encoding));
    }

    #[test]
    fn parts_that_cannot_be_told_apart_are_malformed() {
        let many = "--b\r\n\r\nx\r\n".repeat(MAX_PARTS + 2) + "--b--";
        for (kind, body) in [
            ("multipart/mixed", "--b\r\n\r\nx\r\n--b--"),
            ("multipart/mixed;boundary=", "--\r\n\r\nx\r\n----"),
            ("multipart/mixed;boundary=b", "--c\r\n\r\nx\r\n--c--"),
            ("multipart/mixed;boundary=b", "--b"),
            ("multipart/mixed;boundary=b", "--bb\r\n\r\nx\r\n--bb--"),
            ("multipart/mixed;boundary=b", &many),
        ] {
            assert_eq!(session(kind, body), Err(BodyError::Malformed), "{kind} {body}");
        }
    }

    fn session(content_type: &str, body: &str) -> Result<Option<String>, BodyError> {
        let text = format!(
            "INVITE sip:h SIP/2.0\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let message = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
        let session = session_of(&message)?;
        Ok(session.map(|session| String::from_utf8(session.to_vec()).unwrap()))
    }
}

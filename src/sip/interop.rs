//! To and from rsip's types, so that users of rsip can drive the library.
//!
//! Neither direction passes through rsip's parser or its `Display`: rsip 0.4 reads `john.doe@host` as no
//! user, loses the second Via of a line, writes an IPv6 address without brackets and `486 BusyHere`. What its
//! types can't hold is an error here, never a loss, with two exceptions that are rsip's nature: the reason
//! phrase of a code it knows, and the case of `transport=`.

use bytes::Bytes;

use super::build::Writer;
use super::headers::Name;
use super::message::{Limits, Message, ParseError};
use super::status::reason_phrase;
use super::uri::{Host, Scheme, Uri, UriError};

/// Why a value of one side has no counterpart on the other.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum InteropError {
    /// rsip knows fourteen methods and no others.
    #[error("rsip has no method {0}")]
    Method(String),
    /// rsip would write `tel://`.
    #[error("rsip cannot hold a {0} URI")]
    Scheme(String),
    /// rsip has no place for what stands behind `?`.
    #[error("rsip cannot hold the headers of a URI")]
    UriHeaders,
    /// rsip holds text.
    #[error("{0} is not UTF-8, which rsip needs")]
    NotUtf8(String),
    /// rsip refused a value.
    #[error("rsip does not take {what}: {error}")]
    Rsip {
        /// Which header or parameter.
        what: String,
        /// rsip's reason.
        error: rsip::Error,
    },
    /// Its name is no token, its line too long, or it may stand once and stands twice.
    #[error("header {0:?} cannot be written")]
    Header(String),
    /// The Request-URI, or a URI of rsip's, is not one that we can use.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The message, written out, is not one that we can read.
    #[error(transparent)]
    Message(#[from] ParseError),
}

impl TryFrom<&Uri> for rsip::Uri {
    type Error = InteropError;

    fn try_from(uri: &Uri) -> Result<Self, InteropError> {
        let scheme = match uri.scheme {
            Scheme::Sip => rsip::Scheme::Sip,
            Scheme::Sips => rsip::Scheme::Sips,
            Scheme::Tel => return Err(InteropError::Scheme(uri.scheme.as_str().to_owned())),
        };
        if uri.headers.is_some() {
            return Err(InteropError::UriHeaders);
        }
        let host = match &uri.host {
            Host::Ip(ip) if ip.is_ipv4() => rsip::Host::IpAddr(*ip),
            host => rsip::Host::Domain(rsip::Domain::from(host.to_string())),
        };
        let params = uri.params.iter().map(|(name, value)| param(name, value.as_deref())).collect();
        Ok(Self {
            scheme: Some(scheme),
            auth: uri
                .escaped_user()
                .map(|user| rsip::Auth { user: user.into_owned(), password: uri.password.clone() }),
            host_with_port: rsip::HostWithPort { host, port: uri.port.map(rsip::Port::from) },
            params,
            headers: Vec::new(),
        })
    }
}

impl TryFrom<&rsip::Uri> for Uri {
    type Error = InteropError;

    fn try_from(uri: &rsip::Uri) -> Result<Self, InteropError> {
        let mut text = match &uri.scheme {
            None | Some(rsip::Scheme::Sip) => "sip:".to_owned(),
            Some(rsip::Scheme::Sips) => "sips:".to_owned(),
            Some(rsip::Scheme::Other(scheme)) => return Err(UriError::UnknownScheme(scheme.clone()).into()),
        };
        if let Some(auth) = &uri.auth {
            text += &format!("{auth}@");
        }
        text += &match &uri.host_with_port.host {
            rsip::Host::IpAddr(ip) => Host::Ip(*ip).to_string(),
            rsip::Host::Domain(domain) => domain.to_string(),
        };
        if let Some(port) = &uri.host_with_port.port {
            text += &format!(":{port}");
        }
        for param in &uri.params {
            text += &match param {
                rsip::Param::Transport(transport) => format!(";transport={transport}").to_ascii_lowercase(),
                param => param.to_string(),
            };
        }
        Ok(Self::parse(text.as_bytes())?)
    }
}

impl TryFrom<&Message> for rsip::SipMessage {
    type Error = InteropError;

    fn try_from(message: &Message) -> Result<Self, InteropError> {
        let mut headers = rsip::Headers::default();
        for header in message.headers() {
            let name = header.full_name();
            if header.name == Name::Via {
                for via in super::headers::lex::split(&header.value, b',') {
                    headers.push(rsip_header(name, via)?);
                }
            } else {
                headers.push(rsip_header(name, &header.value)?);
            }
        }
        let body = message.body().to_vec();
        let version = rsip::Version::V2;
        let Some(method) = message.method() else {
            let status_code = match message.status().unwrap_or_default().into() {
                rsip::StatusCode::Other(code, _) => {
                    let reason = String::from_utf8_lossy(message.reason()).into_owned();
                    rsip::StatusCode::Other(code, reason)
                }
                known => known,
            };
            return Ok(rsip::Response { status_code, version, headers, body }.into());
        };
        let unknown = || InteropError::Method(method.as_str().into_owned());
        let known = rsip::Method::all().into_iter().find(|known| known.to_string() == method.as_str());
        let uri = rsip::Uri::try_from(&Uri::parse(message.request_uri())?)?;
        Ok(rsip::Request { method: known.ok_or_else(unknown)?, uri, version, headers, body }.into())
    }
}

impl TryFrom<&rsip::SipMessage> for Message {
    type Error = InteropError;

    fn try_from(message: &rsip::SipMessage) -> Result<Self, InteropError> {
        let mut writer = Writer::new();
        let (headers, body) = match message {
            rsip::SipMessage::Request(request) => {
                let uri = Uri::try_from(&request.uri)?;
                writer.raw(format!("{} {uri} SIP/2.0\r\n", request.method));
                (&request.headers, &request.body)
            }
            rsip::SipMessage::Response(response) => {
                let (code, reason) = match &response.status_code {
                    rsip::StatusCode::Other(code, reason) => (*code, reason.as_str()),
                    known => (known.code(), reason_phrase(known.code())),
                };
                writer.raw(format!("SIP/2.0 {code} "));
                writer.value(reason.as_bytes());
                writer.raw("\r\n");
                (&response.headers, &response.body)
            }
        };
        let mut content_type = None;
        for header in headers.iter() {
            let line = header.to_string();
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match Name::parse(name.as_bytes()) {
                Name::ContentType => content_type = Some(value.trim().to_owned()),
                Name::ContentLength => {}
                _ if writer.header_raw(name.as_bytes(), value.as_bytes()) => {}
                _ => return Err(InteropError::Header(name.to_owned())),
            }
        }
        let bytes: Bytes = writer.finish(content_type.as_deref(), body);
        Self::parse(bytes, &Limits::default()).map_err(|failure| failure.error.into())
    }
}

/// As rsip would read it, or as plain text where rsip knows the name but not the value.
fn param(name: &str, value: Option<&str>) -> rsip::Param {
    rsip::Param::try_from((name, value))
        .unwrap_or_else(|_| rsip::Param::Other(name.into(), value.map(Into::into)))
}

fn rsip_header(name: &[u8], value: &[u8]) -> Result<rsip::Header, InteropError> {
    let what = String::from_utf8_lossy(name);
    if std::str::from_utf8(value).is_err() {
        return Err(InteropError::NotUtf8(what.into_owned()));
    }
    rsip::headers::header::Tokenizer::from((name, value))
        .try_into()
        .map_err(|error| InteropError::Rsip { what: what.into_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_comes_back_as_it_went() {
        for text in [
            "sip:carrier.example",
            "sip:john.doe:pw@carrier.example:5070;transport=tcp;lr;x=1;user=phone",
            "sips:a%40b%3Bc@[2001:db8::1]:5061;maddr=192.0.2.1",
            "sip:+14155550100;npdi@192.0.2.1;transport=quic",
        ] {
            let ours = Uri::parse(text.as_bytes()).unwrap();
            let theirs = rsip::Uri::try_from(&ours).unwrap();

            assert_eq!(Uri::try_from(&theirs).unwrap(), ours);
        }
    }

    #[test]
    fn rsip_writes_what_we_gave_it_but_for_the_case_of_transport() {
        let ours = Uri::parse(b"sip:john.doe@[2001:db8::1]:5061;transport=tcp;lr").unwrap();

        let theirs = rsip::Uri::try_from(&ours).unwrap();

        assert_eq!(theirs.to_string(), "sip:john.doe@[2001:db8::1]:5061;transport=TCP;lr");
        assert_eq!((theirs.user(), theirs.transport()), (Some("john.doe"), Some(&rsip::Transport::Tcp)));
    }

    #[test]
    fn what_rsip_cannot_hold_is_an_error() {
        let uri = |text: &str| rsip::Uri::try_from(&Uri::parse(text.as_bytes()).unwrap()).unwrap_err();
        let message = |text: &str| rsip::SipMessage::try_from(&read(text)).unwrap_err();

        assert_eq!(uri("tel:+14155550100"), InteropError::Scheme("tel".into()));
        assert_eq!(uri("sip:h.example?Replaces=x"), InteropError::UriHeaders);
        assert_eq!(message("NEW sip:h.example SIP/2.0\r\n\r\n"), InteropError::Method("NEW".into()));
        let latin =
            Message::parse(Bytes::from_static(b"SIP/2.0 200 OK\r\nX-A: \xe9\r\n\r\n"), &Limits::default());
        let error = rsip::SipMessage::try_from(&latin.unwrap()).unwrap_err();
        assert_eq!(error, InteropError::NotUtf8("X-A".into()));
    }

    #[test]
    fn a_message_comes_back_with_long_names_and_one_via_a_line() {
        let ours = read(
            "INVITE sip:a@h.example;transport=tcp SIP/2.0\r\n\
             v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone, SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKtwo\r\n\
             f: \"A, B\"\r\n <sip:a.b@h.example>;tag=1\r\nX-Note: \u{e9}\r\nc: text/plain\r\nl: 2\r\n\r\nhi",
        );

        let theirs = rsip::SipMessage::try_from(&ours).unwrap();
        let back = Message::try_from(&theirs).unwrap();

        assert_eq!(
            back.raw(),
            "INVITE sip:a@h.example;transport=tcp SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone\r\n\
             Via: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKtwo\r\n\
             From: \"A, B\" <sip:a.b@h.example>;tag=1\r\nX-Note: \u{e9}\r\n\
             Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn a_response_keeps_its_code_and_what_rsip_knows_no_phrase_for() {
        let known = rsip::SipMessage::try_from(&read("SIP/2.0 486 Not now\r\n\r\n")).unwrap();
        let unknown = rsip::SipMessage::try_from(&read("SIP/2.0 499 Odd\r\n\r\n")).unwrap();

        assert!(
            matches!(&known, rsip::SipMessage::Response(it) if it.status_code == rsip::StatusCode::BusyHere)
        );
        assert_eq!(Message::try_from(&known).unwrap().reason(), b"Busy Here");
        assert_eq!(Message::try_from(&unknown).unwrap().reason(), b"Odd");
    }

    #[test]
    fn a_line_end_in_an_rsip_header_does_not_get_through() {
        let mut response = rsip::Response::default();
        response.headers.push(rsip::Header::Other("X-A".into(), "a\r\nEvil: b".into()));

        let message = Message::try_from(&response.into()).unwrap();

        assert_eq!(message.value_named("X-A").as_deref(), Some(&b"a  Evil: b"[..]));
        assert_eq!(message.headers().count(), 2);
    }

    #[test]
    fn a_header_that_cannot_be_written_is_an_error_and_the_length_is_the_bodys() {
        let with = |headers: Vec<rsip::Header>| {
            Message::try_from(
                &rsip::Response { headers: headers.into(), body: b"hi".to_vec(), ..Default::default() }
                    .into(),
            )
        };

        let odd = with(vec![rsip::Header::Other("X A".into(), "1".into())]);
        let length = with(vec![rsip::Header::ContentLength("99".into())]);

        assert_eq!(odd.unwrap_err(), InteropError::Header("X A".into()));
        assert_eq!(length.unwrap().body(), "hi");
    }

    fn read(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }
}

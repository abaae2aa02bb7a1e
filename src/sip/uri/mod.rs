//! SIP, SIPS and tel URIs as we hold them: owned, parsed and unescaped (RFC 3261 §19.1, RFC 3966).
//!
//! `==` compares what is held; whether two URIs name the same resource is [`Uri::equivalent`]
//! (RFC 3261 §19.1.4), and the two differ: `sip:a@h` and `sip:a@h;x=1` are equivalent, `sip:a@h`
//! and `sip:a@h:5060` are not.

mod equivalence;
mod escape;
mod host;

use std::borrow::Cow;
use std::fmt;

pub use host::Host;

pub(crate) use host::host_port;

/// The schemes that name a telephone or a SIP user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`, a SIP resource to be reached over TLS only.
    Sips,
    /// `tel:`, a telephone number without a host (RFC 3966).
    Tel,
}

impl Scheme {
    /// As written before the colon, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
        }
    }
}

/// A URI with its parts unescaped; [`fmt::Display`] writes it back, escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    /// What the other fields mean depends on it.
    pub scheme: Scheme,
    /// The user part with `%HH` resolved, its parameters included (`+14155550100;npdi`); `None` when absent
    /// or empty. Of a tel URI the number without visual separators, with its `+`.
    pub user: Option<String>,
    /// The part between `:` and `@`, escaped as it was.
    pub password: Option<String>,
    /// Of a tel URI the empty name.
    pub host: Host,
    /// `None` when not written, which is not the same as 5060.
    pub port: Option<u16>,
    /// In order, names lower-cased: `[("transport", Some("tcp"))]`. Escapes of characters
    /// that need none are resolved.
    pub params: Vec<(String, Option<String>)>,
    /// The part after `?`, as written.
    pub headers: Option<String>,
    /// The escaped user, kept only when escaping `user` would not give the same text back; it counts for
    /// nothing once `user` is changed.
    pub user_as_written: Option<Box<str>>,
}

/// Why a text is not a URI that we can use.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum UriError {
    /// There is no `scheme:` in front.
    #[error("URI without a scheme")]
    NoScheme,
    /// A URI, but none that we can call or answer to.
    #[error("URI scheme {0} is not sip, sips or tel")]
    UnknownScheme(String),
    /// Space, control character, quote or angle bracket, or a byte above 127 behind the user part.
    #[error("URI contains the byte {0:#04x}")]
    Character(u8),
    /// `%` without two hexadecimal digits behind it.
    #[error("URI contains % without two hexadecimal digits")]
    Escape,
    /// Empty, not a host name, or an IPv6 address without its brackets.
    #[error("URI has a bad host")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("URI has a bad port")]
    Port,
    /// A tel URI that is not digits and separators.
    #[error("tel URI without a telephone number")]
    Number,
}

impl Uri {
    /// Reads a whole URI, without the angle brackets around it.
    ///
    /// More than the grammar is taken where it can mean one thing only: raw UTF-8 and `#` in the user part,
    /// an empty user, empty parameters, `_` in host names.
    ///
    /// # Errors
    /// [`UriError`] names the part that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, UriError> {
        if let Some(&byte) =
            text.iter().find(|&&byte| byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"'))
        {
            return Err(UriError::Character(byte));
        }
        let (scheme, rest) = split_once(text, b':').ok_or(UriError::NoScheme)?;
        if scheme.eq_ignore_ascii_case(b"sip") {
            Self::parse_sip(Scheme::Sip, rest)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Self::parse_sip(Scheme::Sips, rest)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            Self::parse_tel(rest)
        } else if is_scheme(scheme) {
            Err(UriError::UnknownScheme(String::from_utf8_lossy(scheme).to_ascii_lowercase()))
        } else {
            Err(UriError::NoScheme)
        }
    }

    /// `sip:user@host:port`, no parameters; `user` unescaped.
    #[must_use]
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            password: None,
            host,
            port,
            params: Vec::new(),
            headers: None,
            user_as_written: None,
        }
    }

    /// The parameter `name` (in lower case): `Some(None)` when it stands there without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_deref())
    }

    /// The same URI with the parameter set; one of that name is replaced in its place.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        let name = name.to_ascii_lowercase();
        let value = value.map(str::to_owned);
        match self.params.iter_mut().find(|(known, _)| *known == name) {
            Some(param) => param.1 = value,
            None => self.params.push((name, value)),
        }
        self
    }

    /// The value of `;transport=` in lower case, if present.
    #[must_use]
    pub fn transport(&self) -> Option<Cow<'_, str>> {
        let value = self.param("transport").flatten()?;
        Some(if value.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(value.to_ascii_lowercase())
        } else {
            Cow::Borrowed(value)
        })
    }

    /// Whether the URI of a Route has `;lr`, with or without a value (RFC 3261 §19.1.1).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.param("lr").is_some()
    }

    fn parse_sip(scheme: Scheme, rest: &[u8]) -> Result<Self, UriError> {
        let (userinfo, rest) = match split_once(rest, b'@') {
            Some((userinfo, rest)) => (userinfo, rest),
            None => (&b""[..], rest),
        };
        let (user, password) = match split_once(userinfo, b':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        let (rest, headers) = match split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (address, params) = split_once(rest, b';').unwrap_or((rest, b""));
        let (host, port) = host_port(address)?;
        let (user, user_as_written) = read_user(user)?;
        Ok(Self {
            scheme,
            user,
            password: password.map(ascii).transpose()?,
            host,
            port,
            params: read_params(params)?,
            headers: headers.map(ascii).transpose()?,
            user_as_written,
        })
    }

    fn parse_tel(rest: &[u8]) -> Result<Self, UriError> {
        let (written, params) = split_once(rest, b';').unwrap_or((rest, b""));
        let number: String =
            written.iter().filter(|byte| !b"-.()".contains(byte)).map(|&byte| char::from(byte)).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        let is_digit = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#');
        if digits.is_empty() || !digits.bytes().all(is_digit) {
            return Err(UriError::Number);
        }
        Ok(Self {
            scheme: Scheme::Tel,
            user: Some(number),
            password: None,
            host: Host::Name(String::new()),
            port: None,
            params: read_params(params)?,
            headers: None,
            user_as_written: None,
        })
    }

    /// The user part as it goes out: what was read if it still stands for `user`, else `user` escaped.
    pub(in crate::sip) fn escaped_user(&self) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref()?;
        match &self.user_as_written {
            Some(written) if unescape_user(written.as_bytes()).is_ok_and(|read| read == user) => {
                Some(Cow::Borrowed(written))
            }
            _ => Some(escape::escape(user.as_bytes(), escape::in_user)),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_str(":")?;
        if self.scheme == Scheme::Tel {
            f.write_str(&escape::keeping_escapes(
                self.user.as_deref().unwrap_or_default(),
                escape::in_number,
            ))?;
        } else {
            if let Some(user) = self.escaped_user() {
                f.write_str(&user)?;
                if let Some(password) = &self.password {
                    write!(f, ":{}", escape::keeping_escapes(password, escape::in_password))?;
                }
                f.write_str("@")?;
            }
            write!(f, "{}", self.host)?;
            if let Some(port) = self.port {
                write!(f, ":{port}")?;
            }
        }
        for (name, value) in &self.params {
            write!(f, ";{}", escape::keeping_escapes(name, escape::in_param))?;
            if let Some(value) = value {
                write!(f, "={}", escape::keeping_escapes(value, escape::in_param))?;
            }
        }
        match &self.headers {
            Some(headers) if self.scheme != Scheme::Tel => {
                write!(f, "?{}", escape::keeping_escapes(headers, escape::in_headers))
            }
            _ => Ok(()),
        }
    }
}

/// The unescaped user, and its written form where escaping would not give that back.
fn read_user(written: &[u8]) -> Result<(Option<String>, Option<Box<str>>), UriError> {
    if written.is_empty() {
        return Ok((None, None));
    }
    let user = unescape_user(written)?;
    if *escape::escape(user.as_bytes(), escape::in_user).as_bytes() == *written {
        return Ok((Some(user), None));
    }
    let written = escape::resolve_needless(written)?;
    let written = escape::escape(&written, |byte| byte == b'%' || escape::in_user(byte));
    Ok((Some(user), Some(written.into())))
}

fn unescape_user(written: &[u8]) -> Result<String, UriError> {
    Ok(String::from_utf8_lossy(&escape::unescape(written)?).into_owned())
}

fn read_params(text: &[u8]) -> Result<Vec<(String, Option<String>)>, UriError> {
    text.split(|&byte| byte == b';')
        .filter(|param| !param.is_empty())
        .map(|param| {
            let (name, value) = split_once(param, b'=').unwrap_or((param, b""));
            let name = ascii(&escape::resolve_needless(name)?)?;
            let mut name = escape::keeping_escapes(&name, escape::in_param).into_owned();
            name.make_ascii_lowercase();
            let value = ascii(&escape::resolve_needless(value)?)?;
            Ok((name, Some(value).filter(|value| !value.is_empty())))
        })
        .collect()
}

fn ascii(bytes: &[u8]) -> Result<String, UriError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => {
            Err(UriError::Character(bytes.iter().copied().find(|byte| !byte.is_ascii()).unwrap_or_default()))
        }
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_peers_write_is_read_and_written_back_alike() {
        for text in [
            "sip:carrier.example",
            "sip:+14155550100;npdi;rn=+14155550199@carrier.example;user=phone",
            "sip:[2001:db8::1]:5060;transport=tcp",
            "sips:alice:s3cret@carrier.example:5061",
            "sip:%2B14155550100@carrier.example",
            "sip:a%40b%3Bc@carrier.example",
            "sip:user&x=1,$?/@carrier.example",
            "sip:caf%E9@carrier.example",
            "sip:null-%00@carrier.example",
            "sip:alice@carrier.example;maddr=[2001:db8::2];lr?Replaces=1%40h%3Bto-tag%3D2&X=y",
            "tel:+14155550100;ext=22",
            "tel:5550100;phone-context=+1",
        ] {
            assert_eq!(uri(text).to_string(), text);
        }
    }

    #[test]
    fn parts_are_unescaped_and_host_and_names_lower_cased() {
        let uri = uri("SIP:%61lice;day=tue%40home@Carrier.EXAMPLE:5070;Transport=TCP;%6C%72;x=%25%41");

        assert_eq!(uri.user.as_deref(), Some("alice;day=tue@home"));
        assert_eq!(uri.host, Host::Name("carrier.example".into()));
        assert_eq!(uri.port, Some(5070));
        assert_eq!(uri.transport().as_deref(), Some("tcp"));
        assert!(uri.is_loose_router());
        assert_eq!(uri.param("x"), Some(Some("%25A")));
    }

    #[test]
    fn an_empty_user_is_none() {
        assert_eq!(uri("sip:@carrier.example").to_string(), "sip:carrier.example");
    }

    #[test]
    fn a_tel_number_loses_its_visual_separators() {
        let uri = uri("tel:+1-415-555.(0100);phone-context=+1");

        assert_eq!(uri.user.as_deref(), Some("+14155550100"));
        assert_eq!(uri.param("phone-context"), Some(Some("+1")));
    }

    #[test]
    fn a_changed_user_is_escaped_afresh() {
        let mut uri = uri("sip:a%3Bb@carrier.example");
        uri.user = Some("1@\"2\r\n#".into());

        assert_eq!(uri.to_string(), "sip:1%40%222%0D%0A%23@carrier.example");
    }

    #[test]
    fn a_parameter_name_that_needs_escapes_is_written_the_same_every_time() {
        let once = uri("sip:h.example;{=}").to_string();

        assert_eq!(uri(&once).to_string(), once);
    }

    #[test]
    fn parameters_from_outside_cannot_break_out() {
        let uri =
            Uri::sip(Some("a"), Host::Name("h.example".into()), None).with_param("x", Some("1;lr>\r\nb"));

        assert_eq!(uri.to_string(), "sip:a@h.example;x=1%3Blr%3E%0D%0Ab");
    }

    #[test]
    fn what_is_not_a_uri_is_refused_with_its_reason() {
        for (text, error) in [
            ("", UriError::NoScheme),
            ("carrier.example", UriError::NoScheme),
            ("\u{e9}:x", UriError::NoScheme),
            ("mailto:alice@carrier.example", UriError::UnknownScheme("mailto".into())),
            ("sip:", UriError::Host),
            ("sip:alice@", UriError::Host),
            ("sip:alice@b@carrier.example", UriError::Host),
            ("sip:2001:db8::1", UriError::Host),
            ("sip:[2001:db8::1", UriError::Host),
            ("sip:300.1.1.1", UriError::Host),
            ("sip:carrier.example:0", UriError::Port),
            ("sip:carrier.example:70000", UriError::Port),
            ("sip:a b@carrier.example", UriError::Character(b' ')),
            ("<sip:carrier.example>", UriError::Character(b'<')),
            ("sip:a%4@carrier.example", UriError::Escape),
            ("tel:alice", UriError::Number),
            ("tel:+", UriError::Number),
        ] {
            assert_eq!(Uri::parse(text.as_bytes()), Err(error), "{text}");
        }
    }
}

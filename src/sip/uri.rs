//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966): STUB.
use std::borrow::Cow;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
}

/// A URI we hold: owned, parsed. `user` is unescaped, `host` without brackets and lower-cased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    pub scheme: Scheme,
    /// For tel: the number as written without visual separators (incl. leading '+').
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: Host,
    pub port: Option<u16>,
    /// In order, names lower-cased: `[("transport", Some("tcp"))]`.
    pub params: Vec<(String, Option<String>)>,
    /// The part after `?`, as written.
    pub headers: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Host {
    Name(String),
    Ip(std::net::IpAddr),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum UriError {
    #[error("stub")]
    Stub,
}

impl Uri {
    pub fn parse(_text: &[u8]) -> Result<Self, UriError> {
        todo!()
    }
    /// `sip:user@host:port`, no parameters.
    pub fn sip(_user: Option<&str>, _host: Host, _port: Option<u16>) -> Self {
        todo!()
    }
    pub fn param(&self, _name: &str) -> Option<Option<&str>> {
        todo!()
    }
    #[must_use]
    pub fn with_param(self, _name: &str, _value: Option<&str>) -> Self {
        todo!()
    }
    /// `;transport=` lower-cased, if present.
    pub fn transport(&self) -> Option<Cow<'_, str>> {
        todo!()
    }
    pub fn is_loose_router(&self) -> bool {
        todo!()
    }
    /// RFC 3261 §19.1.4.
    pub fn equivalent(&self, _other: &Self) -> bool {
        todo!()
    }
}
impl fmt::Display for Uri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
impl fmt::Display for Host {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

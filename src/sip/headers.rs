//! Header names and the typed values of the headers SIP itself needs: STUB.
use super::uri::Uri;

/// Known header names; `Other` is anything else (its bytes are with the header).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Name {
    Accept,
    Allow,
    Authorization,
    CallId,
    Contact,
    ContentLength,
    ContentType,
    CSeq,
    Date,
    Diversion,
    Event,
    Expires,
    From,
    HistoryInfo,
    Identity,
    MaxForwards,
    MinSe,
    PAssertedIdentity,
    PPreferredIdentity,
    Privacy,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyRequire,
    RAck,
    Reason,
    RecordRoute,
    ReferTo,
    ReferredBy,
    RemotePartyId,
    Replaces,
    Require,
    RetryAfter,
    Route,
    RSeq,
    SessionExpires,
    SubscriptionState,
    Supported,
    To,
    Unsupported,
    UserAgent,
    UserToUser,
    Via,
    Warning,
    WwwAuthenticate,
    Other,
}
impl Name {
    /// Any case, compact forms included.
    pub fn parse(_bytes: &[u8]) -> Self {
        todo!()
    }
    /// Canonical spelling: `Call-ID`, `CSeq`, `WWW-Authenticate`. Empty for `Other`.
    pub fn as_str(self) -> &'static str {
        todo!()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    /// Upper-cased as written: `UDP`, `TCP`, `TLS`, ...
    pub transport: String,
    pub host: super::uri::Host,
    pub port: Option<u16>,
    pub branch: Option<String>,
    pub received: Option<std::net::IpAddr>,
    /// None: absent; Some(None): flag only.
    pub rport: Option<Option<u16>>,
    pub maddr: Option<super::uri::Host>,
}

/// From, To, Contact, Route, Refer-To ...: `"display" <uri>;params`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameAddr {
    /// Unquoted and unescaped.
    pub display: Option<String>,
    pub uri: Uri,
    /// Header parameters after the `>`; names lower-cased, values unquoted.
    pub params: Vec<(String, Option<String>)>,
}
impl NameAddr {
    pub fn parse(_value: &[u8]) -> Result<Self, HeaderError> {
        todo!()
    }
    pub fn tag(&self) -> Option<&str> {
        todo!()
    }
    pub fn param(&self, _name: &str) -> Option<Option<&str>> {
        todo!()
    }
}
impl std::fmt::Display for NameAddr {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    pub number: u32,
    pub method: super::message::Method<'a>,
}

/// Why a header could not be used; names the header, fit for the reason phrase of a 400.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum HeaderError {
    #[error("missing {0}")]
    Missing(&'static str),
    #[error("stub")]
    Stub,
}

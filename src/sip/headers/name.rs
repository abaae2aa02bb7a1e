//! Header names: any case in, compact forms included, canonical spelling out (RFC 3261 §7.3.1, §7.3.3).
//!
//! Only names that some room asks for are known; all others are [`Name::Other`] and keep
//! their bytes in the message.

/// A header name we know; `Other` is anything else (its bytes are with the header).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "each variant is the header of that name")]
pub enum Name {
    Accept,
    AcceptEncoding,
    Allow,
    AllowEvents,
    Authorization,
    CallId,
    Contact,
    ContentEncoding,
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
    MinExpires,
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
    ServiceRoute,
    SessionExpires,
    Subject,
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
    /// Reads a name in any case, or its compact form.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if let [letter] = bytes {
            return Self::compact(letter.to_ascii_lowercase());
        }
        let candidates: &[Self] = match bytes.len() {
            2 => &[Self::To],
            3 => &[Self::Via],
            4 => &[Self::From, Self::CSeq, Self::Date, Self::RAck, Self::RSeq],
            5 => &[Self::Allow, Self::Route, Self::Event],
            6 => &[Self::Accept, Self::Reason, Self::MinSe],
            7 => &[
                Self::CallId,
                Self::Contact,
                Self::Require,
                Self::Expires,
                Self::Privacy,
                Self::Warning,
                Self::Subject,
            ],
            8 => &[Self::Identity, Self::ReferTo, Self::Replaces],
            9 => &[Self::Supported, Self::Diversion],
            10 => &[Self::UserAgent],
            11 => &[Self::RetryAfter, Self::ReferredBy, Self::Unsupported, Self::MinExpires],
            12 => &[
                Self::ContentType,
                Self::MaxForwards,
                Self::RecordRoute,
                Self::HistoryInfo,
                Self::UserToUser,
                Self::AllowEvents,
            ],
            13 => &[Self::Authorization, Self::ProxyRequire, Self::ServiceRoute],
            14 => &[Self::ContentLength],
            15 => &[Self::AcceptEncoding, Self::SessionExpires, Self::RemotePartyId],
            16 => &[Self::WwwAuthenticate, Self::ContentEncoding],
            18 => &[Self::ProxyAuthenticate, Self::SubscriptionState],
            19 => &[Self::PAssertedIdentity, Self::ProxyAuthorization],
            20 => &[Self::PPreferredIdentity],
            _ => &[],
        };
        let is_it = |name: &&Self| name.as_str().as_bytes().eq_ignore_ascii_case(bytes);
        candidates.iter().find(is_it).copied().unwrap_or(Self::Other)
    }

    /// Canonical spelling: `Call-ID`, `CSeq`, `WWW-Authenticate`. Empty for `Other`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::AcceptEncoding => "Accept-Encoding",
            Self::Allow => "Allow",
            Self::AllowEvents => "Allow-Events",
            Self::Authorization => "Authorization",
            Self::CallId => "Call-ID",
            Self::Contact => "Contact",
            Self::ContentEncoding => "Content-Encoding",
            Self::ContentLength => "Content-Length",
            Self::ContentType => "Content-Type",
            Self::CSeq => "CSeq",
            Self::Date => "Date",
            Self::Diversion => "Diversion",
            Self::Event => "Event",
            Self::Expires => "Expires",
            Self::From => "From",
            Self::HistoryInfo => "History-Info",
            Self::Identity => "Identity",
            Self::MaxForwards => "Max-Forwards",
            Self::MinExpires => "Min-Expires",
            Self::MinSe => "Min-SE",
            Self::PAssertedIdentity => "P-Asserted-Identity",
            Self::PPreferredIdentity => "P-Preferred-Identity",
            Self::Privacy => "Privacy",
            Self::ProxyAuthenticate => "Proxy-Authenticate",
            Self::ProxyAuthorization => "Proxy-Authorization",
            Self::ProxyRequire => "Proxy-Require",
            Self::RAck => "RAck",
            Self::Reason => "Reason",
            Self::RecordRoute => "Record-Route",
            Self::ReferTo => "Refer-To",
            Self::ReferredBy => "Referred-By",
            Self::RemotePartyId => "Remote-Party-ID",
            Self::Replaces => "Replaces",
            Self::Require => "Require",
            Self::RetryAfter => "Retry-After",
            Self::Route => "Route",
            Self::RSeq => "RSeq",
            Self::ServiceRoute => "Service-Route",
            Self::SessionExpires => "Session-Expires",
            Self::Subject => "Subject",
            Self::SubscriptionState => "Subscription-State",
            Self::Supported => "Supported",
            Self::To => "To",
            Self::Unsupported => "Unsupported",
            Self::UserAgent => "User-Agent",
            Self::UserToUser => "User-to-User",
            Self::Via => "Via",
            Self::Warning => "Warning",
            Self::WwwAuthenticate => "WWW-Authenticate",
            Self::Other => "",
        }
    }

    /// The letters that IANA lists for headers we know.
    fn compact(letter: u8) -> Self {
        match letter {
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            b'y' => Self::Identity,
            _ => Self::Other,
        }
    }
}

/// The long form of a compact name that [`Name`] does not know, else the name itself.
pub(crate) fn long_form(name: &[u8]) -> &[u8] {
    match name {
        b"a" | b"A" => b"Accept-Contact",
        b"d" | b"D" => b"Request-Disposition",
        b"j" | b"J" => b"Reject-Contact",
        b"n" | b"N" => b"Identity-Info",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_by_its_spelling_in_any_case() {
        for name in ALL {
            assert_eq!(Name::parse(name.as_str().as_bytes()), *name);
            assert_eq!(Name::parse(name.as_str().to_uppercase().as_bytes()), *name);
        }
    }

    #[test]
    fn compact_forms_are_found_and_unknown_names_are_other() {
        for (text, name) in
            [("v", Name::Via), ("I", Name::CallId), ("l", Name::ContentLength), ("t", Name::To)]
        {
            assert_eq!(Name::parse(text.as_bytes()), name);
        }
        for text in ["", "z", "X-Anything", "Viaa", "Call-Id-2"] {
            assert_eq!(Name::parse(text.as_bytes()), Name::Other);
        }
    }

    const ALL: &[Name] = &[
        Name::Accept,
        Name::AcceptEncoding,
        Name::Allow,
        Name::AllowEvents,
        Name::Authorization,
        Name::CallId,
        Name::Contact,
        Name::ContentEncoding,
        Name::ContentLength,
        Name::ContentType,
        Name::CSeq,
        Name::Date,
        Name::Diversion,
        Name::Event,
        Name::Expires,
        Name::From,
        Name::HistoryInfo,
        Name::Identity,
        Name::MaxForwards,
        Name::MinExpires,
        Name::MinSe,
        Name::PAssertedIdentity,
        Name::PPreferredIdentity,
        Name::Privacy,
        Name::ProxyAuthenticate,
        Name::ProxyAuthorization,
        Name::ProxyRequire,
        Name::RAck,
        Name::Reason,
        Name::RecordRoute,
        Name::ReferTo,
        Name::ReferredBy,
        Name::RemotePartyId,
        Name::Replaces,
        Name::Require,
        Name::RetryAfter,
        Name::Route,
        Name::RSeq,
        Name::ServiceRoute,
        Name::SessionExpires,
        Name::Subject,
        Name::SubscriptionState,
        Name::Supported,
        Name::To,
        Name::Unsupported,
        Name::UserAgent,
        Name::UserToUser,
        Name::Via,
        Name::Warning,
        Name::WwwAuthenticate,
    ];
}

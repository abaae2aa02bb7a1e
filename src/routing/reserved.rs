//! The headers that SIP itself needs: written by us for each leg, whatever a list or rule says.
//!
//! The configuration refuses to name them, and a `*` that covers them does not pass them; what only holds
//! between two neighbours (User-Agent, Warning, Retry-After) is among them.

use crate::sip::headers::Name;

/// Whether `name` is a header that SIP itself needs on each leg, which no rule may pass, set or remove; any
/// case, compact forms included.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    is_sip(Name::parse(name.as_bytes()), name.as_bytes())
}

/// The same for a header that has been looked up.
pub(super) fn is_sip(known: Name, name: &[u8]) -> bool {
    match known {
        Name::Accept
        | Name::AcceptEncoding
        | Name::AllowEvents
        | Name::ContentEncoding
        | Name::Allow
        | Name::Authorization
        | Name::CallId
        | Name::Contact
        | Name::ContentLength
        | Name::ContentType
        | Name::CSeq
        | Name::Event
        | Name::Expires
        | Name::From
        | Name::MaxForwards
        | Name::MinExpires
        | Name::MinSe
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyRequire
        | Name::RAck
        | Name::Reason
        | Name::RecordRoute
        | Name::ReferTo
        | Name::Replaces
        | Name::Require
        | Name::RetryAfter
        | Name::Route
        | Name::RSeq
        | Name::ServiceRoute
        | Name::SessionExpires
        | Name::SubscriptionState
        | Name::Supported
        | Name::To
        | Name::Unsupported
        | Name::UserAgent
        | Name::Via
        | Name::Warning
        | Name::WwwAuthenticate => true,
        Name::Date
        | Name::Diversion
        | Name::HistoryInfo
        | Name::Identity
        | Name::PAssertedIdentity
        | Name::PPreferredIdentity
        | Name::Privacy
        | Name::ReferredBy
        | Name::RemotePartyId
        | Name::Subject
        | Name::UserToUser => false,
        Name::Other => FURTHER_SIP.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes())),
    }
}

/// SIP's own headers that have no [`Name`].
const FURTHER_SIP: &[&str] = &[
    "Accept-Contact",
    "Accept-Language",
    "Allow-Events",
    "Authentication-Info",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Flow-Timer",
    "Info-Package",
    "Join",
    "Max-Breadth",
    "MIME-Version",
    "P-Early-Media",
    "Path",
    "Recv-Info",
    "Refer-Sub",
    "Reject-Contact",
    "Request-Disposition",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "SIP-ETag",
    "SIP-If-Match",
    "Target-Dialog",
    "Timestamp",
];

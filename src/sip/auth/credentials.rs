//! User names and passwords, and the credentials a request presents (RFC 7616 §3.4).
//!
//! A request may carry several sets, one per realm it has met on its way; only the one for
//! our realm is ours to check.

use std::fmt;

use super::params::Params;
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// User name and password agreed with a peer. Debug never prints the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// As the peer writes it, compared exactly.
    pub username: String,
    /// In clear: a digest cannot be checked against a hash of it.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

/// Every set of digest credentials a request presents; malformed ones are left out.
pub(super) fn presented(request: &Message) -> impl Iterator<Item = Params> {
    request
        .headers()
        .filter(|header| matches!(header.name, Name::Authorization | Name::ProxyAuthorization))
        .filter_map(|header| Params::parse_all(str::from_utf8(&header.value).ok()?))
        .flatten()
        .filter(Params::is_digest)
}

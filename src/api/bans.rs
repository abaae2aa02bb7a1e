//! `GET /v1/bans`: every source that is not listened to at the moment, as the signalling thread sees it.
//!
//! Nothing here lifts a ban: a reload does, for all of them.

use serde::Serialize;

/// One ban.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BanView {
    /// An address, or an IPv6 network such as `2001:db8::/64`.
    pub source: String,
    /// What it did last.
    pub reason: &'static str,
    /// RFC 3339: when it ends.
    pub until: String,
}

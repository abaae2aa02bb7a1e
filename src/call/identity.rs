//! How the caller is named toward the callee: the From header (RFC 3261 §20.20, RFC 3323 §4.1.1.3).
//!
//! Its host is our own address: the other leg's must not show, and peers match trunks by it.

use crate::routing::Plan;
use crate::sip::headers::NameAddr;
use crate::sip::uri::{Host, Uri};

/// The value of From for `plan`, at our own `host`, with `tag`.
pub(super) fn from_header(plan: &Plan, host: &str, tag: &str) -> String {
    if plan.withheld {
        return format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={tag}");
    }
    let host = host.trim_matches(['[', ']']);
    let host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Ip);
    let from = NameAddr {
        display: plan.display.clone(),
        uri: Uri::sip(Some(&plan.from), host, None),
        params: vec![("tag".into(), Some(tag.into()))],
    };
    from.to_string()
}

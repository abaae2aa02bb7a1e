//! Headers made of URIs (Diversion, RFC 5806; History-Info, RFC 7044; Referred-By, RFC 3892): the host
//! becomes ours.
//!
//! Values are read and written anew, so that nothing malformed passes; names, order and parameters (`reason`,
//! `counter`, `index`) stay. A value that cannot be read is left out, because it would carry the other side's
//! address.

use crate::sip::headers::{Name, NameAddr, lex};
use crate::sip::uri::{Host, Scheme};

/// Whether the header's values are `name-addr`s whose host must not cross.
pub(super) fn is_made_of_uris(name: Name) -> bool {
    matches!(name, Name::Diversion | Name::HistoryInfo | Name::ReferredBy)
}

/// The elements of `value` in order, each with `host` in its URI; a tel URI has none and stays.
pub(super) fn rehost<'a>(value: &'a [u8], host: &'a Host) -> impl Iterator<Item = NameAddr> + 'a {
    lex::split(value, b',').filter_map(|element| NameAddr::parse(element).ok()).map(|mut address| {
        if address.uri.scheme != Scheme::Tel {
            address.uri.host = host.clone();
            address.uri.port = None;
            address.uri.params.retain(|(name, _)| name != "maddr");
        }
        address
    })
}

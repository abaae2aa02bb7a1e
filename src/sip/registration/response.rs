//! What a registrar's answer says: for how long, under which condition, and which way requests shall take.
//!
//! A registrar lists every binding of the account, those of other devices too, and may have rewritten the
//! host of ours: it is found by its user part.

use std::borrow::Cow;

use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// One router of a Service-Route (RFC 3608 §5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// As it came, for the Route header: proxies keep cookies in it.
    pub value: Box<[u8]>,
    /// Where it leads.
    pub uri: Uri,
}

/// Seconds that the binding of `contact_user` was granted: in its Contact, else in Expires, else what was
/// `asked` for (RFC 3261 §10.2.4). Where ours was rewritten beyond recognition, the shortest of those listed
/// counts.
pub(super) fn granted(response: &Message, contact_user: &str, asked: u32) -> u32 {
    let listed: Vec<_> =
        response.elements(Name::Contact).filter_map(|value| NameAddr::parse(&value).ok()).collect();
    let expires = |contact: &NameAddr| contact.param("expires").flatten()?.parse().ok();
    let of_contact = match listed.iter().find(|contact| contact.uri.user.as_deref() == Some(contact_user)) {
        Some(ours) => expires(ours),
        None => listed.iter().filter_map(expires).min(),
    };
    of_contact.or_else(|| response.expires().ok().flatten()).unwrap_or(asked)
}

/// What a 423 demands (RFC 3261 §10.2.8).
pub(super) fn min_expires(response: &Message) -> Option<u32> {
    str::from_utf8(&response.value(Name::MinExpires)?).ok()?.trim().parse().ok()
}

/// The routers of a 2xx; none at all when one of them cannot be read, since a way with a gap leads nowhere.
pub(super) fn service_routes(response: &Message) -> Vec<Route> {
    let read = |value: Cow<'_, [u8]>| {
        let uri = NameAddr::parse(&value).ok()?.uri;
        uri.is_loose_router().then(|| Route { value: value.as_ref().into(), uri })
    };
    let routes: Option<Vec<_>> =
        response.elements(Name::ServiceRoute).take(MAX_ROUTES + 1).map(read).collect();
    routes.filter(|routes| routes.len() <= MAX_ROUTES).unwrap_or_default()
}

/// More routers than this are not believed.
const MAX_ROUTES: usize = 8;

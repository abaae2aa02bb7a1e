//! The numbers a request bears: which one it dials, and which one calls.
//!
//! SIP and tel URIs write a number in several ways: `sip:+1415…@host;user=phone`,
//! `sip:5550100;phone-context=+1415@host`, `tel:+1-415-…`. Only parameters of something that is a number are
//! taken off; any other user part is a name and stays as it is.

use std::borrow::Cow;

use super::config::CalledNumber;
use super::normalise::strip_separators;
use super::plan::Refusal;
use crate::sip::headers::NameAddr;
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// The user part that `invite` dials, from the place the peer writes it to.
///
/// A `P-Called-Party-ID` that is absent leaves the Request-URI (RFC 7315 §4.2).
///
/// # Errors
///
/// [`Refusal::Unreadable`] when the URI cannot be read.
pub(super) fn dialled(invite: &Message, place: CalledNumber) -> Result<Uri, Refusal> {
    match place {
        CalledNumber::RequestUri => request_uri(invite),
        CalledNumber::To => Ok(invite.to().map_err(|_| Refusal::Unreadable { header: "To" })?.uri),
        CalledNumber::PCalledPartyId => match invite.value_named(P_CALLED_PARTY_ID) {
            Some(value) => NameAddr::parse(&value)
                .map(|called| called.uri)
                .map_err(|_| Refusal::Unreadable { header: P_CALLED_PARTY_ID }),
            None => request_uri(invite),
        },
    }
}

/// Who calls, as From says.
///
/// # Errors
///
/// [`Refusal::Unreadable`] when From cannot be read.
pub(super) fn calling(invite: &Message) -> Result<NameAddr, Refusal> {
    invite.from().map_err(|_| Refusal::Unreadable { header: "From" })
}

/// The number in `uri`: its user part without the parameters behind it; a local number behind its global
/// `phone-context` (RFC 3966 §5.1.5).
#[must_use]
pub fn number_in(uri: &Uri) -> Option<Cow<'_, str>> {
    let user = uri.user.as_deref().filter(|user| !user.is_empty())?;
    let (number, parameters) = user.split_once(';').unwrap_or((user, ""));
    if strip_separators(number).is_none() {
        return Some(Cow::Borrowed(if is_dialable(number) { number } else { user }));
    }
    let of_user = parameters.split(';').find_map(|parameter| parameter.strip_prefix("phone-context="));
    let context = of_user.or_else(|| uri.param("phone-context").flatten());
    match context {
        Some(context) if context.starts_with('+') && !number.starts_with('+') => {
            Some(Cow::Owned(format!("{context}{number}")))
        }
        _ => Some(Cow::Borrowed(number)),
    }
}

fn request_uri(invite: &Message) -> Result<Uri, Refusal> {
    Uri::parse(invite.request_uri()).map_err(|_| Refusal::Unreadable { header: "Request-URI" })
}

/// Digits with `*` or `#`: a feature code.
fn is_dialable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#' | b'+'))
}

const P_CALLED_PARTY_ID: &str = "P-Called-Party-ID";

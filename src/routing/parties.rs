//! The numbers a request bears: which one it dials, and which one calls.
//!
//! SIP and tel URIs write a number in several ways: `sip:+1415…@host;user=phone`,
//! `sip:5550100;phone-context=+1415@host`, `tel:+1-415-…`. Only parameters of something that is a number are
//! taken off; any other user part is a name and stays as it is.

use std::borrow::Cow;

use super::Peer;
use super::config::CalledNumber;
use super::normalise::strip_separators;
use super::plan::Refusal;
use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;
use crate::sip::registration::Account;
use crate::sip::uri::{Scheme, Uri};

/// What an INVITE dials.
pub(super) struct Called {
    pub(super) uri: Uri,
    /// Where it stood, in words.
    pub(super) place: &'static str,
}

/// The URI that `invite` dials, from the place the peer writes it to.
///
/// A `P-Called-Party-ID` that is absent leaves the Request-URI (RFC 7315 §4.2). A registrar puts our Contact
/// there; the number is then in `P-Called-Party-ID`, else in To, else it is the account itself that was
/// called.
///
/// # Errors
///
/// [`Refusal::Unreadable`] when the URI cannot be read.
pub(super) fn dialled(
    invite: &Message,
    place: CalledNumber,
    registered: Option<&Account>,
) -> Result<Called, Refusal> {
    let uri = written(invite, place)?;
    let Some(account) = registered.filter(|account| is_contact_of(account, &uri)) else {
        return Ok(Called { uri, place: describe(place) });
    };
    let bears_number = |uri: &Uri| !is_contact_of(account, uri) && number_in(uri).is_some();
    let behind = [
        (CalledNumber::PCalledPartyId, "P-Called-Party-ID, behind the Contact that is registered"),
        (CalledNumber::To, "To, behind the Contact that is registered"),
    ];
    let mut behind =
        behind.into_iter().filter_map(|(place, said)| Some((written(invite, place).ok()?, said)));
    let found = behind.find(|(uri, _)| bears_number(uri));
    let (uri, place) =
        found.unwrap_or_else(|| (account.address.clone(), "the account, by its Contact alone"));
    Ok(Called { uri, place })
}

fn describe(place: CalledNumber) -> &'static str {
    match place {
        CalledNumber::RequestUri => "user part of the Request-URI",
        CalledNumber::To => "called_number = \"to\"",
        CalledNumber::PCalledPartyId => "called_number = \"P-Called-Party-ID\"",
    }
}

impl Peer {
    /// The number that `invite` from it dials, as it came; empty when it has none.
    #[must_use]
    pub fn number_dialled(&self, invite: &Message) -> String {
        let called = dialled(invite, self.called_number, self.registration.as_ref()).ok();
        called.and_then(|called| number_in(&called.uri).map(Cow::into_owned)).unwrap_or_default()
    }
}

fn is_contact_of(account: &Account, uri: &Uri) -> bool {
    uri.user.as_deref() == Some(&account.contact_user)
}

fn written(invite: &Message, place: CalledNumber) -> Result<Uri, Refusal> {
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

/// Who calls, as From says; without control characters, which no number or name has.
///
/// # Errors
///
/// [`Refusal::Unreadable`] when From cannot be read.
pub(super) fn calling(invite: &Message) -> Result<NameAddr, Refusal> {
    let mut from = invite.from().map_err(|_| Refusal::Unreadable { header: "From" })?;
    if let Some(user) = &mut from.uri.user {
        user.retain(|character| !character.is_control());
    }
    Ok(from)
}

/// Who calls, as the network that `invite` comes from has checked it (RFC 3325 §9.1): of two values the one
/// that is a telephone number by its scheme. `None` when no value bears a number, or when the caller asked
/// that it be shown to nobody (RFC 3325 §9.3); it is then for the peer that sent it and for us.
pub(super) fn asserted(invite: &Message) -> Option<NameAddr> {
    if asks_privacy(invite, &[b"id", b"header", b"user"]) {
        return None;
    }
    let values = invite.elements(Name::PAssertedIdentity);
    let bears_number =
        |who: &NameAddr| number_in(&who.uri).is_some_and(|number| strip_separators(&number).is_some());
    let known: Vec<_> =
        values.filter_map(|value| NameAddr::parse(&value).ok()).filter(bears_number).take(2).collect();
    let tel = known.iter().position(|who| who.uri.scheme == Scheme::Tel);
    known.into_iter().nth(tel.unwrap_or(0))
}

/// Whether Privacy has one of `tokens` in it (RFC 3323 §4.2).
pub(super) fn asks_privacy(invite: &Message, tokens: &[&[u8]]) -> bool {
    invite.elements(Name::Privacy).any(|element| {
        let mut asked = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        asked.any(|asked| tokens.iter().any(|token| asked.eq_ignore_ascii_case(token)))
    })
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
    let context = of_user.or_else(|| uri.param("phone-context").flatten()).unwrap_or("");
    let global =
        context.strip_prefix('+').or_else(|| context.strip_prefix("%2B").or(context.strip_prefix("%2b")));
    match global {
        Some(context) if !number.starts_with('+') => Some(Cow::Owned(format!("+{context}{number}"))),
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

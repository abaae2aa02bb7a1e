//! Whether an INVITE of a recognised peer becomes a call: everything that can be refused before a callee is tried.
//!
//! The order matters to whoever reads the refusal: first what is wrong with the message (RFC 3261 §8.2), then with
//! the session description, then with the number.

use crate::id::PeerId;
use crate::routing::limits::Full;
use crate::routing::{Plan, Refusal, Rotation, Routes};
use crate::sdp::negotiate::{self, NegotiationError};
use crate::sdp::session::{SdpError, Session};
use crate::sip::headers::{HeaderError, Name};
use crate::sip::message::Message;

/// Why an INVITE does not become a call; each variant is one response.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Max-Forwards is used up.
    #[error("Too many hops")]
    TooManyHops,
    /// It needs extensions that we do not have: all of them, as they go into Unsupported.
    #[error("Extension {0} is not supported")]
    Extension(String),
    /// Its body is not a session description.
    #[error("The body must be application/sdp, not {0}")]
    ContentType(String),
    /// Its body is encoded.
    #[error("Content-Encoding is not supported")]
    ContentEncoding,
    /// It offers no session.
    #[error("An INVITE must carry a session description")]
    NoOffer,
    /// The session description cannot be read.
    #[error("{0}")]
    Unreadable(#[from] SdpError),
    /// The session description cannot be used.
    #[error("{0}")]
    Unusable(#[from] NegotiationError),
    /// A header that its dialog needs cannot be used.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// There is no room for it.
    #[error("{0}")]
    Full(#[from] Full),
    /// Routing refuses it.
    #[error("{0}")]
    Route(#[from] Refusal),
}

/// A header that explains a refusal: its name and value.
pub type Hint = (Name, String);

impl Refused {
    /// The status code of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooManyHops => 483,
            Self::Extension(_) => 420,
            Self::ContentType(_) | Self::ContentEncoding => 415,
            Self::NoOffer | Self::Unreadable(_) | Self::Unusable(_) => 488,
            Self::Full(_) => 503,
            Self::Header(error) => error.status(),
            Self::Route(refusal) => refusal.status(),
        }
    }

    /// The header that the response carries beside its code, with `host` as the agent of a Warning.
    #[must_use]
    pub fn hint(&self, host: &str) -> Option<Hint> {
        let warning = |code: u16| Some((Name::Warning, format!("{code} {host} \"{self}\"")));
        match self {
            Self::Extension(tag) => Some((Name::Unsupported, tag.clone())),
            Self::ContentType(_) => Some((Name::Accept, "application/sdp".into())),
            Self::ContentEncoding => Some((Name::AcceptEncoding, "identity".into())),
            Self::NoOffer | Self::Unreadable(_) => warning(399),
            Self::Unusable(error) => warning(error.warn_code()),
            Self::Full(full) => Some((Name::RetryAfter, full.retry_after_s().to_string())),
            Self::TooManyHops | Self::Header(_) | Self::Route(_) => None,
        }
    }

    /// The reason phrase: ours where the code alone would puzzle, else the standard one (empty).
    #[must_use]
    pub fn reason_phrase(&self) -> String {
        match self {
            Self::Route(refusal) => refusal.to_string(),
            Self::Header(error) => error.to_string(),
            _ => String::new(),
        }
    }
}

/// Checks `invite` from `peer` and decides its course.
///
/// # Errors
///
/// The first reason to refuse it.
pub fn admit(
    invite: &Message,
    peer: PeerId,
    routes: &Routes,
    rotation: &mut Rotation,
) -> Result<(Plan, Session), Refused> {
    if matches!(invite.max_forwards(), Ok(Some(0))) {
        return Err(Refused::TooManyHops);
    }
    supports_required(invite)?;
    let offer = offer_of(invite)?;
    negotiate::offered(&offer)?;
    let plan = routes.plan(peer, invite, rotation, None)?;
    Ok((plan, offer))
}

/// Whether we have what `request` requires: of the extensions that it may name we have none.
///
/// # Errors
///
/// Names every one of them (RFC 3261 §8.2.2.3).
pub fn supports_required(request: &Message) -> Result<(), Refused> {
    let required: Vec<_> =
        request.elements(Name::Require).map(|tag| String::from_utf8_lossy(&tag).into_owned()).collect();
    if required.is_empty() { Ok(()) } else { Err(Refused::Extension(required.join(", "))) }
}

/// The session description of `message`.
///
/// # Errors
///
/// When it has none, or one that cannot be read.
pub fn offer_of(message: &Message) -> Result<Session, Refused> {
    let body = message.body();
    if body.is_empty() {
        return Err(Refused::NoOffer);
    }
    match message.content_type() {
        Some(kind) if kind == "application/sdp" => {}
        Some(other) => return Err(Refused::ContentType(other)),
        None => return Err(Refused::ContentType("absent".into())),
    }
    if message.value_named("Content-Encoding").is_some_and(|v| !v.eq_ignore_ascii_case(b"identity")) {
        return Err(Refused::ContentEncoding);
    }
    Ok(Session::parse(&body)?)
}

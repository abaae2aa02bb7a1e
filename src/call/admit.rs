//! Whether an INVITE of a recognised peer becomes a call: everything that can be refused
//! before a callee is tried.
//!
//! The order matters to whoever reads the refusal: first what is wrong with the message (RFC 3261 §8.2), then
//! with the session description, then with the number.

use crate::id::PeerId;
use crate::routing::config::{Profile, Treatment};
use crate::routing::hourly::Spent;
use crate::routing::limits::Full;
use crate::routing::{Plan, Refusal, Rotation, Routes};
use crate::sdp::crypto::Policy;
use crate::sdp::negotiate::{self, NegotiationError};
use crate::sdp::session::{SdpError, Session};
use crate::sip::flow::Transport;
use crate::sip::headers::{HeaderError, Name};
use crate::sip::message::Message;
use crate::sip::multipart::{BodyError, session_of};
use crate::sip::session_timer::granted;

use super::interwork::{extensions, session_timer};

/// Why an INVITE does not become a call; each variant is one response.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Max-Forwards is used up.
    #[error("Too many hops")]
    TooManyHops,
    /// It needs extensions that we do not have: all of them, as they go into Unsupported.
    #[error("Extension {0} is not supported")]
    Extension(String),
    /// It asks for a session interval below the one given here.
    #[error("The session interval must be {0} s at least")]
    Interval(u32),
    /// Its body cannot be used.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// It offers no session.
    #[error("An INVITE must carry a session description")]
    NoOffer,
    /// The session description cannot be read.
    #[error("{0}")]
    Unreadable(#[from] SdpError),
    /// The session description cannot be used.
    #[error("{0}")]
    Unusable(#[from] NegotiationError),
    /// Its media has to be encrypted, by keys that would have come over this transport.
    #[error("SRTP is required, and its keys must not be sent without TLS")]
    Cleartext,
    /// A header that its dialog needs cannot be used.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// There is no room for it.
    #[error("{0}")]
    Full(#[from] Full),
    /// Whoever calls has had its hour's worth.
    #[error("{0}")]
    Spent(#[from] Spent),
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
            Self::Interval(_) => 422,
            Self::Body(_) => 415,
            Self::NoOffer | Self::Unreadable(_) | Self::Unusable(_) | Self::Cleartext => 488,
            Self::Full(_) => 503,
            Self::Spent(_) => 403,
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
            Self::Interval(least) => Some((Name::MinSe, least.to_string())),
            Self::Body(BodyError::Encoding) => Some((Name::AcceptEncoding, "identity".into())),
            Self::Body(_) => Some((Name::Accept, ACCEPT.into())),
            Self::Full(full) => Some((Name::RetryAfter, full.retry_after_s().to_string())),
            Self::NoOffer | Self::Unreadable(_) | Self::Cleartext => warning(399),
            Self::Unusable(error) => warning(error.warn_code()),
            Self::Route(refusal) => {
                refusal.retry_after_s().map(|seconds| (Name::RetryAfter, seconds.to_string()))
            }
            Self::TooManyHops | Self::Header(_) | Self::Spent(_) => None,
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

/// Checks `invite`, which came from `peer` over `transport`, and decides its course.
///
/// # Errors
///
/// The first reason to refuse it.
pub fn admit(
    invite: &Message,
    peer: PeerId,
    transport: Transport,
    routes: &Routes,
    rotation: &mut Rotation,
) -> Result<(Plan, Option<Session>), Refused> {
    if matches!(invite.max_forwards(), Ok(Some(0))) {
        return Err(Refused::TooManyHops);
    }
    let profile = routes.peer(peer).profile;
    supports_required(invite, profile)?;
    if let Some(policy) = session_timer::policy(profile) {
        granted(invite, policy, None).map_err(|_| Refused::Interval(policy.min_se_s))?;
    }
    let policy = routes.peer(peer).media.srtp_over(transport).ok_or(Refused::Cleartext)?;
    let offer = session_in(invite, policy)?;
    match &offer {
        Some(offer) => drop(negotiate::offered(offer)?),
        None if profile.late_offer == Treatment::Strip => return Err(Refused::NoOffer),
        None => {}
    }
    let plan = routes.plan(peer, invite, rotation, None)?;
    Ok((plan, offer))
}

/// Whether we have the extensions that `request` requires, toward a peer with this profile.
///
/// # Errors
///
/// Names every one that we lack (RFC 3261 §8.2.2.3).
pub fn supports_required(request: &Message, profile: Profile) -> Result<(), Refused> {
    let is_known = |tag: &[u8]| extensions(profile).any(|known| tag.eq_ignore_ascii_case(known.as_bytes()));
    let lacking: Vec<_> = request
        .elements(Name::Require)
        .filter(|tag| !is_known(tag))
        .map(|tag| String::from_utf8_lossy(&tag).into_owned())
        .collect();
    if lacking.is_empty() { Ok(()) } else { Err(Refused::Extension(lacking.join(", "))) }
}

/// The session description of `message` from a peer whose media is encrypted as `policy` has it; `None` when
/// it has no body, or one without a session description.
///
/// # Errors
///
/// When it has a body that cannot be used or read.
pub fn session_in(message: &Message, policy: Policy) -> Result<Option<Session>, Refused> {
    let body = session_of(message)?;
    Ok(body.map(|body| Session::parse_under(&body, policy)).transpose()?)
}

/// The bodies that we read.
const ACCEPT: &str = "application/sdp, multipart/mixed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_415_names_what_would_have_been_taken() {
        let told =
            |refused: Refused| refused.hint("bridge.example").map(|(name, value)| (name.as_str(), value));

        let bodies = [BodyError::Type("text/plain".into()), BodyError::Encoding];
        let [kind, encoding] = bodies.map(|body| told(Refused::Body(body)));

        assert_eq!(kind, Some(("Accept", ACCEPT.to_owned())));
        assert_eq!(encoding, Some(("Accept-Encoding", "identity".into())));
    }
}

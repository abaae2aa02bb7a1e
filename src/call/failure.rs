//! Which code the caller gets when the callee was not reached.
//!
//! Retell's codes mean something else than they say: its 486 is "no agent came", not "busy", so toward a
//! trunk it must not be 486. A carrier's code is passed as it is, because Retell derives its disconnection
//! reason from it, unless a hint of the carrier names a truer one (see [`hints`]).

use std::fmt;

use crate::routing::limits::Full;
use crate::routing::{Kind, Peer};
use crate::rtp::leg::{ReserveError, Side};
use crate::sip::message::Message;

use super::hints::{self, Hint};
use super::record::{Direction, EndedBy};

/// Why the callee was not reached, and what the caller is told.
#[derive(Debug)]
pub(super) struct Failure {
    /// The caller's final status.
    pub(super) code: u16,
    /// Its reason phrase; empty for the standard one.
    pub(super) phrase: String,
    /// The sentence of the record.
    pub(super) reason: String,
    pub(super) ended_by: EndedBy,
    /// The response whose headers pass to the caller.
    pub(super) response: Option<Message>,
    /// Whether what the response gives as its Reason holds for `code` too.
    pub(super) is_as_said: bool,
    /// Whether the next target is tried, if no 18x came.
    pub(super) moves_on: bool,
    /// What the callee said beside its code, in plain words.
    pub(super) hints: Vec<String>,
    /// Seconds of Retry-After.
    pub(super) retry_after: Option<u32>,
    /// Code and text of a Warning (RFC 3261 §20.43).
    pub(super) warning: Option<(u16, &'static str)>,
}

impl Failure {
    /// What the callee's final `response` means to the caller of a call in `direction`.
    pub(super) fn from_response(response: Message, callee: &Peer) -> Self {
        let received = response.status().unwrap_or(500);
        let phrase = String::from_utf8_lossy(response.reason()).into_owned();
        let hints = hints::read(&response);
        let (is_trunk, name) = (callee.kind == Kind::Trunk, &callee.name);
        let code = if is_trunk { code_from_trunk(received, &hints) } else { code_from_retell(received) };
        let kept = code == received;
        let reason = match code {
            502 if received < 400 => {
                format!("{name} redirected the call ({received}), which is not followed")
            }
            480 if !is_trunk => format!("{name} has no agent for this call ({received} {phrase})"),
            403 if matches!(received, 401 | 407) => format!("{name} refused our credentials ({received})"),
            _ => format!("{name} refused the call: {received} {phrase}{}", Said(&hints)),
        };
        let is_as_said = kept || is_trunk;
        let phrase = if kept && is_trunk { phrase } else { String::new() };
        let meant = if is_trunk { hints::truest(received, &hints) } else { received };
        let moves_on = tries_next_target(received) && tries_next_target(meant);
        let retry_after = (code == 503).then(|| response.retry_after()).flatten();
        let hints = hints.into_iter().map(|hint| hint.words).collect();
        Self {
            code,
            phrase,
            reason,
            ended_by: EndedBy::Callee,
            response: Some(response),
            is_as_said,
            moves_on,
            hints,
            retry_after,
            warning: None,
        }
    }

    /// No target could be reached at all.
    pub(super) fn unreachable() -> Self {
        Self::ours(503, "no target of the callee could be reached")
    }

    /// A target gave no response or could not be connected to.
    pub(super) fn silent(callee: &str, remote: std::net::SocketAddr) -> Self {
        Self::ours(503, &format!("{callee} at {remote} gave no response"))
    }

    /// A request could not be sent.
    pub(super) fn transport(callee: &str, remote: std::net::SocketAddr) -> Self {
        Self::ours(503, &format!("{callee} at {remote} could not be reached"))
    }

    /// It rang, or not even that, for the answer time-out.
    pub(super) fn not_answered(callee: &str) -> Self {
        Self::ours(480, &format!("{callee} did not answer in time"))
    }

    /// The callee answered with a session description that cannot be used.
    pub(super) fn bad_answer(callee: &str, error: &str, direction: Direction) -> Self {
        let code = if direction == Direction::ToRetell { 503 } else { 502 };
        Self::ours(code, &format!("{callee} answered with an unusable session description: {error}"))
    }

    /// No media: our ports may be free again soon, but the caller's session description says where it must
    /// be reached.
    pub(super) fn no_media(error: &ReserveError) -> Self {
        let reason = error.to_string();
        match error {
            ReserveError::NoFamily { side: Side::Caller } => {
                Self { warning: Some(ADDRESS_FORMAT), ..Self::ours(488, &reason) }
            }
            ReserveError::NoFamily { side: Side::Callee } => Self::ours(503, &reason),
            ReserveError::NoPorts { .. } | ReserveError::NoRoute { .. } => {
                Self { retry_after: Some(RETRY_AFTER_PORTS_S), ..Self::ours(503, &reason) }
            }
        }
    }

    /// The callee takes no more calls for now.
    pub(super) fn full(full: &Full) -> Self {
        Self { retry_after: Some(full.retry_after_s()), ..Self::ours(503, &full.to_string()) }
    }

    /// Ended by us, with `code` for the caller.
    pub(super) fn ours(code: u16, reason: &str) -> Self {
        Self {
            code,
            phrase: String::new(),
            reason: reason.to_owned(),
            ended_by: EndedBy::Trunkline,
            response: None,
            is_as_said: false,
            moves_on: true,
            hints: Vec::new(),
            retry_after: None,
            warning: None,
        }
    }

    /// Ended by whoever runs us, with `code` for the caller; 503 asks it to come back
    /// when we are there again.
    pub(super) fn ordered(code: u16, reason: &str) -> Self {
        Self { retry_after: (code == 503).then_some(RETRY_AFTER_RESTART_S), ..Self::ours(code, reason) }
    }
}

/// None of our addresses is of the kind that the session description asks for.
const ADDRESS_FORMAT: (u16, &str) = (301, "Incompatible network address formats");

/// Seconds in which media ports are commonly free again.
const RETRY_AFTER_PORTS_S: u32 = 5;

/// Seconds in which a process that was told to stop is commonly there again.
const RETRY_AFTER_RESTART_S: u32 = 30;

/// Whether `code`, before any 18x, sends the call to the next target. A 503 whose hints mean "busy" must not
/// either: it would ring the same callee through a second gateway.
fn tries_next_target(code: u16) -> bool {
    matches!(code, 408 | 500 | 502 | 503 | 504)
}

fn code_from_retell(received: u16) -> u16 {
    match received {
        300..=399 => 502,
        400 | 404 | 408 | 480 | 486 => 480,
        500..=502 | 504..=599 => 500,
        _ => 503,
    }
}

fn code_from_trunk(received: u16, hints: &[Hint]) -> u16 {
    match received {
        300..=399 => 502,
        401 | 407 => 403,
        other => hints::truest(other, hints),
    }
}

/// Hints as the end of a sentence.
struct Said<'a>(&'a [Hint]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hint) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { " (" } else { "; " })?;
            f.write_str(&hint.words)?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retells_codes_are_told_to_a_trunk_as_what_they_mean() {
        let told: Vec<_> = [400, 404, 408, 480, 486, 503, 500, 504, 401, 407, 403, 488, 603, 302]
            .map(code_from_retell)
            .to_vec();

        assert_eq!(told, [480, 480, 480, 480, 480, 503, 500, 500, 503, 503, 503, 503, 503, 502]);
    }

    #[test]
    fn a_carriers_code_is_kept_but_for_redirection_and_credentials() {
        let told: Vec<_> =
            [302, 401, 407, 403, 404, 486, 503, 603].map(|code| code_from_trunk(code, &[])).to_vec();

        assert_eq!(told, [502, 403, 403, 403, 404, 486, 503, 603]);
    }

    #[test]
    fn only_a_broken_or_busy_server_sends_the_call_to_the_next_target() {
        let next: Vec<u16> = (300..700).filter(|&code| tries_next_target(code)).collect();

        assert_eq!(next, [408, 500, 502, 503, 504]);
    }
}

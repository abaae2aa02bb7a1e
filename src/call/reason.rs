//! Which Reason (RFC 3326) each peer is given: what the other leg said, else what we know.
//!
//! What stands behind Retell takes `Q.850;cause=16` and `SIP;cause=200` for a call that ended well and any
//! other cause for one that failed, so toward it every normal end is 16. A code that was translated for the
//! caller has its own cause: the callee's would contradict it.

use crate::routing::Kind;
use crate::sip::cause::Cause;
use crate::sip::message::Message;
use crate::sip::reason::Reason;

use super::failure::Failure;
use super::goodbye::Passed;

/// For the BYE to a peer of `kind` when the other leg sent `bye`.
pub(super) fn of_bye(bye: &Message, kind: Kind) -> Passed {
    let said = Reason::read(bye);
    let is_normal = said.iter().all(Reason::is_normal);
    match kind {
        _ if said.is_empty() => lines(&[Reason::normal()]),
        Kind::Retell if is_normal => lines(&[Reason::normal()]),
        Kind::Retell | Kind::Trunk => lines(&said),
    }
}

/// For the refusal that tells a caller of `kind` of `failure`. Retell makes nothing of it, so
/// toward it none is made up.
pub(super) fn of_failure(failure: &Failure, kind: Kind) -> Passed {
    let said = failure.response.as_ref().filter(|_| failure.is_as_said).map(Reason::read).unwrap_or_default();
    let made = Cause::of_status(failure.code).filter(|_| said.is_empty() && kind == Kind::Trunk);
    lines(&said.into_iter().chain(made.map(|cause| Reason::q850(cause.value))).collect::<Vec<_>>())
}

/// For the CANCEL of an attempt when the caller sent `cancel`.
pub(super) fn of_cancel(cancel: &Message) -> Reason {
    let said = Reason::read(cancel).into_iter().next();
    said.unwrap_or_else(|| Reason::sip(487, "ORIGINATOR_CANCEL"))
}

/// What a BYE says of an end that is not normal, for the record.
pub(super) fn words_of(bye: &Message) -> Option<String> {
    Reason::read(bye).iter().find(|reason| !reason.is_normal()).map(Reason::words)
}

/// Header lines.
pub(super) fn lines(reasons: &[Reason]) -> Passed {
    reasons.iter().map(|reason| (b"Reason".to_vec(), reason.to_string().into_bytes())).collect()
}

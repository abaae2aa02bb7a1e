//! 100rel and PRACK (RFC 3262), in both roles, each leg for itself.
//!
//! As UAS toward a caller, an 18x is sent reliably where its INVITE requires it, and where the INVITE
//! supports it and the 18x carries a session description, which nobody should lose; one at a time, in the
//! order of their RSeq. While one with a session description waits for its PRACK, the 200 waits too (§3). As
//! UAC toward a callee we offer 100rel and acknowledge what comes in order. Profile `prack`: `terminate` as
//! told here; `force`, every 18x to a caller that can is reliable, and a callee must have it; `strip`, not
//! offered, and refused with 420 to who requires it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::Headers;
use crate::call::admit::{Refused, session_in};
use crate::call::caller::{Progress, SDP};
use crate::call::contract::{Action, Cx};
use crate::call::failure::Failure;
use crate::call::goodbye::Passed;
use crate::call::in_dialog::respond;
use crate::call::{Call, State as CallState};
use crate::id::{LegId, ServerTx};
use crate::routing::config::{Profile, Treatment};
use crate::sdp::codec::Codec;
use crate::sip::build::ResponseBuilder;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::Message;
use crate::sip::prack::{OPTION_TAG, RAck, ReliableEvent, ReliableRepeat, first_rseq, rseq_of};

/// What the caller's leg remembers; that of a callee stands with each of its early dialogs.
#[derive(Debug, Default)]
pub(in crate::call) struct State {
    /// The RSeq of the next reliable response; 0 before the first.
    next: u32,
    flying: Option<Box<Flying>>,
    /// The RSeq of one whose PRACK our final response did not wait for: it may still come (§3).
    overtaken: Option<u32>,
    waiting: VecDeque<Ringing>,
    /// Headers of the 200 that waits for a PRACK.
    answer: Option<Passed>,
    /// The caller acknowledged a session description of ours: no 18x has one any more, which may have become
    /// an older one than the last (RFC 6337 §3.1.1).
    described: bool,
    /// A PRACK brought the answer to our offer: nothing is left to be described.
    completed: bool,
}

/// A provisional response to the caller.
#[derive(Debug)]
struct Ringing {
    code: u16,
    headers: Passed,
    body: Option<Bytes>,
}

/// One that waits for its PRACK.
#[derive(Debug)]
struct Flying {
    rseq: u32,
    code: u16,
    bytes: Bytes,
    describes: bool,
    repeat: ReliableRepeat,
}

/// Which 18x a caller gets reliably.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reliable {
    None,
    /// Those with a session description.
    Describing,
    All,
}

impl State {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.flying.as_ref().map(|flying| flying.repeat.next_deadline())
    }

    /// A final response was sent: nothing provisional matters any more.
    pub(in crate::call) fn stop(&mut self) {
        if let Some(flying) = self.flying.take() {
            self.overtaken = Some(flying.rseq);
        }
        self.waiting.clear();
        self.answer = None;
    }

    /// Whether the 200 has to wait.
    fn holds_answer(&self) -> bool {
        let describes = |ringing: &Ringing| ringing.body.is_some();
        self.flying.as_ref().is_some_and(|flying| flying.describes) || self.waiting.iter().any(describes)
    }
}

impl Call {
    /// Tells the caller of progress, reliably if need be.
    pub(in crate::call) fn provisional(
        &mut self,
        code: u16,
        headers: Passed,
        body: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        let body = body.filter(|_| !self.caller.work.prack.described);
        let reliable = match self.reliable(cx) {
            Reliable::None => false,
            Reliable::Describing => body.is_some(),
            Reliable::All => true,
        };
        if !reliable {
            // An offer of ours may not travel in what can be lost (RFC 3261 §13.2.1).
            let body = body.filter(|_| !self.caller.exchange.awaits_answer());
            self.caller.progress(code, &headers, body.as_ref(), &[], cx);
            return;
        }
        let ringing = Ringing { code, headers, body };
        if self.caller.work.prack.flying.is_none() {
            return self.send_reliably(ringing, cx);
        }
        let waiting = &mut self.caller.work.prack.waiting;
        if waiting.len() < MAX_WAITING {
            waiting.push_back(ringing);
        }
    }

    /// Sends the 200 with these headers, once the caller has acknowledged every session description of ours.
    pub(in crate::call) fn tell_answer_after_prack(&mut self, headers: Passed, cx: &mut Cx<'_>) {
        let state = &mut self.caller.work.prack;
        if state.holds_answer() {
            state.answer = Some(headers);
        } else {
            self.tell_answer(headers, cx);
        }
    }

    /// The body of the 200: what was described last, unless the offer that it would be has its answer already
    /// (RFC 6337 §3.1.1).
    pub(in crate::call) fn described_in_answer(&self) -> Bytes {
        let last = self.caller.exchange.local.last().filter(|_| !self.caller.work.prack.completed);
        last.unwrap_or_default()
    }

    /// Whether an 18x may hold our session description: an answer always may, an offer only where the 18x
    /// cannot be lost (RFC 3261 §13.2.1).
    pub(in crate::call) fn may_describe_early(&self, cx: &Cx<'_>) -> bool {
        self.caller.exchange.offered().is_some() || self.reliable(cx) != Reliable::None
    }

    fn reliable(&self, cx: &Cx<'_>) -> Reliable {
        let prack = self.profile(LegId::CALLER, cx).prack;
        let says = |name| self.caller.invite.has_token(name, OPTION_TAG);
        match prack {
            Treatment::Strip => Reliable::None,
            _ if says(Name::Require) => Reliable::All,
            Treatment::Force if says(Name::Supported) => Reliable::All,
            _ if says(Name::Supported) => Reliable::Describing,
            _ => Reliable::None,
        }
    }

    /// The first reliable response to an INVITE without an offer makes one (RFC 3261 §13.2.1).
    fn send_reliably(&mut self, ringing: Ringing, cx: &mut Cx<'_>) {
        let Ringing { code, headers, body } = ringing;
        let exchange = &self.caller.exchange;
        let nothing_said = exchange.agreed().is_none() && exchange.offered().is_none();
        let body = match body {
            None if nothing_said => self.describe_to_caller(Codec::Pcmu).ok(),
            body => body.filter(|_| !self.caller.work.prack.described),
        };
        let state = &mut self.caller.work.prack;
        if state.next == 0 {
            state.next = first_rseq(cx.ids.random());
        }
        let rseq = state.next;
        state.next += 1;
        let ours = [(Name::Require, OPTION_TAG.to_owned()), (Name::RSeq, rseq.to_string())];
        let bytes = self.caller.progress(code, &headers, body.as_ref(), &ours, cx);
        let repeat = ReliableRepeat::start(cx.settings.timers, cx.now);
        self.caller.work.prack.flying =
            Some(Box::new(Flying { rseq, code, bytes, describes: body.is_some(), repeat }));
    }

    pub(in crate::call) fn on_prack(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        prack: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        let invite = self.caller.invite.cseq().map(|cseq| cseq.number).ok();
        let named = RAck::of(prack).filter(|rack| leg == LegId::CALLER && Some(rack.cseq) == invite);
        let state = &mut self.caller.work.prack;
        let sent = state.flying.as_ref().map(|flying| flying.rseq).or(state.overtaken);
        if named.is_none() || named.map(|rack| rack.rseq) != sent {
            return respond(prack, tx, flow, 481, &[], cx);
        }
        state.described |= state.flying.take().is_some_and(|flying| flying.describes);
        state.overtaken = None;
        let described = self.described_in(prack, cx);
        match described {
            Ok(sdp) => {
                let ok = ResponseBuilder::new(prack, 200, "", None, flow.remote);
                let bytes = sdp.map_or_else(|| ok.clone().no_body(), |sdp| ok.clone().body(SDP, &sdp));
                cx.out.push(Action::Respond { tx, code: 200, bytes });
            }
            Err(refused) => {
                let owed = self.caller.exchange.awaits_answer();
                self.refuse(leg, tx, prack, flow, &refused, cx);
                if owed {
                    return self.give_up_caller(
                        488,
                        &format!("the caller's answer is unusable: {refused}"),
                        cx,
                    );
                }
            }
        }
        self.after_acknowledged(cx);
    }

    /// The session description in a PRACK: the answer to our offer, or an offer that its 200 answers.
    fn described_in(&mut self, prack: &Message, cx: &mut Cx<'_>) -> Result<Option<Bytes>, Refused> {
        let early = matches!(self.caller.progress, Progress::Pending);
        if early && self.caller.exchange.awaits_answer() {
            self.take_answer(LegId::CALLER, prack, cx)?;
            self.caller.work.prack.completed = true;
            return Ok(None);
        }
        let Some(offer) = session_in(prack, self.caller.exchange.policy())? else { return Ok(None) };
        let sdp = self.caller.exchange.answer_at_once(&offer)?;
        self.relay_as_agreed(LegId::CALLER, cx);
        Ok(Some(sdp))
    }

    /// Goes on with what waited for the PRACK that came.
    fn after_acknowledged(&mut self, cx: &mut Cx<'_>) {
        let state = &mut self.caller.work.prack;
        if let Some(next) = state.waiting.pop_front() {
            return self.send_reliably(next, cx);
        }
        if let Some(headers) = state.answer.take() {
            self.tell_answer(headers, cx);
        }
    }

    pub(super) fn prack_due(&mut self, cx: &mut Cx<'_>) {
        let Some(flying) = &mut self.caller.work.prack.flying else { return };
        match flying.repeat.on_deadline(cx.now) {
            None => {}
            Some(ReliableEvent::SendAgain) => {
                let (code, bytes) = (flying.code, flying.bytes.clone());
                cx.out.push(Action::Respond { tx: self.caller.tx, code, bytes });
            }
            Some(ReliableEvent::GiveUp) => {
                self.give_up_caller(504, "the caller never acknowledged a reliable provisional response", cx);
            }
        }
    }

    /// Ends a call whose caller cannot be answered.
    fn give_up_caller(&mut self, code: u16, reason: &str, cx: &mut Cx<'_>) {
        if !matches!(self.caller.progress, Progress::Pending) {
            return;
        }
        match self.state {
            CallState::Answered { attempt } => self.close_callee(attempt, Vec::new(), cx),
            CallState::Calling { attempt, .. } => self.abandon(attempt, None, cx),
            CallState::Resolving | CallState::Over => {}
        }
        self.fail(Failure::ours(code, reason), cx);
    }

    /// Acknowledges the 18x `response` of attempt `index` if it wants that; false when it is not to be looked
    /// at, because it was acknowledged before, or because an earlier one is still to come.
    pub(in crate::call) fn acknowledge_provisional(
        &mut self,
        index: usize,
        response: &Message,
        cx: &mut Cx<'_>,
    ) -> bool {
        let attempt = &mut self.attempts[index];
        if cx.routes.peer(attempt.peer).profile.prack == Treatment::Strip {
            return true;
        }
        let Some(rseq) = rseq_of(response) else { return true };
        let rack = format!("{rseq} {} INVITE", attempt.identity.cseq);
        let Some(early) = attempt.early_of(response) else { return false };
        if !early.received.is_next(rseq) {
            return false;
        }
        early.settled = true;
        attempt.prack(response, &rack, cx);
        true
    }
}

/// The headers that an INVITE of ours carries for this.
pub(in crate::call) fn required_of(profile: Profile) -> Headers {
    let forced = profile.prack == Treatment::Force;
    forced.then(|| (Name::Require, OPTION_TAG.to_owned())).into_iter().collect()
}

/// More 18x than this are not kept until the one before is acknowledged.
const MAX_WAITING: usize = 8;

//! Retell cannot take the call, or lost it: the next place in `fallback` gets it, else the caller is told.
//!
//! To the caller it stays one call. Before the answer it is told of ringing once, however many are tried, and
//! a caller that listens to us hears it all the while (see `interwork::ringback`). After the answer its leg
//! and its media stay as they are, and whoever is called next is offered exactly the codec that the caller
//! was promised, on ports that it knows: no re-INVITE is needed.

use crate::routing::Kind;
use crate::rtp::leg::Side;
use crate::sdp::codec::Payload;
use crate::sip::cause::TIMER_EXPIRY;
use crate::sip::reason::Reason;

use super::contract::{Action, Cx};
use super::failure::Failure;
use super::{Call, State, reason};

impl Call {
    /// The callee in force cannot take the call: the next one gets it, or it ends.
    pub(super) fn callee_failed(&mut self, failure: Failure, cx: &mut Cx<'_>) {
        let Some(mut next) = self.fallbacks.pop_front() else { return self.fail(failure, cx) };
        let name = cx.routes.peer(next.callee).name.clone();
        self.note_hints([format!("{}, so the call went on to {} ({name})", failure.reason, next.to)]);
        cx.out.push(Action::FellBack(self.plan.callee));
        self.targets = std::mem::take(&mut next.targets).into();
        self.hops.clear();
        self.resting.clear();
        self.target = None;
        self.failure = None;
        self.answer_by = None;
        self.plan = next;
        self.state = State::Resolving;
        self.clear_callee(cx);
        self.on_ringing(None, cx);
        cx.out.push(Action::Admit(self.plan.callee));
    }

    /// The agent that answered is dead: whoever is next takes its place, or both legs end.
    pub(super) fn agent_lost(&mut self, attempt: usize, reason: &str, cx: &mut Cx<'_>) {
        let is_agent = cx.routes.peer(self.attempts[attempt].peer).kind == Kind::Retell;
        if !is_agent || self.fallbacks.is_empty() {
            return self.end_answered(reason, cx);
        }
        self.close_callee(attempt, reason::lines(&[Reason::q850(TIMER_EXPIRY)]), cx);
        cx.out.push(Action::SetHeld(Side::Callee, false));
        self.lost_agent = Some(reason.to_owned());
        self.callee_failed(Failure::ours(503, reason), cx);
    }

    /// Whether the caller has our 200.
    pub(super) fn is_caller_answered(&self) -> bool {
        self.answered_ms.is_some()
    }

    /// What the callee may be offered of `codecs`: once the caller was promised one, in an
    /// 18x or the 200, that one.
    pub(super) fn still_possible(&self, codecs: Vec<Payload>) -> Vec<Payload> {
        match self.caller.exchange.agreed() {
            Some(promised) => vec![promised.codec.codec.offered()],
            None => codecs,
        }
    }
}

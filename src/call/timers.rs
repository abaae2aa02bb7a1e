//! The deadlines of a call, and what each does when it comes.
//!
//! | deadline | from | to |
//! |---|---|---|
//! | silent target | INVITE sent | any response |
//! | answer time-out of the callee's peer | INVITE sent | 200 |
//! | repeat of our 200 | 200 sent | ACK, or 64·T1 |
//! | what `interwork` waits for: PRACK, ACK to a re-INVITE, session timer, OPTIONS | see there | |

use std::time::Instant;

use crate::routing::Kind;
use crate::sip::dialog::RepeatEvent;
use crate::sip::reason::Reason;

use super::caller::Progress;
use super::contract::{Action, Cx};
use super::failure::Failure;
use super::{Call, State};

impl Call {
    /// When the call wants [`Input::Deadline`](super::Input::Deadline); `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let (silent, answer_by) = match self.state {
            State::Calling { silent_until, .. } => (silent_until, self.answer_by),
            State::Resolving | State::Answered { .. } | State::Over => (None, None),
        };
        let repeat = match &self.caller.progress {
            Progress::Answered { repeat, .. } => Some(repeat.next_deadline()),
            Progress::Pending | Progress::Confirmed | Progress::Closed => None,
        };
        [silent, answer_by, repeat, self.interwork_deadline()].into_iter().flatten().min()
    }

    pub(super) fn on_deadline(&mut self, cx: &mut Cx<'_>) {
        self.on_silent_target(cx);
        self.on_no_answer(cx);
        self.on_unacknowledged(cx);
        self.interwork_due(cx);
    }

    fn on_silent_target(&mut self, cx: &mut Cx<'_>) {
        let State::Calling { attempt, silent_until: Some(until) } = self.state else { return };
        if cx.now < until {
            return;
        }
        let silent = &mut self.attempts[attempt];
        silent.code = 408;
        silent.rest(None, cx);
        let failure = Failure::silent(&cx.routes.peer(silent.peer).name, silent.hop.remote);
        let failure = self.failure.take().unwrap_or(failure);
        self.give_up_target(attempt, Some(failure), cx);
    }

    fn on_no_answer(&mut self, cx: &mut Cx<'_>) {
        let State::Calling { attempt, .. } = self.state else { return };
        if self.answer_by.is_none_or(|by| cx.now < by) {
            return;
        }
        self.attempts[attempt].code = 480;
        self.abandon(attempt, Some(Reason::sip(480, "NO_ANSWER")), cx);
        self.callee_failed(Failure::not_answered(&cx.routes.peer(self.plan.callee).name), cx);
    }

    fn on_unacknowledged(&mut self, cx: &mut Cx<'_>) {
        let Progress::Answered { repeat, ok, .. } = &mut self.caller.progress else { return };
        match repeat.on_deadline(cx.now) {
            None => {}
            Some(RepeatEvent::SendAgain) => {
                cx.out.push(Action::Respond { tx: self.caller.tx, code: 200, bytes: ok.clone() });
                if cx.routes.peer(self.caller.peer).kind == Kind::Retell {
                    cx.out.push(Action::CountMedia);
                }
            }
            Some(RepeatEvent::GiveUp) => {
                self.confirm_caller(cx);
                self.end_answered("the caller never acknowledged the answer", cx);
            }
        }
    }

    /// RTP from a Retell leg that had sent none before our 200 stands for its ACK, which it sends once only.
    pub(super) fn on_media_count(&mut self, packets: u64, cx: &mut Cx<'_>) {
        let Progress::Answered { packets_before, .. } = &mut self.caller.progress else { return };
        match packets_before {
            None => *packets_before = Some(packets),
            Some(0) if packets > 0 && cx.routes.peer(self.caller.peer).kind == Kind::Retell => {
                self.confirm_caller(cx);
            }
            Some(_) => {}
        }
    }
}

//! The callee's responses, and what each means to the caller.
//!
//! A 2xx is never just passed on. The first one wins and is acknowledged before the caller hears of it; any
//! other (a fork, or an attempt that was given up) is acknowledged and released with BYE.

use bytes::Bytes;

use crate::id::{ClientTx, LegId};
use crate::sdp::negotiate::{Accepted, NegotiationError};
use crate::sip::flow::Flow;
use crate::sip::message::Message;
use crate::sip::reason::Reason;

use super::attempt::{Attempt, MAX_FORKS, Progress};
use super::contract::{Action, Cx};
use super::failure::Failure;
use super::goodbye::Passed;
use super::{Call, State, reason};

impl Call {
    pub(super) fn on_response(&mut self, tx: ClientTx, response: Message, flow: Flow, cx: &mut Cx<'_>) {
        let Some(code) = response.status() else { return };
        let Some(index) = self.attempts.iter().position(|attempt| attempt.open.contains(&tx)) else {
            if code >= 200 && !self.on_asked_response(tx, &response, flow, cx) {
                self.caller.on_response(tx, &response, flow, cx);
            }
            return;
        };
        if self.attempts[index].tx != tx {
            if code >= 200 && !self.on_asked_response(tx, &response, flow, cx) {
                self.attempts[index].on_response(tx, &response, flow, cx);
            }
            return;
        }
        let attempt = &mut self.attempts[index];
        match (attempt.progress, code) {
            (_, 200..=299) => self.on_success(index, &response, flow, cx),
            (Progress::Pending { .. }, 100..=199) => self.on_provisional(index, code, &response, flow, cx),
            (Progress::Pending { .. }, _) => {
                attempt.code = code;
                attempt.open.retain(|&open| open != tx);
                self.on_refusal(index, code, response, cx);
            }
            (Progress::Abandoned, 300..) => {
                attempt.code = code;
                attempt.open.retain(|&open| open != tx);
            }
            (Progress::Abandoned | Progress::Answered | Progress::Closed, _) => {}
        }
    }

    fn on_provisional(&mut self, index: usize, code: u16, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        let State::Calling { attempt: current, silent_until } = &mut self.state else { return };
        if *current != index {
            return;
        }
        *silent_until = None;
        let attempt = &mut self.attempts[index];
        attempt.flow = Some(flow);
        match code {
            100 | 199 => return,
            _ => attempt.progress = Progress::Pending { alerted: true },
        }
        attempt.open_early(response);
        if !self.acknowledge_provisional(index, response, cx) {
            return;
        }
        let early = self.on_early_media(index, code, response, cx);
        if code == 180 {
            return self.on_ringing(Some(response), cx);
        }
        if self.is_caller_answered() {
            return;
        }
        let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx);
        self.provisional(code, headers, early, cx);
        cx.out.push(Action::Show(self.view()));
    }

    /// Relays between the legs as attempt `index` agreed; returns our session description for the caller.
    pub(super) fn connect(
        &mut self,
        index: usize,
        agreed: &Accepted,
        cx: &mut Cx<'_>,
    ) -> Result<Bytes, NegotiationError> {
        let sdp = self.describe_to_caller(agreed.codec.codec)?;
        if !self.is_caller_answered() {
            self.relay_as_agreed(LegId::CALLER, cx);
        }
        self.relay_as(self.attempts[index].leg, agreed, cx);
        Ok(sdp)
    }

    fn on_success(&mut self, index: usize, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        let attempt = &self.attempts[index];
        let tag = response.to_tag().unwrap_or_default();
        let repeated = attempt.dialog.as_ref().filter(|dialog| dialog.remote_tag().as_bytes() == tag);
        let known = match repeated {
            Some(_) => attempt.ack.as_ref().map(|(tx, draft, to)| (*tx, draft, to)),
            None => attempt
                .forks
                .iter()
                .find(|(fork, ..)| fork.as_bytes() == tag)
                .map(|(_, tx, draft, to)| (*tx, draft, to)),
        };
        if let Some((tx, draft, to)) = known {
            let (draft, to) = (draft.clone(), to.clone());
            cx.out.push(Action::Ack { tx, peer: attempt.peer, draft, to });
            return;
        }
        let wins = matches!(attempt.progress, Progress::Pending { .. })
            && matches!(self.state, State::Calling { attempt, .. } if attempt == index);
        if wins {
            self.on_answer(index, response, flow, cx);
        } else {
            self.release_fork(index, response, flow, cx);
        }
    }

    /// The callee answered: acknowledge, connect the media, tell the caller.
    fn on_answer(&mut self, index: usize, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        let callee = cx.routes.peer(self.attempts[index].peer).name.clone();
        let attempt = &mut self.attempts[index];
        attempt.flow = Some(flow);
        attempt.code = response.status().unwrap_or(200);
        let Some((dialog, early)) = attempt.confirm(response) else {
            attempt.progress = Progress::Closed;
            let error = "no dialog can be formed with it";
            return self.callee_failed(Failure::bad_answer(&callee, error, self.direction), cx);
        };
        let to = attempt.destination(&dialog);
        let ack = attempt.ack(&dialog, cx);
        let tx = cx.ids.client_tx();
        cx.out.push(Action::Ack { tx, peer: attempt.peer, draft: ack.clone(), to: to.clone() });
        attempt.answers.accept();
        attempt.ack = Some((tx, ack, to));
        attempt.dialog = Some(dialog);
        attempt.progress = Progress::Answered;
        attempt.work.learn(response);
        let leg = attempt.leg;
        let accepted = attempt.accept(early, response);
        let agreed = accepted.map(|()| self.attempts[index].exchange.agreed().cloned());
        let connected = agreed.and_then(|agreed| {
            let agreed = agreed.ok_or("there is none")?;
            self.connect(index, &agreed, cx).map_err(|error| error.to_string())
        });
        if let Err(error) = connected {
            let unusable = Reason::sip(488, "Not Acceptable Here");
            self.close_callee(index, reason::lines(&[unusable]), cx);
            return self.callee_failed(Failure::bad_answer(&callee, &error, self.direction), cx);
        }
        self.state = State::Answered { attempt: index };
        self.stop_ringback(cx);
        self.start_timer_of_callee(leg, response, cx);
        self.start_keepalive(leg, cx);
        self.lost_agent = None;
        if self.is_caller_answered() {
            cx.out.push(Action::Answered);
            return cx.out.push(Action::Show(self.view()));
        }
        let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx);
        self.tell_answer_after_prack(headers, cx);
    }

    /// Sends the caller its 200: the call is answered.
    pub(super) fn tell_answer(&mut self, headers: Passed, cx: &mut Cx<'_>) {
        let sdp = self.described_in_answer();
        self.answered_ms = Some(cx.unix_ms);
        (self.targets, self.hops, self.resting, self.target) = Default::default();
        let timer = self.grant_to_caller(cx);
        self.caller.answer(&headers, &sdp, &timer, cx);
        self.caller.work.prack.stop();
        self.start_keepalive(LegId::CALLER, cx);
        cx.out.push(Action::Answered);
        cx.out.push(Action::CountMedia);
        cx.out.push(Action::Show(self.view()));
    }

    /// A 2xx that nobody waits for: ACK, then BYE.
    fn release_fork(&mut self, index: usize, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        let attempt = &mut self.attempts[index];
        if attempt.forks.len() >= MAX_FORKS {
            return;
        }
        let Some((dialog, _)) = attempt.confirm(response) else { return };
        attempt.flow.get_or_insert(flow);
        let to = attempt.destination(&dialog);
        let ack = attempt.ack(&dialog, cx);
        let ack_tx = cx.ids.client_tx();
        cx.out.push(Action::Ack { tx: ack_tx, peer: attempt.peer, draft: ack.clone(), to: to.clone() });
        attempt.forks.push((dialog.remote_tag().to_owned(), ack_tx, ack, to));
        attempt.bye(dialog, reason::lines(&[Reason::normal()]), cx);
    }

    fn on_refusal(&mut self, index: usize, code: u16, response: Message, cx: &mut Cx<'_>) {
        let goes_again = match code {
            401 | 407 => self.answer_challenge(index, &response, cx),
            422 => self.raise_interval(index, &response, cx),
            _ => false,
        };
        if goes_again {
            let is_last = self.is_last_target();
            if let State::Calling { attempt, silent_until } = &mut self.state
                && *attempt == index
            {
                *silent_until = Some(Attempt::silent_until(is_last, cx));
            }
            return;
        }
        let current = matches!(self.state, State::Calling { attempt, .. } if attempt == index);
        let attempt = &mut self.attempts[index];
        let alerted = attempt.progress == Progress::Pending { alerted: true };
        attempt.progress = Progress::Closed;
        if !current {
            return;
        }
        if !alerted && self.invite_without_srtp(index, code, cx) {
            return;
        }
        let attempt = &mut self.attempts[index];
        let retry_after_s = response.retry_after();
        let mut failure = Failure::from_response(response, cx.routes.peer(attempt.peer));
        if code == 503 && failure.moves_on {
            attempt.rest(retry_after_s, cx);
        }
        self.note_hints(std::mem::take(&mut failure.hints));
        if !alerted && failure.moves_on {
            self.give_up_target(index, Some(failure), cx);
        } else {
            self.callee_failed(failure, cx);
        }
    }

    pub(super) fn on_client_failed(&mut self, tx: ClientTx, lost: Lost, cx: &mut Cx<'_>) {
        let current = match self.state {
            State::Calling { attempt, .. } => Some(attempt),
            State::Resolving | State::Answered { .. } | State::Over => None,
        };
        let failed = current.filter(|&index| {
            self.attempts[index].tx == tx && matches!(self.attempts[index].progress, Progress::Pending { .. })
        });
        self.forget(tx);
        if self.on_asked_lost(tx, cx) {
            return;
        }
        let Some(index) = failed else { return };
        let attempt = &mut self.attempts[index];
        let callee = &cx.routes.peer(attempt.peer).name;
        let (code, failure) = match lost {
            Lost::TimedOut => (408, Failure::silent(callee, attempt.hop.remote)),
            Lost::Transport => (503, Failure::transport(callee, attempt.hop.remote)),
        };
        attempt.code = code;
        attempt.rest(None, cx);
        let alerted = attempt.progress == Progress::Pending { alerted: true };
        attempt.progress = Progress::Closed;
        if alerted {
            self.callee_failed(failure, cx);
        } else {
            let failure = self.failure.take().unwrap_or(failure);
            self.give_up_target(index, Some(failure), cx);
        }
    }

    /// Nothing more will come of `tx`.
    pub(super) fn forget(&mut self, tx: ClientTx) {
        self.caller.open.retain(|&open| open != tx);
        for attempt in &mut self.attempts {
            attempt.open.retain(|&open| open != tx);
            if attempt.tx == tx && !attempt.open.contains(&tx) {
                attempt.invite = None;
            }
        }
    }
}

/// How one of our requests was lost.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    /// No final response came.
    TimedOut,
    /// It never left, or its connection broke.
    Transport,
}

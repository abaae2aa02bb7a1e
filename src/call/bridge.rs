//! What an event on one leg does to the other: the callee's responses become the caller's.
//!
//! A 2xx is never just passed on. The first one wins and is acknowledged before the caller hears of it; any other
//! (a fork, or an attempt that was given up) is acknowledged and released with BYE.

use bytes::Bytes;

use crate::id::{CallId, ClientTx};
use crate::rtp::leg::{LegMedia, Side};
use crate::sdp::negotiate::{self, Accepted};
use crate::sdp::session::{Audio, Direction as Flowing, Session};
use crate::sip::dialog::Dialog;
use crate::sip::flow::Flow;
use crate::sip::headers::HeaderError;
use crate::sip::message::{Message, Method};

use super::attempt::Progress;
use super::contract::{Action, Cx, Input, Offered};
use super::failure::{Failure, tries_next_target};
use super::record::EndedBy;
use super::{Call, State, audio};

impl Call {
    /// Carries out what `input` does to the call.
    pub fn on(&mut self, input: Input, cx: &mut Cx<'_>) {
        match input {
            Input::Targets(hops) => self.on_targets(hops, cx),
            Input::Media(media) => self.on_media(media, cx),
            Input::Response { tx, message, flow } => self.on_response(tx, message, flow, cx),
            Input::TimedOut(tx) => self.on_client_failed(tx, Lost::TimedOut, cx),
            Input::TransportFailed(tx) => self.on_client_failed(tx, Lost::Transport, cx),
            Input::ClientGone(tx) => self.forget(tx),
            Input::Cancelled(_) => self.on_cancelled(cx),
            Input::Request { leg, tx, message, flow } => self.on_request(leg, tx, &message, flow, cx),
            Input::Ack { leg, message } => self.on_ack(leg, &message, cx),
            Input::MediaCount(packets) => self.on_media_count(packets, cx),
            Input::MediaSilent(side) => self.on_media_silent(side, cx),
            Input::HangUp { reason, code } => self.hang_up(reason, code, cx),
            Input::Deadline => self.on_deadline(cx),
        }
    }

    fn on_response(&mut self, tx: ClientTx, response: Message, flow: Flow, cx: &mut Cx<'_>) {
        let Some(code) = response.status() else { return };
        let Some(index) = self.attempts.iter().position(|attempt| attempt.open.contains(&tx)) else {
            if code >= 200 {
                self.caller.open.retain(|&open| open != tx);
            }
            return;
        };
        let attempt = &mut self.attempts[index];
        if attempt.tx != tx {
            return self.on_response_in_dialog(index, tx, code, &response, cx);
        }
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
        let early = self.take_early_media(index, code, response, cx);
        if code == 180 && self.caller.alerted {
            return;
        }
        if code == 180 || code == 183 {
            self.caller.alerted |= code == 180;
        }
        let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx);
        self.caller.progress(code, &phrase(response), &headers, early.as_ref(), cx);
        cx.out.push(Action::Show(self.view()));
    }

    /// The body of a 183 toward the caller when the callee sends early media.
    fn take_early_media(
        &mut self,
        index: usize,
        code: u16,
        response: &Message,
        cx: &mut Cx<'_>,
    ) -> Option<Bytes> {
        if code != 183 || response.body().is_empty() {
            return None;
        }
        let attempt = &mut self.attempts[index];
        let answer = Session::parse(&response.body()).ok()?;
        let accepted = negotiate::accepted(&answer, &attempt.offered.0, attempt.offered.1).ok()?;
        attempt.accepted = Some(accepted.clone());
        self.connect_media(&accepted, cx).ok()
    }

    /// Relays between the legs as `accepted` by the callee; returns the answer to the caller.
    fn connect_media(&mut self, accepted: &Accepted, cx: &mut Cx<'_>) -> Result<Bytes, String> {
        let caller = &mut self.caller;
        let offer = audio(&caller.offer).ok_or("the caller's offer has no audio")?;
        let codec = negotiate::matching(offer, accepted.codec).map_err(|error| error.to_string())?;
        let local = caller.local.as_mut().ok_or("no media ports")?;
        let sdp = local.answer(&caller.offer, codec, offer.dtmf, negotiate::mirrored(offer.direction));
        caller.agreed = Some((codec, offer.dtmf));
        cx.out.push(Action::SetLeg(Side::Caller, leg_media(offer, codec.payload_type, offer.dtmf)));
        let callee = leg_media(&accepted.audio, accepted.codec.payload_type, accepted.dtmf);
        cx.out.push(Action::SetLeg(Side::Callee, callee));
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
        let Some(dialog) = attempt.invite_message().and_then(|invite| Dialog::uac(&invite, response).ok())
        else {
            attempt.progress = Progress::Closed;
            let error = "its 200 has no usable Contact or tag";
            return self.fail(Failure::bad_answer(&callee, error, self.direction), cx);
        };
        let to = attempt.destination(&dialog);
        let ack = attempt.with_credentials(dialog.ack(attempt.identity.cseq), Method::Ack, cx).no_body();
        let tx = cx.ids.client_tx();
        cx.out.push(Action::Ack { tx, peer: attempt.peer, draft: ack.clone(), to: to.clone() });
        attempt.ack = Some((tx, ack, to));
        attempt.dialog = Some(dialog);
        attempt.progress = Progress::Answered;
        let accepted = attempt.accept(response);
        let connected = accepted.map_err(|error| error.to_string()).and_then(|a| self.connect_media(&a, cx));
        let sdp = match connected {
            Ok(sdp) => sdp,
            Err(error) => {
                self.close_callee(index, &[], cx);
                return self.fail(Failure::bad_answer(&callee, &error, self.direction), cx);
            }
        };
        self.state = State::Answered { attempt: index };
        self.answered_ms = Some(cx.unix_ms);
        let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx);
        self.caller.answer(&headers, &sdp, cx);
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
        let invite = attempt.invite_message();
        let Some(mut dialog) = invite.and_then(|invite| Dialog::uac(&invite, response).ok()) else { return };
        attempt.flow.get_or_insert(flow);
        let to = attempt.destination(&dialog);
        let ack = attempt.with_credentials(dialog.ack(attempt.identity.cseq), Method::Ack, cx).no_body();
        let ack_tx = cx.ids.client_tx();
        cx.out.push(Action::Ack { tx: ack_tx, peer: attempt.peer, draft: ack.clone(), to: to.clone() });
        let bye = attempt.with_credentials(dialog.request(Method::Bye), Method::Bye, cx).no_body();
        let tx = cx.ids.client_tx();
        attempt.open.push(tx);
        attempt.forks.push((dialog.remote_tag().to_owned(), ack_tx, ack, to.clone()));
        cx.out.push(Action::Request { tx, leg: attempt.leg, peer: attempt.peer, draft: bye, to });
    }

    fn on_refusal(&mut self, index: usize, code: u16, response: Message, cx: &mut Cx<'_>) {
        if matches!(code, 401 | 407) && self.answer_challenge(index, &response, cx) {
            return;
        }
        let current = matches!(self.state, State::Calling { attempt, .. } if attempt == index);
        let attempt = &mut self.attempts[index];
        let alerted = attempt.progress == Progress::Pending { alerted: true };
        attempt.progress = Progress::Closed;
        if !current {
            return;
        }
        let callee = &cx.routes.peer(attempt.peer).name;
        let failure = Failure::from_response(response, self.direction, callee);
        if !alerted && tries_next_target(code) {
            self.give_up_target(index, Some(failure), cx);
        } else {
            self.fail(failure, cx);
        }
    }

    fn on_client_failed(&mut self, tx: ClientTx, lost: Lost, cx: &mut Cx<'_>) {
        let current = match self.state {
            State::Calling { attempt, .. } => Some(attempt),
            State::Resolving | State::Answered { .. } | State::Over => None,
        };
        let failed = current.filter(|&index| {
            self.attempts[index].tx == tx && matches!(self.attempts[index].progress, Progress::Pending { .. })
        });
        self.forget(tx);
        let Some(index) = failed else { return };
        let attempt = &mut self.attempts[index];
        let callee = &cx.routes.peer(attempt.peer).name;
        let (code, failure) = match lost {
            Lost::TimedOut => (408, Failure::silent(callee, attempt.hop.remote)),
            Lost::Transport => (503, Failure::transport(callee, attempt.hop.remote)),
        };
        attempt.code = code;
        let alerted = attempt.progress == Progress::Pending { alerted: true };
        attempt.progress = Progress::Closed;
        if alerted {
            self.fail(failure, cx);
        } else {
            let failure = self.failure.take().unwrap_or(failure);
            self.give_up_target(index, Some(failure), cx);
        }
    }

    /// Nothing more will come of `tx`.
    fn forget(&mut self, tx: ClientTx) {
        self.caller.open.retain(|&open| open != tx);
        for attempt in &mut self.attempts {
            attempt.open.retain(|&open| open != tx);
            if attempt.tx == tx && !attempt.open.contains(&tx) {
                attempt.invite = None;
            }
        }
    }

    /// Tells the caller that the callee was not reached, and ends the call.
    pub(super) fn fail(&mut self, failure: Failure, cx: &mut Cx<'_>) {
        if self.state == State::Over {
            return;
        }
        let mut headers = match &failure.response {
            Some(response) => self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx),
            None => self.headers_toward(self.caller.peer, &self.caller.sent_by, None, cx),
        };
        if let Some(seconds) = failure.retry_after {
            headers.push((b"Retry-After".to_vec(), seconds.to_string().into_bytes()));
        }
        self.caller.refuse(failure.code, &failure.phrase, &headers, cx);
        self.finish(failure.ended_by, failure.code, failure.reason, cx);
    }

    fn on_media_silent(&mut self, side: Side, cx: &mut Cx<'_>) {
        let State::Answered { attempt } = self.state else { return };
        let peer = match side {
            Side::Caller => self.caller.peer,
            Side::Callee => self.attempts[attempt].peer,
        };
        let reason = format!("no audio came from {} for the silence time-out", cx.routes.peer(peer).name);
        self.close_caller(Vec::new(), cx);
        self.close_callee(attempt, &[], cx);
        self.finish(EndedBy::Trunkline, 200, reason, cx);
    }

    /// Ends the call from our side.
    fn hang_up(&mut self, reason: &'static str, code: u16, cx: &mut Cx<'_>) {
        match self.state {
            State::Over => {}
            State::Resolving => self.fail(Failure::ours(code, reason), cx),
            State::Calling { attempt, .. } => {
                self.abandon(attempt, None, cx);
                self.fail(Failure::ours(code, reason), cx);
            }
            State::Answered { attempt } => {
                self.close_caller(Vec::new(), cx);
                self.close_callee(attempt, &[], cx);
                self.finish(EndedBy::Trunkline, 200, reason.to_owned(), cx);
            }
        }
    }

    /// Begins a call from an admitted INVITE: 100 at once, then the first target.
    ///
    /// # Errors
    ///
    /// Names the header that no dialog can be formed with; nothing was sent.
    pub fn start(id: CallId, offered: Offered, offer: Session, cx: &mut Cx<'_>) -> Result<Self, HeaderError> {
        let mut call = Self::new(id, offered, offer, cx)?;
        call.caller.trying(cx);
        cx.out.push(Action::Show(call.view()));
        call.next_target(cx);
        Ok(call)
    }
}

/// How one of our requests was lost.
#[derive(Clone, Copy)]
enum Lost {
    TimedOut,
    Transport,
}

/// What the relay is told of a leg whose SDP says `audio`.
pub(super) fn leg_media(audio: &Audio, audio_payload_type: u8, dtmf_payload_type: Option<u8>) -> LegMedia {
    LegMedia {
        remote_rtcp: audio.rtcp,
        dtmf_payload_type,
        sends: matches!(audio.direction, Flowing::SendRecv | Flowing::SendOnly),
        receives: matches!(audio.direction, Flowing::SendRecv | Flowing::RecvOnly),
        ..LegMedia::new(audio.rtp, audio_payload_type)
    }
}

fn phrase(response: &Message) -> String {
    String::from_utf8_lossy(response.reason()).into_owned()
}

/// More 2xx of one INVITE than this are not answered: no fork is that wide.
const MAX_FORKS: usize = 16;

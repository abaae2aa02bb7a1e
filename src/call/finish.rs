//! The end of a call: its record, written once, and what remains after it.

use crate::rtp::leg::Side;
use crate::sip::cause::{Cause, NORMAL_CLEARING, TEMPORARY_FAILURE, TIMER_EXPIRY};
use crate::sip::message::Message;
use crate::sip::reason::Reason;

use super::contract::{Action, Cx};
use super::failover::host_of;
use super::failure::Failure;
use super::record::{EndedBy, LegRecord, Record};
use super::{Call, State, reason};

impl Call {
    /// Tells the caller that the callee was not reached, and ends the call.
    pub(super) fn fail(&mut self, failure: Failure, cx: &mut Cx<'_>) {
        if self.state == State::Over {
            return;
        }
        if self.is_caller_answered() {
            let cause = Cause::of_status(failure.code).map_or(TEMPORARY_FAILURE, |cause| cause.value);
            self.close_caller(reason::lines(&[Reason::q850(cause)]), cx);
            let lost = self.lost_agent.take().map_or_else(String::new, |lost| format!("{lost}, and "));
            return self.finish(EndedBy::Trunkline, 200, format!("{lost}{}", failure.reason), cx);
        }
        let mut headers = match &failure.response {
            Some(response) => self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(response), cx),
            None => self.headers_toward(self.caller.peer, &self.caller.sent_by, None, cx),
        };
        headers.extend(reason::of_failure(&failure, cx.routes.peer(self.caller.peer).kind));
        if let Some(seconds) = failure.retry_after {
            headers.push((b"Retry-After".to_vec(), seconds.to_string().into_bytes()));
        }
        if let Some((code, text)) = failure.warning {
            let warning = format!("{code} {} \"{text}\"", host_of(&self.caller.sent_by));
            headers.push((b"Warning".to_vec(), warning.into_bytes()));
        }
        self.caller.refuse(failure.code, &failure.phrase, &headers, cx);
        self.finish(failure.ended_by, failure.code, failure.reason, cx);
    }

    pub(super) fn on_media_silent(&mut self, side: Side, cx: &mut Cx<'_>) {
        let State::Answered { attempt } = self.state else { return };
        let peer = match side {
            Side::Caller => self.caller.peer,
            Side::Callee => self.attempts[attempt].peer,
        };
        let reason = format!("no audio came from {} any more", cx.routes.peer(peer).name);
        match side {
            Side::Caller => self.end_answered(&reason, cx),
            Side::Callee => self.agent_lost(attempt, &reason, cx),
        }
    }

    /// Ends an answered call because something did not come in time, with BYE to whichever leg is still up.
    pub(super) fn end_answered(&mut self, reason: &str, cx: &mut Cx<'_>) {
        self.end_answered_as(reason, TIMER_EXPIRY, cx);
    }

    /// The same for any Q.850 `cause`.
    fn end_answered_as(&mut self, reason: &str, cause: u16, cx: &mut Cx<'_>) {
        self.end_answered_with(reason, Reason::q850(cause), cx);
    }

    /// The same with any Reason in the BYEs.
    pub(super) fn end_answered_with(&mut self, reason: &str, told: Reason, cx: &mut Cx<'_>) {
        if !self.is_caller_answered() {
            return;
        }
        match self.state {
            State::Over => return,
            State::Answered { attempt } => {
                self.close_callee(attempt, reason::lines(std::slice::from_ref(&told)), cx)
            }
            State::Resolving | State::Calling { .. } => self.release_attempt(told.clone(), cx),
        }
        self.close_caller(reason::lines(&[told]), cx);
        self.finish(EndedBy::Trunkline, 200, reason.to_owned(), cx);
    }

    /// Ends the call in the books because of a `bye`: with what it says, where that is not the normal end.
    pub(super) fn hung_up(&mut self, by: EndedBy, what: &str, bye: &Message, cx: &mut Cx<'_>) {
        let said = reason::words_of(bye);
        let sentence = said.as_ref().map_or_else(|| what.to_owned(), |said| format!("{what}, saying {said}"));
        self.note_hints(said);
        let code = if self.is_caller_answered() { 200 } else { self.caller.code };
        self.finish(by, code, sentence, cx);
    }

    /// One direction carries nothing: the commonest complaint, so the record says it
    /// even of a call that went on.
    pub(super) fn on_one_way(&mut self, side: Side, likely: &str, cx: &mut Cx<'_>) {
        let State::Answered { attempt } = self.state else { return };
        let peer = match side {
            Side::Caller => self.caller.peer,
            Side::Callee => self.attempts[attempt].peer,
        };
        let name = &cx.routes.peer(peer).name;
        tracing::warn!(peer = %name, likely, "one-way audio: nothing came from this side for 5 s");
        self.note_hints([format!("no audio came from {name} for 5 s: {likely}")]);
    }

    /// Keeps what a peer said for the record.
    pub(super) fn note_hints(&mut self, hints: impl IntoIterator<Item = String>) {
        for hint in hints {
            if self.hints.len() < MOST_HINTS && !self.hints.contains(&hint) {
                self.hints.push(hint);
            }
        }
    }

    /// Ends the call from our side.
    pub(super) fn hang_up(&mut self, reason: &'static str, code: u16, cx: &mut Cx<'_>) {
        if self.is_caller_answered() {
            let cause = if code == 503 { TEMPORARY_FAILURE } else { NORMAL_CLEARING };
            return self.end_answered_as(reason, cause, cx);
        }
        match self.state {
            State::Over => {}
            State::Answered { attempt } => {
                self.close_callee(attempt, Vec::new(), cx);
                self.fail(Failure::ordered(code, reason), cx);
            }
            State::Resolving => self.fail(Failure::ordered(code, reason), cx),
            State::Calling { attempt, .. } => {
                self.abandon(attempt, None, cx);
                self.fail(Failure::ordered(code, reason), cx);
            }
        }
    }

    /// Ends the call in the books: everything that is still sent or awaited only clears up.
    pub(super) fn finish(&mut self, ended_by: EndedBy, sip_code: u16, reason: String, cx: &mut Cx<'_>) {
        let answered = match self.state {
            State::Over => return,
            State::Answered { attempt } => Some(attempt),
            State::Resolving | State::Calling { .. } => None,
        };
        self.state = State::Over;
        self.answer_by = None;
        self.caller.work.stop();
        self.attempts.iter_mut().for_each(|attempt| attempt.work.stop());
        let record = Record {
            id: self.id,
            direction: self.direction,
            from: self.names.from.clone(),
            to: self.names.to.clone(),
            trunk: self.names.trunk.clone(),
            retell: self.names.retell.clone(),
            started_ms: self.started_ms,
            answered_ms: self.answered_ms,
            ended_ms: cx.unix_ms,
            ended_by,
            sip_code,
            reason,
            hints: std::mem::take(&mut self.hints),
            legs: self.legs(cx),
        };
        let callee_leg = answered.map(|attempt| attempt + 1).or_else(|| self.last_heard());
        cx.out.push(Action::Finish { record: Box::new(record), callee_leg });
    }

    /// Place in the record's legs of the last attempt that had media.
    pub(super) fn last_heard(&self) -> Option<usize> {
        self.attempts.iter().rposition(|attempt| attempt.agreed().is_some()).map(|attempt| attempt + 1)
    }

    fn legs(&self, cx: &Cx<'_>) -> Vec<LegRecord> {
        let caller = LegRecord {
            call_id: self.caller.dialog.call_id().to_owned(),
            peer: cx.routes.peer(self.caller.peer).name.clone(),
            to: self.names.to.clone(),
            remote: self.caller.source.to_string(),
            sip_code: self.caller.code,
            codec: self.caller.exchange.agreed().map(|agreed| agreed.codec.codec.name().to_owned()),
            ..LegRecord::default()
        };
        let attempts = self.attempts.iter().map(|attempt| LegRecord {
            call_id: attempt.identity.call_id.clone(),
            peer: cx.routes.peer(attempt.peer).name.clone(),
            to: attempt.target.uri.user.clone().unwrap_or_default(),
            remote: attempt.hop.remote.to_string(),
            sip_code: attempt.code,
            codec: attempt.agreed().map(|agreed| agreed.codec.codec.name().to_owned()),
            ..LegRecord::default()
        });
        std::iter::once(caller).chain(attempts).collect()
    }
}

/// Hints kept of one call at most.
const MOST_HINTS: usize = 16;

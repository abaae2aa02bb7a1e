//! The end of a call: its record, written once, and what remains after it.

use crate::rtp::leg::Side;

use super::contract::{Action, Cx};
use super::failure::Failure;
use super::record::{EndedBy, LegRecord, Record};
use super::{Call, State};

impl Call {
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

    pub(super) fn on_media_silent(&mut self, side: Side, cx: &mut Cx<'_>) {
        let State::Answered { attempt } = self.state else { return };
        let peer = match side {
            Side::Caller => self.caller.peer,
            Side::Callee => self.attempts[attempt].peer,
        };
        let reason = format!("no audio came from {} for the silence time-out", cx.routes.peer(peer).name);
        self.end_answered(&reason, cx);
    }

    /// Ends an answered call from our side, with BYE to whichever leg is still up.
    pub(super) fn end_answered(&mut self, reason: &str, cx: &mut Cx<'_>) {
        if let State::Answered { attempt } = self.state {
            self.close_caller(Vec::new(), cx);
            self.close_callee(attempt, Vec::new(), cx);
            self.finish(EndedBy::Trunkline, 200, reason.to_owned(), cx);
        }
    }

    /// Ends the call from our side.
    pub(super) fn hang_up(&mut self, reason: &'static str, code: u16, cx: &mut Cx<'_>) {
        match self.state {
            State::Over => {}
            State::Resolving => self.fail(Failure::ordered(code, reason), cx),
            State::Calling { attempt, .. } => {
                self.abandon(attempt, None, cx);
                self.fail(Failure::ordered(code, reason), cx);
            }
            State::Answered { .. } => self.end_answered(reason, cx),
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
            from: self.plan.from.clone(),
            to: self.plan.to.clone(),
            trunk: self.names.trunk.clone(),
            retell: self.names.retell.clone(),
            started_ms: self.started_ms,
            answered_ms: self.answered_ms,
            ended_ms: cx.unix_ms,
            ended_by,
            sip_code,
            reason,
            legs: self.legs(cx),
        };
        let answered_leg = answered.map(|attempt| attempt + 1);
        cx.out.push(Action::Finish { record: Box::new(record), answered_leg });
    }

    fn legs(&self, cx: &Cx<'_>) -> Vec<LegRecord> {
        let caller = LegRecord {
            call_id: self.caller.dialog.call_id().to_owned(),
            peer: cx.routes.peer(self.caller.peer).name.clone(),
            remote: self.caller.source.to_string(),
            sip_code: self.caller.code,
            codec: self.caller.exchange.agreed().map(|agreed| agreed.codec.codec.name().to_owned()),
            ..LegRecord::default()
        };
        let attempts = self.attempts.iter().map(|attempt| LegRecord {
            call_id: attempt.identity.call_id.clone(),
            peer: cx.routes.peer(attempt.peer).name.clone(),
            remote: attempt.hop.remote.to_string(),
            sip_code: attempt.code,
            codec: attempt.exchange.agreed().map(|agreed| agreed.codec.codec.name().to_owned()),
            ..LegRecord::default()
        });
        std::iter::once(caller).chain(attempts).collect()
    }
}

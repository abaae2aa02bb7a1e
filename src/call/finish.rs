//! The end of a call: its record, written once, and what remains after it.

use super::contract::{Action, Cx};
use super::record::{EndedBy, LegRecord, Record};
use super::{Call, State};

impl Call {
    /// Ends the call in the books: everything that is still sent or awaited only clears up.
    pub(super) fn finish(&mut self, ended_by: EndedBy, sip_code: u16, reason: String, cx: &mut Cx<'_>) {
        let answered = match self.state {
            State::Over => return,
            State::Answered { attempt } => Some(attempt),
            State::Resolving | State::Calling { .. } => None,
        };
        self.state = State::Over;
        self.answer_by = None;
        self.reoffers.clear();
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
            codec: self.caller.agreed.map(|(payload, _)| payload.codec.name().to_owned()),
            ..LegRecord::default()
        };
        let attempts = self.attempts.iter().map(|attempt| LegRecord {
            call_id: attempt.identity.call_id.clone(),
            peer: cx.routes.peer(attempt.peer).name.clone(),
            remote: attempt.hop.remote.to_string(),
            sip_code: attempt.code,
            codec: attempt.accepted.as_ref().map(|accepted| accepted.codec.codec.name().to_owned()),
            ..LegRecord::default()
        });
        std::iter::once(caller).chain(attempts).collect()
    }
}

//! The caller gives up: CANCEL in all its races.
//!
//! A CANCEL that comes after our 200 changes nothing (RFC 3261 §9.2): the caller will say BYE. A CANCEL
//! before the callee said anything is held back by the transaction until it did (§9.1), which is why
//! the attempt lives on here.

use crate::sip::message::Message;
use crate::sip::reason::Reason;

use super::caller::Progress;
use super::contract::Cx;
use super::record::EndedBy;
use super::{Call, State, reason};

impl Call {
    /// The caller's CANCEL.
    pub(super) fn on_cancelled(&mut self, cancel: &Message, cx: &mut Cx<'_>) {
        if !matches!(self.caller.progress, Progress::Pending) {
            return;
        }
        self.caller.refuse(487, "", &[], cx);
        self.release_attempt(reason::of_cancel(cancel), cx);
        self.finish(EndedBy::Caller, 487, "the caller gave up before the call was answered".into(), cx);
    }

    /// Cancels the attempt that is out, if one is; one that answered while our own 200 waited is told BYE.
    pub(super) fn release_attempt(&mut self, reason: Reason, cx: &mut Cx<'_>) {
        match self.state {
            State::Calling { attempt, .. } => {
                self.abandon(attempt, Some(reason), cx);
            }
            State::Answered { attempt } => self.close_callee(attempt, Vec::new(), cx),
            State::Resolving | State::Over => {}
        }
    }
}

//! The caller gives up: CANCEL in all its races, and the BYEs that end an answered call.
//!
//! A CANCEL that comes after our 200 changes nothing (RFC 3261 §9.2): the caller will say BYE. A CANCEL before the callee
//! said anything is held back by the transaction until it did (§9.1), which is why the attempt lives on here.

use crate::id::LegId;
use crate::sip::message::Method;

use super::attempt;
use super::caller::{Closing, Progress};
use super::contract::{Action, Cx};
use super::record::EndedBy;
use super::{Call, State};

impl Call {
    /// The caller's CANCEL.
    pub(super) fn on_cancelled(&mut self, cx: &mut Cx<'_>) {
        if !matches!(self.caller.progress, Progress::Pending) {
            return;
        }
        self.caller.refuse(487, "", &[], cx);
        self.release_attempt(cx);
        self.finish(EndedBy::Caller, 487, "the caller gave up before the call was answered".into(), cx);
    }

    /// Cancels the attempt that is out, if one is.
    pub(super) fn release_attempt(&mut self, cx: &mut Cx<'_>) {
        if let State::Calling { attempt, .. } = self.state {
            self.abandon(attempt, Some("SIP;cause=487;text=\"ORIGINATOR_CANCEL\""), cx);
        }
    }

    /// Says BYE to the caller, after its ACK if that is still to come.
    pub(super) fn close_caller(&mut self, headers: Vec<(Vec<u8>, Vec<u8>)>, cx: &mut Cx<'_>) {
        match &mut self.caller.progress {
            Progress::Pending | Progress::Closed => {}
            Progress::Answered { closing, .. } => *closing = Some(Closing { headers }),
            Progress::Confirmed => self.bye_caller(&headers, cx),
        }
    }

    /// Says BYE to the caller now.
    pub(super) fn bye_caller(&mut self, headers: &[(Vec<u8>, Vec<u8>)], cx: &mut Cx<'_>) {
        let caller = &mut self.caller;
        caller.progress = Progress::Closed;
        let to =
            super::contract::Destination::Dialog { uri: caller.dialog.next_hop().clone(), flow: caller.flow };
        let mut bye = caller.dialog.request(Method::Bye);
        for (name, value) in headers {
            bye = bye.header_raw(name, value);
        }
        let tx = cx.ids.client_tx();
        caller.open.push(tx);
        let (leg, peer) = (LegId::CALLER, caller.peer);
        cx.out.push(Action::Request { tx, leg, peer, draft: bye.no_body(), to });
    }

    /// Says BYE to the callee that answered.
    pub(super) fn close_callee(&mut self, index: usize, headers: &[(Vec<u8>, Vec<u8>)], cx: &mut Cx<'_>) {
        let attempt = &mut self.attempts[index];
        if attempt.progress != attempt::Progress::Answered {
            return;
        }
        attempt.progress = attempt::Progress::Closed;
        attempt.bye(headers, cx);
    }
}

impl attempt::Attempt {
    /// Sends BYE inside the dialog, with credentials when the INVITE needed them.
    pub(super) fn bye(&mut self, headers: &[(Vec<u8>, Vec<u8>)], cx: &mut Cx<'_>) {
        let Some(mut dialog) = self.dialog.take() else { return };
        let to = self.destination(&dialog);
        let mut bye = self.with_credentials(dialog.request(Method::Bye), Method::Bye, cx);
        for (name, value) in headers {
            bye = bye.header_raw(name, value);
        }
        self.dialog = Some(dialog);
        let tx = cx.ids.client_tx();
        self.open.push(tx);
        let (leg, peer) = (self.leg, self.peer);
        cx.out.push(Action::Request { tx, leg, peer, draft: bye.no_body(), to });
    }
}

//! OPTIONS inside the dialog (RFC 3261 §11), every two minutes: it keeps proxies and NAT bindings open.
//!
//! What stands behind Retell answers every OPTIONS with 200, so that says nothing of the agent; but 481, 408 or no answer
//! at all mean that the dialog is gone, and end the call. Profile `keepalive`: `force`, sent; `strip`, not sent.

use std::time::{Duration, Instant};

use crate::id::LegId;
use crate::routing::config::Treatment;
use crate::sip::message::Method;

use crate::call::Call;
use crate::call::contract::Cx;
use crate::call::party::{Outcome, Purpose, Question};

/// When the next one is due.
#[derive(Debug, Default)]
pub(in crate::call) struct State {
    next: Option<Instant>,
}

impl State {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
    }
}

impl Call {
    /// The dialog of `leg` is confirmed.
    pub(in crate::call) fn start_keepalive(&mut self, leg: LegId, cx: &Cx<'_>) {
        let wanted = self.profile(leg, cx).keepalive == Treatment::Force;
        if let Some(party) = self.party(leg).filter(|_| wanted) {
            party.work.keepalive.next = Some(cx.now + INTERVAL);
        }
    }

    pub(super) fn keepalive_due(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        let Some(mut party) = self.party(leg) else { return };
        if party.work.keepalive.next.is_none_or(|next| cx.now < next) {
            return;
        }
        party.work.keepalive.next = Some(cx.now + INTERVAL);
        let question = Question {
            method: Method::Options,
            purpose: Purpose::Keepalive,
            headers: Vec::new(),
            body: None,
        };
        party.ask(question, cx);
    }

    pub(in crate::call) fn on_keepalive(&mut self, leg: LegId, outcome: Outcome<'_>, cx: &mut Cx<'_>) {
        if outcome.ends_dialog() {
            self.end_dead_leg(leg, "No answer to OPTIONS", "knew nothing of the call any more", cx);
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(120);

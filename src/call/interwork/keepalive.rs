//! OPTIONS inside the dialog (RFC 3261 §11), every two minutes: it keeps proxies and NAT bindings open.
//!
//! What stands behind Retell answers every OPTIONS with 200, so that says nothing of the agent; but 481, 408
//! or no answer at all mean that the dialog is gone, and end the call. Retell is also asked at once when the
//! stream of its leg ended; a trunk is not, since one behind a NAT cannot be reached anew and may be talking
//! all the while. Profile `keepalive`: `force`, sent; `strip`, not sent.

use std::time::{Duration, Instant};

use crate::id::LegId;
use crate::routing::Kind;
use crate::routing::config::Treatment;
use crate::sip::flow::ConnectionId;
use crate::sip::message::Method;

use crate::call::Call;
use crate::call::contract::Cx;
use crate::call::party::{Outcome, Party, Purpose, Question};

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
        party.ask(question(), cx);
    }

    /// A stream ended: an agent that spoke by it is asked whether it is still there.
    pub(in crate::call) fn on_stream_lost(&mut self, connection: ConnectionId, cx: &mut Cx<'_>) {
        for leg in [Some(LegId::CALLER), self.answered_leg()].into_iter().flatten() {
            let is_agent = self.peer(leg).is_some_and(|peer| cx.routes.peer(peer).kind == Kind::Retell);
            let lost = |party: &Party<'_>| is_agent && party.flow.connection == Some(connection);
            if let Some(mut party) = self.party(leg).filter(lost) {
                party.ask(question(), cx);
            }
        }
    }

    pub(in crate::call) fn on_keepalive(&mut self, leg: LegId, outcome: Outcome<'_>, cx: &mut Cx<'_>) {
        let why = match outcome {
            Outcome::Answered(response) if response.status() == Some(481) => {
                "does not know the call any more (481)"
            }
            Outcome::Answered(_) | Outcome::Lost => "does not answer inside the call any more",
        };
        if outcome.ends_dialog() {
            self.end_dead_leg(leg, "No answer to OPTIONS", why, cx);
        }
    }
}

fn question() -> Question {
    Question { method: Method::Options, purpose: Purpose::Keepalive, headers: Vec::new(), body: None }
}

const INTERVAL: Duration = Duration::from_secs(120);

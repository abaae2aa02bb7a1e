//! UPDATE (RFC 3311), before and after the answer: the same as a re-INVITE in one step.
//!
//! Answered on its leg. An offer in it is 500 with Retry-After while an offer of that peer waits for our
//! answer, and 491 while ours waits for the peer's (§5.2). Profile `update`: `terminate`, answered, and sent
//! where a session has to be refreshed; `strip`, 405, and not in our Allow.

use bytes::Bytes;

use super::reinvite::too_early;
use super::{allow, with};
use crate::call::Call;
use crate::call::admit::{Refused, session_in};
use crate::call::attempt::Progress;
use crate::call::caller::SDP;
use crate::call::contract::{Action, Cx};
use crate::call::in_dialog::respond;
use crate::id::{LegId, ServerTx};
use crate::routing::config::Treatment;
use crate::sdp::session::Session;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// Whether an offer may be answered.
enum Turn {
    Free,
    /// The peer's last one was not answered yet.
    Theirs,
    /// Ours was not.
    Ours,
}

impl Call {
    pub(in crate::call) fn on_update(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        let profile = self.profile(leg, cx);
        if profile.update == Treatment::Strip {
            return respond(request, tx, flow, 405, &[(Name::Allow, &allow(profile))], cx);
        }
        let offer = match session_in(request, self.exchange(leg).policy()) {
            Ok(offer) => offer,
            Err(refused) => return self.refuse(leg, tx, request, flow, &refused, cx),
        };
        match (&offer, self.turn(leg, request)) {
            (None, _) | (Some(_), Turn::Free) => {}
            (Some(_), Turn::Theirs) => return too_early(request, tx, flow, cx),
            (Some(_), Turn::Ours) => return respond(request, tx, flow, 491, &[], cx),
        }
        let timer = match self.grant_refresh(leg, request, cx) {
            Ok(timer) => timer,
            Err(refused) => return self.refuse(leg, tx, request, flow, &refused, cx),
        };
        match offer.map(|offer| self.answer_update(leg, request, &offer, cx)).transpose() {
            Ok(sdp) => {
                self.refresh_target(leg, request);
                self.renew(leg, request, cx);
                let ok = with(self.ok(leg, request, flow, cx), &timer);
                let bytes = match sdp {
                    Some(sdp) => ok.body(SDP, &sdp),
                    None => ok.no_body(),
                };
                cx.out.push(Action::Respond { tx, code: 200, bytes });
            }
            Err(refused) => self.refuse(leg, tx, request, flow, &refused, cx),
        }
    }

    fn turn(&mut self, leg: LegId, request: &Message) -> Turn {
        let (exchange, is_early_answered) = match self.attempt_mut(leg) {
            Some(callee) => {
                let answered = callee.early_of(request).is_some_and(|early| early.agreed.is_some());
                (&callee.exchange, answered)
            }
            None => (&self.caller.exchange, false),
        };
        match (exchange.offered(), exchange.awaits_answer() && !is_early_answered) {
            (Some(_), _) => Turn::Theirs,
            (None, true) => Turn::Ours,
            (None, false) => Turn::Free,
        }
    }

    fn answer_update(
        &mut self,
        leg: LegId,
        request: &Message,
        offer: &Session,
        cx: &mut Cx<'_>,
    ) -> Result<Bytes, Refused> {
        let early =
            self.attempt(leg).is_some_and(|callee| matches!(callee.progress, Progress::Pending { .. }));
        if early {
            return self.answer_early_update(leg, request, offer, cx);
        }
        let exchange = match self.attempt_mut(leg) {
            Some(callee) => &mut callee.exchange,
            None => &mut self.caller.exchange,
        };
        let sdp = exchange.answer_at_once(offer)?;
        self.relay_as_agreed(leg, cx);
        Ok(sdp)
    }

    /// In an early dialog of the callee, which has an agreement of its own: another fork may answer the call.
    fn answer_early_update(
        &mut self,
        leg: LegId,
        request: &Message,
        offer: &Session,
        cx: &mut Cx<'_>,
    ) -> Result<Bytes, Refused> {
        let callee = self.attempt_mut(leg).ok_or(Refused::NoOffer)?;
        let before =
            callee.early_of(request).and_then(|early| early.agreed.clone()).ok_or(Refused::NoOffer)?;
        let mut exchange = callee.exchange.clone();
        exchange.settle(before);
        let sdp = exchange.answer_at_once(offer)?;
        let agreed = exchange.agreed().cloned();
        callee.exchange.local = exchange.local;
        if let Some(early) = callee.early_of(request) {
            early.agreed.clone_from(&agreed);
            early.settled = true;
        }
        if let Some(agreed) = agreed {
            self.relay_as(leg, &agreed, cx);
        }
        Ok(sdp)
    }
}

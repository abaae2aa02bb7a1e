//! re-INVITE (RFC 3261 §14): a peer holds, moves its media, changes the codec or refreshes its session.
//!
//! Answered on the leg where it arrives; the other leg does not hear of it. One without an offer gets ours,
//! and its ACK the answer; one that cannot be used is refused with 488, and the session stays as it was. Ours
//! go out only to refresh a session timer; when both sides send one at a time, each refuses the other's with
//! 491 and waits as §14.1 has it. One that comes before the ACK to our last 200 shows that the 200 is there:
//! it is answered, unless that ACK is to bring an answer (RFC 5407 §3.1.4, §3.1.5). Every peer may send one,
//! so no profile has a word on it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Headers, with};
use crate::call::Call;
use crate::call::admit::{Refused, session_in};
use crate::call::attempt::DTMF_PAYLOAD_TYPE;
use crate::call::caller::{Progress, SDP};
use crate::call::contract::{Action, Cx, Destination};
use crate::call::in_dialog::respond;
use crate::call::party::{Asked, Outcome};
use crate::id::{ClientTx, Ids, LegId, ServerTx};
use crate::sdp::codec::Codec;
use crate::sip::build::Draft;
use crate::sip::dialog::{AnswerRepeat, RepeatEvent};
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

/// What a leg remembers of re-INVITEs, at most one each way.
#[derive(Debug, Default)]
pub(in crate::call) struct State {
    /// Our 200 to the peer's, which waits for its ACK.
    answered: Option<Box<Answered>>,
    /// The last of ours that was answered: its ACK goes again for every repeat of the 2xx.
    acknowledged: Option<Box<(ClientTx, Ack)>>,
}

#[derive(Debug)]
struct Answered {
    tx: ServerTx,
    cseq: u32,
    ok: Bytes,
    repeat: AnswerRepeat,
}

#[derive(Clone, Debug)]
struct Ack {
    tx: ClientTx,
    draft: Draft,
    to: Destination,
}

impl State {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.answered.as_ref().map(|answered| answered.repeat.next_deadline())
    }

    pub(super) fn stop(&mut self) {
        self.answered = None;
    }
}

impl Call {
    pub(in crate::call) fn on_reinvite(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        let is_open = match &self.caller.progress {
            Progress::Pending => true,
            Progress::Answered { closing, .. } => closing.is_some(),
            Progress::Confirmed | Progress::Closed => false,
        };
        if leg == LegId::CALLER && is_open {
            return too_early(request, tx, flow, cx);
        }
        let Some(party) = self.party(leg) else { return respond(request, tx, flow, 491, &[], cx) };
        if party.work.is_asking(Method::Invite) || party.exchange.awaits_answer() {
            return respond(request, tx, flow, 491, &[], cx);
        }
        match self.reoffered(leg, request, cx) {
            Ok((sdp, timer)) => {
                self.refresh_target(leg, request);
                let ok = with(self.ok(leg, request, flow, cx), &timer).body(SDP, &sdp);
                cx.out.push(Action::Respond { tx, code: 200, bytes: ok.clone() });
                let repeat = AnswerRepeat::start(cx.settings.timers, cx.now);
                let cseq = request.cseq().map_or(0, |cseq| cseq.number);
                if let Some(party) = self.party(leg) {
                    party.work.reinvite.answered = Some(Box::new(Answered { tx, cseq, ok, repeat }));
                }
            }
            Err(refused) => self.refuse(leg, tx, request, flow, &refused, cx),
        }
    }

    /// What our 200 to a re-INVITE says: our description, and the headers of the session timer.
    fn reoffered(
        &mut self,
        leg: LegId,
        request: &Message,
        cx: &mut Cx<'_>,
    ) -> Result<(Bytes, Headers), Refused> {
        let offer = session_in(request, self.exchange(leg).policy())?;
        let timer = self.grant_refresh(leg, request, cx)?;
        let exchange = self.party(leg).ok_or(Refused::NoOffer)?.exchange;
        let sdp = match offer {
            Some(offer) => exchange.answer_at_once(&offer)?,
            None => {
                let codec = exchange.agreed().map_or(Codec::Pcmu, |agreed| agreed.codec.codec);
                exchange.offer(super::late_offer::codecs_from(codec), Some(DTMF_PAYLOAD_TYPE))
            }
        };
        self.relay_as_agreed(leg, cx);
        self.renew(leg, request, cx);
        Ok((sdp, timer))
    }

    /// Takes an ACK with `cseq` on `leg`; false when it acknowledges no re-INVITE. An answer that is due in
    /// it and cannot be used leaves the session as it was.
    pub(in crate::call) fn on_ack_of_reinvite(
        &mut self,
        leg: LegId,
        cseq: u32,
        ack: &Message,
        cx: &mut Cx<'_>,
    ) -> bool {
        let Some(party) = self.party(leg) else { return false };
        if party.work.reinvite.answered.take_if(|answered| answered.cseq == cseq).is_none() {
            return false;
        }
        if party.exchange.awaits_answer()
            && self.take_answer(leg, ack, cx).is_err()
            && let Some(party) = self.party(leg)
        {
            party.exchange.withdraw();
        }
        true
    }

    pub(super) fn reinvite_due(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        let Some(party) = self.party(leg) else { return };
        let Some(answered) = &mut party.work.reinvite.answered else { return };
        match answered.repeat.on_deadline(cx.now) {
            None => {}
            Some(RepeatEvent::SendAgain) => {
                cx.out.push(Action::Respond { tx: answered.tx, code: 200, bytes: answered.ok.clone() });
            }
            Some(RepeatEvent::GiveUp) => {
                party.work.reinvite.answered = None;
                let who = if leg == LegId::CALLER { "caller" } else { "callee" };
                self.end_answered(&format!("the {who} never acknowledged our answer to its re-INVITE"), cx);
            }
        }
    }

    /// Acknowledges the 2xx that a re-INVITE of ours got, also if the call ended meanwhile: the peer would
    /// repeat it for 32 s.
    pub(in crate::call) fn acknowledge(
        &mut self,
        leg: LegId,
        asked: &Asked,
        outcome: Outcome<'_>,
        cx: &mut Cx<'_>,
    ) {
        let Outcome::Answered(response) = outcome else { return };
        let Some(party) = self.former_party(leg) else { return };
        if !matches!(response.status(), Some(200..=299)) {
            return;
        }
        party.dialog.refresh_target(response);
        let ack = Ack { tx: cx.ids.client_tx(), draft: party.ack(asked, cx), to: party.destination() };
        let peer = party.peer;
        party.work.reinvite.acknowledged = Some(Box::new((asked.tx, ack.clone())));
        cx.out.push(Action::Ack { tx: ack.tx, peer, draft: ack.draft, to: ack.to });
    }

    /// A re-INVITE of ours ended: the answer in its 2xx is taken, anything else takes the offer back.
    pub(super) fn on_reinvite_outcome(&mut self, leg: LegId, outcome: Outcome<'_>, cx: &mut Cx<'_>) {
        let Some(party) = self.party(leg) else { return };
        let Outcome::Answered(response) = outcome else { return party.exchange.withdraw() };
        if !matches!(response.status(), Some(200..=299)) {
            return party.exchange.withdraw();
        }
        if self.take_answer(leg, response, cx).is_err()
            && let Some(party) = self.party(leg)
        {
            party.exchange.withdraw();
        }
    }

    /// Acknowledges a repeated 2xx to a re-INVITE of ours; false when `tx` is none.
    pub(in crate::call) fn acknowledge_again(&mut self, tx: ClientTx, cx: &mut Cx<'_>) -> bool {
        let legs = std::iter::once((self.caller.peer, &self.caller.work));
        let mut legs = legs.chain(self.attempts.iter().map(|callee| (callee.peer, &callee.work)));
        let known = legs.find_map(|(peer, work)| {
            let (_, ack) = work.reinvite.acknowledged.as_deref().filter(|(invite, _)| *invite == tx)?;
            Some((peer, ack.clone()))
        });
        let Some((peer, ack)) = known else { return false };
        cx.out.push(Action::Ack { tx: ack.tx, peer, draft: ack.draft, to: ack.to });
        true
    }
}

/// 500: an earlier offer, or its ACK, is still to come (RFC 3261 §14.2, RFC 3311 §5.2).
pub(super) fn too_early(request: &Message, tx: ServerTx, flow: Flow, cx: &mut Cx<'_>) {
    let retry_after = format!("{}", cx.ids.random() % 11);
    respond(request, tx, flow, 500, &[(Name::RetryAfter, &retry_after)], cx);
}

/// How long we wait after a 491 (RFC 3261 §14.1): longer where the Call-ID is ours, in steps of 10 ms.
pub(super) fn glare_delay(leg: LegId, ids: &mut Ids) -> Duration {
    let steps = ids.random();
    if leg == LegId::CALLER {
        Duration::from_millis(steps % 201 * 10)
    } else {
        Duration::from_millis(2_100 + steps % 191 * 10)
    }
}

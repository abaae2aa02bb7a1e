//! re-INVITE and UPDATE (RFC 3261 §14, RFC 3311): a peer moves its media address or its direction.
//!
//! Answered on the leg where it arrives, with the codec that was agreed; the other leg does not hear of it. What would
//! change the codec is refused with 488, and the session stays as it was.

use std::time::Instant;

use bytes::Bytes;

use crate::call::admit::{Refused, offer_of};
use crate::call::caller::{ALLOW, Progress, SDP};
use crate::call::contract::{Action, Cx};
use crate::call::failover::host_of;
use crate::call::in_dialog::respond;
use crate::call::leg_media::leg_media;
use crate::call::{Call, State};
use crate::id::{LegId, ServerTx};
use crate::sdp::negotiate;
use crate::sdp::session::{Direction, Session};
use crate::sip::build::ResponseBuilder;
use crate::sip::dialog::{AnswerRepeat, RepeatEvent};
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// Our 200s to re-INVITEs that wait for their ACK: at most one per leg.
#[derive(Debug, Default)]
pub(in crate::call) struct Reoffers {
    open: Vec<Reoffer>,
}

#[derive(Debug)]
struct Reoffer {
    leg: LegId,
    tx: ServerTx,
    cseq: u32,
    ok: Bytes,
    repeat: AnswerRepeat,
}

impl Reoffers {
    /// Takes an ACK with `cseq` on `leg`; false when it acknowledges none of these.
    pub(in crate::call) fn acknowledge(&mut self, leg: LegId, cseq: u32) -> bool {
        let before = self.open.len();
        self.open.retain(|reoffer| reoffer.leg != leg || reoffer.cseq != cseq);
        self.open.len() < before
    }

    /// When the next repeat is due.
    pub(in crate::call) fn next_deadline(&self) -> Option<Instant> {
        self.open.iter().map(|reoffer| reoffer.repeat.next_deadline()).min()
    }

    /// Repeats what is due; returns a leg whose ACK will not come any more.
    pub(in crate::call) fn on_deadline(&mut self, cx: &mut Cx<'_>) -> Option<LegId> {
        let mut lost = None;
        self.open.retain_mut(|reoffer| match reoffer.repeat.on_deadline(cx.now) {
            None => true,
            Some(RepeatEvent::SendAgain) => {
                cx.out.push(Action::Respond { tx: reoffer.tx, code: 200, bytes: reoffer.ok.clone() });
                true
            }
            Some(RepeatEvent::GiveUp) => {
                lost = Some(reoffer.leg);
                false
            }
        });
        lost
    }

    /// The call is over: nothing is repeated any more.
    pub(in crate::call) fn clear(&mut self) {
        self.open.clear();
    }

    fn waits_on(&self, leg: LegId) -> bool {
        self.open.iter().any(|reoffer| reoffer.leg == leg)
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
        if self.reoffers.waits_on(leg) || self.has_open_invite(leg) {
            let retry_after = format!("{}", cx.ids.random() % 11);
            return respond(request, tx, flow, 500, &[(Name::RetryAfter, &retry_after)], cx);
        }
        let State::Answered { .. } = self.state else { return respond(request, tx, flow, 491, &[], cx) };
        match offer_of(request).and_then(|offer| self.apply_offer(leg, &offer, cx)) {
            Ok(sdp) => {
                self.refresh_target(leg, request);
                let ok = self.ok(leg, request, flow).body(SDP, &sdp);
                cx.out.push(Action::Respond { tx, code: 200, bytes: ok.clone() });
                let repeat = AnswerRepeat::start(cx.settings.timers, cx.now);
                let cseq = request.cseq().map_or(0, |cseq| cseq.number);
                self.reoffers.open.push(Reoffer { leg, tx, cseq, ok, repeat });
            }
            Err(refused) => self.refuse(leg, tx, request, flow, &refused, cx),
        }
    }

    pub(in crate::call) fn on_update(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        if request.body().is_empty() {
            self.refresh_target(leg, request);
            let bytes = self.ok(leg, request, flow).no_body();
            return cx.out.push(Action::Respond { tx, code: 200, bytes });
        }
        let State::Answered { .. } = self.state else { return respond(request, tx, flow, 491, &[], cx) };
        match offer_of(request).and_then(|offer| self.apply_offer(leg, &offer, cx)) {
            Ok(sdp) => {
                self.refresh_target(leg, request);
                let bytes = self.ok(leg, request, flow).body(SDP, &sdp);
                cx.out.push(Action::Respond { tx, code: 200, bytes });
            }
            Err(refused) => self.refuse(leg, tx, request, flow, &refused, cx),
        }
    }

    /// Takes a new offer of `leg` over, if it keeps the agreed codec; returns our answer.
    fn apply_offer(&mut self, leg: LegId, offer: &Session, cx: &mut Cx<'_>) -> Result<Bytes, Refused> {
        let audio = negotiate::offered(offer)?;
        let (local, agreed) = if leg == LegId::CALLER {
            (self.caller.local.as_mut(), self.caller.agreed)
        } else {
            let attempt = self.attempt_mut(leg).ok_or(Refused::NoOffer)?;
            let agreed = attempt.accepted.as_ref().map(|accepted| (accepted.codec, accepted.dtmf));
            (Some(&mut attempt.local), agreed)
        };
        let (Some(local), Some((codec, _))) = (local, agreed) else { return Err(Refused::NoOffer) };
        negotiate::same_family(audio, local.rtp.ip())?;
        let codec = negotiate::matching(audio, codec)?;
        let sdp = local.answer(offer, codec, audio.dtmf, negotiate::mirrored(audio.direction));
        let held = audio.direction != Direction::SendRecv;
        let side = Self::side(leg);
        let peer = if leg == LegId::CALLER { self.caller.peer } else { self.plan.callee };
        cx.out.push(Action::SetLeg(side, leg_media(audio, codec, audio.dtmf, cx.routes.peer(peer))));
        cx.out.push(Action::SetHeld(side, held));
        Ok(sdp)
    }

    /// Whether the INVITE that began the dialog of `leg` was its own and waits for our answer, or that for its ACK
    /// (RFC 3261 §14.2).
    fn has_open_invite(&self, leg: LegId) -> bool {
        let open = matches!(self.caller.progress, Progress::Pending | Progress::Answered { .. });
        leg == LegId::CALLER && open
    }

    fn refresh_target(&mut self, leg: LegId, request: &Message) {
        if let Some(dialog) = self.dialog_mut(leg, request) {
            dialog.refresh_target(request);
        }
    }

    fn sent_by(&self, leg: LegId) -> &str {
        self.attempt(leg).map_or(&self.caller.sent_by, |attempt| &attempt.hop.sent_by)
    }

    fn contact(&self, leg: LegId) -> String {
        match self.attempt(leg) {
            Some(attempt) => attempt.contact(),
            None => self.caller.contact.clone(),
        }
    }

    fn ok(&self, leg: LegId, request: &Message, flow: Flow) -> ResponseBuilder {
        ResponseBuilder::new(request, 200, "", None, flow.remote)
            .header(Name::Contact, self.contact(leg))
            .header(Name::Allow, ALLOW)
    }

    /// Refuses a request inside the dialog, with the header that explains it.
    pub(in crate::call) fn refuse(
        &self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        refused: &Refused,
        cx: &mut Cx<'_>,
    ) {
        let hint = refused.hint(host_of(self.sent_by(leg)));
        let hint: Vec<_> = hint.iter().map(|(name, value)| (*name, value.as_str())).collect();
        respond(request, tx, flow, refused.status(), &hint, cx);
    }
}

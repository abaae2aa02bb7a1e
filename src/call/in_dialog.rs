//! Requests inside a dialog, on either leg: each is answered here, none is forwarded.
//!
//! What stands behind Retell answers 405 to nearly everything and takes a re-INVITE in an unknown dialog for
//! a new call, so the only thing that crosses is the end of the call.

use crate::id::{LegId, ServerTx};
use crate::rtp::leg::Side;
use crate::sip::build::ResponseBuilder;
use crate::sip::dialog::CSeqOrder;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

use super::admit::{Refused, supports_required};
use super::attempt;
use super::caller::Progress;
use super::contract::{Action, Cx};
use super::failover::host_of;
use super::record::EndedBy;
use super::{Call, State, reason};

impl Call {
    pub(super) fn on_request(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        let Some(method) = request.method() else { return };
        let crosses_ours = method == Method::Bye && self.has_said_bye(leg);
        let order = match self.dialog_mut(leg, request) {
            Some(dialog) => dialog.on_request(request),
            None if crosses_ours => {
                return respond(request, tx, flow, 200, &[], cx);
            }
            None => return respond(request, tx, flow, 481, &[], cx),
        };
        match order {
            Ok(CSeqOrder::Next) => {}
            Ok(CSeqOrder::Old) => return respond(request, tx, flow, 500, &[], cx),
            Err(_) => return respond(request, tx, flow, 400, &[], cx),
        }
        if let Err(refused) = supports_required(request, self.profile(leg, cx)) {
            return self.refuse(leg, tx, request, flow, &refused, cx);
        }
        self.moved(leg, flow);
        match method {
            Method::Bye => self.on_bye(leg, tx, request, flow, cx),
            Method::Invite => self.on_reinvite(leg, tx, request, flow, cx),
            Method::Update => self.on_update(leg, tx, request, flow, cx),
            Method::Prack => self.on_prack(leg, tx, request, flow, cx),
            Method::Cancel | Method::Ack => {}
            Method::Options
            | Method::Info
            | Method::Register
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.on_aside(leg, tx, request, flow, cx),
        }
    }

    /// The ACK to a 200 of ours, to the first INVITE or to a later one.
    pub(super) fn on_ack(&mut self, leg: LegId, ack: &Message, cx: &mut Cx<'_>) {
        let Ok(cseq) = ack.cseq() else { return };
        if self.on_ack_of_reinvite(leg, cseq.number, ack, cx) || leg != LegId::CALLER {
            return;
        }
        if self.caller.invite.cseq().is_ok_and(|invite| invite.number == cseq.number) {
            self.confirm_caller(cx);
            self.on_late_answer(ack, cx);
        }
    }

    /// The caller has our 200: no more repeats, and an end that waited for this can be told.
    pub(super) fn confirm_caller(&mut self, cx: &mut Cx<'_>) {
        if let Progress::Answered { closing, .. } = &mut self.caller.progress {
            let closing = closing.take();
            self.caller.progress = Progress::Confirmed;
            if let Some(closing) = closing {
                self.caller.bye(closing.headers, cx);
            }
        }
    }

    /// Whether a BYE of ours is on its way to `leg`; one that crosses it is right, too (RFC 5407 §3).
    fn has_said_bye(&self, leg: LegId) -> bool {
        match self.attempt(leg) {
            Some(callee) => !callee.goodbyes.is_empty(),
            None => self.caller.goodbye.is_some(),
        }
    }

    /// A callee must not say BYE in an early dialog (RFC 3261 §15); its INVITE is still ours to end.
    fn on_bye(&mut self, leg: LegId, tx: ServerTx, bye: &Message, flow: Flow, cx: &mut Cx<'_>) {
        let early = |callee: &attempt::Attempt| matches!(callee.progress, attempt::Progress::Pending { .. });
        if self.attempt(leg).is_some_and(early) {
            return respond(bye, tx, flow, 481, &[], cx);
        }
        respond(bye, tx, flow, 200, &[], cx);
        if leg == LegId::CALLER {
            self.on_bye_from_caller(bye, cx);
        } else {
            self.on_bye_from_callee(leg, bye, cx);
        }
    }

    fn on_bye_from_caller(&mut self, bye: &Message, cx: &mut Cx<'_>) {
        if matches!(self.caller.progress, Progress::Pending) {
            self.caller.refuse(487, "", &[], cx);
            self.release_attempt(reason::of_cancel(bye), cx);
            return self.finish(
                EndedBy::Caller,
                487,
                "the caller hung up before the call was answered".into(),
                cx,
            );
        }
        self.caller.progress = Progress::Closed;
        let State::Answered { attempt } = self.state else {
            self.release_attempt(reason::of_cancel(bye), cx);
            return self.hung_up(EndedBy::Caller, "the caller hung up", bye, cx);
        };
        let callee = &self.attempts[attempt];
        let mut headers = self.headers_toward(callee.peer, &callee.hop.sent_by, Some(bye), cx);
        headers.extend(reason::of_bye(bye, cx.routes.peer(callee.peer).kind));
        self.close_callee(attempt, headers, cx);
        self.hung_up(EndedBy::Caller, "the caller hung up", bye, cx);
    }

    fn on_bye_from_callee(&mut self, leg: LegId, bye: &Message, cx: &mut Cx<'_>) {
        let Some(callee) = self.attempt_mut(leg) else { return };
        let answered = callee.progress == attempt::Progress::Answered;
        callee.progress = attempt::Progress::Closed;
        if !answered || !matches!(self.state, State::Answered { .. }) {
            return;
        }
        let mut headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, Some(bye), cx);
        headers.extend(reason::of_bye(bye, cx.routes.peer(self.caller.peer).kind));
        self.close_caller(headers, cx);
        self.hung_up(EndedBy::Callee, "the callee hung up", bye, cx);
    }

    /// The dialog of `leg` that `request` belongs to, while requests inside it are still answered.
    pub(super) fn dialog_mut(
        &mut self,
        leg: LegId,
        request: &Message,
    ) -> Option<&mut crate::sip::dialog::Dialog> {
        if leg == LegId::CALLER {
            let open = !matches!(self.caller.progress, Progress::Closed);
            return open.then_some(&mut self.caller.dialog);
        }
        self.attempt_mut(leg)?.dialog_of(request)
    }

    /// Remembers the path of the newest request of `leg`: a stream may have been opened anew.
    pub(super) fn moved(&mut self, leg: LegId, flow: Flow) {
        if leg == LegId::CALLER {
            self.caller.flow = flow;
        } else if let Some(attempt) = self.attempt_mut(leg) {
            attempt.flow = Some(flow);
        }
    }

    /// Refuses a request inside the dialog, with the header that explains it.
    pub(super) fn refuse(
        &self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        refused: &Refused,
        cx: &mut Cx<'_>,
    ) {
        let sent_by = self.attempt(leg).map_or(&self.caller.sent_by, |callee| &callee.hop.sent_by);
        let hint = refused.hint(host_of(sent_by));
        let hint: Vec<_> = hint.iter().map(|(name, value)| (*name, value.as_str())).collect();
        respond(request, tx, flow, refused.status(), &hint, cx);
    }

    /// The media side of `leg`.
    pub(super) fn side(leg: LegId) -> Side {
        if leg == LegId::CALLER { Side::Caller } else { Side::Callee }
    }
}

/// Answers a request inside a dialog without a body.
pub(super) fn respond(
    request: &Message,
    tx: ServerTx,
    flow: Flow,
    code: u16,
    headers: &[(Name, &str)],
    cx: &mut Cx<'_>,
) {
    let response = ResponseBuilder::new(request, code, "", None, flow.remote);
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
    cx.out.push(Action::Respond { tx, code, bytes: response.no_body() });
}

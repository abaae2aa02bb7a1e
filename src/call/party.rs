//! One end of an answered call as everything inside its dialog sees it, whichever role it
//! had when the call began.
//!
//! A request of ours inside a dialog is remembered until its final response, so that one which is challenged
//! goes again with credentials, and whoever made it hears how it ended.

use std::net::IpAddr;

use bytes::Bytes;

use crate::id::{ClientTx, InterfaceId, LegId, PeerId};
use crate::sdp::exchange::Exchange;
use crate::sip::build::Draft;
use crate::sip::dialog::Dialog;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

use super::Call;
use super::attempt;
use super::auth::{Answers, Authorization, is_own_address, is_own_host, with_authorization};
use super::caller::Progress;
use super::contract::{Action, Cx, Destination};
use super::interwork;

/// One end; borrowed from the call.
pub(super) struct Party<'a> {
    pub(super) leg: LegId,
    pub(super) peer: PeerId,
    pub(super) dialog: &'a mut Dialog,
    pub(super) exchange: &'a mut Exchange,
    pub(super) work: &'a mut interwork::Leg,
    answers: &'a mut Answers,
    open: &'a mut Vec<ClientTx>,
    /// The path that its messages come by.
    pub(super) flow: Flow,
    /// Which of our interfaces it sees.
    interface: InterfaceId,
    /// An address of its own.
    known: IpAddr,
    contact: String,
}

/// A request of ours that waits for its final response.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) tx: ClientTx,
    pub(super) cseq: u32,
    pub(super) question: Question,
    /// The credentials that it bears.
    authorization: Vec<Authorization>,
}

/// What is asked, as it goes again when it is challenged.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: Method<'static>,
    pub(super) purpose: Purpose,
    pub(super) headers: Vec<(Name, String)>,
    /// Content type and content.
    pub(super) body: Option<(&'static str, Bytes)>,
}

/// Who wants to know how a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// `interwork::session_timer`.
    Refresh,
    /// `interwork::keepalive`.
    Keepalive,
    /// Nobody: `interwork::dtmf` has said its key.
    Digit,
}

/// How a request of ours ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// Its final response.
    Answered(&'a Message),
    /// None came.
    Lost,
}

impl Outcome<'_> {
    /// Whether the peer knows nothing of the dialog any more, or nobody is there (RFC 3261 §12.2.1.2).
    pub(super) fn ends_dialog(self) -> bool {
        match self {
            Self::Answered(response) => matches!(response.status(), Some(408 | 481)),
            Self::Lost => true,
        }
    }
}

impl Party<'_> {
    /// Sends a request inside the dialog.
    pub(super) fn ask(&mut self, question: Question, cx: &mut Cx<'_>) {
        let tx = cx.ids.client_tx();
        let uri = self.dialog.next_hop();
        let is_own = is_own_host(uri, self.peer, self.known, self.flow.remote.ip(), cx.routes);
        let credentials = cx.routes.peer(self.peer).credentials.as_ref().filter(|_| is_own);
        let body = question.body.as_ref().map(|(_, body)| &body[..]).unwrap_or_default();
        let target = self.dialog.remote_target();
        let authorization = self.answers.write(credentials, question.method, target, body, cx.ids);
        let mut request = with_authorization(self.dialog.request(question.method), &authorization);
        if matches!(question.method, Method::Invite | Method::Update) {
            request = request.header(Name::Contact, &self.contact);
        }
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        let draft = match &question.body {
            Some((kind, body)) => request.body(kind, body),
            None => request.no_body(),
        };
        cx.out.push(Action::Request { tx, leg: self.leg, peer: self.peer, draft, to: self.destination() });
        self.open.push(tx);
        self.work.asked.push(Asked { tx, cseq: self.dialog.local_cseq(), question, authorization });
    }

    /// The ACK to the 2xx to a re-INVITE of ours: it repeats its credentials (RFC 3261 §22.1).
    pub(super) fn ack(&self, asked: &Asked, cx: &Cx<'_>) -> Draft {
        let uri = self.dialog.next_hop();
        let is_own = is_own_host(uri, self.peer, self.known, self.flow.remote.ip(), cx.routes);
        let authorization = if is_own { &asked.authorization[..] } else { &[] };
        with_authorization(self.dialog.ack(asked.cseq), authorization).no_body()
    }

    /// Where requests inside its dialog go.
    pub(super) fn destination(&self) -> Destination {
        let uri = self.dialog.next_hop().clone();
        Destination::Dialog { uri, flow: self.flow, interface: self.interface }
    }
}

impl Call {
    /// The end at `leg`, while its dialog is confirmed and not ended.
    pub(super) fn party(&mut self, leg: LegId) -> Option<Party<'_>> {
        let stands = match self.attempt(leg) {
            Some(callee) => callee.progress == attempt::Progress::Answered,
            None => matches!(self.caller.progress, Progress::Answered { .. } | Progress::Confirmed),
        };
        self.former_party(leg).filter(|_| stands)
    }

    /// The same, ended or not: what is still on its way is acknowledged.
    pub(super) fn former_party(&mut self, leg: LegId) -> Option<Party<'_>> {
        if leg == LegId::CALLER {
            let caller = &mut self.caller;
            return Some(Party {
                leg,
                peer: caller.peer,
                contact: caller.contact.clone(),
                dialog: &mut caller.dialog,
                exchange: &mut caller.exchange,
                work: &mut caller.work,
                answers: &mut caller.answers,
                open: &mut caller.open,
                flow: caller.flow,
                interface: caller.interface,
                known: caller.source.ip(),
            });
        }
        let callee = self.attempt_mut(leg)?;
        let contact = callee.contact();
        Some(Party {
            leg,
            contact,
            peer: callee.peer,
            dialog: callee.dialog.as_mut()?,
            exchange: &mut callee.exchange,
            work: &mut callee.work,
            answers: &mut callee.answers,
            open: &mut callee.open,
            flow: callee.flow?,
            interface: callee.hop.interface,
            known: callee.hop.remote.ip(),
        })
    }

    /// The final response to a request of ours inside a dialog; false when `tx` is none of these.
    pub(super) fn on_asked_response(
        &mut self,
        tx: ClientTx,
        response: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) -> bool {
        if self.acknowledge_again(tx, cx) {
            return true;
        }
        let Some((leg, asked)) = self.take_asked(tx) else { return false };
        let is_theirs = self.attempt(leg).is_none_or(|callee| callee.is_at_its_peer(cx.routes));
        let challenged = matches!(response.status(), Some(401 | 407));
        if let Some(mut party) = self.party(leg) {
            let vouched = is_theirs && is_own_address(flow.remote.ip(), party.peer, party.known, cx.routes);
            let may_answer = vouched && cx.routes.peer(party.peer).may_answer(response);
            if !challenged {
                party.answers.accept();
            } else if may_answer && party.answers.take(response) {
                party.ask(asked.question, cx);
                return true;
            }
        }
        self.on_outcome(leg, asked, Outcome::Answered(response), cx);
        true
    }

    /// A request of ours inside a dialog got no answer; false when `tx` is none of these.
    pub(super) fn on_asked_lost(&mut self, tx: ClientTx, cx: &mut Cx<'_>) -> bool {
        let Some((leg, asked)) = self.take_asked(tx) else { return false };
        self.on_outcome(leg, asked, Outcome::Lost, cx);
        true
    }

    /// How a request ended; of a callee that another one took the place of, nobody wants to know.
    fn on_outcome(&mut self, leg: LegId, asked: Asked, outcome: Outcome<'_>, cx: &mut Cx<'_>) {
        if asked.question.method == Method::Invite {
            self.acknowledge(leg, &asked, outcome, cx);
        }
        let is_current = leg == LegId::CALLER || Some(leg) == self.answered_leg();
        if !is_current {
            return;
        }
        match asked.question.purpose {
            Purpose::Refresh => self.on_refreshed(leg, &asked, outcome, cx),
            Purpose::Keepalive => self.on_keepalive(leg, outcome, cx),
            Purpose::Digit => {}
        }
    }

    fn take_asked(&mut self, tx: ClientTx) -> Option<(LegId, Asked)> {
        let callees = self.attempts.iter_mut().map(|callee| (callee.leg, &mut callee.work));
        let mut legs = std::iter::once((LegId::CALLER, &mut self.caller.work)).chain(callees);
        legs.find_map(|(leg, work)| {
            let at = work.asked.iter().position(|asked| asked.tx == tx)?;
            Some((leg, work.asked.swap_remove(at)))
        })
    }
}

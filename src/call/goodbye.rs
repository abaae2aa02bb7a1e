//! BYE from us, on either leg: said once the peer may hear it, and again with
//! credentials when it is challenged.
//!
//! A caller may hear it only after its ACK (RFC 3261 §15), so until then it is kept in [`Closing`]. Each BYE
//! keeps its own dialog, because a fork that was released has another than the callee that is still talking.

use std::net::IpAddr;

use crate::id::{ClientTx, LegId, PeerId};
use crate::sip::dialog::Dialog;
use crate::sip::flow::Flow;
use crate::sip::message::{Message, Method};

use super::Call;
use super::attempt::{self, Attempt};
use super::auth::{Answers, is_own_address, is_own_host, with_authorization};
use super::caller::{Caller, Closing, Progress};
use super::contract::{Action, Cx, Destination};

/// Headers passed from the other leg.
pub(super) type Passed = Vec<(Vec<u8>, Vec<u8>)>;

/// A BYE that is out.
#[derive(Debug)]
pub(super) struct Goodbye {
    tx: ClientTx,
    dialog: Dialog,
    passed: Passed,
}

/// Whom a BYE goes to.
struct Peer {
    leg: LegId,
    id: PeerId,
    /// An address of its own.
    known: IpAddr,
    /// Where its messages come from.
    path: IpAddr,
}

impl Goodbye {
    fn new(dialog: Dialog, passed: Passed, cx: &mut Cx<'_>) -> Self {
        Self { tx: cx.ids.client_tx(), dialog, passed }
    }

    /// Hands the BYE out; credentials go with it when it reaches the peer's own host, or is `vouched` to.
    fn send(&mut self, peer: &Peer, to: Destination, vouched: bool, answers: &mut Answers, cx: &mut Cx<'_>) {
        let is_own =
            vouched || is_own_host(self.dialog.next_hop(), peer.id, peer.known, peer.path, cx.routes);
        let credentials = cx.routes.peer(peer.id).credentials.as_ref().filter(|_| is_own);
        let authorization = answers.write(credentials, Method::Bye, self.dialog.remote_target(), &[], cx.ids);
        let mut bye = with_authorization(self.dialog.request(Method::Bye), &authorization);
        for (name, value) in &self.passed {
            bye = bye.header_raw(name, value);
        }
        let draft = bye.no_body();
        cx.out.push(Action::Request { tx: self.tx, leg: peer.leg, peer: peer.id, draft, to });
    }
}

impl Call {
    /// Says BYE to the caller, after its ACK if that is still to come; before our 200 it is refused.
    pub(super) fn close_caller(&mut self, headers: Passed, cx: &mut Cx<'_>) {
        match &mut self.caller.progress {
            Progress::Pending => self.caller.refuse(480, "", &headers, cx),
            Progress::Closed => {}
            Progress::Answered { closing, .. } => *closing = Some(Closing { headers }),
            Progress::Confirmed => self.caller.bye(headers, cx),
        }
    }

    /// Says BYE to the callee that answered.
    pub(super) fn close_callee(&mut self, index: usize, headers: Passed, cx: &mut Cx<'_>) {
        let attempt = &mut self.attempts[index];
        if attempt.progress != attempt::Progress::Answered {
            return;
        }
        attempt.progress = attempt::Progress::Closed;
        if let Some(dialog) = attempt.dialog.clone() {
            attempt.bye(dialog, headers, cx);
        }
    }
}

impl Caller {
    /// Says BYE now.
    pub(super) fn bye(&mut self, passed: Passed, cx: &mut Cx<'_>) {
        self.progress = Progress::Closed;
        let goodbye = Goodbye::new(self.dialog.clone(), passed, cx);
        self.say(goodbye, false, cx);
    }

    /// The final response to a BYE; one that is challenged goes again.
    pub(super) fn on_response(&mut self, tx: ClientTx, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        self.open.retain(|&open| open != tx);
        let Some(goodbye) = self.goodbye.take_if(|goodbye| goodbye.tx == tx) else { return };
        let vouched = is_own_address(flow.remote.ip(), self.peer, self.source.ip(), cx.routes);
        if vouched && cx.routes.peer(self.peer).may_answer(response) && self.answers.take(response) {
            self.say(Goodbye { tx: cx.ids.client_tx(), ..*goodbye }, vouched, cx);
        }
    }

    fn say(&mut self, mut goodbye: Goodbye, vouched: bool, cx: &mut Cx<'_>) {
        let uri = goodbye.dialog.next_hop().clone();
        let to = Destination::Dialog { uri, flow: self.flow, interface: self.interface };
        let peer =
            Peer { leg: LegId::CALLER, id: self.peer, known: self.source.ip(), path: self.flow.remote.ip() };
        goodbye.send(&peer, to, vouched, &mut self.answers, cx);
        self.open.push(goodbye.tx);
        self.goodbye = Some(Box::new(goodbye));
    }
}

impl Attempt {
    /// Says BYE in `dialog`.
    pub(super) fn bye(&mut self, dialog: Dialog, passed: Passed, cx: &mut Cx<'_>) {
        let goodbye = Goodbye::new(dialog, passed, cx);
        self.say(goodbye, false, cx);
    }

    /// The final response to a BYE; one that is challenged goes again.
    pub(super) fn on_response(&mut self, tx: ClientTx, response: &Message, flow: Flow, cx: &mut Cx<'_>) {
        self.open.retain(|&open| open != tx);
        let Some(at) = self.goodbyes.iter().position(|goodbye| goodbye.tx == tx) else { return };
        let goodbye = self.goodbyes.swap_remove(at);
        let vouched = self.is_at_its_peer(cx.routes)
            && is_own_address(flow.remote.ip(), self.peer, self.hop.remote.ip(), cx.routes);
        if vouched && cx.routes.peer(self.peer).may_answer(response) && self.answers.take(response) {
            self.say(Goodbye { tx: cx.ids.client_tx(), ..goodbye }, vouched, cx);
        }
    }

    fn say(&mut self, mut goodbye: Goodbye, vouched: bool, cx: &mut Cx<'_>) {
        let to = self.destination(&goodbye.dialog);
        let known = self.hop.remote.ip();
        let path = self.flow.map_or(known, |flow| flow.remote.ip());
        let peer = Peer { leg: self.leg, id: self.peer, known, path };
        goodbye.send(&peer, to, vouched, &mut self.answers, cx);
        self.open.push(goodbye.tx);
        self.goodbyes.reserve_exact(1);
        self.goodbyes.push(goodbye);
    }
}

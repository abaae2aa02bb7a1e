//! One attempt to reach the callee: our INVITE to one address, its challenges, and the dialogs it opened.
//!
//! We are the UAC here. An attempt outlives its usefulness: after CANCEL, or after the call went to
//! the next target, its INVITE may still be answered with 200 (and by several forks), and each such
//! callee gets ACK and BYE.

use std::sync::Arc;
use std::time::Instant;

use crate::id::{ClientTx, LegId, PeerId};
use crate::routing::{Routes, Target};
use crate::sdp::exchange::Exchange;
use crate::sdp::negotiate::Accepted;
use crate::sip::build::{Draft, RequestBuilder};
use crate::sip::dialog::Dialog;
use crate::sip::flow::{Flow, Transport};
use crate::sip::headers::Name;
use crate::sip::message::{Limits, Message, Method};
use crate::sip::prack::Received;

use super::admit::session_in;
use super::auth::{Answers, Authorization, is_own_host, with_authorization};
use super::caller::{SDP, contact};
use super::contract::{Action, Cx, Destination, Hop};
use super::goodbye::Goodbye;
use super::interwork::{self, prack};

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) leg: LegId,
    pub(super) peer: PeerId,
    pub(super) target: Arc<Target>,
    pub(super) hop: Hop,
    pub(super) identity: Identity,
    /// The INVITE's transaction; a challenge answered makes a new one.
    pub(super) tx: ClientTx,
    /// The INVITE as it was sent last; dropped with its transaction.
    pub(super) invite: Option<Draft>,
    pub(super) progress: Progress,
    /// Dialogs that provisional responses opened, until one is answered: a fork has one each.
    pub(super) early: Vec<Early>,
    /// The dialog of whoever answered first.
    pub(super) dialog: Option<Dialog>,
    /// The path that its last message came by; `None` before the first.
    pub(super) flow: Option<Flow>,
    /// Our offer, its final answer, and what came after them.
    pub(super) exchange: Exchange,
    /// What is absorbed on its leg.
    pub(super) work: interwork::Leg,
    /// The callee's challenges.
    pub(super) answers: Answers,
    /// The credentials of the last INVITE, for its ACK.
    pub(super) authorization: Vec<Authorization>,
    /// The ACK to the 2xx that won, sent again for every repeat of it.
    pub(super) ack: Option<(ClientTx, Draft, Destination)>,
    /// Dialogs of other forks that answered too: their ACK, by the tag of the fork.
    pub(super) forks: Vec<(String, ClientTx, Draft, Destination)>,
    /// The BYEs that are out.
    pub(super) goodbyes: Vec<Goodbye>,
    /// Client transactions whose end is awaited.
    pub(super) open: Vec<ClientTx>,
    /// What it ended with, for the record: its final status, or what we made of its silence.
    pub(super) code: u16,
}

/// A dialog that a provisional response opened.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// What its 18x answered to our offer.
    pub(super) agreed: Option<Accepted>,
    /// That answer is final: it came reliably, or an UPDATE followed it.
    pub(super) settled: bool,
    /// The reliable responses that were acknowledged.
    pub(super) received: Received,
}

/// Fresh for every attempt; kept when a challenge is answered.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) call_id: String,
    pub(super) from: String,
    pub(super) cseq: u32,
}

/// How far an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// No final response yet.
    Pending {
        /// Whether an 18x came: no next target after that.
        alerted: bool,
    },
    /// Given up by us; a late 2xx gets ACK and BYE.
    Abandoned,
    /// Answered and in use.
    Answered,
    /// Refused, failed, or BYE was sent or received.
    Closed,
}

impl Attempt {
    /// What the callee took: the session description of its 2xx in the dialog that was `early`, or what stood
    /// before where the 2xx has none, or comes after an answer that was final (RFC 6337 §3.1.1).
    pub(super) fn accept(&mut self, early: Option<Early>, response: &Message) -> Result<(), String> {
        let before = early.and_then(|early| early.agreed.map(|agreed| (agreed, early.settled)));
        let accepted = match (
            session_in(response, self.exchange.policy()).map_err(|error| error.to_string())?,
            before,
        ) {
            (Some(_) | None, Some((agreed, true))) | (None, Some((agreed, false))) => agreed,
            (Some(answer), _) => self.exchange.read_answer(&answer).map_err(|error| error.to_string())?,
            (None, None) => return Err("there is none".to_owned()),
        };
        self.exchange.settle(accepted);
        Ok(())
    }

    /// What was agreed with it last, be it before it answered.
    pub(super) fn agreed(&self) -> Option<&Accepted> {
        let early = self.early.iter().rev().find_map(|early| early.agreed.as_ref());
        self.exchange.agreed().or(early)
    }

    /// Whether nothing of it is left on the wire.
    pub(super) fn is_gone(&self) -> bool {
        self.open.is_empty() && matches!(self.progress, Progress::Abandoned | Progress::Closed)
    }

    /// Writes the INVITE under the identity as it stands and hands it out in a new transaction.
    pub(super) fn send_invite(&mut self, extra: &Extra<'_>, cx: &mut Cx<'_>) {
        let profile = cx.routes.peer(self.peer).profile;
        let mut request = RequestBuilder::new(Method::Invite, &self.target.uri)
            .header(Name::MaxForwards, extra.max_forwards)
            .header(Name::From, &self.identity.from)
            .header(Name::To, format_args!("<{}>", self.target.to))
            .header(Name::CallId, &self.identity.call_id)
            .header(Name::CSeq, format_args!("{} INVITE", self.identity.cseq))
            .header(Name::Contact, self.contact())
            .header(Name::Allow, interwork::allow(profile));
        let tags = interwork::supported(profile).map(|tags| (Name::Supported, tags));
        let absorbed = prack::required_of(profile).into_iter().chain(self.work.session_timer.asks(profile));
        for (name, value) in tags.into_iter().chain(absorbed) {
            request = request.header(name, value);
        }
        if self.target.is_routed {
            request = request.header(Name::Route, format_args!("<{}>", self.target.next_hop));
        }
        request = with_authorization(request, &self.authorization);
        for (name, value) in extra.headers {
            request = request.header_raw(name, value);
        }
        let draft = request.body(SDP, extra.sdp);
        self.tx = cx.ids.client_tx();
        self.open.push(self.tx);
        self.invite = Some(draft.clone());
        cx.out.push(Action::Request {
            tx: self.tx,
            leg: self.leg,
            peer: self.peer,
            draft,
            to: Destination::Hop(self.hop.clone()),
        });
    }

    /// Our Contact toward it.
    pub(super) fn contact(&self) -> String {
        contact(&self.hop.sent_by, self.hop.transport, self.target.uri.scheme)
    }

    /// The INVITE as a message, to form dialogs from.
    pub(super) fn invite_message(&self) -> Option<Message> {
        let draft = self.invite.as_ref()?;
        Message::parse(draft.with_via(Transport::Udp, &self.hop.sent_by, "z9hG4bK0"), &Limits::default()).ok()
    }

    /// Opens the early dialog of a provisional response, unless it stands (RFC 3261 §12.1.2).
    pub(super) fn open_early(&mut self, response: &Message) {
        let tag = response.to_tag().unwrap_or_default();
        let stands = self.early.iter().any(|early| early.dialog.remote_tag().as_bytes() == tag);
        if tag.is_empty() || stands || self.early.len() >= MAX_FORKS {
            return;
        }
        let dialog = self.invite_message().and_then(|invite| Dialog::uac(&invite, response).ok());
        let early = |dialog| Early { dialog, agreed: None, settled: false, received: Received::default() };
        self.early.extend(dialog.map(early));
    }

    /// The early dialog of a response, or of a request inside it.
    pub(super) fn early_of(&mut self, message: &Message) -> Option<&mut Early> {
        let tag = if message.is_request() { message.from_tag() } else { message.to_tag() }?;
        self.early.iter_mut().find(|early| early.dialog.remote_tag().as_bytes() == tag)
    }

    /// The dialog of whoever sent the 2xx `response`, with what it was while it was early. Other forks stay
    /// early: theirs may be answered too, and goes on with the CSeq that it has.
    pub(super) fn confirm(&mut self, response: &Message) -> Option<(Dialog, Option<Early>)> {
        let tag = response.to_tag().unwrap_or_default();
        let known = self.early.iter().position(|early| early.dialog.remote_tag().as_bytes() == tag);
        let Some(known) = known else {
            return Some((Dialog::uac(&self.invite_message()?, response).ok()?, None));
        };
        let early = self.early.swap_remove(known);
        self.early.shrink_to_fit();
        let mut dialog = early.dialog.clone();
        dialog.confirm(response);
        Some((dialog, Some(early)))
    }

    /// Whether `request` belongs to one of its dialogs.
    pub(super) fn matches(&self, request: &Message) -> bool {
        let early = self.early.iter().map(|early| &early.dialog);
        self.dialog.iter().chain(early).any(|dialog| dialog.matches(request))
    }

    /// The dialog of `request`, while requests inside it are still answered.
    pub(super) fn dialog_of(&mut self, request: &Message) -> Option<&mut Dialog> {
        let mut early = self.early.iter_mut().map(|early| &mut early.dialog);
        match self.progress {
            Progress::Pending { .. } => early.find(|dialog| dialog.matches(request)),
            Progress::Answered => self.dialog.as_mut().filter(|dialog| dialog.matches(request)),
            Progress::Abandoned | Progress::Closed => None,
        }
    }

    /// Sends a PRACK in the early dialog of `response`.
    pub(super) fn prack(&mut self, response: &Message, rack: &str, cx: &mut Cx<'_>) {
        let known = self.hop.remote.ip();
        let path = self.flow.map_or(known, |flow| flow.remote.ip());
        let (peer, credentials) = (self.peer, cx.routes.peer(self.peer).credentials.as_ref());
        let tag = response.to_tag().unwrap_or_default();
        let early = self.early.iter_mut().find(|early| early.dialog.remote_tag().as_bytes() == tag);
        let Some(dialog) = early.map(|early| &mut early.dialog) else { return };
        let is_own = is_own_host(dialog.next_hop(), peer, known, path, cx.routes);
        let (credentials, target) = (credentials.filter(|_| is_own), dialog.remote_target());
        let authorization = self.answers.write(credentials, Method::Prack, target, &[], cx.ids);
        let request = with_authorization(dialog.request(Method::Prack), &authorization);
        let draft = request.header(Name::RAck, rack).no_body();
        let dialog = dialog.clone();
        let (tx, to) = (cx.ids.client_tx(), self.destination(&dialog));
        cx.out.push(Action::Request { tx, leg: self.leg, peer, draft, to });
        self.open.push(tx);
    }

    /// The ACK to a 2xx in `dialog`: it repeats the credentials of its INVITE (RFC 3261 §22.1).
    pub(super) fn ack(&self, dialog: &Dialog, cx: &Cx<'_>) -> Draft {
        let known = self.hop.remote.ip();
        let path = self.flow.map_or(known, |flow| flow.remote.ip());
        let is_own = is_own_host(dialog.next_hop(), self.peer, known, path, cx.routes);
        let authorization = if is_own { &self.authorization[..] } else { &[] };
        with_authorization(dialog.ack(self.identity.cseq), authorization).no_body()
    }

    /// Whether it goes to a host of its peer's own. An address in `fallback` may be somebody else's, who must
    /// not get that peer's credentials.
    pub(super) fn is_at_its_peer(&self, routes: &Routes) -> bool {
        routes.peer(self.peer).is_own_host(&self.target.next_hop.host)
    }

    /// Where a request inside `dialog` goes.
    pub(super) fn destination(&self, dialog: &Dialog) -> Destination {
        match self.flow {
            Some(flow) => {
                let interface = self.hop.interface;
                Destination::Dialog { uri: dialog.next_hop().clone(), flow, interface }
            }
            None => Destination::Hop(self.hop.clone()),
        }
    }

    /// Its address did not take the call: others should try theirs first.
    pub(super) fn rest(&self, retry_after_s: Option<u32>, cx: &mut Cx<'_>) {
        cx.out.push(Action::Rest { hop: self.hop.clone(), retry_after_s });
    }

    /// The deadline until which silence is borne.
    pub(super) fn silent_until(is_last: bool, cx: &Cx<'_>) -> Instant {
        cx.now + if is_last { cx.settings.silent_last_target } else { cx.settings.silent_target }
    }
}

/// What an INVITE carries besides its identity.
pub(super) struct Extra<'a> {
    pub(super) max_forwards: u8,
    pub(super) headers: &'a [(Vec<u8>, Vec<u8>)],
    pub(super) sdp: &'a [u8],
}

/// More dialogs of one INVITE than this are not kept, early or answered: no fork is that wide.
pub(super) const MAX_FORKS: usize = 16;

/// The payload type under which we offer telephone events; what LiveKit expects.
pub(super) const DTMF_PAYLOAD_TYPE: u8 = 101;

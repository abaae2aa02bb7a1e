//! The leg of whoever called: our side of its INVITE, from the 100 to the ACK of the 200.
//!
//! We are the UAS here. A BYE of ours has to wait until the caller's ACK has come (RFC 3261 §15), so an end
//! that falls between 200 and ACK is kept in [`Closing`].

use std::net::SocketAddr;

use bytes::Bytes;

use crate::id::{ClientTx, InterfaceId, PeerId, ServerTx};
use crate::rtp::leg::Way;
use crate::sdp::exchange::Exchange;
use crate::sdp::session::{Audio, Session};
use crate::sip::build::ResponseBuilder;
use crate::sip::dialog::{AnswerRepeat, Dialog};
use crate::sip::flow::{Flow, Transport};
use crate::sip::headers::Name;
use crate::sip::message::Message;
use crate::sip::uri::{Scheme, Uri};

use super::auth::Answers;
use super::contract::{Action, Cx};
use super::goodbye::{Goodbye, Passed};
use super::interwork;

/// The caller's leg.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) peer: PeerId,
    /// Its INVITE without the body; kept for the headers of what we answer and for the rules that read it.
    pub(super) invite: Message,
    pub(super) tx: ServerTx,
    /// Where its requests inside the dialog go: `<sip:host:port;transport=tcp>`.
    pub(super) contact: String,
    /// The path its last request came by.
    pub(super) flow: Flow,
    /// Where its INVITE came from: what `received` and `rport` of our responses say.
    pub(super) source: SocketAddr,
    pub(super) dialog: Dialog,
    /// Which of our interfaces it sees.
    pub(super) interface: InterfaceId,
    /// Our `host:port` as it sees it.
    pub(super) sent_by: String,
    /// Its offer, our answer, and what came after them.
    pub(super) exchange: Exchange,
    /// What is absorbed on its leg.
    pub(super) work: interwork::Leg,
    /// Whether it was told 180.
    pub(super) alerted: bool,
    pub(super) progress: Progress,
    /// Code of the final response it got.
    pub(super) code: u16,
    /// Its challenges.
    pub(super) answers: Answers,
    /// The BYE that is out.
    pub(super) goodbye: Option<Box<Goodbye>>,
    /// Client transactions (BYE) whose end is awaited.
    pub(super) open: Vec<ClientTx>,
}

/// How far the caller's INVITE is.
#[derive(Debug)]
pub(super) enum Progress {
    /// No final response yet.
    Pending,
    /// 200 sent, no ACK yet.
    Answered {
        /// Repeats the 200.
        repeat: AnswerRepeat,
        /// The 200.
        ok: Bytes,
        /// Packets that had come from the caller before the 200; `None` until they are counted.
        packets_before: Option<u64>,
        /// The call ended meanwhile: BYE as soon as the ACK is here.
        closing: Option<Closing>,
    },
    /// Confirmed by its ACK.
    Confirmed,
    /// Refused, cancelled, or BYE was sent or received.
    Closed,
}

/// A BYE that waits for the ACK: the headers that it will carry.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) headers: Passed,
}

impl Caller {
    /// Whether nothing is left to be sent or awaited.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.progress, Progress::Closed) && self.open.is_empty()
    }

    /// What decides where its media is received: the address its messages come from, unless its session
    /// description is of the other family.
    pub(super) fn media_way(&self) -> Way {
        let source = self.source.ip().to_canonical();
        let offered = self.exchange.offered().and_then(audio).map(|audio| audio.rtp.ip());
        let peer = offered.filter(|wanted| wanted.is_ipv4() != source.is_ipv4()).unwrap_or(source);
        Way { interface: self.interface, peer }
    }

    /// Begins a response to the INVITE.
    pub(super) fn response(&self, code: u16, reason: &str) -> ResponseBuilder {
        ResponseBuilder::new(&self.invite, code, reason, Some(self.dialog.local_tag()), self.source)
    }

    /// Sends the 100 that stops the caller's retransmissions; without a tag, it forms no
    /// dialog (RFC 3261 §8.2.6.1).
    pub(super) fn trying(&self, cx: &mut Cx<'_>) {
        let bytes = ResponseBuilder::new(&self.invite, 100, "", None, self.source).no_body();
        cx.out.push(Action::Respond { tx: self.tx, code: 100, bytes });
    }

    /// Sends a provisional response that carries `headers` of the callee's, `ours`, and `body`, if it
    /// describes our session; returns it.
    pub(super) fn progress(
        &mut self,
        code: u16,
        headers: &[(Vec<u8>, Vec<u8>)],
        body: Option<&Bytes>,
        ours: &[(Name, String)],
        cx: &mut Cx<'_>,
    ) -> Bytes {
        let allow = interwork::allow(cx.routes.peer(self.peer).profile);
        let response =
            self.response(code, "").header(Name::Contact, &self.contact).header(Name::Allow, allow);
        let response = with_ours(with_headers(response, headers), ours);
        let bytes = match body {
            Some(body) => response.body(SDP, body),
            None => response.no_body(),
        };
        cx.out.push(Action::Respond { tx: self.tx, code, bytes: bytes.clone() });
        bytes
    }

    /// Sends the 200 and begins to repeat it.
    pub(super) fn answer(
        &mut self,
        headers: &[(Vec<u8>, Vec<u8>)],
        sdp: &Bytes,
        ours: &[(Name, String)],
        cx: &mut Cx<'_>,
    ) {
        let profile = cx.routes.peer(self.peer).profile;
        let mut response = self
            .response(200, "")
            .header(Name::Contact, &self.contact)
            .header(Name::Allow, interwork::allow(profile));
        if let Some(tags) = interwork::supported(profile) {
            response = response.header(Name::Supported, tags);
        }
        let response = with_ours(with_headers(response, headers), ours);
        let ok = if sdp.is_empty() { response.no_body() } else { response.body(SDP, sdp) };
        self.code = 200;
        cx.out.push(Action::Respond { tx: self.tx, code: 200, bytes: ok.clone() });
        let repeat = AnswerRepeat::start(cx.settings.timers, cx.now);
        self.progress = Progress::Answered { repeat, ok, packets_before: None, closing: None };
    }

    /// Sends a final refusal.
    pub(super) fn refuse(
        &mut self,
        code: u16,
        reason: &str,
        headers: &[(Vec<u8>, Vec<u8>)],
        cx: &mut Cx<'_>,
    ) {
        self.code = code;
        let bytes = with_headers(self.response(code, reason), headers).no_body();
        cx.out.push(Action::Respond { tx: self.tx, code, bytes });
        self.work.stop();
        self.progress = Progress::Closed;
    }
}

/// The Contact that a leg over `transport` shows.
pub(super) fn contact(sent_by: &str, transport: Transport, scheme: Scheme) -> String {
    match (scheme, transport) {
        (Scheme::Sips, _) => format!("<sips:{sent_by}>"),
        (Scheme::Sip | Scheme::Tel, Transport::Udp) => format!("<sip:{sent_by}>"),
        (Scheme::Sip | Scheme::Tel, Transport::Tcp | Transport::Tls) => {
            format!("<sip:{sent_by};transport={}>", transport.param())
        }
    }
}

/// The scheme of our Contact toward whoever sent `invite` (RFC 3261 §12.1.1): `sips:` is answered by `sips:`.
pub(super) fn scheme_for(invite: &Message) -> Scheme {
    let is_sips = |uri: &Uri| uri.scheme == Scheme::Sips;
    let asked = Uri::parse(invite.request_uri()).is_ok_and(|uri| is_sips(&uri));
    let routed =
        invite.record_routes().ok().and_then(|routes| routes.first().map(|route| is_sips(&route.uri)));
    if asked || routed.unwrap_or(false) { Scheme::Sips } else { Scheme::Sip }
}

/// Adds passed headers to a response.
pub(super) fn with_headers(response: ResponseBuilder, headers: &[(Vec<u8>, Vec<u8>)]) -> ResponseBuilder {
    headers.iter().fold(response, |response, (name, value)| response.header_raw(name, value))
}

/// Adds headers of our own to a response.
fn with_ours(response: ResponseBuilder, ours: &[(Name, String)]) -> ResponseBuilder {
    ours.iter().fold(response, |response, (name, value)| response.header(*name, value))
}

/// The usable audio of a session that was checked before.
fn audio(session: &Session) -> Option<&Audio> {
    session.audio.as_ref().map(|(_, audio)| audio)
}

/// The content type of every body we send.
pub const SDP: &str = "application/sdp";

/// The methods we take part in, as told to whoever asks outside a call.
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK";

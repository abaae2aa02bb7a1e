//! A call that comes in: its responses and their repetitions, CANCEL, and the 200 that makes a
//! dialog (RFC 3261 §13.3).
//!
//! What is answered, and when, is decided by `carrier` and `retell`; here is what both need for it.

use std::sync::Arc;
use std::time::Duration;

use rsip::Header;
use rsip::headers::{self, UntypedHeader as _};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::sim::call::{Call, Failure};
use crate::sim::dialog::{Dialog, Handshake, Reins, T1, Unacknowledged, path_to};
use crate::sim::endpoint::{Key, Manners, Shared};
use crate::sim::g711::Law;
use crate::sim::log::Side;
use crate::sim::message::{self, Message};
use crate::sim::rtp_socket::wall_ns;
use crate::sim::sdp::{self, Audio, Codec};
use crate::sim::wire::{Path, Received};

/// An INVITE that has no final response yet.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    invite: Message,
    path: Path,
    inbox: UnboundedReceiver<Received>,
    tag: String,
    keys: Vec<Key>,
    last_response: Option<Vec<u8>>,
    invited_ns: u64,
}

/// The caller gave up; CANCEL and INVITE are answered.
#[derive(Debug)]
pub(super) struct Cancelled;

impl Incoming {
    pub(super) fn new(
        shared: Arc<Shared>,
        received: Received,
        inbox: UnboundedReceiver<Received>,
        tag: String,
        keys: [Key; 2],
    ) -> Self {
        Self {
            shared,
            invite: received.message,
            path: received.path,
            inbox,
            tag,
            keys: keys.to_vec(),
            last_response: None,
            invited_ns: wall_ns(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn invite(&self) -> &Message {
        &self.invite
    }

    /// Sends a provisional response.
    pub(super) fn progress(&mut self, code: u16, reason: &str, allow: bool) {
        let mut response = message::response(&self.invite, code, reason, &self.tag);
        if allow {
            response.headers.push(headers::Allow::new(self.shared.manners.allow).into());
        }
        self.last_response = Some(self.shared.respond(self.path, response, None));
    }

    /// Lets `pause` pass, repeating the last response for a repeated INVITE.
    pub(super) async fn wait(&mut self, pause: Duration) -> Result<(), Cancelled> {
        let until = Instant::now() + pause;
        while let Ok(Some(received)) = timeout_at(until, self.inbox.recv()).await {
            let message = &received.message;
            if self.is_repeated_by(message) {
                self.repeat();
            } else if message.method == "CANCEL" && message.code.is_none() {
                let ok = message::response(message, 200, "OK", &self.tag);
                self.shared.respond(received.path, ok, None);
                return Err(Cancelled);
            }
        }
        Ok(())
    }

    /// Asks for credentials; the caller is expected to come again.
    pub(super) fn challenge(self, code: u16, reason: &str, header: Header) {
        let mut response = message::response(&self.invite, code, reason, &self.tag);
        response.headers.push(header);
        self.shared.respond(self.path, response, None);
        self.shared.forget(&self.keys);
    }

    /// Ends it with a failure, which over UDP is repeated until it is acknowledged if `insist`.
    pub(super) async fn refuse(mut self, code: u16, reason: &str, insist: bool) {
        let response = message::response(&self.invite, code, reason, &self.tag);
        self.last_response = Some(self.shared.respond(self.path, response, None));
        if let Some(expecter) = self.called().and_then(|number| self.shared.expecter(&number)) {
            // Nobody has to be waiting for the call.
            let _ = expecter.send(Err(Failure::Refused { code, reason: reason.to_owned() }));
        }
        if insist {
            self.insist().await;
        }
        self.shared.forget(&self.keys);
    }

    /// Waits for the ACK of a refusal, repeating it on timer G and for a repeated INVITE.
    async fn insist(&mut self) {
        let give_up = Instant::now() + T1 * 64;
        let mut pause = T1;
        while Instant::now() < give_up {
            let next = if self.path.is_reliable() { give_up } else { Instant::now() + pause };
            match timeout_at(next, self.inbox.recv()).await {
                Ok(Some(received)) if received.message.method == "ACK" => return,
                Ok(Some(received)) if self.is_repeated_by(&received.message) => self.repeat(),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => {
                    self.repeat();
                    pause = (pause * 2).min(Duration::from_secs(4));
                }
            }
        }
    }

    fn is_repeated_by(&self, message: &Message) -> bool {
        message.method == "INVITE" && message.branch == self.invite.branch
    }

    fn repeat(&self) {
        if let Some(response) = &self.last_response {
            self.shared.wire.send(self.path, response.clone());
        }
    }

    /// The number that is called: the user of To, as LiveKit reads it.
    pub(super) fn called(&self) -> Option<String> {
        self.invite.to_user()
    }

    /// Reads the offer and chooses from it.
    pub(super) fn choose(&self) -> Result<(Audio, Codec), Failure> {
        let body = self.invite.sdp().ok_or_else(|| Failure::Sdp("the INVITE has none".into()))?;
        let unusable = |error: sdp::SdpError| Failure::Sdp(error.to_string());
        let audio = Audio::read(body).map_err(unusable)?;
        let codec = audio.choose(&self.shared.manners.codecs).map_err(unusable)?;
        Ok((audio, codec))
    }

    /// Answers with 200 and lives on as a dialog.
    pub(super) async fn accept(self, audio: Audio, law: Law) {
        let port = match self.shared.open_port() {
            Ok(port) => port,
            Err(error) => {
                let Manners { side, repeats_ack: insist, .. } = self.shared.manners;
                self.shared.wire.log().complain(side, &Failure::from(error).to_string());
                return self.refuse(500, "Server Internal Error", insist).await;
            }
        };
        let manners = &self.shared.manners;
        let id = self.shared.session_id();
        let sdp = sdp::write(manners.session_name, id, port.address, &[Codec::G711(law)], audio.events);
        let mut response = message::response(&self.invite, 200, "OK", &self.tag);
        response.headers.push(headers::Contact::new(self.shared.contact(self.path)).into());
        let ok = self.shared.respond(self.path, response, Some(sdp.clone()));
        let answered = Instant::now();
        let (orders, inbox_of_orders) = mpsc::unbounded_channel();
        let (ended_sender, ended) = watch::channel(None);
        let call = Call {
            call_id: self.invite.call_id.clone(),
            stream: port.id,
            law,
            invited_ns: self.invited_ns,
            answered_ns: wall_ns(),
            orders,
            ended,
        };
        let udp = !self.path.is_reliable();
        let repeats = manners.ok_repeats.iter().filter(|_| udp).map(|after| answered + *after).collect();
        let handshake = Handshake::Callee(Box::new(Unacknowledged {
            ok,
            answered,
            repeats,
            audio_at: manners.audio_waits.filter(|_| udp).map(|after| answered + after),
            announce: self
                .called()
                .and_then(|number| self.shared.expecter(&number))
                .map(|expecter| (expecter, call)),
        }));
        let target = self
            .invite
            .contact()
            .unwrap_or_else(|| message::addr_spec(&self.invite.value("From").unwrap_or_default()).to_owned());
        let to = self.invite.value("To").unwrap_or_default();
        let dialog = Dialog {
            path: path_to(&target, self.path),
            cseq: if manners.cseq_follows_invite { self.invite.cseq } else { 0 },
            call_id: self.invite.call_id.clone(),
            local: format!("{to};tag={}", self.tag),
            remote: self.invite.value("From").unwrap_or_default(),
            shared: self.shared,
            inbox: self.inbox,
            keys: self.keys,
            target,
            port,
            sdp,
            audio,
            law,
            handshake,
        };
        dialog.run(Reins { orders: inbox_of_orders, ended: ended_sender }).await;
    }

    /// Whether the request may be answered at all by a strict endpoint: tags, branch, and
    /// one number in two places.
    pub(super) fn is_sound(&self) -> bool {
        let user = self.invite.request_uri().and_then(|uri| uri.user().map(str::to_owned));
        self.invite.from_tag.is_some()
            && self.invite.branch.starts_with("z9hG4bK")
            && (self.shared.manners.side == Side::Carrier || user == self.called())
    }
}

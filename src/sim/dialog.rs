//! A confirmed dialog at a far end: ACK, BYE, re-INVITE, and what else may come (RFC 3261 §12 to §15).
//!
//! The repetition of an unacknowledged 200 belongs here, not to the INVITE's transaction: a dialog begins
//! with the 200, and with Retell it may go on without any ACK as long as there is audio.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsip::Header;
use rsip::headers::{self, UntypedHeader as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::sim::call::{Call, Ended, Failure, Order};
use crate::sim::endpoint::{Key, Shared};
use crate::sim::g711::Law;
use crate::sim::media::Port;
use crate::sim::message;
use crate::sim::sdp::Audio;
use crate::sim::wire::{Path, Received};

/// One end of an answered call.
pub(super) struct Dialog {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: UnboundedReceiver<Received>,
    /// Taken out of the endpoint's table at the end.
    pub(super) keys: Vec<Key>,
    pub(super) call_id: String,
    /// Our From or To, with its tag.
    pub(super) local: String,
    /// Theirs.
    pub(super) remote: String,
    /// The URI of their Contact, as written.
    pub(super) target: String,
    /// How we reach the target; a response goes where its request came from.
    pub(super) path: Path,
    /// The last CSeq we used.
    pub(super) cseq: u32,
    pub(super) port: Port,
    /// Our own description, repeated for a re-INVITE.
    pub(super) sdp: String,
    pub(super) audio: Audio,
    pub(super) law: Law,
    pub(super) handshake: Handshake,
}

/// How far INVITE, 200 and ACK have come.
pub(super) enum Handshake {
    /// We called; the ACK, as it was sent.
    Caller { ack: Vec<u8> },
    /// We were called and wait for the ACK.
    Callee(Box<Unacknowledged>),
    /// We were called and it came.
    Done,
}

/// A 200 that waits for its ACK.
pub(super) struct Unacknowledged {
    pub(super) ok: Vec<u8>,
    pub(super) answered: Instant,
    /// When to repeat it; none on streams.
    pub(super) repeats: Vec<Instant>,
    /// When audio starts even so; `None` when it has started.
    pub(super) audio_at: Option<Instant>,
    /// Who is told of the call.
    pub(super) announce: Option<(oneshot::Sender<Result<Call, Failure>>, Call)>,
}

/// What an end's handle needs to steer the dialog.
pub(super) struct Reins {
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) ended: watch::Sender<Option<Ended>>,
}

impl Dialog {
    /// Lives until one side hangs up, and a little longer for what is repeated then.
    pub(super) async fn run(mut self, mut reins: Reins) {
        let mut silence = Silence::new(self.port.heard());
        if !matches!(&self.handshake, Handshake::Callee(waiting) if waiting.audio_at.is_some()) {
            self.start_audio();
        }
        let why = loop {
            let wake = self.next_repeat().map_or(silence.next_look, |at| at.min(silence.next_look));
            tokio::select! {
                Some(received) = self.inbox.recv() => {
                    if let Some(why) = self.on_message(&received) {
                        break why;
                    }
                }
                Some(Order::HangUp(reply)) = reins.orders.recv() => {
                    let outcome = self.bye().await;
                    // Whoever gave the order may not care for the outcome.
                    let _ = reply.send(outcome);
                    break Ended::Here;
                }
                () = sleep_until(wake) => {
                    if let Some(why) = self.on_time(&mut silence) {
                        // The call is over whatever the answer is.
                        let _ = self.bye().await;
                        break why;
                    }
                }
            }
        };
        if let Handshake::Callee(waiting) = &mut self.handshake
            && let Some((announce, _)) = waiting.announce.take()
        {
            // Nobody has to be waiting for the call.
            let _ = announce.send(Err(Failure::NoAck));
        }
        self.shared.media.stop(self.port.id);
        reins.ended.send_replace(Some(why));
        self.linger().await;
        self.close();
    }

    /// Ends a call that was answered after it had been given up.
    pub(super) async fn abandon(mut self) {
        // There is nobody to tell of the outcome.
        let _ = self.bye().await;
        self.close();
    }

    fn close(self) {
        self.shared.media.close(self.port.id);
        self.shared.forget(&self.keys);
    }

    fn start_audio(&self) {
        self.shared.media.aim(self.port.id, self.audio.remote, self.law, self.audio.events);
    }

    fn next_repeat(&self) -> Option<Instant> {
        match &self.handshake {
            Handshake::Callee(waiting) => {
                waiting.repeats.first().copied().into_iter().chain(waiting.audio_at).min()
            }
            Handshake::Caller { .. } | Handshake::Done => None,
        }
    }

    /// Repeats the 200, looks for silence; says why the call must end, if it must.
    fn on_time(&mut self, silence: &mut Silence) -> Option<Ended> {
        let now = Instant::now();
        self.repeat(now);
        if now < silence.next_look {
            return None;
        }
        let heard = self.port.heard();
        silence.look(heard, now);
        let manners = &self.shared.manners;
        if let Handshake::Callee(waiting) = &self.handshake
            && now >= waiting.answered + manners.ack_limit
        {
            if heard == 0 || !manners.forgives_ack {
                return Some(Ended::NoAck);
            }
            self.acknowledged();
        }
        let (first, later) = self.shared.manners.silence_limits?;
        let limit = if heard == 0 { first } else { later };
        (now >= silence.since + limit).then_some(Ended::Silence)
    }

    fn repeat(&mut self, now: Instant) {
        let Handshake::Callee(waiting) = &mut self.handshake else { return };
        if waiting.repeats.first().is_some_and(|at| *at <= now) {
            waiting.repeats.remove(0);
            self.shared.wire.send(self.path, waiting.ok.clone());
        }
        if waiting.audio_at.is_some_and(|at| at <= now) {
            waiting.audio_at = None;
            self.start_audio();
        }
    }

    /// Answers a message; says so when it ends the call.
    fn on_message(&mut self, received: &Received) -> Option<Ended> {
        let message = &received.message;
        match (message.code, message.method.as_str()) {
            (Some(200), "INVITE") => {
                if let (Handshake::Caller { ack }, true) = (&self.handshake, self.shared.manners.repeats_ack)
                {
                    self.shared.wire.send(self.path, ack.clone());
                }
            }
            (Some(_), _) => {}
            (None, "ACK") => self.acknowledged(),
            (None, "BYE") => {
                self.answer(received, 200, "OK", None);
                return Some(Ended::There);
            }
            (None, "INVITE") => self.on_invite(received),
            (None, "OPTIONS") => self.answer(received, 200, "OK", None),
            (None, "CANCEL") if !self.shared.manners.answers_stray_cancel => {}
            (None, "CANCEL") => self.answer(received, 200, "OK", None),
            (None, "NOTIFY") => self.answer(received, 481, "Subscription Does Not Exist", None),
            (None, _) => self.answer(received, 405, "Method Not Allowed", None),
        }
        None
    }

    /// A repeated INVITE gets its 200 again; a new one moves our destination and gets the same SDP as ever.
    fn on_invite(&mut self, received: &Received) {
        if let (Handshake::Callee(waiting), None) = (&self.handshake, &received.message.to_tag) {
            self.shared.wire.send(received.path, waiting.ok.clone());
            return;
        }
        if let Some(Ok(audio)) = received.message.sdp().map(Audio::read)
            && !audio.remote.ip().is_unspecified()
        {
            self.audio.remote = audio.remote;
            self.start_audio();
        }
        self.answer(received, 200, "OK", Some(self.sdp.clone()));
    }

    fn acknowledged(&mut self) {
        let Handshake::Callee(waiting) = &mut self.handshake else { return };
        let (announce, audio_waited) = (waiting.announce.take(), waiting.audio_at.is_some());
        self.handshake = Handshake::Done;
        if audio_waited {
            self.start_audio();
        }
        if let Some((announce, call)) = announce {
            // Nobody has to be waiting for the call.
            let _ = announce.send(Ok(call));
        }
    }

    fn answer(&self, received: &Received, code: u16, reason: &str, sdp: Option<String>) {
        let mut response = message::response(&received.message, code, reason, "");
        if sdp.is_some() {
            response.headers.push(headers::Contact::new(self.shared.contact(received.path)).into());
            response.headers.push(headers::Allow::new(self.shared.manners.allow).into());
        }
        self.shared.respond(received.path, response, sdp);
    }

    async fn bye(&mut self) -> Result<(), Failure> {
        self.cseq += 1;
        let branch = self.shared.branch();
        let bytes = message::finish(self.request("BYE", self.cseq, &branch), None);
        self.shared.media.stop(self.port.id);
        self.shared.wire.send(self.path, bytes.clone());
        let give_up = Instant::now() + TIMER_F;
        let mut pause = T1;
        loop {
            let next = if self.path.is_reliable() { give_up } else { (Instant::now() + pause).min(give_up) };
            match timeout_at(next, self.inbox.recv()).await {
                Ok(Some(received)) if received.message.branch == branch => match received.message.code {
                    Some(200..300) => return Ok(()),
                    Some(code @ 300..) => return Err(Failure::Bye { code }),
                    Some(_) | None => {}
                },
                Ok(Some(received)) => {
                    // A BYE that crosses ours is answered too.
                    self.on_message(&received);
                }
                Ok(None) => return Err(Failure::Gone),
                Err(_) if next >= give_up => {
                    return Err(Failure::NoResponse { method: "BYE", seconds: TIMER_F.as_secs() });
                }
                Err(_) => {
                    self.shared.wire.send(self.path, bytes.clone());
                    pause = (pause * 2).min(T2);
                }
            }
        }
    }

    /// A request of ours inside the dialog.
    pub(super) fn request(&self, method: &str, cseq: u32, branch: &str) -> rsip::Request {
        let mut headers: Vec<Header> = vec![
            headers::Via::new(self.shared.via(self.path, branch)).into(),
            headers::From::new(self.local.clone()).into(),
            headers::To::new(self.remote.clone()).into(),
            headers::CallId::new(self.call_id.clone()).into(),
            headers::CSeq::new(format!("{cseq} {method}")).into(),
            headers::MaxForwards::new("70").into(),
        ];
        if let (Some(name), "BYE") = (self.shared.manners.user_agent, method) {
            headers.push(headers::UserAgent::new(name).into());
        }
        message::request(method, &self.target, headers)
    }

    /// Answers what the other side repeats because our answer was lost.
    async fn linger(&mut self) {
        let until = Instant::now() + if self.path.is_reliable() { Duration::ZERO } else { LINGER };
        while let Ok(Some(received)) = timeout_at(until, self.inbox.recv()).await {
            self.on_message(&received);
        }
    }
}

/// Where requests to a Contact go: by the transport it names to the address it names, else as `fallback`.
pub(super) fn path_to(target: &str, fallback: Path) -> Path {
    let Ok(uri) = rsip::Uri::try_from(target) else { return fallback };
    let port = uri.port().map_or(5060, |port| *port.value());
    let Ok(ip) = uri.host().to_string().parse() else { return fallback };
    let remote = SocketAddr::new(ip, port);
    match uri.transport() {
        Some(rsip::Transport::Tcp) => Path::Tcp(remote),
        Some(_) | None => Path::Udp(remote),
    }
}

/// When audio was last heard.
struct Silence {
    heard: u64,
    since: Instant,
    next_look: Instant,
}

impl Silence {
    fn new(heard: u64) -> Self {
        let now = Instant::now();
        Self { heard, since: now, next_look: now + LOOK }
    }

    fn look(&mut self, heard: u64, now: Instant) {
        if heard != self.heard {
            self.heard = heard;
            self.since = now;
        }
        self.next_look = now + LOOK;
    }
}

/// RFC 3261 §17.1.1.1.
pub(super) const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2.
const T2: Duration = Duration::from_secs(4);
const TIMER_F: Duration = Duration::from_secs(32);
const LINGER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);

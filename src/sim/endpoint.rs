//! A far end as a whole: its sockets, its manners, and the table that leads each message to its call.
//!
//! Carrier and Retell share this machinery; where they differ, `Manners` says so, and `carrier`
//! and `retell` decide how a call that comes in is treated. A request inside a dialog is matched
//! by our tag, as LiveKit does.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::sim::call::{Call, Failure};
use crate::sim::digest::Credentials;
use crate::sim::log::{Log, Side};
use crate::sim::media::{Media, Port};
use crate::sim::message::{self, digits};
use crate::sim::sdp::Codec;
use crate::sim::stream::{Numbering, Voice};
use crate::sim::tone::Tone;
use crate::sim::uac::{self, Dial, Dialing};
use crate::sim::uas::Incoming;
use crate::sim::wire::{Path, Received, Wire};
use crate::sim::{carrier, retell};

/// A simulated carrier or Retell endpoint; it answers for as long as its runtime lives.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

/// A call that is expected to come in.
pub struct Expected {
    outcome: oneshot::Receiver<Result<Call, Failure>>,
}

/// Where the two far ends behave differently.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    pub(super) side: Side,
    /// What follows the branch in our Via.
    pub(super) via_suffix: &'static str,
    /// The value of Allow.
    pub(super) allow: &'static str,
    /// What we offer, in order; also our preference when we choose.
    pub(super) codecs: Vec<Codec>,
    /// The session name in our SDP.
    pub(super) session_name: &'static str,
    pub(super) tone: Tone,
    /// User-Agent of BYE and CANCEL.
    pub(super) user_agent: Option<&'static str>,
    /// Presented when we are challenged.
    pub(super) credentials: Option<Credentials>,
    /// Whether the digest is over the URI of To in the challenge, not the Request-URI.
    pub(super) digest_over_to: bool,
    /// Whether a repeated 200 gets another ACK.
    pub(super) repeats_ack: bool,
    /// Whether CANCEL waits for a first provisional response (RFC 3261 §9.1).
    pub(super) cancel_waits: bool,
    /// When an unacknowledged 200 is repeated over UDP, counted from the first.
    pub(super) ok_repeats: Vec<Duration>,
    /// Over UDP, how long audio waits for the ACK; otherwise it starts with the 200.
    pub(super) audio_waits: Option<Duration>,
    /// How long after the 200 a missing ACK is given up; Retell forgives it when audio comes.
    pub(super) ack_limit: Duration,
    /// Whether audio is as good as an ACK.
    pub(super) forgives_ack: bool,
    /// Hangs up after this long without RTP, at the start and later.
    pub(super) silence_limits: Option<(Duration, Duration)>,
    /// A dialog's first request bears the CSeq of the INVITE that made it, plus one.
    pub(super) cseq_follows_invite: bool,
    /// Whether a CANCEL that matches nothing is answered.
    pub(super) answers_stray_cancel: bool,
}

/// What happens to calls that come in.
pub(super) enum Role {
    Carrier(carrier::Answering),
    Retell(retell::Answering),
}

pub(super) struct Shared {
    pub(super) manners: Manners,
    pub(super) role: Role,
    pub(super) wire: Arc<Wire>,
    pub(super) media: Media,
    voice: Arc<Voice>,
    ids: Mutex<StdRng>,
    inboxes: Mutex<HashMap<Key, UnboundedSender<Received>>>,
    expected: Mutex<HashMap<String, oneshot::Sender<Result<Call, Failure>>>>,
}

/// How a message finds its call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Call-ID and our tag.
    Dialog(String, String),
    /// The branch of the INVITE that came: for its repetitions and its CANCEL.
    Invite(String),
}

impl Endpoint {
    pub(super) async fn start(
        ip: IpAddr,
        manners: Manners,
        role: Role,
        media: Media,
        log: Log,
    ) -> io::Result<Self> {
        let (wire, inbox) = Wire::bind(ip, manners.side, log).await?;
        let seed = crate::clock::seed().map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            voice: Arc::new(Voice::new(&manners.tone)),
            manners,
            role,
            wire,
            media,
            ids: Mutex::new(StdRng::from_seed(seed)),
            inboxes: Mutex::default(),
            expected: Mutex::default(),
        });
        tokio::spawn(shared.clone().route_all(inbox));
        Ok(Self { shared })
    }

    /// Where it listens, by UDP and by TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.wire.address()
    }

    /// Places a call.
    #[must_use]
    pub fn dial(&self, dial: Dial) -> Dialing {
        uac::dial(&self.shared, dial)
    }

    /// Waits for a call to `number`; formats do not matter, the last ten digits do.
    #[must_use]
    pub fn expect(&self, number: &str) -> Expected {
        let (sender, outcome) = oneshot::channel();
        lock(&self.shared.expected).insert(digits(number), sender);
        Expected { outcome }
    }
}

impl Expected {
    /// The call, once it is answered and acknowledged.
    ///
    /// # Errors
    ///
    /// Why it was not, or that it did not come within `patience`.
    pub async fn call(self, patience: Duration) -> Result<Call, Failure> {
        match tokio::time::timeout(patience, self.outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Failure::NeverCame { seconds: patience.as_secs() }),
        }
    }
}

impl Shared {
    async fn route_all(self: Arc<Self>, mut inbox: UnboundedReceiver<Received>) {
        while let Some(received) = inbox.recv().await {
            self.route(received);
        }
    }

    fn route(self: &Arc<Self>, received: Received) {
        let message = &received.message;
        let ours = if message.code.is_some() { &message.from_tag } else { &message.to_tag };
        let key = match ours {
            Some(tag) => Key::Dialog(message.call_id.clone(), tag.clone()),
            None => Key::Invite(message.branch.clone()),
        };
        let inbox = lock(&self.inboxes).get(&key).cloned();
        match inbox {
            Some(inbox) => {
                // A call that has just ended drops what still comes.
                let _ = inbox.send(received);
            }
            None if message.code.is_none() => self.on_new_request(received),
            None => {}
        }
    }

    fn on_new_request(self: &Arc<Self>, received: Received) {
        let message = &received.message;
        let has_tag = message.to_tag.is_some();
        match message.method.as_str() {
            "ACK" => {}
            "INVITE" if !has_tag || self.manners.side == Side::Retell => self.on_invite(received),
            "CANCEL" if !self.manners.answers_stray_cancel => {}
            "OPTIONS" => self.reply(&received, 200, "OK"),
            "BYE" if !has_tag => self.reply(&received, 400, "Bad Request"),
            "INVITE" | "BYE" | "CANCEL" | "NOTIFY" => {
                self.reply(&received, 481, "Call/Transaction Does Not Exist");
            }
            _ => self.reply(&received, 405, "Method Not Allowed"),
        }
    }

    fn on_invite(self: &Arc<Self>, received: Received) {
        let tag = match &self.role {
            Role::Carrier(_) => self.token(16),
            Role::Retell(answering) => answering.tag(&received.message, self.call_tag()),
        };
        let keys = [
            Key::Invite(received.message.branch.clone()),
            Key::Dialog(received.message.call_id.clone(), tag.clone()),
        ];
        let inbox = self.register(&keys);
        let incoming = Incoming::new(self.clone(), received, inbox, tag, keys);
        tokio::spawn(async move {
            match &incoming.shared().clone().role {
                Role::Carrier(answering) => answering.answer(incoming).await,
                Role::Retell(answering) => answering.answer(incoming).await,
            }
        });
    }

    /// An inbox to which all of `keys` lead.
    pub(super) fn register(&self, keys: &[Key]) -> UnboundedReceiver<Received> {
        let (sender, inbox) = mpsc::unbounded_channel();
        let mut inboxes = lock(&self.inboxes);
        for key in keys {
            inboxes.insert(key.clone(), sender.clone());
        }
        inbox
    }

    pub(super) fn forget(&self, keys: &[Key]) {
        let mut inboxes = lock(&self.inboxes);
        for key in keys {
            inboxes.remove(key);
        }
    }

    /// Who waits for a call to `number`.
    pub(super) fn expecter(&self, number: &str) -> Option<oneshot::Sender<Result<Call, Failure>>> {
        lock(&self.expected).remove(&digits(number))
    }

    /// Answers a request that belongs to no call.
    pub(super) fn reply(&self, received: &Received, code: u16, reason: &str) {
        let response = message::response(&received.message, code, reason, &self.token(8));
        self.respond(received.path, response, None);
    }

    pub(super) fn respond(&self, path: Path, mut response: rsip::Response, sdp: Option<String>) -> Vec<u8> {
        message::fill_rport(&mut response, path.remote());
        let bytes = message::finish(response, sdp);
        self.wire.send(path, bytes.clone());
        bytes
    }

    /// A fresh stream on our address.
    pub(super) fn open_port(&self) -> io::Result<Port> {
        let numbering = match self.manners.side {
            Side::Carrier => {
                let mut ids = lock(&self.ids);
                Numbering {
                    ssrc: ids.random(),
                    sequence: ids.random(),
                    timestamp: ids.random(),
                    marks_first: true,
                }
            }
            // LiveKit counts from 0 and never sets the marker.
            Side::Retell => {
                Numbering { ssrc: lock(&self.ids).random(), sequence: 0, timestamp: 0, marks_first: false }
            }
        };
        self.media.open(self.wire.address().ip(), self.voice.clone(), numbering)
    }

    /// A Via of ours with a fresh branch.
    pub(super) fn via(&self, path: Path, branch: &str) -> String {
        let Manners { via_suffix, .. } = self.manners;
        format!("SIP/2.0/{} {};branch={branch}{via_suffix}", path.via(), self.wire.address())
    }

    /// A branch no one has used.
    pub(super) fn branch(&self) -> String {
        format!("z9hG4bK{}", self.token(16))
    }

    /// The tag of a dialog.
    pub(super) fn call_tag(&self) -> String {
        match self.manners.side {
            Side::Carrier => self.token(16),
            Side::Retell => format!("SCL_{}", self.token(12)),
        }
    }

    /// A Call-ID.
    pub(super) fn call_id(&self) -> String {
        match self.manners.side {
            Side::Carrier => format!("{}@{}", self.token(20), self.wire.address().ip()),
            Side::Retell => self.token(27),
        }
    }

    /// Random letters and digits.
    pub(super) fn token(&self, length: usize) -> String {
        let mut ids = lock(&self.ids);
        (0..length).map(|_| char::from(BASE62[ids.random_range(0..BASE62.len())])).collect()
    }

    /// A random session identifier for SDP.
    pub(super) fn session_id(&self) -> u64 {
        lock(&self.ids).random()
    }

    /// Our Contact, without a user as LiveKit writes it.
    pub(super) fn contact(&self, path: Path) -> String {
        format!("<sip:{};transport={}>", self.wire.address(), path.param())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

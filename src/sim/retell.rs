//! The simulated Retell endpoint: LiveKit SIP as its source code describes it, with its
//! departures from RFC 3261.
//!
//! It rings until an agent is ready and then answers 200; 486 means that none came. It sends each final
//! response once per transaction, never repeats an ACK, remembers a refusal by Call-ID and From-tag, and
//! hangs up on a silent peer.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rsip::headers::{self, UntypedHeader as _};

use crate::sim::digest::{self, Credentials};
use crate::sim::endpoint::{Endpoint, Manners, Role};
use crate::sim::g711::Law;
use crate::sim::log::{Log, Side};
use crate::sim::media::Media;
use crate::sim::message::Message;
use crate::sim::rtp_socket::wall_ns;
use crate::sim::sdp::Codec;
use crate::sim::tone::Tone;
use crate::sim::uas::{Cancelled, Incoming};

/// How the Retell endpoint behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its address; signalling and audio use ports of their own choice.
    pub ip: IpAddr,
    /// What its agent sends while it talks.
    pub tone: Tone,
    /// Presented when it is challenged.
    pub credentials: Option<Credentials>,
    /// Asked for from callers, by 407 without qop.
    pub challenge: Option<Credentials>,
    /// When the agent comes.
    pub agent: Agent,
    /// Hangs up after this long without RTP: before the first packet, and later.
    pub media_timeouts: (Duration, Duration),
}

/// Whether an agent comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// After this long; the call is answered then.
    After(Duration),
    /// Never: 486 after this long.
    NeverWithin(Duration),
}

impl Config {
    /// An endpoint at `ip` whose agent comes after 300 ms.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            tone: TONE,
            credentials: None,
            challenge: None,
            agent: Agent::After(Duration::from_millis(300)),
            media_timeouts: (Duration::from_secs(30), Duration::from_secs(15)),
        }
    }
}

/// Starts an endpoint on the current runtime.
///
/// # Errors
///
/// The operating system's, when it has no socket or no randomness to give.
pub async fn start(config: Config, media: Media, log: Log) -> io::Result<Endpoint> {
    let manners = Manners {
        side: Side::Retell,
        via_suffix: ";alias",
        allow: "INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE",
        codecs: vec![Codec::G722, Codec::G711(Law::Mu), Codec::G711(Law::A)],
        session_name: "LiveKit",
        tone: config.tone,
        user_agent: Some("LiveKit"),
        credentials: config.credentials,
        digest_over_to: true,
        repeats_ack: false,
        cancel_waits: false,
        ok_repeats: [250, 750].map(Duration::from_millis).to_vec(),
        audio_waits: Some(Duration::from_millis(1_750)),
        ack_limit: Duration::from_secs(3),
        forgives_ack: true,
        silence_limits: Some(config.media_timeouts),
        cseq_follows_invite: true,
        answers_stray_cancel: false,
    };
    let answering = Answering { agent: config.agent, challenge: config.challenge, memory: Mutex::default() };
    Endpoint::start(config.ip, manners, Role::Retell(answering), media, log).await
}

/// The agent, at work.
pub(super) struct Answering {
    agent: Agent,
    challenge: Option<Credentials>,
    memory: Mutex<Memory>,
}

/// What outlives a transaction.
#[derive(Default)]
struct Memory {
    /// Our tag for a Call-ID and From-tag: an authenticated retry keeps it.
    tags: HashMap<Caller, String>,
    /// The nonce that a Call-ID was challenged with.
    nonces: HashMap<String, String>,
    /// Refusals, which are repeated to a caller who comes again within a minute.
    refusals: HashMap<Caller, (u16, &'static str, Instant)>,
}

/// Call-ID and From-tag.
type Caller = (String, String);

enum Admission {
    Welcome,
    Challenged(String),
    Rejected,
}

impl Answering {
    /// Our tag for this INVITE: the same as before for the same caller, else `fresh`.
    pub(super) fn tag(&self, invite: &Message, fresh: String) -> String {
        self.memory().tags.entry(caller(invite)).or_insert(fresh).clone()
    }

    pub(super) async fn answer(&self, mut incoming: Incoming) {
        if let Some((code, reason)) = self.earlier_refusal(incoming.invite()) {
            return incoming.refuse(code, reason, false).await;
        }
        if !incoming.is_sound() {
            return incoming.refuse(400, "Bad request", false).await;
        }
        incoming.progress(100, "Processing", false);
        match self.admit(incoming.invite()) {
            Admission::Welcome => {}
            Admission::Challenged(nonce) => {
                let challenge = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5");
                let header = headers::ProxyAuthenticate::new(challenge).into();
                return incoming.challenge(407, "Unauthorized", header);
            }
            Admission::Rejected => return self.refuse(incoming, 401, "Unauthorized").await,
        }
        let Ok((audio, codec)) = incoming.choose() else { return self.refuse(incoming, 400, "").await };
        let rings = match self.agent {
            Agent::After(delay) | Agent::NeverWithin(delay) => delay,
        };
        if let Err(Cancelled) = ring(&mut incoming, rings).await {
            return incoming.refuse(487, "Request Terminated", false).await;
        }
        match (self.agent, codec) {
            (Agent::NeverWithin(_), _) => self.refuse(incoming, 486, "Rejected").await,
            (Agent::After(_), Codec::G722) => {
                let log = incoming.shared().wire.log().clone();
                log.complain(Side::Retell, "G.722 was offered and would be chosen; offer one G.711 codec");
                self.refuse(incoming, 400, "").await;
            }
            (Agent::After(_), Codec::G711(law)) => incoming.accept(audio, law).await,
        }
    }

    fn admit(&self, invite: &Message) -> Admission {
        let Some(credentials) = &self.challenge else { return Admission::Welcome };
        let mut memory = self.memory();
        let (Some(nonce), Some(given)) =
            (memory.nonces.get(&invite.call_id), invite.value("Proxy-Authorization"))
        else {
            let nonce = format!("{}-{}", wall_ns() / 1_000, invite.call_id);
            memory.nonces.insert(invite.call_id.clone(), nonce.clone());
            return Admission::Challenged(nonce);
        };
        if digest::verify(&given, credentials, REALM, nonce, "INVITE") {
            Admission::Welcome
        } else {
            Admission::Rejected
        }
    }

    async fn refuse(&self, incoming: Incoming, code: u16, reason: &'static str) {
        self.memory().refusals.insert(caller(incoming.invite()), (code, reason, Instant::now()));
        incoming.refuse(code, reason, false).await;
    }

    fn earlier_refusal(&self, invite: &Message) -> Option<(u16, &'static str)> {
        let memory = self.memory();
        let (code, reason, at) = memory.refusals.get(&caller(invite))?;
        (at.elapsed() < REFUSAL_KEPT).then_some((*code, *reason))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 180 at once and then every second.
async fn ring(incoming: &mut Incoming, mut left: Duration) -> Result<(), Cancelled> {
    loop {
        incoming.progress(180, "Ringing", true);
        let pause = left.min(RINGING_INTERVAL);
        incoming.wait(pause).await?;
        left -= pause;
        if left.is_zero() {
            return Ok(());
        }
    }
}

fn caller(invite: &Message) -> Caller {
    (invite.call_id.clone(), invite.from_tag.clone().unwrap_or_default())
}

/// A prime number of Hz, so that it shares no harmonic with the carrier's 1009.
pub const TONE: Tone = Tone { hertz: 443, dbov: -13.0 };

const REALM: &str = "LiveKit";
const RINGING_INTERVAL: Duration = Duration::from_secs(1);
const REFUSAL_KEPT: Duration = Duration::from_secs(60);

//! The simulated carrier: a plain SIP trunk (RFC 3261, RFC 3264) that treats calls by a script per number.
//!
//! It follows the RFC where LiveKit does not: it repeats finals and ACKs, waits with
//! CANCEL, and answers strays.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::sim::digest::Credentials;
use crate::sim::endpoint::{Endpoint, Manners, Role};
use crate::sim::g711::Law;
use crate::sim::log::{Log, Side};
use crate::sim::media::Media;
use crate::sim::message::digits;
use crate::sim::sdp::Codec;
use crate::sim::tone::Tone;
use crate::sim::uas::{Cancelled, Incoming};

/// How the carrier behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its address; signalling and audio use ports of their own choice.
    pub ip: IpAddr,
    /// What it offers and prefers.
    pub codecs: Vec<Law>,
    /// What it sends while a call stands.
    pub tone: Tone,
    /// Presented when it is challenged.
    pub credentials: Option<Credentials>,
    /// How numbers behave, by their last ten digits.
    pub scripts: Vec<(String, Script)>,
    /// How all others do.
    pub otherwise: Script,
}

/// What a called number does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// 180 or 183, sent after 100; none when absent.
    pub progress: Option<u16>,
    /// How long it rings.
    pub ring: Duration,
    /// What comes then.
    pub then: Then,
}

/// How a called number ends its ringing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// 200.
    Answer,
    /// Another final response.
    Refuse(u16, String),
}

impl Default for Script {
    fn default() -> Self {
        Self { progress: Some(180), ring: Duration::from_millis(200), then: Then::Answer }
    }
}

impl Config {
    /// A carrier at `ip` that answers every call.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            codecs: vec![Law::Mu, Law::A],
            tone: TONE,
            credentials: None,
            scripts: Vec::new(),
            otherwise: Script::default(),
        }
    }
}

/// Starts a carrier on the current runtime.
///
/// # Errors
///
/// The operating system's, when it has no socket or no randomness to give.
pub async fn start(config: Config, media: Media, log: Log) -> io::Result<Endpoint> {
    let manners = Manners {
        side: Side::Carrier,
        via_suffix: ";rport",
        allow: "INVITE, ACK, BYE, CANCEL, OPTIONS",
        codecs: config.codecs.iter().copied().map(Codec::G711).collect(),
        session_name: "-",
        tone: config.tone,
        user_agent: None,
        credentials: config.credentials,
        digest_over_to: false,
        repeats_ack: true,
        cancel_waits: true,
        ok_repeats: [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
            .map(Duration::from_millis)
            .to_vec(),
        audio_waits: None,
        ack_limit: Duration::from_secs(32),
        forgives_ack: false,
        silence_limits: None,
        cseq_follows_invite: false,
        answers_stray_cancel: true,
    };
    let answering = Answering { scripts: config.scripts, otherwise: config.otherwise };
    Endpoint::start(config.ip, manners, Role::Carrier(answering), media, log).await
}

/// The scripts, at work.
pub(super) struct Answering {
    scripts: Vec<(String, Script)>,
    otherwise: Script,
}

impl Answering {
    pub(super) async fn answer(&self, mut incoming: Incoming) {
        incoming.progress(100, "Trying", false);
        let (audio, codec) = match incoming.choose() {
            Ok(chosen) => chosen,
            Err(_) => return incoming.refuse(488, "Not Acceptable Here", true).await,
        };
        let script = self.script(incoming.called().as_deref().unwrap_or_default());
        match script.progress {
            Some(183) => incoming.progress(183, "Session Progress", false),
            Some(_) => incoming.progress(180, "Ringing", false),
            None => {}
        }
        if let Err(Cancelled) = incoming.wait(script.ring).await {
            return incoming.refuse(487, "Request Terminated", true).await;
        }
        match (&script.then, codec) {
            (Then::Refuse(code, reason), _) => incoming.refuse(*code, reason, true).await,
            (Then::Answer, Codec::G722) => incoming.refuse(488, "Not Acceptable Here", true).await,
            (Then::Answer, Codec::G711(law)) => incoming.accept(audio, law).await,
        }
    }

    fn script(&self, number: &str) -> &Script {
        let wanted = digits(number);
        let found = self.scripts.iter().find(|(number, _)| digits(number) == wanted);
        found.map_or(&self.otherwise, |(_, script)| script)
    }
}

/// A prime number of Hz, so that it shares no harmonic with Retell's 443.
pub const TONE: Tone = Tone { hertz: 1009, dbov: -13.0 };

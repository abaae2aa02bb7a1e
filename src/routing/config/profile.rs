//! `[retell.profile]` and `[trunks.profile]`: what becomes of each thing that a peer may do inside a call.
//!
//! The words are those of session border controllers. `pass` lets it reach the other leg, `terminate` answers
//! it here, `strip` takes no part in it, and `force` has it even where the peer did not ask. Not every word
//! makes sense for every feature: each lists those that do, and why the others don't. Whatever the profile
//! says, no message of one leg is ever forwarded to the other.

use crate::config::reader::{Mistake, Reader, Section, choose};
use crate::sip::session_timer::LEAST_S;

/// What becomes of one feature on the leg of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// `"pass"`: the other leg notices.
    Pass,
    /// `"terminate"`: answered here, as its RFC says.
    Terminate,
    /// `"strip"`: not offered, not taken part in.
    Strip,
    /// `"force"`: done even where the peer does not ask for it.
    Force,
}

/// `[….profile]` of one peer, complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Hold. `terminate`: the other side hears silence. `pass`: it hears the music that the holder sends.
    pub hold: Treatment,
    /// UPDATE (RFC 3311). `terminate`: answered, and sent for what needs it. `strip`: 405.
    pub update: Treatment,
    /// Audio before the answer. `pass`: this peer hears it. `strip`: it gets 18x
    /// without a session description.
    pub early_media: Treatment,
    /// What this peer hears while the other side rings.
    pub ringback: Ringing,
    /// An INVITE without a session description. `terminate`: its ACK brings it. `strip`: 488.
    pub late_offer: Treatment,
    /// 100rel and PRACK (RFC 3262). `terminate`: where the peer has it. `force`: wherever
    /// it can be. `strip`: never.
    pub prack: Treatment,
    /// Session timers (RFC 4028). `terminate`: where the peer asks. `force`: always. `strip`: never.
    pub session_timer: Treatment,
    /// The session interval that a forced timer asks for, in seconds.
    pub session_expires_s: u32,
    /// The shortest session interval that the peer may ask for, in seconds.
    pub min_se_s: u32,
    /// OPTIONS inside the dialog, every two minutes. `force`: sent. `strip`: not sent.
    pub keepalive: Treatment,
    /// How digits come and go.
    pub dtmf: DigitsBy,
}

/// How digits travel on the leg of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsBy {
    /// `"events"`: telephone events in RTP (RFC 4733); INFO from a peer that has none, and tones toward it.
    Events,
    /// `"info"`: INFO, both ways.
    Info,
    /// `"inband"`: tones in its audio, both ways.
    Inband,
}

/// How a peer hears that the other side rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ringing {
    /// `"relay"`: it is told so, and its own exchange rings, unless it has a session description of ours.
    Relay,
    /// `"generate"`: it gets a session description at once, and a tone.
    Generate,
}

/// The profiles that need not be spelled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `"retell"`: what stands behind Retell's endpoint.
    Retell,
    /// `"standard"`: a carrier or PBX that does what the RFCs say.
    Standard,
}

/// The keys of a profile as they stand in the file; what is absent comes from the preset.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProfileKeys {
    preset: Option<Preset>,
    hold: Option<Treatment>,
    update: Option<Treatment>,
    early_media: Option<Treatment>,
    ringback: Ringing,
    late_offer: Option<Treatment>,
    prack: Option<Treatment>,
    session_timer: Option<Treatment>,
    session_expires_s: u32,
    min_se_s: u32,
    keepalive: Option<Treatment>,
    dtmf: DigitsBy,
}

/// A feature that a profile decides on.
struct Feature {
    key: &'static str,
    words: &'static [Treatment],
    /// Why the other words make no sense.
    why: &'static str,
}

impl Profile {
    /// What `preset` stands for.
    #[must_use]
    pub fn of(preset: Preset) -> Self {
        let standard = Self {
            hold: Treatment::Terminate,
            update: Treatment::Terminate,
            early_media: Treatment::Pass,
            ringback: Ringing::Relay,
            late_offer: Treatment::Terminate,
            prack: Treatment::Terminate,
            session_timer: Treatment::Terminate,
            session_expires_s: 1_800,
            min_se_s: LEAST_S,
            keepalive: Treatment::Strip,
            dtmf: DigitsBy::Events,
        };
        match preset {
            Preset::Standard => standard,
            Preset::Retell => Self {
                late_offer: Treatment::Strip,
                prack: Treatment::Strip,
                session_timer: Treatment::Strip,
                keepalive: Treatment::Force,
                ..standard
            },
        }
    }
}

impl Section for ProfileKeys {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            preset: table.parsed("preset", |text| choose("preset", text, &Preset::WORDS)),
            hold: HOLD.read(table),
            update: UPDATE.read(table),
            early_media: EARLY_MEDIA.read(table),
            ringback: table.choice("ringback", &Ringing::WORDS, Ringing::Relay),
            late_offer: LATE_OFFER.read(table),
            prack: PRACK.read(table),
            session_timer: SESSION_TIMER.read(table),
            session_expires_s: table.whole("session_expires_s", 1_800, LEAST_S..=SECONDS_PER_DAY),
            min_se_s: table.whole("min_se_s", LEAST_S, LEAST_S..=SECONDS_PER_DAY),
            keepalive: KEEPALIVE.read(table),
            dtmf: table.choice("dtmf", &DigitsBy::WORDS, DigitsBy::Events),
        }
    }
}

impl ProfileKeys {
    /// The profile: the preset that the file names, or `default`, with the file's keys laid over it.
    pub(super) fn over(self, default: Preset) -> Profile {
        let preset = Profile::of(self.preset.unwrap_or(default));
        Profile {
            hold: self.hold.unwrap_or(preset.hold),
            update: self.update.unwrap_or(preset.update),
            early_media: self.early_media.unwrap_or(preset.early_media),
            ringback: self.ringback,
            late_offer: self.late_offer.unwrap_or(preset.late_offer),
            prack: self.prack.unwrap_or(preset.prack),
            session_timer: self.session_timer.unwrap_or(preset.session_timer),
            session_expires_s: self.session_expires_s,
            min_se_s: self.min_se_s,
            keepalive: self.keepalive.unwrap_or(preset.keepalive),
            dtmf: self.dtmf,
        }
    }
}

impl Feature {
    fn read(&self, table: &mut Reader<'_>) -> Option<Treatment> {
        let Self { key, words, why } = *self;
        let allowed: Vec<_> =
            Treatment::WORDS.into_iter().filter(|(_, known)| words.contains(known)).collect();
        table.parsed(key, |text| {
            let is_known = Treatment::WORDS.iter().any(|(known, _)| *known == text);
            choose(key, text, &allowed).map_err(|mistake| match is_known {
                true => Mistake { what: format!("`{key}` is \"{text}\", but {why}"), ..mistake },
                false => mistake,
            })
        })
    }
}

impl Treatment {
    const WORDS: [(&str, Self); 4] = [
        ("pass", Self::Pass),
        ("terminate", Self::Terminate),
        ("strip", Self::Strip),
        ("force", Self::Force),
    ];
}

impl DigitsBy {
    const WORDS: [(&str, Self); 3] =
        [("events", Self::Events), ("info", Self::Info), ("inband", Self::Inband)];
}

impl Ringing {
    const WORDS: [(&str, Self); 2] = [("relay", Self::Relay), ("generate", Self::Generate)];
}

impl Preset {
    const WORDS: [(&str, Self); 2] = [("retell", Self::Retell), ("standard", Self::Standard)];
}

const HOLD: Feature = Feature {
    key: "hold",
    words: &[Treatment::Terminate, Treatment::Pass],
    why: "a peer that holds must be answered, and nobody is held by us",
};

const UPDATE: Feature = Feature {
    key: "update",
    words: &[Treatment::Terminate, Treatment::Strip],
    why: "UPDATE is never forwarded, and nothing is gained by sending one that nobody needs",
};

const EARLY_MEDIA: Feature = Feature {
    key: "early_media",
    words: &[Treatment::Pass, Treatment::Strip],
    why: "audio before the answer comes from the other side or not at all",
};

const LATE_OFFER: Feature = Feature {
    key: "late_offer",
    words: &[Treatment::Terminate, Treatment::Strip],
    why: "every callee gets an offer of ours, and a late one is up to the caller",
};

const PRACK: Feature = Feature {
    key: "prack",
    words: &[Treatment::Terminate, Treatment::Strip, Treatment::Force],
    why: "what is acknowledged on one leg says nothing of the other",
};

const SESSION_TIMER: Feature = Feature {
    key: "session_timer",
    words: &[Treatment::Terminate, Treatment::Strip, Treatment::Force],
    why: "each leg has a session of its own",
};

const KEEPALIVE: Feature = Feature {
    key: "keepalive",
    words: &[Treatment::Force, Treatment::Strip],
    why: "the peer's own OPTIONS are always answered here",
};

const SECONDS_PER_DAY: u32 = 86_400;

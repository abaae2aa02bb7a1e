//! Offer and answer of each leg (RFC 3264): what to offer the callee, what it took,
//! what to answer the caller.
//!
//! The two legs are negotiated apart, under payload types and even laws of their own. Yet the caller is
//! answered only when the callee's answer is known, with the same codec if it has it: what need not be
//! transcoded should not be.

use std::net::IpAddr;

use crate::id::srtp::LegKeys;

use super::codec::{Codec, Payload};
use super::crypto::Policy;
use super::session::{Audio, Direction, Session};

/// Why an offer or answer could not be used: 488 with the Display text as Warning (RFC 3261 §20.43).
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum NegotiationError {
    /// No m= line of audio.
    #[error("no audio stream in the session description")]
    NoAudio,
    /// Every audio line has port 0.
    #[error("every audio stream has port 0")]
    Refused,
    /// Audio only over SRTP, which is off for this peer, or with keys from elsewhere than the description.
    #[error("audio only by {proto}, which is not supported; offer RTP/AVP")]
    Secure {
        /// The profile on the m= line.
        proto: String,
    },
    /// No audio over SRTP, which this peer has to use.
    #[error("audio only by {proto}, but it has to be encrypted; offer RTP/SAVP with a=crypto")]
    NotSecure {
        /// The profile on the m= line.
        proto: String,
    },
    /// Audio over SRTP without a key that can be used.
    #[error("no usable a=crypto; supported AES_CM_128_HMAC_SHA1 and AES_256_CM_HMAC_SHA1, _80 and _32")]
    NoCommonSuite,
    /// Audio over something that is no RTP profile we know.
    #[error("audio only by {proto}; offer RTP/AVP")]
    Transport {
        /// The protocol on the m= line.
        proto: String,
    },
    /// Neither PCMU nor PCMA.
    #[error("no codec in common: offered {}, supported PCMU PCMA", list(offered))]
    NoCommonCodec {
        /// Encoding names, in order.
        offered: Vec<String>,
    },
    /// An address of the other IP family than ours on that leg.
    #[error("{address} is not of the address family in use, which is {ours}")]
    Family {
        /// Theirs.
        address: IpAddr,
        /// `IPv4` or `IPv6`.
        ours: &'static str,
    },
    /// An answer to no offer.
    #[error("there is no offer that this answers")]
    Unasked,
}

impl NegotiationError {
    /// The `warn-code` that says the same (RFC 3261 §27.2).
    #[must_use]
    pub fn warn_code(&self) -> u16 {
        match self {
            Self::Secure { .. } | Self::NotSecure { .. } | Self::Transport { .. } | Self::NoCommonSuite => {
                302
            }
            Self::Family { .. } => 301,
            Self::NoAudio | Self::Refused => 304,
            Self::NoCommonCodec { .. } => 305,
            Self::Unasked => 399,
        }
    }
}

/// The usable audio of an offer.
///
/// # Errors
///
/// Why there is none, judged by the audio line that came nearest to being usable.
pub fn offered(offer: &Session) -> Result<&Audio, NegotiationError> {
    match &offer.audio {
        Some((_, audio)) => Ok(audio),
        None => Err(unusable(offer)),
    }
}

/// Toward Retell: only one codec, since it would choose by its own order: `first` if it was offered, else the
/// first of the offer, under its static payload type.
#[must_use]
pub fn codecs_for_retell(offered: &Audio, first: Option<Codec>) -> Vec<Payload> {
    codecs_for_trunk(offered, first).into_iter().take(1).collect()
}

/// Toward a trunk: all G.711 codecs offered, `first` before the other and else in order, each once, under
/// static payload types.
#[must_use]
pub fn codecs_for_trunk(offered: &Audio, first: Option<Codec>) -> Vec<Payload> {
    let mut codecs = Vec::with_capacity(2);
    for payload in &offered.codecs {
        let ours = payload.codec.offered();
        if !codecs.contains(&ours) {
            codecs.push(ours);
        }
    }
    codecs.sort_by_key(|ours| first.is_some_and(|first| ours.codec != first));
    codecs
}

/// What a leg and we agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The codec in use, under the payload type that the peer gave it.
    pub codec: Payload,
    /// Payload type of its telephone events, if both sides have them.
    pub dtmf: Option<u8>,
    /// The payload type that our description gives them: a peer may send under either.
    pub our_dtmf: Option<u8>,
    /// Everything else it said.
    pub audio: Audio,
    /// RTCP goes by the RTP port: the peer offered that (RFC 5761).
    pub rtcp_mux: bool,
    /// What the packets are protected by, if they are.
    pub keys: Option<LegKeys>,
}

/// Reads the answer to an offer of `codecs` and `dtmf`; keys are the business of who made the offer.
///
/// An answer that lists several codecs is taken by its first that was offered: the peer may send any of
/// them, but that is the one it prefers (RFC 3264 §6.1). One that names the other G.711 law alone is wrong,
/// yet what it means is plain.
///
/// # Errors
///
/// When the stream was refused, or has no codec that we know.
pub fn accepted(
    answer: &Session,
    codecs: &[Payload],
    dtmf: Option<u8>,
) -> Result<Accepted, NegotiationError> {
    let audio = offered(answer)?;
    let was_offered = |taken: &&Payload| codecs.iter().any(|ours| ours.codec == taken.codec);
    match audio.codecs.iter().find(was_offered).or(audio.codecs.first()) {
        Some(&codec) => {
            let (theirs, audio) = (dtmf.and(audio.dtmf), audio.clone());
            Ok(Accepted {
                codec,
                dtmf: theirs,
                our_dtmf: theirs.and(dtmf),
                rtcp_mux: false,
                audio,
                keys: None,
            })
        }
        None => Err(unusable(answer)),
    }
}

/// What we take of `offer`: `codec` if it is there, else its first.
///
/// # Errors
///
/// When nothing in it can be used.
pub fn chosen(offer: &Session, codec: Option<Codec>) -> Result<Accepted, NegotiationError> {
    let audio = offered(offer)?;
    let preferred = audio.codecs.iter().find(|payload| Some(payload.codec) == codec);
    match preferred.or(audio.codecs.first()) {
        Some(&codec) => {
            let (dtmf, audio) = (audio.dtmf, audio.clone());
            Ok(Accepted { codec, dtmf, our_dtmf: dtmf, rtcp_mux: audio.rtcp_mux, audio, keys: None })
        }
        None => Err(unusable(offer)),
    }
}

/// Whether packets can be exchanged between `audio` and our address `ours`; an address that is still to be
/// learned can be of any family.
///
/// # Errors
///
/// When the two are not of one family.
pub fn same_family(audio: &Audio, ours: IpAddr) -> Result<(), NegotiationError> {
    let address = audio.rtp.ip();
    if address.is_unspecified() || address.is_ipv4() == ours.is_ipv4() {
        return Ok(());
    }
    Err(NegotiationError::Family { address, ours: if ours.is_ipv4() { "IPv4" } else { "IPv6" } })
}

/// The direction that answers `direction` (RFC 3264 §6.1): sendonly and recvonly change places.
#[must_use]
pub fn mirrored(direction: Direction) -> Direction {
    match direction {
        Direction::SendRecv => Direction::SendRecv,
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        Direction::Inactive => Direction::Inactive,
    }
}

fn unusable(session: &Session) -> NegotiationError {
    let audio = || session.lines.iter().filter(|line| line.media == "audio");
    let open = || audio().filter(|line| line.port != 0);
    let nearest = open().find(|line| match session.policy {
        Policy::Off => line.is_plain_audio(),
        Policy::Offer => line.is_secure_audio() || line.is_plain_audio(),
        Policy::Require => line.is_secure_audio(),
    });
    if let Some(line) = nearest {
        let is_known = |name: &String| {
            [Codec::Pcmu, Codec::Pcma].iter().any(|codec| codec.name().eq_ignore_ascii_case(name))
        };
        return match line.encodings.iter().any(is_known) && line.is_secure_audio() {
            true => NegotiationError::NoCommonSuite,
            false => NegotiationError::NoCommonCodec { offered: line.encodings.clone() },
        };
    }
    match (audio().next(), open().next()) {
        (None, _) => NegotiationError::NoAudio,
        (Some(_), None) => NegotiationError::Refused,
        (Some(_), Some(line)) => {
            let proto = line.proto.clone();
            match session.policy {
                Policy::Off if proto.to_ascii_uppercase().contains("SAVP") => {
                    NegotiationError::Secure { proto }
                }
                Policy::Off | Policy::Offer => NegotiationError::Transport { proto },
                Policy::Require => NegotiationError::NotSecure { proto },
            }
        }
    }
}

/// The first few names, so that the Warning stays one line of reasonable length.
fn list(names: &[String]) -> String {
    match names.get(..MAX_LISTED) {
        Some(first) if names.len() > MAX_LISTED => format!("{} and more", first.join(" ")),
        _ if names.is_empty() => "none".to_owned(),
        _ => names.join(" "),
    }
}

/// How many codecs a message names.
const MAX_LISTED: usize = 8;

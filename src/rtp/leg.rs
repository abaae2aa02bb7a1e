//! What signalling tells the relay about one leg's stream, and what it hears back, as plain values.
//!
//! They live here, below both, because a call (pure) decides them and the media engine (not pure) obeys:
//! neither may see the other.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::g711::Law;
use super::srtp::LegKeys;
use crate::id::InterfaceId;

/// One of the two legs of a relayed call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Side {
    /// Whoever called.
    Caller,
    /// Whoever was called.
    Callee,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        })
    }
}

/// One leg's stream, as its session description has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegMedia {
    /// Where the peer says it wants RTP; may be private or unspecified, latching then decides.
    pub remote: SocketAddr,
    /// Whether it is sent packets where its own come from (RFC 4961); else at `remote` and nowhere else.
    pub learn: bool,
    /// Where it says it wants RTCP (RFC 3605); the port above RTP if it says nothing.
    pub remote_rtcp: SocketAddr,
    /// How reports are exchanged with it.
    pub rtcp: Rtcp,
    /// The payload type of its audio, both ways.
    pub audio_payload_type: u8,
    /// The law of its audio.
    pub law: Law,
    /// The payload type that its session description gives telephone events (RFC 4733), if it takes them.
    pub dtmf_payload_type: Option<u8>,
    /// The one that ours gives them: it may send under either.
    pub our_dtmf_payload_type: Option<u8>,
    /// Whether the peer sends; what it sends all the same is dropped when not.
    pub sends: bool,
    /// Whether the peer wants to receive.
    pub receives: bool,
    /// Milliseconds of audio in each packet that it is sent.
    pub ptime_ms: u8,
    /// It is sent silence when it was sent nothing for so many milliseconds; 0 is never.
    pub fill_ms: u32,
    /// Once it was heard, seconds without a packet after which it is dead, whatever the
    /// common time-out; 0 is never.
    pub dead_after_s: u32,
    /// The keys of its SRTP and ours; plain RTP without.
    pub srtp: Option<Box<LegKeys>>,
    /// Digits that it plays as tones are taken for telephone events.
    pub inband_dtmf: bool,
    /// Digits for it are played to it as tones: it takes no events.
    pub plays_digits: bool,
}

/// How RTCP reaches a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// It is sent none, and no port is open for its own.
    Never,
    /// Between ports of its own, as RFC 3550 §11 has it.
    Separate,
    /// On the RTP port (RFC 5761).
    Muxed,
}

impl LegMedia {
    /// A peer that sends and receives packets of 20 ms under `audio_payload_type` (PCMU if that is no static
    /// one), has RTCP on the port above, and whose pauses are left as they are.
    #[must_use]
    pub fn new(remote: SocketAddr, audio_payload_type: u8) -> Self {
        Self {
            remote,
            learn: true,
            remote_rtcp: SocketAddr::new(remote.ip(), remote.port().saturating_add(1)),
            rtcp: Rtcp::Separate,
            audio_payload_type,
            law: Law::of_payload_type(audio_payload_type).unwrap_or(Law::Mu),
            dtmf_payload_type: None,
            our_dtmf_payload_type: None,
            sends: true,
            receives: true,
            ptime_ms: 20,
            fill_ms: 0,
            dead_after_s: 0,
            srtp: None,
            inband_dtmf: false,
            plays_digits: false,
        }
    }
}

/// What decides the ports that a side gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// By which of our interfaces it is reached.
    pub interface: InterfaceId,
    /// Where it is: decides the address family, and for a wildcard our address.
    pub peer: IpAddr,
}

impl From<IpAddr> for Way {
    /// By the only interface.
    fn from(peer: IpAddr) -> Self {
        Self { interface: InterfaceId::default(), peer }
    }
}

/// The addresses that stand in our session descriptions, as the peers see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Where the caller is to send its RTP.
    pub caller: SocketAddr,
    /// Where the callee is to send its RTP.
    pub callee: SocketAddr,
}

/// Why a call gets no media.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ReserveError {
    /// No media thread has a pair left for each side.
    #[error(
        "media port range exhausted ({in_use} pairs in use, {resting} resting, {refused} held by other \
         programs or \
         refused by the operating system): widen [media].ports, or those of its interface"
    )]
    NoPorts {
        /// Lent to calls.
        in_use: usize,
        /// Left on a media thread that has none for the other side.
        resting: usize,
        /// Could not be opened.
        refused: usize,
    },
    /// No listening address has the family of the address that this side wants its audio at.
    #[error(
        "no media address of the address family of the {side}: add one to [media].listen, or to its interface"
    )]
    NoFamily {
        /// Whose media it is.
        side: Side,
    },
    /// The routing table knows no way to the peer.
    #[error("no route from [media].listen, or its interface, to {peer}")]
    NoRoute {
        /// Where its signalling comes from.
        peer: IpAddr,
    },
}

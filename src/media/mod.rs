//! The media engine: pooled ports, relay threads, and the handle that signalling holds.
//!
//! A packet goes `socket` → [`forward`] (pure) → `socket` on one thread, in one buffer. Signalling never touches a packet
//! and is never waited for: it leaves commands and reads counters. What a peer's packets can do here is bounded by
//! [`latch`], which decides whose they are.

mod address;
pub mod config;
mod counters;
mod engine;
pub mod forward;
mod handle;
pub mod latch;
mod leg;
mod limits;
mod link;
mod mailbox;
mod ports;
mod reason;
mod reports;
mod socket;
mod strangers;
mod stream;
mod wheel;
mod worker;

use std::io;
use std::net::IpAddr;

pub use config::Config;
pub use engine::{Engine, PacketTotals};
pub use limits::{Capacity, FileLimit, raise_file_limit};

pub use crate::rtp::leg::{LegMedia, Reserved, Rtcp, Side};

use crate::id::CallId;

/// Why a call gets no media; all of these are 503.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ReserveError {
    /// No media thread has a pair left for each side.
    #[error(
        "media port range exhausted ({in_use} pairs in use, {resting} resting, {refused} held by other programs or \
         refused by the operating system): widen [media].ports"
    )]
    NoPorts {
        /// Lent to calls.
        in_use: usize,
        /// Left on a media thread that has none for the other side.
        resting: usize,
        /// Could not be opened.
        refused: usize,
    },
    /// No listening address has the family of the peer's.
    #[error("no media address of the peer's family: add one to [media].listen")]
    NoFamily,
    /// The routing table knows no way to the peer.
    #[error("no route from [media].listen to {peer}")]
    NoRoute {
        /// Where its signalling comes from.
        peer: IpAddr,
    },
}

/// One leg's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// Sent to this peer, silence and digits of ours included.
    pub packets_sent: u64,
    /// What those hold, RTP headers included.
    pub bytes_sent: u64,
    /// RTP packets that came from this peer, each once.
    pub packets_received: u64,
    /// What those hold, RTP headers included.
    pub bytes_received: u64,
    /// Packets of this peer that never came (RFC 3550 A.3).
    pub packets_lost: u64,
    /// Packets of this peer that came too late to be placed, or after silence was sent in their place.
    pub packets_late: u64,
    /// Packets of this peer that came once more.
    pub packets_duplicate: u64,
    /// Packets of this peer that came after one that it sent later.
    pub packets_reordered: u64,
    /// Interarrival jitter of this peer's packets in milliseconds (RFC 3550 A.8).
    pub jitter_ms: f64,
    /// The longest time between two packets of this peer in milliseconds, hold left out.
    pub longest_gap_ms: f64,
    /// Milliseconds from the answer to the first audio of this peer.
    pub first_audio_ms: Option<f64>,
    /// To this peer and back, in milliseconds, as its reports tell.
    pub rtt_ms: Option<f64>,
    /// The part of what it was sent that was lost on the way, 0 to 1, as its last report tells.
    pub peer_loss: Option<f64>,
    /// What this peer sounds like, 1 to 4.5 (ITU-T G.107); `None` before it was heard.
    pub mos: Option<f64>,
    /// Packets that came from elsewhere and were dropped.
    pub strangers: u64,
    /// Packets of silence that this peer was sent while the other one said nothing.
    pub packets_filled: u64,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket can be opened at an address of `[media].listen`.
    #[error(
        "`listen`: no socket can be opened at {address} ({error}); write an address of this machine, or \"0.0.0.0\", \
         and the public one into `advertise`"
    )]
    Listen {
        /// The address.
        address: IpAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// There is no room for a single call.
    #[error("{0}")]
    NoRoom(Capacity),
    /// The operating system gives no descriptors, threads or randomness.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Out of the media threads into signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing came from `side` for the silence time-out.
    Silent {
        /// Whose media it is.
        call: CallId,
        /// Who is silent.
        side: Side,
    },
    /// The thread that relayed it panicked: it carries nothing any more.
    Failed {
        /// Whose media it was.
        call: CallId,
    },
    /// No audio came from `side` for 5 s while the other side was heard; each side once.
    OneWay {
        /// Whose media it is.
        call: CallId,
        /// Whose audio is missing.
        side: Side,
        /// What is likely.
        cause: OneWay,
    },
}

/// Why one direction may carry nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneWay {
    /// Nothing came since the answer.
    NeverHeard,
    /// Packets come, but from a source that is not the peer's as far as its session description tells.
    OnlyStrangers,
    /// It was heard before.
    Stopped,
}

impl OneWay {
    /// For people: what to look at.
    #[must_use]
    pub fn likely(self) -> &'static str {
        match self {
            Self::NeverHeard => {
                "nothing ever came: a firewall, or our advertised address can't be reached from there"
            }
            Self::OnlyStrangers => "packets come from another address than it signalled: NAT on its side",
            Self::Stopped => "it was heard before: hold or mute without a word, or its network is gone",
        }
    }
}

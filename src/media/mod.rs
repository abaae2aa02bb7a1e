//! The media engine: pooled ports, relay threads, and the handle that signalling holds.
//!
//! A packet goes `socket` → [`forward`] (pure) → `socket` on one thread, in one buffer. Signalling never
//! touches a packet and is never waited for: it leaves commands and reads counters. What a peer's packets can
//! do here is bounded by [`latch`], which decides whose they are.

mod address;
pub mod config;
mod counters;
mod digits;
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
mod recut;
mod reports;
mod socket;
mod strangers;
mod stream;
mod tones;
mod wheel;
mod worker;

use std::io;
use std::net::IpAddr;

pub use config::Config;
pub use digits::Press;
pub use engine::{Engine, PacketTotals};
pub use limits::{Capacity, FileLimit, raise_file_limit};

pub use crate::rtp::leg::{LegMedia, ReserveError, Reserved, Rtcp, Side, Way};
pub use crate::rtp::leg_stats::LegStats;

use crate::id::CallId;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket can be opened at an address of `[media].listen`.
    #[error(
        "`listen`: no socket can be opened at {address} ({error}); write an address of this machine, or \
         \"0.0.0.0\", \
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
    /// The peer of `side` pressed a key, told once when it is over; to a peer that has them in its audio
    /// stream, as events or as tones, it was passed on already.
    Digit {
        /// Whose media it is.
        call: CallId,
        /// Who pressed it.
        side: Side,
        /// What, and for how long. Not for logs: it may belong to somebody's secret.
        press: Press,
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
    /// Packets come, but none that holds audio under a payload type and key that were agreed on.
    NotUnderstood,
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
            Self::NotUnderstood => {
                "packets come, but no audio that was agreed on: another codec, other keys, or only noise"
            }
            Self::Stopped => "it was heard before: hold or mute without a word, or its network is gone",
        }
    }
}

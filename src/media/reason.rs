//! Why a datagram was not relayed, as counted and as a label of a metric.
//!
//! A reason is no error: most are what a peer, or somebody who takes himself for one, does every day.

use crate::rtp::packet::NotRtp;
use crate::rtp::repacketise::NotCut;
use crate::rtp::srtp::UnprotectError;

/// Why a datagram was not relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Shorter than an RTP header.
    TooShort,
    /// Not RTP version 2: STUN, DTLS, junk.
    WrongVersion,
    /// A header that promises more than the datagram holds.
    Malformed,
    /// RTCP, which ends at each leg.
    Rtcp,
    /// Longer than a receive buffer, or than 200 ms of audio that would have to be cut.
    TooLong,
    /// Not from the peer of this leg.
    Stranger,
    /// A payload type that one of the two legs did not negotiate.
    UnknownPayload,
    /// SRTP under another key than was agreed on, or altered on its way.
    NotAuthentic,
    /// SRTP under a key that has no packets or sources left.
    KeySpent,
    /// It was relayed already.
    Duplicate,
    /// Too old to be placed, or silence was sent in its place.
    Late,
    /// Comfort noise (RFC 3389), which says that its sender falls silent.
    ComfortNoise,
    /// Its leg, or the other one, has no session description yet.
    NoPeer,
    /// One side is on hold: it said that it does not send, or the other that it does not receive; or a digit
    /// of ours goes out in its place.
    Muted,
    /// The other peer gave no address that can be sent to, and was not heard yet.
    NoDestination,
    /// The operating system did not take it.
    SendFailed,
    /// It came for a call that is over.
    Pooled,
}

impl Reason {
    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; 17] = [
        Self::TooShort,
        Self::WrongVersion,
        Self::Malformed,
        Self::Rtcp,
        Self::TooLong,
        Self::Stranger,
        Self::UnknownPayload,
        Self::NotAuthentic,
        Self::KeySpent,
        Self::Duplicate,
        Self::Late,
        Self::ComfortNoise,
        Self::NoPeer,
        Self::Muted,
        Self::NoDestination,
        Self::SendFailed,
        Self::Pooled,
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// As the `result` label of a metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::WrongVersion => "wrong_version",
            Self::Malformed => "malformed",
            Self::Rtcp => "rtcp",
            Self::TooLong => "too_long",
            Self::Stranger => "stranger",
            Self::UnknownPayload => "unknown_payload",
            Self::NotAuthentic => "not_authentic",
            Self::KeySpent => "key_spent",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::ComfortNoise => "comfort_noise",
            Self::NoPeer => "no_peer",
            Self::Muted => "muted",
            Self::NoDestination => "no_destination",
            Self::SendFailed => "send_failed",
            Self::Pooled => "pooled",
        }
    }
}

impl From<NotRtp> for Reason {
    fn from(what: NotRtp) -> Self {
        match what {
            NotRtp::TooShort => Self::TooShort,
            NotRtp::WrongVersion => Self::WrongVersion,
            NotRtp::Malformed => Self::Malformed,
            NotRtp::Rtcp => Self::Rtcp,
        }
    }
}

impl From<NotCut> for Reason {
    fn from(what: NotCut) -> Self {
        match what {
            NotCut::Duplicate => Self::Duplicate,
            NotCut::Late => Self::Late,
            NotCut::TooLong { .. } => Self::TooLong,
        }
    }
}

impl From<UnprotectError> for Reason {
    fn from(what: UnprotectError) -> Self {
        match what {
            UnprotectError::Malformed => Self::Malformed,
            UnprotectError::TooShort => Self::TooShort,
            UnprotectError::WrongTag | UnprotectError::UnknownMki | UnprotectError::NotEncrypted => {
                Self::NotAuthentic
            }
            UnprotectError::Replayed => Self::Duplicate,
            UnprotectError::TooOld => Self::Late,
            UnprotectError::TooManySources | UnprotectError::Exhausted => Self::KeySpent,
        }
    }
}

//! What signalling tells the relay about one leg's stream, as plain values.
//!
//! They live here, below both, because a call (pure) decides them and the media engine (not pure) obeys: neither
//! may see the other.

use std::net::SocketAddr;

/// One of the two legs of a relayed call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Side {
    /// Whoever called.
    Caller,
    /// Whoever was called.
    Callee,
}

/// One leg's stream, as its session description has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegMedia {
    /// Where the peer says it wants RTP; may be private or unspecified, latching then decides.
    pub remote: SocketAddr,
    /// Where it says it wants RTCP.
    pub remote_rtcp: SocketAddr,
    /// The payload type of its audio, both ways.
    pub audio_payload_type: u8,
    /// The payload type of its telephone events (RFC 4733), if it takes them.
    pub dtmf_payload_type: Option<u8>,
    /// Whether the peer sends; what it sends all the same is dropped when not.
    pub sends: bool,
    /// Whether the peer wants to receive.
    pub receives: bool,
}

/// The addresses that stand in our session descriptions, as the peers see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Where the caller is to send its RTP.
    pub caller: SocketAddr,
    /// Where the callee is to send its RTP.
    pub callee: SocketAddr,
}

//! What the relay tells signalling about one leg's stream, as a plain value: for
//! records, the API and metrics.
//!
//! Like [`leg`](super::leg) it lives below both. "Received" is what came from the peer of that leg, so its
//! loss, jitter and MOS say how the *other* leg's peer heard it.

use serde::Serialize;

/// One leg's figures; times are in milliseconds, rounded to a hundredth when they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LegStats {
    /// Sent to this peer, silence and digits of ours included.
    pub packets_sent: u64,
    /// RTP packets that came from this peer, each once.
    pub packets_received: u64,
    /// Packets of this peer that never came (RFC 3550 A.3).
    pub packets_lost: u64,
    /// Interarrival jitter of this peer's packets in milliseconds (RFC 3550 A.8).
    #[serde(serialize_with = "rounded")]
    pub jitter_ms: f64,
    /// What this peer sounds like, 1 to 4.5 (ITU-T G.107); `None` before it was heard.
    #[serde(serialize_with = "rounded_if_any")]
    pub mos: Option<f64>,
    /// To this peer and back, in milliseconds, as its reports tell.
    #[serde(serialize_with = "rounded_if_any")]
    pub rtt_ms: Option<f64>,
    /// Milliseconds from the answer to the first audio of this peer.
    #[serde(serialize_with = "rounded_if_any")]
    pub first_audio_ms: Option<f64>,
    /// The longest time between two packets of this peer in milliseconds, hold left out.
    #[serde(serialize_with = "rounded")]
    pub longest_gap_ms: f64,
    /// Packets of this peer that came too late to be placed, or after silence was sent in their place.
    pub packets_late: u64,
    /// Packets of this peer that came once more.
    pub packets_duplicate: u64,
    /// Packets of this peer that came after one that it sent later.
    pub packets_reordered: u64,
    /// Packets of silence or ringing that this peer was sent while the other one said nothing.
    pub packets_filled: u64,
    /// Packets that came from elsewhere and were dropped.
    pub strangers: u64,
    /// The part of what it was sent that was lost on the way, 0 to 1, as its last report tells.
    #[serde(serialize_with = "rounded_if_any")]
    pub peer_loss: Option<f64>,
    /// What those hold, RTP headers included.
    pub bytes_sent: u64,
    /// What those hold, RTP headers included.
    pub bytes_received: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn rounded<S: serde::Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value * 100.0).round() / 100.0)
}

fn rounded_if_any<S: serde::Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => rounded(value, to),
        None => to.serialize_none(),
    }
}

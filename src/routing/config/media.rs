//! The keys of a peer about its audio: where it is sent, what while nobody speaks, and its reports.

use crate::config::reader::Reader;

/// How media goes to and from one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerMedia {
    /// Milliseconds without a packet for this peer after which it is sent silence; 0 is never. Default `100`.
    pub fill_ms: u32,
    /// Where it is sent RTP. Default `"latch"`.
    pub rtp: Aim,
    /// Reports about it. Default `"never"` for a `[[retell]]`, which sends none and reads none; `"auto"` for a trunk.
    pub rtcp: Reports,
}

/// `rtcp`: reports to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// `"auto"`: it is sent reports, and its own are read (RFC 3550 §6).
    Auto,
    /// `"never"`: none is sent, and no port waits for its own.
    Never,
}

/// `rtp`: where a peer is sent RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// `"latch"`: where its own packets come from, once they are known to be its own.
    Latch,
    /// `"sdp"`: where its session description says, and only what comes from there is taken.
    Sdp,
}

impl PeerMedia {
    pub(super) fn read(table: &mut Reader<'_>, rtcp: Reports) -> Self {
        let aims = [("latch", Aim::Latch), ("sdp", Aim::Sdp)];
        let words = [("auto", Reports::Auto), ("never", Reports::Never)];
        Self {
            fill_ms: table.whole("fill_ms", 100, 0..=60_000),
            rtp: table.choice("rtp", &aims, Aim::Latch),
            rtcp: table.choice("rtcp", &words, rtcp),
        }
    }
}

impl Default for PeerMedia {
    /// That of a trunk.
    fn default() -> Self {
        Self { fill_ms: 100, rtp: Aim::Latch, rtcp: Reports::Auto }
    }
}

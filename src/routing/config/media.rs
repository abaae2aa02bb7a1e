//! The keys of a peer about its audio: where it is sent, what while nobody speaks, and its reports.

use crate::config::reader::{KeyPath, Mistake, Reader, Review};
use crate::sdp::codec::Codec;
use crate::sdp::crypto::Policy;
use crate::sip::flow::Transport;

/// How media goes to and from one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerMedia {
    /// Milliseconds without a packet for this peer after which it is sent silence; 0 is never. Default `100`.
    pub fill_ms: u32,
    /// Where it is sent RTP. Default `"latch"`.
    pub rtp: Aim,
    /// Which law of G.711 it is offered before the other, and is taken of what it offers itself. Default
    /// none: as whoever calls has them.
    pub first_codec: Option<Codec>,
    /// Whether it is encrypted, by keys in the session description. Default `"off"`.
    pub srtp: Policy,
    /// Send and take those keys where anybody on the way can read them. Default `false`.
    pub srtp_over_cleartext: bool,
    /// Reports about it. Default `"never"` for a `[[retell]]`, which sends none and reads
    /// none; `"auto"` for a trunk.
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
            first_codec: table.parsed("first_codec", parse_codec),
            srtp: table.choice("srtp", &Policy::WORDS, Policy::Off),
            srtp_over_cleartext: table.flag("srtp_over_cleartext", false),
        }
    }

    /// Whether media is encrypted where signalling goes over `transport`: not where that would show the keys.
    /// `None` is neither with nor without.
    #[must_use]
    pub fn srtp_over(&self, transport: Transport) -> Option<Policy> {
        match (transport, self.srtp) {
            (Transport::Tls, policy) => Some(policy),
            (Transport::Udp | Transport::Tcp, policy) if self.srtp_over_cleartext => Some(policy),
            (Transport::Udp | Transport::Tcp, Policy::Off | Policy::Offer) => Some(Policy::Off),
            (Transport::Udp | Transport::Tcp, Policy::Require) => None,
        }
    }

    /// Refuses keys over cleartext where calls to the peer go.
    pub(super) fn check(&self, is_cleartext: bool, here: &KeyPath, review: &mut Review<'_>) {
        if self.srtp != Policy::Off && is_cleartext && !self.srtp_over_cleartext {
            let what = format!(
                "`srtp` is \"{}\", but `uri` is not by TLS, so that anybody could read its keys",
                self.srtp
            );
            let instead = "write ;transport=tls in `uri`, or srtp_over_cleartext = true";
            review.mistake(&here.key("srtp"), Mistake::new(what, instead));
        }
    }
}

fn parse_codec(text: &str) -> Result<Codec, Mistake> {
    let known = [Codec::Pcmu, Codec::Pcma].into_iter().find(|codec| codec.name().eq_ignore_ascii_case(text));
    known.ok_or_else(|| {
        let what = format!("`first_codec` is \"{text}\", which is not relayed");
        Mistake::new(what, "write \"PCMU\" or \"PCMA\"")
    })
}

impl Default for PeerMedia {
    /// That of a trunk.
    fn default() -> Self {
        Self {
            fill_ms: 100,
            rtp: Aim::Latch,
            rtcp: Reports::Auto,
            first_codec: None,
            srtp: Policy::Off,
            srtp_over_cleartext: false,
        }
    }
}

//! What the relay is told of a leg: its session description and its peer's keys, in the relay's words.

use crate::routing::config::{Aim, DigitsBy, Reports};
use crate::routing::{Kind, Peer};
use crate::rtp::g711::Law;
use crate::rtp::leg::{LegMedia, Rtcp};
use crate::sdp::codec::Codec;
use crate::sdp::negotiate::Accepted;
use crate::sdp::session::Audio;

/// The leg of `peer`, with which this was agreed.
pub(super) fn leg_media(agreed: &Accepted, peer: &Peer) -> LegMedia {
    let Accepted { codec, dtmf, our_dtmf, rtcp_mux, audio, keys } = agreed;
    LegMedia {
        learn: peer.media.rtp == Aim::Latch,
        remote_rtcp: audio.rtcp,
        rtcp: match peer.media.rtcp {
            Reports::Auto if *rtcp_mux => Rtcp::Muxed,
            Reports::Auto => Rtcp::Separate,
            Reports::Never => Rtcp::Never,
        },
        law: match codec.codec {
            Codec::Pcmu => Law::Mu,
            Codec::Pcma => Law::A,
        },
        dtmf_payload_type: *dtmf,
        our_dtmf_payload_type: *our_dtmf,
        inband_dtmf: peer.profile.dtmf == DigitsBy::Inband,
        plays_digits: dtmf.is_none() && peer.profile.dtmf != DigitsBy::Info,
        sends: audio.direction.sends(),
        receives: audio.direction.receives(),
        ptime_ms: match peer.kind {
            Kind::Retell => PTIME_MS,
            Kind::Trunk => ptime_ms(audio),
        },
        fill_ms: peer.media.fill_ms,
        dead_after_s: peer.agent_silence_s,
        srtp: keys.clone().map(Box::new),
        ..LegMedia::new(audio.rtp, codec.payload_type)
    }
}

/// The length of packet that `audio` asks for and takes, in steps of 10 ms.
fn ptime_ms(audio: &Audio) -> u8 {
    let most = audio.maxptime.unwrap_or(LONGEST_MS).clamp(SHORTEST_MS, LONGEST_MS);
    let wanted = audio.ptime.unwrap_or(PTIME_MS.into()).clamp(SHORTEST_MS, most);
    u8::try_from(wanted / SHORTEST_MS * SHORTEST_MS).unwrap_or(PTIME_MS)
}

/// What Retell expects, and everybody who asks for nothing (RFC 3551 §4.2).
const PTIME_MS: u8 = 20;
const SHORTEST_MS: u32 = 10;
const LONGEST_MS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::session::Session;

    #[test]
    fn packets_are_as_long_as_the_peer_asks_for_and_takes() {
        for (attributes, expected) in [
            ("", 20),
            ("a=ptime:20\r\n", 20),
            ("a=ptime:30\r\n", 30),
            ("a=ptime:25\r\n", 20),
            ("a=ptime:5\r\n", 10),
            ("a=ptime:200\r\n", 60),
            ("a=maxptime:10\r\n", 10),
            ("a=ptime:40\r\na=maxptime:30\r\n", 30),
            ("a=ptime:40\r\na=maxptime:4000000000\r\n", 40),
        ] {
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\n{attributes}"
            );
            let session = Session::parse(sdp.as_bytes()).unwrap();

            assert_eq!(ptime_ms(&session.audio.unwrap().1), expected, "{attributes}");
        }
    }
}

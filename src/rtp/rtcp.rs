//! RTCP, terminated at each leg (RFC 3550 §6, RFC 5761 §4): reading, writing, and when to report.
//!
//! Nothing of it is ever forwarded: SSRCs, counts and CNAMEs are those of one leg, and mean nothing on the
//! other. Each leg has a [`Session`] of two members, the peer and us, which reports what was really sent and
//! received there.

mod ntp;
mod read;
mod schedule;
mod session;
mod write;

pub use ntp::{Ntp, NtpClock};
pub use read::{Compound, NotRtcp, Packet, ReportBlock, SenderInfo};
pub use session::{PeerReport, Session, View};
pub use write::{Cname, MAX_BYTES};

/// Whether `datagram`, on a port that RTP comes to as well, is RTCP: version 2 and a packet type of 192 to
/// 223.
///
/// As RTP these would be marked packets of the payload types 64 to 95, which RFC 5761 §4 reserves for this
/// reason.
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, _, _, ..] if first >> 6 == 2)
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_types_that_rfc_5761_keeps_free_of_rtp_are_rtcp_and_their_neighbours_are_not() {
        let recognised: Vec<u8> = (0..=255).filter(|&kind| is_rtcp(&[0x80, kind, 0, 1])).collect();

        assert!((192..=223).eq(recognised));
        assert!(!is_rtcp(&[0x00, 200, 0, 1]));
        assert!(!is_rtcp(&[0x80, 200, 0]));
    }
}

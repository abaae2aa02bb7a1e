//! Recognising RTCP (RFC 3550 §6, RFC 5761 §4).
//!
//! RTCP is received and dropped, never forwarded: its SSRCs, counts and CNAMEs are those of one leg, and mean nothing on
//! the other. Reports that describe what a peer was really sent can only be made here.

/// Whether `datagram` is an RTCP packet: version 2 and one of the types SR, RR, SDES, BYE, APP.
///
/// As RTP these would be marked packets of the payload types 72 to 76, which RFC 3551 §6 reserves for this reason.
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, SENDER_REPORT..=APPLICATION_DEFINED, _, _, ..] if first >> 6 == 2)
}

const SENDER_REPORT: u8 = 200;
const APPLICATION_DEFINED: u8 = 204;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_packet_types_of_rfc_3550_are_rtcp_and_their_neighbours_are_not() {
        let recognised: Vec<u8> = (0..=255).filter(|&kind| is_rtcp(&[0x80, kind, 0, 1])).collect();

        assert_eq!(recognised, [200, 201, 202, 203, 204]);
        assert!(!is_rtcp(&[0x00, 200, 0, 1]));
        assert!(!is_rtcp(&[0x80, 200, 0]));
    }
}

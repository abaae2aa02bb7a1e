//! Where the clear header of a packet ends (RFC 3550 §5.1, §6.4.1; RFC 3711 §3.1, §3.4).
//!
//! rtp-rs is no help here: it checks the padding, whose length is encrypted.

/// What stands in the clear before an RTP payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RtpHeader {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// Behind contributing sources and header extension.
    pub(super) payload_at: usize,
}

impl RtpHeader {
    /// `None` if `packet` is not RTP version 2 or ends before its payload begins.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let &[first, _, s0, s1, _, _, _, _, a, b, c, d] = packet.first_chunk()?;
        if first >> 6 != VERSION {
            return None;
        }
        let mut payload_at = RTP_BYTES + 4 * usize::from(first & SOURCE_COUNT);
        if first & EXTENSION != 0 {
            let &[_, _, high, low] = packet.get(payload_at..)?.first_chunk()?;
            payload_at += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        (payload_at <= packet.len()).then_some(Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([s0, s1]),
            payload_at,
        })
    }
}

/// The sender of an RTCP packet, behind whose eight octets everything is encrypted; `None` if it is not
/// RTCP version 2.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let &[first, _, _, _, a, b, c, d] = packet.first_chunk::<RTCP_BYTES>()?;
    (first >> 6 == VERSION).then_some(u32::from_be_bytes([a, b, c, d]))
}

/// Octets of an RTCP packet in the clear.
pub(super) const RTCP_BYTES: usize = 8;

const RTP_BYTES: usize = 12;
const VERSION: u8 = 2;
const EXTENSION: u8 = 0x10;
const SOURCE_COUNT: u8 = 0x0F;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_begins_behind_sources_and_extension() {
        let mut packet = [0; 40];
        packet[..12].copy_from_slice(&[0x92, 0, 1, 2, 0, 0, 0, 0, 0xA, 0xB, 0xC, 0xD]);
        packet[20..24].copy_from_slice(&[0xBE, 0xDE, 0, 2]);

        let header = RtpHeader { ssrc: 0x0A0B_0C0D, sequence: 0x0102, payload_at: 32 };
        assert_eq!(RtpHeader::parse(&packet), Some(header));
        assert_eq!(RtpHeader::parse(&packet[..32]), Some(header));
        assert_eq!(RtpHeader::parse(&packet[..31]), None);
        assert_eq!(RtpHeader::parse(&packet[..23]), None);
    }

    #[test]
    fn only_version_2_is_read() {
        let versions = [0x00, 0x40, 0x80, 0xC0];

        assert_eq!(
            versions.map(|first| RtpHeader::parse(&[first; 80]).is_some()),
            [false, false, true, false]
        );
        assert_eq!(versions.map(|first| rtcp_ssrc(&[first; 8]).is_some()), [false, false, true, false]);
        assert_eq!(rtcp_ssrc(&[0x80; 7]), None);
    }
}

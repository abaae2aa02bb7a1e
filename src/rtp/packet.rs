//! One RTP packet in the buffer it was received into (RFC 3550 §5.1): validated by
//! rtp-rs, rewritten by setters.
//!
//! Parsing checks the whole header and leaves twelve bytes of it: contributing sources, extension and padding
//! are cut out, since what one peer says in them is not the other's business, and could mislead it. The
//! setters touch those twelve bytes only, and so can never fail.

use rtp_rs::{RtpReader, RtpReaderError};

use super::continuity::Position;
use super::rtcp;

/// A valid RTP packet of a plain header and a payload, both open for rewriting.
#[derive(Debug)]
pub struct Packet<'a> {
    header: &'a mut [u8; HEADER_BYTES],
    payload: &'a mut [u8],
}

impl<'a> Packet<'a> {
    /// Checks that `datagram` is RTP, and makes its header plain; the packet may end
    /// before the datagram does.
    ///
    /// Hot path: no allocation, one pass over the header.
    ///
    /// # Errors
    ///
    /// What it is instead, as far as can be told.
    pub fn parse(datagram: &'a mut [u8]) -> Result<Self, NotRtp> {
        if rtcp::is_rtcp(datagram) {
            return Err(NotRtp::Rtcp);
        }
        let reader = RtpReader::new(datagram).map_err(|error| match error {
            RtpReaderError::BufferTooShort(_) => NotRtp::TooShort,
            RtpReaderError::UnsupportedVersion(_) => NotRtp::WrongVersion,
            RtpReaderError::HeadersTruncated { .. } | RtpReaderError::PaddingLengthInvalid(_) => {
                NotRtp::Malformed
            }
        })?;
        let payload = reader.payload_offset()..reader.payload_offset() + reader.payload().len();
        if payload.start > HEADER_BYTES {
            datagram.copy_within(payload.clone(), HEADER_BYTES);
        }
        let (header, rest) = datagram.split_first_chunk_mut().ok_or(NotRtp::TooShort)?;
        header[0] = VERSION_2;
        Ok(Self { header, payload: rest.get_mut(..payload.len()).ok_or(NotRtp::Malformed)? })
    }

    /// How many bytes from the start of the datagram are the packet.
    #[must_use]
    pub fn length(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// What it carries.
    pub fn payload(&mut self) -> &mut [u8] {
        self.payload
    }

    /// The payload type, 0 to 127.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.header[1] & !MARKER
    }

    /// The marker bit: the first packet of a talkspurt or of an event.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.header[1] & MARKER != 0
    }

    /// The sequence number.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The timestamp, in ticks of the payload's clock.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        let [.., a, b, c, d] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Rewrites the payload type; the bit above 127 is dropped.
    pub fn set_payload_type(&mut self, payload_type: u8) {
        self.header[1] = self.header[1] & MARKER | payload_type & !MARKER;
    }

    /// Rewrites the marker bit.
    pub fn set_marker(&mut self, marker: bool) {
        self.header[1] = self.header[1] & !MARKER | if marker { MARKER } else { 0 };
    }

    /// Rewrites SSRC, sequence number and timestamp.
    pub fn set_position(&mut self, position: Position) {
        let Position { ssrc, sequence, timestamp } = position;
        self.set_ssrc(ssrc);
        self.set_sequence(sequence);
        self.set_timestamp(timestamp);
    }

    /// Rewrites the sequence number.
    pub fn set_sequence(&mut self, sequence: u16) {
        self.header[2..4].copy_from_slice(&sequence.to_be_bytes());
    }

    /// Rewrites the timestamp.
    pub fn set_timestamp(&mut self, timestamp: u32) {
        self.header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Rewrites the synchronisation source.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.header[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }
}

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// SSRC, sequence number and timestamp.
    pub position: Position,
}

/// Writes a packet whose payload of `length` bytes `fill` writes; returns how long it is, 0 if
/// `bytes` has no room for it.
///
/// Hot path: no allocation.
pub fn write(bytes: &mut [u8], header: Header, length: usize, fill: impl FnOnce(&mut [u8])) -> usize {
    let Some((first, rest)) = bytes.split_first_chunk_mut() else { return 0 };
    let Some(payload) = rest.get_mut(..length) else { return 0 };
    *first = [0; HEADER_BYTES];
    first[0] = VERSION_2;
    fill(payload);
    let mut packet = Packet { header: first, payload };
    packet.set_payload_type(header.payload_type);
    packet.set_marker(header.marker);
    packet.set_position(header.position);
    packet.length()
}

/// Why a datagram on an RTP port is not RTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRtp {
    /// Fewer than twelve bytes.
    #[error("shorter than the 12 bytes of an RTP header")]
    TooShort,
    /// Not version 2: STUN (RFC 7983), DTLS, or junk.
    #[error("not RTP version 2")]
    WrongVersion,
    /// The contributing sources, the extension or the padding do not fit into the datagram.
    #[error("the RTP header promises more than the datagram holds")]
    Malformed,
    /// RTCP multiplexed onto the RTP port (RFC 5761), which we never offer.
    #[error("RTCP on the RTP port")]
    Rtcp,
}

const HEADER_BYTES: usize = RtpReader::MIN_HEADER_LEN;
/// No padding, no extension, no contributing source.
const VERSION_2: u8 = 0x80;
const MARKER: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtp_rs::{RtpPacketBuilder, Seq};

    use super::*;

    #[test]
    fn what_rtp_rs_builds_is_read_field_by_field() {
        let mut datagram = built();

        let packet = Packet::parse(&mut datagram).unwrap();

        assert_eq!(packet.payload_type(), 8);
        assert!(packet.marker());
        assert_eq!(
            (packet.sequence(), packet.timestamp(), packet.ssrc()),
            (0xABCD, 0x0102_0304, 0xDEAD_BEEF)
        );
    }

    #[test]
    fn what_the_setters_write_rtp_rs_reads_and_nothing_else_changes() {
        let mut datagram = built();

        let mut packet = Packet::parse(&mut datagram).unwrap();
        packet.set_payload_type(101);
        packet.set_marker(false);
        packet.set_sequence(7);
        packet.set_timestamp(0xFFFF_FFFE);
        packet.set_ssrc(42);

        let reader = RtpReader::new(&datagram).unwrap();
        assert_eq!((reader.payload_type(), reader.mark()), (101, false));
        assert_eq!((reader.sequence_number(), reader.timestamp()), (Seq::from(7), 0xFFFF_FFFE));
        assert_eq!((reader.ssrc(), reader.payload()), (42, &[0x55; 160][..]));
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_cut_out() {
        let mut datagram = RtpPacketBuilder::new()
            .payload_type(8)
            .add_csrc(1)
            .add_csrc(2)
            .extension(0xBEDE, &[1, 2, 3, 4])
            .padded(rtp_rs::Pad::round_to(16))
            .payload(&[0x55; 33])
            .build()
            .unwrap();

        let mut packet = Packet::parse(&mut datagram).unwrap();
        assert_eq!((packet.length(), packet.payload().len()), (45, 33));
        let reader = RtpReader::new(&datagram[..45]).unwrap();

        assert_eq!((reader.csrc_count(), reader.extension(), reader.padding()), (0, None, None));
        assert_eq!((reader.payload_type(), reader.payload()), (8, &[0x55; 33][..]));
    }

    #[test]
    fn what_is_written_rtp_rs_reads_and_what_has_no_room_is_not_written() {
        let position = Position { ssrc: 9, sequence: 0xFFFF, timestamp: 0x8000_0000 };
        let mut bytes = [0xAA; 40];

        let header = Header { payload_type: 101, marker: true, position };

        let length = write(&mut bytes, header, 4, |payload| payload.copy_from_slice(&[1, 2, 3, 4]));
        let reader = RtpReader::new(&bytes[..length]).unwrap();

        assert_eq!((reader.payload_type(), reader.mark(), reader.payload()), (101, true, &[1, 2, 3, 4][..]));
        assert_eq!((reader.ssrc(), reader.timestamp()), (9, 0x8000_0000));
        assert_eq!(write(&mut bytes, header, 29, |_| ()), 0);
        assert_eq!(write(&mut bytes[..11], header, 0, |_| ()), 0);
    }

    #[test]
    fn a_payload_type_over_127_can_not_set_the_marker() {
        let mut datagram = built();

        let mut packet = Packet::parse(&mut datagram).unwrap();
        packet.set_marker(false);
        packet.set_payload_type(0xFF);

        assert!(!packet.marker());
    }

    #[test]
    fn what_is_not_rtp_is_told_apart() {
        let stun = [0_u8, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut receiver_report = [0_u8; 32];
        receiver_report[..4].copy_from_slice(&[0x81, 201, 0, 7]);
        let mut fifteen_sources = [0_u8; 40];
        fifteen_sources[0] = 0x8F;
        let mut padded_by_nothing = [0_u8; 20];
        padded_by_nothing[0] = 0xA0;

        assert_eq!(Packet::parse(&mut [0x80; 11]).unwrap_err(), NotRtp::TooShort);
        assert_eq!(Packet::parse(&mut stun.clone()).unwrap_err(), NotRtp::WrongVersion);
        assert_eq!(Packet::parse(&mut receiver_report).unwrap_err(), NotRtp::Rtcp);
        assert_eq!(Packet::parse(&mut fifteen_sources).unwrap_err(), NotRtp::Malformed);
        assert_eq!(Packet::parse(&mut padded_by_nothing).unwrap_err(), NotRtp::Malformed);
    }

    proptest! {
        #[test]
        fn no_datagram_panics(mut datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let received = datagram.len();
            if let Ok(packet) = Packet::parse(&mut datagram) {
                prop_assert!(packet.payload_type() < 128 && packet.length() <= received);
            }
        }
    }

    fn built() -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(8)
            .marked(true)
            .sequence(Seq::from(0xABCD))
            .timestamp(0x0102_0304)
            .ssrc(0xDEAD_BEEF)
            .payload(&[0x55; 160])
            .build()
            .unwrap()
    }
}

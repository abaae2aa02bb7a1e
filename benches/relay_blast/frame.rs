//! A flow's packet down to the Ethernet header, built once and stamped for each sending (RFC 791, RFC 768,
//! RFC 3550 §5.1).
//!
//! A relay may rewrite everything up to the RTP header. What a packet is known by at the other end, the
//! [`Stamp`], is therefore in the payload.

use std::net::SocketAddrV4;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// The frame that a flow sends again and again.
pub(crate) struct Frame {
    bytes: [u8; LENGTH],
    /// The sum of all that the UDP checksum covers and that no stamp changes.
    constant: u32,
}

/// What tells a packet from all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) flow: u32,
    /// Counted from 1.
    pub(crate) number: u64,
    /// When it was sent, since some moment of the sender's.
    pub(crate) nanos: u64,
}

/// A stamped packet that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrived {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) stamp: Stamp,
}

impl Frame {
    /// 20 ms of G.711 by way of `relay`.
    pub(crate) fn new(relay: Mac, source: SocketAddrV4, destination: SocketAddrV4) -> Self {
        let mut bytes = [0xFF; LENGTH];
        bytes[..6].copy_from_slice(&relay);
        bytes[6..12].copy_from_slice(&FAR_END);
        bytes[12..14].copy_from_slice(&IPV4);
        let total = (LENGTH - IP) as u16;
        bytes[IP..UDP].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        put(&mut bytes, IP + 2, &total.to_be_bytes());
        put(&mut bytes, IP + 12, &source.ip().octets());
        put(&mut bytes, IP + 16, &destination.ip().octets());
        let header = folded(sum(&bytes[IP..UDP]));
        put(&mut bytes, IP + 10, &(!header).to_be_bytes());
        let length = (LENGTH - UDP) as u16;
        put(&mut bytes, UDP, &source.port().to_be_bytes());
        put(&mut bytes, UDP + 2, &destination.port().to_be_bytes());
        put(&mut bytes, UDP + 4, &length.to_be_bytes());
        put(&mut bytes, RTP, &[0x80, 0]);
        put(&mut bytes, RTP + 12, &MAGIC.to_be_bytes());
        let pseudo_header = sum(&bytes[IP + 12..UDP]) + 17 + u32::from(length);
        let constant = pseudo_header + sum(&bytes[UDP..UDP + 6]) + sum(&bytes[STAMPED..]);
        Self { bytes, constant }
    }

    /// Makes it the packet that `stamp` says.
    pub(crate) fn stamp(&mut self, stamp: &Stamp) {
        let Stamp { flow, number, nanos } = *stamp;
        let bytes = &mut self.bytes;
        put(bytes, RTP + 2, &(number as u16).to_be_bytes());
        put(bytes, RTP + 4, &(number as u32).wrapping_mul(160).to_be_bytes());
        put(bytes, RTP + 8, &(FIRST_SSRC + flow).to_be_bytes());
        put(bytes, RTP + 16, &flow.to_be_bytes());
        put(bytes, RTP + 20, &number.to_be_bytes());
        put(bytes, RTP + 28, &nanos.to_be_bytes());
        let checksum = match !folded(self.constant + sum(&bytes[RTP..STAMPED])) {
            0 => u16::MAX,
            checksum => checksum,
        };
        put(bytes, UDP + 6, &checksum.to_be_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Arrived {
    /// `None` for a frame without a stamp: the silence that a relay fills pauses with, or a report.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let is_ours = frame.len() >= STAMPED && frame[12..14] == IPV4 && word(frame, RTP + 12) == MAGIC;
        is_ours.then(|| Self {
            source_port: (word(frame, UDP) >> 16) as u16,
            destination_port: word(frame, UDP) as u16,
            stamp: Stamp {
                flow: word(frame, RTP + 16),
                number: long(frame, RTP + 20),
                nanos: long(frame, RTP + 28),
            },
        })
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) << 32 | u64::from(word(bytes, at + 4))
}

/// The sum of RFC 1071, its carries not yet folded in; of an even number of bytes.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xFFFF) + (sum >> 16);
    ((once & 0xFFFF) + (once >> 16)) as u16
}

const IP: usize = 14;
const UDP: usize = IP + 20;
const RTP: usize = UDP + 8;
/// Behind the RTP header and the stamp.
const STAMPED: usize = RTP + 36;
const LENGTH: usize = RTP + 172;
/// Administered locally, and no device's.
const FAR_END: Mac = [2, 0, 0, 0, 0, 0xFE];
const IPV4: [u8; 2] = [0x08, 0x00];
const MAGIC: u32 = 0x5452_4B4C;
const FIRST_SSRC: u32 = 0x1000_0000;

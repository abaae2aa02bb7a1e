//! Writing reports (RFC 3550 §6.4 to §6.6, RFC 7022).
//!
//! Every compound begins with a report and names its sender, as RFC 3550 §6.1 demands of each. With one
//! source to report on it can't be longer than [`MAX_BYTES`], so that a buffer of those is all that writing
//! needs.

use bytes::BufMut as _;

use super::read::{BLOCK_BYTES, ReportBlock, SenderInfo};
use super::{GOODBYE, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION};

/// What a leg is called in its session, for nobody to recognise it elsewhere (RFC 7022 §4.2): 96 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cname([u8; CNAME_BYTES]);

/// A compound to be written: a report, the CNAME, and a farewell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) ssrc: u32,
    pub(super) cname: Cname,
    /// Makes it an SR.
    pub(super) sender: Option<SenderInfo>,
    pub(super) block: Option<ReportBlock>,
    pub(super) goodbye: bool,
}

impl Cname {
    /// Of the lower 96 bits of `random`, in base 64.
    #[must_use]
    pub fn from_random(random: u128) -> Self {
        Self(std::array::from_fn(|place| BASE64[(random >> (6 * place)) as usize & 0x3F]))
    }
}

impl Report {
    /// Writes it to the beginning of `bytes`; returns how long it is, 0 if there may be no room.
    pub(super) fn write(&self, bytes: &mut [u8]) -> usize {
        if bytes.len() < MAX_BYTES {
            return 0;
        }
        let (room, mut at) = (bytes.len(), bytes);
        self.write_report(&mut at);
        header(&mut at, SOURCE_DESCRIPTION, 1, DESCRIPTION_BYTES);
        at.put_u32(self.ssrc);
        at.put_slice(&[CNAME, CNAME_BYTES as u8]);
        at.put_slice(&self.cname.0);
        at.put_bytes(0, DESCRIPTION_END_BYTES);
        if self.goodbye {
            header(&mut at, GOODBYE, 1, 4);
            at.put_u32(self.ssrc);
        }
        room - at.len()
    }

    fn write_report(&self, at: &mut &mut [u8]) {
        let blocks = self.block.iter().count();
        let length = 4 + blocks * BLOCK_BYTES;
        match self.sender {
            Some(_) => header(at, SENDER_REPORT, blocks as u8, length + SENDER_BYTES),
            None => header(at, RECEIVER_REPORT, blocks as u8, length),
        }
        at.put_u32(self.ssrc);
        if let Some(sender) = self.sender {
            at.put_u64(sender.ntp.0);
            for word in [sender.timestamp, sender.packets, sender.octets] {
                at.put_u32(word);
            }
        }
        if let Some(block) = self.block {
            let lost = block.lost.clamp(-MAX_LOST - 1, MAX_LOST).cast_unsigned() & 0x00FF_FFFF;
            let lost = u32::from(block.fraction_lost) << 24 | lost;
            for word in [block.ssrc, lost, block.highest, block.jitter_ticks, block.last_report, block.delay]
            {
                at.put_u32(word);
            }
        }
    }
}

/// Of a packet with `length` bytes behind the header.
fn header(at: &mut &mut [u8], kind: u8, count: u8, length: usize) {
    at.put_slice(&[VERSION_2 | count, kind]);
    at.put_u16((length / 4) as u16);
}

/// The longest compound: SR with a block, SDES and BYE.
pub const MAX_BYTES: usize = 8 + SENDER_BYTES + BLOCK_BYTES + 4 + DESCRIPTION_BYTES + 8;

const SENDER_BYTES: usize = 20;
/// SSRC, type and length, the name, and the end of the list.
const DESCRIPTION_BYTES: usize = 4 + 2 + CNAME_BYTES + DESCRIPTION_END_BYTES;
/// At least one, up to the next multiple of four.
const DESCRIPTION_END_BYTES: usize = 4 - (2 + CNAME_BYTES) % 4;
const CNAME_BYTES: usize = 16;
/// Of 24 bits.
const MAX_LOST: i32 = 0x7F_FFFF;
const VERSION_2: u8 = 0x80;
const CNAME: u8 = 1;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::super::ntp::Ntp;
    use super::super::read::{Compound, Packet};
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_the_longest_has_the_room_it_says() {
        let report = longest();
        let mut bytes = [0xAA; MAX_BYTES];

        let length = report.write(&mut bytes);

        assert_eq!((length, MAX_BYTES, report.write(&mut [0; MAX_BYTES - 1])), (MAX_BYTES, 88, 0));
        let packets: Vec<Packet<'_>> = Compound::parse(&bytes).unwrap().packets().collect();
        let [Packet::SenderReport { ssrc: 7, sender, blocks }, Packet::Other, Packet::Goodbye(sources)] =
            packets[..]
        else {
            panic!("{packets:?}");
        };
        assert_eq!(Some(sender), report.sender);
        assert!(blocks.iter().eq(report.block) && sources.iter().eq([7]));
    }

    #[test]
    fn the_cname_ends_with_a_null_and_fills_words() {
        let mut bytes = [0xAA; 200];

        let bare = Report { sender: None, block: None, goodbye: false, ..longest() };
        let length = bare.write(&mut bytes);

        let expected = [&[0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 202, 0, 6, 0, 0, 0, 7, 1, 16][..]];
        assert_eq!(&bytes[..length], [expected.concat(), b"BAAAAAAAAAAAAAA/\0\0".to_vec()].concat());
    }

    #[test]
    fn what_24_bits_can_not_hold_is_the_most_they_can() {
        let mut bytes = [0; MAX_BYTES];
        let lost_after = |lost: i32, bytes: &mut [u8]| {
            let block = longest().block.map(|block| ReportBlock { lost, ..block });
            Report { block, ..longest() }.write(bytes);
            match Compound::parse(bytes).unwrap().packets().next() {
                Some(Packet::SenderReport { blocks, .. }) => blocks.iter().next().unwrap().lost,
                other => panic!("{other:?}"),
            }
        };

        assert_eq!(lost_after(20_000_000, &mut bytes), 0x7F_FFFF);
        assert_eq!(lost_after(-20_000_000, &mut bytes), -0x80_0000);
    }

    fn longest() -> Report {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 255,
            lost: -1,
            highest: 0x0003_0001,
            jitter_ticks: 11,
            last_report: 0xB705_2000,
            delay: 65_536,
        };
        let sender = SenderInfo { ntp: Ntp(1 << 40), timestamp: 0xFFFF_FFFF, packets: 3, octets: 480 };
        let cname = Cname::from_random(1 | 0x3F << 90);
        Report { ssrc: 7, cname, sender: Some(sender), block: Some(block), goodbye: true }
    }
}

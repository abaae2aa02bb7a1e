//! Reading what a peer reports (RFC 3550 §6.1, §6.4, §6.6 and appendix A.2; RFC 5506).
//!
//! A datagram is a compound of packets, and is taken whole or not at all. It should begin with a report, but
//! reduced-size ones, which do not, are read as well: nothing here depends on what comes first.

use bytes::Buf as _;

use super::ntp::Ntp;
use super::{GOODBYE, RECEIVER_REPORT, SENDER_REPORT};

/// A valid compound of RTCP packets.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    datagram: &'a [u8],
}

/// One packet of a compound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// SR: what its sender sends, and receives.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What it sent.
        sender: SenderInfo,
        /// What it received, one for each source.
        blocks: Blocks<'a>,
    },
    /// RR: what its sender receives.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received, one for each source.
        blocks: Blocks<'a>,
    },
    /// BYE: sources that leave.
    Goodbye(Sources<'a>),
    /// SDES, APP, feedback and all else: nothing that is of use here.
    Other,
}

/// What the sender of an SR sent (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// When it was made.
    pub ntp: Ntp,
    /// The same time on the clock of its RTP timestamps.
    pub timestamp: u32,
    /// Packets sent, modulo 2³².
    pub packets: u32,
    /// Octets of payload sent, modulo 2³².
    pub octets: u32,
}

/// What one member received of one source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// 256ths of its packets that were lost since the last report.
    pub fraction_lost: u8,
    /// Packets lost altogether, of 24 bits; less than 0 with duplicates.
    pub lost: i32,
    /// The highest sequence number received, with its cycles above.
    pub highest: u32,
    /// In ticks of the source's clock.
    pub jitter_ticks: u32,
    /// The middle of the timestamp of the source's last SR; 0 without one.
    pub last_report: u32,
    /// How long before this report that was, in 1/65536 s.
    pub delay: u32,
}

/// The report blocks of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks<'a>(&'a [[u8; BLOCK_BYTES]]);

/// The SSRCs in a BYE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources<'a>(&'a [[u8; 4]]);

/// Why a datagram is no compound of RTCP packets (RFC 3550 A.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRtcp {
    /// It holds no packet at all.
    #[error("an RTCP datagram holds at least one packet")]
    Empty,
    /// A packet of it has another version.
    #[error("not RTCP version 2")]
    WrongVersion,
    /// A length or a count reaches beyond its end.
    #[error("an RTCP packet promises more than the datagram holds")]
    Truncated,
    /// Padding that is no multiple of four, longer than its packet, or not in the last one.
    #[error("RTCP padding that does not fit its packet")]
    Padding,
}

/// The packets of what is left of a datagram, up to the first that is not valid.
struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks the whole of `datagram`.
    ///
    /// # Errors
    ///
    /// What makes it invalid; no part of it is to be believed then.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, NotRtcp> {
        if datagram.is_empty() {
            return Err(NotRtcp::Empty);
        }
        Packets { rest: datagram }.try_for_each(|packet| packet.map(|_| ()))?;
        Ok(Self { datagram })
    }

    /// What it is made of, in order.
    pub fn packets(self) -> impl Iterator<Item = Packet<'a>> {
        Packets { rest: self.datagram }.map_while(Result::ok)
    }
}

impl Blocks<'_> {
    /// Each block.
    pub fn iter(self) -> impl Iterator<Item = ReportBlock> {
        self.0.iter().filter_map(|bytes| ReportBlock::read(bytes))
    }
}

impl Sources<'_> {
    /// Each SSRC.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|&bytes| u32::from_be_bytes(bytes))
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, NotRtcp>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read().inspect_err(|_| self.rest = &[]))
    }
}

impl<'a> Packets<'a> {
    fn read(&mut self) -> Result<Packet<'a>, NotRtcp> {
        let (&[first, kind, high, low], behind) = self.rest.split_first_chunk().ok_or(NotRtcp::Truncated)?;
        if first >> 6 != 2 {
            return Err(NotRtcp::WrongVersion);
        }
        let length = usize::from(u16::from_be_bytes([high, low])) * 4;
        let (mut body, rest) = behind.split_at_checked(length).ok_or(NotRtcp::Truncated)?;
        if first & PADDED != 0 {
            body = without_padding(body).filter(|_| rest.is_empty()).ok_or(NotRtcp::Padding)?;
        }
        self.rest = rest;
        Packet::read(kind, (first & COUNT).into(), body).ok_or(NotRtcp::Truncated)
    }
}

impl<'a> Packet<'a> {
    fn read(kind: u8, count: usize, mut body: &'a [u8]) -> Option<Self> {
        match kind {
            SENDER_REPORT => {
                let ssrc = body.try_get_u32().ok()?;
                let sender = SenderInfo::read(&mut body)?;
                Some(Self::SenderReport { ssrc, sender, blocks: Blocks(counted(body, count)?) })
            }
            RECEIVER_REPORT => {
                let ssrc = body.try_get_u32().ok()?;
                Some(Self::ReceiverReport { ssrc, blocks: Blocks(counted(body, count)?) })
            }
            GOODBYE => Some(Self::Goodbye(Sources(counted(body, count)?))),
            _ => Some(Self::Other),
        }
    }
}

impl SenderInfo {
    fn read(body: &mut &[u8]) -> Option<Self> {
        Some(Self {
            ntp: Ntp(body.try_get_u64().ok()?),
            timestamp: body.try_get_u32().ok()?,
            packets: body.try_get_u32().ok()?,
            octets: body.try_get_u32().ok()?,
        })
    }
}

impl ReportBlock {
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let ssrc = bytes.try_get_u32().ok()?;
        let lost = bytes.try_get_u32().ok()?;
        Some(Self {
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            lost: (lost << 8).cast_signed() >> 8,
            highest: bytes.try_get_u32().ok()?,
            jitter_ticks: bytes.try_get_u32().ok()?,
            last_report: bytes.try_get_u32().ok()?,
            delay: bytes.try_get_u32().ok()?,
        })
    }
}

/// The first `count` pieces of `N` bytes; what is behind them is an extension of the profile, or a reason.
fn counted<const N: usize>(body: &[u8], count: usize) -> Option<&[[u8; N]]> {
    body.as_chunks().0.get(..count)
}

fn without_padding(body: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*body.last()?);
    let length = body.len().checked_sub(padding)?;
    (padding > 0 && padding % 4 == 0).then(|| &body[..length])
}

const PADDED: u8 = 0x20;
const COUNT: u8 = 0x1F;
pub(super) const BLOCK_BYTES: usize = 24;

#[cfg(test)]
mod tests;

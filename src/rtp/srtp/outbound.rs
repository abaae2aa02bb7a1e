//! Packets to a peer: encrypt in place, then add the tag (RFC 3711 §3.3, §3.4).
//!
//! A sequence number is protected once: a second payload under the same index would give both away. Numbers
//! that are out of order are fine, as far as the replay window of the peer reaches.

use super::header::{self, RTCP_BYTES, RtpHeader};
use super::inbound::ENCRYPTED;
use super::sources::{MAX_SOURCES, Sources};
use super::transform::{INDEX_BYTES, SessionKeys};
use crate::id::srtp::MasterKey;

/// What goes to one peer.
pub struct Outbound {
    keys: SessionKeys,
    sources: Sources,
}

/// Why a packet was not protected; it must not be sent then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
pub enum ProtectError {
    /// Not RTP or RTCP version 2.
    #[error("no RTP or RTCP packet of version 2")]
    Malformed,
    /// The buffer ends before the tag.
    #[error("no room for the tag behind the packet")]
    NoRoom,
    /// Its sequence number was sent already, or is too old to tell.
    #[error("its sequence number was sent already, or is too old to tell")]
    Reused,
    /// More sources than are kept apart.
    #[error("more than {} sources under one key", MAX_SOURCES)]
    TooManySources,
    /// The key is used up; only a new one helps (RFC 3711 §9.2).
    #[error("the last index under this key was used")]
    Exhausted,
}

impl Outbound {
    /// A peer that nothing was sent to yet.
    #[must_use]
    pub fn new(key: &MasterKey) -> Self {
        Self { keys: SessionKeys::new(key), sources: Sources::new() }
    }

    /// We told the peer a new key. Indices go on (RFC 3711 §3.3.1).
    pub fn rekey(&mut self, key: &MasterKey) {
        self.keys = SessionKeys::new(key);
    }

    /// Octets that an RTP packet grows by.
    #[must_use]
    pub fn trailer_bytes(&self) -> usize {
        self.keys.rtp.trailer_bytes()
    }

    /// Protects the RTP packet in the first `length` octets of `buffer`; returns its length with the tag.
    ///
    /// Hot path: no allocation, no lock.
    ///
    /// # Errors
    ///
    /// Why it can't be sent; the buffer is left as it was.
    pub fn protect(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, ProtectError> {
        let transform = &self.keys.rtp;
        let packet = buffer.get(..length).ok_or(ProtectError::NoRoom)?;
        let header = RtpHeader::parse(packet).ok_or(ProtectError::Malformed)?;
        let end = length + transform.trailer_bytes();
        let (body, trailer) = buffer.get_mut(..end).ok_or(ProtectError::NoRoom)?.split_at_mut(length);
        let stream = &mut self.sources.entry(header.ssrc).ok_or(ProtectError::TooManySources)?.rtp;
        let index = stream.window.estimate(header.sequence).ok_or(ProtectError::Reused)?;
        let rollovers = u32::try_from(index >> 16).map_err(|_| ProtectError::Exhausted)?;
        stream.window.check(index).map_err(|_| ProtectError::Reused)?;

        stream.window.accept(index);
        transform.crypt(header.ssrc, index, &mut body[header.payload_at..]);
        transform.write_trailer(transform.authenticate(body).with_rollovers(rollovers), trailer);
        Ok(end)
    }

    /// Protects the RTCP packet in the first `length` octets of `buffer`; returns its length with index and
    /// tag.
    ///
    /// # Errors
    ///
    /// Why it can't be sent; the buffer is left as it was.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, ProtectError> {
        let transform = &self.keys.rtcp;
        let packet = buffer.get(..length).ok_or(ProtectError::NoRoom)?;
        let ssrc = header::rtcp_ssrc(packet).ok_or(ProtectError::Malformed)?;
        let end = length + INDEX_BYTES + transform.trailer_bytes();
        let (body, trailer) =
            buffer.get_mut(..end).ok_or(ProtectError::NoRoom)?.split_at_mut(length + INDEX_BYTES);
        let stream = &mut self.sources.entry(ssrc).ok_or(ProtectError::TooManySources)?.rtcp;
        let index = stream.window.next();
        let word = u32::try_from(index).ok().filter(|index| index & ENCRYPTED == 0);
        let word = word.ok_or(ProtectError::Exhausted)? | ENCRYPTED;

        stream.window.accept(index);
        transform.crypt(ssrc, index, &mut body[RTCP_BYTES..length]);
        body[length..].copy_from_slice(&word.to_be_bytes());
        transform.write_trailer(transform.authenticate(body), trailer);
        Ok(end)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("sources", &self.sources).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::srtp::Suite;
    use crate::rtp::srtp::{Inbound, MAX_TRAILER, UnprotectError};

    #[test]
    fn a_key_ends_with_its_last_index() {
        let key = MasterKey::new(Suite::AesCm128HmacSha1_32, &[3; 30]).unwrap();
        let (mut outbound, mut inbound) = (Outbound::new(&key), Inbound::new(&key));
        outbound.sources.entry(0).unwrap().rtp.window.accept((1 << 48) - 2);
        inbound.note_rtp(0, (1 << 48) - 2);

        let (mut last, mut beyond) = (rtp(0xFFFF), rtp(0));
        let length = outbound.protect(&mut last, 12);
        assert_eq!(length, Ok(16));
        assert_eq!(outbound.protect(&mut beyond, 12), Err(ProtectError::Exhausted));
        assert_eq!(inbound.unprotect(&mut last[..16]), Ok(12));
        assert_eq!(inbound.unprotect(&mut beyond), Err(UnprotectError::Exhausted));
    }

    #[test]
    fn a_key_ends_with_the_last_index_of_rtcp() {
        let key = MasterKey::new(Suite::AesCm128HmacSha1_32, &[3; 30]).unwrap();
        let mut outbound = Outbound::new(&key);
        outbound.sources.entry(0).unwrap().rtcp.window.accept((1 << 31) - 2);
        let (mut last, mut beyond) = (rtp(0), rtp(0));

        assert_eq!(outbound.protect_rtcp(&mut last, 8), Ok(22));
        assert_eq!(outbound.protect_rtcp(&mut beyond, 8), Err(ProtectError::Exhausted));
        assert_eq!(last[8..12], [0xFF; 4]);
    }

    fn rtp(sequence: u16) -> [u8; 12 + MAX_TRAILER] {
        let mut packet = [0; 12 + MAX_TRAILER];
        packet[0] = 0x80;
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet
    }
}

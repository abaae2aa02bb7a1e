//! Packets from a peer: authenticate, then decrypt in place (RFC 3711 §3.3, §3.4).
//!
//! The rollover count is never sent, so where it cannot be known it is tried: a first packet may come after
//! a rollover that was missed, and after a re-keying some peers go on counting (as RFC 3711 §3.3.1 wants)
//! and others begin anew.

use super::header::{self, RTCP_BYTES, RtpHeader};
use super::sources::{MAX_SOURCES, Source, Sources, Stream};
use super::transform::{INDEX_BYTES, SessionKeys};
use super::window::{Stale, Window};
use crate::id::srtp::MasterKey;

/// What comes from one peer.
pub struct Inbound {
    current: Keyed,
    former: Option<Former>,
}

/// One master key, and what was seen under it.
struct Keyed {
    keys: SessionKeys,
    sources: Sources,
}

/// The key before the last re-keying.
struct Former {
    keyed: Keyed,
    /// So many packets under the current key, and this one goes.
    remaining: u8,
}

/// Where a packet may stand in its stream, if its tag says so.
#[derive(Clone, Copy)]
struct Guess {
    index: u64,
    /// What was seen before it.
    window: Window,
}

/// Why a packet was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
pub enum UnprotectError {
    /// Not RTP or RTCP version 2, or cut off before its payload.
    #[error("no RTP or RTCP packet of version 2")]
    Malformed,
    /// No room for a tag.
    #[error("shorter than a header and a tag")]
    TooShort,
    /// Another key than agreed on, or altered on the way.
    #[error("the tag is wrong: another key, or altered on the way")]
    WrongTag,
    /// It names a key that was not agreed on.
    #[error("it names another key by its MKI")]
    UnknownMki,
    /// SRTCP that says it is not encrypted, which was not agreed on.
    #[error("SRTCP without encryption")]
    NotEncrypted,
    /// It was received already.
    #[error("received already")]
    Replayed,
    /// Too far behind to be told from a replay.
    #[error("too old to be told from a replay")]
    TooOld,
    /// More sources than are kept apart.
    #[error("more than {} sources under one key", MAX_SOURCES)]
    TooManySources,
    /// The key is used up; only a new one helps (RFC 3711 §9.2).
    #[error("the last index under this key was used")]
    Exhausted,
}

impl Inbound {
    /// A peer that nothing came from yet.
    #[must_use]
    pub fn new(key: &MasterKey) -> Self {
        Self { current: Keyed { keys: SessionKeys::new(key), sources: Sources::new() }, former: None }
    }

    /// The peer has a new key. Packets under the one before are taken until 64 came under the new one.
    pub fn rekey(&mut self, key: &MasterKey) {
        let sources = self.current.sources.carried();
        let former = std::mem::replace(&mut self.current, Keyed { keys: SessionKeys::new(key), sources });
        self.former = Some(Former { keyed: former, remaining: STRAGGLERS });
    }

    /// Decrypts the RTP `packet` in place; returns its length without trailer.
    ///
    /// Hot path: no allocation, no lock.
    ///
    /// # Errors
    ///
    /// Why it was refused; it is left as it was then.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        self.try_keys(packet, Keyed::unprotect)
    }

    /// Decrypts the RTCP `packet` in place; returns its length without index and trailer.
    ///
    /// # Errors
    ///
    /// Why it was refused; it is left as it was then.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        self.try_keys(packet, Keyed::unprotect_rtcp)
    }

    /// As if the RTP packet `index` of `ssrc` had come.
    #[cfg(test)]
    pub(super) fn note_rtp(&mut self, ssrc: u32, index: u64) {
        self.current.sources.entry(ssrc).unwrap().rtp.window.accept(index);
    }

    fn try_keys(
        &mut self,
        packet: &mut [u8],
        unprotect: fn(&mut Keyed, &mut [u8]) -> Result<usize, UnprotectError>,
    ) -> Result<usize, UnprotectError> {
        let result = unprotect(&mut self.current, packet);
        let Some(former) = &mut self.former else { return result };
        if result.is_err() {
            return unprotect(&mut former.keyed, packet).or(result);
        }
        former.remaining -= 1;
        if former.remaining == 0 {
            self.former = None;
        }
        result
    }
}

impl Keyed {
    fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let transform = &self.keys.rtp;
        let header = RtpHeader::parse(packet).ok_or(UnprotectError::Malformed)?;
        let length = packet.len().checked_sub(transform.trailer_bytes());
        let length = length.filter(|&end| end >= header.payload_at).ok_or(UnprotectError::TooShort)?;
        let (body, trailer) = packet.split_at_mut(length);
        let tag = transform.tag(trailer).ok_or(UnprotectError::UnknownMki)?;
        let guesses = rtp_guesses(self.stream(header.ssrc, |source| source.rtp)?, header.sequence);

        let authentication = transform.authenticate(body);
        let verify = |guess: Guess| {
            let rollovers = u32::try_from(guess.index >> 16).map_err(|_| UnprotectError::Exhausted)?;
            Ok(authentication.with_rollovers(rollovers).verify(tag))
        };
        let Guess { index, window } = first_right(&guesses, verify)?;
        transform.crypt(header.ssrc, index, &mut body[header.payload_at..]);
        let source = self.sources.entry(header.ssrc).ok_or(UnprotectError::TooManySources)?;
        source.rtp = Stream { window, is_carried: false };
        Ok(length)
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, UnprotectError> {
        let transform = &self.keys.rtcp;
        let ssrc = header::rtcp_ssrc(packet).ok_or(UnprotectError::Malformed)?;
        let length = packet.len().checked_sub(INDEX_BYTES + transform.trailer_bytes());
        let length = length.filter(|&end| end >= RTCP_BYTES).ok_or(UnprotectError::TooShort)?;
        let (body, trailer) = packet.split_at_mut(length + INDEX_BYTES);
        let tag = transform.tag(trailer).ok_or(UnprotectError::UnknownMki)?;
        let word = body[length..].first_chunk().ok_or(UnprotectError::TooShort)?;
        let index = u32::from_be_bytes(*word);
        if index & ENCRYPTED == 0 {
            return Err(UnprotectError::NotEncrypted);
        }
        let index = index & !ENCRYPTED;
        let guesses = rtcp_guesses(self.stream(ssrc, |source| source.rtcp)?, index.into());

        let verify = |_| Ok(transform.authenticate(body).verify(tag));
        let Guess { index, window } = first_right(&guesses, verify)?;
        transform.crypt(ssrc, index, &mut body[RTCP_BYTES..length]);
        let source = self.sources.entry(ssrc).ok_or(UnprotectError::TooManySources)?;
        source.rtcp = Stream { window, is_carried: false };
        Ok(length)
    }

    /// What was seen of a source, if there is room for it.
    fn stream(&self, ssrc: u32, of: fn(&Source) -> Stream) -> Result<Stream, UnprotectError> {
        match self.sources.find(ssrc) {
            Some(source) => Ok(of(source)),
            None if self.sources.is_full() => Err(UnprotectError::TooManySources),
            None => Ok(Stream::default()),
        }
    }
}

/// The first guess that is fresh and that `verify` finds right, with its index noted.
fn first_right(
    guesses: &[Option<Guess>],
    mut verify: impl FnMut(Guess) -> Result<bool, UnprotectError>,
) -> Result<Guess, UnprotectError> {
    let mut refused = None;
    for &guess in guesses.iter().flatten() {
        match guess.window.check(guess.index) {
            Err(stale) => refused = Some(stale.into()),
            Ok(()) if verify(guess)? => {
                let mut window = guess.window;
                window.accept(guess.index);
                return Ok(Guess { window, ..guess });
            }
            Ok(()) => refused = Some(UnprotectError::WrongTag),
        }
    }
    Err(refused.unwrap_or(UnprotectError::TooOld))
}

fn rtp_guesses(stream: Stream, sequence: u16) -> [Option<Guess>; 3] {
    let known = stream.window.estimate(sequence).filter(|_| !stream.window.is_empty());
    let known = known.map(|index| Guess { index, window: stream.window });
    if !stream.is_carried && !stream.window.is_empty() {
        return [known, None, None];
    }
    let fresh =
        |rollovers: u64| Guess { index: rollovers << 16 | u64::from(sequence), window: Window::default() };
    [known, Some(fresh(0)), (sequence < 1 << 15).then(|| fresh(1))]
}

fn rtcp_guesses(stream: Stream, index: u64) -> [Option<Guess>; 2] {
    let anew = stream.is_carried.then(|| Guess { index, window: Window::default() });
    [Some(Guess { index, window: stream.window }), anew]
}

impl From<Stale> for UnprotectError {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Replayed => Self::Replayed,
            Stale::TooOld => Self::TooOld,
        }
    }
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("sources", &self.current.sources).finish_non_exhaustive()
    }
}

/// Packets under a new key after which nothing is taken under the former one.
const STRAGGLERS: u8 = 64;

/// The bit that says that the packet is encrypted, before 31 bits of index (RFC 3711 §3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::srtp::Suite;

    #[test]
    fn an_authentic_report_that_is_not_encrypted_is_refused() {
        let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[3; 30]).unwrap();
        let mut packet = [0x80; 8 + INDEX_BYTES + 10];
        packet[8..12].fill(0);
        let transform = SessionKeys::new(&key).rtcp;
        let authentication = transform.authenticate(&packet[..12]);
        transform.write_trailer(authentication, &mut packet[12..]);

        assert_eq!(Inbound::new(&key).unprotect_rtcp(&mut packet), Err(UnprotectError::NotEncrypted));
    }
}

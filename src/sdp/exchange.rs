//! Offer and answer on one leg (RFC 3264, RFC 6337): whose offer is open, and what was agreed last.
//!
//! A refused offer changes nothing: what was agreed stands until the next answer. An m-line that a peer
//! gives port 0 is gone for RFC 3264, but many mean a pause by it (and bring the port back later), so the
//! agreement is kept meanwhile.

use bytes::Bytes;

use super::build::Local;
use super::codec::{Codec, Payload};
use super::crypto::{Crypto, Policy, Protection};
use super::negotiate::{self, Accepted, NegotiationError};
use super::session::{Direction, Session};

/// The offer/answer state of one leg.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Our own description.
    pub local: Local,
    protection: Protection,
    /// Whether telephone events may be agreed on.
    pub takes_events: bool,
    open: Open,
    agreed: Option<Accepted>,
}

/// The offer that waits for its answer.
#[derive(Clone, Debug, Default)]
enum Open {
    /// There is none.
    #[default]
    Nothing,
    /// We made it.
    Ours { codecs: Vec<Payload>, dtmf: Option<u8> },
    /// The peer made it.
    Theirs(Box<Session>),
}

impl Exchange {
    /// A leg on which nothing was offered yet.
    #[must_use]
    pub fn new(local: Local, protection: Protection) -> Self {
        Self { local, protection, takes_events: true, open: Open::Nothing, agreed: None }
    }

    /// How descriptions of the peer are to be read.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.protection.policy()
    }

    /// What stands: from the last answer, ours or the peer's.
    #[must_use]
    pub fn agreed(&self) -> Option<&Accepted> {
        self.agreed.as_ref()
    }

    /// Whether an offer of ours waits for its answer.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        matches!(self.open, Open::Ours { .. })
    }

    /// The offer of the peer that we did not answer yet.
    #[must_use]
    pub fn offered(&self) -> Option<&Session> {
        match &self.open {
            Open::Theirs(offer) => Some(offer),
            Open::Nothing | Open::Ours { .. } => None,
        }
    }

    /// Makes an offer.
    pub fn offer(&mut self, codecs: Vec<Payload>, dtmf: Option<u8>) -> Bytes {
        if self.agreed.is_none() {
            self.local.crypto = self.protection.offers();
        }
        let dtmf = dtmf.filter(|_| self.takes_events);
        let sdp = self.local.offer(&codecs, dtmf);
        self.open = Open::Ours { codecs, dtmf };
        sdp
    }

    /// Offers what stands anew, byte for byte: nothing changes by it. `None` before anything was agreed.
    pub fn offer_again(&mut self) -> Option<Bytes> {
        let agreed = self.agreed.as_ref()?;
        let sdp = self.local.last()?;
        self.open = Open::Ours { codecs: vec![agreed.codec], dtmf: agreed.our_dtmf };
        Some(sdp)
    }

    /// Takes back our open offer: it was refused.
    pub fn withdraw(&mut self) {
        if self.awaits_answer() {
            self.open = Open::Nothing;
        }
    }

    /// What `answer` to our open offer says, without settling for it: a fork may still say something else.
    ///
    /// # Errors
    ///
    /// When it cannot be used, or answers nothing.
    pub fn read_answer(&self, answer: &Session) -> Result<Accepted, NegotiationError> {
        let Open::Ours { codecs, dtmf } = &self.open else { return Err(NegotiationError::Unasked) };
        let accepted = match self.paused(answer) {
            Some(paused) => paused,
            None => self.with_keys(negotiate::accepted(answer, codecs, *dtmf)?)?,
        };
        negotiate::same_family(&accepted.audio, self.local.rtp.ip())?;
        Ok(accepted)
    }

    /// The same with the keys that the answer `accepted` agrees on. Plain audio, where the policy
    /// lets it be read, is none.
    fn with_keys(&self, accepted: Accepted) -> Result<Accepted, NegotiationError> {
        let answered = &accepted.audio.crypto;
        if answered.is_empty() {
            return Ok(accepted);
        }
        let keys = Crypto::taken(&self.local.crypto, answered).ok_or(NegotiationError::NoCommonSuite)?;
        Ok(Accepted { keys: Some(keys), ..accepted })
    }

    /// Closes our open offer with what its answer says.
    pub fn settle(&mut self, accepted: Accepted) {
        self.open = Open::Nothing;
        let local = accepted.keys.as_ref().map(|keys| &keys.local);
        self.local.crypto.retain(|line| Some(&line.key) == local);
        self.agreed = Some(accepted);
    }

    /// Keeps the peer's offer until it can be answered.
    pub fn hear(&mut self, offer: Session) {
        self.open = Open::Theirs(Box::new(offer));
    }

    /// Answers the offer that was kept, with `codec` if the peer offered it, else with its first.
    ///
    /// # Errors
    ///
    /// When the offer cannot be used, or there is none; what was agreed before still stands.
    pub fn answer(&mut self, codec: Option<Codec>) -> Result<Bytes, NegotiationError> {
        match std::mem::take(&mut self.open) {
            Open::Theirs(offer) => self.answer_to(&offer, codec),
            open @ (Open::Nothing | Open::Ours { .. }) => {
                self.open = open;
                Err(NegotiationError::Unasked)
            }
        }
    }

    /// Answers an offer at once, as [`Self::answer`] does, with the codec in use if it was offered.
    ///
    /// # Errors
    ///
    /// When the offer cannot be used; what was agreed before still stands.
    pub fn answer_at_once(&mut self, offer: &Session) -> Result<Bytes, NegotiationError> {
        self.answer_to(offer, self.agreed.as_ref().map(|agreed| agreed.codec.codec))
    }

    fn answer_to(&mut self, offer: &Session, codec: Option<Codec>) -> Result<Bytes, NegotiationError> {
        let (mut accepted, crypto) = match self.paused(offer) {
            Some(paused) => (paused, self.local.crypto.clone()),
            None => {
                let accepted = negotiate::chosen(offer, codec)?;
                let (line, keys) = self.protection.answer(&accepted.audio.crypto).unzip();
                (Accepted { keys, ..accepted }, line.into_iter().collect())
            }
        };
        accepted.dtmf = accepted.dtmf.filter(|_| self.takes_events);
        accepted.our_dtmf = accepted.dtmf;
        negotiate::same_family(&accepted.audio, self.local.rtp.ip())?;
        let direction = negotiate::mirrored(accepted.audio.direction);
        self.local.crypto = crypto;
        let sdp = self.local.answer(offer, accepted.codec, accepted.dtmf, direction);
        self.agreed = Some(accepted);
        Ok(sdp)
    }

    /// What stands, without any audio, when `said` takes the audio away and puts nothing in its place.
    fn paused(&self, said: &Session) -> Option<Accepted> {
        let is_audio_off = said.lines.iter().any(|line| line.media == "audio");
        let nothing_left = said.lines.iter().all(|line| line.port == 0);
        let mut paused = self.agreed.clone().filter(|_| is_audio_off && nothing_left)?;
        paused.audio.direction = Direction::Inactive;
        Some(paused)
    }
}

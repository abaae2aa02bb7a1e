//! What a leg's payload types mean, and the same payload's type on the other leg (RFC 3551, RFC 4733).
//!
//! A payload type is a number that a receiver chose: the same telephone-event may be 101 on one leg and
//! 96 on the other, or even the two ways of one leg (RFC 3264 §6.1), and a number that neither side
//! named means nothing at all.

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The audio codec of the call.
    Audio,
    /// A telephone-event (RFC 4733).
    Event,
    /// What the background sounds like while nobody speaks (RFC 3389): silence begins.
    ComfortNoise,
}

/// The payload types that one leg's session description gave to what is relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PayloadTypes {
    /// Of the audio codec.
    pub audio: u8,
    /// Of telephone-event as the peer named it, if it takes that: what it is sent.
    pub event: Option<u8>,
    /// Of telephone-event as we named it to the peer, which may send under either.
    pub our_event: Option<u8>,
}

impl PayloadTypes {
    /// What `payload_type` means on this leg; `None` if it was not negotiated.
    ///
    /// Comfort noise is sent without being negotiated by some, and is understood all the same.
    #[must_use]
    pub fn kind(self, payload_type: u8) -> Option<Kind> {
        if payload_type == self.audio {
            Some(Kind::Audio)
        } else if [self.event, self.our_event].contains(&Some(payload_type)) {
            Some(Kind::Event)
        } else if payload_type == COMFORT_NOISE {
            Some(Kind::ComfortNoise)
        } else {
            None
        }
    }

    /// The payload type of `kind` on this leg; `None` if the leg does not take it, as none takes comfort
    /// noise: our session descriptions have none.
    #[must_use]
    pub fn of(self, kind: Kind) -> Option<u8> {
        match kind {
            Kind::Audio => Some(self.audio),
            Kind::Event => self.event,
            Kind::ComfortNoise => None,
        }
    }
}

/// Static for a clock of 8 kHz (RFC 3551 §6).
const COMFORT_NOISE: u8 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_meaning_across_legs() {
        let trunk = PayloadTypes { audio: 8, event: Some(96), our_event: None };
        let retell = PayloadTypes { audio: 8, event: Some(101), our_event: None };

        assert_eq!(trunk.kind(96).and_then(|kind| retell.of(kind)), Some(101));
        assert_eq!(trunk.kind(8).and_then(|kind| retell.of(kind)), Some(8));
        assert_eq!(trunk.kind(101), None);
    }

    #[test]
    fn events_come_under_the_number_of_either_side_and_go_under_the_peers() {
        let trunk = PayloadTypes { audio: 8, event: Some(96), our_event: Some(101) };

        assert_eq!([96, 101, 97].map(|it| trunk.kind(it)), [Some(Kind::Event), Some(Kind::Event), None]);
        assert_eq!(trunk.of(Kind::Event), Some(96));
    }

    #[test]
    fn comfort_noise_is_understood_from_every_leg_and_taken_by_none() {
        let trunk = PayloadTypes { audio: 8, event: Some(96), our_event: None };
        let odd = PayloadTypes { audio: 8, event: Some(13), our_event: None };

        assert_eq!(trunk.kind(13), Some(Kind::ComfortNoise));
        assert_eq!(trunk.of(Kind::ComfortNoise), None);
        assert_eq!(odd.kind(13), Some(Kind::Event));
    }

    #[test]
    fn a_leg_without_telephone_event_takes_none() {
        let without = PayloadTypes { audio: 0, event: None, our_event: None };

        assert_eq!(without.of(Kind::Event), None);
    }
}

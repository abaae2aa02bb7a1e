//! What a leg's payload types mean, and the same payload's type on the other leg (RFC 3551, RFC 4733).
//!
//! A payload type is a number that one peer chose: the same telephone-event may be 101 on one leg and 96 on the other,
//! and a number the peer never agreed to means nothing at all.

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The audio codec of the call.
    Audio,
    /// A telephone-event (RFC 4733).
    Event,
}

/// The payload types that one leg's session description gave to what is relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PayloadTypes {
    /// Of the audio codec.
    pub audio: u8,
    /// Of telephone-event, if the leg has it.
    pub event: Option<u8>,
}

impl PayloadTypes {
    /// What `payload_type` means on this leg; `None` if it was not negotiated.
    #[must_use]
    pub fn kind(self, payload_type: u8) -> Option<Kind> {
        if payload_type == self.audio {
            Some(Kind::Audio)
        } else if self.event == Some(payload_type) {
            Some(Kind::Event)
        } else {
            None
        }
    }

    /// The payload type of `kind` on this leg; `None` if the leg does not take it.
    #[must_use]
    pub fn of(self, kind: Kind) -> Option<u8> {
        match kind {
            Kind::Audio => Some(self.audio),
            Kind::Event => self.event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_meaning_across_legs() {
        let trunk = PayloadTypes { audio: 8, event: Some(96) };
        let retell = PayloadTypes { audio: 8, event: Some(101) };

        assert_eq!(trunk.kind(96).and_then(|kind| retell.of(kind)), Some(101));
        assert_eq!(trunk.kind(8).and_then(|kind| retell.of(kind)), Some(8));
        assert_eq!(trunk.kind(101), None);
    }

    #[test]
    fn a_leg_without_telephone_event_takes_none() {
        let without = PayloadTypes { audio: 0, event: None };

        assert_eq!(without.of(Kind::Event), None);
    }
}

//! The payload of a telephone event (RFC 4733 §2.3).
//!
//! ```text
//!   | event 8 | E 1 | R 1 | volume 6 | duration 16 |      R is zero, and ignored when it is not
//! ```

/// One packet's word on an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Which one: 0 to 15 are digits, 16 is a flash of the hook.
    pub code: u8,
    /// The event is over: `duration` is the whole of it.
    pub end: bool,
    /// In −dBm0, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in timestamp ticks.
    pub duration: u16,
}

/// A packet of an event as a leg is sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPacket {
    /// Of the event's beginning.
    pub timestamp: u32,
    /// It is the event's first.
    pub marker: bool,
    /// The payload.
    pub event: Event,
}

impl Event {
    /// How long its payload is.
    pub const BYTES: usize = 4;

    /// Reads a payload; `None` if it is none, or one of an event that no description of ours has.
    ///
    /// Where events follow one another in one packet, which only data modems use, it is the first.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[code @ 0..=FLASH, flags, high, low, ..] = payload else { return None };
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { code, end: flags & END != 0, volume: flags & VOLUME, duration })
    }

    /// The payload.
    #[must_use]
    pub fn bytes(self) -> [u8; Self::BYTES] {
        let end = if self.end { END } else { 0 };
        let [high, low] = self.duration.to_be_bytes();
        [self.code, end | self.volume & VOLUME, high, low]
    }
}

const FLASH: u8 = 16;
const END: u8 = 0x80;
const VOLUME: u8 = 0x3F;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_and_written_field_by_field_without_the_reserved_bit() {
        let event = Event { code: 11, end: true, volume: 10, duration: 0x0320 };

        assert_eq!(Event::parse(&[11, 0xCA, 3, 0x20]), Some(event));
        assert_eq!(event.bytes(), [11, 0x8A, 3, 0x20]);
        assert_eq!(Event { end: false, volume: 255, ..event }.bytes(), [11, 0x3F, 3, 0x20]);
    }

    #[test]
    fn what_is_too_short_or_an_event_that_was_not_offered_is_none() {
        assert_eq!(Event::parse(&[1, 0, 0]), None);
        assert_eq!(Event::parse(&[17, 0, 0, 160]), None);
        assert_eq!(Event::parse(&[1, 10, 0, 160, 2, 10, 0, 160]).map(|event| event.code), Some(1));
    }
}

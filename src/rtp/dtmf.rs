//! DTMF: digits, as telephone events (RFC 4733) and as tones (ITU-T Q.23, Q.24).
//!
//! What tells one digit from the next is the timestamp of its beginning, which all of its packets repeat.
//! There are receivers, LiveKit's among them, that go by nothing else: two digits with one timestamp are one
//! to them, and one straggler of the digit before is another.

mod detector;
mod event;
mod generator;
mod relay;
mod tone;

use std::fmt;

pub use detector::{Detector, Heard};
pub use event::{Event, EventPacket};
pub use generator::Generator;
pub use relay::{EventRelay, Placing};
pub use tone::Tone;

/// One of the sixteen keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digit(u8);

/// What is on no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no DTMF digit: those are 0 to 9, *, # and A to D")]
pub struct NotADigit(pub char);

impl Digit {
    /// Of an event code (RFC 4733 §3.2).
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        KEYS.get(usize::from(code)).map(|_| Self(code))
    }

    /// Its two tones in Hz, the low one first (ITU-T Q.23).
    #[must_use]
    pub fn frequencies(self) -> [u16; 2] {
        FREQUENCIES[usize::from(self.0) % FREQUENCIES.len()]
    }

    /// Its event code, 0 to 15.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }
}

impl TryFrom<char> for Digit {
    type Error = NotADigit;

    fn try_from(key: char) -> Result<Self, NotADigit> {
        let code = KEYS.iter().position(|&it| char::from(it) == key.to_ascii_uppercase());
        code.map(|code| Self(code as u8)).ok_or(NotADigit(key))
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        KEYS.get(usize::from(self.0)).map_or(Ok(()), |&key| write!(formatter, "{}", char::from(key)))
    }
}

/// In the order of their event codes.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// ITU-T Q.23, in the same order.
#[rustfmt::skip]
const FREQUENCIES: [[u16; 2]; 16] = [
    [941, 1_336],
    [697, 1_209], [697, 1_336], [697, 1_477],
    [770, 1_209], [770, 1_336], [770, 1_477],
    [852, 1_209], [852, 1_336], [852, 1_477],
    [941, 1_209], [941, 1_477],
    [697, 1_633], [770, 1_633], [852, 1_633], [941, 1_633],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written_in_the_order_of_their_codes() {
        let digits: Vec<Digit> =
            "0123456789*#ABCD".chars().map(|key| Digit::try_from(key).unwrap()).collect();

        assert!(digits.iter().map(|digit| digit.code()).eq(0..16));
        assert_eq!(digits.iter().map(ToString::to_string).collect::<String>(), "0123456789*#ABCD");
        assert!((0..=255).filter_map(Digit::of_code).eq(digits));
        assert_eq!(Digit::try_from('c'), Ok(Digit(14)));
        assert_eq!(Digit::try_from('E'), Err(NotADigit('E')));
    }
}

//! The tone that a caller hears while the far end rings, by country (ITU-T E.180, supplement 2).
//!
//! ```text
//!   US   440 + 480 Hz   ▮▮▮▮▮▮▮▮▯▯▯▯▯▯▯▯▯▯▯▯▯▯▯▯        2 s on, 4 s off
//!   GB   400 + 450 Hz   ▮▯▮▯▯▯▯▯▯▯▮▯▮▯▯▯▯▯▯▯            0.4 on, 0.2 off, 0.4 on, 2 off
//! ```
//!
//! A frame is worked out from where it stands, in samples since the tone began, and from nothing else: frames
//! that are left out or made twice do not put the tone out of step. A tone that is modulated (400 × 25 Hz) is
//! its two side frequencies.

use super::g711::Law;
use super::{CLOCK_RATE, sine};

/// A ringing tone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ringback {
    /// One or two frequencies in Hz; the second one is 0 if there is none.
    frequencies: [u16; 2],
    /// Milliseconds on, off, on, off; the last two are 0 where one ring is like the next.
    cadence_ms: [u16; 4],
}

impl Ringback {
    /// The tone of a country by its ISO 3166 code; where none is known, the 425 Hz, 1 s on and 4 s off, that
    /// E.180 recommends.
    #[must_use]
    pub fn of_country(code: &str) -> Self {
        let known =
            COUNTRIES.iter().find(|(codes, _)| codes.split(' ').any(|it| it.eq_ignore_ascii_case(code)));
        known.map_or(RECOMMENDED, |&(_, tone)| tone)
    }

    /// Fills `frame` with the samples from `position` on, companded by `law`.
    ///
    /// Hot path: no allocation; a sine or two for each sample.
    pub fn fill(self, law: Law, position: u64, frame: &mut [u8]) {
        for (octet, n) in frame.iter_mut().zip(0..) {
            let position = position.wrapping_add(n);
            *octet = self.sounding_for(position).map_or(law.silence(), |n| law.encode(self.sample(n)));
        }
    }

    /// How many samples the ring at `position` has lasted; `None` in a pause.
    fn sounding_for(self, position: u64) -> Option<u32> {
        let parts = self.cadence_ms.map(|ms| u64::from(ms) * u64::from(CLOCK_RATE) / 1_000);
        let mut rest = position % parts.iter().sum::<u64>();
        for (part, samples) in parts.into_iter().enumerate() {
            if rest < samples {
                return (part % 2 == 0).then_some(rest as u32);
            }
            rest -= samples;
        }
        None
    }

    fn sample(self, n: u32) -> i16 {
        let sum: f32 = self.frequencies.iter().map(|&hz| sine(n, hz)).sum();
        (sum * if self.frequencies[1] == 0 { ALONE } else { EACH_OF_TWO }) as i16
    }
}

const fn tone(frequencies: [u16; 2], cadence_ms: [u16; 4]) -> Ringback {
    Ringback { frequencies, cadence_ms }
}

const RECOMMENDED: Ringback = tone([425, 0], [1_000, 4_000, 0, 0]);

/// The countries whose tone is another one. Most of Europe has the recommended one.
const COUNTRIES: &[(&str, Ringback)] = &[
    ("US CA PR DO JM TT", tone([440, 480], [2_000, 4_000, 0, 0])),
    ("GB IE GG JE IM GI NZ", tone([400, 450], [400, 200, 400, 2_000])),
    ("AU", tone([413, 438], [400, 200, 400, 2_000])),
    ("FR MC", tone([440, 0], [1_500, 3_500, 0, 0])),
    ("ES AD", tone([425, 0], [1_500, 3_000, 0, 0])),
    ("BE", tone([425, 0], [1_000, 3_000, 0, 0])),
    ("AT", tone([420, 0], [1_000, 5_000, 0, 0])),
    ("PT SE", tone([425, 0], [1_000, 5_000, 0, 0])),
    ("HU", tone([425, 0], [1_250, 3_750, 0, 0])),
    ("JP", tone([385, 415], [1_000, 2_000, 0, 0])),
    ("KR TW", tone([440, 480], [1_000, 2_000, 0, 0])),
    ("CN", tone([450, 0], [1_000, 4_000, 0, 0])),
    ("HK", tone([440, 480], [400, 200, 400, 3_000])),
    ("IN", tone([375, 425], [400, 200, 400, 2_000])),
    ("SG", tone([401, 449], [400, 200, 400, 2_000])),
    ("MY", tone([425, 0], [400, 200, 400, 2_000])),
    ("PH", tone([425, 480], [1_000, 4_000, 0, 0])),
    ("ZA", tone([367, 433], [400, 200, 400, 2_000])),
    ("CL", tone([400, 0], [1_000, 3_000, 0, 0])),
    ("IL", tone([414, 0], [1_000, 3_000, 0, 0])),
];

/// −10 dBm0, in the middle of what E.180 allows; 0 dBm0 is 3.17 dB below the greatest amplitude.
const ALONE: f32 = 7_166.0;
/// −13 dBm0.
const EACH_OF_TWO: f32 = 5_073.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::testing::level_dbm0;

    #[test]
    fn a_country_has_its_own_tone_and_another_the_recommended_one() {
        assert_eq!(Ringback::of_country("us"), tone([440, 480], [2_000, 4_000, 0, 0]));
        assert_eq!(Ringback::of_country("GB"), tone([400, 450], [400, 200, 400, 2_000]));
        assert_eq!(Ringback::of_country("FR"), tone([440, 0], [1_500, 3_500, 0, 0]));
        for code in ["DE", "IT", "NL", "BR", "MX", "PL", "", "U", "US CA"] {
            assert_eq!(Ringback::of_country(code), RECOMMENDED, "{code}");
        }
    }

    #[test]
    fn the_table_names_no_country_twice_and_every_tone_has_a_pause() {
        let mut codes: Vec<&str> = COUNTRIES.iter().flat_map(|(codes, _)| codes.split(' ')).collect();
        let named = codes.len();
        codes.sort_unstable();
        codes.dedup();

        assert_eq!(codes.len(), named);
        assert!(codes.iter().all(|code| code.len() == 2));
        assert!(COUNTRIES.iter().all(|(_, tone)| tone.cadence_ms[0] > 0 && tone.cadence_ms[1] > 0));
    }

    #[test]
    fn rings_and_pauses_follow_the_cadence_again_and_again() {
        let sound = made(Ringback::of_country("GB"), Law::Mu, 6_000, 160);

        let silent_ms: Vec<usize> = (0..6_000).filter(|&ms| is_silent(&sound[8 * ms..8 * ms + 8])).collect();

        let pauses = (400..600).chain(1_000..3_000).chain(3_400..3_600).chain(4_000..6_000);
        assert!(pauses.eq(silent_ms));
    }

    #[test]
    fn both_frequencies_sound_at_13_dbm0_and_one_alone_at_10_and_nothing_else() {
        for (code, law, expected) in [
            ("US", Law::Mu, &[(440, -13.0), (480, -13.0)][..]),
            ("DE", Law::A, &[(425, -10.0)]),
            ("JP", Law::A, &[(385, -13.0), (415, -13.0)]),
        ] {
            let sound = made(Ringback::of_country(code), law, 1_000, 160);
            let level = |hz| level_dbm0(&sound, law, hz);

            for &(hz, dbm0) in expected {
                assert!((level(hz) - dbm0).abs() < 0.1, "{code} {hz} Hz: {}", level(hz));
            }
            let others = (100..3_900).step_by(5).filter(|hz| expected.iter().all(|(it, _)| it != hz));
            assert!(others.into_iter().all(|hz| level(hz) < -50.0), "{code}");
        }
    }

    #[test]
    fn a_frame_depends_on_nothing_but_its_position() {
        let tone = Ringback::of_country("AU");
        let whole = made(tone, Law::A, 10_000, 160);

        let mut frame = [0; 77];
        for position in [0, 159, 3_200, 71_999] {
            tone.fill(Law::A, position as u64, &mut frame);
            assert_eq!(frame, whole[position..position + 77]);
        }
        tone.fill(Law::A, u64::MAX - 76, &mut frame);
    }

    fn made(tone: Ringback, law: Law, ms: usize, frame: usize) -> Vec<u8> {
        let mut sound = vec![0; ms * 8];
        for (n, frame_of) in sound.chunks_mut(frame).enumerate() {
            tone.fill(law, (n * frame) as u64, frame_of);
        }
        sound
    }

    fn is_silent(octets: &[u8]) -> bool {
        octets.iter().all(|&octet| octet == Law::Mu.silence())
    }
}

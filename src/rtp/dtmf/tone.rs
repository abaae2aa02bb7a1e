//! A digit of ours as its two tones (ITU-T Q.23), laid over the audio of a peer that takes no events.
//!
//! ```text
//!   audio      ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪
//!   sent       ▪▪▪▪▪▪▪▪████████████▯▯▯▯▯▯▯▯▯▯▪▪▪▪▪▪▪▪     the tones, at least 80 ms; then silence for 80
//! ```
//!
//! What a frame gets depends on its timestamp and on nothing else: the digit goes on in whatever is sent
//! next, be it relayed or made, and takes no time from the stream.

use std::time::Duration;

use super::Digit;
use crate::rtp::g711::Law;
use crate::rtp::{CLOCK_RATE, sine};

/// One digit on its way.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    frequencies: [u16; 2],
    began: u32,
    /// How many samples it sounds.
    sounds: u32,
}

impl Tone {
    /// A digit that begins at `timestamp`.
    ///
    /// `duration` is kept within the 80 ms that survive a lost packet and the 8 s of an event.
    #[must_use]
    pub fn new(digit: Digit, duration: Duration, timestamp: u32) -> Self {
        let sounds = duration.clamp(SHORTEST, LONGEST).as_millis() as u32 * TICKS_PER_MS;
        Self { frequencies: digit.frequencies(), began: timestamp, sounds }
    }

    /// Whether the digit and the pause behind it are past at `timestamp`.
    #[must_use]
    pub fn is_over(&self, timestamp: u32) -> bool {
        self.reached(timestamp).is_some_and(|reached| reached >= self.sounds + PAUSE)
    }

    /// Lays what belongs there over the samples from `timestamp` on, companded by `law`.
    ///
    /// Hot path: no allocation; two sines for each sample.
    pub fn lay_over(&self, law: Law, timestamp: u32, samples: &mut [u8]) {
        for (octet, n) in samples.iter_mut().zip(0..) {
            match self.reached(timestamp.wrapping_add(n)) {
                Some(reached) if reached < self.sounds => *octet = law.encode(self.sample(reached)),
                Some(reached) if reached < self.sounds + PAUSE => *octet = law.silence(),
                Some(_) | None => {}
            }
        }
    }

    /// How far on it is at `timestamp`; `None` before its beginning.
    fn reached(&self, timestamp: u32) -> Option<u32> {
        u32::try_from(timestamp.wrapping_sub(self.began).cast_signed()).ok()
    }

    fn sample(&self, n: u32) -> i16 {
        let [low, high] = self.frequencies;
        (sine(n, low) * LOW_LEVEL + sine(n, high) * HIGH_LEVEL) as i16
    }
}

const TICKS_PER_MS: u32 = CLOCK_RATE / 1_000;
/// Twice what everybody hears (ITU-T Q.24).
const SHORTEST: Duration = Duration::from_millis(80);
const LONGEST: Duration = Duration::from_millis(8_000);
/// In samples. The slowest receivers need 65 ms (ITU-T Q.24).
const PAUSE: u32 = 80 * TICKS_PER_MS;

/// −10 dBm0; 0 dBm0 is 3.17 dB below the greatest amplitude.
const LOW_LEVEL: f32 = 7_166.0;
/// −8 dBm0: lines weaken high tones more, so they are sent louder.
const HIGH_LEVEL: f32 = 9_022.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dtmf::{Detector, Heard};
    use crate::rtp::testing::level_dbm0;

    #[test]
    fn every_key_is_heard_as_itself_in_either_law_and_in_the_other_after_transcoding() {
        for digit in (0..16).filter_map(Digit::of_code) {
            for law in [Law::Mu, Law::A] {
                let sound = played(&[Tone::new(digit, Duration::from_millis(100), 0)], law, 2_400);
                let mut other = sound.clone();
                let transcoded = if law == Law::Mu { Law::A } else { Law::Mu };
                crate::rtp::g711::Transcoder::new(law, transcoded).in_place(&mut other);

                assert_eq!(heard(&sound, law), digit.to_string(), "{law:?}");
                assert_eq!(heard(&other, transcoded), digit.to_string(), "{law:?} as {transcoded:?}");
            }
        }
    }

    #[test]
    fn the_shortest_digit_sounds_for_80_ms_and_is_followed_by_as_much_silence() {
        let tone = Tone::new(Digit::try_from('5').unwrap(), Duration::from_millis(1), 800);
        let sound = played(&[tone], Law::Mu, 3_200);

        let silent = |ms: usize| sound[8 * ms..8 * ms + 8].iter().all(|&it| it == Law::Mu.silence());
        let voice = |ms: usize| sound[8 * ms..8 * ms + 8].iter().all(|&it| it == VOICE);
        assert!((0..100).chain(260..400).all(voice));
        assert!((180..260).all(silent));
        assert!(!(100..180).any(|ms| silent(ms) || voice(ms)));
        assert_eq!([2_079, 2_080].map(|at| tone.is_over(at)), [false, true]);
    }

    #[test]
    fn the_high_tone_is_2_db_louder_than_the_low_one_and_nothing_is_cut_off() {
        let tone = Tone::new(Digit::try_from('0').unwrap(), Duration::from_secs(1), 0);
        let sound = played(&[tone], Law::A, 8_000);

        let [low, high] = [941, 1_336].map(|hz| level_dbm0(&sound, Law::A, hz));
        assert!((low + 10.0).abs() < 0.1 && (high + 8.0).abs() < 0.1, "{low} {high}");
        let harmonics = [1_882, 2_672, 2_823, 2_277, 395].map(|hz| level_dbm0(&sound, Law::A, hz));
        assert!(harmonics.into_iter().all(|level| level < -50.0), "{harmonics:?}");
    }

    #[test]
    fn a_frame_depends_on_its_timestamp_alone_also_across_the_wrap() {
        let tone = Tone::new(Digit::try_from('9').unwrap(), Duration::from_millis(200), u32::MAX - 99);
        let mut whole = vec![VOICE; 4_000];
        tone.lay_over(Law::Mu, u32::MAX - 199, &mut whole);

        let mut frame = [VOICE; 77];
        for at in [0, 60, 100, 1_000, 1_650, 3_000] {
            frame.fill(VOICE);
            tone.lay_over(Law::Mu, (u32::MAX - 199).wrapping_add(at), &mut frame);
            assert_eq!(frame, whole[at as usize..at as usize + 77], "{at}");
        }
    }

    /// What is sent of an audio that is nothing but [`VOICE`], in frames of 20 ms.
    fn played(tones: &[Tone], law: Law, samples: usize) -> Vec<u8> {
        let mut sound = vec![VOICE; samples];
        for (frame, n) in sound.chunks_mut(160).zip(0..) {
            tones.iter().for_each(|tone| tone.lay_over(law, n * 160, frame));
        }
        sound
    }

    fn heard(sound: &[u8], law: Law) -> String {
        let (mut ear, mut keys) = (Detector::new(law), String::new());
        ear.listen(sound, |it| {
            if let Heard::Begins { digit, .. } = it {
                keys += &digit.to_string();
            }
        });
        keys
    }

    /// A loud sample that is neither silence nor any tone's.
    const VOICE: u8 = 0x00;
}

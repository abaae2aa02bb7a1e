//! Digits as tones inside the audio, heard by Goertzel's algorithm (ITU-T Q.23, Q.24).
//!
//! ```text
//!   samples   │ 64 │ 64 │ 64 │ 64 │ 64 │ …        8 ms each: eight complex amplitudes, and the energy
//!             ╰──── a digit? ─────╯               32 ms: the loudest of each group, and how far off it is
//!                  ╰──── a digit? ─────╯
//! ```
//!
//! A block of 8 ms is too short to tell 1.5 % off from 3.5 %; the turn of phase from block to block is not. A
//! digit begins when in four blocks on end two tones, loud enough, near enough to their frequencies, and to
//! each other in level, hold nearly all of the energy, from end to end. That last one is what keeps voices
//! out: a second harmonic, or a third tone of any kind, is enough for a no. It ends when three blocks lack
//! it: an interruption of 10 ms spoils two at most, a pause of 40 ms fills four.

use super::Digit;
use crate::rtp::CLOCK_RATE;
use crate::rtp::g711::Law;

/// The ear for one stream.
///
/// Some 500 bytes: for the legs that need it.
#[derive(Clone, Debug)]
pub struct Detector {
    law: Law,
    bank: Bank,
    /// Of the present block: Goertzel's two delayed values for each frequency, its energy, its length.
    delayed: [[f32; TONES]; 2],
    energy: f32,
    samples: usize,
    /// The last blocks, the newest last.
    blocks: [Block; WINDOW],
    /// Where the present block begins.
    position: u64,
    current: Option<Current>,
}

/// What is heard, and at which sample of all that were listened to, within 8 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A digit begins.
    Begins {
        /// Which.
        digit: Digit,
        /// Its first sample.
        at: u64,
    },
    /// It is over.
    Ends {
        /// Which.
        digit: Digit,
        /// The first sample without it.
        at: u64,
    },
}

/// What the frequencies need, worked out once.
#[derive(Clone, Debug)]
struct Bank {
    cosines: [f32; TONES],
    sines: [f32; TONES],
    /// By how much the phase turns in a block.
    turns: [f32; TONES],
}

/// Amplitude and phase of each frequency, as complex numbers, and the energy of all.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    real: [f32; TONES],
    imaginary: [f32; TONES],
    energy: f32,
}

/// A digit that is heard.
#[derive(Clone, Copy, Debug)]
struct Current {
    digit: Digit,
    /// Its two tones, and the least power of each in a block that has them.
    tones: [usize; 2],
    least: [f32; 2],
    missing: u8,
}

impl Detector {
    /// An ear for a stream of `law`.
    #[must_use]
    pub fn new(law: Law) -> Self {
        Self {
            law,
            bank: Bank::new(),
            delayed: [[0.0; TONES]; 2],
            energy: 0.0,
            samples: 0,
            blocks: [Block::default(); WINDOW],
            position: 0,
            current: None,
        }
    }

    /// Listens to a payload of any length, behind all the ones before, and tells what is heard.
    ///
    /// Leave out what was lost: a gap closed is a digit interrupted, a gap of silence may be two. Hot path:
    /// no allocation.
    pub fn listen(&mut self, payload: &[u8], mut heard: impl FnMut(Heard)) {
        let mut rest = payload;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.samples));
            self.filter(now);
            rest = later;
            if self.samples == BLOCK
                && let Some(it) = self.end_block()
            {
                heard(it);
            }
        }
    }

    /// The stream ended or pauses: so does the digit that is heard.
    pub fn stop(&mut self) -> Option<Heard> {
        let current = self.current.take()?;
        let at = self.position + self.samples as u64;
        self.blocks = [Block::default(); WINDOW];
        Some(Heard::Ends { digit: current.digit, at })
    }

    fn filter(&mut self, octets: &[u8]) {
        let [mut last, mut before] = self.delayed;
        for &octet in octets {
            let sample = f32::from(self.law.decode(octet));
            self.energy += sample * sample;
            for tone in 0..TONES {
                let next = 2.0 * self.bank.cosines[tone] * last[tone] - before[tone] + sample;
                before[tone] = last[tone];
                last[tone] = next;
            }
        }
        self.delayed = [last, before];
        self.samples += octets.len();
    }

    fn end_block(&mut self) -> Option<Heard> {
        let [last, before] = self.delayed;
        self.blocks.rotate_left(1);
        self.blocks[WINDOW - 1] = Block {
            real: std::array::from_fn(|tone| last[tone] - before[tone] * self.bank.cosines[tone]),
            imaginary: std::array::from_fn(|tone| before[tone] * self.bank.sines[tone]),
            energy: self.energy,
        };
        (self.delayed, self.energy, self.samples) = ([[0.0; TONES]; 2], 0.0, 0);
        self.position += BLOCK as u64;
        match &mut self.current {
            Some(current) => {
                current.missing =
                    if current.is_in(&self.blocks[WINDOW - 1]) { 0 } else { current.missing + 1 };
                let missing = u64::from(current.missing);
                let ended = self.current.take_if(|current| current.missing == MISSING)?;
                Some(Heard::Ends { digit: ended.digit, at: self.position - missing * BLOCK as u64 })
            }
            None => {
                let begun = self.digit()?;
                self.current = Some(begun);
                Some(Heard::Begins { digit: begun.digit, at: self.position - (WINDOW * BLOCK) as u64 })
            }
        }
    }

    /// The digit in all of the last blocks.
    fn digit(&self) -> Option<Current> {
        let total: f32 = self.blocks.iter().map(|block| block.energy).sum();
        if total < 2.0 * LEAST_POWER * SAMPLES {
            return None;
        }
        let tones = [self.loudest(0..GROUP), self.loudest(GROUP..TONES)];
        let [low, high] = tones.map(|tone| self.power(tone));
        let (low, high) = (low?, high?);
        let loud = low >= LEAST_POWER && high >= LEAST_POWER;
        let level = high <= low * REVERSE_TWIST && low <= high * FORWARD_TWIST;
        let pure = (low + high) * SAMPLES >= PURE * total;
        let digit = Digit::try_from(LAYOUT[tones[0]][tones[1] - GROUP]).ok()?;
        let least = tones.map(|tone| self.squares(tone).iter().sum::<f32>() / WINDOW as f32 * PRESENT);
        (loud && level && pure).then_some(Current { digit, tones, least, missing: 0 })
    }

    fn loudest(&self, tones: std::ops::Range<usize>) -> usize {
        let loudness = |&tone: &usize| self.squares(tone).iter().sum::<f32>();
        let first = tones.start;
        tones.max_by(|one, other| loudness(one).total_cmp(&loudness(other))).unwrap_or(first)
    }

    fn squares(&self, tone: usize) -> [f32; WINDOW] {
        self.blocks.map(|block| block.square(tone))
    }

    /// The mean square of a tone that is near `tone`; `None` if it is too far off.
    fn power(&self, tone: usize) -> Option<f32> {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for [one, next] in self.blocks.array_windows() {
            real += next.real[tone] * one.real[tone] + next.imaginary[tone] * one.imaginary[tone];
            imaginary += next.imaginary[tone] * one.real[tone] - next.real[tone] * one.imaginary[tone];
        }
        let turn = self.bank.turns[tone];
        let (sine, cosine) = turn.sin_cos();
        let excess = (imaginary * cosine - real * sine).atan2(real * cosine + imaginary * sine);
        let off_hz = excess * RATE / (std::f32::consts::TAU * BLOCK as f32);
        if off_hz.abs() > TOLERANCE * FREQUENCIES[tone] {
            return None;
        }
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (block, n) in self.blocks.iter().zip(0_u8..) {
            let (sine, cosine) = (f32::from(n) * (turn + excess)).sin_cos();
            real += block.real[tone] * cosine + block.imaginary[tone] * sine;
            imaginary += block.imaginary[tone] * cosine - block.real[tone] * sine;
        }
        let half = excess / 2.0;
        let attenuation = if half.abs() < 1e-3 { 1.0 } else { half.sin() / half };
        Some(2.0 * (real * real + imaginary * imaginary) / (SAMPLES * SAMPLES * attenuation * attenuation))
    }
}

impl Bank {
    fn new() -> Self {
        let angles = FREQUENCIES.map(|hz| std::f32::consts::TAU * hz / RATE);
        Self {
            cosines: angles.map(f32::cos),
            sines: angles.map(f32::sin),
            turns: angles.map(|angle| angle * BLOCK as f32 % std::f32::consts::TAU),
        }
    }
}

impl Block {
    fn square(&self, tone: usize) -> f32 {
        self.real[tone] * self.real[tone] + self.imaginary[tone] * self.imaginary[tone]
    }
}

impl Current {
    fn is_in(&self, block: &Block) -> bool {
        self.tones.iter().zip(self.least).all(|(&tone, least)| block.square(tone) >= least)
    }
}

/// ITU-T Q.23: the low group, then the high one.
const FREQUENCIES: [f32; TONES] = [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0];
const TONES: usize = 8;
const GROUP: usize = 4;
const LAYOUT: [[char; GROUP]; GROUP] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

const RATE: f32 = CLOCK_RATE as f32;
const BLOCK: usize = 64;
/// Blocks that a digit has to fill: in 40 ms there are always four.
const WINDOW: usize = 4;
const SAMPLES: f32 = (WINDOW * BLOCK) as f32;
/// Blocks without the digit that end it.
const MISSING: u8 = 3;

/// −27 dBm0, the mean square of one tone: between the −25 that must be heard and the −29 that some must not
/// hear (Q.24). 0 dBm0 is 3.17 dB below a sine of the greatest amplitude.
const LEAST_POWER: f32 = 5.14e5;
/// Halfway between 1.5 %, to be accepted, and 3.5 %, to be refused.
const TOLERANCE: f32 = 0.025;
/// 4 dB, the high tone above the low one, and 1 dB for what measuring costs.
const REVERSE_TWIST: f32 = 3.16;
/// 8 dB, the low tone above the high one, and 1 dB.
const FORWARD_TWIST: f32 = 7.94;
/// The part of the energy that the two tones hold: noise 15 dB below leaves them 0.97, a voice hardly ever
/// 0.9.
const PURE: f32 = 0.91;
/// 9 dB below the digit's power.
const PRESENT: f32 = 0.125;

#[cfg(test)]
mod tests;

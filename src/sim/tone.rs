//! A tone that is made, and a tone that is heard: the measure by which a call's audio is judged.
//!
//! Levels are dBov (RFC 6464 §3): 0 is the rms of a full-scale square wave, so a full-scale sine is −3.
//! The meter fits one sinusoid over the whole window by least squares, which makes it strict about time:
//! a sample lost, doubled or shifted anywhere breaks the phase and shows as noise, even when the
//! frequency still looks right.

use std::f64::consts::TAU;

/// Samples in one packet: 20 ms at 8 kHz.
pub const PACKET: usize = 160;

/// A sine of constant level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Frequency in whole Hz.
    pub hertz: u32,
    /// Level in dBov.
    pub dbov: f64,
}

impl Tone {
    /// Sample number `n` at 8 kHz.
    #[must_use]
    pub fn sample(&self, n: usize) -> i16 {
        let peak = FULL_SCALE * 10_f64.powf(self.dbov / 20.0) * std::f64::consts::SQRT_2;
        let turns = (n % RATE) as f64 * f64::from(self.hertz) / RATE as f64;
        (peak * (turns * TAU).sin()).round() as i16
    }

    /// After how many packets the samples repeat.
    #[must_use]
    pub fn packets_per_cycle(&self) -> usize {
        let samples = RATE / gcd(self.hertz as usize, RATE);
        samples / gcd(samples, PACKET)
    }
}

/// What was heard in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Frequency of the strongest sinusoid in Hz; 0 when the window is silent.
    pub hertz: f64,
    /// Its level.
    pub dbov: f64,
    /// Its power over that of all else, in dB.
    pub snr_db: f64,
}

/// Measures packets of samples; `None` is a packet that never came and is left out of the fit.
///
/// The neighbourhood of `expected_hertz` is tried first; only when that does not explain what is heard is
/// the whole band searched.
#[must_use]
pub fn measure(packets: &[Option<[i16; PACKET]>], expected_hertz: f64) -> Heard {
    let near = refine(packets, expected_hertz, 4.0, 0.5).heard();
    if near.snr_db >= CLEAR_DB || near.hertz == 0.0 {
        return near;
    }
    let strongest = strongest_bin(&packets[..packets.len().min(10)]);
    let far = refine(packets, strongest, 6.0, 0.5).heard();
    if far.snr_db > near.snr_db { far } else { near }
}

/// The best fit within `span` Hz around `centre`: steps of `step` first, then a golden-section search.
fn refine(packets: &[Option<[i16; PACKET]>], centre: f64, span: f64, step: f64) -> Fit {
    let steps = (span / step) as i32;
    let best = (-steps..=steps)
        .map(|offset| fit(packets, centre + f64::from(offset) * step))
        .max_by(|a, b| a.explained.total_cmp(&b.explained))
        .unwrap_or_default();
    let (mut low, mut high) = (best.hertz - step, best.hertz + step);
    let mut best = best;
    for _ in 0..REFINEMENTS {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        let (left, right) = (fit(packets, left), fit(packets, right));
        let better = if left.explained > right.explained {
            high = right.hertz;
            left
        } else {
            low = left.hertz;
            right
        };
        if better.explained > best.explained {
            best = better;
        }
    }
    best
}

/// The frequency that explains most of a short window, in steps of half its resolution.
fn strongest_bin(packets: &[Option<[i16; PACKET]>]) -> f64 {
    (40..1560)
        .map(|step| fit(packets, f64::from(step) * 2.5))
        .max_by(|a, b| a.explained.total_cmp(&b.explained))
        .unwrap_or_default()
        .hertz
}

/// A least-squares fit of `a·cos + b·sin + c` at one frequency; powers are sums of squares over `samples`.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    hertz: f64,
    explained: f64,
    total: f64,
    samples: f64,
}

impl Fit {
    fn heard(&self) -> Heard {
        let level = |power: f64| 10.0 * (power / self.samples / (FULL_SCALE * FULL_SCALE)).log10();
        if self.samples == 0.0 || level(self.total) < SILENCE_DBOV {
            return Heard { hertz: 0.0, dbov: SILENCE_DBOV, snr_db: 0.0 };
        }
        let noise = (self.total - self.explained).max(self.total * 1e-12);
        Heard {
            hertz: self.hertz,
            dbov: level(self.explained),
            snr_db: 10.0 * (self.explained / noise).log10(),
        }
    }
}

fn fit(packets: &[Option<[i16; PACKET]>], hertz: f64) -> Fit {
    let sums = Sums::over(packets, hertz);
    let n = sums.samples;
    if n == 0.0 {
        return Fit { hertz, ..Fit::default() };
    }
    // Deviations from the means leave a 2×2 system; the constant drops out.
    let cc = sums.cos_cos - sums.cos * sums.cos / n;
    let ss = sums.sin_sin - sums.sin * sums.sin / n;
    let cs = sums.cos_sin - sums.cos * sums.sin / n;
    let xc = sums.x_cos - sums.x * sums.cos / n;
    let xs = sums.x_sin - sums.x * sums.sin / n;
    let determinant = cc * ss - cs * cs;
    let explained = if determinant.abs() < 1e-9 {
        0.0
    } else {
        (xc * (ss * xc - cs * xs) + xs * (cc * xs - cs * xc)) / determinant
    };
    Fit { hertz, explained, total: sums.x_x - sums.x * sums.x / n, samples: n }
}

#[derive(Default)]
struct Sums {
    samples: f64,
    cos: f64,
    sin: f64,
    cos_cos: f64,
    sin_sin: f64,
    cos_sin: f64,
    x: f64,
    x_x: f64,
    x_cos: f64,
    x_sin: f64,
}

impl Sums {
    /// One pass over the samples that came; the angle advances over those that did not.
    fn over(packets: &[Option<[i16; PACKET]>], hertz: f64) -> Self {
        let turn = hertz / RATE as f64 * TAU;
        let (step_sin, step_cos) = turn.sin_cos();
        let mut sums = Self::default();
        for (number, packet) in packets.iter().enumerate() {
            let Some(packet) = packet else { continue };
            let (mut sin, mut cos) = (turn * (number * PACKET) as f64).sin_cos();
            for sample in packet {
                let x = f64::from(*sample);
                sums.cos += cos;
                sums.sin += sin;
                sums.cos_cos += cos * cos;
                sums.cos_sin += cos * sin;
                sums.x += x;
                sums.x_x += x * x;
                sums.x_cos += x * cos;
                sums.x_sin += x * sin;
                (sin, cos) = (sin * step_cos + cos * step_sin, cos * step_cos - sin * step_sin);
            }
            sums.samples += PACKET as f64;
        }
        sums.sin_sin = sums.samples - sums.cos_cos;
        sums
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

const RATE: usize = 8_000;
const FULL_SCALE: f64 = 32_768.0;
const SILENCE_DBOV: f64 = -60.0;
/// A fit this good needs no search elsewhere.
const CLEAR_DB: f64 = 20.0;
const GOLDEN: f64 = 0.618_033_988_749_895;
const REFINEMENTS: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::g711::Law;

    #[test]
    fn a_tone_through_either_law_keeps_frequency_level_and_clarity() {
        for law in [Law::Mu, Law::A] {
            let heard = measure(&through(law, TONE, 50), 1009.0);

            assert!((heard.hertz - 1009.0).abs() < 0.1, "{heard:?}");
            assert!((heard.dbov + 13.0).abs() < 0.1, "{heard:?}");
            assert!(heard.snr_db > 33.0, "{heard:?}");
        }
    }

    #[test]
    fn a_wrong_tone_is_named_by_its_own_frequency() {
        let heard = measure(&through(Law::Mu, Tone { hertz: 443, ..TONE }, 50), 1009.0);

        assert!((heard.hertz - 443.0).abs() < 0.1, "{heard:?}");
        assert!(heard.snr_db > 30.0, "{heard:?}");
    }

    #[test]
    fn a_lost_packet_is_left_out_but_a_closed_gap_is_noise() {
        let mut lost = through(Law::Mu, TONE, 50);
        lost[20] = None;
        let mut closed = through(Law::Mu, TONE, 50);
        closed.remove(20);

        assert!(measure(&lost, 1009.0).snr_db > 33.0);
        assert!(measure(&closed, 1009.0).snr_db < 20.0);
    }

    #[test]
    fn silence_has_no_frequency() {
        let silence = vec![Some([Law::A.decode(Law::A.silence()); PACKET]); 50];

        assert_eq!(measure(&silence, 1009.0).hertz, 0.0);
        assert_eq!(measure(&[None; 50], 1009.0).hertz, 0.0);
    }

    #[test]
    fn twice_the_level_is_six_decibels() {
        let loud = measure(&through(Law::Mu, Tone { dbov: -7.0, ..TONE }, 50), 1009.0);
        let soft = measure(&through(Law::Mu, TONE, 50), 1009.0);

        assert!((loud.dbov - soft.dbov - 6.0).abs() < 0.1, "{loud:?} {soft:?}");
    }

    #[test]
    fn noise_is_not_taken_for_a_tone() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 18) as i16 - 8_192
        };
        let packets: Vec<_> = (0..50).map(|_| Some(std::array::from_fn(|_| noise()))).collect();

        assert!(measure(&packets, 1009.0).snr_db < 0.0);
    }

    #[test]
    fn packets_repeat_exactly_after_one_cycle_and_not_before() {
        let cycle = TONE.packets_per_cycle();
        let packet =
            |number: usize| -> Vec<i16> { (0..PACKET).map(|n| TONE.sample(number * PACKET + n)).collect() };

        assert_eq!(cycle, 50);
        assert_eq!(packet(3), packet(3 + cycle));
        assert!((1..cycle).all(|later| packet(3) != packet(3 + later)));
    }

    const TONE: Tone = Tone { hertz: 1009, dbov: -13.0 };

    fn through(law: Law, tone: Tone, packets: usize) -> Vec<Option<[i16; PACKET]>> {
        (0..packets)
            .map(|number| {
                Some(std::array::from_fn(|n| law.decode(law.encode(tone.sample(number * PACKET + n)))))
            })
            .collect()
    }
}

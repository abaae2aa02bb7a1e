//! Every digit at the limits that ITU-T Q.24 sets, and sounds of a call that are none.

use std::f64::consts::TAU;

use super::*;

const KEYS: &str = "0123456789*#ABCD";

#[test]
fn every_digit_is_heard_at_both_limits_of_level_and_twist_in_both_laws() {
    for (low_dbm0, high_dbm0) in
        [(0.0, -2.0), (-3.0, -3.0), (-25.0, -25.0), (-3.0, -11.0), (-17.0, -25.0), (-12.0, -8.0)]
    {
        for key in KEYS.chars() {
            for law in [Law::Mu, Law::A] {
                let press = Press { low_dbm0, high_dbm0, ..Press::of(key) };
                assert_eq!(
                    digits(law, &press.sound()),
                    key.to_string(),
                    "{low_dbm0} and {high_dbm0} dBm0 {law:?}"
                );
            }
        }
    }
}

#[test]
fn every_digit_is_heard_1_5_percent_off_and_none_3_5_percent_off() {
    for key in KEYS.chars() {
        for off in [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]] {
            let [near, far] = [1.5, 3.5].map(|percent| {
                let press = Press { off_percent: off.map(|sign| sign * percent), ..Press::of(key) };
                digits(Law::Mu, &press.sound())
            });
            assert_eq!((near, far), (key.to_string(), String::new()), "{off:?}");
        }
        for off_percent in [[3.5, 0.0], [-3.5, 0.0], [0.0, 3.5], [0.0, -3.5]] {
            let press = Press { off_percent, ms: 100.0, ..Press::of(key) };
            assert_eq!(digits(Law::Mu, &press.sound()), "", "{key} {off_percent:?}");
        }
    }
}

#[test]
fn twist_off_by_3_db_more_and_levels_below_29_dbm0_are_no_digits() {
    for (low_dbm0, high_dbm0) in [(-3.0, -14.0), (-13.0, -6.0), (-29.0, -29.0), (-55.0, -55.0)] {
        for key in KEYS.chars() {
            let press = Press { low_dbm0, high_dbm0, ms: 100.0, ..Press::of(key) };
            assert_eq!(digits(Law::A, &press.sound()), "", "{key} {low_dbm0} and {high_dbm0} dBm0");
        }
    }
}

#[test]
fn forty_ms_are_a_digit_and_twenty_three_are_none_wherever_they_begin() {
    for key in KEYS.chars() {
        for lead in (0..64).step_by(3) {
            let at = |ms| {
                let mut sound = vec![0.0; 640 + lead];
                sound.extend(Press { ms, ..Press::of(key) }.sound());
                digits(Law::Mu, &sound)
            };
            assert_eq!((at(40.0), at(23.0)), (key.to_string(), String::new()), "{lead} samples in");
        }
    }
}

#[test]
fn forty_ms_of_pause_make_two_digits_and_an_interruption_of_ten_makes_one() {
    for key in KEYS.chars() {
        for lead in (0..64).step_by(3) {
            let twice = |pause_ms: usize| {
                let press = Press { ms: 60.0, pause_ms: 0.0, ..Press::of(key) }.sound();
                let sound = [&vec![0.0; lead], &press, &vec![0.0; pause_ms * 8], &press, &vec![0.0; 400]];
                digits(Law::Mu, &sound.map(|it| &it[..]).concat())
            };
            assert_eq!((twice(40), twice(10)), (format!("{key}{key}"), key.to_string()), "{lead} samples in");
        }
    }
}

#[test]
fn noise_15_db_below_hides_no_digit_and_none_of_60_ms_that_is_off_as_well() {
    let mut noise = Noise(1);
    for key in KEYS.chars().cycle().take(320) {
        for (low_dbm0, high_dbm0) in [(-10.0, -10.0), (-6.0, -14.0), (-14.0, -10.0)] {
            let exact = Press { low_dbm0, high_dbm0, ..Press::of(key) };
            let off = Press { off_percent: [1.5, -1.5], ms: 60.0, ..exact };
            let power = amplitude(low_dbm0).powi(2) / 2.0 + amplitude(high_dbm0).powi(2) / 2.0;
            for press in [exact, off] {
                let sound: Vec<f64> =
                    press.sound().iter().map(|it| it + noise.normal() * (power / 31.6).sqrt()).collect();
                assert_eq!(digits(Law::Mu, &sound), key.to_string(), "{low_dbm0} and {high_dbm0} dBm0");
            }
        }
    }
}

#[test]
fn beginnings_and_ends_are_where_they_were_to_within_8_ms_however_the_stream_is_cut() {
    let sound = [vec![0.0; 1_000], Press { ms: 100.0, ..Press::of('7') }.sound()].concat();
    let digit = Digit::try_from('7').unwrap();

    for octets in [1, 80, 160, 240, 333, 4_000] {
        let mut detector = Detector::new(Law::A);
        let mut all = Vec::new();
        for payload in encoded(Law::A, &sound).chunks(octets) {
            detector.listen(payload, |heard| all.push(heard));
        }

        let [Heard::Begins { digit: begun, at: from }, Heard::Ends { digit: ended, at: to }] = all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((begun, ended), (digit, digit));
        assert!(from.abs_diff(1_000) <= 64 && to.abs_diff(1_800) <= 64, "{from} to {to}");
    }
}

#[test]
fn a_digit_that_is_heard_when_the_stream_stops_ends_there() {
    let mut detector = Detector::new(Law::A);
    let sound = Press { ms: 100.0, pause_ms: 0.0, ..Press::of('7') }.sound();
    detector.listen(&encoded(Law::A, &sound), |_| ());

    let digit = Digit::try_from('7').unwrap();
    assert_eq!(detector.stop(), Some(Heard::Ends { digit, at: 800 }));
    assert_eq!(detector.stop(), None);
}

#[test]
fn tones_of_the_network_are_no_digits() {
    let tones = [
        &[350.0, 440.0][..],
        &[440.0, 480.0],
        &[480.0, 620.0],
        &[425.0],
        &[400.0, 450.0],
        &[950.0],
        &[1_400.0],
        &[1_800.0],
        &[2_100.0],
        &[697.0],
        &[1_209.0],
        &[697.0, 770.0],
        &[941.0, 1_336.0, 1_477.0],
        &[700.0, 900.0],
    ];
    for frequencies in tones {
        let sound: Vec<f64> = (0..8_000)
            .map(|n| {
                frequencies
                    .iter()
                    .map(|hz| amplitude(-10.0) * (TAU * hz * f64::from(n) / 8_000.0).sin())
                    .sum()
            })
            .collect();
        assert_eq!(digits(Law::Mu, &sound), "", "{frequencies:?}");
    }
}

#[test]
fn a_digit_with_second_harmonics_6_db_below_is_a_voice() {
    for key in KEYS.chars() {
        let [low, high] = frequencies(key);
        let sound: Vec<f64> = (0..1_600)
            .map(|n| {
                let at = |hz: f64| (TAU * hz * f64::from(n) / 8_000.0).sin();
                let harmonics = at(2.0 * low) + at(2.0 * high);
                amplitude(-10.0) * (at(low) + at(high)) + amplitude(-16.0) * harmonics
            })
            .collect();
        assert_eq!(digits(Law::Mu, &sound), "", "{key}");
    }
}

#[test]
fn ten_minutes_of_vowels_are_no_digit() {
    let mut voice = Voice { noise: Noise(7), phase: 0.0, resonators: Default::default() };
    let mut detector = Detector::new(Law::Mu);
    let mut heard = Vec::new();

    for _ in 0..3_000 {
        detector.listen(&encoded(Law::Mu, &voice.vowel()), |it| heard.push(it));
    }

    assert_eq!(heard, []);
}

#[test]
fn loud_noise_is_no_digit() {
    let mut noise = Noise(3);
    let sound: Vec<f64> = (0..480_000).map(|_| noise.normal() * 8_000.0).collect();

    assert_eq!(digits(Law::A, &sound), "");
}

#[test]
fn any_octets_at_all_are_listened_to() {
    let mut noise = Noise(5);
    let mut detector = Detector::new(Law::A);
    let octets: Vec<u8> = (0..100_000).map(|_| (noise.uniform() * 256.0) as u8).collect();

    for (n, payload) in octets.chunks(97).enumerate() {
        detector.listen(if n % 5 == 0 { &[0x2A; 200] } else { payload }, |_| ());
    }

    assert_eq!(detector.stop(), None);
}

/// One key, held.
#[derive(Clone, Copy)]
struct Press {
    key: char,
    low_dbm0: f64,
    high_dbm0: f64,
    off_percent: [f64; 2],
    ms: f64,
    pause_ms: f64,
}

impl Press {
    fn of(key: char) -> Self {
        Self { key, low_dbm0: -10.0, high_dbm0: -10.0, off_percent: [0.0; 2], ms: 40.0, pause_ms: 50.0 }
    }

    fn sound(&self) -> Vec<f64> {
        let [low, high] = frequencies(self.key);
        let [low, high] =
            [low * (1.0 + self.off_percent[0] / 100.0), high * (1.0 + self.off_percent[1] / 100.0)];
        let tone =
            |n: u32, hz: f64, dbm0: f64| amplitude(dbm0) * (TAU * hz * f64::from(n) / 8_000.0 + 0.3).sin();
        let pressed =
            (0..(self.ms * 8.0) as u32).map(|n| tone(n, low, self.low_dbm0) + tone(n, high, self.high_dbm0));
        pressed.chain(std::iter::repeat_n(0.0, (self.pause_ms * 8.0) as usize)).collect()
    }
}

fn frequencies(key: char) -> [f64; 2] {
    let low = [697.0, 770.0, 852.0, 941.0];
    let high = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
    let place = "123A456B789C*0#D".find(key).unwrap();
    [low[place / 4], high[place % 4]]
}

/// Of a sine; one of the greatest amplitude has 3.17 dBm0.
fn amplitude(dbm0: f64) -> f64 {
    32_636.0 * 10_f64.powf((dbm0 - 3.17) / 20.0)
}

fn encoded(law: Law, sound: &[f64]) -> Vec<u8> {
    sound.iter().map(|sample| law.encode(sample.round() as i16)).collect()
}

/// The digits that begin.
fn digits(law: Law, sound: &[f64]) -> String {
    let mut detector = Detector::new(law);
    let mut begun = String::new();
    for payload in encoded(law, sound).chunks(160) {
        detector.listen(payload, |heard| {
            if let Heard::Begins { digit, .. } = heard {
                begun += &digit.to_string();
            }
        });
    }
    begun
}

/// A glottis that pulses, with a throat that resonates at three formants.
struct Voice {
    noise: Noise,
    phase: f64,
    resonators: [[f64; 2]; 3],
}

impl Voice {
    /// 200 ms of another pitch, and of other formants.
    fn vowel(&mut self) -> Vec<f64> {
        let mut between = |low: f64, high: f64| low + (high - low) * self.noise.uniform();
        let (pitch, glide, loudness) =
            (between(80.0, 300.0), between(-0.2, 0.2), amplitude(between(-25.0, -3.0)));
        let formants = [
            (between(250.0, 900.0), between(50.0, 90.0)),
            (between(850.0, 2_400.0), between(60.0, 120.0)),
            (between(2_300.0, 3_000.0), between(100.0, 180.0)),
        ];
        let mut sound: Vec<f64> = (0..1_600)
            .map(|n| {
                let hz = pitch * (1.0 + glide * f64::from(n) / 1_600.0) * (1.0 + 0.01 * self.noise.normal());
                self.phase += hz / 8_000.0;
                let pulse = if self.phase >= 1.0 { 1.0 } else { 0.01 * self.noise.normal() };
                self.phase %= 1.0;
                let throat = formants.iter().zip(&mut self.resonators);
                throat.fold(pulse, |sample, (formant, delayed)| resonate(sample, *formant, delayed))
            })
            .collect();
        let loudest = sound.iter().fold(1e-9_f64, |loudest, sample| loudest.max(sample.abs()));
        sound.iter_mut().for_each(|sample| *sample *= loudness / loudest);
        sound
    }
}

/// Two poles at a frequency, with a bandwidth.
fn resonate(sample: f64, (hz, bandwidth): (f64, f64), delayed: &mut [f64; 2]) -> f64 {
    let radius = (-TAU / 2.0 * bandwidth / 8_000.0).exp();
    let angle = TAU * hz / 8_000.0;
    let next = sample + 2.0 * radius * angle.cos() * delayed[0] - radius * radius * delayed[1];
    *delayed = [next, delayed[0]];
    next
}

/// A small generator, so that each run hears the same.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of variance 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

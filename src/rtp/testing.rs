//! What the tests of tones share: a meter.

use super::g711::Law;

/// The level of `hz` in `sound`, in dBm0 (a full-scale sine is 3.17, ITU-T G.711).
pub(super) fn level_dbm0(sound: &[u8], law: Law, hz: u32) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (n, &octet) in sound.iter().enumerate() {
        let angle = std::f64::consts::TAU * f64::from(hz) * n as f64 / 8_000.0;
        real += f64::from(law.decode(octet)) * angle.cos();
        imaginary += f64::from(law.decode(octet)) * angle.sin();
    }
    let amplitude = 2.0 * (real * real + imaginary * imaginary).sqrt() / sound.len() as f64;
    20.0 * (amplitude / 32_636.0).log10() + 3.17
}

//! What a stream sounds like, as one figure (ITU-T G.107, simplified for G.711; G.113 appendix I).
//!
//! ```text
//!   R = 93.2 − Idd(delay) − Ie,eff(loss)        MOS = 1 + 0.035 R + R (R − 60) (100 − R) · 7·10⁻⁶
//! ```
//!
//! Everything that the network does not decide stands at G.107's defaults, which make the 93.2, and there is
//! no echo. G.711 impairs nothing by itself (Ie = 0), and its robustness to loss is taken as 4.3, that of
//! G.711 without concealment, not as the 25.1 that its appendix I would give: a voice agent's ear conceals
//! nothing, and where a telephone does, the figure errs on the side that makes someone look.

use std::time::Duration;

/// The mean opinion score, 1 to 4.5, of a stream that loses `loss` (0 to 1) of its packets at random.
///
/// The delay from mouth to ear is half the round trip, the 20 ms that a packet takes to fill, and a jitter
/// buffer of twice the mean deviation, which holds nearly every packet.
#[must_use]
pub fn mos(loss: f64, round_trip: Duration, jitter: Duration) -> f64 {
    let delay = round_trip / 2 + PACKET + jitter * 2;
    from_r(transmission_rating(loss, delay))
}

/// R (G.107 §7.1).
fn transmission_rating(loss: f64, delay: Duration) -> f64 {
    R_DEFAULT - delay_impairment(delay.as_secs_f64() * 1_000.0) - loss_impairment(loss * 100.0)
}

/// Idd (G.107 §7.4).
fn delay_impairment(delay_ms: f64) -> f64 {
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let x = (delay_ms / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
}

/// Ie,eff (G.107 §7.5), with random loss: BurstR = 1.
fn loss_impairment(percent: f64) -> f64 {
    95.0 * percent / (percent + ROBUSTNESS_PERCENT)
}

/// G.107 annex B.
fn from_r(r: f64) -> f64 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        // Just above R = 0 the polynomial dips below the scale.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }
}

/// R with every parameter at its default: Ro − Is.
const R_DEFAULT: f64 = 93.2;
/// Bpl of G.711 without packet loss concealment (G.113 table I.4).
const ROBUSTNESS_PERCENT: f64 = 4.3;
const PACKET: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// G.107 annex B, table B.1, which rounds 4.024 up; 4.41 is that of the default R.
    #[test]
    fn r_becomes_the_recommendations_mos() {
        for (r, mos) in [(93.2, 4.41), (90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((from_r(r) - mos).abs() < 0.007, "R {r}: {}", from_r(r));
        }
        assert_eq!((from_r(0.0), from_r(-20.0), from_r(100.0), from_r(3.0)), (1.0, 1.0, 4.5, 1.0));
    }

    /// Idd of G.107 §7.4, worked out by hand where X is whole: 100, 200, 400 and 800 ms.
    #[test]
    fn delay_impairs_beyond_100_ms() {
        for (delay_ms, idd) in [(0.0, 0.0), (100.0, 0.0), (200.0, 3.04), (400.0, 24.07), (800.0, 40.83)] {
            assert!(
                (delay_impairment(delay_ms) - idd).abs() < 0.05,
                "{delay_ms}: {}",
                delay_impairment(delay_ms)
            );
        }
    }

    /// G.113 appendix I: 95 · Ppl / (Ppl + 4.3).
    #[test]
    fn loss_impairs_as_g711_without_concealment() {
        for (percent, ie_eff) in [(0.0, 0.0), (1.0, 17.92), (2.0, 30.16), (4.3, 47.5), (100.0, 91.08)] {
            assert!((loss_impairment(percent) - ie_eff).abs() < 0.01, "{percent} %");
        }
    }

    #[test]
    fn a_clean_stream_scores_4_41_and_every_impairment_less() {
        let ms = Duration::from_millis;
        let clean = mos(0.0, ms(40), ms(2));

        assert!((clean - 4.41).abs() < 0.005, "{clean}");
        assert!((mos(0.01, ms(40), ms(2)) - 3.83).abs() < 0.02, "{}", mos(0.01, ms(40), ms(2)));
        assert!(mos(0.0, ms(400), ms(2)) < clean && mos(0.0, ms(40), ms(60)) < clean);
        assert!((1.0..1.1).contains(&mos(1.0, ms(4_000), ms(500))));
    }
}

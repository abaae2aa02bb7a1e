//! The far ends' own G.711 (ITU-T G.711, RFC 3551 §4.5.14): 16-bit samples to mu-law
//! and A-law octets and back.
//!
//! Written apart from the product's tables on purpose: a mistake in one is heard by the other.

/// Which of the two G.711 laws a stream uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMU, static payload type 0.
    Mu,
    /// PCMA, static payload type 8.
    A,
}

impl Law {
    /// The static RTP payload type (RFC 3551 §6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The encoding name of `a=rtpmap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// The octet that means silence: the smallest positive value.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// The octet nearest to `sample`.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => mu_encode(sample),
            Self::A => a_encode(sample),
        }
    }

    /// The sample that `octet` stands for.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => mu_decode(octet),
            Self::A => a_decode(octet),
        }
    }
}

fn mu_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(MU_CLIP) + MU_BIAS;
    let segment = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (segment + 3)) & 0x0F;
    !(sign | low_byte(segment) << 4 | low_byte(mantissa))
}

fn mu_decode(octet: u8) -> i16 {
    let bits = !octet;
    let segment = (bits >> 4) & 0x07;
    let magnitude = (((i32::from(bits & 0x0F) << 3) + MU_BIAS) << segment) - MU_BIAS;
    signed(magnitude, bits & 0x80 != 0)
}

fn a_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = if sample < 0 { !sample } else { sample } >> 4;
    let code = match magnitude {
        0..32 => low_byte(magnitude),
        _ => {
            let segment = magnitude.ilog2() - 3;
            low_byte(segment) << 4 | low_byte((magnitude >> (segment - 1)) & 0x0F)
        }
    };
    (sign | code) ^ 0x55
}

fn a_decode(octet: u8) -> i16 {
    let bits = octet ^ 0x55;
    let segment = (bits >> 4) & 0x07;
    let mantissa = i32::from(bits & 0x0F) << 4;
    let magnitude = match segment {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (segment - 1),
    };
    signed(magnitude, bits & 0x80 == 0)
}

fn signed(magnitude: i32, negative: bool) -> i16 {
    let value = if negative { -magnitude } else { magnitude };
    i16::try_from(value).expect("G.711 spans less than 16 bits")
}

fn low_byte<T: TryInto<u8>>(value: T) -> u8 {
    value.try_into().ok().expect("masked to a few bits")
}

const MU_BIAS: i32 = 0x84;
const MU_CLIP: i32 = 32_635;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_decoding_and_encoding() {
        for octet in 0..=255_u8 {
            if octet != 0x7F {
                assert_eq!(Law::Mu.encode(Law::Mu.decode(octet)), octet, "mu-law {octet:#04x}");
            }
            assert_eq!(Law::A.encode(Law::A.decode(octet)), octet, "A-law {octet:#04x}");
        }
    }

    #[test]
    fn negative_zero_of_mu_law_reads_as_zero() {
        assert_eq!(Law::Mu.decode(0x7F), 0);
    }

    #[test]
    fn known_points_of_the_standard() {
        assert_eq!(Law::Mu.decode(0x00), -32_124);
        assert_eq!(Law::Mu.decode(0x80), 32_124);
        assert_eq!(Law::Mu.decode(Law::Mu.silence()), 0);
        assert_eq!(Law::A.decode(0x2A), -32_256);
        assert_eq!(Law::A.decode(0xAA), 32_256);
        assert_eq!(Law::A.decode(Law::A.silence()), 8);
    }

    #[test]
    fn quantisation_error_stays_within_half_a_step() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            for law in [Law::Mu, Law::A] {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();

                let half_step = (i32::from(sample).abs() + 132) / 32 + 1;
                let clipped = if sample.unsigned_abs() > 32_000 { 700 } else { 0 };
                assert!(error <= half_step.max(16).max(clipped), "{law:?} {sample}: {error}");
            }
        }
    }
}

//! G.711: the two companding laws, and each octet of one in the other (ITU-T G.711, RFC 3551 §4.5.14).
//!
//! ```text
//!   octet   S eee mmmm     S = 1 is positive; μ-law sends every bit inverted, A-law every second one (0x55)
//!   value   μ  ± (((2m + 33) << e) - 33), of 14 bits
//!           A  ± (2m + 1), e = 0; ± ((2m + 33) << (e - 1)), of 13 bits
//! ```
//!
//! Transcoding goes by linear code, through tables made at compile time, and keeps the sign even of zero:
//! μ-law has two zeros, A-law has none, so that silence of one law is not the octet of silence in the other,
//! but nearest to it.

/// Which of the two laws a stream is companded by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// μ-law, PCMU.
    Mu,
    /// A-law, PCMA.
    A,
}

impl Law {
    /// The law of a static payload type (RFC 3551 §6).
    #[must_use]
    pub const fn of_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Mu),
            8 => Some(Self::A),
            _ => None,
        }
    }

    /// Its static payload type (RFC 3551 §6).
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The octet of silence: the least positive value.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// The 16-bit sample that `octet` stands for.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => MU_TO_LINEAR[octet as usize],
            Self::A => A_TO_LINEAR[octet as usize],
        }
    }

    /// The octet whose decision interval `sample` lies in.
    #[must_use]
    pub const fn encode(self, sample: i16) -> u8 {
        self.compress(sample.unsigned_abs(), sample < 0)
    }

    const fn compress(self, magnitude: u16, negative: bool) -> u8 {
        match self {
            Self::Mu => mu_from(magnitude, negative),
            Self::A => a_from(magnitude, negative),
        }
    }
}

/// How octets of one law become octets of another: a table, or nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Transcoder {
    table: Option<&'static [u8; 256]>,
}

impl Transcoder {
    /// From the law that is received to the one that is sent.
    #[must_use]
    pub const fn new(from: Law, to: Law) -> Self {
        let table = match (from, to) {
            (Law::Mu, Law::A) => Some(&MU_TO_A),
            (Law::A, Law::Mu) => Some(&A_TO_MU),
            (Law::Mu, Law::Mu) | (Law::A, Law::A) => None,
        };
        Self { table }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_identity(self) -> bool {
        self.table.is_none()
    }

    /// Transcodes `payload` where it stands.
    ///
    /// Hot path: a table lookup an octet.
    pub fn in_place(self, payload: &mut [u8]) {
        if let Some(table) = self.table {
            for octet in payload {
                *octet = table[*octet as usize];
            }
        }
    }

    /// Transcodes `from` into `into`, as far as both reach.
    ///
    /// Hot path: a table lookup an octet.
    pub fn copy(self, from: &[u8], into: &mut [u8]) {
        for (octet, &source) in into.iter_mut().zip(from) {
            *octet = self.table.map_or(source, |table| table[source as usize]);
        }
    }
}

/// Adding the bias of 33 (here of 16 bits) makes every segment begin at a power of two.
const fn mu_from(magnitude: u16, negative: bool) -> u8 {
    let biased = if magnitude > MU_CLIP { MU_CLIP + MU_BIAS } else { magnitude + MU_BIAS };
    let segment = 8 - biased.leading_zeros() as u8;
    let mantissa = (biased >> (segment + 3)) as u8 & 0x0F;
    !(sign(negative) | segment << 4 | mantissa)
}

/// A negative sample on a decision value belongs to the interval nearer to zero, hence the complement's one
/// less.
const fn a_from(magnitude: u16, negative: bool) -> u8 {
    let magnitude = magnitude.saturating_sub(negative as u16);
    let segment = if magnitude < 0x100 { 0 } else { 8 - magnitude.leading_zeros() as u8 };
    let shift = if segment == 0 { 4 } else { segment + 3 };
    let mantissa = (magnitude >> shift) as u8 & 0x0F;
    (sign(!negative) | segment << 4 | mantissa) ^ A_INVERTED
}

const fn sign(set: bool) -> u8 {
    if set { 0x80 } else { 0 }
}

/// The magnitude that an octet stands for, of 16 bits; the sign is its first bit in both laws.
const fn magnitude(law: Law, octet: u8) -> u16 {
    match law {
        Law::Mu => {
            let (segment, mantissa) = (!octet >> 4 & 7, !octet & 0x0F);
            ((((mantissa as u16) << 3) + MU_BIAS) << segment) - MU_BIAS
        }
        Law::A => {
            let (segment, mantissa) = ((octet ^ A_INVERTED) >> 4 & 7, (octet ^ A_INVERTED) & 0x0F);
            let middle = ((mantissa as u16) << 4) + 8;
            if segment == 0 { middle } else { (middle + 0x100) << (segment - 1) }
        }
    }
}

const fn linear_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let magnitude = magnitude(law, octet as u8) as i16;
        table[octet] = if octet & 0x80 == 0 { -magnitude } else { magnitude };
        octet += 1;
    }
    table
}

/// Both signs are made from the positive interval, so that the two halves of the table mirror each other.
const fn transcoding_table(from: Law, to: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let positive = to.compress(magnitude(from, octet as u8), false);
        table[octet] = positive & 0x7F | octet as u8 & 0x80;
        octet += 1;
    }
    table
}

static MU_TO_LINEAR: [i16; 256] = linear_table(Law::Mu);
static A_TO_LINEAR: [i16; 256] = linear_table(Law::A);
static MU_TO_A: [u8; 256] = transcoding_table(Law::Mu, Law::A);
static A_TO_MU: [u8; 256] = transcoding_table(Law::A, Law::Mu);

const MU_BIAS: u16 = 33 << 2;
/// The virtual decision value 8159 of 14 bits, just short of it.
const MU_CLIP: u16 = (8_159 << 2) - 1;
/// A-law inverts every second bit.
const A_INVERTED: u8 = 0x55;

#[cfg(test)]
mod tests {
    use super::*;

    /// 14-bit decoder outputs by character signal (G.711 table 2a/2b), then 13-bit ones (table 1a/1b).
    #[test]
    fn decoding_is_the_recommendations_table() {
        let mu = [(0x80, 8_031), (0x8F, 4_191), (0x9F, 2_079), (0xEF, 33), (0xF0, 30), (0xFE, 2), (0xFF, 0)];
        let a = [
            (0xAA, 4_032),
            (0xA5, 2_112),
            (0xB5, 1_056),
            (0xF5, 66),
            (0xC5, 33),
            (0xDA, 31),
            (0xD4, 3),
            (0xD5, 1),
        ];

        for (octet, value) in mu {
            assert_eq!(Law::Mu.decode(octet), value << 2, "μ {octet:#x}");
            assert_eq!(Law::Mu.decode(octet ^ 0x80), -value << 2, "μ {octet:#x}, negative");
        }
        for (octet, value) in a {
            assert_eq!(Law::A.decode(octet), value << 3, "A {octet:#x}");
            assert_eq!(Law::A.decode(octet ^ 0x80), -value << 3, "A {octet:#x}, negative");
        }
    }

    #[test]
    fn what_is_decoded_is_encoded_to_the_same_octet() {
        let (negative_zero, positive_zero) = (0x7F, 0xFF);
        for octet in 0..=255 {
            assert_eq!(Law::A.encode(Law::A.decode(octet)), octet, "A {octet:#x}");
            let expected = if octet == negative_zero { positive_zero } else { octet };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(octet)), expected, "μ {octet:#x}");
        }
    }

    #[test]
    fn every_sample_is_encoded_to_one_of_the_two_values_beside_it() {
        for law in [Law::Mu, Law::A] {
            let values: Vec<i16> = (0..=255).map(|octet| law.decode(octet)).collect();
            for sample in (i16::MIN..=i16::MAX).step_by(3) {
                let decoded = law.decode(law.encode(sample));
                let between = sample.min(decoded) + 1..sample.max(decoded);
                let nearer = values.iter().find(|&value| between.contains(value));
                assert_eq!(nearer, None, "{law:?} {sample} became {decoded}");
            }
        }
    }

    /// G.711 table 3 gives, for the decoder output numbers of μ-law, those of A-law; table 4 the reverse.
    #[test]
    fn transcoding_is_the_recommendations_table_at_its_segments() {
        let mu_to_a = [(0, 1), (1, 1), (2, 2), (15, 8), (16, 9), (31, 24), (32, 25), (127, 128), (100, 101)];
        let a_to_mu = [(1, 1), (2, 3), (8, 15), (9, 16), (24, 31), (25, 32), (128, 127), (101, 100)];
        let mu_number = |number: u8| 0xFF - number;
        let a_number = |number: u8| (0x80 | (number - 1)) ^ A_INVERTED;

        for (mu, a) in mu_to_a {
            assert_eq!(transcoded(Law::Mu, Law::A, mu_number(mu)), a_number(a), "μ {mu}");
        }
        for (a, mu) in a_to_mu {
            assert_eq!(transcoded(Law::A, Law::Mu, a_number(a)), mu_number(mu), "A {a}");
        }
    }

    #[test]
    fn silence_stays_silent_and_signs_stay_signs() {
        assert_eq!(transcoded(Law::Mu, Law::A, Law::Mu.silence()), Law::A.silence());
        assert_eq!(Law::Mu.decode(transcoded(Law::A, Law::Mu, Law::A.silence())), 8);
        for octet in 0..=255 {
            assert_eq!(transcoded(Law::Mu, Law::A, octet) & 0x80, octet & 0x80);
            assert_eq!(transcoded(Law::A, Law::Mu, octet) & 0x80, octet & 0x80);
        }
    }

    #[test]
    fn a_transcoded_tone_of_13_dbov_keeps_33_db_above_its_noise() {
        for hz in [204.0, 440.0, 1_004.0, 2_130.0, 3_312.0] {
            for (from, to) in [(Law::Mu, Law::A), (Law::A, Law::Mu)] {
                let once = signal_to_noise_db(hz, &[from, to]);
                let there_and_back = signal_to_noise_db(hz, &[from, to, from]);
                assert!(once > 33.0, "{hz} Hz {from:?} to {to:?}: {once:.1} dB");
                assert!(there_and_back > 33.0, "{hz} Hz {from:?} to {to:?} and back: {there_and_back:.1} dB");
            }
        }
    }

    #[test]
    fn equal_laws_change_nothing_and_copying_is_transcoding() {
        let mut kept: Vec<u8> = (0..=255).collect();
        let mut copied = [0; 256];

        Transcoder::new(Law::A, Law::A).in_place(&mut kept);
        Transcoder::new(Law::Mu, Law::A).copy(&kept, &mut copied);

        assert!(
            Transcoder::new(Law::A, Law::A).is_identity() && !Transcoder::new(Law::Mu, Law::A).is_identity()
        );
        assert!((0..=255).eq(kept.iter().copied()));
        assert!(kept.iter().zip(copied).all(|(&octet, copied)| transcoded(Law::Mu, Law::A, octet) == copied));
    }

    fn transcoded(from: Law, to: Law, octet: u8) -> u8 {
        let mut payload = [octet];
        Transcoder::new(from, to).in_place(&mut payload);
        payload[0]
    }

    /// Of a tone of −13 dBov that goes through `laws` one after the other, against the tone as it was.
    fn signal_to_noise_db(hz: f64, laws: &[Law]) -> f64 {
        let amplitude = 32_768.0 * 10_f64.powf(-13.0 / 20.0) * std::f64::consts::SQRT_2;
        let (mut signal, mut noise) = (0.0, 0.0);
        for n in 0..8_000 {
            let sample = amplitude * (std::f64::consts::TAU * hz * f64::from(n) / 8_000.0).sin();
            let mut octet = laws[0].encode(sample.round() as i16);
            for pair in laws.windows(2) {
                octet = transcoded(pair[0], pair[1], octet);
            }
            let heard = f64::from(laws[laws.len() - 1].decode(octet));
            signal += sample * sample;
            noise += (heard - sample) * (heard - sample);
        }
        10.0 * (signal / noise).log10()
    }
}

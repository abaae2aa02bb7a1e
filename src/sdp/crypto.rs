//! `a=crypto`: the keys of SRTP in a session description (RFC 4568, RFC 6188).
//!
//! Each side says the key that it sends under; the tag and the suite of an answer are those of the offered
//! line it takes. A line that asks for what we do not do is passed over, as if it had not been offered;
//! only when none is left, the stream cannot be used.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::id::srtp::{LegKeys, MasterKey, Mki, Suite, WrongKeyLength};

/// Whether a peer's media is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Policy {
    /// Never: RTP/AVP is offered and taken.
    #[default]
    Off,
    /// Where it can be: RTP/SAVP is offered first and preferred, RTP/AVP taken too.
    Offer,
    /// Always: RTP/SAVP is offered and taken, and nothing else.
    Require,
}

/// One line that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crypto {
    /// What the answer refers to it by.
    pub tag: u32,
    /// Suite and key, and the name that its packets bear if there is one.
    pub key: MasterKey,
    spelling: Spelling,
}

/// How the media of one leg is protected, and the keys that we send under, one for each suite: they stay as
/// long as the leg does, so that a new description is no new key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Protection {
    policy: Policy,
    keys: Vec<MasterKey>,
}

/// How the name of a suite of 256 bits is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spelling {
    /// `AES_256_CM_HMAC_SHA1_80`, the registered name.
    Rfc6188,
    /// `AES_CM_256_HMAC_SHA1_80`, as some write it by the pattern of the others.
    CipherFirst,
}

/// Why a line can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CryptoError {
    /// Not tag, suite and key parameters.
    #[error("a=crypto has no tag, suite and key")]
    Malformed,
    /// A suite that we do not know.
    #[error("a suite that is not supported")]
    UnknownSuite,
    /// A key that is not inline, not base64, or not of the suite's length.
    #[error("a key that cannot be read")]
    Key,
    /// Several master keys, to be changed while packets flow.
    #[error("more than one master key")]
    SeveralKeys,
    /// A lifetime of nothing or beyond what the suite allows.
    #[error("a lifetime that is no number of packets a key can have")]
    Lifetime,
    /// An MKI that is no number, or of no length that there is.
    #[error("an MKI that cannot be used")]
    Mki,
    /// A session parameter that we do not do, or do not know.
    #[error("a session parameter that is not supported")]
    Parameter,
}

impl Crypto {
    /// Reads the value of an `a=crypto`.
    ///
    /// # Errors
    ///
    /// Why it can't be used; none of what it says is repeated, since it may be a key.
    pub fn parse(value: &str) -> Result<Self, CryptoError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(keys)) = (words.next(), words.next(), words.next()) else {
            return Err(CryptoError::Malformed);
        };
        let is_tag = tag.len() <= MAX_TAG_DIGITS && tag.bytes().all(|byte| byte.is_ascii_digit());
        let tag = tag.parse().ok().filter(|_| is_tag).ok_or(CryptoError::Malformed)?;
        let (suite, spelling) = suite_of(suite).ok_or(CryptoError::UnknownSuite)?;
        if !words.all(is_harmless) {
            return Err(CryptoError::Parameter);
        }
        Ok(Self { tag, key: key_of(suite, keys)?, spelling })
    }

    /// The keys agreed on by an answer to our offer of `ours`: it must take exactly one line, with tag and
    /// suite as offered (RFC 4568 §5.1.3).
    #[must_use]
    pub fn taken(ours: &[Self], answered: &[Self]) -> Option<LegKeys> {
        let [answer] = answered else { return None };
        let line =
            ours.iter().find(|line| line.tag == answer.tag && line.key.suite() == answer.key.suite())?;
        Some(LegKeys { local: line.key.clone(), remote: answer.key.clone() })
    }

    /// The value of the `a=crypto` that says this; it holds the key.
    #[must_use]
    pub fn reveal(&self) -> String {
        let name = name_of(self.key.suite(), self.spelling);
        format!("{} {name} {INLINE}{}", self.tag, BASE64.encode(self.key.reveal()))
    }
}

impl Protection {
    /// Under `policy`, with a key from `mint` for every suite if there is any use for it.
    #[must_use]
    pub fn new(policy: Policy, mint: impl FnMut(Suite) -> MasterKey) -> Self {
        let keys = match policy {
            Policy::Off => Vec::new(),
            Policy::Offer | Policy::Require => Suite::ALL.map(mint).into(),
        };
        Self { policy, keys }
    }

    /// Whether media is encrypted.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What we offer: a line for every suite, the one that every peer knows first.
    #[must_use]
    pub fn offers(&self) -> Vec<Crypto> {
        let line =
            |(tag, key): (u32, &MasterKey)| Crypto { tag, key: key.clone(), spelling: Spelling::Rfc6188 };
        (1..).zip(&self.keys).map(line).collect()
    }

    /// Our line that answers the first of `offered`, and the keys that are agreed on by it.
    #[must_use]
    pub fn answer(&self, offered: &[Crypto]) -> Option<(Crypto, LegKeys)> {
        let taken = offered.first()?;
        let local = self.keys.iter().find(|key| key.suite() == taken.key.suite())?.clone();
        let keys = LegKeys { local: local.clone(), remote: taken.key.clone() };
        Some((Crypto { tag: taken.tag, key: local, spelling: taken.spelling }, keys))
    }
}

impl Policy {
    /// How the configuration spells it.
    pub const WORDS: [(&str, Self); 3] =
        [("off", Self::Off), ("offer", Self::Offer), ("require", Self::Require)];
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, policy)| policy == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

fn name_of(suite: Suite, spelling: Spelling) -> &'static str {
    match (suite, spelling) {
        (Suite::AesCm128HmacSha1_80, _) => "AES_CM_128_HMAC_SHA1_80",
        (Suite::AesCm128HmacSha1_32, _) => "AES_CM_128_HMAC_SHA1_32",
        (Suite::Aes256CmHmacSha1_80, Spelling::Rfc6188) => "AES_256_CM_HMAC_SHA1_80",
        (Suite::Aes256CmHmacSha1_32, Spelling::Rfc6188) => "AES_256_CM_HMAC_SHA1_32",
        (Suite::Aes256CmHmacSha1_80, Spelling::CipherFirst) => "AES_CM_256_HMAC_SHA1_80",
        (Suite::Aes256CmHmacSha1_32, Spelling::CipherFirst) => "AES_CM_256_HMAC_SHA1_32",
    }
}

fn suite_of(name: &str) -> Option<(Suite, Spelling)> {
    let spellings = [Spelling::Rfc6188, Spelling::CipherFirst];
    let mut known = spellings.into_iter().flat_map(|spelling| Suite::ALL.map(|suite| (suite, spelling)));
    known.find(|&(suite, spelling)| name_of(suite, spelling).eq_ignore_ascii_case(name))
}

/// `inline:` with key and salt in base64, then perhaps lifetime and MKI.
fn key_of(suite: Suite, params: &str) -> Result<MasterKey, CryptoError> {
    if params.contains(';') {
        return Err(CryptoError::SeveralKeys);
    }
    let (method, info) = params.split_at_checked(INLINE.len()).ok_or(CryptoError::Key)?;
    if !method.eq_ignore_ascii_case(INLINE) {
        return Err(CryptoError::Key);
    }
    let mut fields = info.split('|');
    let mut octets = Zeroizing::new([0; MAX_DECODED]);
    let encoded = fields.next().unwrap_or_default();
    let length = BASE64.decode_slice(encoded, octets.as_mut()).map_err(|_| CryptoError::Key)?;
    let key = MasterKey::new(suite, &octets[..length]).map_err(|WrongKeyLength { .. }| CryptoError::Key)?;
    let mki = match (fields.next(), fields.next(), fields.next()) {
        (None, ..) => None,
        (Some(lifetime), None, _) if !lifetime.contains(':') => check_lifetime(lifetime).map(|()| None)?,
        (Some(mki), None, _) => Some(mki_of(mki)?),
        (Some(lifetime), Some(mki), None) => {
            check_lifetime(lifetime)?;
            Some(mki_of(mki)?)
        }
        (Some(_), Some(_), Some(_)) => return Err(CryptoError::Malformed),
    };
    Ok(key.named(mki))
}

/// `2^31` or `1048576`: how many packets the peer will send under the key. It is the peer who counts.
fn check_lifetime(text: &str) -> Result<(), CryptoError> {
    let packets = match text.strip_prefix("2^") {
        Some(exponent) => exponent.parse().ok().and_then(|exponent| 1_u64.checked_shl(exponent)),
        None => text.parse().ok(),
    };
    packets.filter(|packets| (1..=MAX_PACKETS).contains(packets)).map(|_| ()).ok_or(CryptoError::Lifetime)
}

/// `1:4`: the number, and how many octets it takes in a packet.
fn mki_of(text: &str) -> Result<Mki, CryptoError> {
    let (value, bytes) = text.split_once(':').ok_or(CryptoError::Mki)?;
    let bytes = bytes.parse().ok().filter(|bytes| (1..=MAX_MKI_BYTES).contains(bytes));
    let (Ok(value), Some(bytes)) = (value.parse::<u64>(), bytes) else { return Err(CryptoError::Mki) };
    let fits = bytes >= 8 || value >> (8 * u32::from(bytes)) == 0;
    fits.then_some(Mki { value, bytes }).ok_or(CryptoError::Mki)
}

/// Session parameters that change nothing here: a hint how large the window should be, where FEC stands
/// that is never offered, and what its writer marks as optional. All others have to be understood (RFC 4568
/// §6.3.7).
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.starts_with("WSH=") || parameter.starts_with("FEC_ORDER=")
}

const INLINE: &str = "inline:";

/// Octets that the longest key may decode to, and some more to tell a longer one by.
const MAX_DECODED: usize = 64;

/// Packets that a key may have (RFC 3711 §9.2).
const MAX_PACKETS: u64 = 1 << 48;

const MAX_MKI_BYTES: u8 = 128;

const MAX_TAG_DIGITS: usize = 9;

/// Peers leave the padding of 46 octets out, or write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_of_rfc_4568_is_read() {
        let line = Crypto::parse(
            "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32",
        )
        .unwrap();

        assert_eq!((line.tag, line.key.suite()), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(line.key.reveal(), br"=-n@%^x!Bjufr9)?,#5h\`=&]{qiPQ");
        assert_eq!(line.key.mki(), Some(Mki { value: 1, bytes: 32 }));
    }

    #[test]
    fn both_spellings_of_the_long_suites_are_read_and_answered_as_offered() {
        for (spelt, suite) in [
            ("AES_256_CM_HMAC_SHA1_80", Suite::Aes256CmHmacSha1_80),
            ("AES_CM_256_HMAC_SHA1_80", Suite::Aes256CmHmacSha1_80),
            ("AES_256_CM_HMAC_SHA1_32", Suite::Aes256CmHmacSha1_32),
            ("AES_CM_256_HMAC_SHA1_32", Suite::Aes256CmHmacSha1_32),
        ] {
            let offered = Crypto::parse(&format!("7 {spelt} inline:{}", "A".repeat(62))).unwrap();

            let (answer, _) = protection(1).answer(&[offered]).unwrap();

            assert_eq!(answer.key.suite(), suite);
            assert!(answer.reveal().starts_with(&format!("7 {spelt} inline:")), "{}", answer.reveal());
        }
    }

    #[test]
    fn padding_may_be_left_out() {
        let keys = ["", "=", "=="].map(|end| {
            Crypto::parse(&format!("1 AES_256_CM_HMAC_SHA1_80 inline:{}{end}", "A".repeat(62))).is_ok()
        });

        assert_eq!(keys, [true, true, true]);
    }

    #[test]
    fn what_we_write_we_read() {
        let ours = protection(0xA7).offers();

        let read: Vec<_> = ours.iter().map(|line| Crypto::parse(&line.reveal()).unwrap()).collect();

        assert_eq!(read, ours);
        assert_eq!(ours.iter().map(|line| line.tag).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn lines_that_ask_for_what_is_not_done_are_declined() {
        let base = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(40));
        let declined = |end: &str| Crypto::parse(&format!("{base}{end}")).err();

        for harmless in
            ["", "|2^31", "|1048576", "|1:4", "|2^48|255:1", " WSH=128", " FEC_ORDER=FEC_SRTP -X=1"]
        {
            assert_eq!(declined(harmless), None, "{harmless}");
        }
        for parameter in [
            " KDR=1",
            " UNENCRYPTED_SRTP",
            " UNENCRYPTED_SRTCP",
            " UNAUTHENTICATED_SRTP",
            " FEC_KEY=x",
            " X=1",
        ] {
            assert_eq!(declined(parameter), Some(CryptoError::Parameter), "{parameter}");
        }
        for lifetime in ["|0", "|2^49", "|2^64", "|2^", "|x", "|", "|281474976710657"] {
            assert_eq!(declined(lifetime), Some(CryptoError::Lifetime), "{lifetime}");
        }
        for mki in ["|1:0", "|1:129", "|256:1", "|x:4", "|2^20|4", "|:"] {
            assert_eq!(declined(mki), Some(CryptoError::Mki), "{mki}");
        }
        assert_eq!(declined("|2^20|1:4|x"), Some(CryptoError::Malformed));
        assert_eq!(declined(";inline:AAAA"), Some(CryptoError::SeveralKeys));
        assert_eq!(declined("AA"), Some(CryptoError::Key));
    }

    #[test]
    fn lines_that_are_no_crypto_are_declined() {
        let long = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(4_000));
        for (line, error) in [
            ("", CryptoError::Malformed),
            ("1 AES_CM_128_HMAC_SHA1_80", CryptoError::Malformed),
            ("+1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", CryptoError::Malformed),
            ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA", CryptoError::Malformed),
            ("1 F8_128_HMAC_SHA1_80 inline:AAAA", CryptoError::UnknownSuite),
            ("1 AEAD_AES_128_GCM inline:AAAA", CryptoError::UnknownSuite),
            ("1 AES_CM_128_HMAC_SHA1_80 outline:AAAA", CryptoError::Key),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:A~~~", CryptoError::Key),
            ("1 AES_CM_128_HMAC_SHA1_80 é", CryptoError::Key),
            (long.as_str(), CryptoError::Key),
        ] {
            assert_eq!(Crypto::parse(line).err(), Some(error), "{line:.60}");
        }
    }

    #[test]
    fn an_answer_takes_the_first_offered_line_under_our_key_for_its_suite() {
        let offered = [line(3, Suite::AesCm128HmacSha1_32, 9), line(4, Suite::AesCm128HmacSha1_80, 8)];

        let (answer, keys) = protection(1).answer(&offered).unwrap();

        assert_eq!(answer, line(3, Suite::AesCm128HmacSha1_32, 1));
        let [local, remote] = [1, 9].map(|octet| key(Suite::AesCm128HmacSha1_32, octet));
        assert_eq!(keys, LegKeys { local, remote });
        assert_eq!(protection(1).answer(&[]), None);
    }

    #[test]
    fn an_answer_takes_exactly_one_offered_line() {
        let ours = protection(1).offers();
        let theirs = |tag, suite| line(tag, suite, 9);
        let taken = |answered: &[Crypto]| Crypto::taken(&ours, answered);

        let [local, remote] = [1, 9].map(|octet| key(Suite::AesCm128HmacSha1_32, octet));
        assert_eq!(taken(&[theirs(2, Suite::AesCm128HmacSha1_32)]), Some(LegKeys { local, remote }));
        assert_eq!(taken(&[theirs(2, Suite::AesCm128HmacSha1_80)]), None);
        assert_eq!(taken(&[theirs(5, Suite::AesCm128HmacSha1_80)]), None);
        assert_eq!(taken(&[]), None);
        let [first, second] = [1, 2].map(|tag| theirs(tag, Suite::ALL[tag as usize - 1]));
        assert_eq!(taken(&[first, second]), None);
    }

    #[test]
    fn without_encryption_there_are_no_keys() {
        let off = Protection::new(Policy::Off, |suite| key(suite, 1));

        assert_eq!((off.offers(), off.answer(&protection(2).offers())), (Vec::new(), None));
    }

    #[test]
    fn no_line_shows_its_key() {
        let shown = format!("{:?}", line(1, Suite::AesCm128HmacSha1_80, 0xAB));

        assert!(shown.contains("***") && !shown.contains("171"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_line_panics(
            suite in "AES_CM_128_HMAC_SHA1_80|.{0,9}",
            key in "(inline:)?[A-Za-z+/=|^:;0-9é]{0,80}",
            rest in ".{0,20}",
        ) {
            let _ = Crypto::parse(&format!("1 {suite} {key} {rest}"));
        }
    }

    fn protection(octet: u8) -> Protection {
        Protection::new(Policy::Offer, |suite| key(suite, octet))
    }

    fn line(tag: u32, suite: Suite, octet: u8) -> Crypto {
        Crypto { tag, key: key(suite, octet), spelling: Spelling::Rfc6188 }
    }

    fn key(suite: Suite, octet: u8) -> MasterKey {
        MasterKey::new(suite, &vec![octet; suite.master_bytes()]).unwrap()
    }
}

//! AES in counter mode as SRTP uses it (RFC 3711 §4.1.1, RFC 6188 §2), and session keys derived by it (RFC
//! 3711 §4.3).
//!
//! The same keystream twice gives both texts away, so whoever calls must never pass one initial counter
//! twice for different data: that is what [`super::window`] is for on the sending side too.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes::{Aes128Enc, Aes256Enc, Block};

use crate::id::srtp::{MasterKey, SALT_BYTES, Suite};

/// A key schedule, made once for each key; overwritten when it goes.
pub(super) enum Cipher {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

/// The first block of a keystream: 112 bits that tell packets apart, then 16 that count its blocks.
pub(super) type Counter = [u8; BLOCK_BYTES];

impl Cipher {
    pub(super) fn new(suite: Suite, key: &[u8]) -> Self {
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                Self::Aes128(Aes128Enc::new_from_slice(key).expect("the suite says 16 octets"))
            }
            Suite::Aes256CmHmacSha1_80 | Suite::Aes256CmHmacSha1_32 => {
                Self::Aes256(Aes256Enc::new_from_slice(key).expect("the suite says 32 octets"))
            }
        }
    }

    /// Encrypts `data`, or decrypts it: both are an exclusive-or with the keystream that begins at `first`.
    ///
    /// Hot path: no allocation; twelve blocks at a time, a packet of 20 ms of G.711 at once.
    pub(super) fn apply_keystream(&self, first: Counter, data: &mut [u8]) {
        debug_assert!(data.len() <= BLOCK_BYTES << 16, "the counter would wrap");
        let mut block_number = u16::from_be_bytes([first[14], first[15]]);
        for chunk in data.chunks_mut(BATCH * BLOCK_BYTES) {
            let mut keystream = [Block::from(first); BATCH];
            let keystream = &mut keystream[..chunk.len().div_ceil(BLOCK_BYTES)];
            for block in keystream.iter_mut() {
                block[14..].copy_from_slice(&block_number.to_be_bytes());
                block_number = block_number.wrapping_add(1);
            }
            match self {
                Self::Aes128(cipher) => cipher.encrypt_blocks(keystream),
                Self::Aes256(cipher) => cipher.encrypt_blocks(keystream),
            }
            for (octet, key) in chunk.iter_mut().zip(keystream.iter().flatten()) {
                *octet ^= key;
            }
        }
    }
}

/// What a session key is for (RFC 3711 §4.3.2); SRTCP's labels are SRTP's plus three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Label {
    /// The cipher's key.
    Encryption = 0,
    /// The key of the message authentication code.
    Authentication = 1,
    /// What the counters begin from.
    Salt = 2,
}

/// Fills `key` with the session key that `master` and `label` give, for SRTCP if `is_rtcp`; derived once,
/// since the key derivation rate is 0 here.
pub(super) fn derive(master: &MasterKey, label: Label, is_rtcp: bool, key: &mut [u8]) {
    let (master_key, salt) = master.reveal_parts();
    let mut first = [0; BLOCK_BYTES];
    first[..SALT_BYTES].copy_from_slice(salt);
    first[LABEL_AT] ^= label as u8 + if is_rtcp { 3 } else { 0 };
    key.fill(0);
    Cipher::new(master.suite(), master_key).apply_keystream(first, key);
}

const BLOCK_BYTES: usize = 16;

/// Blocks encrypted in one go.
const BATCH: usize = 12;

/// The label stands before 48 bits of index, both at the end of 112.
const LABEL_AT: usize = SALT_BYTES - 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::srtp::testing::hex;

    #[test]
    fn the_keystream_of_aes_128_is_that_of_rfc_3711_b2() {
        let cipher = Cipher::new(Suite::AesCm128HmacSha1_80, &hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let first = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = vec![0; 0xFF02 * 16];

        cipher.apply_keystream(first, &mut stream);

        let expected = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
                        41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream[..48], hex(expected));
        let expected = "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE\
                        6A2CC3787889374FBEB4C81B17BA6C44";
        assert_eq!(stream[0xFEFF * 16..0xFF02 * 16], hex(expected));
    }

    #[test]
    fn the_keystream_of_aes_256_is_that_of_rfc_6188_7_1() {
        let key = "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98";
        let cipher = Cipher::new(Suite::Aes256CmHmacSha1_80, &hex(key));
        let first = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap();
        let mut stream = vec![0; 0xFF02 * 16];

        cipher.apply_keystream(first, &mut stream);

        let expected = "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac\
                        63c4868b7096d88421b563b8c94c9a31";
        assert_eq!(stream[..48], hex(expected));
        let expected = "cea518c90fd91ced9cbb18c078a54711\
                        3dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f";
        assert_eq!(stream[0xFEFF * 16..0xFF02 * 16], hex(expected));
    }

    #[test]
    fn session_keys_of_aes_128_are_those_of_rfc_3711_b3() {
        let octets = hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &octets).unwrap();

        assert_eq!(derived::<16>(&master, Label::Encryption), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived::<14>(&master, Label::Salt), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let authentication = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE\
                              E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25\
                              6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68";
        assert_eq!(derived::<96>(&master, Label::Authentication)[..94], hex(authentication)[..94]);
    }

    #[test]
    fn session_keys_of_aes_256_are_those_of_rfc_6188_7_2() {
        let octets = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6\
                      3b04803de51ee7c96423ab5b78d2";
        let master = MasterKey::new(Suite::Aes256CmHmacSha1_80, &hex(octets)).unwrap();

        let encryption = "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4";
        assert_eq!(derived::<32>(&master, Label::Encryption), hex(encryption));
        assert_eq!(derived::<14>(&master, Label::Salt), hex("fa31791685ca444a9e07c6c64e93"));
        let authentication = "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05";
        assert_eq!(derived::<20>(&master, Label::Authentication), hex(authentication));
    }

    #[test]
    fn each_label_gives_rtp_and_rtcp_keys_of_their_own() {
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &[7; 30]).unwrap();
        let mut keys = Vec::new();
        for label in [Label::Encryption, Label::Authentication, Label::Salt] {
            for is_rtcp in [false, true] {
                let mut key = [0; 14];
                derive(&master, label, is_rtcp, &mut key);
                keys.push(key);
            }
        }

        assert!((1..keys.len()).all(|n| !keys[..n].contains(&keys[n])));
    }

    fn derived<const BYTES: usize>(master: &MasterKey, label: Label) -> Vec<u8> {
        let mut key = [0; BYTES];
        derive(master, label, false, &mut key);
        key.to_vec()
    }
}

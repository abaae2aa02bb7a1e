//! The suites and master keys of SRTP (RFC 3711, RFC 4568 §6.2, RFC 6188): what a session description
//! carries and the relay works with.
//!
//! They live here, below both, because neither may see the other. A key never shows itself: Debug prints
//! its suite, and its octets are overwritten when it goes.

use std::fmt;

use zeroize::{Zeroize as _, ZeroizeOnDrop};

use super::Ids;

/// A crypto suite: cipher, authentication, and how much of the tag goes with each packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, tags of 80 bits.
    AesCm128HmacSha1_80,
    /// AES-128 in counter mode, tags of 32 bits.
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, tags of 80 bits (RFC 6188).
    Aes256CmHmacSha1_80,
    /// AES-256 in counter mode, tags of 32 bits (RFC 6188).
    Aes256CmHmacSha1_32,
}

impl Suite {
    /// Every suite, the one that every peer knows first.
    pub const ALL: [Self; 4] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
    ];

    /// Octets of the cipher's key.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
            Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 => 32,
        }
    }

    /// Octets of a master key and its salt together, as they stand in an `a=crypto`.
    #[must_use]
    pub fn master_bytes(self) -> usize {
        self.key_bytes() + SALT_BYTES
    }

    /// Octets of the tag behind an RTP packet; behind RTCP there are ten whatever the suite (RFC 4568
    /// §6.2.2).
    #[must_use]
    pub fn tag_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::Aes256CmHmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 | Self::Aes256CmHmacSha1_32 => 4,
        }
    }
}

/// A master key with its salt: all that one direction's packets are protected by.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// The key, then the salt; what a shorter key leaves is 0.
    octets: [u8; MAX_MASTER_BYTES],
    mki: Option<Mki>,
}

/// A master key identifier: a number that its owner puts before the tag of every packet (RFC 3711 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mki {
    /// The number, in network order.
    pub value: u64,
    /// How many octets it takes in a packet, 1 to 128 (RFC 4568 §6.1); those before the number are 0.
    pub bytes: u8,
}

/// The keys of one leg, as its offer and answer agreed on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LegKeys {
    /// What we protect by, from our description.
    pub local: MasterKey,
    /// What the peer protects by, from its description.
    pub remote: MasterKey,
}

/// Why octets are no master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key and salt of {found} octets, where the suite has {expected}")]
pub struct WrongKeyLength {
    /// How many there are.
    pub found: usize,
    /// How many there must be.
    pub expected: usize,
}

impl MasterKey {
    /// Takes a master key and the salt behind it.
    ///
    /// # Errors
    ///
    /// Their length is not the suite's.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Result<Self, WrongKeyLength> {
        let (found, expected) = (key_and_salt.len(), suite.master_bytes());
        if found != expected {
            return Err(WrongKeyLength { found, expected });
        }
        let mut octets = [0; MAX_MASTER_BYTES];
        octets[..found].copy_from_slice(key_and_salt);
        Ok(Self { suite, octets, mki: None })
    }

    /// The same key, whose owner names it by `mki` in every packet.
    #[must_use]
    pub fn named(mut self, mki: Option<Mki>) -> Self {
        self.mki = mki;
        self
    }

    /// What it is for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// What its owner names it by.
    #[must_use]
    pub fn mki(&self) -> Option<Mki> {
        self.mki
    }

    /// The key and the salt behind it, to be written into an `a=crypto` and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.octets[..self.suite.master_bytes()]
    }

    /// The key, then the salt.
    #[must_use]
    pub fn reveal_parts(&self) -> (&[u8], &[u8; SALT_BYTES]) {
        let (key, rest) = self.octets.split_at(self.suite.key_bytes());
        (key, rest.first_chunk().expect("a salt follows the longest key"))
    }
}

impl Ids {
    /// A fresh master key for what we send.
    pub fn master_key(&mut self, suite: Suite) -> MasterKey {
        let mut octets = [0; MAX_MASTER_BYTES];
        for chunk in octets[..suite.master_bytes()].chunks_mut(8) {
            chunk.copy_from_slice(&self.random().to_be_bytes()[..chunk.len()]);
        }
        MasterKey { suite, octets, mki: None }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, ***)", self.suite)
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl ZeroizeOnDrop for MasterKey {}

/// Octets of a master salt, in every suite.
pub const SALT_BYTES: usize = 14;

const MAX_MASTER_BYTES: usize = 32 + SALT_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_length_of_its_suite() {
        let lengths = Suite::ALL.map(Suite::master_bytes);

        assert_eq!(lengths, [30, 30, 46, 46]);
        for suite in Suite::ALL {
            let (found, expected) = (suite.master_bytes() - 1, suite.master_bytes());
            assert_eq!(MasterKey::new(suite, &[1; 46][..found]), Err(WrongKeyLength { found, expected }));
            assert_eq!(MasterKey::new(suite, &[1; 46][..expected]).unwrap().reveal(), &[1; 46][..expected]);
        }
    }

    #[test]
    fn a_key_is_split_from_its_salt_where_the_suite_says() {
        let octets: Vec<u8> = (0..46).collect();
        let short = MasterKey::new(Suite::AesCm128HmacSha1_80, &octets[..30]).unwrap();
        let long = MasterKey::new(Suite::Aes256CmHmacSha1_32, &octets).unwrap();

        let (key, salt) = short.reveal_parts();
        assert_eq!((key, &salt[..]), (&octets[..16], &octets[16..30]));
        let (key, salt) = long.reveal_parts();
        assert_eq!((key, &salt[..]), (&octets[..32], &octets[32..]));
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[0xAB; 30]).unwrap();

        assert_eq!(format!("{key:?}"), "MasterKey(AesCm128HmacSha1_80, ***)");
    }

    #[test]
    fn minted_keys_differ_and_leave_no_octet_out() {
        let mut ids = Ids::new([7; 32], 0);
        let keys: Vec<MasterKey> = (0..64).map(|_| ids.master_key(Suite::Aes256CmHmacSha1_80)).collect();

        let always_zero = (0..46).filter(|&at| keys.iter().all(|key| key.reveal()[at] == 0)).count();

        assert_eq!(always_zero, 0);
        assert!((1..keys.len()).all(|n| !keys[..n].contains(&keys[n])));
    }
}

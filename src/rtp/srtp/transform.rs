//! One direction's session keys at work: encrypting, and making and checking tags (RFC 3711 §4.1, §4.2).
//!
//! Key schedules and the inner and outer state of the HMAC are made once for each key; a packet only copies
//! them.

use aes::cipher::KeyInit as _;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::cipher::{Cipher, Counter, Label, derive};
use crate::id::srtp::{MasterKey, Mki, SALT_BYTES};

/// What a master key gives for RTP and for RTCP.
pub(super) struct SessionKeys {
    pub(super) rtp: Transform,
    pub(super) rtcp: Transform,
}

/// Cipher, salt and authentication of one protocol.
pub(super) struct Transform {
    cipher: Cipher,
    salt: Zeroizing<[u8; SALT_BYTES]>,
    mac: Hmac<Sha1>,
    tag_bytes: usize,
    mki: Option<Mki>,
}

/// A tag half made: everything but the rollover count went in.
pub(super) struct Authentication(Hmac<Sha1>);

impl SessionKeys {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Transform::new(master, false, master.suite().tag_bytes()),
            rtcp: Transform::new(master, true, RTCP_TAG_BYTES),
        }
    }
}

impl Transform {
    fn new(master: &MasterKey, is_rtcp: bool, tag_bytes: usize) -> Self {
        let mut encryption = Zeroizing::new([0; MAX_KEY_BYTES]);
        let encryption = &mut encryption[..master.suite().key_bytes()];
        derive(master, Label::Encryption, is_rtcp, encryption);
        let mut authentication = Zeroizing::new([0; AUTHENTICATION_BYTES]);
        derive(master, Label::Authentication, is_rtcp, authentication.as_mut());
        let mut salt = Zeroizing::new([0; SALT_BYTES]);
        derive(master, Label::Salt, is_rtcp, salt.as_mut());
        Self {
            cipher: Cipher::new(master.suite(), encryption),
            salt,
            mac: Hmac::new_from_slice(authentication.as_ref()).expect("HMAC takes a key of any length"),
            tag_bytes,
            mki: master.mki(),
        }
    }

    /// Octets of MKI and tag.
    pub(super) fn trailer_bytes(&self) -> usize {
        self.mki_bytes() + self.tag_bytes
    }

    /// Encrypts or decrypts `data` of the packet `index` of `ssrc`.
    pub(super) fn crypt(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        self.cipher.apply_keystream(self.counter(ssrc, index), data);
    }

    /// The salt, with the SSRC and 48 bits of index on it (RFC 3711 §4.1.1).
    fn counter(&self, ssrc: u32, index: u64) -> Counter {
        let mut counter = Counter::default();
        counter[..SALT_BYTES].copy_from_slice(self.salt.as_ref());
        let packet = ssrc.to_be_bytes().into_iter().chain(index.to_be_bytes().into_iter().skip(2));
        for (octet, of_packet) in counter[4..].iter_mut().zip(packet) {
            *octet ^= of_packet;
        }
        counter
    }

    /// Begins the tag of `authenticated`.
    pub(super) fn authenticate(&self, authenticated: &[u8]) -> Authentication {
        Authentication(self.mac.clone().chain_update(authenticated))
    }

    /// Writes MKI and tag into a `trailer` of [`Self::trailer_bytes`].
    pub(super) fn write_trailer(&self, authentication: Authentication, trailer: &mut [u8]) {
        let (mki, tag) = trailer.split_at_mut(self.mki_bytes());
        write_number(self.mki.map_or(0, |mki| mki.value), mki);
        let whole = authentication.0.finalize().into_bytes();
        tag.copy_from_slice(&whole[..self.tag_bytes]);
    }

    /// The tag in a `trailer` of [`Self::trailer_bytes`], if it is of this key as far as it says.
    pub(super) fn tag<'a>(&self, trailer: &'a [u8]) -> Option<&'a [u8]> {
        let (named, tag) = trailer.split_at(self.mki_bytes());
        match self.mki {
            Some(mki) if !is_number(mki.value, named) => None,
            Some(_) | None => Some(tag),
        }
    }

    fn mki_bytes(&self) -> usize {
        self.mki.map_or(0, |mki| mki.bytes.into())
    }
}

impl Authentication {
    /// Adds the rollover count, which RTP authenticates though it does not send it.
    pub(super) fn with_rollovers(&self, count: u32) -> Self {
        Self(self.0.clone().chain_update(count.to_be_bytes()))
    }

    /// Whether `tag` is the right one; in constant time.
    pub(super) fn verify(self, tag: &[u8]) -> bool {
        self.0.verify_truncated_left(tag).is_ok()
    }
}

/// `value` in network order at the end of `field`, zeros before it.
fn write_number(value: u64, field: &mut [u8]) {
    field.fill(0);
    for (octet, digit) in field.iter_mut().rev().zip(value.to_le_bytes()) {
        *octet = digit;
    }
}

fn is_number(value: u64, field: &[u8]) -> bool {
    let digits = value.to_le_bytes().into_iter().chain(std::iter::repeat(0));
    field.iter().rev().zip(digits).all(|(&octet, digit)| octet == digit)
}

/// Octets of the tag behind an RTCP packet, in every suite.
pub(super) const RTCP_TAG_BYTES: usize = 10;

/// Octets of SRTCP's index, before MKI and tag.
pub(super) const INDEX_BYTES: usize = 4;

const AUTHENTICATION_BYTES: usize = 20;
const MAX_KEY_BYTES: usize = 32;

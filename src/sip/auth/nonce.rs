//! Nonces that need no memory: time of issue, random bits, and an HMAC over both (RFC 7616 §3.3, §5.4).
//!
//! Whoever holds the secret can tell its own nonces from all others, and how old they are.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::digest::hex;

/// Mints nonces and recognises them.
#[derive(Debug)]
pub(super) struct Nonces {
    mac: Hmac<Sha256>,
}

impl Nonces {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { mac: Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length") }
    }

    pub(super) fn mint(&self, random: u64, now: Duration) -> String {
        let issued_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let content = (u128::from(issued_ms) << 64 | u128::from(random)).to_be_bytes();
        hex(&content) + &hex(&self.sign(&content))
    }

    /// The identity of `nonce`, if it is ours and no older than [`LIFETIME`].
    pub(super) fn recognise(&self, nonce: &str, now: Duration) -> Option<u128> {
        let (content, signature) = nonce.split_at_checked(2 * PART)?;
        let (content, signature) = (from_hex(content)?, from_hex(signature)?);
        if !bool::from(self.sign(&content).ct_eq(&signature)) {
            return None;
        }
        let content = u128::from_be_bytes(content);
        let issued = Duration::from_millis((content >> 64) as u64);
        (now.checked_sub(issued)? <= LIFETIME).then_some(content)
    }

    fn sign(&self, content: &[u8; PART]) -> [u8; PART] {
        let signature = self.mac.clone().chain_update(content).finalize().into_bytes();
        *signature.first_chunk().expect("a SHA-256 HMAC has 32 bytes")
    }
}

fn from_hex(digits: &str) -> Option<[u8; PART]> {
    let plain = digits.len() == 2 * PART && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes))?
}

/// How long a nonce is good: long enough for a client to answer, retransmissions included.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);

/// Bytes of the content and of the signature behind it.
const PART: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_recognised_until_it_expires() {
        let nonces = Nonces::new([7; 32]);
        let nonce = nonces.mint(5, seconds(100));

        assert!(nonces.recognise(&nonce, seconds(100)).is_some());
        assert!(nonces.recognise(&nonce, seconds(160)).is_some());
        assert!(nonces.recognise(&nonce, seconds(161)).is_none());
        assert!(nonces.recognise(&nonce, seconds(99)).is_none());
    }

    #[test]
    fn nonces_of_one_moment_differ() {
        let nonces = Nonces::new([7; 32]);
        let [one, two] = [1, 2].map(|random| nonces.mint(random, seconds(1)));

        assert_ne!(nonces.recognise(&one, seconds(1)), nonces.recognise(&two, seconds(1)));
    }

    #[test]
    fn a_nonce_that_was_changed_or_is_another_s_is_not_ours() {
        let nonces = Nonces::new([7; 32]);
        let nonce = nonces.mint(5, seconds(1));
        let changed = nonce.replacen('5', "6", 1);
        let strangers = Nonces::new([8; 32]).mint(5, seconds(1));

        for foreign in [&changed, &strangers, &nonce[..63], &format!("{nonce}0"), "", "\u{fc}"] {
            assert_eq!(nonces.recognise(foreign, seconds(1)), None, "{foreign}");
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

//! Nonces that need no memory: time of issue, random bits, and an HMAC over both and over the address
//! that the nonce is sent to (RFC 7616 §3.3, §5.4).
//!
//! Whoever holds the secret can tell its own nonces from all others, and how old they are. One that comes
//! back from where it was sent shows that its sender can read what is sent there: it is not forged.

use std::net::IpAddr;
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

    /// A nonce for `source`.
    pub(super) fn mint(&self, random: u64, source: IpAddr, now: Duration) -> String {
        let issued_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let content = (u128::from(issued_ms) << 64 | u128::from(random)).to_be_bytes();
        hex(&content) + &hex(&self.sign(&content, source))
    }

    /// The identity of `nonce`, if it was minted for `source` and is no older than [`LIFETIME`].
    pub(super) fn recognise(&self, nonce: &str, source: IpAddr, now: Duration) -> Option<u128> {
        let (content, signature) = nonce.split_at_checked(2 * PART)?;
        let (content, signature) = (from_hex(content)?, from_hex(signature)?);
        if !bool::from(self.sign(&content, source).ct_eq(&signature)) {
            return None;
        }
        let content = u128::from_be_bytes(content);
        let issued = Duration::from_millis((content >> 64) as u64);
        (now.checked_sub(issued)? <= LIFETIME).then_some(content)
    }

    fn sign(&self, content: &[u8; PART], source: IpAddr) -> [u8; PART] {
        let mac = self.mac.clone().chain_update(content);
        let mac = match source.to_canonical() {
            IpAddr::V4(address) => mac.chain_update(address.octets()),
            IpAddr::V6(address) => mac.chain_update(address.octets()),
        };
        let signature = mac.finalize().into_bytes();
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
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_nonce_is_recognised_until_it_expires() {
        let nonces = Nonces::new([7; 32]);
        let nonce = nonces.mint(5, HERE, seconds(100));

        assert!(nonces.recognise(&nonce, HERE, seconds(100)).is_some());
        assert!(nonces.recognise(&nonce, HERE, seconds(160)).is_some());
        assert!(nonces.recognise(&nonce, HERE, seconds(161)).is_none());
        assert!(nonces.recognise(&nonce, HERE, seconds(99)).is_none());
    }

    #[test]
    fn nonces_of_one_moment_differ() {
        let nonces = Nonces::new([7; 32]);
        let [one, two] = [1, 2].map(|random| nonces.mint(random, HERE, seconds(1)));

        assert_ne!(nonces.recognise(&one, HERE, seconds(1)), nonces.recognise(&two, HERE, seconds(1)));
    }

    #[test]
    fn a_nonce_that_was_changed_or_is_another_s_is_not_ours() {
        let nonces = Nonces::new([7; 32]);
        let nonce = nonces.mint(5, HERE, seconds(1));
        let changed = nonce.replacen('5', "6", 1);
        let strangers = Nonces::new([8; 32]).mint(5, HERE, seconds(1));

        for foreign in [&changed, &strangers, &nonce[..63], &format!("{nonce}0"), "", "\u{fc}"] {
            assert_eq!(nonces.recognise(foreign, HERE, seconds(1)), None, "{foreign}");
        }
    }

    #[test]
    fn a_nonce_is_good_only_from_the_address_that_it_was_sent_to() {
        let nonces = Nonces::new([7; 32]);
        let nonce = nonces.mint(5, HERE, seconds(1));
        let mapped = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().into();

        assert_eq!(nonces.recognise(&nonce, IpAddr::from([192, 0, 2, 8]), seconds(1)), None);
        assert!(nonces.recognise(&nonce, mapped, seconds(1)).is_some());
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

//! The user part of a Contact that nobody can guess: an INVITE that bears it proves that its sender knows our
//! registrar.
//!
//! It is made of the account's password, not of random bits: after a crash the same Contact replaces the
//! binding that was left behind, where a registrar that takes one per account would refuse a new one until
//! the old one lapses.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::credentials::Credentials;
use super::digest::hex;

/// 128 bits that follow from `credentials` and `name`, in hexadecimal digits.
#[must_use]
pub fn contact_user(credentials: &Credentials, name: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(credentials.password.as_bytes())
        .expect("HMAC takes a key of any length");
    for part in [PURPOSE, name, &credentials.username] {
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    hex(mac.finalize().into_bytes().first_chunk::<16>().expect("a SHA-256 HMAC has 32 bytes"))
}

/// Tells this use of the password from every other.
const PURPOSE: &str = "trunkline registered contact";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_again_and_another_for_every_password_user_and_trunk() {
        let of = |password: &str, username: &str, name: &str| {
            let (username, password) = (username.to_owned(), password.to_owned());
            contact_user(&Credentials { username, password }, name)
        };
        let first = of("secret", "acct", "carrier");

        assert_eq!(first, of("secret", "acct", "carrier"));
        assert_eq!(first.len(), 32);
        for other in [of("other", "acct", "carrier"), of("secret", "a", "carrier"), of("secret", "acct", "c")]
        {
            assert_ne!(other, first);
        }
    }
}

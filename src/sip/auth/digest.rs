//! The hash of a digest response (RFC 7616 §3.4.1), the same for both roles.
//!
//! Without `qop` the older form of RFC 2069 is used, which has neither cnonce nor nonce count.

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

/// A hash algorithm, in rising order of strength.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Algorithm {
    /// `MD5`, also meant when a challenge names none.
    Md5,
    /// `SHA-256`.
    Sha256,
    /// `SHA-512-256`.
    Sha512_256,
}

/// Quality of protection: what the hash covers besides the request line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Qop {
    /// Nothing.
    Auth,
    /// The body.
    AuthInt,
}

impl Algorithm {
    /// Of a token in any case; `None` for one we do not know, the `-sess` variants among them.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256, Self::Sha512_256]
            .into_iter()
            .find(|algorithm| token.eq_ignore_ascii_case(algorithm.as_str()))
    }

    /// The token on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The hash of `parts` joined by colons, in lower-case hexadecimal.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hash::<Md5>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
            Self::Sha512_256 => hash::<Sha512_256>(parts),
        }
    }
}

impl Qop {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// What a response is computed over.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) username: &'a str,
    pub(super) realm: &'a str,
    pub(super) password: &'a str,
    pub(super) nonce: &'a str,
    pub(super) method: &'a [u8],
    pub(super) uri: &'a str,
    pub(super) qop: Option<Protection<'a>>,
    pub(super) body: &'a [u8],
}

/// What `qop` brings with it.
#[derive(Clone, Copy)]
pub(super) struct Protection<'a> {
    pub(super) qop: Qop,
    /// As written: eight hexadecimal digits.
    pub(super) nc: &'a str,
    pub(super) cnonce: &'a str,
}

impl Input<'_> {
    /// The value of the `response` parameter.
    pub(super) fn response(&self) -> String {
        let secret =
            self.algorithm.hash(&[self.username.as_bytes(), self.realm.as_bytes(), self.password.as_bytes()]);
        let request = match self.qop.map(|protection| protection.qop) {
            None | Some(Qop::Auth) => self.algorithm.hash(&[self.method, self.uri.as_bytes()]),
            Some(Qop::AuthInt) => {
                let body = self.algorithm.hash(&[self.body]);
                self.algorithm.hash(&[self.method, self.uri.as_bytes(), body.as_bytes()])
            }
        };
        let (secret, nonce, request) = (secret.as_bytes(), self.nonce.as_bytes(), request.as_bytes());
        match self.qop {
            None => self.algorithm.hash(&[secret, nonce, request]),
            Some(Protection { qop, nc, cnonce }) => self.algorithm.hash(&[
                secret,
                nonce,
                nc.as_bytes(),
                cnonce.as_bytes(),
                qop.as_str().as_bytes(),
                request,
            ]),
        }
    }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hash = D::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// `bytes` in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2617_section_3_5() {
        let input = Input {
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: Some(Protection { qop: Qop::Auth, nc: "00000001", cnonce: "0a4f113b" }),
            ..mufasa(Algorithm::Md5)
        };

        assert_eq!(input.response(), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn rfc_7616_section_3_9_1() {
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            assert_eq!(mufasa(algorithm).response(), response);
        }
    }

    #[test]
    fn rfc_7616_section_3_9_2_with_its_erratum_4897() {
        let input = Input {
            username: "J\u{e4}s\u{f8}n Doe",
            realm: "api@example.org",
            password: "Secret, or not?",
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            uri: "/doe.json",
            qop: Some(Protection {
                qop: Qop::Auth,
                nc: "00000001",
                cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            }),
            ..mufasa(Algorithm::Sha512_256)
        };

        assert_eq!(input.response(), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
    }

    #[test]
    fn without_qop_neither_cnonce_nor_count_enters_the_hash() {
        let old = Input {
            realm: "testrealm@host.com",
            password: "CircleOfLife",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: None,
            ..mufasa(Algorithm::Md5)
        };

        // The response of RFC 2069 §2.4, as its erratum 749 corrects it.
        assert_eq!(old.response(), "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn the_body_enters_only_with_auth_int() {
        let protected = |qop, body| {
            let qop = Some(Protection { qop, nc: "00000001", cnonce: "0a4f113b" });
            Input { qop, body, ..mufasa(Algorithm::Md5) }.response()
        };

        assert_eq!(protected(Qop::Auth, b"one"), protected(Qop::Auth, b"two"));
        assert_ne!(protected(Qop::AuthInt, b"one"), protected(Qop::AuthInt, b"two"));
    }

    #[test]
    fn algorithms_are_named_in_any_case_and_rise_in_strength() {
        assert_eq!(Algorithm::parse("md5"), Some(Algorithm::Md5));
        assert_eq!(Algorithm::parse("sha-512-256"), Some(Algorithm::Sha512_256));
        assert_eq!(Algorithm::parse("MD5-sess"), None);
        assert!(Algorithm::Md5 < Algorithm::Sha256 && Algorithm::Sha256 < Algorithm::Sha512_256);
    }

    /// The request of RFC 7616 §3.9.1.
    fn mufasa(algorithm: Algorithm) -> Input<'static> {
        Input {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            method: b"GET",
            uri: "/dir/index.html",
            qop: Some(Protection {
                qop: Qop::Auth,
                nc: "00000001",
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            }),
            body: b"",
        }
    }
}

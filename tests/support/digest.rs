//! Digest with MD5 as a peer computes it (RFC 7616 §3.4), apart from the product.
#![allow(dead_code, reason = "each test file uses its part")]

use md5::{Digest as _, Md5};

/// One answer to one challenge.
#[derive(Clone, Debug)]
pub(crate) struct Login<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    /// How often the nonce was used, this time included.
    pub(crate) count: u32,
}

impl Login<'_> {
    /// The value of Authorization that answers `challenge`, with qop if that has it.
    pub(crate) fn answer(&self, challenge: &str) -> String {
        let Self { username, uri, count, .. } = self;
        let (realm, nonce) = (field(challenge, "realm"), field(challenge, "nonce"));
        let tail = if challenge.contains("qop=") {
            format!(", qop=auth, nc={count:08x}, cnonce=\"0a4f113b\"")
        } else {
            String::new()
        };
        let response = self.response(realm, nonce, &tail);
        format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5{tail}"
        )
    }

    /// Whether `authorization` is this login's answer, whatever its cnonce.
    pub(crate) fn is_answered_by(&self, authorization: &str) -> bool {
        let (realm, nonce) = (field(authorization, "realm"), field(authorization, "nonce"));
        field(authorization, "username") == self.username
            && field(authorization, "uri") == self.uri
            && field(authorization, "response") == self.response(realm, nonce, authorization)
            && (!authorization.contains("qop=")
                || field(authorization, "nc") == format!("{:08x}", self.count))
    }

    fn response(&self, realm: &str, nonce: &str, fields: &str) -> String {
        let Self { username, password, method, uri, .. } = self;
        let secret = md5(&format!("{username}:{realm}:{password}"));
        let request = md5(&format!("{method}:{uri}"));
        if fields.contains("qop=") {
            let (nc, cnonce) = (field(fields, "nc"), field(fields, "cnonce"));
            md5(&format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{request}"))
        } else {
            md5(&format!("{secret}:{nonce}:{request}"))
        }
    }
}

/// The value of one field of a challenge or of credentials, without quotes.
pub(crate) fn field<'a>(value: &'a str, name: &str) -> &'a str {
    let fields = value.strip_prefix("Digest ").unwrap_or(value).split(',');
    let named = |field: &'a str| field.trim().strip_prefix(name)?.strip_prefix('=');
    fields.filter_map(named).next().unwrap_or_default().trim_matches('"')
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Digest authentication of a far end (RFC 2617 with `qop=auth`, MD5), computed apart from the product.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use md5::{Digest as _, Md5};

/// The value of an Authorization header that answers `challenge`, the value of a WWW- or Proxy-Authenticate header.
pub(crate) fn answer(challenge: &str, username: &str, password: &str, method: &str, uri: &str) -> String {
    let (realm, nonce) = (parameter(challenge, "realm"), parameter(challenge, "nonce"));
    let response = response(username, realm, password, method, uri, nonce);
    format!(
        "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"0a4f113b\""
    )
}

/// Whether `credentials`, the value of an Authorization header, were made with `password`.
pub(crate) fn is_made_with(credentials: &str, password: &str, method: &str) -> bool {
    let [username, realm, uri, nonce] =
        ["username", "realm", "uri", "nonce"].map(|name| parameter(credentials, name));
    let secret = hash(&format!("{username}:{realm}:{password}"));
    let request = hash(&format!("{method}:{uri}"));
    let [count, client] = ["nc", "cnonce"].map(|name| parameter(credentials, name));
    parameter(credentials, "response") == hash(&format!("{secret}:{nonce}:{count}:{client}:auth:{request}"))
}

fn response(username: &str, realm: &str, password: &str, method: &str, uri: &str, nonce: &str) -> String {
    let secret = hash(&format!("{username}:{realm}:{password}"));
    let request = hash(&format!("{method}:{uri}"));
    hash(&format!("{secret}:{nonce}:00000001:0a4f113b:auth:{request}"))
}

fn hash(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a parameter, quoted or not.
fn parameter<'a>(header: &'a str, name: &str) -> &'a str {
    let parameters = header.split_once(' ').unwrap().1.split(',').map(str::trim);
    let value = parameters.filter_map(|parameter| parameter.split_once('=')).find(|(key, _)| *key == name);
    value.unwrap_or_else(|| panic!("no {name} in {header}")).1.trim_matches('"')
}

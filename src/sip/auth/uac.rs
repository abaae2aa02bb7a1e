//! Digest as client: choosing a challenge and answering it (RFC 7616 §3.4, RFC 8760 §2.4).
//!
//! A challenge without `qop` (Retell's) must be answered without: `qop` in the answer would change the hash. Where only
//! `auth-int` is offered it is used, over the body that goes with the request.

use std::fmt::Write as _;

use super::credentials::Credentials;
use super::digest::{Algorithm, Input, Protection, Qop};
use super::params::{Params, quoted};
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// A `Digest` challenge that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose user name and password are asked for.
    pub realm: String,
    /// To be hashed in.
    pub nonce: String,
    /// To be sent back.
    pub opaque: Option<String>,
    /// `None` if it was not named: MD5 then, and the answer names none either.
    pub algorithm: Option<Algorithm>,
    /// `None` if none was offered.
    pub qop: Option<Qop>,
    /// The credentials were right, but their nonce is not good any more.
    pub stale: bool,
    /// From a 407: the answer goes into Proxy-Authorization.
    pub proxy: bool,
}

/// The challenge of a 401 or 407 with the strongest algorithm we know, the first of equals.
#[must_use]
pub fn challenge_of(response: &Message) -> Option<Challenge> {
    let (proxy, name) = match response.status()? {
        401 => (false, Name::WwwAuthenticate),
        407 => (true, Name::ProxyAuthenticate),
        _ => return None,
    };
    response
        .headers()
        .filter(|header| header.name == name)
        .filter_map(|header| Params::parse_all(str::from_utf8(&header.value).ok()?))
        .flatten()
        .filter_map(|params| Challenge::read(&params, proxy))
        .reduce(|best, next| if next.strength() > best.strength() { next } else { best })
}

/// The answer to `challenge`: the header it goes into, and its value.
///
/// `uri` is hashed and sent as it is; `cnonce` is at best unguessable; `nc` counts the answers to this nonce from 1.
#[must_use]
pub fn authorization(
    challenge: &Challenge,
    credentials: &Credentials,
    method: &str,
    uri: &str,
    cnonce: &str,
    nc: u32,
    body: &[u8],
) -> (Name, String) {
    let nc = format!("{nc:08x}");
    let response = Input {
        algorithm: challenge.strength(),
        username: &credentials.username,
        realm: &challenge.realm,
        password: &credentials.password,
        nonce: &challenge.nonce,
        method: method.as_bytes(),
        uri,
        qop: challenge.qop.map(|qop| Protection { qop, nc: &nc, cnonce }),
        body,
    }
    .response();
    let mut value = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
        quoted(&credentials.username),
        quoted(&challenge.realm),
        quoted(&challenge.nonce),
        quoted(uri),
    );
    let mut add = |written: std::fmt::Arguments<'_>| {
        value.write_fmt(written).expect("writing to a String cannot fail");
    };
    if let Some(algorithm) = challenge.algorithm {
        add(format_args!(", algorithm={}", algorithm.as_str()));
    }
    if let Some(qop) = challenge.qop {
        add(format_args!(", cnonce={}, qop={}, nc={nc}", quoted(cnonce), qop.as_str()));
    }
    if let Some(opaque) = &challenge.opaque {
        add(format_args!(", opaque={}", quoted(opaque)));
    }
    let name = if challenge.proxy { Name::ProxyAuthorization } else { Name::Authorization };
    (name, value)
}

impl Challenge {
    fn read(params: &Params, proxy: bool) -> Option<Self> {
        if !params.is_digest() {
            return None;
        }
        let algorithm = match params.value("algorithm") {
            Some(token) => Some(Algorithm::parse(token)?),
            None => None,
        };
        let qop = match params.value("qop") {
            Some(offered) => Some(preferred(offered)?),
            None => None,
        };
        Some(Self {
            realm: params.value("realm")?.to_owned(),
            nonce: params.value("nonce")?.to_owned(),
            opaque: params.value("opaque").map(str::to_owned),
            algorithm,
            qop,
            stale: params.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            proxy,
        })
    }

    fn strength(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }
}

/// `auth` if it is among those offered: `auth-int` breaks wherever something on the way touches the body.
fn preferred(offered: &str) -> Option<Qop> {
    let offers = |qop: Qop| offered.split(',').any(|token| token.trim().eq_ignore_ascii_case(qop.as_str()));
    [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| offers(*qop))
}

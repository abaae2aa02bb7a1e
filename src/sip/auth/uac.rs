//! Digest as client: choosing a challenge and answering it (RFC 7616 §3.4, RFC 8760 §2.4).
//!
//! A challenge without `qop` (Retell's) must be answered without: `qop` in the answer would change the hash.
//! Where only `auth-int` is offered it is used, over the body that goes with the request.

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
/// `uri` is hashed and sent as it is; `cnonce` is at best unguessable; `nc` counts the
/// answers to this nonce from 1.
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::message::Limits;

    #[test]
    fn a_challenge_without_qop_is_answered_without() {
        let challenge = challenged(
            407,
            &[r#"Proxy-Authenticate: Digest realm="LiveKit", nonce="17-call", algorithm=MD5"#],
        );

        let (name, value) = answer(&challenge.expect("a challenge"));

        assert_eq!(name, Name::ProxyAuthorization);
        assert_eq!(
            value,
            "Digest username=\"acct\", realm=\"LiveKit\", nonce=\"17-call\", uri=\"sip:callee.example\", \
             response=\"1cf48b461c60085065703b7ba0716ed6\", algorithm=MD5"
        );
    }

    #[test]
    fn a_challenge_with_qop_is_answered_with_count_and_everything_is_echoed() {
        let challenge = challenged(
            401,
            &[concat!(
                r#"WWW-Authenticate: Digest realm="a\"b", nonce="n", opaque="o", "#,
                r#"qop="auth-int, auth", stale=TRUE"#
            )],
        )
        .expect("a challenge");

        let (name, value) = answer(&challenge);

        assert_eq!(name, Name::Authorization);
        assert!(challenge.stale);
        assert!(value.starts_with(r#"Digest username="acct", realm="a\"b", nonce="n", "#), "{value}");
        assert!(value.ends_with(r#", cnonce="0a4f113b", qop=auth, nc=0000002a, opaque="o""#), "{value}");
        assert!(!value.contains("algorithm"), "none was named: {value}");
    }

    #[test]
    fn the_strongest_known_algorithm_is_taken_and_the_first_of_equals() {
        let challenge = challenged(
            401,
            &[
                r#"WWW-Authenticate: Digest realm="r", nonce="1", algorithm=SHA-512"#,
                r#"WWW-Authenticate: Digest realm="r", nonce="2", algorithm=MD5"#,
                r#"WWW-Authenticate: Basic realm="r", Digest realm="r", nonce="3", algorithm=SHA-256"#,
                r#"WWW-Authenticate: Digest realm="r", nonce="4", algorithm=sha-256"#,
            ],
        );

        assert_eq!(challenge.map(|challenge| challenge.nonce).as_deref(), Some("3"));
    }

    #[test]
    fn a_challenge_we_cannot_answer_is_none() {
        for line in [
            r#"WWW-Authenticate: Basic realm="r""#,
            r#"WWW-Authenticate: Digest realm="r", nonce="1", algorithm=MD5-sess"#,
            r#"WWW-Authenticate: Digest realm="r", nonce="1", qop="token""#,
            r#"WWW-Authenticate: Digest realm="r""#,
            r#"WWW-Authenticate: Digest realm="never closed"#,
            r#"Proxy-Authenticate: Digest realm="r", nonce="1""#,
            "X-Other: x",
        ] {
            assert_eq!(challenged(401, &[line]), None, "{line}");
        }
        assert_eq!(challenged(403, &[r#"WWW-Authenticate: Digest realm="r", nonce="1""#]), None);
    }

    #[test]
    fn auth_int_alone_is_answered_over_the_body() {
        let challenge =
            challenged(401, &[r#"WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-int""#])
                .expect("a challenge");

        let [one, other] = [&b"v=0"[..], b"v=1"].map(|body| {
            authorization(&challenge, &credentials(), "INVITE", "sip:callee.example", "0a4f113b", 1, body).1
        });

        assert!(one.contains("qop=auth-int") && one != other);
    }

    fn answer(challenge: &Challenge) -> (Name, String) {
        authorization(challenge, &credentials(), "INVITE", "sip:callee.example", "0a4f113b", 42, b"")
    }

    fn credentials() -> Credentials {
        Credentials { username: "acct".to_owned(), password: "secret".to_owned() }
    }

    fn challenged(code: u16, lines: &[&str]) -> Option<Challenge> {
        let text = format!("SIP/2.0 {code} Reason\r\n{}\r\n\r\n", lines.join("\r\n"));
        let response = Message::parse(Bytes::from(text), &Limits::default()).expect("well formed");
        challenge_of(&response)
    }
}

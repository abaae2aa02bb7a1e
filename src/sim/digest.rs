//! Digest authentication as the far ends do it (RFC 2617, RFC 7616), on rsip's generator.
//!
//! rsip would read `uri="…;transport=tcp"` back in capitals and so hash another string than the peer did; the
//! URI is therefore taken as text. Its header types also stop at `qop="auth,auth-int"` and at `SHA-256`, so
//! parameters are read here.

use rsip::headers::auth::{Algorithm, AuthQop};
use rsip::services::DigestGenerator;

use crate::sim::message::verbatim;

/// What a far end presents when it is challenged, or asks for when it challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Why a challenge could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// LiveKit insists on these very letters.
    #[error("the challenge does not begin with \"Digest \"")]
    Scheme,
    /// A parameter without which nothing can be computed.
    #[error("the challenge has no {0}")]
    Missing(&'static str),
    /// One that rsip cannot compute.
    #[error("the challenge asks for the algorithm {0}")]
    Algorithm(String),
    /// Neither absent nor `auth`.
    #[error("the challenge asks for qop={0}")]
    Qop(String),
}

/// The value of an (Proxy-)Authorization header that answers `challenge`.
pub(super) fn answer(
    challenge: &str,
    credentials: &Credentials,
    method: &str,
    uri: &str,
    cnonce: &str,
) -> Result<String, ChallengeError> {
    let parameters = challenge.strip_prefix("Digest ").ok_or(ChallengeError::Scheme)?;
    let realm = parameter(parameters, "realm").ok_or(ChallengeError::Missing("realm"))?;
    let nonce = parameter(parameters, "nonce").ok_or(ChallengeError::Missing("nonce"))?;
    let algorithm = parameter(parameters, "algorithm");
    let qop = match parameter(parameters, "qop") {
        None => None,
        Some(offered) if offered.split(',').any(|qop| qop == "auth") => {
            Some(AuthQop::Auth { cnonce: cnonce.to_owned(), nc: 1 })
        }
        Some(other) => return Err(ChallengeError::Qop(other)),
    };
    let Credentials { username, password } = credentials;
    let response = DigestGenerator {
        username,
        password,
        nonce: &nonce,
        uri: &verbatim(uri),
        realm: &realm,
        method: &method.parse().expect("a method the far ends send"),
        qop: qop.as_ref(),
        algorithm: known(algorithm.as_deref())?,
    }
    .compute();
    let mut value = format!(
        "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\""
    );
    if let Some(algorithm) = algorithm {
        value += &format!(", algorithm={algorithm}");
    }
    if let Some(opaque) = parameter(parameters, "opaque") {
        value += &format!(", opaque=\"{opaque}\"");
    }
    if qop.is_some() {
        value += &format!(", cnonce=\"{cnonce}\", qop=auth, nc=00000001");
    }
    Ok(value)
}

/// Whether `authorization` is `credentials` over `nonce`, computed as LiveKit does: MD5 and without qop.
pub(super) fn verify(
    authorization: &str,
    credentials: &Credentials,
    realm: &str,
    nonce: &str,
    method: &str,
) -> bool {
    let Some(parameters) = authorization.strip_prefix("Digest ") else { return false };
    let given = |name| parameter(parameters, name).unwrap_or_default();
    let expected = DigestGenerator {
        username: &credentials.username,
        password: &credentials.password,
        nonce,
        uri: &verbatim(&given("uri")),
        realm,
        method: &method.parse().unwrap_or(rsip::Method::Invite),
        qop: None,
        algorithm: Algorithm::Md5,
    };
    given("username") == credentials.username
        && given("nonce") == nonce
        && expected.verify(&given("response"))
}

fn known(algorithm: Option<&str>) -> Result<Algorithm, ChallengeError> {
    match algorithm {
        None | Some("MD5") => Ok(Algorithm::Md5),
        Some("SHA-256") => Ok(Algorithm::Sha256),
        Some(other) => Err(ChallengeError::Algorithm(other.to_owned())),
    }
}

/// One parameter of a comma-separated list, without its quotes.
fn parameter(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while let Some((found, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if found.trim() == name {
            return Some(value.trim().to_owned());
        }
        rest = after.trim_start().strip_prefix(',').unwrap_or(after).trim_start();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_is_reproduced() {
        let mufasa = Credentials { username: "Mufasa".into(), password: "Circle Of Life".into() };
        let challenge = concat!(
            r#"Digest realm="testrealm@host.com", qop="auth,auth-int", "#,
            r#"nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#
        );

        let value = answer(challenge, &mufasa, "INVITE", "/dir/index.html", "0a4f113b").unwrap();

        // The RFC's own figure is for GET; this one is `printf … | md5sum` of the same strings with INVITE.
        assert!(value.contains("response=\"65ec046479396d60f5eaa08006a1c351\""), "{value}");
        assert!(value.ends_with("cnonce=\"0a4f113b\", qop=auth, nc=00000001"), "{value}");
    }

    #[test]
    fn an_answer_without_qop_is_verified_over_the_uri_as_written() {
        let agreed = Credentials { username: "retell".into(), password: "secret".into() };
        let challenge = r#"Digest realm="LiveKit", nonce="1-abc", algorithm=MD5"#;
        let value =
            answer(challenge, &agreed, "INVITE", "sip:+1415@127.0.0.3:5060;transport=tcp", "x").unwrap();

        assert!(verify(&value, &agreed, "LiveKit", "1-abc", "INVITE"));
        assert!(!verify(&value, &agreed, "LiveKit", "2-abc", "INVITE"));
        assert!(!verify(&value.replace("tcp", "TCP"), &agreed, "LiveKit", "1-abc", "INVITE"));
        assert!(!verify(&value.replace("Digest", "DIGEST"), &agreed, "LiveKit", "1-abc", "INVITE"));
    }

    #[test]
    fn a_challenge_in_other_letters_is_not_understood() {
        let agreed = Credentials { username: "a".into(), password: "b".into() };

        assert_eq!(
            answer("DIGEST realm=\"x\"", &agreed, "INVITE", "sip:a", "x"),
            Err(ChallengeError::Scheme)
        );
        assert_eq!(
            answer("Digest realm=\"x\"", &agreed, "INVITE", "sip:a", "x"),
            Err(ChallengeError::Missing("nonce"))
        );
    }
}

//! Digest as server: one challenge, and the check of what comes back (RFC 7616 §3.3, §3.4.6; RFC 3261 §22.4).
//!
//! A nonce is its time of issue, random bits and an HMAC over both and the address that it is sent to, so
//! issuing one stores nothing: strangers can be challenged for free. The answer is checked before the nonce,
//! so that only who knows the password is told "stale". LiveKit reads one header that begins with exactly
//! `Digest `, splits `qop` without trimming, and puts the URI of the To of our 401 into `uri`.

use std::net::IpAddr;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::credentials::{Credentials, presented};
use super::digest::{Algorithm, Input, Protection, Qop};
use super::nonce::Nonces;
use super::params::{Params, quoted};
use super::replay::{Replay, Use};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// Mints challenges for one realm and verifies the answers to them. Points in time are
/// measured from any one epoch.
#[derive(Debug)]
pub struct Verifier {
    realm: String,
    algorithm: Algorithm,
    nonces: Nonces,
    replay: Replay,
}

/// What a request's credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right, and used for the first time.
    Good,
    /// They are right, but their nonce has expired, was used before, was sent elsewhere or is not ours:
    /// challenge again with `stale=true`.
    Stale,
    /// There are none for our realm: challenge.
    Absent,
    /// Unknown user, wrong password, a `uri` that is neither the Request-URI's nor To's, or malformed: 403.
    Wrong {
        /// They answer a challenge that went to this very source: it is not forged.
        is_answer: bool,
    },
}

impl Verifier {
    /// `secret` signs the nonces; `realm` and `algorithm` go into every challenge.
    #[must_use]
    pub fn new(secret: [u8; 32], realm: &str, algorithm: Algorithm) -> Self {
        Self { realm: realm.to_owned(), algorithm, nonces: Nonces::new(secret), replay: Replay::default() }
    }

    /// The value of the one WWW-Authenticate header for `source`. `random` makes its nonce unique.
    #[must_use]
    pub fn challenge(&self, random: u64, source: IpAddr, now: Duration, stale: bool) -> String {
        format!(
            "Digest realm={}, nonce=\"{}\", algorithm={}, qop=\"auth\"{}",
            quoted(&self.realm),
            self.nonces.mint(random, source, now),
            self.algorithm.as_str(),
            if stale { ", stale=true" } else { "" },
        )
    }

    /// The user name in the credentials that `request` presents for our realm, before any check.
    #[must_use]
    pub fn username_of(&self, request: &Message) -> Option<String> {
        self.presented(request)?.value("username").map(str::to_owned)
    }

    /// Verifies what `request` from `source` presents for our realm against `credentials`.
    ///
    /// `transaction` names its server transaction: the same answer is good again in the same one, and a
    /// replay in another. For a user name that nobody has, pass that name with a random password: the verdict
    /// and the time it takes then betray no user names.
    pub fn verify(
        &mut self,
        request: &Message,
        source: IpAddr,
        credentials: &Credentials,
        transaction: u64,
        now: Duration,
    ) -> Verdict {
        let Some(presented) = self.presented(request) else { return Verdict::Absent };
        let Some(answer) = Answer::read(&presented, self.algorithm) else {
            return Verdict::Wrong { is_answer: false };
        };
        let is_right = self.is_right(&answer, request, credentials) && names_target(answer.uri, request);
        let nonce = self.nonces.recognise(answer.nonce, source, now);
        if !is_right {
            return Verdict::Wrong { is_answer: nonce.is_some() };
        }
        let fresh = nonce
            .is_some_and(|nonce| self.replay.admit(Use { nonce, count: answer.count }, transaction, now));
        if fresh { Verdict::Good } else { Verdict::Stale }
    }

    /// How many used answers are remembered; bounded.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.replay.len()
    }

    fn presented(&self, request: &Message) -> Option<Params> {
        presented(request).find(|params| params.value("realm") == Some(&self.realm))
    }

    fn is_right(&self, answer: &Answer<'_>, request: &Message, credentials: &Credentials) -> bool {
        let Some(method) = request.method() else { return false };
        let expected = Input {
            algorithm: self.algorithm,
            username: answer.username,
            realm: &self.realm,
            password: &credentials.password,
            nonce: answer.nonce,
            method: method.as_bytes(),
            uri: answer.uri,
            qop: answer.protection,
            body: &[],
        }
        .response();
        let right = expected.as_bytes().ct_eq(answer.response.to_ascii_lowercase().as_bytes());
        bool::from(right) && credentials.username == answer.username
    }
}

/// Credentials whose form is right.
struct Answer<'a> {
    username: &'a str,
    nonce: &'a str,
    uri: &'a str,
    response: &'a str,
    protection: Option<Protection<'a>>,
    /// The nonce count as a number, 0 without `qop`.
    count: u32,
}

impl<'a> Answer<'a> {
    fn read(params: &'a Params, expected: Algorithm) -> Option<Self> {
        let algorithm = params.value("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse);
        if algorithm != Some(expected) {
            return None;
        }
        let (protection, count) = match params.value("qop") {
            None => (None, 0),
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let (nc, cnonce) = (params.value("nc")?, params.value("cnonce")?);
                let count = u32::from_str_radix(nc, 16).ok().filter(|count| *count > 0)?;
                (Some(Protection { qop: Qop::Auth, nc, cnonce }), count)
            }
            Some(_) => return None,
        };
        Some(Self {
            username: params.value("username")?,
            nonce: params.value("nonce")?,
            uri: params.value("uri")?,
            response: params.value("response")?,
            protection,
            count,
        })
    }
}

/// Whether `uri` has the user and host of the Request-URI or of To; some user agents leave
/// the user out, as SIPp does.
fn names_target(uri: &str, request: &Message) -> bool {
    let Ok(named) = Uri::parse(uri.as_bytes()) else { return false };
    let is_named = |uri: &Uri| (named.user.is_none() || uri.user == named.user) && uri.host == named.host;
    Uri::parse(request.request_uri()).is_ok_and(|uri| is_named(&uri))
        || request.to().is_ok_and(|to| is_named(&to.uri))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::uac::{authorization, challenge_of};
    use super::*;
    use crate::sip::headers::Name;
    use crate::sip::message::Limits;

    #[test]
    fn the_challenge_is_spelled_as_livekit_reads_it() {
        let challenge = verifier(Algorithm::Md5).challenge(1, HERE, at(0), true);

        let (start, rest) = challenge.split_once("nonce=\"").expect("a nonce");
        let (nonce, end) = rest.split_once('"').expect("a quoted nonce");
        assert_eq!(start, "Digest realm=\"trunkline\", ");
        assert!(nonce.len() == 64 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()), "{nonce}");
        assert_eq!(end, ", algorithm=MD5, qop=\"auth\", stale=true");
        assert!(!verifier(Algorithm::Md5).challenge(1, HERE, at(0), false).contains("stale"));
    }

    #[test]
    fn a_right_answer_is_good_with_every_algorithm() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
            let mut verifier = verifier(algorithm);
            let answer = answer(&verifier, PASSWORD, TO, at(0));

            assert_eq!(verifier.verify(&request(&[&answer]), HERE, &known(), 1, at(1)), Verdict::Good);
            assert_eq!(verifier.remembered(), 1);
        }
    }

    #[test]
    fn without_credentials_for_our_realm_a_challenge_is_due() {
        let mut verifier = verifier(Algorithm::Md5);
        let elsewhere = answer(&verifier, PASSWORD, TO, at(0)).replace("trunkline", "elsewhere");

        for authorization in [&[][..], &[elsewhere.as_str()], &["Basic dXNlcjpwYXNz"], &["Digest"]] {
            let request = request(authorization);

            assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1)), Verdict::Absent);
            assert_eq!(verifier.username_of(&request), None);
        }
    }

    #[test]
    fn of_several_credentials_those_for_our_realm_count() {
        let mut verifier = verifier(Algorithm::Md5);
        let ours = answer(&verifier, PASSWORD, TO, at(0));
        let elsewhere = r#"Digest username="other", realm="elsewhere", nonce="1", uri="sip:x", response="2""#;
        let request = request(&[elsewhere, &ours]);

        assert_eq!(verifier.username_of(&request).as_deref(), Some("retell-outbound"));
        assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1)), Verdict::Good);
    }

    #[test]
    fn a_wrong_password_and_another_user_are_told_the_same() {
        let mut verifier = verifier(Algorithm::Md5);
        let wrong = request(&[&answer(&verifier, "guess", TO, at(0))]);
        let right = request(&[&answer(&verifier, PASSWORD, TO, at(0))]);
        let someone_else = Credentials { username: "other".to_owned(), ..known() };

        assert_eq!(verifier.verify(&wrong, HERE, &known(), 1, at(1)), GUESSED);
        assert_eq!(verifier.verify(&right, HERE, &someone_else, 1, at(1)), GUESSED);
        assert_eq!(verifier.remembered(), 0);
    }

    #[test]
    fn a_wrong_password_is_wrong_whatever_its_nonce() {
        let mut verifier = verifier(Algorithm::Md5);
        let request = request(&[&answer(&verifier, "guess", TO, at(0))]);

        assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1_000)), WRONG);
    }

    #[test]
    fn an_expired_or_foreign_nonce_is_stale() {
        let mut verifier = verifier(Algorithm::Md5);
        let before_restart = Verifier::new([8; 32], "trunkline", Algorithm::Md5);
        let expired = request(&[&answer(&verifier, PASSWORD, TO, at(0))]);
        let foreign = request(&[&answer(&before_restart, PASSWORD, TO, at(0))]);

        assert_eq!(verifier.verify(&expired, HERE, &known(), 1, at(61)), Verdict::Stale);
        assert_eq!(verifier.verify(&foreign, HERE, &known(), 1, at(1)), Verdict::Stale);
    }

    #[test]
    fn a_replayed_answer_is_stale_but_the_next_count_is_good() {
        let mut verifier = verifier(Algorithm::Md5);
        let challenge = verifier.challenge(1, HERE, at(0), false);
        let [first, second] = [1, 2].map(|nc| request(&[&answer_to(&challenge, PASSWORD, TO, nc)]));

        assert_eq!(verifier.verify(&first, HERE, &known(), 1, at(1)), Verdict::Good);
        assert_eq!(verifier.verify(&first, HERE, &known(), 1, at(2)), Verdict::Good, "same transaction");
        assert_eq!(verifier.verify(&first, HERE, &known(), 2, at(2)), Verdict::Stale);
        assert_eq!(verifier.verify(&second, HERE, &known(), 3, at(2)), Verdict::Good);
    }

    #[test]
    fn without_qop_a_nonce_works_once() {
        let mut verifier = verifier(Algorithm::Md5);
        let old_style = verifier.challenge(1, HERE, at(0), false).replace(", qop=\"auth\"", "");
        let request = request(&[&answer_to(&old_style, PASSWORD, TO, 1)]);

        assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1)), Verdict::Good);
        assert_eq!(verifier.verify(&request, HERE, &known(), 2, at(1)), Verdict::Stale);
    }

    #[test]
    fn uri_must_have_host_and_the_user_if_any_of_the_request_uri_or_of_to() {
        for (uri, verdict) in [
            (REQUEST_URI, Verdict::Good),
            (TO, Verdict::Good),
            ("sip:+14155550101@BRIDGE.example:5070;transport=tcp", Verdict::Good),
            ("sip:+14155550199@bridge.example", GUESSED),
            ("sip:+14155550101@elsewhere.example", GUESSED),
            ("sip:bridge.example", Verdict::Good),
            ("sip:elsewhere.example", GUESSED),
            ("/doe.json", GUESSED),
        ] {
            let mut verifier = verifier(Algorithm::Md5);
            let request = request(&[&answer(&verifier, PASSWORD, uri, at(0))]);

            assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1)), verdict, "{uri}");
        }
    }

    #[test]
    fn parameters_may_be_quoted_or_not_and_in_any_case() {
        let mut verifier = verifier(Algorithm::Md5);
        let answer = answer(&verifier, PASSWORD, TO, at(0))
            .replace("qop=auth", "QOP=\"auth\"")
            .replace("algorithm=MD5", "Algorithm=\"md5\"")
            .replace("nc=00000001", "nc=\"00000001\"");

        assert_eq!(verifier.verify(&request(&[&answer]), HERE, &known(), 1, at(1)), Verdict::Good);
    }

    #[test]
    fn malformed_credentials_are_wrong() {
        let mut verifier = verifier(Algorithm::Md5);
        let right = answer(&verifier, PASSWORD, TO, at(0));

        for (part, replacement) in [
            ("nc=00000001", "nc=xyz"),
            (", nc=00000001", ""),
            ("qop=auth", "qop=auth-int"),
            ("cnonce=", "other="),
            ("algorithm=MD5", "algorithm=SHA-256"),
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("response=", "other="),
            ("uri=", "other="),
            ("username=", "other="),
            ("nonce=", "other="),
        ] {
            let request = request(&[&right.replacen(part, replacement, 1)]);

            let verdict = verifier.verify(&request, HERE, &known(), 1, at(1));
            assert!(matches!(verdict, Verdict::Wrong { .. }), "{replacement}: {verdict:?}");
        }
    }

    #[test]
    fn a_nonce_count_of_zero_is_wrong_however_well_computed() {
        let mut verifier = verifier(Algorithm::Md5);
        let challenge = verifier.challenge(1, HERE, at(0), false);
        let request = request(&[&answer_to(&challenge, PASSWORD, TO, 0)]);

        assert_eq!(verifier.verify(&request, HERE, &known(), 1, at(1)), WRONG);
    }

    #[test]
    fn a_wrong_answer_is_one_only_from_where_the_challenge_went_and_in_its_time() {
        let mut verifier = verifier(Algorithm::Md5);
        let wrong = request(&[&answer(&verifier, "guess", TO, at(0))]);
        let elsewhere = IpAddr::from([192, 0, 2, 8]);
        let made_up = answer(&verifier, "guess", TO, at(0)).replacen("nonce=\"0", "nonce=\"1", 1);

        assert_eq!(verifier.verify(&wrong, HERE, &known(), 1, at(1)), GUESSED);
        assert_eq!(verifier.verify(&wrong, elsewhere, &known(), 1, at(1)), WRONG);
        assert_eq!(verifier.verify(&wrong, HERE, &known(), 1, at(61)), WRONG);
        assert_eq!(verifier.verify(&request(&[&made_up]), HERE, &known(), 1, at(1)), WRONG);
    }

    #[test]
    fn a_nonce_that_went_elsewhere_is_stale() {
        let mut verifier = verifier(Algorithm::Md5);
        let right = request(&[&answer(&verifier, PASSWORD, TO, at(0))]);

        assert_eq!(verifier.verify(&right, IpAddr::from([192, 0, 2, 8]), &known(), 1, at(1)), Verdict::Stale);
    }

    /// Where the challenges go.
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    /// To a challenge of ours, and to none.
    const GUESSED: Verdict = Verdict::Wrong { is_answer: true };
    const WRONG: Verdict = Verdict::Wrong { is_answer: false };

    const PASSWORD: &str = "s3cret \"quoted\"";
    const REQUEST_URI: &str = "sip:+14155550101@192.0.2.10:5060";
    const TO: &str = "sip:+14155550101@bridge.example";

    fn verifier(algorithm: Algorithm) -> Verifier {
        Verifier::new([7; 32], "trunkline", algorithm)
    }

    fn known() -> Credentials {
        Credentials { username: "retell-outbound".to_owned(), password: PASSWORD.to_owned() }
    }

    fn answer(verifier: &Verifier, password: &str, uri: &str, now: Duration) -> String {
        answer_to(&verifier.challenge(1, HERE, now, false), password, uri, 1)
    }

    /// The peer's side, played by our own client.
    fn answer_to(challenge: &str, password: &str, uri: &str, nc: u32) -> String {
        let response = parsed(&format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n\r\n"));
        let challenge = challenge_of(&response).expect("a challenge");
        let credentials = Credentials { password: password.to_owned(), ..known() };
        let (name, value) = authorization(&challenge, &credentials, "INVITE", uri, "0a4f113b", nc, b"");
        assert_eq!(name, Name::Authorization);
        value
    }

    fn request(authorizations: &[&str]) -> Message {
        let lines: String =
            authorizations.iter().map(|value| format!("Authorization: {value}\r\n")).collect();
        parsed(&format!("INVITE {REQUEST_URI} SIP/2.0\r\nTo: <{TO};user=phone>\r\n{lines}\r\n"))
    }

    fn parsed(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("well formed")
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

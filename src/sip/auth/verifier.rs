//! Digest as server: one challenge, and the check of what comes back (RFC 7616 §3.3, §3.4.6; RFC 3261 §22.4).
//!
//! A nonce is its time of issue, random bits and an HMAC over both, so issuing one stores nothing: strangers can be
//! challenged for free. The answer is checked before the nonce, so that only who knows the password is told "stale".
//! LiveKit reads one header that begins with exactly `Digest `, splits `qop` without trimming, and puts the URI of the To
//! of our 401 into `uri`.

use std::hint::black_box;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::credentials::{Credentials, presented};
use super::digest::{Algorithm, Input, Protection, Qop};
use super::nonce::Nonces;
use super::params::{Params, quoted};
use super::replay::{Replay, Use};
use crate::sip::message::Message;
use crate::sip::uri::Uri;

/// Mints challenges for one realm and verifies the answers to them. Points in time are measured from any one epoch.
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
    /// They are right, but their nonce has expired, was used before or is not ours: challenge again with `stale=true`.
    Stale,
    /// There are none for our realm: challenge.
    Absent,
    /// Unknown user, wrong password, a `uri` that is neither the Request-URI's nor To's, or malformed: 403.
    Wrong,
}

impl Verifier {
    /// `secret` signs the nonces; `realm` and `algorithm` go into every challenge.
    #[must_use]
    pub fn new(secret: [u8; 32], realm: &str, algorithm: Algorithm) -> Self {
        Self { realm: realm.to_owned(), algorithm, nonces: Nonces::new(secret), replay: Replay::default() }
    }

    /// The value of the one WWW-Authenticate header. `random` makes its nonce unique.
    #[must_use]
    pub fn challenge(&self, random: u64, now: Duration, stale: bool) -> String {
        format!(
            "Digest realm={}, nonce=\"{}\", algorithm={}, qop=\"auth\"{}",
            quoted(&self.realm),
            self.nonces.mint(random, now),
            self.algorithm.as_str(),
            if stale { ", stale=true" } else { "" },
        )
    }

    /// The user name in the credentials that `request` presents for our realm, before any check.
    #[must_use]
    pub fn username_of(&self, request: &Message) -> Option<String> {
        self.presented(request)?.value("username").map(str::to_owned)
    }

    /// Verifies what `request` presents for our realm against `credentials`.
    ///
    /// `transaction` names its server transaction: the same answer is good again in the same one, and a replay in another.
    pub fn verify(
        &mut self,
        request: &Message,
        credentials: &Credentials,
        transaction: u64,
        now: Duration,
    ) -> Verdict {
        let Some(presented) = self.presented(request) else { return Verdict::Absent };
        let Some(answer) = Answer::read(&presented, self.algorithm) else { return Verdict::Wrong };
        if !self.is_right(&answer, request, Some(credentials)) || !names_target(answer.uri, request) {
            return Verdict::Wrong;
        }
        let fresh = self
            .nonces
            .recognise(answer.nonce, now)
            .is_some_and(|nonce| self.replay.admit(Use { nonce, count: answer.count }, transaction, now));
        if fresh { Verdict::Good } else { Verdict::Stale }
    }

    /// As [`Self::verify`] for a user name that nobody has: never good, and at the same cost as a wrong password, so that
    /// the time it takes betrays no user names.
    #[must_use]
    pub fn verify_unknown(&self, request: &Message) -> Verdict {
        let Some(presented) = self.presented(request) else { return Verdict::Absent };
        if let Some(answer) = Answer::read(&presented, self.algorithm) {
            black_box(self.is_right(&answer, request, None));
        }
        Verdict::Wrong
    }

    /// How many used answers are remembered; bounded.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.replay.len()
    }

    fn presented(&self, request: &Message) -> Option<Params> {
        presented(request).find(|params| params.value("realm") == Some(&self.realm))
    }

    fn is_right(&self, answer: &Answer<'_>, request: &Message, credentials: Option<&Credentials>) -> bool {
        let Some(method) = request.method() else { return false };
        let expected = Input {
            algorithm: self.algorithm,
            username: answer.username,
            realm: &self.realm,
            password: credentials.map_or("", |credentials| &credentials.password),
            nonce: answer.nonce,
            method: method.as_bytes(),
            uri: answer.uri,
            qop: answer.protection,
            body: &[],
        }
        .response();
        let right = expected.as_bytes().ct_eq(answer.response.to_ascii_lowercase().as_bytes());
        bool::from(right) && credentials.is_some_and(|known| known.username == answer.username)
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

/// Whether `uri` has the user and host of the Request-URI or of To.
fn names_target(uri: &str, request: &Message) -> bool {
    let Ok(named) = Uri::parse(uri.as_bytes()) else { return false };
    let is_named = |uri: &Uri| uri.user == named.user && uri.host == named.host;
    Uri::parse(request.request_uri()).is_ok_and(|uri| is_named(&uri))
        || request.to().is_ok_and(|to| is_named(&to.uri))
}

//! The challenges of one peer over a series of requests (RFC 3261 §22.2, §22.3; RFC 7616 §3.3).
//!
//! Credentials that were refused are not sent again, for their next refusal would be no different; a
//! challenge with `stale`, of another realm, or after they were accepted is about the nonce.

use super::credentials::Credentials;
use super::uac::{Challenge, authorization, challenge_of};
use crate::id::Ids;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::uri::Uri;

/// A credentials header: its name and value.
pub type Authorization = (Name, String);

/// What one peer asked for, and what was answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// The last challenge of every realm, proxy or not, and how often its nonce was used.
    challenges: Vec<(Challenge, u32)>,
    /// Challenges answered since credentials were accepted last.
    taken: u8,
    /// Whether the credentials were accepted since.
    accepted: bool,
}

impl Answers {
    /// Keeps the challenge of `response`; false when an answer would be of no use.
    pub fn take(&mut self, response: &Message) -> bool {
        let Some(challenge) = challenge_of(response) else { return false };
        let is_same = |known: &Challenge| known.realm == challenge.realm && known.proxy == challenge.proxy;
        let known = self.challenges.iter_mut().find(|(known, _)| is_same(known));
        let refused = known.is_some() && !challenge.stale && !self.accepted;
        if refused || self.taken >= MAX_CHALLENGES {
            return false;
        }
        self.taken += 1;
        self.accepted = false;
        match known {
            Some(known) => *known = (challenge, 0),
            None => self.challenges.push((challenge, 0)),
        }
        true
    }

    /// A request with these credentials was not challenged again.
    pub fn accept(&mut self) {
        self.taken = 0;
        self.accepted = true;
    }

    /// The credentials for one request, a header for every realm that asked.
    pub fn write(
        &mut self,
        credentials: Option<&Credentials>,
        method: Method<'_>,
        uri: &Uri,
        body: &[u8],
        ids: &mut Ids,
    ) -> Vec<Authorization> {
        let Some(credentials) = credentials else { return Vec::new() };
        let (method, uri) = (method.as_str(), uri.to_string());
        let answers = self.challenges.iter_mut().map(|(challenge, used)| {
            *used += 1;
            let cnonce = format!("{:016x}", ids.random());
            authorization(challenge, credentials, &method, &uri, &cnonce, *used, body)
        });
        answers.collect()
    }
}

/// Challenges answered in a row.
const MAX_CHALLENGES: u8 = 2;

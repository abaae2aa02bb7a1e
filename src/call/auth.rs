//! Answering a peer's challenges (RFC 3261 §22.2, §22.3) with the credentials agreed with it.
//!
//! They go to that peer's own hosts and to nobody else: the Contact of a callee, where requests inside a dialog go, may be
//! anywhere. Credentials that were refused are not sent again, for their next refusal would be no different; a
//! challenge with `stale`, of another realm, or after they were accepted is about the nonce.

use std::net::IpAddr;

use crate::id::{Ids, PeerId};
use crate::routing::Routes;
use crate::sip::auth::{Challenge, Credentials, authorization, challenge_of};
use crate::sip::build::RequestBuilder;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::nat::is_private;
use crate::sip::uri::Uri;

use super::Call;
use super::contract::Cx;
use super::interwork::session_timer;

/// A credentials header: its name and value.
pub(super) type Authorization = (Name, String);

/// What a peer asked for on one leg, and what was answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The last challenge of every realm, proxy or not, and how often its nonce was used.
    challenges: Vec<(Challenge, u32)>,
    /// Challenges answered since credentials were accepted last.
    taken: u8,
    /// Whether the credentials were accepted since.
    accepted: bool,
}

impl Answers {
    /// Keeps the challenge of `response`; false when an answer would be of no use.
    pub(super) fn take(&mut self, response: &Message) -> bool {
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
    pub(super) fn accept(&mut self) {
        self.taken = 0;
        self.accepted = true;
    }

    /// The credentials for one request, a header for every realm that asked.
    pub(super) fn write(
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

/// Whether a request to `uri` reaches a host of `peer`'s own. `known` is one of them; `path` is where the messages of the
/// dialog come from, and where a request to a private address goes.
pub(super) fn is_own_host(uri: &Uri, peer: PeerId, known: IpAddr, path: IpAddr, routes: &Routes) -> bool {
    let is_own = |ip: IpAddr| is_own_address(ip, peer, known, routes);
    match uri.host.ip() {
        Some(ip) => is_own(ip) || (is_private(ip) && is_own(path)),
        None => routes.peer(peer).is_own_host(&uri.host),
    }
}

/// The same of an address.
pub(super) fn is_own_address(ip: IpAddr, peer: PeerId, known: IpAddr, routes: &Routes) -> bool {
    ip.to_canonical() == known.to_canonical() || routes.allows(peer, ip)
}

/// Adds credentials to a request.
pub(super) fn with_authorization(request: RequestBuilder, authorization: &[Authorization]) -> RequestBuilder {
    authorization.iter().fold(request, |request, (name, value)| request.header(*name, value))
}

impl Call {
    /// Sends the INVITE again with credentials: same Call-ID and From-tag, CSeq + 1. False when that is of no use.
    pub(super) fn answer_challenge(&mut self, index: usize, response: &Message, cx: &mut Cx<'_>) -> bool {
        let attempt = &mut self.attempts[index];
        let peer = cx.routes.peer(attempt.peer);
        if !peer.may_answer(response) || !attempt.is_at_its_peer(cx.routes) || !attempt.answers.take(response)
        {
            return false;
        }
        let credentials = peer.credentials.as_ref();
        let body = attempt.exchange.local.last().unwrap_or_default();
        attempt.authorization =
            attempt.answers.write(credentials, Method::Invite, &attempt.target.uri, &body, cx.ids);
        self.invite_again(index, cx);
        true
    }

    /// Sends the INVITE again with the interval that a 422 asks for (RFC 4028 §7.3). False when it was raised to that
    /// before, or no session timer is taken part in.
    pub(super) fn raise_interval(&mut self, index: usize, response: &Message, cx: &mut Cx<'_>) -> bool {
        let attempt = &mut self.attempts[index];
        let takes_part = session_timer::policy(cx.routes.peer(attempt.peer).profile).is_some();
        let raised = takes_part && attempt.work.session_timer.raise(response);
        if raised {
            self.invite_again(index, cx);
        }
        raised
    }

    fn invite_again(&mut self, index: usize, cx: &mut Cx<'_>) {
        let attempt = &mut self.attempts[index];
        attempt.identity.cseq += 1;
        attempt.early.clear();
        let mut attempt = self.attempts.swap_remove(index);
        self.send_invite(&mut attempt, cx);
        self.attempts.push(attempt);
        let last = self.attempts.len() - 1;
        self.attempts.swap(index, last);
    }
}

/// Challenges answered per target, and per BYE.
const MAX_CHALLENGES: u8 = 2;

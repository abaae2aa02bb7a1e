//! Answering a peer's challenges (RFC 3261 §22.2, §22.3) with the credentials agreed with it.
//!
//! They go to that peer's own hosts and to nobody else: the Contact of a callee, where requests inside a
//! dialog go, may be anywhere.

use std::net::IpAddr;

use crate::id::PeerId;
use crate::routing::Routes;
use crate::sip::build::RequestBuilder;
use crate::sip::message::{Message, Method};
use crate::sip::nat::is_private;
use crate::sip::uri::Uri;

use super::Call;
use super::contract::Cx;
use super::interwork::session_timer;

pub(super) use crate::sip::auth::{Answers, Authorization};

/// Whether a request to `uri` reaches a host of `peer`'s own. `known` is one of them; `path` is where the
/// messages of the dialog come from, and where a request to a private address goes.
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
    /// Sends the INVITE again with credentials: same Call-ID and From-tag, CSeq + 1.
    /// False when that is of no use.
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

    /// Sends the INVITE again with the interval that a 422 asks for (RFC 4028 §7.3). False when it was raised
    /// to that before, or no session timer is taken part in.
    pub(super) fn raise_interval(&mut self, index: usize, response: &Message, cx: &mut Cx<'_>) -> bool {
        let attempt = &mut self.attempts[index];
        let takes_part = session_timer::policy(cx.routes.peer(attempt.peer).profile).is_some();
        let raised = takes_part && attempt.work.session_timer.raise(response);
        if raised {
            attempt.answers.accept();
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

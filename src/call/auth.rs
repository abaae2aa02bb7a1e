//! Answering the callee's challenges (RFC 3261 §22.2, §22.3) with the credentials agreed with that peer.
//!
//! Credentials go to the target the call chose for the peer and to nobody else, since only responses to requests of
//! ours reach this code; a peer that challenges more than twice has refused them.

use crate::sip::auth::{authorization, challenge_of};
use crate::sip::build::RequestBuilder;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

use super::Call;
use super::attempt::Attempt;
use super::contract::Cx;

impl Call {
    /// Sends the INVITE again with credentials: same Call-ID and From-tag, CSeq + 1. False when that is of no use.
    pub(super) fn answer_challenge(&mut self, index: usize, response: &Message, cx: &mut Cx<'_>) -> bool {
        if !self.attempts[index].take_challenge(response, cx) {
            return false;
        }
        let mut attempt = self.attempts.swap_remove(index);
        attempt.identity.cseq += 1;
        attempt.early.clear();
        let authorization = attempt.credentials(Method::Invite, &attempt.target.to_string(), cx);
        self.send_invite(&mut attempt, authorization, cx);
        self.attempts.push(attempt);
        let last = self.attempts.len() - 1;
        self.attempts.swap(index, last);
        true
    }

    /// A final response to a request inside the callee's dialog; a challenged BYE is sent once more.
    pub(super) fn on_response_in_dialog(
        &mut self,
        index: usize,
        tx: crate::id::ClientTx,
        code: u16,
        response: &Message,
        cx: &mut Cx<'_>,
    ) {
        if code < 200 {
            return;
        }
        let attempt = &mut self.attempts[index];
        attempt.open.retain(|&open| open != tx);
        let is_bye = response.cseq().is_ok_and(|cseq| cseq.method == Method::Bye);
        if matches!(code, 401 | 407) && is_bye && attempt.take_challenge(response, cx) {
            attempt.bye(&[], cx);
        }
    }
}

impl Attempt {
    /// Keeps the challenge of `response` if we can answer it.
    fn take_challenge(&mut self, response: &Message, cx: &Cx<'_>) -> bool {
        let has_credentials = cx.routes.peer(self.peer).credentials.is_some();
        let Some(challenge) = challenge_of(response).filter(|_| has_credentials) else { return false };
        if self.challenges >= MAX_CHALLENGES {
            return false;
        }
        self.challenges += 1;
        self.challenge = Some(challenge);
        self.nonce_count = 0;
        true
    }

    /// The credentials header for a request with `uri`.
    fn credentials(&mut self, method: Method<'_>, uri: &str, cx: &mut Cx<'_>) -> Option<(Name, String)> {
        let challenge = self.challenge.as_ref()?;
        let credentials = cx.routes.peer(self.peer).credentials.as_ref()?;
        self.nonce_count += 1;
        let cnonce = format!("{:016x}", cx.ids.random());
        let method = method.as_str();
        Some(authorization(challenge, credentials, &method, uri, &cnonce, self.nonce_count, &[]))
    }

    /// Adds credentials to a request inside the dialog when the INVITE needed them (RFC 3261 §22.1).
    pub(super) fn with_credentials(
        &mut self,
        request: RequestBuilder,
        method: Method<'_>,
        cx: &mut Cx<'_>,
    ) -> RequestBuilder {
        let uri = match &self.dialog {
            Some(dialog) => dialog.remote_target().to_string(),
            None => self.target.to_string(),
        };
        match self.credentials(method, &uri, cx) {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }
}

/// Challenges answered per target.
const MAX_CHALLENGES: u8 = 2;

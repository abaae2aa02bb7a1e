//! Early media (RFC 3960): audio of the callee before it answers.
//!
//! Only a 183 carries it to the caller. A 180 has the caller's own exchange ring, which a session
//! description would keep it from; what the callee describes there is kept for an answer without a
//! description. Profile `early_media` of the caller's peer: `pass`, it hears it; `strip`, it gets the 183
//! without a session description.

use bytes::Bytes;

use crate::id::LegId;
use crate::routing::config::Treatment;
use crate::sip::message::Message;

use crate::call::Call;
use crate::call::admit::session_in;
use crate::call::contract::Cx;

impl Call {
    /// Takes what the 18x `response` of attempt `index` describes; returns the body of ours to
    /// the caller, if it gets one.
    pub(in crate::call) fn on_early_media(
        &mut self,
        index: usize,
        code: u16,
        response: &Message,
        cx: &mut Cx<'_>,
    ) -> Option<Bytes> {
        let attempt = &mut self.attempts[index];
        let answer = session_in(response, attempt.exchange.policy()).ok().flatten()?;
        let agreed = attempt.exchange.read_answer(&answer).ok()?;
        if let Some(early) = attempt.early_of(response) {
            early.agreed = Some(agreed.clone());
        }
        let passes = self.profile(LegId::CALLER, cx).early_media == Treatment::Pass;
        if code == 183 && passes { self.connect(index, &agreed, cx).ok() } else { None }
    }
}

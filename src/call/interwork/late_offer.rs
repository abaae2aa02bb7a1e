//! Late offer (RFC 3261 §13.2.1, RFC 6337 §2): a caller that describes its session only in its ACK.
//!
//! The callee gets an offer of ours all the same, since what stands behind Retell refuses an INVITE
//! without one. Our offer to the caller goes in the first reliable 18x, which must have one, else in the
//! 200; the PRACK or the ACK brings its answer. None, or one that cannot be used, ends the call on both
//! legs. Profile `late_offer`: `terminate` as told here; `strip`, an INVITE without a session
//! description is refused with 488.

use bytes::Bytes;

use crate::id::LegId;
use crate::sdp::codec::{Codec, Payload};
use crate::sdp::negotiate::NegotiationError;
use crate::sip::message::Message;

use crate::call::Call;
use crate::call::admit::{Refused, session_in};
use crate::call::attempt::DTMF_PAYLOAD_TYPE;
use crate::call::contract::Cx;

impl Call {
    /// Our session description for the caller, with `codec` first: the answer to its offer, or an offer of
    /// ours; the same again once there is one.
    pub(in crate::call) fn describe_to_caller(&mut self, codec: Codec) -> Result<Bytes, NegotiationError> {
        let exchange = &mut self.caller.exchange;
        if exchange.offered().is_some() {
            return exchange.answer(Some(codec));
        }
        Ok(exchange
            .local
            .last()
            .unwrap_or_else(|| exchange.offer(codecs_from(codec), Some(DTMF_PAYLOAD_TYPE))))
    }

    /// The ACK to our 200 came: it has the answer, if our offer was in the 200.
    pub(in crate::call) fn on_late_answer(&mut self, ack: &Message, cx: &mut Cx<'_>) {
        if self.caller.exchange.awaits_answer()
            && let Err(refused) = self.take_answer(LegId::CALLER, ack, cx)
        {
            self.caller.exchange.withdraw();
            self.end_answered(&format!("the caller's answer to our offer cannot be used: {refused}"), cx);
        }
    }

    /// Takes the answer to our offer out of the ACK or PRACK that should hold it.
    ///
    /// # Errors
    ///
    /// When it has none, or one that cannot be used.
    pub(in crate::call) fn take_answer(
        &mut self,
        leg: LegId,
        message: &Message,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refused> {
        let exchange = self.exchange(leg);
        let answer = session_in(message, exchange.policy())?.ok_or(Refused::NoOffer)?;
        let agreed = exchange.read_answer(&answer)?;
        exchange.settle(agreed);
        self.relay_as_agreed(leg, cx);
        Ok(())
    }
}

/// Both laws, `first` before the other.
pub(in crate::call) fn codecs_from(first: Codec) -> Vec<Payload> {
    let other = match first {
        Codec::Pcmu => Codec::Pcma,
        Codec::Pcma => Codec::Pcmu,
    };
    [first, other].map(Codec::offered).to_vec()
}

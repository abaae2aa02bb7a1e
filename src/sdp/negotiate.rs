//! Offer/answer per leg (RFC 3264): what to offer the callee, what to answer the caller: STUB.
use super::codec::Payload;
use super::session::{Audio, Direction, Session};

/// Why an offer or answer could not be used: 488 with the Display text as Warning (RFC 3261 §20.43, code 304/305/399 by `warn_code`).
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum NegotiationError {
    #[error("stub")]
    Stub,
}
impl NegotiationError {
    pub fn warn_code(&self) -> u16 {
        todo!()
    }
}

/// The usable audio of an offer.
pub fn offered(_offer: &Session) -> Result<&Audio, NegotiationError> {
    todo!()
}
/// Toward Retell: only the first codec of the offer, under its static payload type.
pub fn codecs_for_retell(_offered: &Audio) -> Vec<Payload> {
    todo!()
}
/// Toward a trunk: all G.711 codecs offered, in order, under static payload types.
pub fn codecs_for_trunk(_offered: &Audio) -> Vec<Payload> {
    todo!()
}
/// What the callee took of what we offered it (`codecs`, `dtmf`).
pub fn accepted(
    _answer: &Session,
    _codecs: &[Payload],
    _dtmf: Option<u8>,
) -> Result<Accepted, NegotiationError> {
    todo!()
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub codec: Payload,
    pub dtmf: Option<u8>,
    pub audio: Audio,
}
/// The caller's payload for the codec that the callee took.
pub fn matching(_offered: &Audio, _taken: Payload) -> Result<Payload, NegotiationError> {
    todo!()
}
/// sendonly <-> recvonly, as an answer must mirror.
pub fn mirrored(_direction: Direction) -> Direction {
    todo!()
}

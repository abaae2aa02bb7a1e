//! Every session description we send, on sdp-rs: STUB.
use super::codec::Payload;
use super::session::{Direction, Session};
use bytes::Bytes;
use std::net::SocketAddr;

/// Our side of one leg: constant id, version that only grows when the description changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    pub id: u64,
    pub version: u64,
    pub rtp: SocketAddr,
}
impl Local {
    pub fn new(_id: u64, _rtp: SocketAddr) -> Self {
        todo!()
    }
    /// One m=audio with `codecs` in order, telephone-event under `dtmf`, ptime 20, sendrecv.
    pub fn offer(&mut self, _codecs: &[Payload], _dtmf: Option<u8>) -> Bytes {
        todo!()
    }
    /// Answers `offer`: its audio line with exactly `codec` (and `dtmf`), every other m-line with port 0. The version grows only if the text differs from the last one.
    pub fn answer(
        &mut self,
        _offer: &Session,
        _codec: Payload,
        _dtmf: Option<u8>,
        _direction: Direction,
    ) -> Bytes {
        todo!()
    }
    /// The last description sent, byte for byte (for a repeated 18x/200 or a session refresh).
    pub fn last(&self) -> Option<Bytes> {
        todo!()
    }
}

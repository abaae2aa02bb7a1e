//! SRTP and SRTCP of one leg (RFC 3711, RFC 6188), in the buffer that a packet stands in.
//!
//! ```text
//! received:  header | encrypted payload [| index] [| MKI] | tag  ── unprotect ─►  header | payload
//! to send:   header | payload | room for MAX_TRAILER octets      ── protect ───►  header | encrypted … | tag
//! ```
//!
//! Nothing in a received packet means anything before its tag is found right: so a packet is unprotected
//! before its source is looked at for latching and before its padding is checked, and protected after the
//! last change to its header. A packet that is refused leaves no trace here but in the caller's counters,
//! and its buffer as it was.

mod cipher;
mod header;
mod inbound;
mod outbound;
mod sources;
#[cfg(test)]
mod testing;
mod transform;
mod window;

pub use inbound::{Inbound, UnprotectError};
pub use outbound::{Outbound, ProtectError};

pub use crate::id::srtp::LegKeys;

use crate::id::srtp::MasterKey;

/// The cryptographic context of one leg, both ways.
#[derive(Debug)]
pub struct Context {
    /// What comes from the peer.
    pub inbound: Inbound,
    /// What goes to the peer.
    pub outbound: Outbound,
    remote: MasterKey,
}

impl Context {
    /// A leg that nothing was sent or received on yet.
    #[must_use]
    pub fn new(keys: LegKeys) -> Self {
        let LegKeys { local, remote } = keys;
        Self { inbound: Inbound::new(&remote), outbound: Outbound::new(&local), remote }
    }

    /// A new description was agreed on; what is received goes on as it was if the peer's key is the same.
    pub fn rekey(&mut self, keys: LegKeys) {
        self.outbound.rekey(&keys.local);
        if keys.remote != self.remote {
            self.inbound.rekey(&keys.remote);
            self.remote = keys.remote;
        }
    }
}

/// The most that protecting adds to an RTP or RTCP packet: SRTCP's index and the longest tag. An MKI would
/// come on top, but our own keys have none.
pub const MAX_TRAILER: usize = transform::INDEX_BYTES + transform::RTCP_TAG_BYTES;

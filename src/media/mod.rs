//! The media engine: a pool of port pairs, relay threads, and the handle that signalling holds: STUB.
use crate::id::CallId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub mod config;
pub mod forward;
pub mod latch;
pub use config::Config;

pub use crate::rtp::leg::{LegMedia, Reserved, Side};

#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ReserveError {
    #[error("media port range exhausted ({in_use} pairs in use)")]
    NoPorts { in_use: usize },
    #[error("no media address of the peer's family: add one to [media].listen")]
    NoFamily,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub jitter_ms: f64,
    pub strangers: u64,
}

/// Out of the media threads into signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /** Nothing from `side` for the silence time-out. */
    Silent { call: CallId, side: Side },
}

/// Held by the signalling thread. No method blocks or fails for a full queue: commands are never lost.
pub struct Engine {}
impl Engine {
    /// Starts the relay threads. `events` is called from them and must not block (a try_send).
    pub fn start(_config: &Config, _events: Arc<dyn Fn(Event) + Send + Sync>) -> std::io::Result<Self> {
        todo!()
    }
    /// Two port pairs on one media thread; `caller`/`callee` are the signalling addresses of the peers (they choose family and, for wildcards, our address).
    pub fn reserve(
        &mut self,
        _call: CallId,
        _caller: IpAddr,
        _callee: IpAddr,
    ) -> Result<Reserved, ReserveError> {
        todo!()
    }
    /// Sets or changes one side (new SDP: the latch learns again). Relays from when both sides are set.
    pub fn set_leg(&mut self, _call: CallId, _side: Side, _media: LegMedia) {
        todo!()
    }
    /// Forgets the callee (next target); its port stays reserved.
    pub fn clear_leg(&mut self, _call: CallId, _side: Side) {
        todo!()
    }
    /// The call was answered: silence time-outs run from here.
    pub fn answered(&mut self, _call: CallId) {
        todo!()
    }
    /// No time-out while held.
    pub fn set_held(&mut self, _call: CallId, _side: Side, _held: bool) {
        todo!()
    }
    /// Snapshot, at any time before release.
    pub fn stats(&self, _call: CallId) -> Option<[LegStats; 2]> {
        todo!()
    }
    pub fn release(&mut self, _call: CallId) {
        todo!()
    }
    pub fn streams_active(&self) -> usize {
        todo!()
    }
    pub fn silence_timeout(&self) -> Option<Duration> {
        todo!()
    }
}

//! Counters that media threads write and anybody reads, at any time, without a lock.
//!
//! Each counter has one writer, so it is stored, not added to; a reader may see one packet's counters half updated,
//! which no figure minds.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::LegStats;
use super::leg::Leg;
use super::reason::Reason;
use super::socket::Sent;
use crate::rtp::CLOCK_RATE;

/// What one leg sent and was sent.
#[derive(Debug, Default)]
pub(crate) struct LegCounters {
    arrived: AtomicU64,
    sent: AtomicU64,
    bytes_sent: AtomicU64,
    received: AtomicU64,
    lost: AtomicU64,
    strangers: AtomicU64,
    filled: AtomicU64,
    jitter_ticks: AtomicU32,
}

/// What one media thread did with every datagram it received.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    relayed: AtomicU64,
    made: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
    errors: AtomicU64,
}

impl LegCounters {
    /// Takes over what came from the peer of `leg`; `datagrams` came from anybody.
    pub(crate) fn publish_received(&self, leg: &Leg, datagrams: usize) {
        add(&self.arrived, datagrams);
        self.received.store(leg.reception.received(), Ordering::Relaxed);
        self.lost.store(leg.reception.lost(), Ordering::Relaxed);
        self.strangers.store(leg.strangers.packets(), Ordering::Relaxed);
        self.jitter_ticks.store(leg.reception.jitter_ticks(), Ordering::Relaxed);
    }

    /// Whether the peer, or anybody, sent something.
    pub(crate) fn was_used(&self) -> bool {
        self.arrived.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn publish_filled(&self, packets: u64) {
        self.filled.store(packets, Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, packets: usize, bytes: usize) {
        add(&self.sent, packets);
        add(&self.bytes_sent, bytes);
    }

    pub(crate) fn snapshot(&self) -> LegStats {
        LegStats {
            packets_sent: self.sent.load(Ordering::Relaxed),
            packets_received: self.received.load(Ordering::Relaxed),
            packets_lost: self.lost.load(Ordering::Relaxed),
            jitter_ms: f64::from(self.jitter_ticks.load(Ordering::Relaxed)) * 1_000.0 / f64::from(CLOCK_RATE),
            strangers: self.strangers.load(Ordering::Relaxed),
            packets_filled: self.filled.load(Ordering::Relaxed),
        }
    }
}

impl Totals {
    pub(crate) fn add_relayed(&self, sent: Sent) {
        add(&self.relayed, sent.sent);
        self.add_dropped(Reason::SendFailed, sent.failed);
    }

    pub(crate) fn add_made(&self, sent: Sent) {
        add(&self.made, sent.sent);
        self.add_dropped(Reason::SendFailed, sent.failed);
    }

    pub(crate) fn add_dropped(&self, reason: Reason, packets: usize) {
        if let Some(counter) = self.dropped.get(reason.index()) {
            add(counter, packets);
        }
    }

    /// A system call failed where nothing but the next packet depends on it.
    pub(crate) fn add_error(&self) {
        add(&self.errors, 1);
    }

    pub(crate) fn relayed(&self) -> u64 {
        self.relayed.load(Ordering::Relaxed)
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason.index()).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

/// Cheaper than a locked addition, and as right: the calling thread is the only writer.
fn add(counter: &AtomicU64, packets: usize) {
    counter.store(counter.load(Ordering::Relaxed) + packets as u64, Ordering::Relaxed);
}

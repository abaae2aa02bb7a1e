//! Counters that media threads write and anybody reads, at any time, without a lock.
//!
//! Each counter has one writer, so it is stored, not added to; a reader may see one packet's counters half
//! updated, which no figure minds.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::LegStats;
use super::leg::Leg;
use super::reason::Reason;
use super::reports::Reports;
use super::socket::Sent;
use crate::rtp::CLOCK_RATE;
use crate::rtp::mos::mos;

/// What one leg sent and was sent.
#[derive(Debug, Default)]
pub(crate) struct LegCounters {
    arrived: AtomicU64,
    sent: AtomicU64,
    bytes_sent: AtomicU64,
    received: AtomicU64,
    bytes_received: AtomicU64,
    lost: AtomicU64,
    late: AtomicU64,
    duplicate: AtomicU64,
    reordered: AtomicU64,
    strangers: AtomicU64,
    filled: AtomicU64,
    jitter_ticks: AtomicU32,
    longest_gap_micros: AtomicU64,
    first_audio_micros: Maybe,
    round_trip_micros: Maybe,
    /// In millionths.
    peer_loss: Maybe,
}

/// A figure that may not be known: it is kept one greater, and 0 is none.
#[derive(Debug, Default)]
struct Maybe(AtomicU64);

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
        let (reception, relaxed) = (&leg.reception, Ordering::Relaxed);
        add(&self.arrived, datagrams);
        self.received.store(reception.received(), relaxed);
        self.bytes_received.store(reception.bytes(), relaxed);
        self.lost.store(reception.lost(), relaxed);
        self.late.store(reception.late(), relaxed);
        self.duplicate.store(reception.duplicate(), relaxed);
        self.reordered.store(reception.reordered(), relaxed);
        self.strangers.store(leg.strangers.packets(), relaxed);
        self.jitter_ticks.store(reception.jitter_ticks(), relaxed);
        self.longest_gap_micros.store(micros(reception.longest_gap()), relaxed);
        self.first_audio_micros.set(reception.until_audio().map(micros));
    }

    /// Takes over what the peer reported.
    pub(crate) fn publish_reported(&self, reports: &Reports) {
        let peer = reports.peer();
        self.round_trip_micros.set(peer.and_then(|peer| peer.round_trip).map(micros));
        self.peer_loss.set(peer.map(|peer| (f64::from(peer.loss) * 1e6) as u64));
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
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (received, lost) = (read(&self.received), read(&self.lost));
        let jitter = Duration::from_secs(self.jitter_ticks.load(Ordering::Relaxed).into()) / CLOCK_RATE;
        let round_trip = self.round_trip_micros.get().map(Duration::from_micros);
        let loss = lost as f64 / (lost + received).max(1) as f64;
        let mos = || mos(loss, round_trip.unwrap_or_default(), jitter);
        LegStats {
            packets_sent: read(&self.sent),
            bytes_sent: read(&self.bytes_sent),
            packets_received: received,
            bytes_received: read(&self.bytes_received),
            packets_lost: lost,
            packets_late: read(&self.late),
            packets_duplicate: read(&self.duplicate),
            packets_reordered: read(&self.reordered),
            jitter_ms: milliseconds(jitter),
            longest_gap_ms: milliseconds(Duration::from_micros(read(&self.longest_gap_micros))),
            first_audio_ms: self.first_audio_micros.get().map(Duration::from_micros).map(milliseconds),
            rtt_ms: round_trip.map(milliseconds),
            peer_loss: self.peer_loss.get().map(|millionths| millionths as f64 / 1e6),
            mos: (received > 0).then(mos),
            strangers: read(&self.strangers),
            packets_filled: read(&self.filled),
        }
    }
}

impl Maybe {
    fn set(&self, value: Option<u64>) {
        self.0.store(value.map_or(0, |value| value.saturating_add(1)), Ordering::Relaxed);
    }

    fn get(&self) -> Option<u64> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

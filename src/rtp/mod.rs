//! RTP and RTCP (RFC 3550, RFC 3551, RFC 4733), pure: packets in place, continuous numbering, statistics,
//! digits.
//!
//! Nothing here allocates or reads a clock: a packet is rewritten in the buffer it was received into, and
//! receive times are arguments.

pub mod continuity;
pub mod dtmf;
pub mod filler;
pub mod g711;
pub mod leg;
pub mod leg_stats;
pub mod mos;
pub mod packet;
pub mod payload;
pub mod repacketise;
pub mod ringback;
pub mod rtcp;
pub mod srtp;
pub mod stats;
#[cfg(test)]
mod testing;
mod window;

use std::time::Instant;

/// Ticks of an RTP timestamp in a second, for all that is relayed: G.711 and its telephone-event (RFC 3551
/// §6).
pub const CLOCK_RATE: u32 = 8_000;

/// Timestamp ticks of the 20 ms that every session description of ours asks for.
pub const FRAME_TICKS: u32 = CLOCK_RATE / 50;

/// The signed distance from sequence number `from` to `to`, the short way round (RFC 1982).
#[must_use]
pub(crate) fn sequence_distance(from: u16, to: u16) -> i32 {
    i32::from(to.wrapping_sub(from).cast_signed())
}

/// The time from `earlier` to `later` in timestamp ticks; 0 if it is the other way round.
#[must_use]
pub(crate) fn ticks_between(earlier: Instant, later: Instant) -> u32 {
    let time = later.saturating_duration_since(earlier);
    let whole = time.as_secs().saturating_mul(CLOCK_RATE.into());
    let ticks = whole.saturating_add((time.subsec_nanos() / NANOS_PER_TICK).into());
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Sample `n` of a wave of a whole number of Hz, which is in phase again after each second: no rounding adds
/// up.
#[must_use]
pub(crate) fn sine(n: u32, hz: u16) -> f32 {
    let turns = n % CLOCK_RATE * u32::from(hz) % CLOCK_RATE;
    (std::f32::consts::TAU * turns as f32 / CLOCK_RATE as f32).sin()
}

const NANOS_PER_TICK: u32 = 1_000_000_000 / CLOCK_RATE;

//! Loss and jitter of one received stream (RFC 3550 appendices A.3 and A.8).
//!
//! Feed each packet once: a duplicate that is counted as received would hide a loss. A source that changes its SSRC
//! begins anew, and what the former one lost stays counted.

use std::time::Instant;

use super::{CLOCK_RATE, FRAME_TICKS, sequence_distance};

/// Statistics of what one peer sent.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    received: u64,
    lost_before: u64,
    source: Option<Source>,
    /// Scaled by 16, as in RFC 3550 A.8.
    jitter_scaled: u32,
}

/// The stream of one SSRC.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    /// Extended by the cycles of the 16-bit number.
    first: i64,
    highest: i64,
    received: u64,
    transit: Option<Transit>,
}

/// Arrival of the last audio packet against its timestamp.
#[derive(Clone, Copy, Debug)]
struct Transit {
    arrived: Instant,
    timestamp: u32,
}

impl Reception {
    /// Counts a packet of `ssrc`; `audio_timestamp` is its timestamp if it carries audio.
    ///
    /// Events (RFC 4733) repeat the timestamp of their beginning, and so say nothing about jitter. Hot path.
    pub fn on_packet(&mut self, ssrc: u32, sequence: u16, audio_timestamp: Option<u32>, arrived: Instant) {
        self.received += 1;
        if !self.source.as_mut().is_some_and(|source| source.ssrc == ssrc && source.follows(sequence)) {
            self.lost_before = self.lost();
            self.source = Some(Source::starting(ssrc, sequence));
        }
        let Some(source) = &mut self.source else { return };
        source.received += 1;
        let Some(timestamp) = audio_timestamp else { return };
        let transit = Transit { arrived, timestamp };
        if let Some(deviation) = source.transit.replace(transit).and_then(|last| last.deviation(transit)) {
            self.jitter_scaled = self.jitter_scaled + deviation - ((self.jitter_scaled + 8) >> 4);
        }
    }

    /// Packets received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that never came; one that comes late is taken off again.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// Interarrival jitter in timestamp ticks.
    #[must_use]
    pub fn jitter_ticks(&self) -> u32 {
        self.jitter_scaled >> 4
    }
}

impl Source {
    fn starting(ssrc: u32, sequence: u16) -> Self {
        let first = i64::from(sequence);
        Self { ssrc, first, highest: first, received: 0, transit: None }
    }

    /// Whether `sequence` belongs to the same run of numbers; a jump is a new one, not thousands of losses.
    fn follows(&mut self, sequence: u16) -> bool {
        let distance = sequence_distance(self.highest as u16, sequence);
        if !(-MAX_MISORDER..=MAX_DROPOUT).contains(&distance) {
            return false;
        }
        let extended = self.highest + i64::from(distance);
        self.highest = self.highest.max(extended);
        self.first = self.first.min(extended);
        true
    }

    fn lost(&self) -> u64 {
        u64::try_from(self.highest - self.first + 1).unwrap_or(0).saturating_sub(self.received)
    }
}

impl Transit {
    /// How far the spacing of two packets differs between arrival and timestamps, in ticks.
    ///
    /// `None` where the source's clock jumped (a new talkspurt on another time base): that is no jitter.
    fn deviation(self, next: Self) -> Option<u32> {
        let micros = next.arrived.saturating_duration_since(self.arrived).as_micros();
        let arrival_ticks = i64::try_from(micros * u128::from(CLOCK_RATE) / 1_000_000).ok()?;
        let sent_ticks = i64::from(next.timestamp.wrapping_sub(self.timestamp).cast_signed());
        let deviation = u32::try_from((arrival_ticks - sent_ticks).unsigned_abs()).ok()?;
        (deviation < CLOCK_JUMP_TICKS).then_some(deviation)
    }
}

/// RFC 3550 A.1.
pub(crate) const MAX_DROPOUT: i32 = 3_000;
/// RFC 3550 A.1.
const MAX_MISORDER: i32 = 100;
const CLOCK_JUMP_TICKS: u32 = 150 * FRAME_TICKS;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_that_never_came_are_lost_and_a_late_one_is_taken_off() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [10, 11, 14]);
        let before = reception.lost();
        feed(&mut reception, 1, [12]);

        assert_eq!((before, reception.lost(), reception.received()), (2, 1, 4));
    }

    #[test]
    fn sequence_numbers_that_wrap_lose_nothing() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, (0..200_000_u32).map(|n| n as u16));

        assert_eq!((reception.lost(), reception.received()), (0, 200_000));
    }

    #[test]
    fn a_new_ssrc_or_a_jump_begins_anew_and_keeps_what_was_lost() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [10, 12]);
        feed(&mut reception, 2, [50_000, 50_002]);
        feed(&mut reception, 2, [9, 10]);

        assert_eq!((reception.lost(), reception.received()), (2, 6));
    }

    #[test]
    fn a_packet_from_before_the_first_extends_the_run_backwards() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [11, 10, 12]);

        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn packets_in_step_with_their_timestamps_have_no_jitter() {
        let jitter = jitter_of(|n| Duration::from_millis(20 * n));

        assert_eq!(jitter, 0);
    }

    #[test]
    fn packets_that_come_five_ms_early_and_late_in_turn_converge_to_ten_ms_of_jitter() {
        let jitter = jitter_of(|n| Duration::from_millis(20 * n + 10 * (n % 2)));

        assert!((72..=80).contains(&jitter), "{jitter} ticks, of 80 in 10 ms");
    }

    #[test]
    fn events_and_jumps_of_the_clock_are_no_jitter() {
        let start = Instant::now();
        let mut reception = Reception::default();

        reception.on_packet(1, 1, Some(160), start);
        reception.on_packet(1, 2, None, start + Duration::from_millis(900));
        reception.on_packet(1, 3, Some(9_999_999), start + Duration::from_millis(1_000));

        assert_eq!(reception.jitter_ticks(), 0);
    }

    fn feed(reception: &mut Reception, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        let now = Instant::now();
        for sequence in sequences {
            reception.on_packet(ssrc, sequence, None, now);
        }
    }

    fn jitter_of(arrival: impl Fn(u64) -> Duration) -> u32 {
        let start = Instant::now();
        let mut reception = Reception::default();
        for n in 0..500_u16 {
            let arrived = start + arrival(u64::from(n));
            reception.on_packet(1, n, Some(u32::from(n) * FRAME_TICKS), arrived);
        }
        reception.jitter_ticks()
    }
}

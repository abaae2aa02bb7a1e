//! A digit of ours, as the packets of a telephone event (RFC 4733 §2.5.1).
//!
//! ```text
//!   start      +20 ms     …        duration     +20 ms     +40 ms
//!   M 160      320        …        E duration   E duration   E duration   one timestamp, rising numbers
//! ```
//!
//! The end is told three times, so that it takes three losses to miss it. Numbers are the leg's to give.

use std::time::{Duration, Instant};

use super::{Digit, Event, EventPacket};
use crate::rtp::{CLOCK_RATE, FRAME_TICKS};

/// One digit on its way.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    digit: Digit,
    timestamp: u32,
    duration: u16,
    step: u16,
    /// What the next packet tells.
    elapsed: u16,
    begun: bool,
    ends_left: u8,
    due: Instant,
}

impl Generator {
    /// A digit that begins at `start`, where the leg's clock shows `timestamp`, with a packet every
    /// `ptime_ms`, 10 to 100.
    ///
    /// `duration` is kept within the 40 ms that everybody hears and the 8 s that fit a packet.
    #[must_use]
    pub fn new(digit: Digit, duration: Duration, ptime_ms: u8, start: Instant, timestamp: u32) -> Self {
        let ticks = duration.clamp(SHORTEST, LONGEST).as_millis() as u16 * TICKS_PER_MS;
        let step = u16::from(ptime_ms.clamp(10, 100)) * TICKS_PER_MS;
        let elapsed = step.min(ticks);
        Self { digit, timestamp, duration: ticks, step, elapsed, begun: false, ends_left: ENDS, due: start }
    }

    /// The key is let go before its time: the digit ends with the next packet, or after 40 ms.
    ///
    /// So a digit can begin before it is known how long it lasts.
    pub fn release(&mut self) {
        self.duration = self.duration.min(self.elapsed.max(SHORTEST.as_millis() as u16 * TICKS_PER_MS));
    }

    /// When to call [`Self::on_time`]; `None` once all was sent.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        (self.ends_left > 0).then_some(self.due)
    }

    /// The packet that is due at `now`, if one is: call until there is none.
    pub fn on_time(&mut self, now: Instant) -> Option<EventPacket> {
        self.next_deadline().filter(|&due| due <= now)?;
        let end = self.begun && self.elapsed == self.duration;
        let event = Event { code: self.digit.code(), end, volume: VOLUME, duration: self.elapsed };
        let packet = EventPacket { timestamp: self.timestamp, marker: !self.begun, event };
        self.begun = true;
        self.ends_left -= u8::from(end);
        self.elapsed = self.elapsed.saturating_add(self.step).min(self.duration);
        self.due += Duration::from_millis((self.step / TICKS_PER_MS).into());
        Some(packet)
    }
}

const TICKS_PER_MS: u16 = (CLOCK_RATE / 1_000) as u16;
/// ITU-T Q.24.
const SHORTEST: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_millis(8_000);
/// RFC 4733 §2.5.1.4.
pub(super) const ENDS: u8 = 3;
/// −10 dBm0: what telephones send.
const VOLUME: u8 = 10;
const _: () = assert!(FRAME_TICKS == 20 * TICKS_PER_MS as u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_grows_by_ptime_and_ends_three_times_with_its_whole_duration() {
        let packets = sent(Duration::from_millis(100), 20);

        let told: Vec<_> = packets.iter().map(|&(ms, it)| (ms, it.event.duration, it.event.end)).collect();
        let expected = [
            (0, 160, false),
            (20, 320, false),
            (40, 480, false),
            (60, 640, false),
            (80, 800, true),
            (100, 800, true),
            (120, 800, true),
        ];
        assert_eq!(told, expected);
        assert!(packets.iter().all(|(_, it)| it.timestamp == 4_000 && it.event.code == 11));
        assert!(packets.iter().enumerate().all(|(n, (_, it))| it.marker == (n == 0)));
    }

    #[test]
    fn a_duration_that_is_no_multiple_of_ptime_is_told_as_it_is() {
        let durations: Vec<_> =
            sent(Duration::from_millis(70), 30).iter().map(|(_, it)| it.event.duration).collect();

        assert_eq!(durations, [240, 480, 560, 560, 560]);
    }

    #[test]
    fn the_shortest_and_the_longest_digit_begin_once_and_end_three_times() {
        for (asked, ptime_ms, duration) in [(1, 100, 320), (1, 20, 320), (60_000, 20, 64_000)] {
            let packets = sent(Duration::from_millis(asked), ptime_ms);

            let ends: Vec<_> = packets.iter().filter(|(_, it)| it.event.end).collect();
            assert!(packets[0].1.marker && !packets[0].1.event.end);
            assert_eq!(ends.len(), 3);
            assert!(ends.iter().all(|(_, it)| it.event.duration == duration));
        }
    }

    #[test]
    fn a_digit_that_is_released_ends_with_its_next_packet_but_not_before_40_ms() {
        for (told, duration) in [(0, 320), (1, 320), (4, 800), (9, 1_600)] {
            let start = Instant::now();
            let (mut generator, now) = (generator(Duration::MAX, 20, start), start + Duration::from_secs(9));
            assert!((0..told).all(|_| generator.on_time(now).is_some_and(|it| !it.event.end)));

            generator.release();
            generator.release();
            let rest: Vec<_> = std::iter::from_fn(|| generator.on_time(now)).collect();

            let ends: Vec<_> = rest.iter().filter(|it| it.event.end).map(|it| it.event.duration).collect();
            assert_eq!(ends, [duration; 3], "after {told}");
            assert_eq!(rest.len(), if told == 0 { 4 } else { 3 });
        }
    }

    /// All packets with the milliseconds since the start.
    fn sent(duration: Duration, ptime_ms: u8) -> Vec<(u128, EventPacket)> {
        let start = Instant::now();
        let mut generator = generator(duration, ptime_ms, start);
        let mut packets = Vec::new();
        while let Some(due) = generator.next_deadline() {
            assert_eq!(generator.on_time(due - Duration::from_nanos(1)), None);
            let packet = generator.on_time(due).unwrap();
            packets.push(((due - start).as_millis(), packet));
        }
        packets
    }

    fn generator(duration: Duration, ptime_ms: u8, start: Instant) -> Generator {
        Generator::new(Digit::try_from('#').unwrap(), duration, ptime_ms, start, 4_000)
    }
}

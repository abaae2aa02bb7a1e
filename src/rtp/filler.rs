//! When a leg that is sent nothing is to be sent silence: 20 ms of it every 20 ms, until
//! the source speaks again.
//!
//! ```text
//!            start                     on_packet
//!   Idle ───────────► Filling ◄──────────────────────► Waiting
//!     ▲                  │        fill_ms without one,     │
//!     └────── stop ──────┴──────── or comfort noise ───────┘
//! ```
//!
//! What has to be heard whatever `fill_ms` says, a ringing tone say, is begun by [`Filler::insist`].
//!
//! Decides when, and nothing else: where a packet of silence stands is [`Continuity::fill`]'s to say. What
//! counts is what was sent to the leg: a packet that was dropped, for being late say, fills nothing. The grid
//! of 20 ms stays where it began, however late the thread comes by.
//!
//! [`Continuity::fill`]: super::continuity::Continuity::fill

use std::time::{Duration, Instant};

use super::{CLOCK_RATE, FRAME_TICKS};

/// One leg's watch over pauses.
#[derive(Clone, Debug)]
pub struct Filler {
    /// How long a pause may be; `None` is without end.
    patience: Option<Duration>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The leg is to be sent nothing by us: it has no session description, or the call is over. What its
    /// source says would have it wait until this time.
    Idle { until: Option<Instant> },
    /// The source speaks; silence begins at this time if it stops.
    Waiting { until: Instant },
    /// The next packet is due at this time.
    Filling { due: Instant },
}

impl Filler {
    /// One that fills pauses of more than `fill_ms`; 0 is never.
    #[must_use]
    pub fn new(fill_ms: u32) -> Self {
        let patience = (fill_ms > 0).then(|| Duration::from_millis(fill_ms.into()));
        Self { patience, state: State::Idle { until: None } }
    }

    /// The leg can be sent to: its first packet is due at once, unless the source speaks already.
    pub fn start(&mut self, now: Instant) {
        match self.patience {
            Some(_) => self.insist(now),
            None => self.stop(),
        }
    }

    /// The same even for a leg whose pauses are not filled, until [`Self::start`] is called.
    pub fn insist(&mut self, now: Instant) {
        if let State::Idle { until } = self.state {
            self.state = until
                .filter(|&until| until > now)
                .map_or(State::Filling { due: now }, |until| State::Waiting { until });
        }
    }

    /// Nothing of ours goes to the leg any more, until it is started again.
    pub fn stop(&mut self) {
        self.state = match self.state {
            idle @ State::Idle { .. } => idle,
            State::Waiting { .. } | State::Filling { .. } => State::Idle { until: None },
        };
    }

    /// A packet of the source was sent to the leg, with `ticks` of audio in it (an event: 0).
    ///
    /// Hot path.
    pub fn on_packet(&mut self, ticks: u32, now: Instant) {
        let until = now + self.patience.unwrap_or(FOR_WHO_INSISTS) + beyond_a_frame(ticks);
        self.state = match (self.patience, self.state) {
            (None, _) | (Some(_), State::Idle { .. }) => State::Idle { until: Some(until) },
            (Some(_), State::Waiting { .. } | State::Filling { .. }) => State::Waiting { until },
        };
    }

    /// The source stops speaking, as its comfort noise says (RFC 3389), or what is heard in its place must
    /// not wait for long behind a packet of `ticks`.
    ///
    /// Silence begins two frames later, so that its slots are past when the source's next words arrive.
    pub fn hurry(&mut self, ticks: u32, now: Instant) {
        if let State::Waiting { until } = self.state {
            self.state = State::Filling { due: until.min(now + 2 * FRAME + beyond_a_frame(ticks)) };
        }
    }

    /// When to call [`Self::on_time`]; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle { .. } => None,
            State::Waiting { until: due } | State::Filling { due } => Some(due),
        }
    }

    /// The due time of the next packet, if it is due at `now`: call until there is none.
    ///
    /// Packets that should have gone out long before are left out, as a burst of silence helps nobody.
    pub fn on_time(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next_deadline().filter(|&due| due <= now)?;
        let missed = now.duration_since(due).as_nanos() / FRAME.as_nanos();
        let due = match u32::try_from(missed) {
            Ok(missed) if missed > MAX_BURST => due + FRAME * (missed - MAX_BURST),
            Ok(_) => due,
            Err(_) => now,
        };
        self.state = State::Filling { due: due + FRAME };
        Some(due)
    }

    /// Whether silence is being sent.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        matches!(self.state, State::Filling { .. })
    }
}

/// How much longer than 20 ms `ticks` of audio are.
fn beyond_a_frame(ticks: u32) -> Duration {
    Duration::from_micros(u64::from(ticks.saturating_sub(FRAME_TICKS)) * 1_000_000 / u64::from(CLOCK_RATE))
}

const FRAME: Duration = Duration::from_millis(20);
/// How long a pause is waited for where none is filled otherwise.
const FOR_WHO_INSISTS: Duration = Duration::from_millis(100);
/// How many packets may be sent at once to catch up.
const MAX_BURST: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_after_fill_ms_and_then_comes_every_20_ms() {
        let (mut filler, start) = speaking(100);

        assert_eq!(due(&mut filler, start, 0..=99), []);
        assert_eq!(due(&mut filler, start, 100..=165), [100, 120, 140, 160]);
        assert!(filler.is_filling());
    }

    #[test]
    fn a_packet_ends_it_and_the_wait_begins_anew() {
        let (mut filler, start) = speaking(100);
        due(&mut filler, start, 0..=130);

        filler.on_packet(FRAME_TICKS, at(start, 131));

        assert_eq!(due(&mut filler, start, 131..=260), [231, 251]);
    }

    #[test]
    fn a_long_packet_is_waited_for_as_much_longer_as_it_holds() {
        let (mut filler, start) = speaking(100);

        filler.on_packet(10 * FRAME_TICKS, start);

        assert_eq!(filler.next_deadline(), Some(at(start, 280)));
    }

    #[test]
    fn a_leg_that_is_started_gets_its_first_packet_at_once_and_one_already_spoken_to_does_not() {
        let (mut spoken_to, start) = speaking(100);
        let mut fresh = Filler::new(100);

        fresh.start(start);
        spoken_to.start(start);

        assert_eq!(due(&mut fresh, start, 0..=45), [0, 20, 40]);
        assert_eq!(due(&mut spoken_to, start, 0..=45), []);
    }

    #[test]
    fn comfort_noise_begins_silence_soon_and_again_changes_nothing() {
        let (mut filler, start) = speaking(100);

        filler.hurry(0, at(start, 20));
        let first = due(&mut filler, start, 20..=85);
        filler.hurry(0, at(start, 85));

        assert_eq!((first, due(&mut filler, start, 86..=120)), (vec![60, 80], vec![100, 120]));
    }

    #[test]
    fn a_source_that_spoke_before_the_start_is_waited_for_and_one_long_silent_is_not() {
        let start = Instant::now();
        let started = |ms| {
            let mut filler = Filler::new(100);
            filler.on_packet(FRAME_TICKS, start);
            filler.start(at(start, ms));
            filler.next_deadline().map(|due| due.duration_since(start).as_millis())
        };

        assert_eq!([started(30), started(100)], [Some(100), Some(100)]);
        assert_eq!(started(3_000), Some(3_000));
    }

    #[test]
    fn zero_and_stopped_are_never() {
        let (mut off, start) = speaking(0);
        let (mut stopped, _) = speaking(100);

        stopped.stop();
        stopped.on_packet(FRAME_TICKS, start);
        off.hurry(0, start);

        assert_eq!((off.next_deadline(), stopped.next_deadline()), (None, None));
    }

    #[test]
    fn who_insists_is_heard_in_pauses_that_are_not_filled_otherwise_until_it_is_started_again() {
        let (mut off, start) = speaking(0);

        off.insist(at(start, 30));
        let insisted = due(&mut off, start, 30..=150);
        off.start(at(start, 151));

        assert_eq!((insisted, off.next_deadline()), (vec![100, 120, 140], None));
    }

    #[test]
    fn who_is_in_a_hurry_waits_for_a_long_packet_all_the_same() {
        let (mut filler, start) = speaking(100);

        filler.on_packet(3 * FRAME_TICKS, start);
        filler.hurry(3 * FRAME_TICKS, start);

        assert_eq!(filler.next_deadline(), Some(at(start, 80)));
    }

    #[test]
    fn a_thread_that_comes_by_late_catches_up_by_a_little_and_keeps_to_the_grid() {
        let (mut filler, start) = speaking(100);

        assert_eq!(due(&mut filler, start, 1_009..=1_009), [960, 980, 1_000]);
        assert_eq!(filler.next_deadline(), Some(at(start, 1_020)));
    }

    /// A filler whose source sent a packet at the returned time.
    fn speaking(fill_ms: u32) -> (Filler, Instant) {
        let start = Instant::now();
        let mut filler = Filler::new(fill_ms);
        filler.start(start);
        filler.on_packet(FRAME_TICKS, start);
        (filler, start)
    }

    /// When packets are due, asked in every millisecond of `milliseconds`.
    fn due(filler: &mut Filler, start: Instant, milliseconds: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let mut found = Vec::new();
        for ms in milliseconds {
            while let Some(due) = filler.on_time(at(start, ms)) {
                found.push(due.duration_since(start).as_millis());
            }
        }
        found
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }
}

//! When to send the next report (RFC 3550 §6.2, §6.3) in a session of two members.
//!
//! Two members at 64 kbit/s never come near the 5 % that RTCP may use, so the minimum of 5 s rules, and
//! neither sizes nor the number of members have to be tracked. What is left is the randomness, so that the
//! two do not fall into step, and the second draw when the time has come (timer reconsideration), for which
//! all intervals are divided by e − 3/2.

use std::time::{Duration, Instant};

/// The timer of one member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Schedule {
    /// Nothing is sent.
    Idle,
    /// The next report is due.
    Running {
        /// When the last one was sent; before there was one, when it began.
        last: Instant,
        due: Instant,
        /// Nothing was sent yet.
        initial: bool,
    },
}

impl Schedule {
    /// Begins, unless it runs.
    pub(super) fn start(&mut self, now: Instant, draw: u32) {
        if let Self::Idle = self {
            *self = Self::Running { last: now, due: now + interval(true, draw), initial: true };
        }
    }

    pub(super) fn next_deadline(self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Running { due, .. } => Some(due),
        }
    }

    /// Whether a report is to be sent at `now`; sets the time of the next one.
    pub(super) fn is_due(&mut self, now: Instant, draws: [u32; 2]) -> bool {
        let Self::Running { last, due, initial } = *self else { return false };
        if now < due {
            return false;
        }
        let reconsidered = last + interval(initial, draws[0]);
        let sends = reconsidered <= now;
        *self = if sends {
            Self::Running { last: now, due: now + interval(false, draws[1]), initial: false }
        } else {
            Self::Running { last, due: reconsidered, initial }
        };
        sends
    }
}

/// Between half and one and a half of the minimum, compensated; `initial` halves it.
fn interval(initial: bool, draw: u32) -> Duration {
    let minimum = if initial { COMPENSATED_NANOS / 2 } else { COMPENSATED_NANOS };
    Duration::from_nanos(minimum / 2 + ((minimum * u64::from(draw)) >> 32))
}

/// 5 s / (e − 3/2).
const COMPENSATED_NANOS: u64 = 4_104_140_671;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_half_to_one_and_a_half_of_the_compensated_minimum_and_the_first_is_halved() {
        let ms = |initial, draw| interval(initial, draw).as_millis();

        assert_eq!((ms(false, 0), ms(false, u32::MAX)), (2_052, 6_156));
        assert_eq!((ms(true, 0), ms(true, u32::MAX)), (1_026, 3_078));
    }

    #[test]
    fn a_report_is_sent_only_if_a_second_draw_agrees_that_its_time_has_come() {
        let start = Instant::now();
        let mut schedule = Schedule::Idle;
        schedule.start(start, 0);
        schedule.start(start, u32::MAX);
        let first = schedule.next_deadline().unwrap();

        let early = schedule.is_due(first - Duration::from_millis(1), [0, 0]);
        let postponed = schedule.is_due(first, [u32::MAX, 0]);
        let second = schedule.next_deadline().unwrap();
        let sent = schedule.is_due(second, [u32::MAX, 0]);

        assert_eq!((early, postponed, sent), (false, false, true));
        assert_eq!((first - start, second - start), (interval(true, 0), interval(true, u32::MAX)));
        assert_eq!(schedule.next_deadline().map(|due| due - second), Some(interval(false, 0)));
    }

    #[test]
    fn with_fair_draws_reports_are_some_5_s_apart() {
        let start = Instant::now();
        let (mut schedule, mut sent, mut state) = (Schedule::Idle, 0_u32, 1_u32);
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        schedule.start(start, draw());

        while let Some(due) =
            schedule.next_deadline().filter(|&due| due < start + Duration::from_secs(50_000))
        {
            sent += u32::from(schedule.is_due(due, [draw(), draw()]));
        }

        assert!((9_500..10_500).contains(&sent), "{sent} reports in 50,000 s");
    }
}

//! Whether the signalling thread keeps up with what arrives, and which share of new calls
//! it takes when it does not.
//!
//! Past its capacity a server that goes on taking every INVITE completes none: its socket overflows, and what
//! is lost is as often the ACK of a call half set up as an INVITE. So the share of INVITEs taken goes down
//! while every batch of datagrams is a full one, and up again once there was time to wait for the next;
//! requests in dialogs and responses are never turned away.

use std::time::{Duration, Instant};

/// How far behind the signalling thread is, window by window.
#[derive(Debug)]
pub(super) struct Overload {
    window: Instant,
    /// Whether all that waited was read at some time within this window.
    caught_up: bool,
    /// Windows in a row without such a time.
    behind: u32,
    /// Share of new calls that are taken.
    share: f64,
    /// What is left over of the shares so far.
    credit: f64,
    /// Refusals that may still be written in this window.
    answers: u32,
    /// Calls taken in it.
    taken: u32,
}

/// What becomes of a new call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Course {
    /// It begins.
    Take,
    /// 503 with Retry-After.
    Refuse,
    /// Not even that: a refusal costs more than the retransmission that comes without one.
    Ignore,
}

impl Overload {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: now, caught_up: true, behind: 0, share: 1.0, credit: 0.0, answers: ANSWERS, taken: 0 }
    }

    /// Messages were read; `caught_up` when none was left waiting.
    pub(super) fn on_read(&mut self, caught_up: bool, now: Instant) {
        let since = now.saturating_duration_since(self.window);
        if since >= WINDOW {
            // With nothing to read for a whole window there was time to wait.
            let behind = !self.caught_up && since < 2 * WINDOW;
            self.behind = if behind { self.behind + 1 } else { 0 };
            if self.behind >= PATIENCE {
                self.share = (self.share * LESS).max(LEAST);
            } else if !behind {
                self.share = (self.share + MORE).min(1.0);
            }
            let answers = (ANSWERS_PER_CALL * self.taken).clamp(LEAST_ANSWERS, ANSWERS);
            (self.window, self.caught_up, self.answers, self.taken) = (now, false, answers, 0);
        }
        self.caught_up |= caught_up;
    }

    /// Whether the next new call would be ignored, which it is then: known before it is read, it costs next
    /// to nothing, and the socket is emptied of it for the sake of calls in progress.
    pub(super) fn ignores_unread(&mut self) -> bool {
        let ignores = self.answers == 0 && self.credit + self.share < 1.0;
        if ignores {
            self.credit += self.share;
        }
        ignores
    }

    /// What becomes of the new call at hand.
    pub(super) fn course(&mut self) -> Course {
        self.credit += self.share;
        if self.credit >= 1.0 {
            self.credit -= 1.0;
            self.taken = self.taken.saturating_add(1);
            Course::Take
        } else if self.answers > 0 {
            self.answers -= 1;
            Course::Refuse
        } else {
            Course::Ignore
        }
    }
}

const WINDOW: Duration = Duration::from_millis(100);
/// A machine that stands still for a moment is behind for a window or two, and needs no help.
const PATIENCE: u32 = 3;
const LESS: f64 = 0.8;
const MORE: f64 = 0.02;
/// So that it is noticed when the load has gone.
const LEAST: f64 = 0.01;
/// Refusals in a window: a few per cent of the thread's time.
const ANSWERS: u32 = 100;
/// As many for each call taken in the window before: where a core does little, refusals must not be most of
/// it.
const ANSWERS_PER_CALL: u32 = 2;
const LEAST_ANSWERS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_calls_are_taken_while_there_is_time_to_wait_for_messages() {
        let start = Instant::now();
        let mut overload = Overload::new(start);

        for ms in 0..5_000 {
            overload.on_read(ms % 90 == 0, start + Duration::from_millis(ms));
            assert_eq!(overload.course(), Course::Take, "after {ms} ms");
        }
    }

    #[test]
    fn a_moment_of_stand_still_costs_no_call() {
        let start = Instant::now();
        let mut overload = Overload::new(start);

        for ms in 0..300 {
            overload.on_read(false, start + Duration::from_millis(ms));
            assert_eq!(overload.course(), Course::Take, "after {ms} ms");
        }
        overload.on_read(true, start + Duration::from_secs(30));
        overload.on_read(false, start + Duration::from_secs(60));
        assert_eq!(overload.course(), Course::Take);
    }

    #[test]
    fn full_batches_with_a_pause_after_each_cost_no_call() {
        let start = Instant::now();
        let mut overload = Overload::new(start);

        for batch in 0..20 {
            overload.on_read(false, start + 2 * batch * WINDOW);
            assert_eq!(overload.course(), Course::Take, "batch {batch}");
        }
    }

    #[test]
    fn fewer_are_taken_the_longer_it_lasts_and_all_again_when_it_is_over() {
        let start = Instant::now();
        let mut overload = Overload::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        let mut taken = |from: u64, caught_up: bool| {
            let mut taken = 0;
            for ms in from..from + 1_000 {
                overload.on_read(caught_up, at(ms));
                taken += u32::from(overload.course() == Course::Take);
            }
            taken
        };

        let seconds = [taken(0, false), taken(1_000, false), taken(2_000, false)];
        assert!(seconds[0] > 600 && seconds[1] < 200 && seconds[2] < 30, "{seconds:?}");
        let after = (3..9).map(|second| taken(second * 1_000, true)).last();
        assert_eq!(after, Some(1_000));
    }

    #[test]
    fn refusals_are_written_for_some_and_the_others_are_ignored() {
        let start = Instant::now();
        let mut overload = Overload::new(start);
        for ms in 0..5_000 {
            overload.on_read(false, start + Duration::from_millis(ms));
        }

        let courses: Vec<_> = (0..1_000).map(|_| overload.course()).collect();

        let count = |which| courses.iter().filter(|&&course| course == which).count();
        assert_eq!([count(Course::Take), count(Course::Refuse)], [10, LEAST_ANSWERS as usize]);
    }

    #[test]
    fn as_many_are_refused_as_the_calls_that_were_taken_leave_time_for() {
        for (taken, refused) in [(0, LEAST_ANSWERS), (20, 40), (1_000, ANSWERS)] {
            let start = Instant::now();
            let mut overload = Overload::new(start);
            for _ in 0..taken {
                assert_eq!(overload.course(), Course::Take);
            }
            overload.on_read(false, start + WINDOW);
            overload.share = 0.0;

            let courses: Vec<_> = (0..1_000).map(|_| overload.course()).collect();

            assert_eq!(courses.iter().filter(|&&course| course == Course::Refuse).count(), refused as usize);
        }
    }

    #[test]
    fn unread_calls_are_ignored_only_as_they_would_be_once_read() {
        let start = Instant::now();
        let mut overload = Overload::new(start);
        assert!(!overload.ignores_unread(), "there is time for all");
        for ms in 0..5_000 {
            overload.on_read(false, start + Duration::from_millis(ms));
        }
        assert!(!overload.ignores_unread(), "it is refused");

        let read = (0..10_000).filter(|_| !overload.ignores_unread() && overload.course() == Course::Take);

        assert_eq!(read.count(), 100);
    }
}

//! When which call wants to be woken: a heap with lazy deletion.
//!
//! A call's deadline moves often and mostly away, so a moved deadline leaves its old entry behind, which is
//! recognised as stale when it comes up; each call has at most one entry that counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::id::CallId;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, CallId)>>,
}

impl Deadlines {
    /// Notes that `call` wants `wanted`, given the entry that counts so far; returns the
    /// entry that counts from here.
    pub(super) fn note(
        &mut self,
        call: CallId,
        scheduled: Option<Instant>,
        wanted: Option<Instant>,
    ) -> Option<Instant> {
        match (scheduled, wanted) {
            (Some(scheduled), Some(wanted)) if scheduled <= wanted => Some(scheduled),
            (_, Some(wanted)) => {
                self.heap.push(Reverse((wanted, call)));
                Some(wanted)
            }
            (scheduled, None) => scheduled,
        }
    }

    /// The earliest entry, stale or not.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes an entry that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, CallId)> {
        let due = self.next().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop()).flatten().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_that_moves_away_costs_no_entry_and_one_that_comes_nearer_does() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        let call = CallId(1);

        let first = deadlines.note(call, None, Some(at(5)));
        let later = deadlines.note(call, first, Some(at(9)));
        let nearer = deadlines.note(call, later, Some(at(2)));

        assert_eq!((first, later, nearer), (Some(at(5)), Some(at(5)), Some(at(2))));
        assert_eq!(deadlines.pop(at(1)), None);
        assert_eq!(deadlines.pop(at(3)), Some((at(2), call)));
        assert_eq!(deadlines.pop(at(5)), Some((at(5), call)));
        assert_eq!(deadlines.next(), None);
    }
}

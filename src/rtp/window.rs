//! Where a sequence number stands among those of its run that were seen already (RFC 3550 A.1, RFC 1982).
//!
//! A number that is new is noted by the question: ask once for each packet. A number far behind the newest is
//! late, and proves a restart only together with the one that follows it.

use super::sequence_distance;
use super::stats::MAX_DROPOUT;

/// The newest number of a run, and which of the 63 before it were seen.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    newest: u16,
    /// Bit n is set when `newest - n` was seen.
    seen: u64,
    /// The number that would prove that the source really jumped backwards.
    restarts_at: Option<u16>,
}

/// How a number relates to its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The newest, by so much.
    Ahead(u16),
    /// By so much older than the newest, and not seen before.
    Behind(u16),
    Duplicate,
    /// Behind everything that can still be told apart.
    Late,
    /// A jump: it begins another run, which this window does not know.
    NewRun,
}

impl Window {
    pub(crate) fn starting(sequence: u16) -> Self {
        Self { newest: sequence, seen: 1, restarts_at: None }
    }

    pub(crate) fn newest(&self) -> u16 {
        self.newest
    }

    /// Hot path.
    pub(crate) fn step(&mut self, sequence: u16) -> Step {
        let distance = sequence_distance(self.newest, sequence);
        match (distance, u16::try_from(distance.unsigned_abs())) {
            (1..=MAX_DROPOUT, Ok(ahead)) => {
                self.newest = sequence;
                self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
                self.restarts_at = None;
                Step::Ahead(ahead)
            }
            (-63..=0, Ok(behind)) => {
                let bit = 1 << behind;
                let known = self.seen & bit != 0;
                self.seen |= bit;
                if known { Step::Duplicate } else { Step::Behind(behind) }
            }
            (MIN_DROPBACK..=-64, _) if self.restarts_at != Some(sequence) => {
                self.restarts_at = Some(sequence.wrapping_add(1));
                Step::Late
            }
            _ => Step::NewRun,
        }
    }
}

/// Further behind than this is another run and no straggler.
pub(crate) const MIN_DROPBACK: i32 = -MAX_DROPOUT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_by_where_they_stand_in_their_run() {
        let mut window = Window::starting(65_534);

        let steps = [1, 65_535, 65_535, 1, 0, 64_000, 2].map(|sequence| window.step(sequence));

        let expected = [
            Step::Ahead(3),
            Step::Behind(2),
            Step::Duplicate,
            Step::Duplicate,
            Step::Behind(1),
            Step::Late,
            Step::Ahead(1),
        ];
        assert_eq!(steps, expected);
        assert_eq!(window.newest(), 2);
    }

    #[test]
    fn a_jump_forward_is_a_new_run_and_one_backwards_only_with_its_successor() {
        let mut window = Window::starting(10_000);

        assert_eq!(window.step(13_001), Step::NewRun);
        assert_eq!([9_000, 9_002, 9_003].map(|it| window.step(it)), [Step::Late, Step::Late, Step::NewRun]);
        assert_eq!(window.step(6_999), Step::NewRun);
    }
}

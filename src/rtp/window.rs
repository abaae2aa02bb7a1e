//! Where a sequence number stands among those of its run that were seen already (RFC 3550 A.1, RFC 1982).
//!
//! A number that is new is noted by the question: ask once for each packet. A number far behind the newest is
//! late, and proves a restart only together with the one that follows it. So does one a little behind whose
//! audio can't be as old as its number: a duplicate or a straggler has the time that it always had.

use super::continuity::CLOCK_JUMP_TICKS;
use super::sequence_distance;
use super::stats::MAX_DROPOUT;

/// The newest number of a run, and which of the 63 before it were seen.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    newest: u16,
    /// Bit n is set when `newest - n` was seen.
    seen: u64,
    /// Number and timestamp of the newest packet of audio.
    audio: Option<(u16, u32)>,
    /// What would prove that the source really jumped backwards: the number, and the timestamp before it.
    restarts_at: Option<(u16, Option<u32>)>,
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
    /// A run that begins with `sequence`; `audio` is as [`Self::step`] has it.
    pub(crate) fn starting(sequence: u16, audio: Option<u32>) -> Self {
        let audio = audio.map(|timestamp| (sequence, timestamp));
        Self { newest: sequence, seen: 1, audio, restarts_at: None }
    }

    pub(crate) fn newest(&self) -> u16 {
        self.newest
    }

    /// Where `sequence` stands; `audio` is the timestamp of its packet, if that holds audio.
    ///
    /// Hot path.
    pub(crate) fn step(&mut self, sequence: u16, audio: Option<u32>) -> Step {
        let distance = sequence_distance(self.newest, sequence);
        let step = match (distance, u16::try_from(distance.unsigned_abs())) {
            (1..=MAX_DROPOUT, Ok(ahead)) => {
                self.newest = sequence;
                self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
                self.restarts_at = None;
                Step::Ahead(ahead)
            }
            (-63..=0, Ok(behind)) if !self.is_of_another_time(sequence, audio) => {
                let bit = 1 << behind;
                let known = self.seen & bit != 0;
                self.seen |= bit;
                if known { Step::Duplicate } else { Step::Behind(behind) }
            }
            (MIN_DROPBACK..=0, _) if !self.is_restart(sequence, audio) => {
                self.restarts_at = Some((sequence.wrapping_add(1), audio));
                Step::Late
            }
            _ => Step::NewRun,
        };
        if let (Step::Ahead(_) | Step::Behind(_), Some(timestamp)) = (step, audio)
            && self.audio.is_none_or(|(newest, _)| sequence_distance(newest, sequence) > 0)
        {
            self.audio = Some((sequence, timestamp));
        }
        step
    }

    fn is_restart(&self, sequence: u16, audio: Option<u32>) -> bool {
        let Some((awaited, before)) = self.restarts_at else { return false };
        let follows = before.zip(audio).is_none_or(|(before, timestamp)| {
            (0..=CLOCK_JUMP_TICKS).contains(&timestamp.wrapping_sub(before).into())
        });
        awaited == sequence && follows
    }

    /// Whether audio under an older number than the newest audio's is said to be newer, or far older than
    /// anything that is still under way.
    fn is_of_another_time(&self, sequence: u16, audio: Option<u32>) -> bool {
        let (Some((newest, latest)), Some(timestamp)) = (self.audio, audio) else { return false };
        let ahead = i64::from(timestamp.wrapping_sub(latest).cast_signed());
        sequence_distance(newest, sequence) <= 0 && (ahead > 0 || ahead.unsigned_abs() > CLOCK_JUMP_TICKS)
    }
}

/// Further behind than this is another run and no straggler.
pub(crate) const MIN_DROPBACK: i32 = -MAX_DROPOUT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_by_where_they_stand_in_their_run() {
        let mut window = Window::starting(65_534, None);

        let steps = [1, 65_535, 65_535, 1, 0, 64_000, 2].map(|sequence| window.step(sequence, None));

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
        let mut window = Window::starting(10_000, None);

        assert_eq!(window.step(13_001, None), Step::NewRun);
        assert_eq!(
            [9_000, 9_002, 9_003].map(|it| window.step(it, None)),
            [Step::Late, Step::Late, Step::NewRun]
        );
        assert_eq!(window.step(6_999, None), Step::NewRun);
    }

    #[test]
    fn two_numbers_that_were_seen_begin_a_new_run_if_their_audio_is_newer_than_the_newest() {
        for restarted in [1_000_000 + 99 * 160 + 1, 3_000_000_000, 12] {
            let mut window = Window::starting(0, Some(1_000_000));
            for n in 1..100_u16 {
                assert_eq!(window.step(n, Some(1_000_000 + u32::from(n) * 160)), Step::Ahead(1));
            }

            let steps = [60, 61].map(|n| window.step(n, Some(restarted + u32::from(n - 60) * 160)));

            assert_eq!(steps, [Step::Late, Step::NewRun], "{restarted}");
        }
    }

    #[test]
    fn duplicates_and_stragglers_of_audio_have_the_time_they_always_had() {
        let mut window = Window::starting(0, Some(0));

        let steps = [1, 2, 5, 6, 4, 5, 6].map(|n: u16| window.step(n, Some(n.into())));

        let ahead = [Step::Ahead(1), Step::Ahead(1), Step::Ahead(3), Step::Ahead(1)];
        assert_eq!(steps[..4], ahead);
        assert_eq!(steps[4..], [Step::Behind(2), Step::Duplicate, Step::Duplicate]);
    }
}

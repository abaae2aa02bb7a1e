//! Which packets of a source were seen: its index over all rollovers, and the replay window (RFC 3711
//! §3.3.1, §3.3.2).
//!
//! A packet carries only the low 16 bits of its index; the rest is estimated from the highest one accepted.
//! So nothing may be accepted before it is authentic: one forged packet would move the estimate of all that
//! follow.

use crate::rtp::sequence_distance;

/// The indices seen in one stream; empty until the first is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Window {
    highest: u64,
    /// Bit n is set when `highest - n` was seen; 0 before the first.
    seen: u64,
}

/// Why an index is not fresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stale {
    /// It was accepted already.
    Replayed,
    /// It lies behind the window, and cannot be told from a replay.
    TooOld,
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// The index nearest to the highest one whose low 16 bits are `sequence`; before any, its rollover
    /// count is 0. `None` if it would lie before the first packet there can be.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        if self.is_empty() {
            return Some(sequence.into());
        }
        let highest_sequence = (self.highest & 0xFFFF) as u16;
        self.highest.checked_add_signed(sequence_distance(highest_sequence, sequence).into())
    }

    /// The index behind the highest one.
    pub(super) fn next(&self) -> u64 {
        if self.is_empty() { 0 } else { self.highest + 1 }
    }

    /// Whether `index` may still be accepted; changes nothing.
    pub(super) fn check(&self, index: u64) -> Result<(), Stale> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(_) if self.is_empty() => Ok(()),
            Some(behind) if behind >= WINDOW => Err(Stale::TooOld),
            Some(behind) if self.seen >> behind & 1 == 1 => Err(Stale::Replayed),
            Some(_) => Ok(()),
        }
    }

    /// Notes an authentic `index` that [`check`](Self::check) let pass.
    pub(super) fn accept(&mut self, index: u64) {
        if self.is_empty() {
            *self = Self { highest: index, seen: 1 };
        } else if let Some(behind) = self.highest.checked_sub(index) {
            self.seen |= 1_u64.checked_shl(behind as u32).unwrap_or(0);
        } else {
            let ahead = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = index;
        }
    }
}

/// How far behind the highest index a packet may come.
const WINDOW: u64 = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_sequence_number_is_taken_without_rollovers() {
        assert_eq!(Window::default().estimate(65_535), Some(65_535));
    }

    #[test]
    fn sequence_numbers_roll_over_forwards_and_back() {
        let window = after(&[0x1_FFFE]);

        assert_eq!(window.estimate(0xFFFF), Some(0x1_FFFF));
        assert_eq!(window.estimate(0), Some(0x2_0000));
        assert_eq!(window.estimate(0x7FFD), Some(0x2_7FFD));
        assert_eq!(window.estimate(0x7FFF), Some(0x1_7FFF));
        assert_eq!(after(&[0x2_0001]).estimate(0xFFFE), Some(0x1_FFFE));
    }

    #[test]
    fn nothing_comes_before_the_first_rollover_count() {
        assert_eq!(after(&[3]).estimate(65_530), None);
    }

    #[test]
    fn an_index_is_accepted_once_and_not_behind_the_window() {
        let window = after(&[100, 163, 101]);

        assert_eq!(window.check(100), Err(Stale::Replayed));
        assert_eq!(window.check(101), Err(Stale::Replayed));
        assert_eq!(window.check(163), Err(Stale::Replayed));
        assert_eq!(window.check(99), Err(Stale::TooOld));
        assert_eq!((window.check(102), window.check(164)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_leap_of_any_size_forgets_the_window() {
        for leap in [63, 64, 65, 1 << 32, (1 << 32) + 1] {
            let window = after(&[10, 10 + leap]);

            let expected = if leap < 64 { Stale::Replayed } else { Stale::TooOld };
            assert_eq!(window.check(10), Err(expected), "{leap}");
            assert_eq!(window.check(11 + leap), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(steps in proptest::collection::vec(-80_i64..80, 1..200)) {
            let (mut window, mut seen, mut index) = (Window::default(), BTreeSet::new(), 10_000_i64);
            for step in steps {
                index += step;
                let highest = seen.last().copied().unwrap_or(0);
                let expected = if highest - index >= 64 {
                    Err(Stale::TooOld)
                } else if seen.contains(&index) {
                    Err(Stale::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index as u64), expected);
                if expected.is_ok() {
                    prop_assert!(seen.is_empty() || window.estimate(index as u16) == Some(index as u64));
                    window.accept(index as u64);
                    seen.insert(index);
                }
            }
        }
    }

    fn after(indices: &[u64]) -> Window {
        let mut window = Window::default();
        indices.iter().for_each(|&index| window.accept(index));
        window
    }
}

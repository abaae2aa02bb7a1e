//! What is remembered for a while: which targets failed, and which of them took no TCP.
//!
//! Peers decide what comes in here, by the addresses in their Contact and by how they fail; so a table has a
//! bound, and what finds no room in it is forgotten at once, which costs an attempt and nothing else.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// Things, each until a time of its own.
#[derive(Debug)]
pub(super) struct Lapsing<K> {
    until: HashMap<K, Instant>,
}

impl<K> Default for Lapsing<K> {
    fn default() -> Self {
        Self { until: HashMap::new() }
    }
}

impl<K: Eq + Hash> Lapsing<K> {
    pub(super) fn holds(&self, key: &K, now: Instant) -> bool {
        self.until.get(key).is_some_and(|&until| now < until)
    }

    /// Remembers `key` until then, or longer if it is known for longer; says whether that is new.
    pub(super) fn note(&mut self, key: K, until: Instant, now: Instant) -> bool {
        let is_news = !self.holds(&key, now);
        if self.until.len() < MOST || self.until.contains_key(&key) {
            let known = self.until.entry(key).or_insert(until);
            *known = until.max(*known);
        }
        is_news
    }

    /// Drops what has lapsed.
    pub(super) fn forget(&mut self, now: Instant) {
        self.until.retain(|_, &mut until| now < until);
    }
}

/// Remembered at once.
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_noted_is_held_until_the_latest_of_its_times() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lapsing = Lapsing::default();

        let news =
            [(30, 0), (10, 1), (60, 30)].map(|(until, now)| lapsing.note("target", at(until), at(now)));

        assert_eq!(news, [true, false, true]);
        assert_eq!([29, 59, 60].map(|now| lapsing.holds(&"target", at(now))), [true, true, false]);
        assert!(!lapsing.holds(&"other", start));
    }

    #[test]
    fn a_full_table_takes_nothing_new_until_it_forgets() {
        let start = Instant::now();
        let later = start + Duration::from_secs(30);
        let mut lapsing = Lapsing::default();
        for target in 0..=MOST {
            lapsing.note(target, later, start);
        }

        assert_eq!((lapsing.until.len(), lapsing.holds(&MOST, start)), (MOST, false));
        lapsing.note(0, later + Duration::from_secs(1), start);
        lapsing.forget(later);
        assert_eq!((lapsing.until.len(), lapsing.holds(&0, later)), (1, true));
    }
}

//! A map whose values have deadlines, and the queue of those deadlines.
//!
//! Hundreds of thousands of transactions linger for 32 s each, so no timer looks at all of them: changing
//! a value costs one look-up and at most one push to a binary heap. A deadline that moved back or was dropped
//! leaves its old heap entry behind, to be dealt with when it reaches the top; only the top is kept exact.
//! The heap is swept when more than half of it is such litter.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A value that wants to be called back.
pub(super) trait Timed {
    /// When; `None` is never.
    fn next_deadline(&self) -> Option<Instant>;
}

/// Values by key, and who of them is due first.
#[derive(Debug)]
pub(super) struct TimedMap<K, T> {
    values: HashMap<K, Box<Entry<T>>>,
    queue: BinaryHeap<Reverse<(Instant, K)>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// The time of this value's one heap entry that counts, never later than its deadline.
    queued: Option<Instant>,
}

impl<K: Copy + Ord + Hash, T: Timed> TimedMap<K, T> {
    pub(super) fn new() -> Self {
        Self { values: HashMap::new(), queue: BinaryHeap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, key: K) -> Option<&T> {
        self.values.get(&key).map(|entry| &entry.value)
    }

    /// All of them, in no order: for what happens rarely.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.values.iter().map(|(key, entry)| (*key, &entry.value))
    }

    /// Puts `value` there, in place of any that was.
    pub(super) fn insert(&mut self, key: K, value: T) {
        let queued = value.next_deadline();
        self.values.insert(key, Box::new(Entry { value, queued }));
        if let Some(at) = queued {
            self.queue.push(Reverse((at, key)));
        }
        self.settle(key);
    }

    /// Changes the value of `key`, whose deadline may move by that; `None` if there is none.
    pub(super) fn update<R>(&mut self, key: K, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let entry = self.values.get_mut(&key)?;
        let result = change(&mut entry.value);
        if let Some(at) = entry.earlier_than_queued() {
            self.queue.push(Reverse((at, key)));
        }
        self.settle(key);
        Some(result)
    }

    pub(super) fn remove(&mut self, key: K) -> Option<T> {
        let entry = self.values.remove(&key)?;
        self.settle(key);
        Some(entry.value)
    }

    /// The earliest deadline of all.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next value whose deadline has come off the queue. The caller must [`Self::update`] it.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &Reverse((at, key)) = self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        if let Some(entry) = self.values.get_mut(&key) {
            entry.queued = None;
        }
        self.settle_top();
        Some(key)
    }

    /// Makes the top of the queue exact again after `changed` was.
    fn settle(&mut self, changed: K) {
        if self.queue.len() > 2 * self.values.len() + SWEEP_ABOVE {
            let values = &self.values;
            self.queue
                .retain(|Reverse((at, key))| values.get(key).is_some_and(|entry| entry.queued == Some(*at)));
            self.settle_top();
        } else if self.queue.peek().is_some_and(|Reverse((_, key))| *key == changed) {
            self.settle_top();
        }
    }

    fn settle_top(&mut self) {
        while let Some(&Reverse((at, key))) = self.queue.peek() {
            let entry = self.values.get_mut(&key).filter(|entry| entry.queued == Some(at));
            match entry.map(|entry| entry.requeue()) {
                Some(Some(deadline)) if deadline == at => return,
                Some(Some(deadline)) => {
                    self.queue.pop();
                    self.queue.push(Reverse((deadline, key)));
                }
                Some(None) | None => {
                    self.queue.pop();
                }
            }
        }
    }
}

impl<T: Timed> Entry<T> {
    /// The deadline, if the queue does not know of one as early.
    fn earlier_than_queued(&mut self) -> Option<Instant> {
        let deadline = self.value.next_deadline()?;
        if self.queued.is_some_and(|queued| queued <= deadline) {
            return None;
        }
        self.requeue()
    }

    fn requeue(&mut self) -> Option<Instant> {
        self.queued = self.value.next_deadline();
        self.queued
    }
}

/// Litter up to this many entries is never swept.
const SWEEP_ABOVE: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::testing::at_ms;
    use super::*;

    #[test]
    fn deadlines_come_due_in_order_and_not_before_their_time() {
        let mut map = filled([(1, Some(300)), (2, Some(100)), (3, None), (4, Some(200))]);

        assert_eq!(map.next_deadline(), Some(at_ms(100)));
        assert!(due(&mut map, 99).is_empty());
        assert_eq!(due(&mut map, 250), [2, 4]);
        assert_eq!(map.next_deadline(), Some(at_ms(300)));
    }

    #[test]
    fn a_deadline_that_moves_takes_its_place_in_either_direction() {
        let mut map = filled([(1, Some(100)), (2, Some(200))]);

        set(&mut map, 1, Some(300));
        assert_eq!(map.next_deadline(), Some(at_ms(200)));
        set(&mut map, 1, Some(50));
        assert_eq!(map.next_deadline(), Some(at_ms(50)));
        set(&mut map, 1, None);
        assert_eq!(map.next_deadline(), Some(at_ms(200)));

        assert_eq!(due(&mut map, 1_000), [2]);
    }

    #[test]
    fn a_removed_value_is_never_due() {
        let mut map = filled([(1, Some(100)), (2, Some(200))]);

        map.remove(1);

        assert_eq!(map.next_deadline(), Some(at_ms(200)));
        assert_eq!(due(&mut map, 1_000), [2]);
        assert!(map.queue.is_empty());
    }

    #[test]
    fn removed_and_moved_deadlines_do_not_pile_up() {
        let mut map = filled([(0, Some(1))]);

        for key in 1..10_000 {
            map.insert(key, Fixed(Some(at_ms(32_000))));
            map.remove(key);
            set(&mut map, 0, Some(10_000 - key));
        }

        assert!(map.queue.len() <= 2 + SWEEP_ABOVE + 1, "{} entries", map.queue.len());
    }

    #[test]
    fn the_queue_agrees_with_a_search_through_all_values() {
        let mut map = filled([]);
        let mut random = 1_u64;

        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, ms) = (random >> 40 & 63, random >> 50 & 1_023);
            match random >> 33 & 7 {
                0..=2 => map.insert(key, Fixed(Some(at_ms(ms)))),
                3 => drop(map.remove(key)),
                4 => set(&mut map, key, None),
                _ => set(&mut map, key, Some(ms)),
            }

            let earliest = map.values.values().filter_map(|entry| entry.value.0).min();
            assert_eq!(map.next_deadline(), earliest);
        }
    }

    #[derive(Debug)]
    struct Fixed(Option<Instant>);

    impl Timed for Fixed {
        fn next_deadline(&self) -> Option<Instant> {
            self.0
        }
    }

    fn filled<const N: usize>(values: [(u64, Option<u64>); N]) -> TimedMap<u64, Fixed> {
        let mut map = TimedMap::new();
        for (key, ms) in values {
            map.insert(key, Fixed(ms.map(at_ms)));
        }
        map
    }

    fn set(map: &mut TimedMap<u64, Fixed>, key: u64, ms: Option<u64>) {
        map.update(key, |value| value.0 = ms.map(at_ms));
    }

    fn due(map: &mut TimedMap<u64, Fixed>, ms: u64) -> Vec<u64> {
        let mut keys = Vec::new();
        while let Some(key) = map.pop_due(at_ms(ms)) {
            set(map, key, None);
            keys.push(key);
        }
        keys
    }
}

//! When each side of each call is to be looked at: a timer wheel of one-millisecond slots,
//! linked through its entries.
//!
//! It reaches half a second ahead; what is due later is looked at then and put off again. So every
//! side comes by several times a second, each in its own millisecond, and no turn of the thread ever walks
//! all calls. Arming allocates only for an entry that was never there before.

use std::time::{Duration, Instant};

/// Entries by the millisecond they are due in.
pub(crate) struct Wheel {
    origin: Instant,
    /// Milliseconds since the origin whose entries were all taken.
    turned: u64,
    heads: [u32; SLOTS],
    links: Vec<Link>,
    armed: usize,
}

/// Where an entry hangs.
#[derive(Clone, Copy)]
struct Link {
    slot: u16,
    previous: u32,
    next: u32,
}

impl Wheel {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, turned: 0, heads: [NONE; SLOTS], links: Vec::new(), armed: 0 }
    }

    /// Has `entry` taken at `due`, or at the wheel's horizon if that comes before;
    /// replaces what it was armed for.
    pub(crate) fn arm(&mut self, entry: u32, due: Instant) {
        self.disarm(entry);
        let place = entry as usize;
        if place >= self.links.len() {
            self.links.resize(place + 1, UNARMED);
        }
        let tick = ticks_up(due.saturating_duration_since(self.origin));
        let tick = tick.clamp(self.turned + 1, self.turned + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        let next = std::mem::replace(&mut self.heads[slot], entry);
        self.links[place] = Link { slot: slot as u16, previous: NONE, next };
        if let Some(after) = self.links.get_mut(next as usize) {
            after.previous = entry;
        }
        self.armed += 1;
    }

    /// Forgets `entry`.
    pub(crate) fn disarm(&mut self, entry: u32) {
        let Some(link) = self.links.get_mut(entry as usize).filter(|link| link.slot != UNARMED.slot) else {
            return;
        };
        let Link { slot, previous, next } = std::mem::replace(link, UNARMED);
        match self.links.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => self.heads[usize::from(slot)] = next,
        }
        if let Some(after) = self.links.get_mut(next as usize) {
            after.previous = previous;
        }
        self.armed -= 1;
    }

    /// Takes one entry that is due by `now`; they come in the order of their milliseconds.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u32> {
        let reached = now.saturating_duration_since(self.origin).as_millis() as u64;
        // An entry is at most a turn ahead, so a thread that slept longer has passed all of them.
        self.turned = self.turned.max(reached.saturating_sub(SLOTS as u64));
        while self.turned < reached && self.armed > 0 {
            let entry = self.heads[((self.turned + 1) % SLOTS as u64) as usize];
            if entry != NONE {
                self.disarm(entry);
                return Some(entry);
            }
            self.turned += 1;
        }
        self.turned = self.turned.max(reached);
        None
    }

    /// When [`Self::take`] will find the next entry; `None` while nothing is armed.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waits = |tick: &u64| self.heads[(tick % SLOTS as u64) as usize] != NONE;
        let tick = (self.turned + 1..=self.turned + SLOTS as u64).find(waits).filter(|_| self.armed > 0)?;
        Some(self.origin + Duration::from_millis(tick))
    }
}

fn ticks_up(since: Duration) -> u64 {
    since.as_micros().div_ceil(1_000) as u64
}

const SLOTS: usize = 512;
const NONE: u32 = u32::MAX;
const UNARMED: Link = Link { slot: u16::MAX, previous: NONE, next: NONE };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_taken_in_the_order_of_their_time_and_never_early() {
        let (mut wheel, start) = wheel();
        for (entry, ms) in [(0, 30), (1, 10), (2, 20), (3, 10)] {
            wheel.arm(entry, at(start, ms));
        }

        assert_eq!(all(&mut wheel, at(start, 9)), [0_u32; 0]);
        assert_eq!(wheel.next_deadline(), Some(at(start, 10)));
        assert_eq!(all(&mut wheel, at(start, 20)), [3, 1, 2]);
        assert_eq!(all(&mut wheel, at(start, 30)), [0]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn an_entry_that_is_armed_again_moves_and_one_that_is_disarmed_is_gone() {
        let (mut wheel, start) = wheel();
        for entry in 0..3 {
            wheel.arm(entry, at(start, 10));
        }

        wheel.arm(1, at(start, 5));
        wheel.disarm(0);

        assert_eq!(all(&mut wheel, at(start, 5)), [1]);
        assert_eq!(all(&mut wheel, at(start, 300)), [2]);
    }

    #[test]
    fn what_is_due_beyond_the_horizon_is_taken_there_and_what_is_overdue_at_once() {
        let (mut wheel, start) = wheel();
        wheel.arm(7, at(start, 10_000));

        assert_eq!(all(&mut wheel, at(start, 510)), [0_u32; 0]);
        assert_eq!(all(&mut wheel, at(start, 511)), [7]);
        wheel.arm(7, start);
        assert_eq!(all(&mut wheel, at(start, 512)), [7]);
    }

    #[test]
    fn a_thread_that_slept_for_seconds_finds_every_entry() {
        let (mut wheel, start) = wheel();
        for entry in 0..200 {
            wheel.arm(entry, at(start, u64::from(entry) + 1));
        }

        assert_eq!(all(&mut wheel, at(start, 5_000)).len(), 200);
        wheel.arm(3, at(start, 5_001));
        assert_eq!(all(&mut wheel, at(start, 5_001)), [3]);
    }

    fn wheel() -> (Wheel, Instant) {
        let start = Instant::now();
        (Wheel::new(start), start)
    }

    fn all(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| wheel.take(now)).collect()
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }
}

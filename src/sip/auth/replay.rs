//! Which answers to our challenges have been used, so that an overheard one is worth nothing (RFC 7616 §5.5).
//!
//! Only good answers get in, so only peers that know a password can fill it. When it is full a new answer is
//! refused (and challenged again) rather than an old one forgotten, which would make that one good again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Answers of the last [`REMEMBERED_FOR`].
#[derive(Debug, Default)]
pub(super) struct Replay {
    transactions: HashMap<Use, u64>,
    by_age: VecDeque<(Duration, Use)>,
}

/// One use of a nonce.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Use {
    pub(super) nonce: u128,
    /// The nonce count; 0 for an answer without `qop`, so that its nonce works once.
    pub(super) count: u32,
}

impl Replay {
    /// Remembers that `transaction` made `usage`; false if another has, or if there
    /// is no room to remember it.
    pub(super) fn admit(&mut self, usage: Use, transaction: u64, now: Duration) -> bool {
        self.forget_old(now);
        if let Some(first) = self.transactions.get(&usage) {
            return *first == transaction;
        }
        if self.transactions.len() >= CAPACITY {
            return false;
        }
        self.transactions.insert(usage, transaction);
        self.by_age.push_back((now, usage));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    fn forget_old(&mut self, now: Duration) {
        while let Some((_, usage)) = self.by_age.pop_front_if(|(used, _)| *used + REMEMBERED_FOR < now) {
            self.transactions.remove(&usage);
        }
    }
}

/// No shorter than a nonce is good, so that what is forgotten has expired.
const REMEMBERED_FOR: Duration = super::nonce::LIFETIME;

/// 1,600 authenticated calls a second fill three quarters of it.
const CAPACITY: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_the_transaction_that_used_it_first() {
        let mut replay = Replay::default();

        assert!(replay.admit(usage(1, 1), 10, at(0)));
        assert!(replay.admit(usage(1, 1), 10, at(1)));
        assert!(!replay.admit(usage(1, 1), 11, at(1)));
        assert!(replay.admit(usage(1, 2), 11, at(1)));
    }

    #[test]
    fn a_use_is_forgotten_after_its_nonce_has_expired() {
        let mut replay = Replay::default();
        replay.admit(usage(1, 1), 10, at(0));

        assert!(!replay.admit(usage(1, 1), 11, at(60)));
        assert!(replay.admit(usage(2, 1), 11, at(61)));

        assert_eq!(replay.len(), 1);
    }

    #[test]
    fn when_full_a_new_answer_is_refused_and_no_old_one_forgotten() {
        let mut replay = Replay::default();
        for nonce in 0..CAPACITY as u128 {
            assert!(replay.admit(usage(nonce, 1), 10, at(0)));
        }

        assert!(!replay.admit(usage(u128::MAX, 1), 10, at(1)));
        assert!(!replay.admit(usage(0, 1), 11, at(1)));
        assert_eq!(replay.len(), CAPACITY);
    }

    fn usage(nonce: u128, count: u32) -> Use {
        Use { nonce, count }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

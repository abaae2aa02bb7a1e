//! The timer values of RFC 3261 Table 4, with timers L and M of RFC 6026.
//!
//! Timers D, I, J and K only wait for stray retransmissions, so they are zero on reliable transports; L and M
//! are not: the 2xx is repeated end to end, whatever the transport.

use std::time::{Duration, Instant};

/// The three values from which every timer follows; none may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimated round trip, 500 ms by default: the first retransmission interval.
    pub t1: Duration,
    /// Longest retransmission interval of everything but an INVITE, 4 s by default.
    pub t2: Duration,
    /// How long a message may stay in the network, 5 s by default.
    pub t4: Duration,
}

impl Timers {
    /// First value of timers A, E and G; `None` where the transport retransmits.
    #[must_use]
    pub fn first_resend(&self, reliable: bool, now: Instant) -> Option<Resend> {
        (!reliable).then(|| Resend::after(self.t1, now))
    }

    /// Timers B, F, H, L and M, all 64·T1: how long a transaction waits for what it must get.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long a refused INVITE client absorbs repeated responses. The peer's T1 is unknown, so
    /// this is the 64·T1 of a peer with the default T1.
    #[must_use]
    pub fn d(&self, reliable: bool) -> Duration {
        unless(reliable, Duration::from_secs(32))
    }

    /// Timer I: how long an acknowledged INVITE server absorbs repeated ACKs.
    #[must_use]
    pub fn i(&self, reliable: bool) -> Duration {
        unless(reliable, self.t4)
    }

    /// Timer J: how long an answered non-INVITE server answers repeated requests.
    #[must_use]
    pub fn j(&self, reliable: bool) -> Duration {
        unless(reliable, self.give_up())
    }

    /// Timer K: how long an answered non-INVITE client absorbs repeated responses.
    #[must_use]
    pub fn k(&self, reliable: bool) -> Duration {
        unless(reliable, self.t4)
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// When a message is sent again: timers A, E and G, and the repetition of a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    /// When it is due.
    pub at: Instant,
    interval: Duration,
}

impl Resend {
    /// Due `interval` from `now`.
    #[must_use]
    pub fn after(interval: Duration, now: Instant) -> Self {
        Self { at: now + interval, interval }
    }

    /// The one after this, in twice the interval but at most `longest`.
    #[must_use]
    pub fn again(self, longest: Duration, now: Instant) -> Self {
        Self::after(self.interval.saturating_mul(2).min(longest), now)
    }

    /// This, but with `interval` as its own, so that the next comes after twice that (or its cap).
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }
}

fn unless(reliable: bool, wait: Duration) -> Duration {
    if reliable { Duration::ZERO } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_for_strays_is_skipped_on_reliable_transports() {
        let timers = Timers::default();

        assert_eq!([timers.d(true), timers.i(true), timers.j(true), timers.k(true)], [Duration::ZERO; 4]);
        assert_eq!(
            [timers.d(false), timers.i(false), timers.j(false), timers.k(false)].map(|wait| wait.as_secs()),
            [32, 5, 32, 5]
        );
        assert_eq!(timers.give_up(), Duration::from_secs(32));
    }
}

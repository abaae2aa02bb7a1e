//! How much is answered by UDP to a source that has not shown yet that it is one of ours.
//!
//! Where a peer may show its credentials from anywhere, whoever sends a datagram is answered, and its address
//! may be forged: a ban would hit somebody else, but every answer takes time that calls need. So such a
//! source has a number of answers a second, and all of them together have one; what comes beyond is dropped.
//! Who is in an `allow`, or has shown good credentials within the hour, has no such bound.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::sip::flow::Flow;
use crate::sip::nat::subscriber;

use super::bridge::Bridge;
use super::counters::Rejection;
use super::world::World;

/// What was answered within the second that began last.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    second: Option<Instant>,
    /// By source; all of them together are no more than [`TOGETHER`].
    answered: HashMap<IpAddr, u32>,
    together: u32,
}

impl Unproven {
    /// Whether `source` gets one more answer.
    fn admits(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.second.is_none_or(|second| now.saturating_duration_since(second) >= SECOND) {
            *self = Self { second: Some(now), ..Self::default() };
        }
        if self.together >= TOGETHER {
            return false;
        }
        let answered = self.answered.entry(source).or_default();
        let admits = *answered < EACH;
        *answered += u32::from(admits);
        self.together += u32::from(admits);
        admits
    }
}

impl<W: World> Bridge<W> {
    /// Whether a request that came by `flow`, from where anybody may be, is one too many to be answered.
    pub(super) fn is_one_too_many(&mut self, flow: Flow) -> bool {
        let source = flow.remote.ip();
        let is_free = flow.transport.is_reliable()
            || self.bans.is_spared(source, self.now)
            || self.routes.spares(source)
            || self.unproven.admits(subscriber(source), self.now);
        if !is_free {
            self.metrics.counters.rejected(Rejection::Unproven);
            self.complain_of_peer(
                flow.remote,
                "it may be forged",
                "too many requests without good credentials",
            );
        }
        !is_free
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Answers that one source gets in a second: more than a peer needs until its first call is let in.
const EACH: u32 = 100;

/// The same for all sources: a few per cent of the thread's time.
const TOGETHER: u32 = 1_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_source_gets_so_many_answers_in_every_second_whatever_another_one_gets() {
        let (mut unproven, start) = (Unproven::default(), Instant::now());
        let mut asked = |host: u32, at_ms| {
            let now = start + Duration::from_millis(at_ms);
            (0..2 * EACH).filter(|_| unproven.admits(Ipv4Addr::from(host).into(), now)).count()
        };

        let each = usize::try_from(EACH).expect("a small number");
        assert_eq!([asked(1, 0), asked(1, 999), asked(2, 999)], [each, 0, each]);
        assert_eq!([asked(1, 1_000), asked(2, 1_999)], [each, each]);
    }

    #[test]
    fn all_sources_together_get_so_many_and_no_more_of_them_are_remembered() {
        let (mut unproven, now) = (Unproven::default(), Instant::now());

        let admitted =
            (0..50 * TOGETHER).filter(|&host| unproven.admits(Ipv4Addr::from(host).into(), now)).count();

        let together = usize::try_from(TOGETHER).expect("a small number");
        assert_eq!((admitted, unproven.answered.len()), (together, together));
    }
}

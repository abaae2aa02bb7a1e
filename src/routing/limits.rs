//! How many calls a peer may have at once and how many may begin in a second: who goes on,
//! who waits, who is refused.
//!
//! A provider that admits one call a second answers the second one with 403 or 503, and the agent's call is
//! lost. So calls toward a peer with a rate are spread evenly: whoever comes too early waits for its turn, in
//! order, for `queue_s` at most. Calls at once are never waited for, since nobody knows when one will end.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::id::CallId;

/// What one peer, or all of them together, may have; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limit {
    /// Calls at once, in both directions.
    pub calls: Option<u32>,
    /// Calls that begin in a second: toward a peer, or of all peers together.
    pub rate: Option<u32>,
    /// How long a call waits for its turn at most.
    pub queue: Duration,
}

/// Whether a call may be made to its callee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// At once.
    Admitted,
    /// When [`Limits::due`] names it.
    Queued,
    /// Not now.
    Refused(Full),
}

/// Why there is no room for a call, as a sentence; the caller gets 503 with Retry-After.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// Every call that may be up is up.
    #[error("{whose} has all of its {calls} calls at once (`max_calls`)")]
    Calls {
        /// A peer's name, or ours.
        whose: String,
        /// The limit.
        calls: u32,
    },
    /// So many wait already that this one's turn would come too late.
    #[error("{whose} takes {rate} calls a second (`calls_per_second`), and its queue is full (`queue_s`)")]
    Queue {
        /// A peer's name.
        whose: String,
        /// The limit.
        rate: u32,
    },
    /// Too many began within the last second.
    #[error("{whose} takes {rate} calls a second (`calls_per_second`)")]
    Rate {
        /// Ours.
        whose: String,
        /// The limit.
        rate: u32,
    },
}

impl Full {
    /// Seconds after which another attempt may succeed.
    #[must_use]
    pub fn retry_after_s(&self) -> u32 {
        match self {
            Self::Calls { .. } | Self::Queue { .. } => 5,
            Self::Rate { .. } => 1,
        }
    }
}

/// Who has how much of what; kept by peer name, so that it outlives a reload.
#[derive(Debug, Default)]
pub struct Limits {
    total: Use,
    peers: HashMap<String, Use>,
    /// The peers that each call counts at.
    calls: HashMap<CallId, Vec<String>>,
}

/// What is taken of one limit.
#[derive(Debug, Default)]
struct Use {
    calls: u32,
    /// When the next call may begin.
    next: Option<Instant>,
    rate: u32,
    waiting: VecDeque<CallId>,
}

impl Limits {
    /// Counts a new call of the caller `name`.
    ///
    /// # Errors
    ///
    /// There is no room for it; nothing was counted.
    pub fn enter(
        &mut self,
        call: CallId,
        name: &str,
        limit: Limit,
        total: Limit,
        now: Instant,
    ) -> Result<(), Full> {
        self.total.has_room(OURS, total)?;
        if let Some(peer) = self.peers.get(name) {
            peer.has_room(name, limit)?;
        }
        if let Some(rate) = total.rate {
            self.total.takes_burst(rate, now)?;
        }
        self.total.calls += 1;
        self.count(call, name);
        Ok(())
    }

    /// Asks for a call to the callee `name`, for a call that entered.
    pub fn reach(&mut self, call: CallId, name: &str, limit: Limit, now: Instant) -> Verdict {
        let counts_already = self.calls.get(&call).is_some_and(|names| names.iter().any(|held| held == name));
        let peer = self.peers.entry(name.to_owned()).or_default();
        if let Err(full) = peer.has_room(name, limit)
            && !counts_already
        {
            return Verdict::Refused(full);
        }
        let verdict = match limit.rate {
            Some(rate) => peer.takes_turn(call, name, rate, limit.queue, now),
            None => Verdict::Admitted,
        };
        if !counts_already && !matches!(verdict, Verdict::Refused(_)) {
            self.count(call, name);
        }
        verdict
    }

    /// Calls of the peer `name` at this moment, in both directions.
    #[must_use]
    pub fn calls_of(&self, name: &str) -> u32 {
        self.peers.get(name).map_or(0, |peer| peer.calls)
    }

    /// The next call whose turn has come.
    pub fn due(&mut self, now: Instant) -> Option<CallId> {
        self.peers.values_mut().find_map(|peer| peer.due(now))
    }

    /// When [`Self::due`] is wanted; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.peers.values().filter(|peer| !peer.waiting.is_empty()).filter_map(|peer| peer.next).min()
    }

    /// A call has ended, whether it waited, or was up, or never entered.
    pub fn leave(&mut self, call: CallId) {
        let Some(names) = self.calls.remove(&call) else { return };
        self.total.calls = self.total.calls.saturating_sub(1);
        for name in names {
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            peer.calls = peer.calls.saturating_sub(1);
            peer.waiting.retain(|&waiting| waiting != call);
        }
    }

    /// Calls that count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn count(&mut self, call: CallId, name: &str) {
        self.peers.entry(name.to_owned()).or_default().calls += 1;
        self.calls.entry(call).or_default().push(name.to_owned());
    }
}

impl Use {
    fn has_room(&self, whose: &str, limit: Limit) -> Result<(), Full> {
        match limit.calls {
            Some(calls) if self.calls >= calls => Err(Full::Calls { whose: whose.to_owned(), calls }),
            Some(_) | None => Ok(()),
        }
    }

    /// As many as a second's worth may come together.
    fn takes_burst(&mut self, rate: u32, now: Instant) -> Result<(), Full> {
        let next = self.next.map_or(now, |next| next.max(now));
        if next.saturating_duration_since(now) > Duration::from_secs(1) - interval(rate) {
            return Err(Full::Rate { whose: OURS.to_owned(), rate });
        }
        self.next = Some(next + interval(rate));
        Ok(())
    }

    fn takes_turn(&mut self, call: CallId, name: &str, rate: u32, queue: Duration, now: Instant) -> Verdict {
        self.rate = rate;
        let next = self.next.map_or(now, |next| next.max(now));
        let ahead = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let turn = (next - now) + interval(rate).saturating_mul(ahead);
        if turn.is_zero() {
            self.next = Some(now + interval(rate));
            Verdict::Admitted
        } else if turn > queue {
            Verdict::Refused(Full::Queue { whose: name.to_owned(), rate })
        } else {
            self.waiting.push_back(call);
            Verdict::Queued
        }
    }

    fn due(&mut self, now: Instant) -> Option<CallId> {
        let next = self.next.filter(|&next| next <= now)?;
        let call = self.waiting.pop_front()?;
        self.next = Some(next + interval(self.rate));
        Some(call)
    }
}

fn interval(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

/// How the process is called where its own limits are meant.
const OURS: &str = "trunkline";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_beyond_the_rate_wait_their_turn_in_order_and_those_beyond_the_queue_are_refused() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        let limit = Limit { rate: Some(2), queue: Duration::from_secs(1), ..Limit::default() };

        let verdicts: Vec<_> = (1..=4).map(|id| reach(&mut limits, id, limit, start)).collect();

        let full = Verdict::Refused(Full::Queue { whose: "carrier".into(), rate: 2 });
        assert_eq!(verdicts, [Verdict::Admitted, Verdict::Queued, Verdict::Queued, full]);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limits.next_deadline(), Some(at(500)));
        assert_eq!(limits.due(at(499)), None);
        assert_eq!((limits.due(at(500)), limits.due(at(500))), (Some(CallId(2)), None));
        assert_eq!((limits.due(at(1_000)), limits.next_deadline()), (Some(CallId(3)), None));
    }

    #[test]
    fn who_gives_up_while_waiting_leaves_its_turn_to_the_next() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        let limit = Limit { rate: Some(1), queue: Duration::from_secs(5), ..Limit::default() };
        for id in 1..=3 {
            reach(&mut limits, id, limit, start);
        }

        limits.leave(CallId(2));

        assert_eq!(limits.due(start + Duration::from_secs(1)), Some(CallId(3)));
    }

    #[test]
    fn calls_at_once_count_at_the_caller_and_at_the_callee_until_they_leave() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let one = Limit { calls: Some(1), ..Limit::default() };

        assert_eq!(enter(&mut limits, 1, one, Limit::default(), now), Ok(()));
        assert_eq!(reach(&mut limits, 1, one, now), Verdict::Admitted);

        let full = |whose: &str| Full::Calls { whose: whose.into(), calls: 1 };
        assert_eq!(enter(&mut limits, 2, one, Limit::default(), now), Err(full("pbx")));
        assert_eq!(enter(&mut limits, 2, Limit::default(), one, now), Err(full("trunkline")));
        assert_eq!(enter(&mut limits, 2, Limit::default(), Limit::default(), now), Ok(()));
        assert_eq!(reach(&mut limits, 2, one, now), Verdict::Refused(full("carrier")));
        assert_eq!(reach(&mut limits, 1, one, now), Verdict::Admitted, "it has its place already");
        limits.leave(CallId(1));
        assert_eq!(reach(&mut limits, 2, one, now), Verdict::Admitted);
        limits.leave(CallId(2));
        assert!(limits.is_empty() && limits.peers.values().all(|peer| peer.calls == 0));
    }

    #[test]
    fn a_seconds_worth_of_all_calls_may_come_together_and_no_more() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        let total = Limit { rate: Some(10), ..Limit::default() };
        let mut entered = |from: u64, at: Instant| {
            (from..from + 20)
                .filter(|&id| enter(&mut limits, id, Limit::default(), total, at).is_ok())
                .count()
        };

        assert_eq!(entered(0, start), 10);
        assert_eq!(entered(100, start + Duration::from_millis(200)), 2);
        assert_eq!(entered(200, start + Duration::from_secs(60)), 10);
    }

    fn enter(limits: &mut Limits, id: u64, limit: Limit, total: Limit, now: Instant) -> Result<(), Full> {
        limits.enter(CallId(id), "pbx", limit, total, now)
    }

    fn reach(limits: &mut Limits, id: u64, limit: Limit, now: Instant) -> Verdict {
        limits.reach(CallId(id), "carrier", limit, now)
    }
}

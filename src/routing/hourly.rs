//! What the calls of a peer may come to within an hour: how many, and how long they talk; what is left of a
//! telephone bill when somebody else has the password.
//!
//! The hour slides, minute by minute. Talk counts while it goes on, not when it ends: whoever opens a hundred
//! calls and holds them has spent a hundred minutes after one. A call in progress is never cut for it, since
//! the next one is refused, and one of Retell's agents in a conversation is no fraud.
//!
//! What was spent can be written down by the minutes of the day and read back, so that a restart is no new
//! allowance, and neither are many.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::CallId;

/// What a peer may have; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cap {
    /// Calls of its own that begin.
    pub calls: Option<u32>,
    /// Minutes that they talk, all together.
    pub minutes: Option<u32>,
}

/// A peer has had its hour's worth; the caller gets 403.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Spent {
    /// Of calls.
    #[error("{whose} has made its {calls} calls of the last hour (`calls_per_hour`)")]
    Calls {
        /// A peer's name.
        whose: String,
        /// The cap.
        calls: u32,
    },
    /// Of minutes.
    #[error("the calls of {whose} have talked its {minutes} minutes of the last hour (`minutes_per_hour`)")]
    Minutes {
        /// A peer's name.
        whose: String,
        /// The cap.
        minutes: u32,
    },
}

/// What every peer has had; kept by name, so that it outlives a reload.
#[derive(Debug, Default)]
pub struct Hourly {
    peers: HashMap<String, Usage>,
    calls: HashMap<CallId, Counted>,
    is_changed: bool,
}

/// What the peers that have a cap spent within the last hour, as it outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spending {
    peers: BTreeMap<String, Vec<Entry>>,
}

/// What was spent in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Since the Unix epoch.
    minute: u64,
    calls: u32,
    talk_ms: u64,
}

/// A call in progress.
#[derive(Debug)]
struct Counted {
    peer: String,
    is_talking: bool,
}

/// The last hour of one peer.
#[derive(Clone, Debug)]
struct Usage {
    /// The current minute last.
    minutes: [Minute; MINUTES],
    /// When the current minute began.
    minute: Instant,
    /// Up to when talk was counted.
    counted: Instant,
    talking: u32,
    /// A cap was asked for.
    is_capped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    calls: u32,
    talk: Duration,
}

impl Hourly {
    /// Counts a new call of the peer `name`.
    ///
    /// # Errors
    ///
    /// It has had its hour's worth; nothing was counted.
    pub fn begin(&mut self, call: CallId, name: &str, cap: Cap, now: Instant) -> Result<(), Spent> {
        let usage = self.peers.entry(name.to_owned()).or_insert_with(|| Usage::new(now));
        usage.is_capped |= cap != Cap::default();
        let (made, talked) = usage.total(now);
        if let Some(calls) = cap.calls.filter(|&calls| made >= calls) {
            return Err(Spent::Calls { whose: name.to_owned(), calls });
        }
        if let Some(minutes) = cap.minutes.filter(|&minutes| talked >= MINUTE * minutes) {
            return Err(Spent::Minutes { whose: name.to_owned(), minutes });
        }
        usage.minutes[MINUTES - 1].calls += 1;
        self.is_changed |= usage.is_capped;
        self.calls.insert(call, Counted { peer: name.to_owned(), is_talking: false });
        Ok(())
    }

    /// The call talks from here on.
    pub fn answered(&mut self, call: CallId, now: Instant) {
        let Some(counted) = self.calls.get_mut(&call).filter(|counted| !counted.is_talking) else { return };
        counted.is_talking = true;
        if let Some(usage) = self.peers.get_mut(&counted.peer) {
            usage.advance(now);
            usage.talking += 1;
        }
    }

    /// The call has ended.
    pub fn leave(&mut self, call: CallId, now: Instant) {
        let Some(counted) = self.calls.remove(&call).filter(|counted| counted.is_talking) else { return };
        if let Some(usage) = self.peers.get_mut(&counted.peer) {
            usage.advance(now);
            usage.talking = usage.talking.saturating_sub(1);
            self.is_changed |= usage.is_capped;
        }
    }

    /// Calls that the peer `name` began within the last hour, and how long its calls talked.
    #[must_use]
    pub fn of(&self, name: &str, now: Instant) -> (u32, Duration) {
        self.peers.get(name).cloned().map_or_else(Default::default, |mut usage| usage.total(now))
    }

    /// Whether [`Self::spending`] is another than when this was asked before.
    pub fn take_changed(&mut self) -> bool {
        let talks = self.peers.values().any(|usage| usage.is_capped && usage.talking > 0);
        std::mem::take(&mut self.is_changed) || talks
    }

    /// What has to be known again after a restart; `unix_s` is the time of day at `now`.
    pub fn spending(&mut self, now: Instant, unix_s: u64) -> Spending {
        let capped = self.peers.iter_mut().filter(|(_, usage)| usage.is_capped);
        let peers = capped.map(|(name, usage)| (name.clone(), usage.entries(now, unix_s)));
        Spending { peers: peers.filter(|(_, entries)| !entries.is_empty()).collect() }
    }

    /// What was written down, as far as it is no hour old.
    #[must_use]
    pub fn restored(spending: &Spending, now: Instant, unix_s: u64) -> Self {
        let peers = spending.peers.iter();
        let peers = peers.map(|(name, entries)| (name.clone(), Usage::restored(entries, now, unix_s)));
        Self { peers: peers.collect(), ..Self::default() }
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
}

impl Spending {
    /// Whether nobody spent anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

impl Usage {
    fn new(now: Instant) -> Self {
        let minutes = [Minute::default(); MINUTES];
        Self { minutes, minute: now, counted: now, talking: 0, is_capped: false }
    }

    /// Entries are of minutes of the day, so they grow old however often they are written and read.
    fn restored(entries: &[Entry], now: Instant, unix_s: u64) -> Self {
        let mut usage = Self { is_capped: true, ..Self::new(now) };
        for entry in entries {
            let age = usize::try_from((unix_s / 60).saturating_sub(entry.minute)).unwrap_or(MINUTES);
            if let Some(minute) = usage.minutes.iter_mut().rev().nth(age) {
                minute.calls = minute.calls.saturating_add(entry.calls);
                minute.talk = minute.talk.saturating_add(Duration::from_millis(entry.talk_ms));
            }
        }
        usage
    }

    fn entries(&mut self, now: Instant, unix_s: u64) -> Vec<Entry> {
        self.advance(now);
        let began_s = unix_s.saturating_sub(now.saturating_duration_since(self.minute).as_secs());
        let spent = (0..).zip(self.minutes.iter().rev());
        spent
            .filter(|(_, minute)| minute.calls > 0 || !minute.talk.is_zero())
            .map(|(age, minute)| Entry {
                minute: (began_s / 60).saturating_sub(age),
                calls: minute.calls,
                talk_ms: u64::try_from(minute.talk.as_millis()).unwrap_or(u64::MAX),
            })
            .collect()
    }

    fn total(&mut self, now: Instant) -> (u32, Duration) {
        self.advance(now);
        self.minutes.iter().fold((0, Duration::ZERO), |(calls, talk), minute| {
            (calls.saturating_add(minute.calls), talk.saturating_add(minute.talk))
        })
    }

    /// Counts what was talked up to `now`, and drops the minutes that are an hour old.
    fn advance(&mut self, now: Instant) {
        let hours = now.saturating_duration_since(self.minute).as_secs() / HOUR.as_secs();
        if hours > 1 {
            // Of what lies behind only the last hour counts, and that is all talk.
            let skipped = HOUR * u32::try_from(hours - 1).unwrap_or(u32::MAX);
            self.minutes = [Minute::default(); MINUTES];
            self.minute += skipped;
            self.counted = self.minute;
        }
        while now.saturating_duration_since(self.minute) >= MINUTE {
            self.talk_until(self.minute + MINUTE);
            self.minute += MINUTE;
            self.minutes.rotate_left(1);
            self.minutes[MINUTES - 1] = Minute::default();
        }
        self.talk_until(now);
    }

    fn talk_until(&mut self, end: Instant) {
        let talk = end.saturating_duration_since(self.counted).saturating_mul(self.talking);
        self.minutes[MINUTES - 1].talk += talk;
        self.counted = self.counted.max(end);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_calls_begin_within_an_hour_and_the_next_when_the_first_is_an_hour_ago() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        let cap = Cap { calls: Some(2), minutes: None };
        let mut begin = |id, minute: u32| hourly.begin(CallId(id), "retell", cap, start + MINUTE * minute);

        assert_eq!([begin(1, 0), begin(2, 30)], [Ok(()), Ok(())]);
        let spent = Spent::Calls { whose: "retell".into(), calls: 2 };
        assert_eq!([begin(3, 31), begin(3, 59)], [Err(spent.clone()), Err(spent.clone())]);
        assert_eq!([begin(3, 60), begin(4, 61)], [Ok(()), Err(spent)]);
        assert_eq!(hourly.begin(CallId(5), "other", cap, start), Ok(()), "each has an hour of its own");
    }

    #[test]
    fn talk_counts_while_it_goes_on_and_until_it_is_an_hour_ago() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        let cap = Cap { calls: None, minutes: Some(10) };
        let at = |minutes: u32| start + MINUTE * minutes;
        for id in 1..=2 {
            assert_eq!(hourly.begin(CallId(id), "retell", cap, start), Ok(()));
        }
        hourly.answered(CallId(1), start);
        hourly.answered(CallId(2), at(1));
        hourly.answered(CallId(2), at(2));

        assert_eq!(hourly.of("retell", at(5)), (2, MINUTE * 9));
        let early = at(5) + MINUTE / 2 - Duration::from_secs(1);
        assert_eq!(hourly.begin(CallId(3), "retell", cap, early), Ok(()));
        let spent = Err(Spent::Minutes { whose: "retell".into(), minutes: 10 });
        assert_eq!(hourly.begin(CallId(4), "retell", cap, at(5) + MINUTE / 2), spent);
        for id in 1..=3 {
            hourly.leave(CallId(id), at(6));
        }
        assert_eq!(hourly.of("retell", at(30)), (3, MINUTE * 11));
        assert_eq!(hourly.begin(CallId(4), "retell", cap, at(59)), spent);
        assert_eq!(hourly.of("retell", at(62)), (1, MINUTE * 6));
        assert_eq!(hourly.begin(CallId(4), "retell", cap, at(62)), Ok(()));
        assert_eq!(hourly.of("retell", at(70)), (1, Duration::ZERO));
        hourly.leave(CallId(4), at(70));
        assert!(hourly.is_empty());
    }

    #[test]
    fn what_was_spent_is_spent_after_a_restart_and_an_hour_old_an_hour_later() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        let cap = Cap { calls: Some(9), minutes: Some(9) };
        let at = |minutes: u32| (start + MINUTE * minutes, UNIX_S + u64::from(minutes) * 60);
        hourly.begin(CallId(1), "retell", cap, start).unwrap();
        hourly.answered(CallId(1), start);
        hourly.begin(CallId(2), "other", Cap::default(), start).unwrap();
        assert!(hourly.take_changed());
        let (stop, stop_s) = at(10);
        let written = serde_json::to_string(&hourly.spending(stop, stop_s)).unwrap();

        let (again, again_s) = at(20);
        let mut restored = Hourly::restored(&serde_json::from_str(&written).unwrap(), again, again_s);

        assert_eq!(restored.of("retell", again), (1, MINUTE * 10));
        assert_eq!(restored.of("other", again), (0, Duration::ZERO), "it has no cap");
        assert_eq!(restored.of("retell", at(64).0), (0, MINUTE * 5));
        assert_eq!(restored.of("retell", at(71).0), (0, Duration::ZERO));
        assert!(!restored.take_changed());
        let late = Hourly::restored(&serde_json::from_str(&written).unwrap(), again, UNIX_S + 5 * 3_600);
        assert_eq!(late.of("retell", again), (0, Duration::ZERO));
        let back = Hourly::restored(&serde_json::from_str(&written).unwrap(), again, UNIX_S - 3_600);
        assert_eq!(back.of("retell", again), (1, MINUTE * 10), "a clock that was set back forgives nothing");
    }

    #[test]
    fn however_often_it_restarts_a_call_counts_for_an_hour_and_no_longer() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        hourly.begin(CallId(1), "retell", Cap { calls: Some(1), minutes: None }, start).unwrap();

        let counted = (0..200).take_while(|times| {
            let (now, now_s) = (start + MINUTE / 2 * *times, UNIX_S + u64::from(*times) * 30);
            hourly = Hourly::restored(&hourly.spending(now, now_s), now, now_s);
            hourly.of("retell", now).0 == 1
        });

        assert!((118..=120).contains(&counted.count()));
    }

    #[test]
    fn it_is_news_that_a_capped_peer_calls_and_talks_and_ends() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        let mut news = Vec::new();
        hourly.begin(CallId(1), "other", Cap::default(), start).unwrap();
        hourly.answered(CallId(1), start);
        news.push(hourly.take_changed());
        hourly.begin(CallId(2), "retell", Cap { calls: None, minutes: Some(1) }, start).unwrap();
        news.extend([hourly.take_changed(), hourly.take_changed()]);
        hourly.answered(CallId(2), start);
        news.extend([hourly.take_changed(), hourly.take_changed()]);
        hourly.leave(CallId(2), start);
        news.extend([hourly.take_changed(), hourly.take_changed()]);

        assert_eq!(news, [false, true, false, true, true, true, false]);
    }

    #[test]
    fn after_hours_in_which_nobody_asked_the_last_one_counts() {
        let (mut hourly, start) = (Hourly::default(), Instant::now());
        assert_eq!(hourly.begin(CallId(1), "retell", Cap::default(), start), Ok(()));
        hourly.answered(CallId(1), start);

        for hours in [5, 100_000] {
            let (calls, talk) = hourly.of("retell", start + HOUR * hours + MINUTE / 2);

            assert_eq!(calls, 0);
            assert!(talk > HOUR - MINUTE && talk <= HOUR, "{talk:?}");
        }
    }

    /// Not on the minute.
    const UNIX_S: u64 = 1_800_000_017;
}

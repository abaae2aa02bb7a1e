//! Answers of name servers as long as they are good for something (RFC 2308, RFC 8767).
//!
//! ```text
//!            learn                     ttl over                              a day over
//! unknown ─────────► fresh: as it is ───────────► stale: asked for again, ─────────────► unknown
//!    │                                            used while servers fail
//!    └── failed: not asked again for a moment ──► unknown
//! ```
//!
//! An answer without records is an answer: it is kept like any other, and stale like any other.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choice::Record;

/// What a server said; empty when there is no such record.
pub(super) type Answer = Arc<[Record]>;

/// Answers and failures by question.
#[derive(Debug)]
pub(super) struct Memory<Q> {
    entries: HashMap<Q, Entry>,
}

#[derive(Debug)]
struct Entry {
    known: Option<Known>,
    /// The last failure, and until when it stands for the next one.
    failed: Option<(String, Instant)>,
    /// When it was last asked for.
    used: Instant,
}

#[derive(Debug)]
struct Known {
    answer: Answer,
    fresh_until: Instant,
}

/// What to do about a question.
#[derive(Debug, PartialEq)]
pub(super) enum Recalled {
    /// This is the answer.
    Answer(Answer),
    /// No server answered a moment ago, for this reason.
    Failed(String),
    /// Ask; should that fail or take long, there is an older answer perhaps.
    Ask(Option<Answer>),
}

impl<Q> Default for Memory<Q> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<Q: Eq + Hash + Clone> Memory<Q> {
    pub(super) fn recall(&mut self, question: &Q, now: Instant) -> Recalled {
        let Some(entry) = self.entries.get_mut(question) else { return Recalled::Ask(None) };
        entry.used = now;
        let is_too_old = |known: &mut Known| now >= known.fresh_until + STALE;
        entry.known.take_if(is_too_old);
        let failed = entry.failed.as_ref().filter(|(_, until)| now < *until);
        match (&entry.known, failed) {
            (Some(known), _) if now < known.fresh_until => Recalled::Answer(Arc::clone(&known.answer)),
            (Some(known), Some(_)) => Recalled::Answer(Arc::clone(&known.answer)),
            (Some(known), None) => Recalled::Ask(Some(Arc::clone(&known.answer))),
            (None, Some((reason, _))) => Recalled::Failed(reason.clone()),
            (None, None) => Recalled::Ask(None),
        }
    }

    /// Keeps an answer that is good for `ttl`.
    pub(super) fn learn(&mut self, question: Q, answer: Answer, ttl: Duration, now: Instant) {
        let longest = if answer.is_empty() { LONGEST_WITHOUT } else { LONGEST };
        let fresh_until = now + ttl.clamp(SHORTEST, longest);
        let entry = self.entry(question, now);
        entry.known = Some(Known { answer, fresh_until });
        entry.failed = None;
    }

    /// Keeps in mind that nobody answered.
    pub(super) fn fail(&mut self, question: Q, reason: String, now: Instant) {
        let entry = self.entry(question, now);
        let pause = if entry.known.is_some() { PAUSE } else { SHORT_PAUSE };
        entry.failed = Some((reason, now + pause));
    }

    /// The entry of `question`; to make room for a new one the longest unused is dropped.
    fn entry(&mut self, question: Q, now: Instant) -> &mut Entry {
        if self.entries.len() >= MOST && !self.entries.contains_key(&question) {
            let oldest =
                self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(oldest, _)| oldest.clone());
            oldest.map(|oldest| self.entries.remove(&oldest));
        }
        self.entries.entry(question).or_insert(Entry { known: None, failed: None, used: now })
    }
}

/// Answers kept at once.
const MOST: usize = 1_024;

/// Bounds of how long an answer is fresh, with records and without.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);
const LONGEST_WITHOUT: Duration = Duration::from_secs(300);

/// How long an answer is kept for want of a better one (RFC 8767 §5: one to three days).
const STALE: Duration = Duration::from_secs(86_400);

/// How long servers that failed are left alone: longer when there is an older answer to live on (RFC 8767
/// §5).
const PAUSE: Duration = Duration::from_secs(30);
const SHORT_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_fresh_for_its_ttl_and_then_asked_for_again() {
        let (mut memory, start) = knowing("carrier.example", 60);

        assert_eq!(memory.recall(&"carrier.example", start + seconds(59)), Recalled::Answer(answer()));
        assert_eq!(memory.recall(&"carrier.example", start + seconds(60)), Recalled::Ask(Some(answer())));
        assert_eq!(memory.recall(&"other.example", start), Recalled::Ask(None));
    }

    #[test]
    fn a_stale_answer_serves_for_30_s_after_each_failure_and_for_a_day_at_most() {
        let (mut memory, start) = knowing("carrier.example", 60);
        let failed = start + seconds(100);
        memory.fail("carrier.example", "timed out".to_owned(), failed);

        assert_eq!(memory.recall(&"carrier.example", failed + seconds(29)), Recalled::Answer(answer()));
        assert_eq!(memory.recall(&"carrier.example", failed + seconds(30)), Recalled::Ask(Some(answer())));
        memory.fail("carrier.example", "timed out".to_owned(), start + seconds(60) + STALE);
        assert_eq!(
            memory.recall(&"carrier.example", start + seconds(60) + STALE),
            Recalled::Failed("timed out".to_owned())
        );
    }

    #[test]
    fn without_an_older_answer_a_failure_stands_for_2_s() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.fail("carrier.example", "refused".to_owned(), start);

        assert_eq!(
            memory.recall(&"carrier.example", start + seconds(1)),
            Recalled::Failed("refused".to_owned())
        );
        assert_eq!(memory.recall(&"carrier.example", start + seconds(2)), Recalled::Ask(None));
    }

    #[test]
    fn an_answer_ends_a_failure() {
        let (mut memory, start) = knowing("carrier.example", 60);
        memory.fail("carrier.example", "refused".to_owned(), start + seconds(60));
        memory.learn("carrier.example", Arc::new([]), seconds(60), start + seconds(61));

        assert_eq!(memory.recall(&"carrier.example", start + seconds(62)), Recalled::Answer(Arc::new([])));
        assert_eq!(
            memory.recall(&"carrier.example", start + seconds(121)),
            Recalled::Ask(Some(Arc::new([])))
        );
    }

    #[test]
    fn a_ttl_is_kept_within_bounds() {
        let (mut memory, start) = knowing("zero.example", 0);
        memory.learn("long.example", answer(), seconds(10 * 86_400), start);
        memory.learn("nothing.example", Arc::new([]), seconds(86_400), start);

        assert_eq!(memory.recall(&"zero.example", start), Recalled::Answer(answer()));
        assert_eq!(memory.recall(&"long.example", start + LONGEST), Recalled::Ask(Some(answer())));
        assert_eq!(
            memory.recall(&"nothing.example", start + seconds(300)),
            Recalled::Ask(Some(Arc::new([])))
        );
    }

    #[test]
    fn the_longest_unused_answer_makes_room() {
        let start = Instant::now();
        let mut memory = Memory::default();
        for index in 0..MOST as u64 {
            memory.learn(index, answer(), seconds(3_600), start + seconds(index));
        }
        memory.recall(&0, start + seconds(2_000));

        memory.learn(5_000, answer(), seconds(3_600), start + seconds(2_001));

        assert_eq!(memory.entries.len(), MOST);
        assert_eq!(memory.recall(&0, start + seconds(2_002)), Recalled::Answer(answer()));
        assert_eq!(memory.recall(&1, start + seconds(2_002)), Recalled::Ask(None));
    }

    fn knowing(name: &'static str, ttl: u64) -> (Memory<&'static str>, Instant) {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.learn(name, answer(), seconds(ttl), start);
        (memory, start)
    }

    fn answer() -> Answer {
        Arc::new([Record::Address([192, 0, 2, 1].into())])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

//! How a decision explains itself: one line per question, with the answer and the rule that gave it.
//!
//! Tracing is off on the live path: [`Trace::note`] takes a closure, so that nothing is formatted unless
//! `trunkline explain` asked for it.

use serde::Serialize;

/// One decided step of a call's course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was decided: `peer`, `to`, `from`, `header` ...
    pub what: String,
    /// The outcome.
    pub value: String,
    /// The rule that decided, in words, naming the key of the configuration where there is one.
    pub rule: String,
}

/// Collects [`Step`]s, or nothing at all.
#[derive(Debug)]
pub(super) struct Trace<'a>(Option<&'a mut Vec<Step>>);

impl<'a> Trace<'a> {
    /// Notes nothing.
    pub(super) fn off() -> Self {
        Self(None)
    }

    /// Notes into `steps`, if there are any.
    pub(super) fn into(steps: Option<&'a mut Vec<Step>>) -> Self {
        Self(steps)
    }

    /// Adds the step `what` with the value and the rule that `answer` returns.
    pub(super) fn note(&mut self, what: &str, answer: impl FnOnce() -> (String, String)) {
        if let Some(steps) = &mut self.0 {
            let (value, rule) = answer();
            steps.push(Step { what: what.to_owned(), value, rule });
        }
    }
}

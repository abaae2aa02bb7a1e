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
    /// That key, as [`crate::config::Loaded::places`] knows it:
    /// `trunks[carrier].country`, `headers.rules[1].set`.
    #[serde(skip)]
    pub key: Option<String>,
    /// Where that key stands, for whoever knows the file to fill in.
    pub place: Option<String>,
}

/// A step that was noted, if any was.
pub(super) struct Noted<'a>(Option<&'a mut Step>);

impl Noted<'_> {
    /// Names the key that holds the rule.
    pub(super) fn by(self, key: impl FnOnce() -> String) {
        if let Some(step) = self.0 {
            step.key = Some(key());
        }
    }
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
    pub(super) fn note(&mut self, what: &str, answer: impl FnOnce() -> (String, String)) -> Noted<'_> {
        let Some(steps) = &mut self.0 else { return Noted(None) };
        let (value, rule) = answer();
        steps.push(Step { what: what.to_owned(), value, rule, key: None, place: None });
        Noted(steps.last_mut())
    }
}

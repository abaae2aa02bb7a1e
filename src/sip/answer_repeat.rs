//! The UAS core's repetition of its 2xx until the ACK comes (RFC 3261 §13.3.1.4).
//!
//! It runs on streams too: the 2xx and its ACK travel end to end, and a datagram hop behind
//! a proxy may lose either.

use std::time::{Duration, Instant};

use super::timers::{Resend, Timers};

/// An answer that has been sent and waits for its ACK; drop it when that comes.
#[derive(Clone, Debug)]
pub struct AnswerRepeat {
    resend: Resend,
    give_up: Instant,
    longest: Duration,
}

/// What is due for an answer without ACK.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum RepeatEvent {
    /// Send the same 2xx again.
    SendAgain,
    /// 64·T1 have passed: end the dialog with a BYE, and drop the [`AnswerRepeat`].
    GiveUp,
}

impl AnswerRepeat {
    /// For a 2xx sent at `now`.
    #[must_use]
    pub fn start(timers: Timers, now: Instant) -> Self {
        Self { resend: Resend::after(timers.t1, now), give_up: now + timers.give_up(), longest: timers.t2 }
    }

    /// When [`Self::on_deadline`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.resend.at.min(self.give_up)
    }

    /// What is due at `now`.
    pub fn on_deadline(&mut self, now: Instant) -> Option<RepeatEvent> {
        if self.give_up <= now {
            return Some(RepeatEvent::GiveUp);
        }
        (self.resend.at <= now).then(|| {
            self.resend = self.resend.again(self.longest, now);
            RepeatEvent::SendAgain
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::transaction::testing::{at_ms, epoch};
    use super::*;

    #[test]
    fn an_answer_without_ack_is_repeated_up_to_t2_and_given_up_after_64_t1() {
        let mut answer = AnswerRepeat::start(Timers::default(), epoch());
        let mut sent_ms = Vec::new();

        let given_up = loop {
            let now = answer.next_deadline();
            match answer.on_deadline(now).expect("something is due at a deadline") {
                RepeatEvent::SendAgain => sent_ms.push((now - epoch()).as_millis()),
                RepeatEvent::GiveUp => break now,
            }
        };

        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(given_up, at_ms(32_000));
    }

    #[test]
    fn nothing_is_due_before_t1() {
        let mut answer = AnswerRepeat::start(Timers::default(), epoch());

        assert_eq!(answer.on_deadline(at_ms(499)), None);
    }
}

//! Non-INVITE client transaction (RFC 3261 §17.1.2).
//!
//! ```text
//!           1xx              200–699
//! Trying ───────► Proceeding ───────► Completed ──timer K──► Terminated
//!   │ └──────────── 200–699 ─────────────┘                    ▲
//!   └──────────────┴──timer F─────────────────────────────────┘
//! ```
//!
//! Timer E doubles to T2 and, unlike timer A, goes on after a 1xx (at T2): the final response of a non-INVITE
//! server is sent again only when the request is. Timers E and K do not run on reliable transports.

use std::time::{Duration, Instant};

use super::ClientOutput;
use crate::sip::timers::{Resend, Timers};

/// One request of ours that is neither INVITE nor ACK, and the responses to it.
#[derive(Debug)]
pub struct Client {
    state: State,
    reliable: bool,
}

#[derive(Debug)]
enum State {
    Trying { resend: Option<Resend>, give_up: Instant },
    Proceeding { resend: Option<Resend>, give_up: Instant },
    Completed { until: Instant },
    Terminated,
}

impl Client {
    /// Sends the request.
    pub fn start(reliable: bool, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) -> Self {
        out.push(ClientOutput::SendRequest);
        Self { state: State::trying(reliable, now, timers), reliable }
    }

    /// Sends the request by another transport, from the beginning; nothing once a response has come.
    pub fn on_rerouted(
        &mut self,
        reliable: bool,
        now: Instant,
        timers: &Timers,
        out: &mut Vec<ClientOutput>,
    ) {
        match self.state {
            State::Trying { .. } => {
                self.reliable = reliable;
                self.state = State::trying(reliable, now, timers);
                out.push(ClientOutput::SendRequest);
            }
            State::Proceeding { .. } | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// Advances on a response with status `code`: every 1xx and the first final one are delivered.
    pub fn on_response(&mut self, code: u16, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) {
        match (&self.state, code) {
            (State::Trying { resend, give_up }, 100..=199) => {
                let resend = resend.map(|resend| resend.with_interval(timers.t2));
                out.push(ClientOutput::Deliver);
                self.state = State::Proceeding { resend, give_up: *give_up };
            }
            (State::Proceeding { .. }, 100..=199) => out.push(ClientOutput::Deliver),
            (State::Trying { .. } | State::Proceeding { .. }, 200..=699) => {
                out.push(ClientOutput::Deliver);
                self.state = match timers.k(self.reliable) {
                    Duration::ZERO => State::Terminated,
                    wait => State::Completed { until: now + wait },
                };
            }
            (
                State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } | State::Terminated,
                _,
            ) => {}
        }
    }

    /// Ends the transaction: its request could not be sent.
    pub fn on_transport_failed(&mut self) {
        self.state = State::Terminated;
    }

    /// Retransmits, gives up or ends, as is due at `now`.
    pub fn on_deadline(&mut self, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) {
        match &mut self.state {
            State::Trying { give_up, .. } | State::Proceeding { give_up, .. } if *give_up <= now => {
                out.push(ClientOutput::TimedOut);
                self.state = State::Terminated;
            }
            State::Trying { resend: Some(resend), .. } | State::Proceeding { resend: Some(resend), .. }
                if resend.at <= now =>
            {
                *resend = resend.again(timers.t2, now);
                out.push(ClientOutput::SendRequest);
            }
            State::Completed { until } if *until <= now => self.state = State::Terminated,
            State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } | State::Terminated => {
            }
        }
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { resend, give_up } | State::Proceeding { resend, give_up } => {
                Some(resend.map_or(*give_up, |resend| resend.at.min(*give_up)))
            }
            State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// Whether no response has come yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    /// Whether the request will not be sent again.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => false,
            State::Completed { .. } | State::Terminated => true,
        }
    }

    /// Whether the transaction is over.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

impl State {
    fn trying(reliable: bool, now: Instant, timers: &Timers) -> Self {
        Self::Trying { resend: timers.first_resend(reliable, now), give_up: now + timers.give_up() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_ms, epoch, run_to_end};
    use super::*;

    const UDP: bool = false;
    const TCP: bool = true;

    #[test]
    fn unanswered_request_doubles_its_interval_to_t2_and_gives_up_after_64_t1() {
        let log = run_to_end(&mut started(UDP));

        let (last, sent) = log.split_last().expect("a log");
        let sent_ms: Vec<_> = sent.iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(*last, (Duration::from_secs(32), ClientOutput::TimedOut));
    }

    #[test]
    fn after_a_provisional_the_request_is_repeated_every_t2() {
        let mut tx = started(UDP);

        assert_eq!(respond(&mut tx, 100, 200), [ClientOutput::Deliver]);

        let log = run_to_end(&mut tx);
        let sent_ms: Vec<_> = log[..3].iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(sent_ms, [500, 4_500, 8_500]);
        assert_eq!(log.last(), Some(&(Duration::from_secs(32), ClientOutput::TimedOut)));
    }

    #[test]
    fn a_final_response_is_delivered_once_and_its_repeats_absorbed_until_timer_k() {
        let mut tx = started(UDP);

        assert_eq!(respond(&mut tx, 481, 1_000), [ClientOutput::Deliver]);
        assert_eq!(respond(&mut tx, 481, 1_100), []);
        assert_eq!(respond(&mut tx, 100, 1_200), []);
        assert!(tx.is_silent());
        assert_eq!(tx.next_deadline(), Some(at_ms(6_000)));
        assert_eq!(run_to_end(&mut tx), []);
        assert!(tx.is_terminated());
    }

    #[test]
    fn a_stream_carries_the_request_once_and_the_final_response_ends_it() {
        let mut answered = started(TCP);

        assert_eq!(run_to_end(&mut started(TCP)), [(Duration::from_secs(32), ClientOutput::TimedOut)]);
        assert_eq!(respond(&mut answered, 200, 1_000), [ClientOutput::Deliver]);
        assert!(answered.is_terminated());
    }

    #[test]
    fn another_transport_starts_over() {
        let mut tx = started(TCP);
        let mut out = Vec::new();

        tx.on_rerouted(UDP, at_ms(1_000), &Timers::default(), &mut out);

        assert_eq!(out, [ClientOutput::SendRequest]);
        assert_eq!(tx.next_deadline(), Some(at_ms(1_500)));
        assert_eq!(run_to_end(&mut tx).last(), Some(&(Duration::from_secs(33), ClientOutput::TimedOut)));
    }

    fn started(reliable: bool) -> Client {
        let mut out = Vec::new();
        let tx = Client::start(reliable, epoch(), &Timers::default(), &mut out);
        assert_eq!(out, [ClientOutput::SendRequest]);
        tx
    }

    fn respond(tx: &mut Client, code: u16, ms: u64) -> Vec<ClientOutput> {
        let mut out = Vec::new();
        tx.on_response(code, at_ms(ms), &Timers::default(), &mut out);
        out
    }
}

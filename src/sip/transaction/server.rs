//! Non-INVITE server transaction (RFC 3261 §17.2.2).
//!
//! ```text
//!           1xx              200–699
//! Trying ───────► Proceeding ───────► Completed ──timer J──► Terminated
//!   └────────────── 200–699 ────────────┘
//! ```
//!
//! It never retransmits by itself: a response goes out again only when the request comes again. Timer J is
//! 0 on reliable transports.

use std::time::{Duration, Instant};

use super::ServerOutput;
use crate::sip::timers::Timers;

/// One request of a peer that is neither INVITE nor ACK, and our responses to it.
#[derive(Debug)]
pub struct Server {
    state: State,
    reliable: bool,
}

#[derive(Debug)]
enum State {
    Trying,
    Proceeding,
    Completed { until: Instant },
    Terminated,
}

impl Server {
    /// For a request that has just arrived by a transport that is `reliable` or not.
    #[must_use]
    pub fn new(reliable: bool) -> Self {
        Self { state: State::Trying, reliable }
    }

    /// The request came again.
    pub fn on_repeated(&mut self, out: &mut Vec<ServerOutput>) {
        match self.state {
            State::Proceeding | State::Completed { .. } => out.push(ServerOutput::SendResponse),
            State::Trying | State::Terminated => {}
        }
    }

    /// The user responds with `code`; nothing is sent after the first final response.
    pub fn on_respond(&mut self, code: u16, now: Instant, timers: &Timers, out: &mut Vec<ServerOutput>) {
        match (&self.state, code) {
            (State::Trying | State::Proceeding, 100..=199) => {
                out.push(ServerOutput::SendResponse);
                self.state = State::Proceeding;
            }
            (State::Trying | State::Proceeding, 200..=699) => {
                out.push(ServerOutput::SendResponse);
                self.state = match timers.j(self.reliable) {
                    Duration::ZERO => State::Terminated,
                    wait => State::Completed { until: now + wait },
                };
            }
            (State::Trying | State::Proceeding | State::Completed { .. } | State::Terminated, _) => {}
        }
    }

    /// Ends the transaction if that is due at `now`.
    pub fn on_deadline(&mut self, now: Instant) {
        match self.state {
            State::Completed { until } if until <= now => self.state = State::Terminated,
            State::Trying | State::Proceeding | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Completed { until } => Some(until),
            State::Trying | State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether the transaction is over.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_ms;
    use super::*;

    #[test]
    fn a_repeated_request_gets_the_last_response_again_and_nothing_before_one() {
        let mut tx = Server::new(false);

        assert_eq!(repeat(&mut tx), []);
        for code in [100, 200] {
            assert_eq!(respond(&mut tx, code, 0), [ServerOutput::SendResponse]);
            assert_eq!(repeat(&mut tx), [ServerOutput::SendResponse]);
        }
    }

    #[test]
    fn only_the_first_final_response_is_sent() {
        let mut tx = Server::new(false);
        respond(&mut tx, 200, 0);

        assert_eq!(respond(&mut tx, 500, 100), []);
        assert_eq!(respond(&mut tx, 200, 100), []);
    }

    #[test]
    fn an_answered_request_is_remembered_for_64_t1() {
        let mut tx = Server::new(false);
        respond(&mut tx, 200, 1_000);

        tx.on_deadline(at_ms(32_999));
        assert_eq!(tx.next_deadline(), Some(at_ms(33_000)));
        tx.on_deadline(at_ms(33_000));

        assert!(tx.is_terminated());
    }

    #[test]
    fn on_a_stream_the_final_response_ends_the_transaction() {
        let mut tx = Server::new(true);

        respond(&mut tx, 100, 0);
        assert!(!tx.is_terminated());
        respond(&mut tx, 200, 0);

        assert!(tx.is_terminated());
    }

    fn repeat(tx: &mut Server) -> Vec<ServerOutput> {
        let mut out = Vec::new();
        tx.on_repeated(&mut out);
        out
    }

    fn respond(tx: &mut Server, code: u16, ms: u64) -> Vec<ServerOutput> {
        let mut out = Vec::new();
        tx.on_respond(code, at_ms(ms), &Timers::default(), &mut out);
        out
    }
}

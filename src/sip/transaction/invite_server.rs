//! INVITE server transaction (RFC 3261 §17.2.1, as amended by RFC 6026 §7.1).
//!
//! ```text
//!              2xx from the user
//! Proceeding ────────────────────► Accepted ──timer L──────────────► Terminated
//!     │ 300–699 from the user                                        ▲  ▲
//!     └──────────────────────────► Completed ──ACK──► Confirmed ──I──┘  │
//!                                      └──timer H───────────────────────┘
//! ```
//!
//! It never sends a 100 by itself: its user does, at once. In Accepted a repeated INVITE is absorbed in
//! silence, because repeating the 2xx until the ACK is the user's (RFC 3261 §13.3.1.4), and the ACK to
//! it is none of this transaction's. A failed send does not end it (RFC 6026 §7.1): a repeated INVITE
//! would look like a new call.

use std::time::{Duration, Instant};

use super::ServerOutput;
use crate::sip::timers::{Resend, Timers};

/// One INVITE of a peer and our responses to it.
#[derive(Debug)]
pub struct InviteServer {
    state: State,
    reliable: bool,
}

#[derive(Debug)]
enum State {
    /// `responded`: a 1xx was sent.
    Proceeding {
        responded: bool,
    },
    Accepted {
        until: Instant,
    },
    Completed {
        resend: Option<Resend>,
        give_up: Instant,
    },
    Confirmed {
        until: Instant,
    },
    Terminated,
}

impl InviteServer {
    /// For an INVITE that has just arrived by a transport that is `reliable` or not.
    #[must_use]
    pub fn new(reliable: bool) -> Self {
        Self { state: State::Proceeding { responded: false }, reliable }
    }

    /// The INVITE came again.
    pub fn on_repeated(&mut self, out: &mut Vec<ServerOutput>) {
        match self.state {
            State::Proceeding { responded: true } | State::Completed { .. } => {
                out.push(ServerOutput::SendResponse);
            }
            State::Proceeding { responded: false }
            | State::Accepted { .. }
            | State::Confirmed { .. }
            | State::Terminated => {}
        }
    }

    /// An ACK with the INVITE's branch came; that to a 2xx is delivered.
    pub fn on_ack(&mut self, now: Instant, timers: &Timers, out: &mut Vec<ServerOutput>) {
        match self.state {
            State::Completed { .. } => {
                self.state = match timers.i(self.reliable) {
                    Duration::ZERO => State::Terminated,
                    wait => State::Confirmed { until: now + wait },
                };
            }
            State::Accepted { .. } => out.push(ServerOutput::DeliverAck),
            State::Proceeding { .. } | State::Confirmed { .. } | State::Terminated => {}
        }
    }

    /// The user responds with `code`. After a final response only a repeated 2xx is
    /// sent, and only after a 2xx.
    pub fn on_respond(&mut self, code: u16, now: Instant, timers: &Timers, out: &mut Vec<ServerOutput>) {
        match (&mut self.state, code) {
            (State::Proceeding { responded }, 100..=199) => {
                *responded = true;
                out.push(ServerOutput::SendResponse);
            }
            (State::Proceeding { .. }, 200..=299) => {
                out.push(ServerOutput::SendResponse);
                self.state = State::Accepted { until: now + timers.give_up() };
            }
            (State::Proceeding { .. }, 300..=699) => {
                out.push(ServerOutput::SendResponse);
                self.state = State::Completed {
                    resend: timers.first_resend(self.reliable, now),
                    give_up: now + timers.give_up(),
                };
            }
            (State::Accepted { .. }, 200..=299) => out.push(ServerOutput::SendResponse),
            (
                State::Proceeding { .. }
                | State::Accepted { .. }
                | State::Completed { .. }
                | State::Confirmed { .. }
                | State::Terminated,
                _,
            ) => {}
        }
    }

    /// Retransmits, gives up or ends, as is due at `now`.
    pub fn on_deadline(&mut self, now: Instant, timers: &Timers, out: &mut Vec<ServerOutput>) {
        match &mut self.state {
            State::Completed { give_up, .. } if *give_up <= now => {
                out.push(ServerOutput::NoAck);
                self.state = State::Terminated;
            }
            State::Completed { resend: Some(resend), .. } if resend.at <= now => {
                *resend = resend.again(timers.t2, now);
                out.push(ServerOutput::SendResponse);
            }
            State::Accepted { until } | State::Confirmed { until } if *until <= now => {
                self.state = State::Terminated;
            }
            State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => {}
        }
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Completed { resend: Some(resend), give_up } => Some(resend.at.min(*give_up)),
            State::Completed { resend: None, give_up } => Some(*give_up),
            State::Accepted { until } | State::Confirmed { until } => Some(*until),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether the last response may be sent again by the transaction itself.
    #[must_use]
    pub fn repeats_response(&self) -> bool {
        match self.state {
            State::Proceeding { .. } | State::Completed { .. } => true,
            State::Accepted { .. } | State::Confirmed { .. } | State::Terminated => false,
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
    use super::super::testing::{at_ms, run_to_end};
    use super::*;

    const UDP: bool = false;
    const TCP: bool = true;

    #[test]
    fn a_repeated_invite_gets_the_last_provisional_again_and_nothing_before_one() {
        let mut tx = InviteServer::new(UDP);

        assert_eq!(repeat(&mut tx), []);
        assert_eq!(respond(&mut tx, 180, 100), [ServerOutput::SendResponse]);
        assert_eq!(repeat(&mut tx), [ServerOutput::SendResponse]);
        assert_eq!(tx.next_deadline(), None);
    }

    #[test]
    fn an_accepted_invite_absorbs_repeats_and_sends_each_2xx_of_its_user_until_timer_l() {
        for reliable in [UDP, TCP] {
            let mut tx = InviteServer::new(reliable);
            respond(&mut tx, 200, 1_000);

            assert_eq!(repeat(&mut tx), []);
            assert_eq!(respond(&mut tx, 200, 1_500), [ServerOutput::SendResponse]);
            assert_eq!(respond(&mut tx, 180, 1_600), []);
            assert_eq!(respond(&mut tx, 500, 1_700), []);
            assert!(!tx.repeats_response());
            assert_eq!(tx.next_deadline(), Some(at_ms(33_000)));
            assert_eq!(run_to_end(&mut tx), []);
            assert!(tx.is_terminated());
        }
    }

    #[test]
    fn the_ack_to_a_2xx_is_delivered_and_changes_nothing() {
        let mut tx = InviteServer::new(UDP);
        respond(&mut tx, 200, 0);

        assert_eq!(ack(&mut tx, 100), [ServerOutput::DeliverAck]);
        assert_eq!(tx.next_deadline(), Some(at_ms(32_000)));
    }

    #[test]
    fn a_refusal_is_repeated_up_to_t2_until_64_t1_and_then_reported() {
        let mut tx = InviteServer::new(UDP);
        assert_eq!(respond(&mut tx, 486, 0), [ServerOutput::SendResponse]);

        let log = run_to_end(&mut tx);

        let (last, sent) = log.split_last().expect("a log");
        let sent_ms: Vec<_> = sent.iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(*last, (Duration::from_secs(32), ServerOutput::NoAck));
    }

    #[test]
    fn a_refusal_goes_once_on_a_stream_and_its_ack_ends_the_transaction() {
        let mut tx = InviteServer::new(TCP);
        respond(&mut tx, 486, 0);

        assert_eq!(tx.next_deadline(), Some(at_ms(32_000)));
        assert_eq!(ack(&mut tx, 100), []);
        assert!(tx.is_terminated());
    }

    #[test]
    fn an_acknowledged_refusal_is_quiet_until_timer_i() {
        let mut tx = InviteServer::new(UDP);
        respond(&mut tx, 486, 0);

        assert_eq!(ack(&mut tx, 1_000), []);
        assert_eq!(repeat(&mut tx), []);
        assert_eq!(ack(&mut tx, 1_100), []);
        assert_eq!(tx.next_deadline(), Some(at_ms(6_000)));
        assert_eq!(run_to_end(&mut tx), []);
    }

    #[test]
    fn a_repeated_invite_gets_the_refusal_again() {
        let mut tx = InviteServer::new(UDP);
        respond(&mut tx, 486, 0);

        assert_eq!(repeat(&mut tx), [ServerOutput::SendResponse]);
        assert_eq!(respond(&mut tx, 200, 100), []);
    }

    fn repeat(tx: &mut InviteServer) -> Vec<ServerOutput> {
        let mut out = Vec::new();
        tx.on_repeated(&mut out);
        out
    }

    fn ack(tx: &mut InviteServer, ms: u64) -> Vec<ServerOutput> {
        let mut out = Vec::new();
        tx.on_ack(at_ms(ms), &Timers::default(), &mut out);
        out
    }

    fn respond(tx: &mut InviteServer, code: u16, ms: u64) -> Vec<ServerOutput> {
        let mut out = Vec::new();
        tx.on_respond(code, at_ms(ms), &Timers::default(), &mut out);
        out
    }
}

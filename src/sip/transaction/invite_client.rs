//! INVITE client transaction (RFC 3261 §17.1.1, as amended by RFC 6026 §7.2; CANCEL by RFC 3261 §9.1).
//!
//! ```text
//!            1xx              2xx
//! Calling ───────► Proceeding ───────► Accepted ──timer M──► Terminated
//!    │ └───────────── 2xx ────────────────┘                   ▲ ▲ ▲
//!    ├──────── 300–699 ───────┴──────► Completed ──timer D────┘ │ │
//!    └──timer B─────────────────────────────────────────────────┘ │
//!                     Proceeding, 64·T1 after a CANCEL ───────────┘
//! ```
//!
//! Does no I/O and reads no clock: the table passes codes and `now` in and carries out the
//! [`ClientOutput`]s pushed to the outbox. A CANCEL asked for in Calling waits for the first 1xx, because
//! one that overtakes its INVITE finds nothing to cancel. Timer A runs only on unreliable transports, and
//! timer D is 0 on reliable ones.

use std::time::{Duration, Instant};

use super::ClientOutput;
use crate::sip::timers::{Resend, Timers};

/// One INVITE of ours and the responses to it.
#[derive(Debug)]
pub struct InviteClient {
    state: State,
    reliable: bool,
}

#[derive(Debug)]
enum State {
    Calling { resend: Option<Resend>, give_up: Instant, cancelled: bool },
    Proceeding { cancelled: Option<Instant> },
    Accepted { until: Instant },
    Completed { until: Instant },
    Terminated,
}

impl InviteClient {
    /// Sends the INVITE.
    pub fn start(reliable: bool, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) -> Self {
        out.push(ClientOutput::SendRequest);
        Self { state: State::calling(reliable, false, now, timers), reliable }
    }

    /// Sends the INVITE by another transport, from the beginning; nothing once a response has come.
    pub fn on_rerouted(
        &mut self,
        reliable: bool,
        now: Instant,
        timers: &Timers,
        out: &mut Vec<ClientOutput>,
    ) {
        match self.state {
            State::Calling { cancelled, .. } => {
                self.reliable = reliable;
                self.state = State::calling(reliable, cancelled, now, timers);
                out.push(ClientOutput::SendRequest);
            }
            State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// Advances on a response with status `code`.
    ///
    /// A 2xx is delivered every time it arrives: a fork may answer twice, and the dialog owns its ACK.
    pub fn on_response(&mut self, code: u16, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) {
        match (&self.state, code) {
            (State::Calling { cancelled, .. }, 100..=199) => {
                let cancelled = *cancelled;
                self.state = State::Proceeding { cancelled: None };
                out.push(ClientOutput::Deliver);
                if cancelled {
                    self.on_cancel(now, timers, out);
                }
            }
            (State::Proceeding { .. }, 100..=199) => out.push(ClientOutput::Deliver),
            (State::Calling { .. } | State::Proceeding { .. }, 200..=299) => {
                out.push(ClientOutput::Deliver);
                self.state = State::Accepted { until: now + timers.give_up() };
            }
            (State::Calling { .. } | State::Proceeding { .. }, 300..=699) => {
                out.push(ClientOutput::SendAck);
                out.push(ClientOutput::Deliver);
                self.state = match timers.d(self.reliable) {
                    Duration::ZERO => State::Terminated,
                    wait => State::Completed { until: now + wait },
                };
            }
            (State::Accepted { .. }, 200..=299) => out.push(ClientOutput::Deliver),
            (State::Completed { .. }, 300..=699) => out.push(ClientOutput::SendAck),
            (
                State::Calling { .. }
                | State::Proceeding { .. }
                | State::Accepted { .. }
                | State::Completed { .. }
                | State::Terminated,
                _,
            ) => {}
        }
    }

    /// Cancels the INVITE, once: at once after a 1xx, with the first 1xx before it, not at
    /// all after a final response.
    pub fn on_cancel(&mut self, now: Instant, timers: &Timers, out: &mut Vec<ClientOutput>) {
        match &mut self.state {
            State::Calling { cancelled, .. } => *cancelled = true,
            State::Proceeding { cancelled: cancelled @ None } => {
                *cancelled = Some(now + timers.give_up());
                out.push(ClientOutput::SendCancel);
            }
            State::Proceeding { cancelled: Some(_) }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// Ends the transaction: its INVITE could not be sent.
    pub fn on_transport_failed(&mut self) {
        self.state = State::Terminated;
    }

    /// Retransmits, gives up or ends, as is due at `now`.
    pub fn on_deadline(&mut self, now: Instant, out: &mut Vec<ClientOutput>) {
        match &mut self.state {
            State::Calling { give_up, .. } | State::Proceeding { cancelled: Some(give_up) }
                if *give_up <= now =>
            {
                out.push(ClientOutput::TimedOut);
                self.state = State::Terminated;
            }
            State::Calling { resend: Some(resend), .. } if resend.at <= now => {
                *resend = resend.again(Duration::MAX, now);
                out.push(ClientOutput::SendRequest);
            }
            State::Accepted { until } | State::Completed { until } if *until <= now => {
                self.state = State::Terminated;
            }
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling { resend: Some(resend), give_up, .. } => Some(resend.at.min(*give_up)),
            State::Calling { resend: None, give_up, .. } => Some(*give_up),
            State::Proceeding { cancelled } => *cancelled,
            State::Accepted { until } | State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// Whether no response has come yet, and one is still wanted.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Calling { cancelled: false, .. })
    }

    /// Whether nothing can be sent any more, neither the INVITE, its CANCEL nor an ACK of the transaction's.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } | State::Completed { .. } => false,
            State::Accepted { .. } | State::Terminated => true,
        }
    }

    /// Whether the transaction is over.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

impl State {
    fn calling(reliable: bool, cancelled: bool, now: Instant, timers: &Timers) -> Self {
        Self::Calling {
            resend: timers.first_resend(reliable, now),
            give_up: now + timers.give_up(),
            cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_ms, epoch, run_to_end};
    use super::*;

    const UDP: bool = false;
    const TCP: bool = true;

    #[test]
    fn unanswered_invite_doubles_its_interval_and_gives_up_after_64_t1() {
        let mut tx = started(UDP);

        let log = run_to_end(&mut tx);

        let sent_ms: Vec<_> = log[..6].iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(log[6..], [(Duration::from_secs(32), ClientOutput::TimedOut)]);
        assert!(tx.is_terminated());
    }

    #[test]
    fn a_stream_carries_the_invite_once() {
        let log = run_to_end(&mut started(TCP));

        assert_eq!(log, [(Duration::from_secs(32), ClientOutput::TimedOut)]);
    }

    #[test]
    fn a_provisional_stops_retransmission_and_timer_b() {
        let mut tx = started(UDP);

        let out = respond(&mut tx, 100, 200);

        assert_eq!(out, [ClientOutput::Deliver]);
        assert_eq!(tx.next_deadline(), None);
    }

    #[test]
    fn every_2xx_is_delivered_until_timer_m_and_none_is_acknowledged_here() {
        for (reliable, first) in [(UDP, 180), (TCP, 180), (UDP, 200)] {
            let mut tx = started(reliable);
            respond(&mut tx, first, 100);

            let answers = [respond(&mut tx, 200, 1_000), respond(&mut tx, 200, 1_500)];

            assert_eq!(answers, [[ClientOutput::Deliver], [ClientOutput::Deliver]]);
            let until = if first == 200 { 32_100 } else { 33_000 };
            assert_eq!(tx.next_deadline(), Some(at_ms(until)));
            assert!(tx.is_silent());
            assert_eq!(run_to_end(&mut tx), []);
        }
    }

    #[test]
    fn a_refusal_is_delivered_once_and_acknowledged_every_time_until_timer_d() {
        let mut tx = started(UDP);

        assert_eq!(respond(&mut tx, 486, 1_000), [ClientOutput::SendAck, ClientOutput::Deliver]);
        assert_eq!(respond(&mut tx, 486, 1_500), [ClientOutput::SendAck]);
        assert_eq!(respond(&mut tx, 200, 1_600), []);
        assert_eq!(respond(&mut tx, 180, 1_700), []);
        assert_eq!(tx.next_deadline(), Some(at_ms(33_000)));
    }

    #[test]
    fn a_refusal_on_a_stream_ends_at_once() {
        let mut tx = started(TCP);

        assert_eq!(respond(&mut tx, 486, 1_000), [ClientOutput::SendAck, ClientOutput::Deliver]);

        assert!(tx.is_terminated());
    }

    #[test]
    fn cancel_waits_for_the_first_provisional_and_goes_out_once() {
        let mut tx = started(UDP);

        assert_eq!(cancel(&mut tx, 100), []);
        assert_eq!(respond(&mut tx, 100, 300), [ClientOutput::Deliver, ClientOutput::SendCancel]);
        assert_eq!(respond(&mut tx, 180, 400), [ClientOutput::Deliver]);
        assert_eq!(cancel(&mut tx, 500), []);
    }

    #[test]
    fn cancel_after_a_provisional_goes_out_at_once_and_waits_64_t1_for_a_final() {
        let mut tx = started(UDP);
        respond(&mut tx, 180, 100);

        assert_eq!(cancel(&mut tx, 1_000), [ClientOutput::SendCancel]);

        assert_eq!(run_to_end(&mut tx), [(Duration::from_secs(33), ClientOutput::TimedOut)]);
    }

    #[test]
    fn cancel_after_a_final_is_nothing() {
        for code in [200, 486] {
            let mut tx = started(UDP);
            respond(&mut tx, code, 100);

            assert_eq!(cancel(&mut tx, 200), []);
        }
    }

    #[test]
    fn a_cancelled_invite_that_is_answered_all_the_same_delivers_its_2xx() {
        let mut tx = started(UDP);
        respond(&mut tx, 180, 100);
        cancel(&mut tx, 200);

        assert_eq!(respond(&mut tx, 200, 300), [ClientOutput::Deliver]);
        assert_eq!(tx.next_deadline(), Some(at_ms(32_300)));
    }

    #[test]
    fn another_transport_starts_over_but_remembers_the_cancel() {
        let mut tx = started(TCP);
        cancel(&mut tx, 500);
        let mut out = Vec::new();

        tx.on_rerouted(UDP, at_ms(1_000), &Timers::default(), &mut out);

        assert_eq!(out, [ClientOutput::SendRequest]);
        assert_eq!(tx.next_deadline(), Some(at_ms(1_500)));
        assert_eq!(respond(&mut tx, 100, 1_100), [ClientOutput::Deliver, ClientOutput::SendCancel]);
    }

    #[test]
    fn another_transport_is_not_tried_once_a_response_has_come() {
        let mut tx = started(UDP);
        respond(&mut tx, 100, 100);
        let mut out = Vec::new();

        tx.on_rerouted(TCP, at_ms(1_000), &Timers::default(), &mut out);

        assert_eq!(out, []);
        assert_eq!(tx.next_deadline(), None);
    }

    fn started(reliable: bool) -> InviteClient {
        let mut out = Vec::new();
        let tx = InviteClient::start(reliable, epoch(), &Timers::default(), &mut out);
        assert_eq!(out, [ClientOutput::SendRequest]);
        tx
    }

    fn respond(tx: &mut InviteClient, code: u16, ms: u64) -> Vec<ClientOutput> {
        let mut out = Vec::new();
        tx.on_response(code, at_ms(ms), &Timers::default(), &mut out);
        out
    }

    fn cancel(tx: &mut InviteClient, ms: u64) -> Vec<ClientOutput> {
        let mut out = Vec::new();
        tx.on_cancel(at_ms(ms), &Timers::default(), &mut out);
        out
    }
}

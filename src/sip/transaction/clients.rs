//! The client half of the table: our requests and the responses to them (RFC 3261 §17.1, §9.1).
//!
//! A CANCEL of ours shares the branch of its INVITE and is told apart by the method in CSeq (§17.1.3).
//! The request's bytes go as soon as they cannot be needed: an answered INVITE waits for further 2xx with
//! a timer and nothing else.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::client::Client;
use super::invite_client::InviteClient;
use super::timed_map::{Timed, TimedMap};
use super::{Action, ClientOutput};
use crate::id::ClientTx;
use crate::sip::build;
use crate::sip::flow::{ConnectionId, Flow};
use crate::sip::message::{Limits, Message, Method};
use crate::sip::timers::Timers;

#[derive(Debug)]
pub(super) struct Clients {
    timers: Timers,
    transactions: TimedMap<Key, Transaction>,
    outputs: Vec<ClientOutput>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Key {
    tx: ClientTx,
    cancel: bool,
}

#[derive(Debug)]
struct Transaction {
    machine: Machine,
    /// [`Method::label`], compared with the CSeq of responses.
    method: &'static str,
    wire: Option<Box<Wire>>,
}

/// What may still have to be sent.
#[derive(Debug)]
struct Wire {
    flow: Flow,
    request: Bytes,
    ack: Option<Bytes>,
    /// It went by a second connection, since the first one was lost.
    went_again: bool,
    cancel_reason: Option<Box<str>>,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteClient),
    Other(Client),
}

impl Clients {
    pub(super) fn new(timers: Timers) -> Self {
        Self { timers, transactions: TimedMap::new(), outputs: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    pub(super) fn request(
        &mut self,
        tx: ClientTx,
        method: Method<'_>,
        bytes: Bytes,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let key = Key { tx, cancel: method == Method::Cancel };
        self.insert(key, method, bytes, flow, now, out);
    }

    pub(super) fn resend(
        &mut self,
        tx: ClientTx,
        bytes: Bytes,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.step(Key::of(tx), None, now, out, |transaction, timers, outputs| {
            transaction.machine.on_rerouted(flow.transport.is_reliable(), now, timers, outputs);
            if let (Some(wire), [ClientOutput::SendRequest, ..]) = (&mut transaction.wire, outputs.as_slice())
            {
                wire.request = bytes;
                wire.flow = flow;
            }
        });
    }

    pub(super) fn unanswered_by(&self, connection: ConnectionId, remote: SocketAddr) -> Vec<ClientTx> {
        let went_by = |wire: &Wire| match wire.flow.connection {
            Some(own) => own == connection,
            None => wire.flow.transport.is_reliable() && wire.flow.remote == remote,
        };
        let unanswered = self.transactions.iter().filter(|(key, transaction)| {
            !key.cancel
                && transaction.machine.is_waiting()
                && transaction.wire.as_deref().is_some_and(went_by)
        });
        let mut unanswered: Vec<_> = unanswered.map(|(key, _)| key.tx).collect();
        unanswered.sort_unstable();
        unanswered
    }

    pub(super) fn send_again(&mut self, tx: ClientTx, now: Instant, out: &mut Vec<Action>) -> bool {
        let mut goes = false;
        self.step(Key::of(tx), None, now, out, |transaction, _, outputs| {
            let waits = transaction.machine.is_waiting();
            let Some(wire) = transaction.wire.as_deref_mut().filter(|wire| waits && !wire.went_again) else {
                return;
            };
            wire.went_again = true;
            wire.flow.connection = None;
            outputs.push(ClientOutput::SendRequest);
            goes = true;
        });
        goes
    }

    pub(super) fn cancel(&mut self, tx: ClientTx, reason: Option<&str>, now: Instant, out: &mut Vec<Action>) {
        self.step(Key::of(tx), None, now, out, |transaction, timers, outputs| {
            if let Some(wire) = &mut transaction.wire {
                wire.cancel_reason = reason.map(Box::from);
            }
            match &mut transaction.machine {
                Machine::Invite(machine) => machine.on_cancel(now, timers, outputs),
                Machine::Other(_) => {}
            }
        });
    }

    pub(super) fn on_response(
        &mut self,
        tx: ClientTx,
        response: &Message,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        let (Some(code), Ok(cseq)) = (response.status(), response.cseq()) else { return false };
        let key = Key { tx, cancel: cseq.method == Method::Cancel };
        if self.transactions.get(key).is_none_or(|standing| standing.method != cseq.method.label()) {
            return false;
        }
        self.step(key, Some(response), now, out, |transaction, timers, outputs| {
            transaction.machine.on_response(code, now, timers, outputs);
        });
        true
    }

    pub(super) fn on_transport_failed(&mut self, tx: ClientTx, now: Instant, out: &mut Vec<Action>) {
        self.step(Key::of(tx), None, now, out, |transaction, _, _| match &mut transaction.machine {
            Machine::Invite(machine) => machine.on_transport_failed(),
            Machine::Other(machine) => machine.on_transport_failed(),
        });
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.transactions.next_deadline()
    }

    pub(super) fn on_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(key) = self.transactions.pop_due(now) {
            self.step(key, None, now, out, |transaction, timers, outputs| {
                transaction.machine.on_deadline(now, timers, outputs);
            });
        }
    }

    fn insert(
        &mut self,
        key: Key,
        method: Method<'_>,
        request: Bytes,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let reliable = flow.transport.is_reliable();
        let machine = match method {
            Method::Invite => {
                Machine::Invite(InviteClient::start(reliable, now, &self.timers, &mut self.outputs))
            }
            _ => Machine::Other(Client::start(reliable, now, &self.timers, &mut self.outputs)),
        };
        self.outputs.clear();
        out.push(Action::Send { flow, bytes: request.clone(), of: key.of_request() });
        let wire = Some(Box::new(Wire { flow, request, ack: None, went_again: false, cancel_reason: None }));
        self.transactions.insert(key, Transaction { machine, method: method.label(), wire });
    }

    /// Lets the machine of `key` take `step` and carries out what it asks for.
    /// `response` is what has just come.
    fn step(
        &mut self,
        key: Key,
        response: Option<&Message>,
        now: Instant,
        out: &mut Vec<Action>,
        step: impl FnOnce(&mut Transaction, &Timers, &mut Vec<ClientOutput>),
    ) {
        let mut cancel = None;
        let over = self.transactions.update(key, |transaction| {
            step(transaction, &self.timers, &mut self.outputs);
            for output in self.outputs.drain(..) {
                match output {
                    ClientOutput::SendRequest => out.extend(transaction.send_request(key)),
                    ClientOutput::SendAck => out.extend(transaction.send_ack(response)),
                    ClientOutput::SendCancel => cancel = transaction.cancel(),
                    ClientOutput::Deliver if !key.cancel => out.extend(
                        response.map(|message| Action::Response { tx: key.tx, message: message.clone() }),
                    ),
                    ClientOutput::TimedOut if !key.cancel => out.push(Action::TimedOut { tx: key.tx }),
                    ClientOutput::Deliver | ClientOutput::TimedOut => {}
                }
            }
            if transaction.machine.is_silent() {
                transaction.wire = None;
            }
            transaction.machine.is_terminated()
        });
        if over == Some(true) {
            self.transactions.remove(key);
            if !key.cancel {
                out.push(Action::ClientGone { tx: key.tx });
            }
        }
        if let Some((bytes, flow)) = cancel {
            self.insert(Key { cancel: true, ..key }, Method::Cancel, bytes, flow, now, out);
        }
    }
}

impl Key {
    fn of(tx: ClientTx) -> Self {
        Self { tx, cancel: false }
    }

    /// A CANCEL that cannot be sent must not end its INVITE.
    fn of_request(self) -> Option<ClientTx> {
        (!self.cancel).then_some(self.tx)
    }
}

impl Transaction {
    fn send_request(&self, key: Key) -> Option<Action> {
        let wire = self.wire.as_deref()?;
        Some(Action::Send { flow: wire.flow, bytes: wire.request.clone(), of: key.of_request() })
    }

    /// The ACK to `refusal`, which from the first on is kept in place of the INVITE.
    fn send_ack(&mut self, refusal: Option<&Message>) -> Option<Action> {
        let wire = self.wire.as_deref_mut()?;
        if wire.ack.is_none() {
            wire.ack = Some(build::ack_for_failure(&wire.request()?, refusal?));
            wire.request = Bytes::new();
        }
        Some(Action::Send { flow: wire.flow, bytes: wire.ack.clone()?, of: None })
    }

    fn cancel(&self) -> Option<(Bytes, Flow)> {
        let wire = self.wire.as_deref()?;
        let cancel = build::cancel_with_reason(&wire.request()?, wire.cancel_reason.as_deref());
        Some((cancel, wire.flow))
    }
}

impl Wire {
    fn request(&self) -> Option<Message> {
        Message::parse(self.request.clone(), &Limits::default()).ok()
    }
}

impl Timed for Transaction {
    fn next_deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Invite(machine) => machine.next_deadline(),
            Machine::Other(machine) => machine.next_deadline(),
        }
    }
}

impl Machine {
    fn on_rerouted(
        &mut self,
        reliable: bool,
        now: Instant,
        timers: &Timers,
        outputs: &mut Vec<ClientOutput>,
    ) {
        match self {
            Self::Invite(machine) => machine.on_rerouted(reliable, now, timers, outputs),
            Self::Other(machine) => machine.on_rerouted(reliable, now, timers, outputs),
        }
    }

    fn on_response(&mut self, code: u16, now: Instant, timers: &Timers, outputs: &mut Vec<ClientOutput>) {
        match self {
            Self::Invite(machine) => machine.on_response(code, now, timers, outputs),
            Self::Other(machine) => machine.on_response(code, now, timers, outputs),
        }
    }

    fn on_deadline(&mut self, now: Instant, timers: &Timers, outputs: &mut Vec<ClientOutput>) {
        match self {
            Self::Invite(machine) => machine.on_deadline(now, outputs),
            Self::Other(machine) => machine.on_deadline(now, timers, outputs),
        }
    }

    fn is_waiting(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_waiting(),
            Self::Other(machine) => machine.is_waiting(),
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_silent(),
            Self::Other(machine) => machine.is_silent(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }
}

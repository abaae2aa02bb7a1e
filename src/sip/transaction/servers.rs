//! The server half of the table: requests of peers and our responses (RFC 3261 §17.2, §9.2, §8.2.2.2).
//!
//! What lingers is small: a hash instead of the request, and the response's bytes only while the transaction
//! itself may have to repeat them.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::invite_server::InviteServer;
use super::keys::{Key, Keys};
use super::server::Server;
use super::timed_map::{Timed, TimedMap};
use super::{Action, Incoming, ServerOutput};
use crate::id::ServerTx;
use crate::sip::flow::Flow;
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timers;

#[derive(Debug)]
pub(super) struct Servers {
    timers: Timers,
    keys: Keys,
    transactions: TimedMap<ServerTx, Transaction>,
    by_key: HashMap<Key, ServerTx>,
    by_merge_key: HashMap<Key, ServerTx>,
    last: u64,
    outputs: Vec<ServerOutput>,
}

#[derive(Debug)]
struct Transaction {
    machine: Machine,
    key: Key,
    merge_key: Option<Key>,
    flow: Flow,
    /// The last response while it may have to be repeated, else empty.
    response: Bytes,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    Other(Server),
}

impl Servers {
    pub(super) fn new(timers: Timers) -> Self {
        Self {
            timers,
            keys: Keys::default(),
            transactions: TimedMap::new(),
            by_key: HashMap::new(),
            by_merge_key: HashMap::new(),
            last: 0,
            outputs: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    pub(super) fn flow_of(&self, request: &Message) -> Option<Flow> {
        let method = request.method()?;
        let tx = match method {
            Method::Cancel => self.find(request, method).or_else(|| self.find(request, Method::Invite)),
            _ => self.find(request, method),
        }?;
        Some(self.transactions.get(tx)?.flow)
    }

    pub(super) fn on_request(
        &mut self,
        request: &Message,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Incoming {
        let Some(method) = request.method() else { return Incoming::Absorbed };
        if method == Method::Ack {
            return self.on_ack(request, now, out);
        }
        let key = self.keys.transaction(request, method);
        if let Some(&tx) = self.by_key.get(&key) {
            self.step(tx, None, out, |machine, _, outputs| machine.on_repeated(outputs));
            return Incoming::Absorbed;
        }
        if method == Method::Cancel {
            let cancel =
                self.insert(Machine::Other(Server::new(flow.transport.is_reliable())), key, None, flow);
            return match self.find(request, Method::Invite) {
                Some(invite) => Incoming::Cancel { cancel, invite },
                None => Incoming::CancelUnknown(cancel),
            };
        }
        let machine = Machine::new(method, flow);
        let merge_key = self.keys.merge(request);
        if merge_key.is_some_and(|merge_key| self.by_merge_key.contains_key(&merge_key)) {
            Incoming::Merged(self.insert(machine, key, None, flow))
        } else {
            Incoming::New(self.insert(machine, key, merge_key, flow))
        }
    }

    pub(super) fn respond(
        &mut self,
        tx: ServerTx,
        code: u16,
        bytes: Bytes,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.step(tx, Some(bytes), out, |machine, timers, outputs| {
            machine.on_respond(code, now, timers, outputs);
        });
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.transactions.next_deadline()
    }

    pub(super) fn on_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(tx) = self.transactions.pop_due(now) {
            self.step(tx, None, out, |machine, timers, outputs| machine.on_deadline(now, timers, outputs));
        }
    }

    fn on_ack(&mut self, request: &Message, now: Instant, out: &mut Vec<Action>) -> Incoming {
        let Some(invite) = self.find(request, Method::Invite) else { return Incoming::Ack };
        let delivered =
            self.step(invite, None, out, |machine, timers, outputs| machine.on_ack(now, timers, outputs));
        if delivered { Incoming::Ack } else { Incoming::Absorbed }
    }

    fn find(&self, request: &Message, method: Method<'_>) -> Option<ServerTx> {
        let method = if method == Method::Ack { Method::Invite } else { method };
        self.by_key.get(&self.keys.transaction(request, method)).copied()
    }

    fn insert(&mut self, machine: Machine, key: Key, merge_key: Option<Key>, flow: Flow) -> ServerTx {
        self.last += 1;
        let tx = ServerTx(self.last);
        self.by_key.insert(key, tx);
        if let Some(merge_key) = merge_key {
            self.by_merge_key.insert(merge_key, tx);
        }
        self.transactions.insert(tx, Transaction { machine, key, merge_key, flow, response: Bytes::new() });
        tx
    }

    /// Lets the machine of `tx` take `step` and carries out what it asks for. `response` is what the user
    /// sends with it. Returns whether the request is to be delivered to the user.
    fn step(
        &mut self,
        tx: ServerTx,
        response: Option<Bytes>,
        out: &mut Vec<Action>,
        step: impl FnOnce(&mut Machine, &Timers, &mut Vec<ServerOutput>),
    ) -> bool {
        let mut delivered = false;
        let over = self.transactions.update(tx, |transaction| {
            step(&mut transaction.machine, &self.timers, &mut self.outputs);
            if !transaction.machine.repeats_response() {
                transaction.response = Bytes::new();
            }
            for output in self.outputs.drain(..) {
                match output {
                    ServerOutput::SendResponse => out.push(transaction.send(response.as_ref())),
                    ServerOutput::NoAck => out.push(Action::NoAck { tx }),
                    ServerOutput::DeliverAck => delivered = true,
                }
            }
            transaction.machine.is_terminated()
        });
        if over == Some(true) {
            self.forget(tx);
            out.push(Action::ServerGone { tx });
        }
        delivered
    }

    pub(super) fn forget(&mut self, tx: ServerTx) {
        let Some(transaction) = self.transactions.remove(tx) else { return };
        self.by_key.remove(&transaction.key);
        if let Some(merge_key) = transaction.merge_key {
            self.by_merge_key.remove(&merge_key);
        }
    }
}

impl Transaction {
    /// Sends `response`, or the last one again. What is kept is a copy, because the original may be
    /// part of a larger buffer.
    fn send(&mut self, response: Option<&Bytes>) -> Action {
        let bytes = match response {
            Some(response) if self.machine.repeats_response() => {
                self.response = Bytes::copy_from_slice(response);
                response.clone()
            }
            Some(response) => response.clone(),
            None => self.response.clone(),
        };
        Action::Send { flow: self.flow, bytes, of: None }
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
    fn new(method: Method<'_>, flow: Flow) -> Self {
        let reliable = flow.transport.is_reliable();
        match method {
            Method::Invite => Self::Invite(InviteServer::new(reliable)),
            _ => Self::Other(Server::new(reliable)),
        }
    }

    fn on_repeated(&mut self, outputs: &mut Vec<ServerOutput>) {
        match self {
            Self::Invite(machine) => machine.on_repeated(outputs),
            Self::Other(machine) => machine.on_repeated(outputs),
        }
    }

    fn on_ack(&mut self, now: Instant, timers: &Timers, outputs: &mut Vec<ServerOutput>) {
        match self {
            Self::Invite(machine) => machine.on_ack(now, timers, outputs),
            Self::Other(_) => {}
        }
    }

    fn on_respond(&mut self, code: u16, now: Instant, timers: &Timers, outputs: &mut Vec<ServerOutput>) {
        match self {
            Self::Invite(machine) => machine.on_respond(code, now, timers, outputs),
            Self::Other(machine) => machine.on_respond(code, now, timers, outputs),
        }
    }

    fn on_deadline(&mut self, now: Instant, timers: &Timers, outputs: &mut Vec<ServerOutput>) {
        match self {
            Self::Invite(machine) => machine.on_deadline(now, timers, outputs),
            Self::Other(machine) => machine.on_deadline(now),
        }
    }

    fn repeats_response(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.repeats_response(),
            Self::Other(machine) => !machine.is_terminated(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }
}

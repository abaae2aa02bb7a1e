//! The transaction table: every standing transaction, found by what a message carries, and their timers.
//!
//! Driven by whoever owns the sockets: messages, `now` and failed sends go in, [`Action`]s come out. A
//! response is matched by branch and CSeq method alone, so it may arrive by any connection. Creating a server
//! transaction is the driver's decision (it calls [`Table::on_request`] only for requests it wants to
//! answer), so it also bounds [`Table::len`].
//!
//! Hot path: a handful of hash look-ups and one heap operation per call, whatever the number
//! of standing transactions.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::clients::Clients;
use super::servers::Servers;
use super::{Action, Incoming};
use crate::id::{ClientTx, ServerTx};
use crate::sip::flow::{ConnectionId, Flow};
use crate::sip::message::{Message, Method};
use crate::sip::timers::Timers;

/// All standing transactions of one process, client and server.
#[derive(Debug)]
pub struct Table {
    clients: Clients,
    servers: Servers,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(timers: Timers) -> Self {
        Self { clients: Clients::new(timers), servers: Servers::new(timers) }
    }

    /// How many transactions stand, the lingering ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether none stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `request` belongs to a standing server transaction: repeated, an ACK to its
    /// INVITE, or a CANCEL of it. Creates nothing, so that retransmissions can be answered before
    /// their sender is recognised.
    #[must_use]
    pub fn matches(&self, request: &Message) -> bool {
        self.flow_of(request).is_some()
    }

    /// The flow of the server transaction that `request` belongs to (see [`Self::matches`]), as
    /// its first request gave it.
    #[must_use]
    pub fn flow_of(&self, request: &Message) -> Option<Flow> {
        self.servers.flow_of(request)
    }

    /// Takes a request that has arrived; `flow` is where its responses go (see [`crate::sip::nat`]).
    pub fn on_request(
        &mut self,
        request: &Message,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Incoming {
        self.servers.on_request(request, flow, now, out)
    }

    /// Sends `bytes`, whose status is `code`, as a response of `tx`.
    ///
    /// A 1xx may be followed by others. After a final response further calls do nothing, except that a 2xx to
    /// an INVITE may be sent as often as its user repeats it.
    pub fn respond(&mut self, tx: ServerTx, code: u16, bytes: Bytes, now: Instant, out: &mut Vec<Action>) {
        self.servers.respond(tx, code, bytes, now, out);
    }

    /// Forgets the request of `tx`, which is answered without state (RFC 3261 §8.2.7).
    pub fn forget(&mut self, tx: ServerTx) {
        self.servers.forget(tx);
    }

    /// Starts a client transaction. `bytes` is the complete request; the branch of its Via is that of `tx`.
    pub fn request(
        &mut self,
        tx: ClientTx,
        method: Method<'_>,
        bytes: Bytes,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.clients.request(tx, method, bytes, flow, now, out);
    }

    /// Sends the request of `tx` again by another transport, with its timers from the beginning. Does
    /// nothing if a response has come. To be called in place of [`Self::on_transport_failed`], which
    /// would end the transaction.
    pub fn resend(&mut self, tx: ClientTx, bytes: Bytes, flow: Flow, now: Instant, out: &mut Vec<Action>) {
        self.clients.resend(tx, bytes, flow, now, out);
    }

    /// Our requests that went by `connection`, or to `remote` by whatever stream stood, and that have had no
    /// response.
    #[must_use]
    pub fn unanswered_by(&self, connection: ConnectionId, remote: SocketAddr) -> Vec<ClientTx> {
        self.clients.unanswered_by(connection, remote)
    }

    /// Sends the request of `tx` once more, by a new connection, since the one it went by is gone. Whoever
    /// got it by both takes the second for a repetition: the branch is the same. False, and nothing is sent,
    /// when a response has come, nobody waits for one, or it went again before.
    pub fn send_again(&mut self, tx: ClientTx, now: Instant, out: &mut Vec<Action>) -> bool {
        self.clients.send_again(tx, now, out)
    }

    /// Cancels our INVITE (RFC 3261 §9.1): at once if a 1xx came, when the first 1xx comes otherwise, not at
    /// all after a final response. `reason` is the value of its Reason header.
    ///
    /// The CANCEL is a transaction of the table's own, whose answer is not delivered. If no final response to
    /// the INVITE follows within 64·T1, [`Action::TimedOut`] is pushed.
    pub fn cancel(&mut self, tx: ClientTx, reason: Option<&str>, now: Instant, out: &mut Vec<Action>) {
        self.clients.cancel(tx, reason, now, out);
    }

    /// Takes a response that has arrived; `tx` is from the branch of its Via (`Ids::parse_branch`). False if
    /// it matches no transaction, by branch and the method in CSeq.
    pub fn on_response(
        &mut self,
        tx: ClientTx,
        response: &Message,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        self.clients.on_response(tx, response, now, out)
    }

    /// The request of `tx` could not be sent: the transaction ends at once. The driver itself tells
    /// the user; no action does.
    pub fn on_transport_failed(&mut self, tx: ClientTx, now: Instant, out: &mut Vec<Action>) {
        self.clients.on_transport_failed(tx, now, out);
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.clients.next_deadline(), self.servers.next_deadline()].into_iter().flatten().min()
    }

    /// Fires every timer that is due at `now`.
    pub fn on_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.clients.on_deadline(now, out);
        self.servers.on_deadline(now, out);
    }
}

//! The four machines of RFC 3261 §17 (as amended by RFC 6026) and their table: STUB.
//!
//! submodules: invite_client, client, invite_server, server, table
use super::flow::Flow;
use super::message::{Message, Method};
use super::timers::Timers;
use crate::id::{ClientTx, ServerTx};
use bytes::Bytes;
use std::time::Instant;

/// What the table asks its driver to do, in order.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes (first time or retransmission).
    Send {
        flow: Flow,
        bytes: Bytes,
        by: Owner,
    },
    /// Deliver to the user of client transaction `tx`: every 1xx, every 2xx to INVITE (repeats and forks too), the first other final.
    Response {
        tx: ClientTx,
        message: Message,
    },
    /// Timer B or F: no final response (or none at all).
    TimedOut {
        tx: ClientTx,
    },
    /// The client transaction is gone and `tx` may not be used again.
    ClientGone {
        tx: ClientTx,
    },
    /// Timer H: no ACK came for our non-2xx final.
    NoAck {
        tx: ServerTx,
    },
    ServerGone {
        tx: ServerTx,
    },
}
/// Whose message is sent, so that a failed send finds its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Client(ClientTx),
    Server(ServerTx),
    Nobody,
}

/// What an arriving request is.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A new server transaction was created; answer it with [`Table::respond`]. (Every method but ACK and CANCEL-that-matches.)
    New(ServerTx),
    /// A CANCEL that matches INVITE transaction `invite`; `cancel` is its own new transaction, to be answered too (200).
    Cancel { cancel: ServerTx, invite: ServerTx },
    /// A CANCEL with nothing to cancel: answer 481 (a new transaction was created).
    CancelUnknown(ServerTx),
    /// Retransmission or ACK to a non-2xx: dealt with, actions were pushed.
    Absorbed,
    /// ACK that matches no failed INVITE: the ACK to a 2xx (find the dialog) or a stray.
    Ack,
    /// Same request by another path (RFC 3261 §8.2.2.2): answer 482 (a new transaction was created).
    Merged(ServerTx),
}

pub struct Table {}
impl Table {
    pub fn new(_timers: Timers) -> Self {
        todo!()
    }
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// Looks the request up without creating anything: true when it matches a standing server transaction (retransmission, ACK to a non-2xx,
    /// CANCEL of a standing INVITE). Lets the server answer retransmissions before the recognition of peers.
    pub fn matches(&self, _request: &Message) -> bool {
        todo!()
    }
    /// `flow` is where its responses go (see `nat`).
    pub fn on_request(
        &mut self,
        _request: &Message,
        _flow: Flow,
        _now: Instant,
        _out: &mut Vec<Action>,
    ) -> Incoming {
        todo!()
    }
    /// Sends `bytes` as the response; a 1xx may be followed by others. After a final one further calls are ignored, except 2xx repeated by the UAS core (INVITE).
    pub fn respond(
        &mut self,
        _tx: ServerTx,
        _code: u16,
        _bytes: Bytes,
        _now: Instant,
        _out: &mut Vec<Action>,
    ) {
        todo!()
    }
    /// Starts a client transaction. `bytes` is the complete request with the Via whose branch is `tx`'s.
    pub fn request(
        &mut self,
        _tx: ClientTx,
        _method: Method<'_>,
        _bytes: Bytes,
        _flow: Flow,
        _now: Instant,
        _out: &mut Vec<Action>,
    ) {
        todo!()
    }
    /// The same request again by another transport (TCP refused: UDP): replaces bytes and flow and restarts the timers.
    pub fn resend(
        &mut self,
        _tx: ClientTx,
        _bytes: Bytes,
        _flow: Flow,
        _now: Instant,
        _out: &mut Vec<Action>,
    ) {
        todo!()
    }
    /// CANCELs our INVITE (RFC 3261 §9.1): at once if a 1xx came, when the first 1xx comes otherwise (nothing after a final). The CANCEL is a transaction of the table's own;
    /// its answer is not delivered. If no final follows within 64*T1 of the CANCEL, `TimedOut` is pushed.
    pub fn cancel(&mut self, _tx: ClientTx, _reason: Option<&str>, _now: Instant, _out: &mut Vec<Action>) {
        todo!()
    }
    /// `tx` is from the branch (`Ids::parse_branch`); false if nothing matches (method in CSeq is compared).
    pub fn on_response(
        &mut self,
        _tx: ClientTx,
        _response: &Message,
        _now: Instant,
        _out: &mut Vec<Action>,
    ) -> bool {
        todo!()
    }
    /// The transport could not send; the client transaction ends at once (its user is told by the driver), a server transaction too.
    pub fn on_transport_failed(&mut self, _owner: Owner, _now: Instant, _out: &mut Vec<Action>) {
        todo!()
    }
    pub fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }
    pub fn on_deadline(&mut self, _now: Instant, _out: &mut Vec<Action>) {
        todo!()
    }
}

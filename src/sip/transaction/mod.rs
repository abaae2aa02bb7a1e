//! Transactions (RFC 3261 §17, RFC 6026): the four machines, one file each, and the
//! [`Table`] that drives them.
//!
//! A machine knows status codes and time; the table knows bytes, keys and flows. What surprises newcomers: an
//! INVITE's 2xx ends neither transaction at once. Both linger 64·T1 as Accepted, the client's to deliver
//! every 2xx of a fork, the server's to swallow a repeated INVITE, and the repeating of the 2xx and its ACK
//! belong to the dialog's user.

mod clients;
mod keys;
mod servers;
mod table;
mod timed_map;

pub mod client;
pub mod invite_client;
pub mod invite_server;
pub mod server;

#[cfg(test)]
pub(crate) mod testing;

use bytes::Bytes;

use super::flow::Flow;
use super::message::Message;
use crate::id::{ClientTx, ServerTx};

pub use table::Table;

/// What a client machine asks of the table, in the order in which it must happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientOutput {
    /// Send the request, for the first time or again.
    SendRequest,
    /// Send the ACK to a non-2xx final response, for the first time or again.
    SendAck,
    /// Start the CANCEL's own transaction.
    SendCancel,
    /// Hand the response that came to the user.
    Deliver,
    /// Tell the user that no final response came in time.
    TimedOut,
}

/// What a server machine asks of the table, in the order in which it must happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerOutput {
    /// Send the response just given, or the last one again.
    SendResponse,
    /// Hand the ACK that came to the user: it is that to a 2xx.
    DeliverAck,
    /// Tell the user that its non-2xx final response was never acknowledged.
    NoAck,
}

/// What the table asks its driver to do, in order.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes, for the first time or again.
    Send {
        /// Where to.
        flow: Flow,
        /// The whole message.
        bytes: Bytes,
        /// Whose request it is, so that a failed send finds its transaction (see
        /// [`Table::on_transport_failed`]). `None` for what nobody misses: a response, a
        /// CANCEL, the ACK to a failure.
        of: Option<ClientTx>,
    },
    /// Deliver to the user of a client transaction: every 1xx, every 2xx to INVITE (repeats and forks too),
    /// and the first other final.
    Response {
        /// The transaction.
        tx: ClientTx,
        /// The response.
        message: Message,
    },
    /// Timer B or F: no final response came (or, to a cancelled INVITE, none within 64·T1 of the CANCEL).
    TimedOut {
        /// The transaction.
        tx: ClientTx,
    },
    /// The client transaction is gone.
    ClientGone {
        /// What it was; may not be used again.
        tx: ClientTx,
    },
    /// Timer H: no ACK came for our non-2xx final response.
    NoAck {
        /// The transaction.
        tx: ServerTx,
    },
    /// The server transaction is gone.
    ServerGone {
        /// What it was; never used again.
        tx: ServerTx,
    },
}

/// What an arriving request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A new request, of any method but ACK and a CANCEL: to be answered with [`Table::respond`].
    New(ServerTx),
    /// A CANCEL of a standing INVITE.
    Cancel {
        /// The CANCEL's own transaction, to be answered with 200 in any case.
        cancel: ServerTx,
        /// The INVITE's transaction, to be answered with 487 if it has had no final response.
        invite: ServerTx,
    },
    /// A CANCEL with nothing to cancel, to be answered with 481.
    CancelUnknown(ServerTx),
    /// A repeated request, or the ACK to a non-2xx: dealt with, actions were pushed.
    Absorbed,
    /// An ACK that matches no refused INVITE: that to a 2xx (find the dialog), or a stray.
    Ack,
    /// The same request by another path (RFC 3261 §8.2.2.2), to be answered with 482.
    Merged(ServerTx),
}

//! A call that stands, as whoever placed or expected it holds it, and the ways in which one can fail.

use std::io;

use tokio::sync::{mpsc, oneshot, watch};

use crate::sim::digest::ChallengeError;
use crate::sim::g711::Law;
use crate::sim::stream::StreamId;

/// An answered and acknowledged call at one far end; it goes on when the handle is dropped.
#[derive(Debug)]
pub struct Call {
    /// Call-ID of this end's leg.
    pub call_id: String,
    /// Its audio.
    pub stream: StreamId,
    /// The law that was agreed.
    pub law: Law,
    /// When the INVITE was sent or received, in ns since the epoch.
    pub invited_ns: u64,
    /// When the 200 was received or sent.
    pub answered_ns: u64,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) ended: watch::Receiver<Option<Ended>>,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// This far end, because it was told to.
    Here,
    /// The other side, by BYE.
    There,
    /// This far end, because it heard nothing for too long.
    Silence,
    /// This far end, because its 200 was never acknowledged.
    NoAck,
}

/// Why a call did not come about, or could not be ended properly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A final response other than 200.
    #[error("the call was refused: {code} {reason}")]
    Refused {
        /// Status code.
        code: u16,
        /// Reason phrase.
        reason: String,
    },
    /// Not even a 100.
    #[error("no response at all to {method} within {seconds} s")]
    NoResponse {
        /// The request.
        method: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// Rang without end.
    #[error("the call was not answered within {seconds} s")]
    NoAnswer {
        /// How long was waited.
        seconds: u64,
    },
    /// The other far end saw nothing of it.
    #[error("the call did not arrive, answered and acknowledged, at the other end within {seconds} s")]
    NeverCame {
        /// How long was waited.
        seconds: u64,
    },
    /// We answered, and heard no ACK.
    #[error("the 200 was never acknowledged")]
    NoAck,
    /// Given up by the caller.
    #[error("the caller cancelled")]
    Cancelled,
    /// What the other side wrote about its audio.
    #[error("the SDP received cannot be used: {0}")]
    Sdp(String),
    /// Agreed, but not to be heard here.
    #[error("G.722 was agreed, which the simulated ends cannot hear")]
    Unmeasurable,
    /// Challenged in a way that cannot be answered.
    #[error("{0}")]
    Challenge(#[from] ChallengeError),
    /// Challenged again and again, or without credentials to present.
    #[error("the credentials were not accepted ({code})")]
    Credentials {
        /// 401 or 407.
        code: u16,
    },
    /// BYE got something else than 200.
    #[error("BYE was answered with {code}")]
    Bye {
        /// Status code.
        code: u16,
    },
    /// This end's own sockets.
    #[error("no socket for the call: {0}")]
    Socket(String),
    /// The call had ended before it could be hung up.
    #[error("the call had already ended")]
    Gone,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Socket(error.to_string())
    }
}

pub(super) enum Order {
    HangUp(oneshot::Sender<Result<(), Failure>>),
}

impl Call {
    /// Sends BYE and waits for its 200.
    ///
    /// # Errors
    ///
    /// What came instead of it, or [`Failure::Gone`].
    pub async fn hang_up(&self) -> Result<(), Failure> {
        let (reply, outcome) = oneshot::channel();
        self.orders.send(Order::HangUp(reply)).map_err(|_| Failure::Gone)?;
        outcome.await.unwrap_or(Err(Failure::Gone))
    }

    /// Waits until the call is over.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => (*ended).unwrap_or(Ended::Here),
            Err(_) => Ended::Here,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn has_ended(&self) -> Option<Ended> {
        *self.ended.borrow()
    }
}

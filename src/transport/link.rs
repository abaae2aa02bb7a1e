//! What the pool and a connection's task share: messages on their way out, and who is at the other end.
//!
//! A message is in the outbox until the kernel has all of it, or TLS has all of it. Whoever takes one out
//! unsent reports it, so each failure is told exactly once: the task while connecting, the pool when the
//! connection is gone.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::UNTRACKED;
use super::stream::Stream;
use super::tls::Named;
use crate::sip::flow::{ConnectionId, Flow};

/// What the pool and the connection's task share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) remote: SocketAddr,
    /// The path of what comes by it.
    pub(super) flow: Flow,
    /// Who has to be there, when it is TLS and we opened it.
    named: Option<Arc<Named>>,
    /// Set once connected, and by TLS once the handshake is over.
    stream: OnceLock<Stream>,
    outbox: Mutex<Outbox>,
    /// Something is in the outbox that the task must see to.
    wake: Notify,
    recognised: AtomicBool,
    heard: AtomicBool,
}

#[derive(Debug, Default)]
struct Outbox {
    queue: VecDeque<Outgoing>,
    /// Sum of the messages' lengths.
    bytes: usize,
    /// How much of the first message the kernel has.
    written: usize,
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) flow: Flow,
    pub(super) bytes: Bytes,
    pub(super) token: u64,
    /// How long it waits for the connection to stand.
    pub(super) give_up: Instant,
}

impl Link {
    /// The link of a connection that came in by `flow`; it gets its stream by [`Self::stand`].
    pub(super) fn accepted(id: ConnectionId, flow: Flow) -> Self {
        Self::new(id, flow, None, false)
    }

    /// The link of a connection that is being made, by TLS to whoever is `named`.
    pub(super) fn dialled(id: ConnectionId, flow: Flow, named: Option<Arc<Named>>) -> Self {
        Self::new(id, flow, named, true)
    }

    fn new(id: ConnectionId, flow: Flow, named: Option<Arc<Named>>, recognised: bool) -> Self {
        Self {
            id,
            remote: flow.remote,
            flow: Flow { connection: Some(id), ..flow },
            named,
            stream: OnceLock::new(),
            outbox: Mutex::default(),
            wake: Notify::new(),
            recognised: AtomicBool::new(recognised),
            heard: AtomicBool::new(false),
        }
    }

    pub(super) fn is_standing(&self) -> bool {
        self.stream.get().is_some()
    }

    /// Whether a message may go by it that is for whoever is `named`; `None` where that is not asked.
    ///
    /// The other side of a connection that stands can prove other names too, if the same authorities vouch
    /// for them: the carrier that serves two of our trunks, or the one that called us and was asked for its
    /// certificate.
    pub(super) fn serves(&self, named: Option<&Named>) -> bool {
        let Some(named) = named else { return true };
        let ca = self.named.as_ref().and_then(|own| own.ca.as_ref());
        self.named.as_deref() == Some(named)
            || (ca == named.ca.as_ref() && self.stream.get().is_some_and(|stream| stream.proves(&named.name)))
    }

    /// From here on the other side gets answers to its pings and may stay as long as it likes.
    pub(super) fn recognise(&self) -> bool {
        !self.recognised.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_recognised(&self) -> bool {
        self.recognised.load(Ordering::Relaxed)
    }

    /// Something came by it.
    pub(super) fn note_heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Writes at once what the kernel takes, and leaves the rest to the task.
    ///
    /// # Errors
    ///
    /// The message itself, when the outbox is over its bound: the connection must be given up.
    pub(super) fn send(&self, message: Outgoing) -> Result<(), Outgoing> {
        let mut outbox = self.outbox();
        if outbox.bytes + message.bytes.len() > OUTBOX_BYTES || outbox.queue.len() >= OUTBOX_MESSAGES {
            return Err(message);
        }
        outbox.push(message);
        if outbox.queue.len() == 1
            && let Some(stream) = self.stream.get()
            && let Ok(true) = outbox.flush(stream)
        {
            return Ok(());
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Empties the outbox, for whoever reports what is in it.
    pub(super) fn take_unsent(&self) -> impl Iterator<Item = Outgoing> + use<> {
        std::mem::take(&mut *self.outbox()).queue.into_iter().filter(|message| message.token != UNTRACKED)
    }

    pub(super) fn stand(&self, stream: Stream) -> &Stream {
        self.stream.get_or_init(|| stream)
    }

    pub(super) fn pong(&self) {
        if self.is_recognised() {
            let give_up = Instant::now();
            let pong =
                Outgoing { flow: self.flow, bytes: Bytes::from_static(b"\r\n"), token: UNTRACKED, give_up };
            // A full outbox ends the connection by the next message; a ping that is not answered does so
            // sooner.
            let _ = self.send(pong);
        }
    }

    /// Waits until there is something to write.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes out what is past its time, and says when the next one will be; `None` when nothing is left.
    pub(super) fn expire(&self, now: Instant) -> (Vec<Outgoing>, Option<Instant>) {
        self.outbox().expire(now)
    }

    /// Whether all was written; `false` when the kernel takes no more for now.
    pub(super) fn flush(&self, stream: &Stream) -> io::Result<bool> {
        self.outbox().flush(stream)
    }

    /// Holds for a few instructions only; a panic in between leaves the outbox as it was.
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    fn push(&mut self, message: Outgoing) {
        self.bytes += message.bytes.len();
        self.queue.push_back(message);
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.bytes.len();
        self.written = 0;
        Some(message)
    }

    fn flush(&mut self, stream: &Stream) -> io::Result<bool> {
        while let Some(first) = self.queue.front() {
            match stream.try_write(first.bytes.get(self.written..).unwrap_or_default()) {
                Ok(length) if self.written + length < first.bytes.len() => self.written += length,
                Ok(_) => {
                    self.pop();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        stream.try_flush()
    }

    fn expire(&mut self, now: Instant) -> (Vec<Outgoing>, Option<Instant>) {
        let (expired, queue): (Vec<_>, Vec<_>) =
            self.queue.drain(..).partition(|message| message.give_up <= now);
        self.bytes = queue.iter().map(|message| message.bytes.len()).sum();
        self.queue = queue.into();
        (expired, self.queue.iter().map(|message| message.give_up).min())
    }
}

/// Bounds of what waits to be written to one connection.
const OUTBOX_BYTES: usize = 1024 * 1024;
const OUTBOX_MESSAGES: usize = 2048;

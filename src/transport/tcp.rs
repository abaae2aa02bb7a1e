//! One TCP connection (RFC 3261 §18): a link that is written to at once, and the task that reads it and finishes writes.
//!
//! ```text
//!                  connected                     ended: closed, reset, bad framing, too slow
//! connecting ──────────────────► standing ──────────────────────────────────────────────────► gone
//!     └──── refused, or every message in the outbox ran out of time ─────────────────────────────┘
//! ```
//!
//! A message is in the outbox until the kernel has all of it. Whoever takes one out unsent reports it, so each failure
//! is told exactly once: the task while connecting, the pool when the connection is gone.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Report, UNTRACKED};
use crate::sip::flow::{ConnectionId, Flow, ListenerId};
use crate::sip::framing::{Frame, Framer, FramingError};
use crate::sip::message::Limits;

/// What the pool and the connection's task share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) remote: SocketAddr,
    /// Set once connected.
    stream: OnceLock<TcpStream>,
    outbox: Mutex<Outbox>,
    /// Something is in the outbox that the task must see to.
    wake: Notify,
    recognised: AtomicBool,
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

/// Why a connection is no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("connecting: {0}")]
    Connect(io::Error),
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("closed by the other side")]
    Eof,
    #[error("{0}")]
    Failed(io::Error),
    #[error("{0}")]
    BadFraming(FramingError),
    #[error("a message was not complete after {} s", PARTIAL_MESSAGE.as_secs())]
    PartialMessage,
    #[error("the other side does not read: {}", .0)]
    SlowReader(&'static str),
    #[error("nothing to be recognised by in {} s", STRANGER.as_secs())]
    Stranger,
    #[error("closed by us")]
    Closed,
}

impl Ended {
    /// Whether the connection was lost rather than closed.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Whether the peer broke the rules of framing.
    pub(super) fn is_framing(&self) -> bool {
        matches!(self, Self::BadFraming(_) | Self::PartialMessage)
    }
}

impl Link {
    /// A link without a stream: one that was accepted gets it by [`Self::stand`], another by [`connect`].
    pub(super) fn new(id: ConnectionId, remote: SocketAddr, recognised: bool) -> Self {
        Self {
            id,
            remote,
            stream: OnceLock::new(),
            outbox: Mutex::default(),
            wake: Notify::new(),
            recognised: AtomicBool::new(recognised),
        }
    }

    pub(super) fn is_standing(&self) -> bool {
        self.stream.get().is_some()
    }

    /// From here on the other side gets answers to its pings and may stay as long as it likes.
    pub(super) fn recognise(&self) -> bool {
        !self.recognised.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_recognised(&self) -> bool {
        self.recognised.load(Ordering::Relaxed)
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

    fn stand(&self, stream: TcpStream) -> &TcpStream {
        self.stream.get_or_init(|| stream)
    }

    fn pong(&self, flow: Flow) {
        if self.is_recognised() {
            let give_up = Instant::now();
            let pong = Outgoing { flow, bytes: Bytes::from_static(b"\r\n"), token: UNTRACKED, give_up };
            // A full outbox ends the connection by the next message; a ping that is not answered does so sooner.
            let _ = self.send(pong);
        }
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

    /// Whether all was written; `false` when the kernel takes no more for now.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
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
        Ok(true)
    }

    /// Takes out what is past its time, and says when the next one will be.
    fn expire(&mut self, now: Instant) -> (Vec<Outgoing>, Option<Instant>) {
        let (expired, queue): (Vec<_>, Vec<_>) =
            self.queue.drain(..).partition(|message| message.give_up <= now);
        self.bytes = queue.iter().map(|message| message.bytes.len()).sum();
        self.queue = queue.into();
        (expired, self.queue.iter().map(|message| message.give_up).min())
    }
}

/// Connects from `source` (any address if `None`), then runs the connection to its end.
pub(super) async fn run_outgoing(
    link: Arc<Link>,
    source: Option<IpAddr>,
    listener: ListenerId,
    reports: mpsc::Sender<Report>,
    limits: Limits,
) {
    match connect(&link, source, &reports).await {
        Ok(stream) => run(link, stream, listener, reports, limits).await,
        Err(ended) => report_end(&link, ended, &reports).await,
    }
}

/// Reads and writes until either ends.
pub(super) async fn run(
    link: Arc<Link>,
    stream: TcpStream,
    listener: ListenerId,
    reports: mpsc::Sender<Report>,
    limits: Limits,
) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(remote = %link.remote, %error, "setting options of a connection");
    }
    let stream = link.stand(stream);
    let ended = tokio::select! {
        ended = read(&link, stream, listener, &reports, &limits) => ended,
        ended = write(&link, stream) => ended,
        ended = turn_away(&link) => ended,
    };
    report_end(&link, ended, &reports).await;
}

async fn report_end(link: &Link, ended: Ended, reports: &mpsc::Sender<Report>) {
    // Only a bridge that is being dropped has no ear for it.
    let _ = reports.send(Report::Ended { connection: link.id, ended }).await;
}

async fn connect(
    link: &Link,
    source: Option<IpAddr>,
    reports: &mpsc::Sender<Report>,
) -> Result<TcpStream, Ended> {
    let socket = if link.remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Ended::Connect)?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(Ended::Connect)?;
    }
    let mut connecting = std::pin::pin!(socket.connect(link.remote));
    loop {
        let (expired, next) = link.outbox().expire(Instant::now());
        for message in expired {
            let error = Ended::ConnectTimeout.to_string();
            let _ = reports.send(Report::Unsent { message, error }).await;
        }
        let Some(next) = next else { return Err(Ended::ConnectTimeout) };
        tokio::select! {
            connected = &mut connecting => return connected.map_err(Ended::Connect),
            () = tokio::time::sleep_until(next) => {}
            () = link.wake.notified() => {}
        }
    }
}

async fn read(
    link: &Link,
    stream: &TcpStream,
    listener: ListenerId,
    reports: &mpsc::Sender<Report>,
    limits: &Limits,
) -> Ended {
    let flow = Flow {
        transport: crate::sip::flow::Transport::Tcp,
        listener,
        remote: link.remote,
        connection: Some(link.id),
    };
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut deadline = None;
    loop {
        let readable = match deadline {
            None => stream.readable().await,
            Some(deadline) => match timeout_at(deadline, stream.readable()).await {
                Ok(readable) => readable,
                Err(_) => return Ended::PartialMessage,
            },
        };
        buffer.reserve(READ_BYTES);
        let room = buffer.capacity() - buffer.len();
        match readable.and_then(|()| stream.try_read_buf(&mut buffer)) {
            Ok(0) => return Ended::Eof,
            Ok(length) if length < room => drained(stream),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Ended::Failed(error),
        }

        loop {
            match framer.next(&mut buffer, limits) {
                Ok(Some(Frame::Message(bytes))) => {
                    deadline = None;
                    if reports.send(Report::Received { bytes, flow }).await.is_err() {
                        return Ended::Closed;
                    }
                }
                Ok(Some(Frame::Ping)) => link.pong(flow),
                Ok(None) => break,
                Err(error) => return Ended::BadFraming(error),
            }
        }
        if buffer.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            deadline = None;
        } else {
            deadline = deadline.or_else(|| Some(Instant::now() + PARTIAL_MESSAGE));
        }
        if buffer.is_empty() {
            buffer = BytesMut::new();
        }
    }
}

/// Forgets readiness after a short read, which says as much as the `WouldBlock` of one more system call would.
fn drained(stream: &TcpStream) {
    let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
}

async fn write(link: &Link, stream: &TcpStream) -> Ended {
    loop {
        let idle = link.outbox().queue.is_empty();
        if idle {
            link.wake.notified().await;
            continue;
        }
        match timeout(WRITE_STALL, stream.writable()).await {
            Err(_) => return Ended::SlowReader("nothing was taken for a while"),
            Ok(Err(error)) => return Ended::Failed(error),
            Ok(Ok(())) => {}
        }
        if let Err(error) = link.outbox().flush(stream) {
            return Ended::Failed(error);
        }
    }
}

/// Ends a connection whose other side has not been recognised in time.
async fn turn_away(link: &Link) -> Ended {
    if !link.is_recognised() {
        tokio::time::sleep(STRANGER).await;
        if !link.is_recognised() {
            return Ended::Stranger;
        }
    }
    std::future::pending().await
}

/// Binds and listens; IPv6 does not take IPv4 along.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Hands over every connection that comes in.
pub(super) async fn accept(listener: ListenerId, socket: TcpListener, reports: mpsc::Sender<Report>) {
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => {
                if reports.send(Report::Accepted { listener, stream, remote }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a TCP connection; raise the limit of open files if it is that");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A dead peer is noticed in half a minute when something is sent to it, in two minutes when nothing is.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Bounds of what waits to be written to one connection.
const OUTBOX_BYTES: usize = 1024 * 1024;
const OUTBOX_MESSAGES: usize = 2048;

/// Room made for each read.
const READ_BYTES: usize = 8 * 1024;

/// How long the rest of a message may take to come.
const PARTIAL_MESSAGE: Duration = Duration::from_secs(10);

/// How long a full socket may stay full.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// How long a connection may stand before its other side is recognised.
const STRANGER: Duration = Duration::from_secs(60);

/// Connections that wait for `accept`.
const BACKLOG: i32 = 1024;

/// How long to wait when accepting fails, which it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const KEEPALIVE_IDLE: Duration = Duration::from_secs(90);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

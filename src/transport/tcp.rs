//! The task of one connection (RFC 3261 §18), TCP or TLS: it connects or shakes hands, reads, and finishes
//! writes.
//!
//! ```text
//!                  connected,                    ended: closed, reset, bad framing, too slow
//! connecting ─────── handshake ─► standing ─────────────────────────────────────────────────► gone
//!     └──── refused, or every message in the outbox ran out of time ─────────────────────────────┘
//! ```
//!
//! TLS adds nothing to this but the handshake: limits, framing and time-outs are the same for both.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, ServerConfig};

use super::Report;
use super::link::Link;
use super::stream::Stream;
use super::tls::Handshakes;
use crate::sip::flow::ListenerId;
use crate::sip::framing::{Frame, Framer, FramingError};
use crate::sip::message::Limits;

/// Why a connection is no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("connecting: {0}")]
    Connect(io::Error),
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("TLS handshake: {}", told(.0))]
    Handshake(io::Error),
    #[error("the TLS handshake was not over after {} s", HANDSHAKE.as_secs())]
    SlowHandshake,
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

    /// Whether the other side ended it, or is gone itself.
    pub(super) fn is_of_the_other_side(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Eof)
    }

    /// Whether somebody who connected to us could not agree with us on TLS.
    pub(super) fn is_handshake(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::SlowHandshake)
    }

    /// What the other side objected to once the handshake was over for us: by TLS 1.3 that is where a server
    /// refuses our certificate.
    pub(super) fn objection(&self) -> Option<String> {
        let Self::Failed(error) = self else { return None };
        matches!(of_tls(error), Some(TlsError::AlertReceived(_))).then(|| error.to_string())
    }

    /// Whether the peer broke the rules of framing.
    pub(super) fn is_framing(&self) -> bool {
        matches!(self, Self::BadFraming(_) | Self::PartialMessage)
    }
}

/// What TLS says of it, and what can be done where that is not plain.
fn told(error: &io::Error) -> String {
    match of_tls(error) {
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{error}: no authority in tls_ca, [tls].ca or [tls].client_ca has signed it")
        }
        _ => error.to_string(),
    }
}

fn of_tls(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// How to connect.
pub(super) struct Dial {
    /// From which address of ours; any if `None`.
    pub(super) source: Option<IpAddr>,
    /// What TLS is spoken with, and to whom; `None` is TCP alone.
    pub(super) tls: Option<(Handshakes, Arc<ClientConfig>, ServerName<'static>)>,
}

/// What TLS is spoken with to whoever connects.
pub(super) type Welcome = (Handshakes, Arc<ServerConfig>);

/// What every connection's task needs.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) limits: Limits,
}

/// Connects, then runs the connection to its end.
pub(super) async fn run_dialled(link: Arc<Link>, dial: Dial, run: Run) {
    let ended = match connect(&link, dial, &run.reports).await {
        Ok(stream) => talk(&link, stream, &run).await,
        Err(ended) => ended,
    };
    report_end(&link, ended, &run.reports).await;
}

/// Shakes hands if `tls` is there, then runs the connection to its end.
pub(super) async fn run_accepted(link: Arc<Link>, stream: TcpStream, tls: Option<Welcome>, run: Run) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(remote = %link.remote, %error, "setting options of a connection");
    }
    let stream = match tls {
        None => Ok(Stream::Plain(stream)),
        Some((handshakes, config)) => match timeout(HANDSHAKE, handshakes.accept(config, stream)).await {
            Ok(stream) => stream.map_err(Ended::Handshake),
            Err(_) => Err(Ended::SlowHandshake),
        },
    };
    let ended = match stream {
        Ok(stream) => talk(&link, stream, &run).await,
        Err(ended) => ended,
    };
    report_end(&link, ended, &run.reports).await;
}

/// Reads and writes until either ends.
async fn talk(link: &Link, stream: Stream, run: &Run) -> Ended {
    let stream = link.stand(stream);
    tokio::select! {
        ended = read(link, stream, run) => ended,
        ended = write(link, stream) => ended,
        ended = turn_away(link) => ended,
    }
}

async fn report_end(link: &Link, ended: Ended, reports: &mpsc::Sender<Report>) {
    // Only a bridge that is being dropped has no ear for it.
    let _ = reports.send(Report::Ended { connection: link.id, ended }).await;
}

/// Connects and shakes hands, for as long as a message waits for it.
async fn connect(link: &Link, dial: Dial, reports: &mpsc::Sender<Report>) -> Result<Stream, Ended> {
    let mut connecting = std::pin::pin!(open(link.remote, dial));
    loop {
        let (expired, next) = link.expire(Instant::now());
        for message in expired {
            let error = Ended::ConnectTimeout.to_string();
            let _ = reports.send(Report::Unsent { message, error }).await;
        }
        let Some(next) = next else { return Err(Ended::ConnectTimeout) };
        tokio::select! {
            connected = &mut connecting => return connected,
            () = tokio::time::sleep_until(next) => {}
            () = link.woken() => {}
        }
    }
}

async fn open(remote: SocketAddr, dial: Dial) -> Result<Stream, Ended> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Ended::Connect)?;
    if let Some(source) = dial.source {
        socket.bind(SocketAddr::new(source, 0)).map_err(Ended::Connect)?;
    }
    let stream = socket.connect(remote).await.map_err(Ended::Connect)?;
    if let Err(error) = tune(&stream) {
        tracing::debug!(%remote, %error, "setting options of a connection");
    }
    match dial.tls {
        None => Ok(Stream::Plain(stream)),
        Some((handshakes, config, name)) => {
            handshakes.connect(config, name, stream).await.map_err(Ended::Handshake)
        }
    }
}

async fn read(link: &Link, stream: &Stream, run: &Run) -> Ended {
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut deadline = None;
    loop {
        buffer.reserve(READ_BYTES);
        let read = match deadline {
            None => stream.read(&mut buffer).await,
            Some(deadline) => match timeout_at(deadline, stream.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => return Ended::PartialMessage,
            },
        };
        match read {
            Ok(0) => return Ended::Eof,
            Ok(_) => link.note_heard(),
            Err(error) => return Ended::Failed(error),
        }

        loop {
            match framer.next(&mut buffer, &run.limits) {
                Ok(Some(Frame::Message(bytes))) => {
                    deadline = None;
                    if run.reports.send(Report::Received { bytes, flow: link.flow }).await.is_err() {
                        return Ended::Closed;
                    }
                }
                Ok(Some(Frame::Ping)) => link.pong(),
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

async fn write(link: &Link, stream: &Stream) -> Ended {
    loop {
        match link.flush(stream) {
            Ok(true) => {
                link.woken().await;
                continue;
            }
            Ok(false) => {}
            Err(error) => return Ended::Failed(error),
        }
        match timeout(WRITE_STALL, stream.writable()).await {
            Err(_) => return Ended::SlowReader("nothing was taken for a while"),
            Ok(Err(error)) => return Ended::Failed(error),
            Ok(Ok(())) => {}
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
                tracing::warn!(%error, "accepting a TCP connection; raise the limit of open files if it is \
                                        that");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A dead peer is noticed in seconds when something is sent to it, in two minutes when nothing is.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Room made for each read.
const READ_BYTES: usize = 8 * 1024;

/// How long somebody who connects to us may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the rest of a message may take to come.
const PARTIAL_MESSAGE: Duration = Duration::from_secs(10);

/// How long a full socket may stay full.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// How long a connection may stand before its other side is recognised.
const STRANGER: Duration = Duration::from_secs(10);

/// Connections that wait for `accept`.
const BACKLOG: i32 = 1024;

/// How long to wait when accepting fails, which it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const KEEPALIVE_IDLE: Duration = Duration::from_secs(90);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long the other side's host may leave unacknowledged what was sent to it: longer than a call waits for
/// its first target, shorter than it waits for its last, so that a request can still go by a new connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);

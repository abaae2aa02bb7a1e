//! SIP over the network (RFC 3261 §18): UDP, TCP and TLS listeners, connections in both directions, and DNS.
//!
//! Belongs to the signalling thread: UDP is read and written on it by the system calls themselves,
//! connections and look-ups are tasks of the same runtime that hand over whole messages; only TLS
//! handshakes have a thread of their own. Nothing here reads a message beyond its framing, so it is the
//! server that says which source is a peer ([`Transports::recognise`]) and which is a stranger
//! ([`Transports::close`]); until then a connection gets not one byte from here, but for the handshake,
//! which [`Transports::admit`] keeps from strangers.

mod addresses;
pub mod config;
mod link;
mod pool;
mod recent;
pub mod resolve;
mod stream;
mod tcp;
pub mod tls;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use self::addresses::Local;
use self::addresses::{Addresses, OwnAddresses};
pub use self::config::Config;
use self::link::Outgoing;
use self::pool::Pool;
use self::tcp::{Dial, Ended};
use self::tls::{Domains, Handshakes, Named, Tls};
use crate::id::InterfaceId;
use crate::sip::flow::{ConnectionId, Domain, Flow, ListenerId, Transport};
use crate::sip::uri::Host;

/// What the world did.
#[derive(Debug)]
pub enum Event {
    /// A datagram, or one framed message of a stream (keep-alives are dealt with below).
    Received {
        /// The whole message, not yet looked at.
        bytes: Bytes,
        /// The way it came, which is also the way an answer goes.
        flow: Flow,
    },
    /// A message handed to [`Transports::send`] did not get out: refused, reset, connect time-out, queue
    /// full; by UDP also an ICMP error. Told once; what was handed to the kernel and lost later, with its
    /// connection, is not told.
    SendFailed {
        /// Of the message.
        token: u64,
        /// As it was handed over; after an ICMP error without connection.
        flow: Flow,
        /// In words.
        error: String,
        /// It was left to a stream that had been good before and is gone: a new one may well carry it.
        stale: bool,
    },
    /// The stream is gone, and not because of [`Transports::close`].
    Closed {
        /// Its number.
        connection: ConnectionId,
        /// Its other end.
        remote: SocketAddr,
        /// It was reset or lost, not closed in order: what was on its way did not arrive.
        broken: bool,
        /// A peer was recognised on it, or we opened it: nothing of ours went by any other.
        of_peer: bool,
        /// Something had come by it: it was good once, whatever became of it.
        heard: bool,
    },
    /// The stream broke the framing rules and was closed; [`Event::Closed`] follows.
    BadFraming {
        /// Its other end.
        remote: SocketAddr,
        /// What was wrong.
        error: String,
    },
    /// Somebody connected who is not admitted: closed before a byte was read or written.
    TurnedAway {
        /// Its other end.
        remote: SocketAddr,
    },
    /// Somebody connected to us and sent nothing to be recognised by, until that took too long.
    Idle {
        /// Its other end.
        remote: SocketAddr,
    },
    /// A peer that agreed on TLS with us, as it seemed, refused our part in it; [`Event::Closed`] follows.
    TlsRefused {
        /// Its other end.
        remote: SocketAddr,
        /// In its words.
        error: String,
    },
    /// Somebody who connected to us could not agree with us on TLS, or was not in time; the connection was
    /// closed.
    HandshakeFailed {
        /// Its other end.
        remote: SocketAddr,
        /// What was wrong.
        error: String,
    },
}

/// Whether anybody at an address may connect by a transport.
pub type Admits = Box<dyn Fn(IpAddr, Transport) -> bool + Send>;

/// The token of messages whose failure nobody wants to hear of: no event comes back.
pub const UNTRACKED: u64 = 0;

/// All sockets of the signalling thread.
pub struct Transports {
    addresses: Addresses,
    own: OwnAddresses,
    /// By listener; `None` where that is no UDP listener.
    udp: Vec<Option<udp::Listener>>,
    pool: Pool,
    /// Until it is there, whoever connects to a TLS listener is turned away.
    tls: Option<Tls>,
    /// There if any listener is for TLS.
    handshakes: Option<Handshakes>,
    /// Whose connections are taken.
    admits: Admits,
    domains: Domains,
    reports: mpsc::Receiver<Report>,
    /// Of calls that cannot report any other way.
    pending: Vec<Event>,
    _accepting: Vec<Task>,
}

impl Transports {
    /// Binds every listener; must run inside the runtime that will call [`Self::next`].
    ///
    /// # Errors
    ///
    /// The first listener that cannot be bound, by name, and why.
    pub async fn bind(config: &Config) -> io::Result<Self> {
        let (sender, reports) = mpsc::channel(REPORTS);
        let (mut bound, mut udp, mut accepting) = (Vec::new(), Vec::new(), Vec::new());
        for (index, socket) in (0..).zip(config.sockets()) {
            let id = ListenerId(index);
            let config::Bound { mut listen, interfaces } = socket;
            let named = |error: io::Error| {
                let (via, address) = (listen.transport.param(), listen.address);
                io::Error::new(error.kind(), format!("listening on {via}:{address}: {error}"))
            };
            match listen.transport {
                Transport::Udp => {
                    let limit = config.limits.message_bytes;
                    let socket =
                        udp::Listener::bind(id, listen.address, limit, sender.clone()).map_err(named)?;
                    listen.address = socket.address().map_err(named)?;
                    udp.push(Some(socket));
                }
                Transport::Tcp | Transport::Tls => {
                    let socket = tcp::listen(listen.address).map_err(named)?;
                    listen.address = socket.local_addr().map_err(named)?;
                    accepting.push(Task::spawn(tcp::accept(id, socket, sender.clone())));
                    udp.push(None);
                }
            }
            bound.push(config::Bound { listen, interfaces });
        }
        Ok(Self {
            addresses: Addresses::new(&bound, config),
            own: OwnAddresses::new(bound.len()),
            udp,
            pool: Pool::new(config.limits.clone(), sender),
            tls: None,
            handshakes: config.listens(Transport::Tls).then(Handshakes::start).transpose()?,
            admits: Box::new(|_, _| true),
            domains: Domains::default(),
            reports,
            pending: Vec::new(),
            _accepting: accepting,
        })
    }

    /// Speaks TLS with `tls` from here on; connections that stand keep what they were made with.
    pub fn set_tls(&mut self, tls: Tls) {
        self.tls = Some(tls);
    }

    /// Takes connections from sources that `admits` says yes to, and by TLS from those that one was opened
    /// to: nobody else gets a byte or costs a signature. Everybody is admitted until this is called.
    pub fn admit(&mut self, admits: Admits) {
        self.admits = admits;
    }

    /// What stands for "`host`, and the authorities in the file `ca` say so" in a flow; without `ca`, those
    /// of `[tls].ca`.
    pub fn domain(&mut self, host: &Host, ca: Option<&Path>) -> Option<Domain> {
        self.domains.number(host, ca)
    }

    /// Bound addresses (port 0 resolved), in file order.
    #[must_use]
    pub fn listeners(&self) -> &[config::Listen] {
        self.addresses.bound()
    }

    /// The listener of `interface` to use toward `remote` by `transport`, and what it shows there. Same
    /// family; loopback by a loopback listener if there is one; else the first in file order that reaches it.
    /// `None`: no such listener, or no route.
    pub fn local(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        interface: InterfaceId,
    ) -> Option<Local> {
        self.addresses.local(transport, remote, interface)
    }

    /// What this flow's listener shows to its remote: as `interface`, if it is one of those that share it.
    pub fn local_of(&mut self, flow: &Flow, interface: InterfaceId) -> Option<Local> {
        self.addresses.local_of(self.own.resolve(flow.listener), flow.remote, interface)
    }

    /// Never blocks. Streams: the flow's connection if it stands, else any standing one to the same remote
    /// (by TLS, if it proved to be the flow's domain), else a new one from the flow's listener's address.
    /// `connect_timeout` (4 s unless told) is how long this message waits for it; messages that wait for the
    /// same connection share it.
    ///
    /// A failure comes back as [`Event::SendFailed`] with `token`, unless that is [`UNTRACKED`].
    pub fn send(&mut self, flow: &Flow, bytes: Bytes, token: u64, connect_timeout: Option<Duration>) {
        match flow.transport {
            Transport::Udp => {
                let (listener, from) = self.own.resolve(flow.listener);
                match self.udp.get_mut(usize::from(listener.0)) {
                    Some(Some(listener)) => listener.send(*flow, from, bytes, token, &mut self.pending),
                    _ => self.fail(*flow, token, NO_LISTENER),
                }
            }
            Transport::Tcp | Transport::Tls => {
                let give_up = Instant::now() + connect_timeout.unwrap_or(CONNECT_TIMEOUT);
                self.send_by_stream(Outgoing { flow: *flow, bytes, token, give_up });
            }
        }
    }

    /// A standing stream to `remote`, if any.
    #[must_use]
    pub fn connection_to(&self, transport: Transport, remote: SocketAddr) -> Option<ConnectionId> {
        match transport {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls => self.pool.standing(transport, remote),
        }
    }

    /// Whether that stream is still up.
    #[must_use]
    pub fn stands(&self, connection: ConnectionId) -> bool {
        self.pool.contains(connection)
    }

    /// The other side is a peer of ours: call it before anything is sent to a connection that came in. From
    /// here on its pings are answered (RFC 5626 §3.5.1), and it is neither counted against its source nor
    /// closed after 10 s.
    pub fn recognise(&mut self, connection: ConnectionId) {
        self.pool.recognise(connection);
    }

    /// Closes a stranger's stream; one that was recognised stays. Nothing of it comes as an event any more,
    /// except what was not sent; what the last batch still holds of it is the caller's to drop.
    pub fn close(&mut self, connection: ConnectionId) {
        if !self.pool.is_recognised(connection) {
            self.pool.remove(connection, &Ended::Closed, &mut self.pending);
        }
    }

    /// Waits for at least one event, then appends as many as are there (bounded batch): fewer than [`BATCH`]
    /// are all that there were. Cancel-safe.
    pub async fn next(&mut self, events: &mut Vec<Event>) {
        std::future::poll_fn(|cx| self.poll_next(cx, events)).await;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, events: &mut Vec<Event>) -> Poll<()> {
        let before = events.len();
        events.append(&mut self.pending);
        for listener in self.udp.iter_mut().flatten() {
            if let Poll::Ready(Err(error)) = listener.poll_receive(cx, &mut self.own, events) {
                tracing::error!(%error, "the runtime cannot watch a UDP socket");
            }
            listener.poll_waiting(cx, events);
        }
        for _ in 0..REPORTS_AT_ONCE {
            match self.reports.poll_recv(cx) {
                Poll::Ready(Some(report)) => self.on_report(report, events),
                Poll::Ready(None) | Poll::Pending if events.len() == before => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(()),
            }
        }
        if events.len() == before {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn on_report(&mut self, report: Report, events: &mut Vec<Event>) {
        match report {
            Report::Received { bytes, flow } => {
                if flow.connection.is_some_and(|connection| self.pool.contains(connection)) {
                    events.push(Event::Received { bytes, flow });
                }
            }
            Report::Unsent { message: Outgoing { flow, token, .. }, error } => {
                if token != UNTRACKED {
                    events.push(Event::SendFailed { token, flow, error, stale: false });
                }
            }
            Report::Accepted { listener, stream, remote } => {
                self.accept(listener, stream, remote, events);
            }
            Report::Ended { connection, ended } => self.end(connection, &ended, events),
            Report::Unreachable(report) => {
                if let Some(Some(listener)) = self.udp.get_mut(usize::from(report.listener.0)) {
                    listener.on_unreachable(&report, events);
                }
            }
        }
    }

    fn accept(
        &mut self,
        listener: ListenerId,
        stream: TcpStream,
        remote: SocketAddr,
        events: &mut Vec<Event>,
    ) {
        let Some(listen) = self.addresses.of(listener) else { return };
        let transport = listen.transport;
        let tls = match (transport, &self.handshakes, &self.tls) {
            (Transport::Udp | Transport::Tcp, ..) => None,
            (Transport::Tls, Some(handshakes), Some(tls)) => Some((handshakes.clone(), tls.server())),
            (Transport::Tls, ..) => return,
        };
        let has_dialled = tls.is_some() && self.pool.has_dialled(remote);
        if !has_dialled && !(self.admits)(remote.ip(), transport) {
            return events.push(Event::TurnedAway { remote });
        }
        let flow = Flow { transport, listener, remote, connection: None, domain: None };
        self.pool.accept(flow, stream, tls, events);
    }

    fn send_by_stream(&mut self, message: Outgoing) {
        let flow = message.flow;
        let named = (flow.transport == Transport::Tls).then(|| self.named(&flow));
        if let Some(link) = self.pool.find(&flow, named.as_deref()) {
            if let Err(refused) = link.send(message) {
                self.fail(refused.flow, refused.token, OVERFLOW);
                let mut events = std::mem::take(&mut self.pending);
                self.end(link.id, &Ended::SlowReader(OVERFLOW), &mut events);
                self.pending = events;
            }
            return;
        }
        let dialled = self.dial(&flow, named.as_deref()).map_err(|error| (error, message.token));
        match dialled {
            Ok(dial) => {
                if let Err(refused) = self.pool.connect(dial, named, message) {
                    self.fail(refused.flow, refused.token, TOO_MANY);
                }
            }
            Err((error, token)) => self.fail(flow, token, error),
        }
    }

    /// Who has to be at the other end of a TLS connection.
    fn named(&self, flow: &Flow) -> Arc<Named> {
        let named = flow.domain.and_then(|domain| self.domains.get(domain));
        named.unwrap_or_else(|| Arc::new(Named { name: flow.remote.ip().to_canonical().into(), ca: None }))
    }

    fn dial(&self, flow: &Flow, named: Option<&Named>) -> Result<Dial, &'static str> {
        let listen = self.addresses.of(flow.listener).filter(|listen| {
            listen.transport == flow.transport && listen.address.is_ipv4() == flow.remote.is_ipv4()
        });
        let listen = listen.ok_or(NO_LISTENER)?;
        let source = Some(listen.address.ip()).filter(|address| !address.is_unspecified());
        let tls = match named {
            None => None,
            Some(Named { name, ca }) => {
                let handshakes = self.handshakes.clone().ok_or(NO_LISTENER)?;
                let config = self.tls.as_ref().and_then(|tls| tls.client(ca.as_ref())).ok_or(NO_TLS)?;
                Some((handshakes, config, name.clone()))
            }
        };
        Ok(Dial { source, tls })
    }

    fn end(&mut self, connection: ConnectionId, ended: &Ended, events: &mut Vec<Event>) {
        let Some(link) = self.pool.remove(connection, ended, events) else { return };
        if matches!(ended, Ended::Stranger) {
            events.push(Event::Idle { remote: link.remote });
        }
        if ended.is_framing() {
            events.push(Event::BadFraming { remote: link.remote, error: ended.to_string() });
        }
        if ended.is_handshake() && !link.is_recognised() {
            events.push(Event::HandshakeFailed { remote: link.remote, error: ended.to_string() });
        }
        if let Some(error) = ended.objection().filter(|_| link.is_recognised()) {
            events.push(Event::TlsRefused { remote: link.remote, error });
        }
        if link.is_standing() {
            let (of_peer, heard) = (link.is_recognised(), link.was_heard());
            let (remote, broken) = (link.remote, ended.is_broken());
            events.push(Event::Closed { connection, remote, broken, of_peer, heard });
        }
    }

    fn fail(&mut self, flow: Flow, token: u64, error: &str) {
        if token != UNTRACKED {
            self.pending.push(Event::SendFailed { token, flow, error: error.to_owned(), stale: false });
        }
    }
}

/// What the tasks of this room hand over.
#[derive(Debug)]
enum Report {
    Received { bytes: Bytes, flow: Flow },
    Unsent { message: Outgoing, error: String },
    Accepted { listener: ListenerId, stream: TcpStream, remote: SocketAddr },
    Ended { connection: ConnectionId, ended: Ended },
    Unreachable(udp::Unreachable),
}

/// A task that does not outlive its owner.
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a message waits for a connection unless told otherwise.
/// Datagrams that one look at a UDP socket takes at most.
pub const BATCH: usize = udp::BATCH;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Reports that wait; a task that finds no room stops reading its connection.
const REPORTS: usize = 1_024;

/// Reports dealt with before the server gets a turn.
const REPORTS_AT_ONCE: usize = 64;

const NO_LISTENER: &str = "no listener of that transport and address family; add one to [sip].listen";
const NO_TLS: &str = "TLS has no certificate, or no longer the authorities for this peer; see [tls]";
const OVERFLOW: &str = "too much waits to be written";
const TOO_MANY: &str = "too many connections";

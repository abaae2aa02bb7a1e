//! One UDP listener (RFC 3261 §18.1.1, §18.2.1): datagrams in by the batch, out at once, and ICMP errors back
//! to whoever sent.
//!
//! The socket is unconnected, so an ICMP error belongs to no particular send: Linux queues it beside the
//! socket, with the destination and the first bytes of what was sent, and *also* lets the next send or
//! receive fail with it. That failure says nothing about the datagram at hand, which is why every call here
//! is made again after one.
//!
//! On a wildcard, an answer leaves by the address that the request came to: left to the kernel, a host with
//! several may answer from one that the peer, or a NAT before it, never heard of.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::addresses::OwnAddresses;
use super::recent::Recent;
use super::{Event, Report, Task, UNTRACKED};
use crate::sip::flow::{Flow, ListenerId, Transport};

/// A bound UDP socket and what was sent by it lately.
pub(super) struct Listener {
    id: ListenerId,
    socket: Arc<AsyncFd<UdpSocket>>,
    is_v6: bool,
    is_wildcard: bool,
    /// Longest datagram taken, in bytes.
    limit: usize,
    recent: Recent,
    waiting: VecDeque<Waiting>,
    pause: Option<Pin<Box<Sleep>>>,
    _icmp: Task,
}

/// A datagram that the socket had no room for.
struct Waiting {
    flow: Flow,
    from: Option<IpAddr>,
    bytes: Bytes,
    token: u64,
    tries: u8,
}

/// A datagram of ours that some host said it could not deliver.
#[derive(Debug)]
pub(super) struct Unreachable {
    pub(super) listener: ListenerId,
    pub(super) remote: SocketAddr,
    /// As much of the datagram's beginning as the report quotes; may be empty.
    pub(super) quoted: Vec<u8>,
    pub(super) error: String,
}

impl Listener {
    /// Binds `address`; IPv6 does not take IPv4 along.
    pub(super) fn bind(
        id: ListenerId,
        address: SocketAddr,
        limit: usize,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_send_buffer_size(BUFFER_BYTES)?;
        socket.bind(&address.into())?;
        tracing::debug!(
            %address,
            receive_buffer = socket.recv_buffer_size()?,
            send_buffer = socket.send_buffer_size()?,
            "UDP socket bound"
        );
        let socket = Arc::new(watch(socket.into())?);
        let icmp = Task::spawn(report_icmp(id, Arc::clone(&socket), reports));
        let (recent, waiting) = (Recent::default(), VecDeque::new());
        let (is_v6, is_wildcard) = (address.is_ipv6(), address.ip().is_unspecified());
        Ok(Self { id, socket, is_v6, is_wildcard, limit, recent, waiting, pause: None, _icmp: icmp })
    }

    /// The address bound, with the port that the system chose for 0.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// Sends now, or a little later if the socket is full; what fails becomes an event. On a wildcard it
    /// leaves by the address `from`, if there is one.
    ///
    /// Hot path: one system call, and no allocation but of the few bytes that say `from`.
    pub(super) fn send(
        &mut self,
        flow: Flow,
        from: Option<IpAddr>,
        bytes: Bytes,
        token: u64,
        events: &mut Vec<Event>,
    ) {
        match send_to(self.socket.get_ref(), &bytes, flow.remote, from) {
            Ok(()) => self.recent.note(flow.remote, token, &bytes),
            Err(error) if is_full(&error) && self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back(Waiting { flow, from, bytes, token, tries: 0 });
            }
            Err(error) => fail(flow, token, &error, events),
        }
    }

    /// Appends what the socket holds, a batch at most.
    ///
    /// Hot path: one system call, and one allocation for each datagram, of its size.
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        own: &mut OwnAddresses,
        events: &mut Vec<Event>,
    ) -> Poll<io::Result<()>> {
        let before = events.len();
        let mut failures = 0;
        while events.len() == before {
            let mut readiness = ready!(self.socket.poll_read_ready(cx))?;
            match self.receive(own, events) {
                // Fewer than asked for: the queue was empty at that moment, and anything later raises
                // readiness again.
                Ok(received) if received < BATCH => readiness.clear_ready(),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => readiness.clear_ready(),
                // A pending ICMP error, which `report_icmp` deals with.
                Err(_) if failures < MAX_PENDING_ERRORS => failures += 1,
                Err(error) => {
                    tracing::warn!(%error, "receiving datagrams");
                    readiness.clear_ready();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn receive(&self, own: &mut OwnAddresses, events: &mut Vec<Event>) -> Result<usize, Errno> {
        BATCHES.with_borrow_mut(|batches| {
            let batch = if self.is_v6 { &mut batches.v6 } else { &mut batches.v4 };
            let mut slices = batch.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
            let flags = MsgFlags::MSG_DONTWAIT;
            let socket = self.socket.get_ref().as_raw_fd();
            let datagrams = recvmmsg(socket, &mut batch.headers, slices.iter_mut(), flags, None)?;
            let mut received = 0;
            for datagram in datagrams {
                received += 1;
                let Some(remote) = datagram.address.as_ref().and_then(socket_address) else { continue };
                if datagram.bytes > self.limit || datagram.flags.contains(MsgFlags::MSG_TRUNC) {
                    metrics::counter!("trunkline_sip_rejected_total", "reason" => "too_large").increment(1);
                    tracing::debug!(%remote, limit = self.limit, "dropped a datagram over the limit");
                    continue;
                }
                let Some(content) = datagram.iovs().next() else { continue };
                if is_keep_alive(content) {
                    continue;
                }
                let listener = match arrived_at(&datagram).filter(|_| self.is_wildcard) {
                    Some(address) => own.listener_at(self.id, address),
                    None => self.id,
                };
                let flow = flow(listener, remote);
                events.push(Event::Received { bytes: Bytes::copy_from_slice(content), flow });
            }
            Ok(received)
        })
    }

    /// Tries again what found the socket full, every [`RETRY`].
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>, events: &mut Vec<Event>) {
        while !self.waiting.is_empty() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(RETRY)));
            if pause.as_mut().poll(cx).is_pending() {
                return;
            }
            pause.as_mut().reset(Instant::now() + RETRY);
            for mut waiting in std::mem::take(&mut self.waiting) {
                match send_to(self.socket.get_ref(), &waiting.bytes, waiting.flow.remote, waiting.from) {
                    Ok(()) => self.recent.note(waiting.flow.remote, waiting.token, &waiting.bytes),
                    Err(error) if is_full(&error) && waiting.tries < MAX_TRIES => {
                        waiting.tries += 1;
                        self.waiting.push_back(waiting);
                    }
                    Err(error) => fail(waiting.flow, waiting.token, &error, events),
                }
            }
        }
        self.pause = None;
    }

    /// Turns an ICMP error into one event for each token that was sent in such a datagram.
    pub(super) fn on_unreachable(&mut self, report: &Unreachable, events: &mut Vec<Event>) {
        let flow = flow(self.id, report.remote);
        for token in self.recent.take(report.remote, &report.quoted) {
            let error = report.error.clone();
            events.push(Event::SendFailed { token, flow, error, stale: false });
        }
    }
}

/// Registers for reading alone: a `tokio::net::UdpSocket` wakes the thread for writing too, for nothing,
/// after about every second datagram that left.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor may change, which a std socket's cannot"
)]
fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, Interest::READABLE | Interest::ERROR)
}

/// Reads the error queue whenever the socket has one.
async fn report_icmp(listener: ListenerId, socket: Arc<AsyncFd<UdpSocket>>, reports: mpsc::Sender<Report>) {
    while let Ok(mut readiness) = socket.ready(Interest::ERROR).await {
        readiness.clear_ready();
        while let Ok(error) = next_icmp(socket.get_ref()) {
            let Some((remote, quoted, error)) = error else { continue };
            tracing::debug!(%remote, error, "a datagram was not delivered");
            let report = Report::Unreachable(Unreachable { listener, remote, quoted, error });
            if reports.send(report).await.is_err() {
                return;
            }
        }
    }
}

/// The next entry of the error queue: destination, quoted beginning, reason. `None` for what fails nothing: a
/// datagram too big for the path is sent again in fragments, and a routing loop or a malformed report is none
/// of the peer's doing.
fn next_icmp(socket: &UdpSocket) -> Result<Option<(SocketAddr, Vec<u8>, String)>, Errno> {
    let mut quoted = [0; QUOTED_BYTES];
    let mut slices = [IoSliceMut::new(&mut quoted)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, libc::in6_pktinfo);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let report = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;

    let failure = report.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            let undelivered = error.ee_type == ICMP_UNREACHABLE && error.ee_code != ICMP_FRAGMENTATION_NEEDED;
            (error.ee_origin == ORIGIN_ICMP && undelivered).then_some(error.ee_errno)
        }
        ControlMessageOwned::Ipv6RecvErr(error, _) => {
            (error.ee_origin == ORIGIN_ICMP6 && error.ee_type == ICMP6_UNREACHABLE).then_some(error.ee_errno)
        }
        _ => None,
    });
    let remote = report.address.as_ref().and_then(socket_address);
    let length = report.bytes;
    Ok(failure.zip(remote).map(|(errno, remote)| {
        let error = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or_default()).to_string();
        (remote, quoted.get(..length).unwrap_or(&quoted).to_vec(), error)
    }))
}

/// Sends once, not counting calls that failed for an earlier datagram's ICMP error, or because `from` is ours
/// no more.
fn send_to(socket: &UdpSocket, bytes: &[u8], remote: SocketAddr, mut from: Option<IpAddr>) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match transmit(socket, bytes, remote, from) {
            Ok(_) => return Ok(()),
            Err(error) if is_full(&error) || tries == MAX_PENDING_ERRORS => return Err(error),
            Err(error) => {
                from = from.filter(|_| !is_about_source(&error));
                tries += 1;
            }
        }
    }
}

fn transmit(socket: &UdpSocket, bytes: &[u8], remote: SocketAddr, from: Option<IpAddr>) -> io::Result<usize> {
    let send = |message: ControlMessage<'_>| {
        let (content, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(remote));
        Ok(sendmsg(socket.as_raw_fd(), &content, &[message], MsgFlags::empty(), Some(&to))?)
    };
    match from {
        Some(IpAddr::V4(own)) if remote.is_ipv4() => {
            let any = libc::in_addr { s_addr: 0 };
            let own = libc::in_addr { s_addr: u32::from(own).to_be() };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: any };
            send(ControlMessage::Ipv4PacketInfo(&info))
        }
        Some(IpAddr::V6(own)) if remote.is_ipv6() => {
            let ipi6_addr = libc::in6_addr { s6_addr: own.octets() };
            send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 }))
        }
        Some(_) | None => socket.send_to(bytes, remote),
    }
}

/// Which of our addresses `datagram` was sent to; of IPv6 only one that says by itself which link it is of.
fn arrived_at(datagram: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    datagram.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let own = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            (!own.is_multicast() && !own.is_unicast_link_local()).then_some(own.into())
        }
        _ => None,
    })
}

/// The kernel sends nothing from an address that is not its own any more.
fn is_about_source(error: &io::Error) -> bool {
    let causes = [Errno::EINVAL, Errno::EADDRNOTAVAIL, Errno::ENETUNREACH];
    causes.iter().any(|&cause| error.raw_os_error() == Some(cause as i32))
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}

fn fail(flow: Flow, token: u64, error: &io::Error, events: &mut Vec<Event>) {
    tracing::debug!(remote = %flow.remote, %error, "sending a datagram failed");
    if token != UNTRACKED {
        events.push(Event::SendFailed { token, flow, error: error.to_string(), stale: false });
    }
}

fn flow(listener: ListenerId, remote: SocketAddr) -> Flow {
    Flow { transport: Transport::Udp, listener, remote, connection: None, domain: None }
}

/// Nothing but line ends or NUL, as user agents send to keep a NAT binding (RFC 5626 §3.5.1 and older
/// habits).
fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0 | b' '))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()).into())
}

/// Where datagrams are received into before they are copied at their size.
struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: [Box<[u8]>; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        let buffers = std::array::from_fn(|_| vec![0; DATAGRAM_BYTES].into_boxed_slice());
        let control = nix::cmsg_space!(libc::in6_pktinfo);
        Self { headers: MultiHeaders::preallocate(BATCH, Some(control)), buffers }
    }
}

/// One batch per address family: a header keeps the length of the last address, and of the control message,
/// that it took as room for the next one.
#[derive(Default)]
struct Batches {
    v4: Batch,
    v6: Batch,
}

thread_local! {
    /// For all listeners of a thread: the headers hold pointers, so they could not move with a listener.
    static BATCHES: RefCell<Batches> = RefCell::default();
}

/// Datagrams taken by one system call.
pub(super) const BATCH: usize = 16;

/// More than UDP can carry.
const DATAGRAM_BYTES: usize = 65_536;

/// Socket buffers asked for; the kernel gives at most `net.core.rmem_max` and `wmem_max`.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Datagrams that wait for room in the socket, and how often each is tried.
const MAX_WAITING: usize = 256;
const MAX_TRIES: u8 = 50;

/// How long a full socket is left alone.
const RETRY: Duration = Duration::from_millis(2);

/// ICMP errors of earlier datagrams that may be in the way of one call.
const MAX_PENDING_ERRORS: u8 = 3;

/// What an ICMP error may quote and we compare.
const QUOTED_BYTES: usize = super::recent::HEAD_BYTES;

/// From `linux/errqueue.h`, RFC 792 and RFC 4443.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
const ICMP_UNREACHABLE: u8 = 3;
const ICMP_FRAGMENTATION_NEEDED: u8 = 4;
const ICMP6_UNREACHABLE: u8 = 1;

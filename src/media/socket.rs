//! The system calls of the relay that std does not offer, each behind a safe method: all `unsafe` of the crate is here.
//!
//! [`Batch`] is the one buffer a packet ever lives in: received into it, rewritten in it, sent from it. Every slot has
//! [`TAIL_ROOM`] behind the longest datagram it takes, so that an authentication tag (RFC 3711 §3.1) can be appended in
//! place.

use std::io;
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use socket2::SockAddr;

/// An edge-triggered epoll: a descriptor is reported once when it becomes readable, and not again until it was drained.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// Room for what one [`Epoll::wait`] reports.
pub struct Events {
    events: Box<[libc::epoll_event; EVENTS]>,
    filled: usize,
}

/// Wakes the thread that waits for the [`Epoll`] it was added to; an eventfd.
#[derive(Debug)]
pub struct Waker(OwnedFd);

/// Datagrams of one socket, and what of them is to be sent on.
///
/// Belongs to one thread and is used for every socket of it in turn.
pub struct Batch {
    slots: Box<[Slot; BATCH]>,
    received: usize,
    /// The slots to send, in order.
    kept: [usize; BATCH],
    keeping: usize,
}

/// What became of the datagrams that were kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Taken by the operating system.
    pub sent: usize,
    /// Refused: unreachable, no buffer, forbidden by a firewall.
    pub failed: usize,
}

struct Slot {
    bytes: [u8; LONGEST + TAIL_ROOM],
    length: usize,
    truncated: bool,
    source: libc::sockaddr_storage,
}

impl Epoll {
    /// # Errors
    ///
    /// The operating system's, out of descriptors for one.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just returned `fd` to us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reports `token` whenever `descriptor` becomes readable, until it is closed.
    ///
    /// # Errors
    ///
    /// The operating system's, out of memory or watches for one.
    pub fn add(&self, descriptor: &impl AsRawFd, token: u32) -> io::Result<()> {
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: u64::from(token) };
        let (epoll, fd) = (self.0.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: `event` is a live local, and the kernel copies it before returning.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until something is readable, or for `timeout`; `None` is without end. An interrupting signal ends it too.
    ///
    /// # Errors
    ///
    /// None that a valid epoll can return.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let timeout_ms = timeout.map_or(-1, |timeout| {
            libc::c_int::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(libc::c_int::MAX)
        });
        events.filled = 0;
        let (epoll, room) = (self.0.as_raw_fd(), EVENTS as libc::c_int);
        // SAFETY: `events` owns `EVENTS` entries and is borrowed mutably until the call returns.
        let filled = unsafe { libc::epoll_wait(epoll, events.events.as_mut_ptr(), room, timeout_ms) };
        match check(filled) {
            Ok(filled) => events.filled = usize::try_from(filled).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]), filled: 0 }
    }
}

impl Events {
    /// The tokens of what became readable.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + '_ {
        self.events[..self.filled].iter().map(|event| event.u64 as u32)
    }
}

impl Waker {
    /// # Errors
    ///
    /// The operating system's, out of descriptors for one.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just returned `fd` to us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable anew.
    ///
    /// It is never read: each write is an edge of its own, and the counter would need centuries to fill.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` is a live local of the eight bytes that are written. A full counter, the only failure, means
        // that the thread was woken already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Default for Batch {
    fn default() -> Self {
        let empty =
            || Slot { bytes: [0; LONGEST + TAIL_ROOM], length: 0, truncated: false, source: no_address() };
        Self { slots: Box::new(std::array::from_fn(|_| empty())), received: 0, kept: [0; BATCH], keeping: 0 }
    }
}

impl Batch {
    /// Fills the batch with whatever the socket holds, and forgets what was in it; returns how many datagrams that was.
    ///
    /// Fewer than [`BATCH`] means that the socket is drained. Hot path: one system call, no allocation, no lock.
    ///
    /// # Errors
    ///
    /// The socket's: [`io::ErrorKind::WouldBlock`] when it holds nothing, or what an earlier send brought back by ICMP.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        (self.received, self.keeping) = (0, 0);
        let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: LONGEST }; BATCH];
        let mut headers = [no_message(); BATCH];
        for ((slot, part), header) in self.slots.iter_mut().zip(&mut parts).zip(&mut headers) {
            part.iov_base = slot.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut slot.source).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: every header points at a part, a buffer of `LONGEST` bytes and an address, all borrowed mutably from
        // `self` or the stack until the call returns; there are `BATCH` headers.
        let received =
            check(unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as u32, flags, ptr::null_mut()) })?;
        self.received = usize::try_from(received).unwrap_or(0);
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(self.received) {
            slot.length = header.msg_len as usize;
            slot.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        Ok(self.received)
    }

    /// The datagram at `place` with its source; `None` if it was longer than a buffer, or is none at all.
    pub fn datagram(&mut self, place: usize) -> Option<(SocketAddr, &mut [u8])> {
        let slot = self.slots[..self.received].get_mut(place).filter(|slot| !slot.truncated)?;
        let source = socket_address(&slot.source)?;
        Some((source, slot.bytes.get_mut(..slot.length)?))
    }

    /// Marks the datagram at `place`, rewritten by now, as one to send.
    pub fn keep(&mut self, place: usize) {
        if let Some(kept) = self.kept.get_mut(self.keeping) {
            *kept = place;
            self.keeping += 1;
        }
    }

    /// Sends what was kept to `to`, in order. A datagram that is refused is skipped, and those behind it still go.
    ///
    /// Hot path: one system call if none is refused, no allocation, no lock.
    pub fn send(&mut self, socket: &UdpSocket, to: SocketAddr) -> Sent {
        let address = SockAddr::from(to);
        let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut headers = [no_message(); BATCH];
        let kept = self.kept.get(..self.keeping).unwrap_or_default();
        for ((&place, part), header) in kept.iter().zip(&mut parts).zip(&mut headers) {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            part.iov_base = slot.bytes.as_mut_ptr().cast();
            part.iov_len = slot.length;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len();
        }
        let mut sent = Sent::default();
        let mut rest = headers.get_mut(..kept.len()).unwrap_or_default();
        while !rest.is_empty() {
            let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
            // SAFETY: every header of `rest` points at a part, a buffer and the address, all alive until the call
            // returns; the kernel reads them and writes only the headers' lengths.
            let taken = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, flags) };
            let (taken, refused) = usize::try_from(taken).map_or((0, 1), |taken| (taken, 0));
            sent.sent += taken;
            sent.failed += refused;
            rest = rest.get_mut((taken + refused).max(1)..).unwrap_or_default();
        }
        self.keeping = 0;
        sent
    }
}

/// The soft and the hard limit of open files of this process.
///
/// # Errors
///
/// None that Linux can return.
pub fn file_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live local that the kernel fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft limit of open files of this process and leaves the hard one.
///
/// # Errors
///
/// `soft` is above `hard`.
pub fn set_file_limit(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a live local that the kernel only reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Reads an address that the kernel wrote; `None` if it is of no IP family.
fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in, and a storage is large and aligned enough
            // for every kind of address.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = v4.sin_addr.s_addr.to_ne_bytes();
            Some(SocketAddrV4::new(ip.into(), u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a sockaddr_in6.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = v6.sin6_addr.s6_addr;
            Some(SocketAddrV6::new(ip.into(), u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn no_address() -> libc::sockaddr_storage {
    // SAFETY: an address of family 0 (AF_UNSPEC) is all zeroes, which is valid for its integers and arrays.
    unsafe { mem::zeroed() }
}

fn no_message() -> libc::mmsghdr {
    // SAFETY: null pointers and zero lengths are valid in a header, which then describes nothing.
    unsafe { mem::zeroed() }
}

fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// Datagrams taken from a socket at a time: a stream that floods gets no more before its neighbours had their turn.
pub const BATCH: usize = 16;
/// The longest datagram that is relayed; 60 ms of G.711 with every header extension in use is under 600.
pub const LONGEST: usize = 1_500;
/// Free bytes behind every datagram, for an SRTP tag and key identifier.
pub const TAIL_ROOM: usize = 36;
const EVENTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_brings_datagrams_with_their_sources_in_order_and_no_more_than_its_size() {
        let (sender, receiver) = pair("127.0.0.1");
        for n in 0..20_u8 {
            sender.send_to(&[n; 3], receiver.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::default();

        let first: Vec<_> = received(&mut batch, &receiver);
        let second: Vec<_> = received(&mut batch, &receiver);

        let source = sender.local_addr().unwrap();
        assert_eq!(first, (0..16).map(|n| (source, vec![n; 3])).collect::<Vec<_>>());
        assert_eq!(second, (16..20).map(|n| (source, vec![n; 3])).collect::<Vec<_>>());
        assert_eq!(batch.receive(&receiver).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.datagram(0).is_none());
    }

    #[test]
    fn only_what_was_kept_is_sent_as_it_stands_in_the_buffer() {
        let (sender, relay) = pair("127.0.0.1");
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..3_u8 {
            sender.send_to(&[n; 3], relay.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::default();
        batch.receive(&relay).unwrap();

        for place in [0, 2] {
            batch.datagram(place).unwrap().1[0] = 0xEE;
            batch.keep(place);
        }
        let sent = batch.send(&relay, far.local_addr().unwrap());

        assert_eq!(sent, Sent { sent: 2, failed: 0 });
        let arrived: Vec<_> = received(&mut batch, &far).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(arrived, [[0xEE, 0, 0], [0xEE, 2, 2]]);
    }

    #[test]
    fn a_refused_datagram_is_counted_and_the_next_is_tried() {
        let (sender, relay) = pair("127.0.0.1");
        sender.send_to(&[1], relay.local_addr().unwrap()).unwrap();
        sender.send_to(&[2], relay.local_addr().unwrap()).unwrap();
        let mut batch = Batch::default();
        batch.receive(&relay).unwrap();

        batch.keep(0);
        batch.keep(1);
        let sent = batch.send(&relay, "[::1]:9".parse().unwrap());

        assert_eq!(sent, Sent { sent: 0, failed: 2 });
    }

    #[test]
    fn a_datagram_longer_than_a_buffer_is_not_there() {
        let (sender, receiver) = pair("127.0.0.1");
        sender.send_to(&[7; LONGEST], receiver.local_addr().unwrap()).unwrap();
        sender.send_to(&[7; LONGEST + 1], receiver.local_addr().unwrap()).unwrap();
        let mut batch = Batch::default();

        assert_eq!(batch.receive(&receiver).unwrap(), 2);
        assert_eq!(batch.datagram(0).unwrap().1.len(), LONGEST);
        assert!(batch.datagram(1).is_none());
    }

    #[test]
    fn ipv6_sources_are_read() {
        let (sender, receiver) = pair("[::1]");
        sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
        let mut batch = Batch::default();

        assert_eq!(received(&mut batch, &receiver)[0].0, sender.local_addr().unwrap());
    }

    #[test]
    fn epoll_reports_each_edge_once() {
        let (sender, receiver) = pair("127.0.0.1");
        let (epoll, waker, mut events) = (Epoll::new().unwrap(), Waker::new().unwrap(), Events::default());
        epoll.add(&receiver, 7).unwrap();
        epoll.add(&waker, 9).unwrap();
        let mut reported = || {
            epoll.wait(&mut events, Some(Duration::ZERO)).unwrap();
            events.tokens().collect::<Vec<_>>()
        };

        assert!(reported().is_empty());
        sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
        assert_eq!(reported(), [7]);
        assert!(reported().is_empty());
        waker.wake();
        waker.wake();
        assert_eq!(reported(), [9]);
        waker.wake();
        assert_eq!(reported(), [9]);
    }

    fn pair(host: &str) -> (UdpSocket, UdpSocket) {
        let bound = || UdpSocket::bind(format!("{host}:0")).unwrap();
        (bound(), bound())
    }

    fn received(batch: &mut Batch, socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
        let received = batch.receive(socket).unwrap();
        (0..received)
            .map(|place| batch.datagram(place).map(|(from, bytes)| (from, bytes.to_vec())).unwrap())
            .collect()
    }
}

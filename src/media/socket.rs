//! The system calls of the relay that std does not offer, each behind a safe method: all
//! `unsafe` of the crate is here.
//!
//! [`Batch`] is the one buffer a packet ever lives in: received into it, rewritten in it, sent from it. Every
//! slot has [`TAIL_ROOM`] behind the longest datagram it takes, so that an authentication tag (RFC 3711 §3.1)
//! can be appended in place. Receive times are the kernel's (SO_TIMESTAMPNS), in its wall-clock time. Batches
//! go by `syscall`, since libc's own functions are points where a thread can be cancelled, which costs each
//! call two locked instructions.

use std::io;
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use socket2::SockAddr;

use super::leg::Outbox;

/// An edge-triggered epoll: a descriptor is reported once when it becomes readable, and not
/// again until it was drained.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// Room for what one [`Epoll::wait`] reports.
pub(crate) struct Events {
    events: Box<[libc::epoll_event; EVENTS]>,
    filled: usize,
}

/// Wakes the thread that waits for the [`Epoll`] it was added to; an eventfd.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

/// Datagrams of several sockets, those made here, and what of both is to be sent.
///
/// Belongs to one thread and is used for all sockets of it.
pub(crate) struct Batch {
    /// [`CAPACITY`] to receive into, then [`SPARE`] to make packets in.
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    received: usize,
    made: usize,
    /// The slots to send, in order.
    kept: [u8; CAPACITY + SPARE],
    keeping: usize,
}

/// Where packets are made, behind those received.
pub(crate) struct Made<'a> {
    spare: &'a mut [Slot],
    made: &'a mut usize,
    kept: &'a mut [u8],
    keeping: &'a mut usize,
}

/// A datagram as it was received.
pub(crate) struct Datagram<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) bytes: &'a mut [u8],
    /// When it reached this host, since the Unix epoch; `None` if the kernel did not say.
    pub(crate) arrived: Option<Duration>,
}

/// What became of the datagrams that were kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sent {
    /// Taken by the operating system.
    pub sent: usize,
    /// Bytes of those, without the headers below RTP.
    pub bytes: usize,
    /// Refused: unreachable, no buffer, forbidden by a firewall.
    pub failed: usize,
}

struct Slot {
    length: usize,
    truncated: bool,
    stamp: Stamp,
    /// As long as any IP address: an IPv4 one is shorter.
    source: libc::sockaddr_in6,
    bytes: [u8; LONGEST + TAIL_ROOM],
}

/// The control message that SO_TIMESTAMPNS adds to a datagram.
#[repr(C)]
struct Stamp {
    header: libc::cmsghdr,
    time: libc::timespec,
}

impl Epoll {
    /// # Errors
    ///
    /// The operating system's, out of descriptors for one.
    pub(crate) fn new() -> io::Result<Self> {
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
    pub(crate) fn add(&self, descriptor: &impl AsRawFd, token: u32) -> io::Result<()> {
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: u64::from(token) };
        let (epoll, fd) = (self.0.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: `event` is a live local, and the kernel copies it before returning.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Reports nothing more of `descriptor`, which lives on.
    ///
    /// # Errors
    ///
    /// It was not added.
    pub(crate) fn remove(&self, descriptor: &impl AsRawFd) -> io::Result<()> {
        let (epoll, fd) = (self.0.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: no pointer is passed: the kernel wants no event to delete.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, ptr::null_mut()) })?;
        Ok(())
    }

    /// Waits until something is readable, or for `timeout`; `None` is without end. An
    /// interrupting signal ends it too.
    ///
    /// # Errors
    ///
    /// None that a valid epoll can return.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
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
    /// How many descriptors became readable.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// The token of the one at `place`, below [`Self::len`].
    pub(crate) fn token(&self, place: usize) -> u32 {
        self.events[place].u64 as u32
    }
}

impl Waker {
    /// # Errors
    ///
    /// The operating system's, out of descriptors for one.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just returned `fd` to us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable anew.
    ///
    /// It is never read: each write is an edge of its own, and the counter would need centuries to fill.
    pub(crate) fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` is a live local of the eight bytes that are written. A full counter, the only
        // failure, means that the thread was woken already.
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
        let empty = || Slot {
            length: 0,
            truncated: false,
            stamp: no_stamp(),
            source: no_address(),
            bytes: [0; LONGEST + TAIL_ROOM],
        };
        Self {
            slots: std::iter::repeat_with(empty).take(CAPACITY + SPARE).collect(),
            headers: std::iter::repeat_with(no_message).take(CAPACITY + SPARE).collect(),
            parts: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; CAPACITY + SPARE].into(),
            received: 0,
            made: 0,
            kept: [0; CAPACITY + SPARE],
            keeping: 0,
        }
    }
}

impl Batch {
    /// Takes up to `wanted` datagrams from the socket, or as many as there is room for; returns their places.
    ///
    /// Fewer than wanted, where there was room for those, means that the socket is drained. Hot path: one
    /// system call, no allocation, no lock.
    ///
    /// # Errors
    ///
    /// The socket's: [`io::ErrorKind::WouldBlock`] when it holds nothing, or what an earlier
    /// send brought back by ICMP.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wanted: usize) -> io::Result<Range<usize>> {
        let first = self.received;
        let places = first..first + wanted.min(self.vacant());
        self.wire_to_receive(places.clone());
        let headers = &mut self.headers[places];
        let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
        let (start, length) = (headers.as_mut_ptr(), headers.len() as u32);
        // SAFETY: `wire_to_receive` pointed every one of `headers` at parts, buffers, addresses and control
        // messages that `self` owns and that nothing else can reach until the call returns.
        let received =
            check(unsafe { libc::syscall(libc::SYS_recvmmsg, fd, start, length, flags, NO_TIMEOUT) })?;
        self.received += usize::try_from(received).unwrap_or(0);
        let places = first..self.received;
        for (slot, header) in self.slots[places.clone()].iter_mut().zip(&self.headers[places.clone()]) {
            slot.length = header.msg_len as usize;
            slot.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            if header.msg_hdr.msg_controllen < mem::size_of::<Stamp>() as _ {
                slot.stamp = no_stamp();
            }
        }
        Ok(places)
    }

    /// How many more datagrams there is room for.
    pub(crate) fn vacant(&self) -> usize {
        CAPACITY - self.received
    }

    /// Forgets what was received, made and kept.
    pub(crate) fn clear(&mut self) {
        (self.received, self.made, self.keeping) = (0, 0, 0);
    }

    /// The datagram at `place`, and where packets can be made; `None` if it was longer than a
    /// buffer, or is none at all.
    pub(crate) fn datagram(&mut self, place: usize) -> Option<(Datagram<'_>, Made<'_>)> {
        let (received, spare) = self.slots.split_at_mut(CAPACITY);
        let slot = received[..self.received].get_mut(place).filter(|slot| !slot.truncated)?;
        let source = socket_address(&slot.source)?;
        let arrived = slot.stamp.time();
        let datagram = Datagram { source, bytes: slot.bytes.get_mut(..slot.length)?, arrived };
        let made = Made { spare, made: &mut self.made, kept: &mut self.kept, keeping: &mut self.keeping };
        Some((datagram, made))
    }

    /// Where packets can be made.
    pub(crate) fn made(&mut self) -> Made<'_> {
        let spare = &mut self.slots[CAPACITY..];
        Made { spare, made: &mut self.made, kept: &mut self.kept, keeping: &mut self.keeping }
    }

    /// How many more packets can be made before those kept are forgotten.
    pub(crate) fn room(&self) -> usize {
        SPARE - self.made
    }

    /// Marks the first `length` bytes of the datagram at `place`, rewritten by now, as one to send.
    pub(crate) fn keep(&mut self, place: usize, length: usize) {
        if let (Some(kept), Some(slot)) = (self.kept.get_mut(self.keeping), self.slots.get_mut(place)) {
            slot.length = length.min(LONGEST + TAIL_ROOM);
            *kept = place as u8;
            self.keeping += 1;
        }
    }

    /// Lets `seal` protect each of the datagrams `kept`, in its buffer; what it returns no new length for is
    /// not sent. Returns those that are.
    ///
    /// Hot path.
    pub(crate) fn seal(
        &mut self,
        kept: Range<usize>,
        mut seal: impl FnMut(&mut [u8], usize) -> Option<usize>,
    ) -> Range<usize> {
        let mut end = kept.start;
        for place in kept.clone() {
            let number = self.kept[place];
            let slot = &mut self.slots[usize::from(number)];
            if let Some(length) = seal(&mut slot.bytes, slot.length) {
                slot.length = length;
                self.kept[end] = number;
                end += 1;
            }
        }
        kept.start..end
    }

    /// How many datagrams are to be sent; they are numbered in the order in which they were kept.
    pub(crate) fn kept(&self) -> usize {
        self.keeping
    }

    /// Forgets what was made and kept.
    pub(crate) fn forget_kept(&mut self) {
        (self.made, self.keeping) = (0, 0);
    }

    /// Sends those of the datagrams `kept`, in order, to `to`, or to the peer the socket is connected to. One
    /// that is refused is skipped, and those behind it still go.
    ///
    /// Hot path: one system call if none is refused, no allocation, no lock.
    pub(crate) fn send(&mut self, kept: Range<usize>, socket: &UdpSocket, to: Option<SocketAddr>) -> Sent {
        let address = to.map(SockAddr::from);
        self.wire_to_send(kept.clone(), address.as_ref());
        let mut sent = Sent::default();
        let mut retried = false;
        let mut first = kept.start;
        while first < kept.end {
            let rest = &mut self.headers[first..kept.end];
            let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
            let (rest_start, rest_length) = (rest.as_mut_ptr(), rest.len() as u32);
            // SAFETY: `wire_to_send` pointed every header of `rest` at a part and a buffer that `self`
            // owns and at `address`, all alive until the call returns; the kernel reads them and writes
            // only the headers' lengths.
            let taken =
                check(unsafe { libc::syscall(libc::SYS_sendmmsg, fd, rest_start, rest_length, flags) });
            match taken.map(|taken| usize::try_from(taken).unwrap_or(0)) {
                Ok(taken) => {
                    sent.sent += taken;
                    sent.bytes += rest[..taken].iter().map(|header| header.msg_len as usize).sum::<usize>();
                    first += taken.max(1);
                    retried = false;
                }
                Err(error) if !retried && was_pending(&error) => retried = true,
                Err(_) => {
                    sent.failed += 1;
                    first += 1;
                    retried = false;
                }
            }
        }
        sent
    }

    fn wire_to_receive(&mut self, places: Range<usize>) {
        let slots = self.slots[places.clone()].iter_mut();
        let wired = slots.zip(&mut self.parts[places.clone()]).zip(&mut self.headers[places]);
        for ((slot, part), header) in wired {
            *part = libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: LONGEST };
            let message = &mut header.msg_hdr;
            message.msg_iov = part;
            message.msg_iovlen = 1;
            message.msg_name = (&raw mut slot.source).cast();
            message.msg_namelen = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            message.msg_control = (&raw mut slot.stamp).cast();
            message.msg_controllen = mem::size_of::<Stamp>() as _;
        }
    }

    fn wire_to_send(&mut self, kept: Range<usize>, to: Option<&SockAddr>) {
        let (name, length) = to.map_or((ptr::null_mut(), 0), |to| (to.as_ptr().cast_mut().cast(), to.len()));
        let places = self.kept[kept.clone()].iter();
        let wired = places.zip(&mut self.parts[kept.clone()]).zip(&mut self.headers[kept]);
        for ((&place, part), header) in wired {
            let Some(slot) = self.slots.get_mut(usize::from(place)) else { continue };
            *part = libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: slot.length };
            let message = &mut header.msg_hdr;
            message.msg_iov = part;
            message.msg_iovlen = 1;
            message.msg_name = name;
            message.msg_namelen = length;
            message.msg_control = ptr::null_mut();
            message.msg_controllen = 0;
        }
    }
}

impl Outbox for Made<'_> {
    fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let (Some(slot), Some(kept)) = (self.spare.get_mut(*self.made), self.kept.get_mut(*self.keeping))
        else {
            return false;
        };
        slot.length = write(&mut slot.bytes[..LONGEST]).min(LONGEST);
        if slot.length == 0 {
            return false;
        }
        *kept = (CAPACITY + *self.made) as u8;
        *self.made += 1;
        *self.keeping += 1;
        true
    }
}

impl Stamp {
    fn time(&self) -> Option<Duration> {
        let is_stamp =
            (self.header.cmsg_level, self.header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        let seconds = u64::try_from(self.time.tv_sec).ok().filter(|_| is_stamp)?;
        Some(Duration::new(seconds, u32::try_from(self.time.tv_nsec).ok()?))
    }
}

/// Has the kernel note when each datagram of `socket` arrived.
///
/// # Errors
///
/// None for a UDP socket.
pub(crate) fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = mem::size_of_val(&on) as libc::socklen_t;
    let (fd, option) = (socket.as_raw_fd(), libc::SO_TIMESTAMPNS);
    // SAFETY: `on` is a live local of `length` bytes that the kernel only reads.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const on).cast(), length) })?;
    Ok(())
}

/// Undoes [`UdpSocket::connect`]: the socket keeps its port and hears everybody again.
///
/// # Errors
///
/// None for a UDP socket.
pub(crate) fn disconnect(socket: &UdpSocket) -> io::Result<()> {
    // SAFETY: an address is valid as all zeroes: integers and an array of them.
    let nobody: libc::sockaddr = unsafe { mem::zeroed() };
    let length = mem::size_of_val(&nobody) as libc::socklen_t;
    // SAFETY: `nobody` is a live local of `length` bytes that the kernel only reads; its
    // family is 0 (AF_UNSPEC).
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) })?;
    Ok(())
}

/// The CPUs that this thread may run on, in ascending order.
///
/// # Errors
///
/// The operating system's, on a machine of more CPUs than a set holds.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    let mut set = no_cpus();
    // SAFETY: `set` is a live local of the size passed, which the kernel fills.
    check(unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) })?;
    // SAFETY: `cpu` stays below the number of CPUs in a set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Keeps this thread on `cpu`, one of [`cpus`].
///
/// # Errors
///
/// The operating system's, when the CPU is gone or forbidden.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let mut set = no_cpus();
    // SAFETY: CPU_SET checks `cpu` against the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is a live local of the size passed, which the kernel only reads.
    check(unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// Has this thread run as soon as it can, before all threads of ordinary scheduling (SCHED_FIFO).
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] without CAP_SYS_NICE and with a limit of real-time priorities of 0.
pub(crate) fn run_realtime() -> io::Result<()> {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: `lowest` is a live local that the kernel only reads.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) })?;
    Ok(())
}

/// The soft and the hard limit of open files of this process.
///
/// # Errors
///
/// None that Linux can return.
pub(crate) fn file_limit() -> io::Result<(u64, u64)> {
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
pub(crate) fn set_file_limit(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a live local that the kernel only reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Reads an address that the kernel wrote; `None` if it is of no IP family.
fn socket_address(written: &libc::sockaddr_in6) -> Option<SocketAddr> {
    match libc::c_int::from(written.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in, which is smaller, and whose
            // integers are aligned as those of a sockaddr_in6.
            let v4 = unsafe { &*ptr::from_ref(written).cast::<libc::sockaddr_in>() };
            let ip = v4.sin_addr.s_addr.to_ne_bytes();
            Some(SocketAddrV4::new(ip.into(), u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            let port = u16::from_be(written.sin6_port);
            let ip = written.sin6_addr.s6_addr.into();
            Some(SocketAddrV6::new(ip, port, 0, written.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn no_address() -> libc::sockaddr_in6 {
    // SAFETY: an address of family 0 (AF_UNSPEC) is all zeroes, which is valid for its integers and arrays.
    unsafe { mem::zeroed() }
}

fn no_message() -> libc::mmsghdr {
    // SAFETY: null pointers and zero lengths are valid in a header, which then describes nothing.
    unsafe { mem::zeroed() }
}

fn no_stamp() -> Stamp {
    // SAFETY: integers only, for which all zeroes is valid; a level of 0 is no control message of ours.
    unsafe { mem::zeroed() }
}

fn no_cpus() -> libc::cpu_set_t {
    // SAFETY: an array of integers; all zeroes is the empty set.
    unsafe { mem::zeroed() }
}

/// Whether a send was refused for what an earlier one met: by ICMP, and forgotten by being told.
fn was_pending(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

fn check<T: PartialOrd + Default>(returned: T) -> io::Result<T> {
    if returned < T::default() { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

const NO_TIMEOUT: *mut libc::timespec = ptr::null_mut();

/// Datagrams taken from a socket at a time: a stream that floods gets no more before its
/// neighbours had their turn.
pub(crate) const BATCH: usize = 16;
/// Datagrams of all sockets that are held at once. Between 32 and 160 no difference was measured; with few,
/// the first of them goes out sooner.
pub(crate) const CAPACITY: usize = 32;
/// The longest datagram that is relayed; 60 ms of G.711 with every header extension in use is under 600.
pub(crate) const LONGEST: usize = 1_500;
/// Free bytes behind every datagram, for an SRTP tag and key identifier.
pub(crate) const TAIL_ROOM: usize = 36;
/// Packets that can be made beside those received.
pub(crate) const SPARE: usize = 64;
/// A whole batch fits, and slots are numbered in a byte.
const _: () = assert!(BATCH <= CAPACITY && CAPACITY + SPARE <= u8::MAX as usize);
const EVENTS: usize = 256;

#[cfg(test)]
mod tests;

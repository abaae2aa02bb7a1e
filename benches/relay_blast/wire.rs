//! An Ethernet device, written and read without the network stack of the sending side: packet(7) sockets.
//!
//! A UDP socket costs the generator as much for a packet as it costs the relay, so that on equal cores it is
//! the generator that gives up first. Frames written here pass no route, filter or queue, and those received
//! are read out of memory that the kernel writes to. All `unsafe` code of the generator is here.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_uint, c_void};

/// An open device.
pub(crate) struct Wire {
    socket: OwnedFd,
    ring: Ring,
    headers: Box<[libc::mmsghdr; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
}

/// Frames that the kernel writes and we read, in turn.
struct Ring {
    memory: NonNull<u8>,
    next: usize,
}

impl Wire {
    /// # Errors
    ///
    /// There is no such device, or we may not.
    pub(crate) fn open(device: &str) -> io::Result<Self> {
        let name = std::ffi::CString::new(device)?;
        // SAFETY: `name` is a C string that lives until the call returns.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let protocol = (libc::ETH_P_IP as u16).to_be();
        // SAFETY: no pointer is passed.
        let socket = checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) })?;
        // SAFETY: the descriptor was just opened, and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER)?;
        set(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1)?;
        set(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as c_int))?;
        let ring = Ring::of(&socket)?;
        // SAFETY: all zeros is a value of this structure of integers.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as c_int;
        let length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: pointer and length are those of `address`, which lives until the call returns.
        checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        // SAFETY: all zeros is a value of these structures of integers and pointers.
        let (headers, vectors) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Ok(Self { socket, ring, headers: Box::new(headers), vectors: Box::new(vectors) })
    }

    /// Sends the first [`BATCH`] of `frames`; returns how many left here, whether or not the other end of the
    /// wire had room for them.
    ///
    /// # Errors
    ///
    /// Others than having no room.
    pub(crate) fn send<'f>(&mut self, frames: impl Iterator<Item = &'f [u8]>) -> io::Result<u64> {
        let mut count = 0;
        for (frame, (header, vector)) in frames.zip(self.headers.iter_mut().zip(self.vectors.iter_mut())) {
            *vector = libc::iovec { iov_base: frame.as_ptr() as *mut c_void, iov_len: frame.len() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let mut from = 0;
        while from < count {
            let headers = self.headers[from..count].as_mut_ptr();
            // SAFETY: each header of the range points at its vector, which lives in `self`, and that at a
            // frame which `'f` outlives; the kernel only reads frames.
            let sent = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), headers, (count - from) as c_uint, libc::MSG_DONTWAIT)
            };
            match checked(sent).map(|sent| sent as usize) {
                Ok(sent) => from += sent,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => from += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(from as u64)
    }

    /// Shows `take` the frames that have arrived, a bounded number.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(&[u8])) {
        for _ in 0..MOST_RECEIVED {
            if !self.ring.show(&mut take) {
                return;
            }
        }
    }

    /// How many frames found no room here since this was last asked.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(crate) fn take_lost(&mut self) -> io::Result<u64> {
        let mut found = MaybeUninit::<libc::tpacket_stats>::zeroed();
        let mut length = mem::size_of_val(&found) as libc::socklen_t;
        // SAFETY: pointer and length are those of `found`, which lives until the call returns.
        checked(unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                found.as_mut_ptr().cast(),
                &raw mut length,
            )
        })?;
        // SAFETY: it was all zeros, which is a value of it, before the kernel wrote to it.
        Ok(u64::from(unsafe { found.assume_init() }.tp_drops))
    }
}

impl Ring {
    fn of(socket: &OwnedFd) -> io::Result<Self> {
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as c_uint,
            tp_block_nr: (SLOTS * SLOT / BLOCK) as c_uint,
            tp_frame_size: SLOT as c_uint,
            tp_frame_nr: SLOTS as c_uint,
        };
        set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of the ring that was just set up, of its length, at no certain address.
        let memory = unsafe {
            libc::mmap(ptr::null_mut(), SLOTS * SLOT, access, libc::MAP_SHARED, socket.as_raw_fd(), 0)
        };
        match NonNull::new(memory.cast::<u8>()) {
            Some(start) if memory != libc::MAP_FAILED => Ok(Self { memory: start, next: 0 }),
            Some(_) | None => Err(io::Error::last_os_error()),
        }
    }

    /// Shows `take` the next frame and gives its slot back; false if none has arrived.
    fn show(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        // SAFETY: `next` stays below `SLOTS`, so the slot lies within the mapping.
        let slot = unsafe { self.memory.as_ptr().add(self.next * SLOT) };
        // SAFETY: a slot begins with its status, is aligned to 16 bytes, and mapped as long as `self` lives.
        let status = unsafe { AtomicU32::from_ptr(slot.cast()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the kernel wrote the header before the status, and leaves it alone until we reset that.
        let header = unsafe { ptr::read(slot.cast::<libc::tpacket2_hdr>()) };
        let (start, length) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        if start + length <= SLOT {
            // SAFETY: the range was just seen to lie within the slot, which is ours as long as the header is.
            take(unsafe { std::slice::from_raw_parts(slot.add(start), length) });
        }
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % SLOTS;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping that `of` made, which nothing borrows from any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), SLOTS * SLOT) };
    }
}

fn set<T>(socket: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let length = mem::size_of_val(value) as libc::socklen_t;
    let value = ptr::from_ref(value).cast();
    // SAFETY: pointer and length are those of a value that lives until the call returns.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) }).map(|_| ())
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The most frames that leave in one system call.
pub(crate) const BATCH: usize = 64;
/// Before it is time to send again.
const MOST_RECEIVED: usize = 256;
/// A frame with what the kernel writes before it, twice over.
const SLOT: usize = 512;
/// Some 30 ms at the highest rates; more would be read from cold memory.
const SLOTS: usize = 16_384;
const BLOCK: usize = 1 << 20;
const SEND_BUFFER: c_int = 64 << 20;

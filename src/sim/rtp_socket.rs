//! A UDP socket whose datagrams carry the time at which the kernel queued them (`SO_TIMESTAMPNS`, socket(7)).
//!
//! The kernel's stamp is what makes the latency figures honest: a reader that comes late, on a machine that is busy
//! with both far ends and the bridge, reads the same time as one that waited. The kernel begins to stamp a moment after
//! the first socket asked for it, so one such socket is opened early and kept. `unsafe` is confined to this file.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, on the clock of the kernel's stamps.
#[must_use]
pub fn wall_ns() -> u64 {
    let past = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(past.as_nanos()).unwrap_or(u64::MAX)
}

/// A non-blocking socket on an even port.
#[derive(Debug)]
pub(super) struct RtpSocket {
    socket: UdpSocket,
}

impl RtpSocket {
    /// Binds any free even port of `address`, as RFC 3550 §11 asks of RTP.
    pub(super) fn bind(address: IpAddr) -> io::Result<Self> {
        let mut odd = Vec::new();
        let socket = loop {
            let socket = UdpSocket::bind((address, 0))?;
            if socket.local_addr()?.port() % 2 == 0 {
                break socket;
            }
            odd.push(socket);
            if odd.len() == ATTEMPTS {
                return Err(io::Error::other(format!("no free even port on {address}")));
            }
        };
        socket.set_nonblocking(true)?;
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open for as long as `socket` lives, and the option's value is an int that
        // outlives the call, passed with its own size.
        let outcome = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                ptr::from_ref(&on).cast(),
                mem::size_of_val(&on) as libc::socklen_t,
            )
        };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket })
    }

    /// Where packets for it go.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends one datagram.
    pub(super) fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(packet, to).map(|_| ())
    }

    /// Takes one datagram, if there is one: its length, and when the kernel queued it, in ns since the epoch.
    pub(super) fn receive(&self, packet: &mut [u8]) -> Option<(usize, u64)> {
        let mut control = Control([0; 8]);
        let mut slice = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
        // SAFETY: all zeroes is a valid msghdr: null pointers with zero lengths.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control.0) as _;
        // SAFETY: the header points at `packet` and `control`, both exclusively borrowed here and of the lengths given.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        let length = usize::try_from(length).ok()?;
        Some((length, control.stamp().unwrap_or_else(wall_ns)))
    }
}

/// Room for one control message with a timespec, as 64-bit words: two of header, two of time, and slack.
struct Control([u64; 8]);

impl Control {
    /// The stamp, if the first control message is one: word 1 holds level and type, words 2 and 3 the time.
    fn stamp(&self) -> Option<u64> {
        let [length, kind, seconds, nanos, ..] = self.0;
        let expected = u64::from(libc::SOL_SOCKET as u32) | u64::from(libc::SCM_TIMESTAMPNS as u32) << 32;
        let kind = if cfg!(target_endian = "big") { kind.rotate_left(32) } else { kind };
        (length == 32 && kind == expected).then(|| seconds * 1_000_000_000 + nanos)
    }
}

const ATTEMPTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_late_reader_still_learns_when_the_packet_came() {
        let receiver = RtpSocket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();
        let sender = RtpSocket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();
        thread::sleep(Duration::from_millis(30));
        let sent = wall_ns();
        sender.send(b"packet", receiver.address().unwrap()).unwrap();
        thread::sleep(Duration::from_millis(30));
        let mut buffer = [0; 64];

        let (length, stamp) = receiver.receive(&mut buffer).unwrap();

        assert_eq!(&buffer[..length], b"packet");
        assert!(stamp >= sent && stamp - sent < 20_000_000, "{} ns", stamp.saturating_sub(sent));
        assert!(receiver.receive(&mut buffer).is_none());
    }

    #[test]
    fn rtp_ports_are_even() {
        let socket = RtpSocket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();

        assert_eq!(socket.address().unwrap().port() % 2, 0);
    }
}

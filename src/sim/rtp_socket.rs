//! A UDP socket whose datagrams carry the time at which the kernel queued them (`SO_TIMESTAMPNS`, socket(7)).
//!
//! The kernel's stamp is what makes the latency figures honest: a reader that comes late, on a machine that
//! is busy with both far ends and the bridge, reads the same time as one that waited. The kernel begins to
//! stamp a moment after the first socket asked for it, so one such socket is opened early and kept.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;

/// Nanoseconds since the Unix epoch, on the clock of the kernel's stamps.
#[must_use]
pub(super) fn wall_ns() -> u64 {
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
        setsockopt(&socket, ReceiveTimestampns, &true)?;
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
        let mut control = cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(packet)];
        let descriptor = self.socket.as_raw_fd();
        let message =
            recvmsg::<()>(descriptor, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT).ok()?;
        let stamp = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(nanoseconds(at)),
            _ => None,
        });
        Some((message.bytes, stamp.unwrap_or_else(wall_ns)))
    }
}

fn nanoseconds(at: TimeSpec) -> u64 {
    u64::try_from(at.tv_sec()).unwrap_or_default() * 1_000_000_000
        + u64::try_from(at.tv_nsec()).unwrap_or_default()
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

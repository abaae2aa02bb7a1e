//! What the kernel says of addresses: which of ours leads to a peer, and whether one is ours to bind.
//!
//! It answers by a socket that is thrown away: connecting a UDP socket looks up the route and sends nothing.
//! Answers are of that moment; whoever asks often keeps them for a while.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address that a packet to `remote` would leave from.
///
/// # Errors
///
/// The kernel's, above all that there is no route.
pub fn source_toward(remote: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((remote, DISCARD))?;
    Ok(socket.local_addr()?.ip())
}

/// Whether this process may bind `address`, whoever else holds its port at the moment.
///
/// # Errors
///
/// The kernel's: it is no address of this machine, its family is off, or the port is for the privileged.
pub fn may_bind(address: SocketAddr) -> io::Result<()> {
    let port = if address.port() < UNPRIVILEGED { address.port() } else { 0 };
    match UdpSocket::bind((address.ip(), port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What to do about a listener that could not be opened.
#[must_use]
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program, or another trunkline, has this port (ss -lnp shows which): stop it, or choose \
             another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address (ip addr shows them): name one that it has, or a wildcard, \
             and put the address that peers reach into `advertise`"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root and for processes with CAP_NET_BIND_SERVICE: choose a higher one"
        }
        _ => "name an address of this machine and a free port",
    }
}

/// Any port will do for a route (RFC 863).
const DISCARD: u16 = 9;

/// From here on everybody may bind a port, unless the administrator has it otherwise.
const UNPRIVILEGED: u16 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_loopback_address_begins_at_loopback() {
        assert_eq!(source_toward([127, 0, 0, 9].into()).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn an_address_is_ours_though_its_port_is_taken_and_a_foreign_one_is_not() {
        let taken = UdpSocket::bind("127.0.9.6:0").unwrap();

        assert!(may_bind(taken.local_addr().unwrap()).is_ok());
        let foreign = may_bind("203.0.113.77:5060".parse().unwrap()).unwrap_err();
        assert_eq!(foreign.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let said = |kind: io::ErrorKind| remedy(&io::Error::from(kind));

        assert!(said(io::ErrorKind::AddrInUse).contains("stop it, or choose another port"));
        assert!(said(io::ErrorKind::AddrNotAvailable).contains("`advertise`"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("choose a higher one"));
    }
}

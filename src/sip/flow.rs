//! Where a message came from or goes to: transport, our listener, the remote address, the connection if it is
//! a stream.
//!
//! A flow is a value: `sip` and `call` hand it around without being able to touch the socket behind it.

use std::net::SocketAddr;

use crate::id::InterfaceId;

/// A SIP transport (RFC 3261 §18).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// Datagrams: unreliable, so transactions retransmit.
    Udp,
    /// Streams.
    Tcp,
    /// Streams inside TLS (RFC 3261 §26.2.1).
    Tls,
}

impl Transport {
    /// Whether the transport retransmits for us (RFC 3261 §17 timers A, E, G are off then).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The token of the Via header: `UDP`.
    #[must_use]
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The value of the `transport` URI parameter: `udp`.
    #[must_use]
    pub fn param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port where none is written (RFC 3261 §19.1.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// One of our listening sockets, as its place in the list of listeners; behind them, the addresses that
/// datagrams came to on a wildcard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub u16);

/// A stream connection, numbered over the life of the process: those that came in are odd, those that we
/// opened even.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// Whether the other side opened it: its port is then one of the moment, at which nobody listens.
    #[must_use]
    pub fn came_in(self) -> bool {
        self.0 % 2 == 1
    }
}

/// Whom the certificate at the other end of a TLS connection must belong to (RFC 5922 §4), as its place in
/// the list that the transports keep.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Domain(pub u32);

/// The path of one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// Transport the message travels by.
    pub transport: Transport,
    /// Our socket, for UDP the one that sends; for streams the listener whose address stands in Via and
    /// Contact.
    pub listener: ListenerId,
    /// The other end: a datagram's source or destination, a connection's peer.
    pub remote: SocketAddr,
    /// The connection to use if it still stands; another is opened to `remote` otherwise.
    pub connection: Option<ConnectionId>,
    /// By TLS, who must be there when a connection is opened; `None` is whoever the address itself belongs
    /// to.
    pub domain: Option<Domain>,
}

/// One address to try for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Where the request goes.
    pub remote: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// By which of our interfaces.
    pub interface: InterfaceId,
    /// By TLS, who has to be there.
    pub domain: Option<Domain>,
    /// Our own `host:port` toward it, for Via and Contact.
    pub sent_by: String,
}

//! transport: STUB
pub mod config;
use crate::sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use bytes::Bytes;
pub use config::Config;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What the world did.
#[derive(Debug)]
pub enum Event {
    /// A datagram, or one framed message of a stream (keep-alives are dealt with below).
    Received { bytes: Bytes, flow: Flow },
    /// A message handed to [`Transports::send`] with `token` could not be sent (refused, reset, connect time-out, ICMP error, queue full).
    SendFailed { token: u64, flow: Flow, error: String },
    /// The stream is gone.
    Closed { connection: ConnectionId, remote: SocketAddr },
    /// The stream broke the framing rules and was closed.
    BadFraming { remote: SocketAddr, error: String },
}
/// Our own address as written in Via and Contact for messages by one listener to one remote address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    pub listener: ListenerId,
    /** Advertised; `host:port`, IPv6 in brackets; the port always written. */
    pub sent_by: String,
    pub ip: IpAddr,
}

pub struct Transports {}
impl Transports {
    pub async fn bind(_config: &Config) -> std::io::Result<Self> {
        todo!()
    }
    /// Bound addresses (port 0 resolved), in file order.
    pub fn listeners(&self) -> &[config::Listen] {
        todo!()
    }
    /// The listener to use toward `remote` by `transport` (same family; a wildcard resolved to the address used toward it; cached, bounded). None: no such listener.
    pub fn local(&mut self, _transport: Transport, _remote: SocketAddr) -> Option<Local> {
        todo!()
    }
    /// Address that this flow's listener shows to its remote.
    pub fn local_of(&mut self, _flow: &Flow) -> Option<Local> {
        todo!()
    }
    /// Never blocks. Streams: the flow's connection if it stands, else any standing one to the same remote, else a new one (connect time-out `connect_timeout`; 4 s unless told).
    /// A failure comes back as an event with `token`.
    pub fn send(
        &mut self,
        _flow: &Flow,
        _bytes: Bytes,
        _token: u64,
        _connect_timeout: Option<std::time::Duration>,
    ) {
        todo!()
    }
    /// A standing stream to `remote`, if any.
    pub fn connection_to(&self, _transport: Transport, _remote: SocketAddr) -> Option<ConnectionId> {
        todo!()
    }
    /// Closes a stream (a stranger's).
    pub fn close(&mut self, _connection: ConnectionId) {
        todo!()
    }
    /// Waits for at least one event, then appends as many as are there (bounded batch). Cancel-safe.
    pub async fn next(&mut self, _events: &mut Vec<Event>) {
        todo!()
    }
}

/// A/AAAA look-ups off the signalling thread; SRV comes later. IP literals at once. IPv4 before IPv6 unless only one listener family fits.
pub mod resolve {
    use super::*;
    use crate::sip::uri::Uri;
    /// In order of preference.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Targets {
        pub addresses: Vec<SocketAddr>,
        pub transport: Transport,
    }
    #[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
    pub enum ResolveError {
        #[error("{0} has no address")]
        NoAddress(String),
        #[error("transport {0} is not supported")]
        Transport(String),
        #[error("looking up {0}: {1}")]
        Lookup(String, String),
    }
    /// `Some` when the uri's host is an IP literal: no look-up needed.
    pub fn literal(_uri: &Uri) -> Option<Result<Targets, ResolveError>> {
        todo!()
    }
    pub async fn resolve(_uri: &Uri) -> Result<Targets, ResolveError> {
        todo!()
    }
}

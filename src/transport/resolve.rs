//! Where a URI's host is (RFC 3263 §4, without NAPTR and SRV): A and AAAA, asked off the signalling thread.
//!
//! Without `transport=` the answer is UDP, as RFC 3263 §4.1 has it for a host without NAPTR and SRV. All addresses come
//! back, IPv4 first: whoever sends leaves out those of a family that no listener has.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::sip::flow::Transport;
use crate::sip::uri::{Host, Scheme, Uri};

/// Where to send, in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// At least one.
    pub addresses: Vec<SocketAddr>,
    /// By what.
    pub transport: Transport,
    /// Whether the URI named the transport; it is RFC 3263's choice otherwise.
    pub is_named: bool,
}

/// Why a URI leads nowhere.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ResolveError {
    /// The name exists without an address, or the URI has no host.
    #[error("{0} has no address")]
    NoAddress(String),
    /// TLS, SCTP or something unknown.
    #[error("transport {0} is not supported; use udp or tcp")]
    Transport(String),
    /// The resolver's own words.
    #[error("looking up {0}: {1}")]
    Lookup(String, String),
}

/// `Some` when no look-up is needed, because the host is an address or the URI cannot be used at all.
#[must_use]
pub fn literal(uri: &Uri) -> Option<Result<Targets, ResolveError>> {
    let transport = match transport(uri) {
        Ok(transport) => transport,
        Err(error) => return Some(Err(error)),
    };
    match &uri.host {
        Host::Ip(address) => {
            let addresses = vec![SocketAddr::new(address.to_canonical(), port(uri))];
            Some(Ok(Targets { addresses, transport, is_named: uri.transport().is_some() }))
        }
        Host::Name(_) => None,
    }
}

/// Asks the system's resolver.
///
/// # Errors
///
/// When the transport is not one of ours, the name has no address, or nobody answers in 5 s.
pub async fn resolve(uri: &Uri) -> Result<Targets, ResolveError> {
    if let Some(known) = literal(uri) {
        return known;
    }
    let transport = transport(uri)?;
    let name = uri.host.to_string();
    let failed = |reason: String| ResolveError::Lookup(name.clone(), reason);
    let found = timeout(LOOKUP, tokio::net::lookup_host((name.as_str(), port(uri))))
        .await
        .map_err(|_| failed(format!("no answer in {} s", LOOKUP.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let addresses = ordered(found);
    if addresses.is_empty() {
        Err(ResolveError::NoAddress(name))
    } else {
        Ok(Targets { addresses, transport, is_named: uri.transport().is_some() })
    }
}

fn transport(uri: &Uri) -> Result<Transport, ResolveError> {
    match (uri.scheme, uri.transport().as_deref()) {
        (Scheme::Tel, _) => Err(ResolveError::NoAddress(uri.to_string())),
        (Scheme::Sips, _) => Err(ResolveError::Transport("tls".to_owned())),
        (Scheme::Sip, None | Some("udp")) => Ok(Transport::Udp),
        (Scheme::Sip, Some("tcp")) => Ok(Transport::Tcp),
        (Scheme::Sip, Some(other)) => Err(ResolveError::Transport(other.to_owned())),
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port.unwrap_or(DEFAULT_PORT)
}

/// IPv4 before IPv6, otherwise as the resolver has them; each once.
fn ordered(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
}

/// RFC 3261 §19.1.2, for both UDP and TCP.
const DEFAULT_PORT: u16 = 5060;

/// How long a look-up may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// Addresses kept of one name.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_look_up() {
        for (uri, expected) in [
            ("sip:192.0.2.1", (Transport::Udp, "192.0.2.1:5060")),
            ("sip:+14155550100@192.0.2.1:5080;transport=TCP", (Transport::Tcp, "192.0.2.1:5080")),
            ("sip:[2001:db8::1];transport=udp", (Transport::Udp, "[2001:db8::1]:5060")),
            ("sip:[::ffff:192.0.2.1]", (Transport::Udp, "192.0.2.1:5060")),
        ] {
            let targets = literal(&parse(uri)).unwrap().unwrap();

            assert_eq!((targets.transport, targets.addresses[0].to_string().as_str()), expected, "{uri}");
        }
        assert_eq!(literal(&parse("sip:carrier.example")), None);
    }

    #[test]
    fn what_cannot_be_reached_is_refused_without_a_look_up() {
        for (uri, error) in [
            ("sips:carrier.example", "transport tls is not supported; use udp or tcp"),
            ("sip:carrier.example;transport=tls", "transport tls is not supported; use udp or tcp"),
            ("sip:192.0.2.1;transport=sctp", "transport sctp is not supported; use udp or tcp"),
        ] {
            assert_eq!(literal(&parse(uri)).unwrap().unwrap_err().to_string(), error);
        }
        assert!(matches!(literal(&parse("tel:+14155550100")), Some(Err(ResolveError::NoAddress(_)))));
    }

    #[test]
    fn ipv4_comes_first_and_each_address_once() {
        let found =
            ["[::1]:1", "127.0.0.2:1", "[::1]:1", "127.0.0.1:1"].map(|address| address.parse().unwrap());

        let ordered: Vec<_> = ordered(found.into_iter()).iter().map(SocketAddr::to_string).collect();

        assert_eq!(ordered, ["127.0.0.2:1", "127.0.0.1:1", "[::1]:1"]);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_with_the_port_of_the_uri() {
        let targets = resolve(&parse("sip:localhost:5099;transport=tcp")).await.unwrap();

        assert_eq!(targets.transport, Transport::Tcp);
        assert!(targets.addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 5099));
    }

    fn parse(uri: &str) -> Uri {
        Uri::parse(uri.as_bytes()).expect("a URI")
    }
}

//! Where a URI leads (RFC 3263 §4): by address, by port, or by the services that its domain announces.
//!
//! ```text
//! numeric host ─────────────────────────────────────────► that address
//! name and port, or name in /etc/hosts ─────────────────► A, AAAA
//! name and transport= ────────► SRV of that transport ──► A, AAAA of its targets; without SRV: of the name
//! name alone ──► NAPTR ───────► SRV of what it names ───► A, AAAA of its targets
//!                 └─ without ─► SRV of our transports ──► A, AAAA of its targets; no SRV: of the name, UDP
//! ```
//!
//! What the next step might need is asked along with the step before, because a caller waits: the arrows say
//! what counts, not what is asked when. A server that fails to answer for NAPTR or SRV counts as one that has
//! none.

mod asking;
mod choice;
mod client;
mod memory;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::asking::{Asking, Outcome};
use self::choice::{Record, Srv};
use self::client::{Kind, Question};
use super::config::{Listen, dns};
use crate::sip::flow::Transport;
use crate::sip::uri::{Host, Scheme, Uri};

/// Where to send, in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// At least one.
    pub targets: Vec<Target>,
    /// Whether the URI named the transport; it is RFC 3263's choice otherwise.
    pub is_named: bool,
}

/// One address, and how to send there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// By what.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// Why a URI leads nowhere.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ResolveError {
    /// The name exists without an address that a listener reaches, or the URI has no host.
    #[error("{0} has no address")]
    NoAddress(String),
    /// SCTP or something unknown, or UDP for a `sips:` URI.
    #[error("transport {0} is not supported; use udp, tcp or tls")]
    Transport(String),
    /// What the name servers or the way to them failed by.
    #[error("looking up {0}: {1}")]
    Lookup(String, String),
}

/// `Some` when no look-up is needed, because the host is an address or the URI cannot be used at all.
#[must_use]
pub fn literal(uri: &Uri) -> Option<Result<Targets, ResolveError>> {
    let named = match transport(uri) {
        Ok(named) => named,
        Err(error) => return Some(Err(error)),
    };
    match &uri.host {
        Host::Ip(address) => {
            let transport = named.unwrap_or(Transport::Udp);
            let port = uri.port.unwrap_or(transport.default_port());
            let address = SocketAddr::new(address.to_canonical(), port);
            Some(Ok(Targets { targets: vec![Target { transport, address }], is_named: named.is_some() }))
        }
        Host::Name(_) => None,
    }
}

/// Looks names up, and remembers what it found.
pub struct Resolver {
    asking: Arc<Asking>,
    listeners: Vec<Listen>,
    /// Draws by the weights of SRV records.
    rng: Mutex<StdRng>,
}

impl Resolver {
    /// A resolver for a bridge with these listeners: what none of them reaches is left out. `seed` decides
    /// the draws.
    ///
    /// # Errors
    ///
    /// When the system has no socket or randomness for it.
    pub fn new(config: &dns::Config, listeners: &[Listen], seed: [u8; 32]) -> io::Result<Self> {
        Ok(Self {
            asking: Arc::new(Asking::new(&config.servers)?),
            listeners: listeners.to_vec(),
            rng: Mutex::new(StdRng::from_seed(seed)),
        })
    }

    /// Finds out where `uri` leads. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// When the transport is not one of ours, the name leads to no address of ours, or no name server
    /// answers.
    pub async fn resolve(&self, uri: &Uri) -> Result<Targets, ResolveError> {
        if let Some(known) = literal(uri) {
            return known;
        }
        let named = transport(uri)?;
        let name = uri.host.to_string();
        let name = name.trim_end_matches('.');
        let found = match (uri.port, named) {
            (Some(port), _) => self.by_address(name, port, named.unwrap_or(Transport::Udp)).await,
            (None, _) if !has_services(name) || !self.asking.in_hosts_file(name).is_empty() => {
                let transport = named.unwrap_or(Transport::Udp);
                self.by_address(name, transport.default_port(), transport).await
            }
            (None, Some(transport)) => self.by_transport(name, transport).await,
            (None, None) => self.by_services(name).await,
        };
        let mut targets: Vec<Target> = Vec::new();
        for target in found.map_err(|reason| ResolveError::Lookup(name.to_owned(), reason))? {
            if targets.len() < MAX_TARGETS && !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            return Err(ResolveError::NoAddress(name.to_owned()));
        }
        Ok(Targets { targets, is_named: named.is_some() })
    }

    async fn by_address(&self, name: &str, port: u16, transport: Transport) -> Found {
        let addresses = self.addresses(name).await?;
        Ok(self.reached(&addresses, port, transport))
    }

    async fn by_transport(&self, name: &str, transport: Transport) -> Found {
        let servers = self.ask(service(transport, name), Kind::Srv);
        let addresses = self.addresses(name);
        match servers.await {
            Ok(records) if !records.is_empty() => self.by_servers(&records, transport).await,
            Ok(_) | Err(_) => Ok(self.reached(&addresses.await?, transport.default_port(), transport)),
        }
    }

    async fn by_services(&self, name: &str) -> Found {
        let announced = self.ask(name.to_owned(), Kind::Naptr);
        let usual = TRANSPORTS.into_iter().filter(|transport| self.listens(*transport));
        let usual: Vec<_> =
            usual.map(|transport| (transport, self.ask(service(transport, name), Kind::Srv))).collect();
        let addresses = self.addresses(name);

        let announced = announced.await.unwrap_or_default();
        let services = choice::services(&announced, |transport| self.listens(transport));
        let services: Vec<_> = services
            .into_iter()
            .take(MAX_SERVICES)
            .map(|(transport, name)| (transport, self.ask(name, Kind::Srv)))
            .collect();
        let mut targets = Vec::new();
        for (transport, servers) in services {
            let servers = servers.await.unwrap_or_default();
            targets.extend(self.by_servers(&servers, transport).await.unwrap_or_default());
        }
        if !targets.is_empty() {
            return Ok(targets);
        }

        let mut found = None;
        for (transport, servers) in usual {
            let servers = servers.await.unwrap_or_default();
            if servers.is_empty() {
                continue;
            }
            match self.by_servers(&servers, transport).await {
                Ok(targets) if !targets.is_empty() => return Ok(targets),
                none => found = Some(none),
            }
        }
        match found {
            Some(none) => none,
            None => Ok(self.reached(&addresses.await?, Transport::Udp.default_port(), Transport::Udp)),
        }
    }

    /// The targets of SRV records in the order drawn; one whose address cannot be had is left out.
    async fn by_servers(&self, records: &[Record], transport: Transport) -> Found {
        let servers = self.draw(records);
        let lookups: Vec<_> = servers.iter().map(|server| self.addresses(&server.target)).collect();
        let (mut targets, mut failed) = (Vec::new(), None);
        for (server, addresses) in servers.iter().zip(lookups) {
            match addresses.await {
                Ok(addresses) => targets.extend(self.reached(&addresses, server.port, transport)),
                Err(reason) => failed = Some(reason),
            }
        }
        failed.filter(|_| targets.is_empty()).map_or(Ok(targets), Err)
    }

    fn draw(&self, records: &[Record]) -> Vec<Srv> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut servers = choice::servers(records, &mut |most| rng.random_range(0..=most));
        servers.truncate(MAX_SERVERS);
        servers
    }

    /// The addresses of a name, IPv4 first, each family in the order of its answer; asked for at once.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, String>> + use<> {
        let in_file = self.asking.in_hosts_file(name);
        let families = [(Kind::A, true), (Kind::Aaaa, false)];
        let asked = families.map(|(kind, is_ipv4)| {
            let is_of_use = self.listeners.iter().any(|listen| listen.address.is_ipv4() == is_ipv4);
            (in_file.is_empty() && is_of_use).then(|| self.ask(name.to_owned(), kind))
        });
        async {
            let (mut addresses, mut failed) = (in_file, None);
            for answer in asked.into_iter().flatten() {
                match answer.await {
                    Ok(records) => addresses.extend(records.iter().filter_map(Record::address)),
                    Err(reason) => failed = Some(reason),
                }
            }
            failed.filter(|_| addresses.is_empty()).map_or(Ok(addresses), Err)
        }
    }

    fn reached(&self, addresses: &[IpAddr], port: u16, transport: Transport) -> Vec<Target> {
        let is_reached = |ip: &&IpAddr| {
            let reaches =
                |listen: &Listen| listen.transport == transport && listen.address.is_ipv4() == ip.is_ipv4();
            self.listeners.iter().any(reaches)
        };
        let target = |ip: &IpAddr| Target { transport, address: SocketAddr::new(*ip, port) };
        addresses.iter().filter(is_reached).map(target).collect()
    }

    fn listens(&self, transport: Transport) -> bool {
        self.listeners.iter().any(|listen| listen.transport == transport)
    }

    fn ask(&self, name: String, kind: Kind) -> impl Future<Output = Outcome> + use<> {
        self.asking.ask(Question { name, kind })
    }
}

/// Targets, or why a name server could not say.
type Found = Result<Vec<Target>, String>;

/// The transport that the URI names.
fn transport(uri: &Uri) -> Result<Option<Transport>, ResolveError> {
    match (uri.scheme, uri.transport().as_deref()) {
        (Scheme::Tel, _) => Err(ResolveError::NoAddress(uri.to_string())),
        (Scheme::Sip, None) => Ok(None),
        (Scheme::Sip, Some("udp")) => Ok(Some(Transport::Udp)),
        (Scheme::Sip, Some("tcp")) => Ok(Some(Transport::Tcp)),
        (Scheme::Sip, Some("tls")) | (Scheme::Sips, None | Some("tcp" | "tls")) => Ok(Some(Transport::Tls)),
        (Scheme::Sips, Some(other)) => Err(ResolveError::Transport(format!("{other} of a sips: URI"))),
        (Scheme::Sip, Some(other)) => Err(ResolveError::Transport(other.to_owned())),
    }
}

/// A name of one label is a host of the local network: nobody announces services for it.
fn has_services(name: &str) -> bool {
    name.contains('.')
}

/// The name of the SRV records of a transport (RFC 3263 §4.1).
fn service(transport: Transport, name: &str) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{name}"),
        Transport::Tcp => format!("_sip._tcp.{name}"),
        Transport::Tls => format!("_sips._tcp.{name}"),
    }
}

/// Transports in the order they are preferred when a domain has SRV records for several and no NAPTR.
const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// What is followed of one look-up: services of a domain, servers of a service, and targets in all.
const MAX_SERVICES: usize = 4;
const MAX_SERVERS: usize = 16;
const MAX_TARGETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_look_up() {
        for (uri, expected) in [
            ("sip:192.0.2.1", (Transport::Udp, "192.0.2.1:5060")),
            ("sip:+14155550100@192.0.2.1:5080;transport=TCP", (Transport::Tcp, "192.0.2.1:5080")),
            ("sip:192.0.2.1;transport=tls", (Transport::Tls, "192.0.2.1:5061")),
            ("sips:192.0.2.1", (Transport::Tls, "192.0.2.1:5061")),
            ("sips:192.0.2.1:5071;transport=tcp", (Transport::Tls, "192.0.2.1:5071")),
            ("sip:[2001:db8::1];transport=udp", (Transport::Udp, "[2001:db8::1]:5060")),
            ("sip:[::ffff:192.0.2.1]", (Transport::Udp, "192.0.2.1:5060")),
        ] {
            let targets = literal(&parse(uri)).unwrap().unwrap().targets;

            assert_eq!((targets[0].transport, targets[0].address.to_string().as_str()), expected, "{uri}");
        }
        assert_eq!(literal(&parse("sip:carrier.example")), None);
    }

    #[test]
    fn what_cannot_be_reached_is_refused_without_a_look_up() {
        for (uri, error) in [
            (
                "sips:carrier.example;transport=udp",
                "transport udp of a sips: URI is not supported; use udp, tcp or tls",
            ),
            ("sip:192.0.2.1;transport=sctp", "transport sctp is not supported; use udp, tcp or tls"),
        ] {
            assert_eq!(literal(&parse(uri)).unwrap().unwrap_err().to_string(), error);
        }
        assert!(matches!(literal(&parse("tel:+14155550100")), Some(Err(ResolveError::NoAddress(_)))));
    }

    fn parse(uri: &str) -> Uri {
        Uri::parse(uri.as_bytes()).expect("a URI")
    }
}

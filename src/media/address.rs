//! Which of our addresses a leg uses, and which one its session description names.
//!
//! The two differ behind NAT and on a wildcard: sockets are bound to the interface's addresses, while the
//! peer is told what it advertises, else a listening address, else whatever the routing table sends from
//! toward that peer. An address belongs to a pool of ports, which interfaces may share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Config, ReserveError, Side, Way};
use crate::net;

/// The listening addresses, and what was learned of the way to each peer.
#[derive(Debug)]
pub(crate) struct Addresses {
    interfaces: Vec<Interface>,
    pools: Vec<PoolConfig>,
    routes: HashMap<IpAddr, Route>,
}

/// The ports of one listening address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PoolConfig {
    pub(crate) address: IpAddr,
    pub(crate) ports: [u16; 2],
}

#[derive(Debug)]
struct Interface {
    /// Each with the place of its pool.
    listen: Vec<(IpAddr, usize)>,
    advertise: Vec<IpAddr>,
}

/// Our end of the way to one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Local {
    /// The place of the listening address in [`Addresses::pools`].
    pub(crate) pool: usize,
    /// What the peer is told.
    pub(crate) advertised: IpAddr,
}

#[derive(Clone, Copy, Debug)]
struct Route {
    source: IpAddr,
    learned: Instant,
}

impl Addresses {
    pub(crate) fn new(config: &Config) -> Self {
        let mut pools = Vec::new();
        let mut pool_of = |pool: PoolConfig| {
            pools.iter().position(|known| *known == pool).unwrap_or_else(|| {
                pools.push(pool);
                pools.len() - 1
            })
        };
        let mut interfaces = Vec::new();
        for interface in config.interfaces() {
            let ports = interface.ports;
            let listen = interface.listen.iter().map(|&ip| (ip, pool_of(PoolConfig { address: ip, ports })));
            interfaces.push(Interface { listen: listen.collect(), advertise: interface.advertise });
        }
        Self { interfaces, pools, routes: HashMap::new() }
    }

    /// Every address that sockets are bound to, with its ports.
    pub(crate) fn pools(&self) -> &[PoolConfig] {
        &self.pools
    }

    /// Chooses our address for the leg of `side`.
    pub(crate) fn toward(&mut self, side: Side, way: Way, now: Instant) -> Result<Local, ReserveError> {
        let peer = way.peer.to_canonical();
        let alike = |ip: &IpAddr| ip.is_ipv4() == peer.is_ipv4();
        let no_family = ReserveError::NoFamily { side };
        let interface = self.interfaces.get(usize::from(way.interface.0)).ok_or(no_family.clone())?;
        let mut listen = interface.listen.iter().copied().filter(|(ip, _)| alike(ip));
        let (only, pool) = listen.next().ok_or(no_family)?;
        let has_choice = listen.next().is_some();
        let advertise = interface.advertise.iter().copied().find(alike);
        if !has_choice && let Some(advertised) = advertise.or((!only.is_unspecified()).then_some(only)) {
            return Ok(Local { pool, advertised });
        }
        let source = self.source_toward(peer, now).ok_or(ReserveError::NoRoute { peer })?;
        let interface = self.interfaces.get(usize::from(way.interface.0));
        let on_the_way = interface.and_then(|own| own.listen.iter().find(|(ip, _)| *ip == source));
        let (bound, pool) = on_the_way.copied().unwrap_or((only, pool));
        let bound = Some(bound).filter(|ip| !ip.is_unspecified());
        Ok(Local { pool, advertised: advertise.or(bound).unwrap_or(source) })
    }

    /// The address from which a packet to `peer` would leave; remembered for a while, for a
    /// bounded number of peers.
    fn source_toward(&mut self, peer: IpAddr, now: Instant) -> Option<IpAddr> {
        if let Some(route) = self.routes.get(&peer)
            && now.saturating_duration_since(route.learned) < REMEMBERED
        {
            return Some(route.source);
        }
        let source = net::source_toward(peer).ok()?;
        if self.routes.len() >= MOST_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(peer, Route { source, learned: now });
        Some(source)
    }
}

const REMEMBERED: Duration = Duration::from_secs(60);
const MOST_ROUTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::config;
    use super::*;
    use crate::id::InterfaceId;

    #[test]
    fn a_specific_address_is_advertised_as_it_is() {
        let local = toward(&["127.0.0.5"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { pool: 0, advertised: ip("127.0.0.5") }));
    }

    #[test]
    fn an_advertised_address_of_the_peers_family_comes_first() {
        let advertise = ["203.0.113.10", "2001:db8::10"];

        let v4 = toward(&["127.0.0.5", "::1"], &advertise, "127.0.0.9");
        let v6 = toward(&["127.0.0.5", "::1"], &advertise, "::1");

        assert_eq!(v4, Ok(Local { pool: 0, advertised: ip("203.0.113.10") }));
        assert_eq!(v6, Ok(Local { pool: 1, advertised: ip("2001:db8::10") }));
    }

    #[test]
    fn a_wildcard_is_advertised_as_the_address_used_toward_the_peer() {
        let local = toward(&["0.0.0.0"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { pool: 0, advertised: ip("127.0.0.1") }));
    }

    #[test]
    fn an_ipv4_peer_seen_through_ipv6_is_an_ipv4_peer() {
        let local = toward(&["::1", "127.0.0.5"], &[], "::ffff:127.0.0.9");

        assert_eq!(local, Ok(Local { pool: 1, advertised: ip("127.0.0.5") }));
    }

    #[test]
    fn a_family_that_is_not_listened_on_is_refused() {
        let refused = Err(ReserveError::NoFamily { side: Side::Caller });

        assert_eq!(toward(&["127.0.0.5"], &[], "::1"), refused);
    }

    #[test]
    fn among_several_addresses_the_one_used_toward_the_peer_is_taken() {
        let local = toward(&["127.0.0.5", "127.0.0.1"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { pool: 1, advertised: ip("127.0.0.1") }));
    }

    #[test]
    fn interfaces_that_differ_in_what_they_advertise_share_the_ports_of_their_address() {
        let (lan, internet) = (InterfaceId(0), InterfaceId(1));
        let mut addresses = with_interfaces(vec![
            interface("127.0.0.5", None, [20_000, 20_999]),
            interface("127.0.0.5", Some("203.0.113.10"), [20_000, 20_999]),
            interface("127.0.0.5", None, [30_000, 30_999]),
        ]);
        let mut local = |interface| {
            let way = Way { interface, peer: ip("127.0.0.9") };
            addresses.toward(Side::Callee, way, Instant::now())
        };

        assert_eq!(local(lan), Ok(Local { pool: 0, advertised: ip("127.0.0.5") }));
        assert_eq!(local(internet), Ok(Local { pool: 0, advertised: ip("203.0.113.10") }));
        assert_eq!(local(InterfaceId(2)), Ok(Local { pool: 1, advertised: ip("127.0.0.5") }));
        assert_eq!(addresses.pools().len(), 2);
    }

    #[test]
    fn a_family_that_only_another_interface_has_is_refused() {
        let mut addresses = with_interfaces(vec![
            interface("127.0.0.5", None, [20_000, 20_999]),
            interface("::1", None, [20_000, 20_999]),
        ]);
        let way = Way { interface: InterfaceId(0), peer: ip("::1") };

        let refused = addresses.toward(Side::Callee, way, Instant::now());

        assert_eq!(refused, Err(ReserveError::NoFamily { side: Side::Callee }));
    }

    fn with_interfaces(interfaces: Vec<config::Interface>) -> Addresses {
        Addresses::new(&Config { interfaces, ..Config::default() })
    }

    fn interface(address: &str, advertise: Option<&str>, ports: [u16; 2]) -> config::Interface {
        let advertise = advertise.map(ip).into_iter().collect();
        config::Interface { listen: vec![ip(address)], advertise, ports }
    }

    fn toward(listen: &[&str], advertise: &[&str], peer: &str) -> Result<Local, ReserveError> {
        let parsed = |texts: &[&str]| texts.iter().map(|text| ip(text)).collect();
        let config = Config { listen: parsed(listen), advertise: parsed(advertise), ..Config::default() };
        Addresses::new(&config).toward(Side::Caller, ip(peer).into(), Instant::now())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}

//! Which of our addresses a leg uses, and which one its session description names.
//!
//! The two differ behind NAT and on a wildcard: sockets are bound to what `[media].listen` says, while
//! the peer is told `[media].advertise`, else a listening address, else whatever the routing table
//! sends from toward that peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Config, ReserveError};
use crate::net;

/// The listening addresses, and what was learned of the way to each peer.
#[derive(Debug)]
pub(crate) struct Addresses {
    listen: Vec<IpAddr>,
    advertise: Vec<IpAddr>,
    routes: HashMap<IpAddr, Route>,
}

/// Our end of the way to one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Local {
    /// The place of the listening address in [`Addresses::listen`].
    pub(crate) listen: usize,
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
        Self { listen: config.listen.clone(), advertise: config.advertise.clone(), routes: HashMap::new() }
    }

    /// The addresses that sockets are bound to.
    pub(crate) fn listen(&self) -> &[IpAddr] {
        &self.listen
    }

    /// Chooses our address for the leg of `peer`.
    pub(crate) fn toward(&mut self, peer: IpAddr, now: Instant) -> Result<Local, ReserveError> {
        let peer = peer.to_canonical();
        let alike = |ip: &IpAddr| ip.is_ipv4() == peer.is_ipv4();
        let first = self.listen.iter().position(alike).ok_or(ReserveError::NoFamily)?;
        let choice = self.listen.iter().filter(|ip| alike(ip)).count() > 1;
        let advertise = self.advertise.iter().copied().find(alike);
        let only = self.listen[first];
        if !choice && let Some(advertised) = advertise.or((!only.is_unspecified()).then_some(only)) {
            return Ok(Local { listen: first, advertised });
        }
        let source = self.source_toward(peer, now).ok_or(ReserveError::NoRoute { peer })?;
        let listen = self.listen.iter().position(|&ip| ip == source).unwrap_or(first);
        let bound = Some(self.listen[listen]).filter(|ip| !ip.is_unspecified());
        Ok(Local { listen, advertised: advertise.or(bound).unwrap_or(source) })
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
    use super::*;

    #[test]
    fn a_specific_address_is_advertised_as_it_is() {
        let local = toward(&["127.0.0.5"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { listen: 0, advertised: ip("127.0.0.5") }));
    }

    #[test]
    fn an_advertised_address_of_the_peers_family_comes_first() {
        let advertise = ["203.0.113.10", "2001:db8::10"];

        let v4 = toward(&["127.0.0.5", "::1"], &advertise, "127.0.0.9");
        let v6 = toward(&["127.0.0.5", "::1"], &advertise, "::1");

        assert_eq!(v4, Ok(Local { listen: 0, advertised: ip("203.0.113.10") }));
        assert_eq!(v6, Ok(Local { listen: 1, advertised: ip("2001:db8::10") }));
    }

    #[test]
    fn a_wildcard_is_advertised_as_the_address_used_toward_the_peer() {
        let local = toward(&["0.0.0.0"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { listen: 0, advertised: ip("127.0.0.1") }));
    }

    #[test]
    fn an_ipv4_peer_seen_through_ipv6_is_an_ipv4_peer() {
        let local = toward(&["::1", "127.0.0.5"], &[], "::ffff:127.0.0.9");

        assert_eq!(local, Ok(Local { listen: 1, advertised: ip("127.0.0.5") }));
    }

    #[test]
    fn a_family_that_is_not_listened_on_is_refused() {
        assert_eq!(toward(&["127.0.0.5"], &[], "::1"), Err(ReserveError::NoFamily));
    }

    #[test]
    fn among_several_addresses_the_one_used_toward_the_peer_is_taken() {
        let local = toward(&["127.0.0.5", "127.0.0.1"], &[], "127.0.0.9");

        assert_eq!(local, Ok(Local { listen: 1, advertised: ip("127.0.0.1") }));
    }

    fn toward(listen: &[&str], advertise: &[&str], peer: &str) -> Result<Local, ReserveError> {
        let parsed = |texts: &[&str]| texts.iter().map(|text| ip(text)).collect();
        let config = Config { listen: parsed(listen), advertise: parsed(advertise), ..Config::default() };
        Addresses::new(&config).toward(ip(peer), Instant::now())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}

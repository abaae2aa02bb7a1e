//! Which listener to use toward a remote address, and the address of ours to write into Via and Contact for
//! it.
//!
//! A listener on a wildcard has no address of its own: unless one is advertised, it is the one that the
//! kernel would send from, which depends on the remote. The answer is kept for a number of uses, then asked
//! for again.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::config::Listen;
use crate::net;
use crate::sip::flow::{ListenerId, Transport};

/// Our own address as written in Via and Contact for messages by one listener to one remote address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The listener.
    pub listener: ListenerId,
    /// Advertised; `host:port`, IPv6 in brackets; the port always written.
    pub sent_by: String,
    /// The host of `sent_by`.
    pub ip: IpAddr,
}

/// The listeners' addresses.
pub(super) struct Addresses {
    bound: Vec<Listen>,
    /// What a listener shows to everybody; `None` where it depends on the remote.
    shown: Vec<Option<Local>>,
    routes: Routes,
}

/// What the kernel said of the way to a remote address.
#[derive(Default)]
struct Routes {
    learnt: HashMap<IpAddr, Learnt>,
}

struct Learnt {
    source: IpAddr,
    uses_left: u16,
}

impl Addresses {
    pub(super) fn new(bound: Vec<Listen>, advertise: &[IpAddr]) -> Self {
        let shown = (0..).zip(&bound).map(|(index, listen)| {
            let own = listen.address;
            let advertised = advertise.iter().find(|address| address.is_ipv4() == own.is_ipv4()).copied();
            let ip = advertised.or_else(|| (!own.ip().is_unspecified()).then_some(own.ip()))?;
            Some(local(ListenerId(index), ip, own.port()))
        });
        Self { shown: shown.collect(), bound, routes: Routes::default() }
    }

    pub(super) fn bound(&self) -> &[Listen] {
        &self.bound
    }

    /// Where a listener is bound.
    pub(super) fn of(&self, listener: ListenerId) -> Option<&Listen> {
        self.bound.get(usize::from(listener.0))
    }

    /// The best of the listeners of that transport and family: one that the remote can reach, among those the
    /// one on the address that the kernel would send from, then file order.
    pub(super) fn listener(&mut self, transport: Transport, remote: IpAddr) -> Option<ListenerId> {
        let fits =
            |listen: &&Listen| listen.transport == transport && listen.address.is_ipv4() == remote.is_ipv4();
        let candidates = || (0..).zip(&self.bound).filter(|(_, listen)| fits(listen));
        let has_choice =
            candidates().filter(|(_, listen)| !listen.address.ip().is_unspecified()).nth(1).is_some();
        let source = if has_choice { self.routes.source_toward(remote) } else { None };
        let rank = |own: IpAddr| match (own.is_loopback(), remote.is_loopback()) {
            (true, true) => 0,
            (false, _) if own.is_unspecified() || !remote.is_loopback() => 1,
            _ => 2,
        };
        let best = candidates().min_by_key(|(_, listen)| {
            let own = listen.address.ip();
            (rank(own), source.is_some_and(|source| source != own))
        });
        best.map(|(index, _)| ListenerId(index))
    }

    /// What `listener` shows to `remote`; `None` if there is no such listener, or no route to `remote`.
    pub(super) fn local(&mut self, listener: ListenerId, remote: SocketAddr) -> Option<Local> {
        if let Some(fixed) = self.shown.get(usize::from(listener.0))? {
            return Some(fixed.clone());
        }
        let port = self.of(listener)?.address.port();
        Some(local(listener, self.routes.source_toward(remote.ip())?, port))
    }
}

impl Routes {
    /// The address that the kernel would send from; `None` if there is no route.
    fn source_toward(&mut self, remote: IpAddr) -> Option<IpAddr> {
        if let Some(learnt) = self.learnt.get_mut(&remote)
            && learnt.uses_left > 0
        {
            learnt.uses_left -= 1;
            return Some(learnt.source);
        }
        let source = net::source_toward(remote).ok()?;
        if self.learnt.len() >= MAX_LEARNT {
            self.learnt.clear();
        }
        self.learnt.insert(remote, Learnt { source, uses_left: USES });
        Some(source)
    }
}

fn local(listener: ListenerId, ip: IpAddr, port: u16) -> Local {
    Local { listener, sent_by: SocketAddr::new(ip, port).to_string(), ip }
}

/// Remote addresses whose route is remembered.
const MAX_LEARNT: usize = 4_096;

/// How often an answer of the kernel is used before it is asked again.
const USES: u16 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_is_shown_with_the_listeners_port() {
        let mut addresses = bound(&["0.0.0.0:5060", "[::]:5070"], &["203.0.113.10", "2001:db8::10"]);

        let v4 = addresses.local(ListenerId(0), remote("198.51.100.1")).unwrap();
        let v6 = addresses.local(ListenerId(1), remote("2001:db8::1")).unwrap();

        assert_eq!((v4.sent_by.as_str(), v6.sent_by.as_str()), ("203.0.113.10:5060", "[2001:db8::10]:5070"));
    }

    #[test]
    fn a_wildcard_shows_the_address_used_toward_the_remote() {
        let mut addresses = bound(&["0.0.0.0:5060", "[::]:5060"], &[]);

        let v4 = addresses.local(ListenerId(0), remote("127.0.0.9"));
        let again = addresses.local(ListenerId(0), remote("127.0.0.9"));
        let v6 = addresses.local(ListenerId(1), remote("::1"));

        assert_eq!(v4, again);
        assert_eq!(v4.unwrap().sent_by, "127.0.0.1:5060");
        assert_eq!(v6.unwrap().sent_by, "[::1]:5060");
    }

    #[test]
    fn a_listener_is_chosen_by_family_and_reach_then_file_order() {
        let mut addresses = bound(&["127.0.0.1:1", "0.0.0.0:2", "192.0.2.1:3", "[::1]:4"], &[]);
        let mut no_loopback = bound(&["192.0.2.1:1", "0.0.0.0:2"], &[]);

        let mut chosen = |remote: &str| addresses.listener(Transport::Udp, remote.parse().unwrap());
        let mut reached = |remote: &str| no_loopback.listener(Transport::Udp, remote.parse().unwrap());

        assert_eq!(chosen("127.0.0.5"), Some(ListenerId(0)));
        assert_eq!(chosen("198.51.100.1"), Some(ListenerId(1)));
        assert_eq!(chosen("2001:db8::1"), Some(ListenerId(3)));
        assert_eq!(
            (reached("127.0.0.5"), reached("198.51.100.1")),
            (Some(ListenerId(1)), Some(ListenerId(0)))
        );
        assert_eq!(reached("::1"), None);
        assert_eq!(addresses.listener(Transport::Tcp, "127.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn of_two_listeners_the_one_on_the_way_to_the_remote_is_chosen() {
        let mut addresses = bound(&["127.0.0.9:1", "127.0.0.1:2"], &[]);

        let chosen = addresses.listener(Transport::Udp, "127.0.0.77".parse().unwrap());

        assert_eq!(chosen, Some(ListenerId(1)));
    }

    fn bound(listen: &[&str], advertise: &[&str]) -> Addresses {
        let listen = listen.iter().map(|address| Listen {
            transport: Transport::Udp,
            address: address.parse().expect("a socket address"),
        });
        let advertise: Vec<_> =
            advertise.iter().map(|address| address.parse().expect("an address")).collect();
        Addresses::new(listen.collect(), &advertise)
    }

    fn remote(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().expect("an address"), 5060)
    }
}

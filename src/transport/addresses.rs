//! Which listener to use toward a remote address, and the address of ours to write into Via and Contact for
//! it.
//!
//! A listener on a wildcard has no address of its own: unless one is advertised, it is the one that the
//! kernel would send from, which depends on the remote. The answer is kept for a number of uses, then asked
//! for again. Interfaces that share a listener differ in what they show of it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::config::{Bound, Config, Listen};
use crate::id::InterfaceId;
use crate::net;
use crate::sip::flow::{ListenerId, Transport};

/// Our own address as written in Via and Contact for messages by one listener to one remote address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The listener.
    pub listener: ListenerId,
    /// Whose it is.
    pub interface: InterfaceId,
    /// Advertised; `host:port`, IPv6 in brackets; the port always written.
    pub sent_by: String,
    /// The host of `sent_by`.
    pub ip: IpAddr,
}

/// The listeners' addresses.
pub(super) struct Addresses {
    bound: Vec<Listen>,
    /// In file order of the listeners.
    faces: Vec<Face>,
    routes: Routes,
}

/// A listener as one interface shows it.
struct Face {
    interface: InterfaceId,
    listener: ListenerId,
    own: SocketAddr,
    transport: Transport,
    /// To everybody; `None` where it depends on the remote.
    shown: Option<Local>,
}

/// The addresses of ours that datagrams came to on wildcards: each is a listener by itself, numbered behind
/// those that are bound, so that what goes back leaves by it.
pub(super) struct OwnAddresses {
    bound: u16,
    known: Vec<(ListenerId, IpAddr)>,
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
    /// Of the listeners `bound`, whose ports are known, as `config` has each advertised.
    pub(super) fn new(bound: &[Bound], config: &Config) -> Self {
        let faces = (0..).zip(bound).flat_map(|(index, socket)| {
            let face = move |&interface| {
                Face::new(ListenerId(index), &socket.listen, interface, config.advertised_by(interface))
            };
            socket.interfaces.iter().map(face)
        });
        let faces = faces.collect();
        Self { bound: bound.iter().map(|socket| socket.listen).collect(), faces, routes: Routes::default() }
    }

    pub(super) fn bound(&self) -> &[Listen] {
        &self.bound
    }

    /// Where a listener is bound.
    pub(super) fn of(&self, listener: ListenerId) -> Option<&Listen> {
        self.bound.get(usize::from(listener.0))
    }

    /// What `interface` shows to `remote`, by the best of its listeners of that transport and family: one
    /// that the remote can reach, among those the one on the address that the kernel would send from, then
    /// file order. `None` if there is no such listener, or no route to `remote`.
    pub(super) fn local(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        interface: InterfaceId,
    ) -> Option<Local> {
        let fits = |face: &&Face| {
            face.interface == interface
                && face.transport == transport
                && face.own.is_ipv4() == remote.is_ipv4()
        };
        let candidates = || self.faces.iter().filter(fits);
        let has_choice = candidates().filter(|face| !face.own.ip().is_unspecified()).nth(1).is_some();
        let source = if has_choice { self.routes.source_toward(remote.ip()) } else { None };
        let rank = |own: IpAddr| match (own.is_loopback(), remote.ip().is_loopback()) {
            (true, true) => 0,
            (false, _) if own.is_unspecified() || !remote.ip().is_loopback() => 1,
            _ => 2,
        };
        let best = candidates().min_by_key(|face| {
            let own = face.own.ip();
            (rank(own), source.is_some_and(|source| source != own))
        });
        best?.local(remote, &mut self.routes)
    }

    /// What a listener shows to `remote`, as `interface` if it is one of those that share it; on a wildcard,
    /// the address of it that was reached. `None` if there is no such listener, or no route to `remote`.
    pub(super) fn local_of(
        &mut self,
        (listener, own): (ListenerId, Option<IpAddr>),
        remote: SocketAddr,
        interface: InterfaceId,
    ) -> Option<Local> {
        let faces = || self.faces.iter().filter(|face| face.listener == listener);
        let face = faces().find(|face| face.interface == interface).or_else(|| faces().next())?;
        match own.filter(|_| face.shown.is_none()) {
            Some(own) => Some(face.showing(own)),
            None => face.local(remote, &mut self.routes),
        }
    }
}

impl OwnAddresses {
    /// Behind `bound` listeners.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound: u16::try_from(bound).unwrap_or(u16::MAX), known: Vec::new() }
    }

    /// What stands for `address` on `listener`; that itself when there are too many to remember.
    pub(super) fn listener_at(&mut self, listener: ListenerId, address: IpAddr) -> ListenerId {
        let wanted = (listener, address);
        let known = self.known.iter().position(|known| *known == wanted);
        let place = known.or_else(|| {
            let is_room = self.known.len() < MAX_OWN;
            is_room.then(|| {
                self.known.push(wanted);
                self.known.len() - 1
            })
        });
        let place = place.and_then(|place| u16::try_from(place).ok());
        place.and_then(|place| self.bound.checked_add(place)).map_or(listener, ListenerId)
    }

    /// The listener that is bound, and the address of it that `listener` stands for.
    pub(super) fn resolve(&self, listener: ListenerId) -> (ListenerId, Option<IpAddr>) {
        let place = listener.0.checked_sub(self.bound).map(usize::from);
        match place.and_then(|place| self.known.get(place)) {
            Some(&(listener, address)) => (listener, Some(address)),
            None => (listener, None),
        }
    }
}

impl Face {
    fn new(listener: ListenerId, listen: &Listen, interface: InterfaceId, advertise: &[IpAddr]) -> Self {
        let Listen { transport, address: own } = *listen;
        let advertised = advertise.iter().find(|address| address.is_ipv4() == own.is_ipv4()).copied();
        let fixed = advertised.or_else(|| (!own.ip().is_unspecified()).then_some(own.ip()));
        let mut face = Self { interface, listener, own, transport, shown: None };
        face.shown = fixed.map(|ip| face.showing(ip));
        face
    }

    fn local(&self, remote: SocketAddr, routes: &mut Routes) -> Option<Local> {
        match &self.shown {
            Some(fixed) => Some(fixed.clone()),
            None => Some(self.showing(routes.source_toward(remote.ip())?)),
        }
    }

    fn showing(&self, ip: IpAddr) -> Local {
        let sent_by = SocketAddr::new(ip, self.own.port()).to_string();
        Local { listener: self.listener, interface: self.interface, sent_by, ip }
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

/// Addresses of this host that are told apart, of all wildcards together.
const MAX_OWN: usize = 256;

/// Remote addresses whose route is remembered.
const MAX_LEARNT: usize = 4_096;

/// How often an answer of the kernel is used before it is asked again.
const USES: u16 = 1_000;

#[cfg(test)]
mod tests {
    use super::super::config::Interface;
    use super::*;

    const ONLY: InterfaceId = InterfaceId(0);

    #[test]
    fn an_advertised_address_is_shown_with_the_listeners_port() {
        let mut addresses = bound(&["0.0.0.0:5060", "[::]:5070"], &["203.0.113.10", "2001:db8::10"]);

        let v4 = addresses.local_of((ListenerId(0), None), remote("198.51.100.1"), ONLY).unwrap();
        let v6 = addresses.local_of((ListenerId(1), None), remote("2001:db8::1"), ONLY).unwrap();

        assert_eq!((v4.sent_by.as_str(), v6.sent_by.as_str()), ("203.0.113.10:5060", "[2001:db8::10]:5070"));
    }

    #[test]
    fn a_wildcard_shows_the_address_used_toward_the_remote() {
        let mut addresses = bound(&["0.0.0.0:5060", "[::]:5060"], &[]);

        let v4 = addresses.local_of((ListenerId(0), None), remote("127.0.0.9"), ONLY);
        let again = addresses.local_of((ListenerId(0), None), remote("127.0.0.9"), ONLY);
        let v6 = addresses.local_of((ListenerId(1), None), remote("::1"), ONLY);

        assert_eq!(v4, again);
        assert_eq!(v4.unwrap().sent_by, "127.0.0.1:5060");
        assert_eq!(v6.unwrap().sent_by, "[::1]:5060");
    }

    #[test]
    fn a_listener_is_chosen_by_family_and_reach_then_file_order() {
        let mut addresses = bound(&["127.0.0.1:1", "0.0.0.0:2", "192.0.2.1:3", "[::1]:4"], &["203.0.113.10"]);
        let mut no_loopback = bound(&["192.0.2.1:1", "0.0.0.0:2"], &["203.0.113.10"]);

        let mut chosen = |to: &str| listener(&mut addresses, to, ONLY);
        let mut reached = |to: &str| listener(&mut no_loopback, to, ONLY);

        assert_eq!(chosen("127.0.0.5"), Some(0));
        assert_eq!(chosen("198.51.100.1"), Some(1));
        assert_eq!(chosen("2001:db8::1"), Some(3));
        assert_eq!((reached("127.0.0.5"), reached("198.51.100.1")), (Some(1), Some(0)));
        assert_eq!(reached("::1"), None);
        assert_eq!(addresses.local(Transport::Tcp, remote("127.0.0.1"), ONLY), None);
    }

    #[test]
    fn of_two_listeners_the_one_on_the_way_to_the_remote_is_chosen() {
        let mut addresses = bound(&["127.0.0.9:1", "127.0.0.1:2"], &[]);

        assert_eq!(listener(&mut addresses, "127.0.0.77", ONLY), Some(1));
    }

    #[test]
    fn interfaces_that_share_a_listener_differ_in_what_they_show_of_it() {
        let (lan, internet) = (InterfaceId(0), InterfaceId(1));
        let mut addresses = with_interfaces(
            &["0.0.0.0:5060"],
            vec![interface("192.168.1.10", None), interface("192.168.1.10", Some("203.0.113.10"))],
        );
        let mut shown =
            |id| addresses.local(Transport::Udp, remote("198.51.100.1"), id).map(|local| local.sent_by);

        assert_eq!(shown(lan).unwrap(), "192.168.1.10:5060");
        assert_eq!(shown(internet).unwrap(), "203.0.113.10:5060");
        assert_eq!(shown(InterfaceId(2)), None);
        assert_eq!(addresses.bound().len(), 1);
    }

    #[test]
    fn a_wildcard_stands_for_the_addresses_of_all_interfaces_and_a_message_stays_with_its_own() {
        let (lan, internet) = (InterfaceId(0), InterfaceId(1));
        let mut addresses = with_interfaces(
            &["0.0.0.0:5060", "[::]:5070"],
            vec![interface("192.168.1.10", None), interface("2001:db8::10", None)],
        );

        let bound: Vec<_> = addresses.bound().iter().map(|listen| listen.address.to_string()).collect();
        let came_by_lan = addresses.local_of((ListenerId(0), None), remote("192.168.1.7"), internet).unwrap();

        assert_eq!(bound, ["192.168.1.10:5060", "[2001:db8::10]:5070"]);
        assert_eq!((came_by_lan.interface, came_by_lan.sent_by.as_str()), (lan, "192.168.1.10:5060"));
        assert_eq!(listener(&mut addresses, "2001:db8::7", lan), None);
        assert_eq!(listener(&mut addresses, "2001:db8::7", internet), Some(1));
    }

    #[test]
    fn an_address_that_a_wildcard_was_reached_at_is_a_listener_by_itself_and_shown() {
        let mut addresses = bound(&["0.0.0.0:5060", "0.0.0.0:5070"], &[]);
        let mut own = OwnAddresses::new(2);
        let at = |own: &mut OwnAddresses, ip: &str| own.listener_at(ListenerId(1), remote(ip).ip());

        let (first, second) = (at(&mut own, "127.0.0.5"), at(&mut own, "127.0.0.6"));
        let again = at(&mut own, "127.0.0.5");
        let shown = addresses.local_of(own.resolve(second), remote("127.0.0.9"), ONLY).unwrap();

        assert_eq!((first, second, again), (ListenerId(2), ListenerId(3), ListenerId(2)));
        assert_eq!((shown.listener, shown.sent_by.as_str()), (ListenerId(1), "127.0.0.6:5070"));
        assert_eq!(own.resolve(ListenerId(1)), (ListenerId(1), None));
    }

    #[test]
    fn what_is_remembered_of_our_own_addresses_is_bounded() {
        let mut own = OwnAddresses::new(1);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());

        let last = (0..1_000).map(|n| own.listener_at(ListenerId(0), address(n))).last();

        assert_eq!((last, own.known.len()), (Some(ListenerId(0)), MAX_OWN));
    }

    fn listener(addresses: &mut Addresses, to: &str, interface: InterfaceId) -> Option<u16> {
        addresses.local(Transport::Udp, remote(to), interface).map(|local| local.listener.0)
    }

    fn bound(listen: &[&str], advertise: &[&str]) -> Addresses {
        let advertise = advertise.iter().map(|address| address.parse().expect("an address")).collect();
        addresses(Config { listen: listeners(listen), advertise, ..Config::default() })
    }

    fn with_interfaces(listen: &[&str], interfaces: Vec<Interface>) -> Addresses {
        addresses(Config { listen: listeners(listen), interfaces, ..Config::default() })
    }

    fn addresses(config: Config) -> Addresses {
        Addresses::new(&config.sockets(), &config)
    }

    fn listeners(listen: &[&str]) -> Vec<Listen> {
        let udp = |address: &&str| Listen {
            transport: Transport::Udp,
            address: address.parse().expect("a socket address"),
        };
        listen.iter().map(udp).collect()
    }

    fn interface(address: &str, advertise: Option<&str>) -> Interface {
        let parse = |text: &str| text.parse().expect("an address");
        Interface { addresses: vec![parse(address)], advertise: advertise.map(parse).into_iter().collect() }
    }

    fn remote(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().expect("an address"), 5060)
    }
}

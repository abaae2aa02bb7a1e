//! Checks that need more than one part: sockets that get in each other's way, and
//! families that one part lacks.
//!
//! Two sockets collide where their port is one and their addresses are, or one of them is
//! the wildcard of the family.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::reader::{KeyPath, Mistake, Review};
use super::{Config, interfaces};
use crate::sip::flow::Transport;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::transport::config::tls::check_authorities;
use crate::transport::config::{Bound, Listen};

pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let root = KeyPath::root();
    let (sip, media) = (root.key("sip").key("listen"), root.key("media").key("listen"));
    if review.is_broken(&sip) {
        return;
    }
    check_listeners(config, &sip, review);
    check_http(config, &root.key("http").key("listen"), review);
    if !review.is_broken(&media) {
        check_ports(config, &root.key("media").key("ports"), review);
        if config.routing.interfaces.is_empty() {
            check_families(config, &sip, &media, review);
        }
    }
    check_tls(config, &root, review);
    check_transports(config, review);
}

/// The wildcard takes the port from every other listener of its transport and family.
fn check_listeners(config: &Config, sip: &KeyPath, review: &mut Review<'_>) {
    for (index, listen) in config.sip.listen.iter().enumerate() {
        let mut earlier = config.sip.listen.iter().take(index).filter(|earlier| *earlier != listen);
        let collides = |earlier: &&Listen| {
            (earlier.transport == Transport::Udp) == (listen.transport == Transport::Udp)
                && same_socket(earlier.address, listen.address)
        };
        if let Some(earlier) = earlier.find(collides) {
            let what = format!("{} and {} are one port", earlier.address, listen.address);
            let instead = "keep the one with 0.0.0.0 or [::], or give both an address of their own";
            review.mistake(&sip.index(index), Mistake::new(what, instead));
        }
    }
}

/// HTTP and SIP over TCP can't share a port.
fn check_http(config: &Config, http: &KeyPath, review: &mut Review<'_>) {
    let listen = config.http.listen;
    let sockets = config.sip.sockets();
    let mut tcp = sockets.iter().map(|sip| sip.listen).filter(|sip| sip.transport != Transport::Udp);
    if !review.is_broken(http)
        && let Some(sip) = tcp.find(|sip| same_socket(sip.address, listen))
    {
        let what = format!("port {} is where SIP is received by {}", listen.port(), sip.transport.via());
        review.mistake(http, Mistake::new(what, "choose another port, such as 8080"));
    }
}

/// The range for RTP must leave the UDP ports of SIP alone.
fn check_ports(config: &Config, common: &KeyPath, review: &mut Review<'_>) {
    let sockets = config.sip.sockets();
    for (index, interface) in config.media.interfaces().iter().enumerate() {
        let own = interfaces::at(index).key("ports");
        let ports = if review.is_set(&own) { &own } else { common };
        let [first, last] = interface.ports;
        let taken = |listen: &Listen| {
            listen.transport == Transport::Udp
                && (first..=last).contains(&listen.address.port())
                && interface.listen.iter().any(|media| collide(*media, listen.address.ip()))
        };
        let socket = sockets.iter().map(|socket| socket.listen).find(taken);
        if let Some(listen) = socket.filter(|_| !review.is_broken(ports)) {
            let taken = listen.address.port();
            let what = format!("`ports` from {first} to {last} include {taken}, where SIP is received");
            let instead = "choose a range without it, such as [20000, 29999]";
            review.mistake(ports, Mistake::new(what, instead));
        }
    }
}

/// A call needs both signalling and audio in the family of its peer.
fn check_families(config: &Config, sip: &KeyPath, media: &KeyPath, review: &mut Review<'_>) {
    for (family, wildcard, is_v4) in [("IPv4", "0.0.0.0", true), ("IPv6", "::", false)] {
        let signals = config.sip.listen.iter().any(|listen| listen.address.is_ipv4() == is_v4);
        let hears = config.media.listen.iter().any(|address| address.is_ipv4() == is_v4);
        if signals && !hears {
            let what = format!("SIP is received over {family} and audio is not, so such calls are refused");
            let instead = format!("add \"{wildcard}\", or take the {family} listeners out of [sip].listen");
            review.warning(media, Mistake::new(what, instead));
        } else if hears && !signals {
            let what = format!("audio is received over {family} and SIP is not, so no call will use it");
            let host = if is_v4 { wildcard.to_owned() } else { format!("[{wildcard}]") };
            let instead =
                format!("add \"udp:{host}:5060\", or take the {family} addresses out of [media].listen");
            review.warning(sip, Mistake::new(what, instead));
        }
    }
}

/// TLS is spoken where there is a listener for it; the files are read only then.
fn check_tls(config: &Config, root: &KeyPath, review: &mut Review<'_>) {
    if config.sip.listens(Transport::Tls) {
        config.tls.check(&root.key("tls"), review);
        for (path, peer) in config.routing.peers() {
            check_authorities(peer.tls_ca.as_deref(), &path.key("tls_ca"), review);
        }
    }
}

/// What is sent leaves by a listener: of the transport that a peer's `uri` asks for,
/// and of the family it names.
fn check_transports(config: &Config, review: &mut Review<'_>) {
    let named = config.routing.peers().map(|(path, peer)| (path.key("uri"), peer, &peer.uris));
    let trunks = config.routing.trunks.iter().enumerate().filter(|(_, trunk)| trunk.register.register);
    let registrars = trunks.map(|(index, trunk)| {
        let path = KeyPath::root().key("trunks").index(index).key("registrar");
        (path, &trunk.peer, &trunk.register.registrars)
    });
    let sockets = config.sip.sockets();
    for (path, peer, uris) in named.chain(registrars) {
        for (index, uri) in uris.iter().enumerate() {
            let way = Way::to(uri);
            let anywhere = || peer.interface.as_ref().map(|_| IpAddr::from([0; 4]));
            let remote = uri.host.ip().or_else(anywhere);
            let interface = remote.map(|ip| interfaces::toward(config, peer, ip));
            let is_its_own = |socket: &&Bound| interface.is_none_or(|id| socket.interfaces.contains(&id));
            if sockets.iter().filter(is_its_own).any(|socket| way.begins_at(&socket.listen)) {
                continue;
            }
            let what = match path.last() {
                "registrar" => "no REGISTER can go there: [sip].listen has nothing that it could leave by",
                _ => "no call can go there: [sip].listen has nothing that it could leave by",
            };
            let instead = format!("add \"{way}\" to [sip].listen, or name another `{}`", path.last());
            let at = if uris.len() > 1 { review.element(&path, index) } else { path.clone() };
            review.warning(&at, Mistake::new(what, instead));
        }
    }
}

/// What a `uri` says of the way there; `None` is left to DNS.
struct Way {
    transport: Option<Transport>,
    is_v4: Option<bool>,
}

impl Way {
    fn to(uri: &Uri) -> Self {
        let transport = match uri.param("transport") {
            _ if uri.scheme == Scheme::Sips => Some(Transport::Tls),
            Some(Some(asked)) if asked.eq_ignore_ascii_case("tls") => Some(Transport::Tls),
            Some(Some(asked)) if asked.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
            None if uri.port.is_none() && matches!(uri.host, Host::Name(_)) => None,
            Some(_) | None => Some(Transport::Udp),
        };
        let is_v4 = match &uri.host {
            Host::Ip(address) => Some(address.is_ipv4()),
            Host::Name(_) => None,
        };
        Self { transport, is_v4 }
    }

    fn begins_at(&self, listen: &Listen) -> bool {
        self.transport.is_none_or(|transport| transport == listen.transport)
            && self.is_v4.is_none_or(|is_v4| is_v4 == listen.address.is_ipv4())
    }
}

impl fmt::Display for Way {
    /// The listener that would do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = self.transport.unwrap_or(Transport::Udp);
        let host = if self.is_v4 == Some(false) { "[::]" } else { "0.0.0.0" };
        write!(f, "{}:{host}:{}", transport.param(), transport.default_port())
    }
}

/// Whether two sockets of one transport would get in each other's way; port 0 is any free one.
fn same_socket(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0 && one.port() == other.port() && collide(one.ip(), other.ip())
}

/// Whether sockets bound to one port of these two addresses would get in each other's way.
fn collide(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
}

//! `[sip]`: where SIP is received, the address shown to peers, and how large a message may be.
//!
//! `advertise` changes only what is written into messages; sockets are bound to `listen` alone. With
//! `[[interfaces]]`, a wildcard in `listen` stands for the addresses of all of them.

pub mod dns;
pub mod tls;

use std::net::{IpAddr, SocketAddr};

use crate::config::reader::{
    KeyPath, Mistake, Reader, Review, Section, check_one_per_family, check_sockets, parse_advertised,
};
use crate::id::InterfaceId;
use crate::sip::flow::Transport;
use crate::sip::message::Limits;

/// `[sip]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Sockets for SIP, such as `"udp:0.0.0.0:5060"`, `"tcp:[::]:5060"` (IPv6 only) or `"tls:0.0.0.0:5061"`;
    /// port 0 is any free one. Default `["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]`.
    pub listen: Vec<Listen>,
    /// Address written into Via, Contact and SDP when it differs from the bound one; at most one per address
    /// family. Default none: the bound address, a wildcard resolved to the one used toward each peer.
    pub advertise: Vec<IpAddr>,
    /// Faults that cannot be forged, within ten minutes, after which a source is banned. Default `20`.
    pub ban_after: u32,
    /// Seconds that it is banned for; 0 is not at all. Default `600`.
    pub ban_s: u32,
    /// Our `[[interfaces]]` (put here by the aggregate). Default none: `listen` and `advertise` describe the
    /// only one.
    pub interfaces: Vec<Interface>,
    /// Keys `max_message_bytes` (65536), `max_line_bytes` (8192) and `max_headers` (256).
    pub limits: Limits,
}

/// One of `[[interfaces]]`, as SIP sees it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Interface {
    /// Its own addresses; an unspecified one is every address of its family.
    pub addresses: Vec<IpAddr>,
    /// Those that its peers are told in their place.
    pub advertise: Vec<IpAddr>,
}

/// A socket to be bound, and whose it is: interfaces that differ in what they advertise may share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Transport and address.
    pub listen: Listen,
    /// In file order.
    pub interfaces: Vec<InterfaceId>,
}

/// One socket for SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// Local address; an unspecified one is every address of its family.
    pub address: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        let any = SocketAddr::from(([0, 0, 0, 0], 5060));
        Self {
            listen: vec![
                Listen { transport: Transport::Udp, address: any },
                Listen { transport: Transport::Tcp, address: any },
            ],
            advertise: vec![],
            ban_after: 20,
            ban_s: 600,
            interfaces: vec![],
            limits: Limits::default(),
        }
    }
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        let limits = defaults.limits;
        Self {
            listen: table.list("listen", parse_listen).unwrap_or(defaults.listen),
            advertise: table.list("advertise", parse_advertised).unwrap_or(defaults.advertise),
            ban_after: table.whole("ban_after", defaults.ban_after, 1..=1_000_000),
            ban_s: table.seconds("ban_s", defaults.ban_s),
            interfaces: Vec::new(),
            limits: Limits {
                message_bytes: table.whole("max_message_bytes", limits.message_bytes, 1_500..=1_048_576),
                line_bytes: table.whole("max_line_bytes", limits.line_bytes, 256..=65_536),
                headers: table.whole("max_headers", limits.headers, 32..=4_096),
            },
        }
    }
}

impl Config {
    /// Whether anything is received by `transport`, which is also what it takes to send by it.
    #[must_use]
    pub fn listens(&self, transport: Transport) -> bool {
        self.listen.iter().any(|listen| listen.transport == transport)
    }

    /// Every socket there is to be, those of the first entry of `listen` first.
    #[must_use]
    pub fn sockets(&self) -> Vec<Bound> {
        let mut sockets: Vec<Bound> = Vec::new();
        for &listen in &self.listen {
            for (id, address) in self.addresses_of(listen) {
                let listen = Listen { address: SocketAddr::new(address, listen.address.port()), ..listen };
                match sockets.iter_mut().find(|socket| socket.listen == listen) {
                    Some(socket) if socket.interfaces.contains(&id) => {}
                    Some(socket) => socket.interfaces.push(id),
                    None => sockets.push(Bound { listen, interfaces: vec![id] }),
                }
            }
        }
        sockets
    }

    /// What peers of `interface` are told in place of its own addresses.
    #[must_use]
    pub fn advertised_by(&self, interface: InterfaceId) -> &[IpAddr] {
        let interface = self.interfaces.get(usize::from(interface.0));
        interface.map_or(&self.advertise, |interface| &interface.advertise)
    }

    /// Where an entry of `listen` is bound, for which interface.
    pub fn addresses_of(&self, listen: Listen) -> impl Iterator<Item = (InterfaceId, IpAddr)> {
        let own = listen.address.ip();
        let only = self.interfaces.is_empty().then_some((InterfaceId::default(), own));
        let of_interfaces = (0..).zip(&self.interfaces).flat_map(move |(place, interface)| {
            let addresses = interface.addresses.iter();
            addresses.filter_map(move |&address| Some((InterfaceId(place), common(own, address)?)))
        });
        only.into_iter().chain(of_interfaces)
    }

    /// Checks fields against each other; `here` is the path of this section.
    pub fn check(&self, here: &KeyPath, review: &mut Review<'_>) {
        check_sockets(&self.listen, &here.key("listen"), "udp:0.0.0.0:5060", review);
        check_one_per_family(&self.advertise, &here.key("advertise"), review);
        let lines = here.key("max_line_bytes");
        if self.limits.line_bytes > self.limits.message_bytes && !review.is_broken(&lines) {
            let what = "`max_line_bytes` is larger than `max_message_bytes`";
            review.mistake(&lines, Mistake::new(what, "write a smaller number"));
        }
    }
}

/// The address that both name; a wildcard names all of its family.
fn common(one: IpAddr, other: IpAddr) -> Option<IpAddr> {
    if one.is_ipv4() != other.is_ipv4() {
        return None;
    }
    match (one.is_unspecified(), other.is_unspecified()) {
        (true, _) => Some(other),
        (false, true) => Some(one),
        (false, false) => (one == other).then_some(one),
    }
}

fn parse_listen(text: &str) -> Result<Listen, Mistake> {
    let (transport, address) = text.split_once(':').unwrap_or(("", text));
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        "ws" | "wss" => {
            let what = format!("transport \"{transport}\" is not supported");
            return Err(Mistake::new(what, "write \"udp:\", \"tcp:\" or \"tls:\" before the address"));
        }
        _ => {
            let what = format!("\"{text}\" does not begin with a transport");
            return Err(Mistake::new(what, "write \"udp:\", \"tcp:\" or \"tls:\", then address and port"));
        }
    };
    let address = address.parse().map_err(|_| {
        let what = format!("\"{address}\" is no IP address with a port");
        Mistake::new(what, "write it like \"udp:0.0.0.0:5060\" or \"udp:[::]:5060\"")
    })?;
    Ok(Listen { transport, address })
}

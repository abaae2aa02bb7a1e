//! `[media]`: where RTP is received and when a silent stream is given up.
//!
//! A call takes two port pairs, so it takes four ports: a range of 10,000 ports bounds the calls at once to
//! 2,500.

use std::net::IpAddr;

use crate::config::reader::{
    KeyPath, Mistake, Reader, Review, Section, check_one_per_family, check_sockets, parse_advertised,
};

/// `[media]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Local addresses for RTP; a wildcard is resolved to the address used toward each peer. Default
    /// `["0.0.0.0"]`.
    pub listen: Vec<IpAddr>,
    /// Address written into SDP when it differs from the bound one; at most one per address family. Default
    /// `[sip].advertise` (put here by the aggregate), else the bound address itself.
    pub advertise: Vec<IpAddr>,
    /// Our `[[interfaces]]` (put here by the aggregate). Default none: `listen`, `advertise` and `ports`
    /// describe the only one.
    pub interfaces: Vec<Interface>,
    /// First and last UDP port, inclusive; RTP takes even ports, RTCP odd ones. Default `[20000, 29999]`.
    pub ports: [u16; 2],
    /// Seconds without any packet from a peer before the call is ended; 0 is never. Default `60`.
    pub silence_timeout_s: u32,
    /// Relay threads; 0 is one for each CPU that the process may run on. Default `0`.
    pub threads: u32,
    /// Keep each relay thread on a CPU of its own, among those the process was started on. Default `false`.
    pub pin_threads: bool,
    /// Let the relay threads run ahead of all ordinary ones (SCHED_FIFO), where the process may. Default
    /// `true`.
    pub realtime: bool,
}

/// Where the RTP of one interface is received.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Its local addresses.
    pub listen: Vec<IpAddr>,
    /// Those that its peers are told in their place.
    pub advertise: Vec<IpAddr>,
    /// First and last UDP port, inclusive. Interfaces that share an address and a range share the ports.
    pub ports: [u16; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![IpAddr::from([0, 0, 0, 0])],
            advertise: vec![],
            interfaces: vec![],
            ports: [20_000, 29_999],
            silence_timeout_s: 60,
            threads: 0,
            pin_threads: false,
            realtime: true,
        }
    }
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        Self {
            listen: table.list("listen", parse_listen).unwrap_or(defaults.listen),
            advertise: table.list("advertise", parse_advertised).unwrap_or(defaults.advertise),
            interfaces: Vec::new(),
            ports: table.port_range("ports", defaults.ports),
            silence_timeout_s: table.seconds("silence_timeout_s", defaults.silence_timeout_s),
            threads: table.whole("threads", defaults.threads, 0..=MOST_THREADS),
            pin_threads: table.flag("pin_threads", defaults.pin_threads),
            realtime: table.flag("realtime", defaults.realtime),
        }
    }
}

impl Config {
    /// Every interface: the only one that this section itself describes, or those that stand elsewhere.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        if !self.interfaces.is_empty() {
            return self.interfaces.clone();
        }
        vec![Interface { listen: self.listen.clone(), advertise: self.advertise.clone(), ports: self.ports }]
    }

    /// Checks fields against each other; `here` is the path of this section.
    pub fn check(&self, here: &KeyPath, review: &mut Review<'_>) {
        check_sockets(&self.listen, &here.key("listen"), "0.0.0.0", review);
        check_one_per_family(&self.advertise, &here.key("advertise"), review);
        let ports = here.key("ports");
        if let Some(mistake) = port_range_mistake(self.ports).filter(|_| !review.is_broken(&ports)) {
            review.mistake(&ports, mistake);
        }
    }
}

fn parse_listen(text: &str) -> Result<IpAddr, Mistake> {
    let instead = "write a local address without a port, such as \"0.0.0.0\" (`ports` holds the ports)";
    text.parse().map_err(|_| Mistake::new(format!("\"{text}\" is no IP address"), instead))
}

/// What keeps `ports` from being used.
#[must_use]
pub fn port_range_mistake([first, last]: [u16; 2]) -> Option<Mistake> {
    if first > last {
        return Some(Mistake::new(
            format!("`ports` runs backwards, from {first} to {last}"),
            format!("write [{last}, {first}]"),
        ));
    }
    if first == 0 || !first.is_multiple_of(2) {
        let even = if first == 0 { 20_000 } else { first.saturating_add(1) };
        let what = format!("`ports` begins with {first}, but RTP takes even ports from 2 on");
        return Some(Mistake::new(what, format!("begin with {even}")));
    }
    if last - first < PORTS_PER_CALL - 1 {
        let what =
            format!("`ports` holds fewer than {PORTS_PER_CALL} ports, which is less than one call takes");
        return Some(Mistake::new(what, "write a wider range, such as [20000, 29999]"));
    }
    None
}

/// As many CPUs as a Linux CPU set holds.
const MOST_THREADS: u32 = 1_024;
/// Two legs, each with a port for RTP and one for RTCP.
const PORTS_PER_CALL: u16 = 4;

//! `[[interfaces]]`: our own addresses, and the peers that each is for.
//!
//! An interface is a face shown to some peers, not a network card: a host behind NAT has two of them on one
//! address, the one that its LAN sees and the one that the Internet sees. What stands here is checked by the
//! aggregate, which alone knows the sockets that each needs.

use std::net::IpAddr;

use ipnet::IpNet;

use super::peer::{parse_name, parse_range};
use crate::config::reader::{Mistake, Reader, Section, parse_advertised};

/// One `[[interfaces]]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct InterfaceConfig {
    /// Unique among interfaces; `interface` of a peer names it.
    pub name: String,
    /// Local address, or one of each family; SIP is received there as `[sip].listen` says for a wildcard, and
    /// RTP too. An unspecified one is every address of its family.
    pub address: Vec<IpAddr>,
    /// Address written into Via, Contact and SDP when it differs from `address`; at most one per family.
    /// Default none.
    pub advertise: Vec<IpAddr>,
    /// First and last UDP port for RTP, inclusive. Default: `[media].ports`, by the aggregate.
    pub ports: [u16; 2],
    /// Ranges of the peers that are reached by it. Default none.
    pub networks: Vec<IpNet>,
}

impl Section for InterfaceConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        table.require("name", "add name = \"…\", which the `interface` of a peer can name");
        table.require("address", "add address = \"…\", an address of this machine");
        Self {
            name: table.parsed("name", parse_name).unwrap_or_default(),
            address: table.one_or_list("address", parse_address).unwrap_or_default(),
            advertise: table.one_or_list("advertise", parse_advertised).unwrap_or_default(),
            ports: table.port_range("ports", [0, 0]),
            networks: table.list("networks", parse_range).unwrap_or_default(),
        }
    }
}

fn parse_address(text: &str) -> Result<IpAddr, Mistake> {
    let instead = "write an address of this machine without a port, such as \"192.168.1.10\"";
    text.parse().map_err(|_| Mistake::new(format!("\"{text}\" is no IP address"), instead))
}

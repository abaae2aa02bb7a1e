//! `[dns]`: which name servers are asked where peers are.
//!
//! With servers of its own the bridge reads nothing of `/etc/resolv.conf`, its search list included;
//! `/etc/hosts` counts either way.

use std::net::{IpAddr, SocketAddr};

use crate::config::reader::{Mistake, Reader, Section};

/// `[dns]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Addresses of name servers, with a port where it is not 53: `"192.0.2.53"`, `"[2001:db8::53]:5353"`.
    /// Default none: those of the system.
    pub servers: Vec<SocketAddr>,
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self { servers: table.list("servers", parse_server).unwrap_or_default() }
    }
}

fn parse_server(text: &str) -> Result<SocketAddr, Mistake> {
    let with_port = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)));
    with_port.map_err(|_| {
        let what = format!("\"{text}\" is no IP address");
        Mistake::new(
            what,
            "write the address of a name server, such as \"192.0.2.53\" or \"192.0.2.53:5353\"",
        )
    })
}

/// Where name servers listen.
const PORT: u16 = 53;

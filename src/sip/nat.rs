//! Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4), and which addresses lie behind a NAT.
//!
//! `received` and `rport` of the Via are not asked: what the sender wrote there could aim our responses at
//! anyone. The source we saw is; `maddr` is ignored for the same reason.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::headers::Via;

/// The destination of responses to a request that came by UDP from `source` with `via` on top.
///
/// With `rport` or `force_rport` the source. Without, the port of sent-by (5060 if none) at the
/// source's address when that is what sent-by says; else a NAT stands between, and only the source
/// port reaches the sender.
#[must_use]
pub fn response_destination(via: &Via, source: SocketAddr, force_rport: bool) -> SocketAddr {
    let is_as_sent = via.host.ip().map(|ip| ip.to_canonical()) == Some(source.ip().to_canonical());
    if force_rport || via.rport.is_some() || !is_as_sent {
        return source;
    }
    SocketAddr::new(source.ip(), via.port.unwrap_or(DEFAULT_PORT))
}

/// Where a new connection for responses is opened when the one that the request came by from `source` has
/// ended (RFC 3261 §18.2.2): the port of sent-by, at the source's address.
#[must_use]
pub fn response_listener(via: &Via, source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip(), via.port.unwrap_or(DEFAULT_PORT))
}

/// Who counts as one source behind `address`: itself, of IPv6 the network that one subscriber commonly has.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Whether packets from the public Internet cannot reach `ip`.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

/// Whether `remote`, on the public Internet, is told to answer to `own`, which is not.
#[must_use]
pub fn is_out_of_reach(own: IpAddr, remote: IpAddr) -> bool {
    is_private(own.to_canonical()) && !is_private(remote.to_canonical())
}

const DEFAULT_PORT: u16 = 5_060;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_public_peer_cannot_reach_a_private_address() {
        let out_of_reach =
            |own: &str, remote: &str| is_out_of_reach(own.parse().unwrap(), remote.parse().unwrap());

        assert!(out_of_reach("10.0.0.5", "198.51.100.7") && out_of_reach("fd00::5", "2001:db8::7"));
        assert!(out_of_reach("::ffff:10.0.0.5", "198.51.100.7"));
        assert!(!out_of_reach("10.0.0.5", "192.168.1.7") && !out_of_reach("203.0.113.10", "198.51.100.7"));
    }

    #[test]
    fn responses_go_where_their_sender_can_be_reached() {
        for (via, force, destination) in [
            ("SIP/2.0/UDP 192.0.2.1:5070;rport", false, "192.0.2.1:1024"),
            ("SIP/2.0/UDP 192.0.2.1:5070;rport=9", false, "192.0.2.1:1024"),
            ("SIP/2.0/UDP 192.0.2.1:5070", true, "192.0.2.1:1024"),
            ("SIP/2.0/UDP 192.0.2.1:5070", false, "192.0.2.1:5070"),
            ("SIP/2.0/UDP 192.0.2.1", false, "192.0.2.1:5060"),
            ("SIP/2.0/UDP [::ffff:192.0.2.1]", false, "192.0.2.1:5060"),
            ("SIP/2.0/UDP 10.0.0.1:5070", false, "192.0.2.1:1024"),
            ("SIP/2.0/UDP h.example:5070", false, "192.0.2.1:1024"),
            ("SIP/2.0/UDP 192.0.2.1;maddr=198.51.100.1;received=198.51.100.2", false, "192.0.2.1:5060"),
        ] {
            let via_read = Via::parse(via.as_bytes()).unwrap();

            let found = response_destination(&via_read, "192.0.2.1:1024".parse().unwrap(), force);

            assert_eq!(found, destination.parse().unwrap(), "{via}");
        }
    }
}

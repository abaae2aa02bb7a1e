//! Which way a request inside a dialog goes (RFC 3261 §12.2.1.1, §18), decided by the remote target and by
//! the path that the peer's messages came by.
//!
//! Pure. The port of a connection that the peer opened is one of the moment: once that ended, nobody is
//! there, and the request goes to where the target says that the peer listens. When that cannot be reached
//! either, a private address behind a NAT or a name nobody knows, it goes to the address that the peer's
//! messages came from, at the port of the target, as responses do (§18.2.2): a NAT that forwards this port
//! lets it in, and one that does not lets nothing in.

use std::net::SocketAddr;

use crate::sip::flow::{ConnectionId, Flow, Transport};
use crate::sip::nat::is_private;
use crate::transport::resolve::{Target, Targets};

/// Where a request goes, and by which connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) remote: SocketAddr,
    pub(super) transport: Transport,
    pub(super) connection: Option<ConnectionId>,
}

/// Where a request inside a dialog goes: `targets` is where its first Route or the remote target points,
/// `port` the one named there, `flow` the path that the peer's messages came by, `stands` whether its
/// connection is up.
///
/// - A target that the peer's own side of a NAT can't be reached by, or that cannot be looked up: back along
///   the flow.
/// - A URI at the address its messages come from that names no transport means the one it speaks, though
///   RFC 3263 §4.1 has it be UDP: many user agents leave `transport=tcp` out of their Contact.
/// - A standing TLS connection to that address is not left for something less, whatever the URI names.
/// - A standing connection to the same address is used (RFC 3261 §18), and to a private one too: a host with
///   two networks writes the address of either.
pub(super) fn in_dialog(targets: Option<&Targets>, port: Option<u16>, flow: Flow, stands: bool) -> Way {
    let back = back(port, flow, stands);
    let Some(targets) = targets else { return back };
    let is_same_host = |target: &&Target| target.address.ip() == flow.remote.ip();
    let same_host = || targets.targets.iter().filter(is_same_host);
    let same_way = same_host().find(|target| target.transport == flow.transport);
    let same_host = same_way.or_else(|| same_host().next());
    let Some(target) = same_host.or(targets.targets.first()) else { return back };
    let ip = target.address.ip();
    if ip.is_unspecified() || ip.is_multicast() || (is_private(ip) && !is_private(flow.remote.ip())) {
        return back;
    }
    let may_be_same = same_host.is_some() || (stands && is_private(ip));
    let is_secure = same_host.is_some() && flow.transport == Transport::Tls && stands;
    let keeps = !targets.is_named || is_secure;
    let transport = if may_be_same && keeps { flow.transport } else { target.transport };
    if may_be_same && transport == flow.transport && stands {
        return back;
    }
    let is_default = port.is_none() && transport != target.transport;
    let port = if is_default { transport.default_port() } else { target.address.port() };
    Way { remote: SocketAddr::new(ip, port), transport, connection: None }
}

/// The way that the peer's messages came by, or what is left of it.
fn back(port: Option<u16>, flow: Flow, stands: bool) -> Way {
    let Flow { remote, transport, connection, .. } = flow;
    if stands || !connection.is_some_and(ConnectionId::came_in) {
        return Way { remote, transport, connection };
    }
    let port = port.unwrap_or(transport.default_port());
    Way { remote: SocketAddr::new(remote.ip(), port), transport, connection: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::flow::ListenerId;
    use crate::sip::uri::Uri;
    use crate::transport::resolve;

    #[test]
    fn a_request_in_a_dialog_goes_where_its_peer_can_be_reached() {
        for (uri, from, stands, expected) in [
            ("sip:192.0.2.1:5070", "udp 192.0.2.1:1024", false, "udp 192.0.2.1:5070"),
            ("sip:192.0.2.9:5070", "udp 192.0.2.1:5060", false, "udp 192.0.2.9:5070"),
            ("sip:10.0.0.1:5070", "udp 192.0.2.1:1024", false, "udp 192.0.2.1:1024"),
            ("sip:10.0.0.1:5070", "udp 10.0.0.2:1024", false, "udp 10.0.0.1:5070"),
            ("sip:192.0.2.1:5070", "tcp 192.0.2.1:1024", true, "tcp 192.0.2.1:1024 #7"),
            ("sip:192.0.2.1:5070;transport=tcp", "tcp 192.0.2.1:1024", true, "tcp 192.0.2.1:1024 #7"),
            ("sip:192.0.2.1:5070", "tcp 192.0.2.1:1024", false, "tcp 192.0.2.1:5070"),
            ("sip:192.0.2.1:5070;transport=udp", "tcp 192.0.2.1:1024", true, "udp 192.0.2.1:5070"),
            ("sip:192.0.2.9:5070", "tcp 192.0.2.1:1024", true, "udp 192.0.2.9:5070"),
            ("sip:10.0.0.1:5070", "tcp 192.0.2.1:1024", true, "tcp 192.0.2.1:1024 #7"),
            ("sip:0.0.0.0:5070", "udp 10.0.0.1:1024", true, "udp 10.0.0.1:1024"),
            ("sip:224.0.1.75", "udp 10.0.0.1:1024", true, "udp 10.0.0.1:1024"),
            ("sip:10.0.0.9:5070", "tcp 10.0.0.1:1024", true, "tcp 10.0.0.1:1024 #7"),
            ("sip:10.0.0.9:5070;transport=tcp", "tcp 127.0.0.1:1024", true, "tcp 127.0.0.1:1024 #7"),
            ("sip:10.0.0.9:5070;transport=udp", "tcp 10.0.0.1:1024", true, "udp 10.0.0.9:5070"),
            ("sip:10.0.0.9:5070", "tcp 10.0.0.1:1024", false, "udp 10.0.0.9:5070"),
            ("sip:192.0.2.1:5070", "tls 192.0.2.1:1024", true, "tls 192.0.2.1:1024 #7"),
            ("sip:192.0.2.1:5070;transport=tcp", "tls 192.0.2.1:1024", true, "tls 192.0.2.1:1024 #7"),
            ("sip:10.0.0.9:5070;transport=udp", "tls 10.0.0.1:1024", true, "udp 10.0.0.9:5070"),
            ("sip:192.0.2.1;transport=tls", "tls 192.0.2.1:1024", false, "tls 192.0.2.1:5061"),
            ("sips:192.0.2.9", "tls 192.0.2.1:1024", true, "tls 192.0.2.9:5061"),
            ("sip:192.0.2.1", "tls 192.0.2.1:1024", false, "tls 192.0.2.1:5061"),
            ("sip:192.0.2.1:5070", "tls 192.0.2.1:1024", false, "tls 192.0.2.1:5070"),
            ("tel:+14155550100", "tcp 192.0.2.1:1024", true, "tcp 192.0.2.1:1024 #7"),
        ] {
            assert_eq!(way(uri, from, stands), expected, "{uri} after {from}");
        }
    }

    #[test]
    fn where_the_target_is_out_of_reach_a_connection_that_the_peer_opened_is_made_to_its_port_instead() {
        for (uri, from, expected) in [
            ("sip:10.0.0.1:5070", "tcp 192.0.2.1:1024", "tcp 192.0.2.1:5070"),
            ("sip:10.0.0.1", "tls 192.0.2.1:1024", "tls 192.0.2.1:5061"),
            ("sip:0.0.0.0:5070;transport=udp", "tcp 10.0.0.1:1024", "tcp 10.0.0.1:5070"),
            ("tel:+14155550100", "tcp 192.0.2.1:1024", "tcp 192.0.2.1:5060"),
            ("sip:10.0.0.1:5070", "tcp 192.0.2.1:5060 #8", "tcp 192.0.2.1:5060 #8"),
        ] {
            assert_eq!(way(uri, from, false), expected, "{uri} after {from}");
        }
    }

    #[test]
    fn of_several_targets_at_the_peers_host_the_one_by_its_own_transport_is_taken() {
        let target = |transport, address: &str| Target { transport, address: address.parse().unwrap() };
        let targets = Targets {
            targets: vec![
                target(Transport::Tcp, "192.0.2.9:5060"),
                target(Transport::Tcp, "192.0.2.1:5060"),
                target(Transport::Udp, "192.0.2.1:5080"),
            ],
            is_named: false,
        };

        let way = in_dialog(Some(&targets), None, flow("udp 192.0.2.1:1024"), false);

        assert_eq!(shown(way), "udp 192.0.2.1:5080");
    }

    fn way(uri: &str, from: &str, stands: bool) -> String {
        let uri = Uri::parse(uri.as_bytes()).unwrap();
        let targets = resolve::literal(&uri).unwrap().ok();
        shown(in_dialog(targets.as_ref(), uri.port, flow(from), stands))
    }

    fn shown(Way { remote, transport, connection }: Way) -> String {
        let by = connection.map(|id| format!(" #{}", id.0)).unwrap_or_default();
        format!("{} {remote}{by}", transport.param())
    }

    /// `udp 192.0.2.1:5060`; a stream came in as #7, unless it says otherwise.
    fn flow(path: &str) -> Flow {
        let (path, id) = path.split_once(" #").unwrap_or((path, "7"));
        let (transport, remote) = path.split_once(' ').unwrap();
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            _ => Transport::Tls,
        };
        Flow {
            transport,
            listener: ListenerId(0),
            remote: remote.parse().unwrap(),
            connection: (transport != Transport::Udp).then_some(ConnectionId(id.parse().unwrap())),
            domain: None,
        }
    }
}

//! Checks that need more than one part: ports that two parts want, and secrets that have no value.
//!
//! A secret without a value is only a warning here: `check` may run where the secrets are not, and what needs
//! one refuses to start without it.

use std::net::IpAddr;

use super::Config;
use super::reader::{KeyPath, Mistake, Review, Secret};
use crate::sip::flow::Transport;

pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let root = KeyPath::root();
    check_ports(config, &root, review);
    check_secret(config.http.token.as_ref(), &root.key("http").key("token"), review);
    for (path, peer) in config.routing.peers() {
        check_secret(peer.password.as_ref(), &path.key("password"), review);
    }
}

/// The range for RTP must leave the UDP ports of SIP alone.
fn check_ports(config: &Config, root: &KeyPath, review: &mut Review<'_>) {
    let (listen, ports) = (root.key("sip").key("listen"), root.key("media").key("ports"));
    if review.is_broken(&listen) || review.is_broken(&ports) {
        return;
    }
    let [first, last] = config.media.ports;
    let taken = |listen: &&crate::transport::config::Listen| {
        let common = |media: &IpAddr| collide(*media, listen.address.ip());
        listen.transport == Transport::Udp
            && (first..=last).contains(&listen.address.port())
            && config.media.listen.iter().any(common)
    };
    if let Some(listen) = config.sip.listen.iter().find(taken) {
        let what = format!(
            "`ports` from {first} to {last} include {}, where SIP is received",
            listen.address.port()
        );
        review.mistake(&ports, Mistake::new(what, "choose a range without it, such as [20000, 29999]"));
    }
}

/// Whether sockets bound to one port of these two addresses would get in each other's way.
fn collide(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
}

fn check_secret(secret: Option<&Secret>, path: &KeyPath, review: &mut Review<'_>) {
    if let Some(Err(error)) = secret.map(Secret::reveal) {
        let instead = "provide it before `trunkline serve`, or take the key out";
        review.warning(path, Mistake::new(error, instead));
    }
}

//! Checks that need more than one part: ports that two parts want, and secrets that have no value.
//!
//! A secret without a value is only a warning here: `check` may run where the secrets are not, and what needs
//! one refuses to start without it.

use std::net::IpAddr;

use super::Config;
use super::reader::{KeyPath, Mistake, Review, Secret};
use crate::sip::flow::Transport;
use crate::sip::uri::{Scheme, Uri};
use crate::transport::config::tls::check_authorities;

pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let root = KeyPath::root();
    check_ports(config, &root, review);
    check_tls(config, &root, review);
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

/// TLS is spoken where there is a listener for it; what it needs is needed only then.
fn check_tls(config: &Config, root: &KeyPath, review: &mut Review<'_>) {
    if config.sip.listens(Transport::Tls) {
        config.tls.check(&root.key("tls"), review);
        for (path, peer) in config.routing.peers() {
            check_authorities(peer.tls_ca.as_deref(), &path.key("tls_ca"), review);
        }
        return;
    }
    if review.is_broken(&root.key("sip").key("listen")) {
        return;
    }
    for (path, peer) in config.routing.peers() {
        let wants_tls = |uri: &Uri| uri.scheme == Scheme::Sips || uri.transport().as_deref() == Some("tls");
        if peer.uris.iter().any(wants_tls) {
            let what = "`uri` asks for TLS, but no listener of [sip] does";
            let instead = "add \"tls:0.0.0.0:5061\" to [sip].listen, and [tls] with certificate and key";
            review.mistake(&path.key("uri"), Mistake::new(what, instead));
        }
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

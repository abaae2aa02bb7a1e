//! A private address that a peer on the Internet would be told: its requests and its audio would go nowhere.
//!
//! Only what stands in the file is judged: on a wildcard the address depends on this machine's routes, and a
//! peer that is named may be anywhere; calls complain of those when they are made. Loopback is left alone,
//! since nobody means the Internet by it.

use std::net::IpAddr;

use super::reader::{KeyPath, Mistake, Review};
use super::{Config, interfaces};
use crate::id::InterfaceId;
use crate::routing::config::PeerConfig;
use crate::sip::nat::{is_out_of_reach, is_private};

/// Warns once of each such address, at the place where it stands.
pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let mut told: Vec<KeyPath> = Vec::new();
    for (_, peer) in config.routing.peers() {
        for remote in known_addresses(peer) {
            let interface = interfaces::toward(config, peer, remote);
            for Shown { at, address } in shown(config, interface, remote.is_ipv4(), review) {
                if address.is_loopback() || !is_out_of_reach(address, remote) || told.contains(&at) {
                    continue;
                }
                let what = format!("{address} is private: `{}` can't reach it from {remote}", peer.name);
                review.warning(&at, Mistake::new(what, remedy(config)));
                told.push(at);
            }
        }
    }
}

/// An address of ours that peers are told, and where it stands.
struct Shown {
    at: KeyPath,
    address: IpAddr,
}

/// Where the file says that `peer` is.
fn known_addresses(peer: &PeerConfig) -> impl Iterator<Item = IpAddr> {
    let reached = peer.uris.iter().filter_map(|uri| uri.host.ip());
    reached.chain(peer.allow.iter().map(ipnet::IpNet::addr))
}

/// What `interface` shows to peers of that family, for SIP and for RTP.
fn shown(config: &Config, interface: InterfaceId, is_v4: bool, review: &Review<'_>) -> Vec<Shown> {
    let place = usize::from(interface.0);
    if let Some(own) = config.routing.interfaces.get(place) {
        let here = interfaces::at(place);
        let (advertise, address) = (here.key("advertise"), here.key("address"));
        return one_shown(&own.advertise, &advertise, &own.address, &address, is_v4, review);
    }
    let [sip, media] = ["sip", "media"].map(|section| KeyPath::root().key(section));
    let bound: Vec<_> = config.sip.listen.iter().map(|listen| listen.address.ip()).collect();
    let (advertise, listen) = (sip.key("advertise"), sip.key("listen"));
    let mut shown = one_shown(&config.sip.advertise, &advertise, &bound, &listen, is_v4, review);
    let own = media.key("advertise");
    let advertise = if review.is_set(&own) { own } else { advertise };
    let (advertised, listen) = (&config.media.advertise, media.key("listen"));
    shown.extend(one_shown(advertised, &advertise, &config.media.listen, &listen, is_v4, review));
    shown
}

/// What is advertised, else what is bound, unless some of that reaches the Internet or depends on the route.
fn one_shown(
    advertised: &[IpAddr],
    advertise: &KeyPath,
    bound: &[IpAddr],
    listen: &KeyPath,
    is_v4: bool,
    review: &Review<'_>,
) -> Vec<Shown> {
    let of_family = |(_, ip): &(usize, &IpAddr)| ip.is_ipv4() == is_v4;
    let element = |path: &KeyPath, (index, address): (usize, &IpAddr)| Shown {
        at: review.element(path, index),
        address: *address,
    };
    if let Some(found) = advertised.iter().enumerate().find(of_family) {
        return vec![element(advertise, found)];
    }
    let mut bound = bound.iter().enumerate().filter(of_family).peekable();
    let Some(&first) = bound.peek() else { return Vec::new() };
    let all_private = bound.all(|(_, ip)| is_private(*ip) && !ip.is_unspecified());
    if all_private { vec![element(listen, first)] } else { Vec::new() }
}

fn remedy(config: &Config) -> &'static str {
    if config.routing.interfaces.is_empty() {
        "write the address that it reaches into `advertise`; peers on the LAN beside it need [[interfaces]]"
    } else {
        "write the address that it reaches into `advertise`, or name another `interface` at that peer"
    }
}

//! `[[interfaces]]`, laid over the sockets of `[sip]` and `[media]`, and checked against all that touches
//! them.
//!
//! With interfaces, a wildcard in `[sip].listen` or `[media].listen` stands for the addresses of all of them,
//! and what peers are told is the interface's own business: an `advertise` beside it would be ignored, so it
//! is a mistake.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Config;
use super::reader::{KeyPath, Mistake, Review, check_one_per_family};
use crate::id::InterfaceId;
use crate::media;
use crate::media::config::port_range_mistake;
use crate::routing::Interfaces;
use crate::routing::config::{InterfaceConfig, PeerConfig, cut_to_prefix, unknown_peer};
use crate::sip::flow::Transport;
use crate::transport::config::{Interface, Listen};

/// Fills in what depends on other keys, and hands each part what it needs of the interfaces.
pub(super) fn complete(config: &mut Config, review: &mut Review<'_>) {
    let interfaces = &mut config.routing.interfaces;
    if interfaces.is_empty() {
        return;
    }
    for (index, interface) in interfaces.iter_mut().enumerate() {
        let here = at(index);
        if !review.is_set(&here.key("ports")) {
            interface.ports = config.media.ports;
        }
        cut_to_prefix(&mut interface.networks, &here.key("networks"), review);
    }
    if !review.is_set(&KeyPath::root().key("sip").key("listen")) {
        config.sip.listen = usual_listeners(interfaces);
    }
    let of_sip = |own: &InterfaceConfig| Interface {
        addresses: own.address.clone(),
        advertise: own.advertise.clone(),
    };
    let of_media = |own: &InterfaceConfig| media::config::Interface {
        listen: own.address.clone(),
        advertise: own.advertise.clone(),
        ports: own.ports,
    };
    config.sip.interfaces = interfaces.iter().map(of_sip).collect();
    config.media.interfaces = interfaces.iter().map(of_media).collect();
}

/// Checks the interfaces, and the keys that they take the place of.
pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let interfaces = &config.routing.interfaces;
    check_peers(config, review);
    if interfaces.is_empty() {
        return;
    }
    for (index, interface) in interfaces.iter().enumerate() {
        let (here, earlier) = (at(index), &interfaces[..index]);
        check_name(interface, earlier, &here.key("name"), review);
        check_addresses(interface, earlier, &here.key("address"), review);
        check_advertised(interface, &here.key("advertise"), review);
        check_ports(interface, earlier, &here.key("ports"), review);
        check_networks(interface, earlier, &here.key("networks"), review);
        check_listened(config, interface, &here.key("address"), review);
    }
    check_replaced(config, review);
}

/// The path of an interface.
pub(super) fn at(index: usize) -> KeyPath {
    KeyPath::root().key("interfaces").index(index)
}

/// UDP and TCP on the usual port, in every family that some interface has.
fn usual_listeners(interfaces: &[InterfaceConfig]) -> Vec<Listen> {
    let wildcards = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
    let is_there = |any: &IpAddr| interfaces.iter().any(|own| has_family(own, any.is_ipv4()));
    let both = |any: IpAddr| {
        [Transport::Udp, Transport::Tcp].map(|transport| {
            let address = SocketAddr::new(any, transport.default_port());
            Listen { transport, address }
        })
    };
    wildcards.into_iter().filter(is_there).flat_map(both).collect()
}

fn check_name(own: &InterfaceConfig, earlier: &[InterfaceConfig], here: &KeyPath, review: &mut Review<'_>) {
    if !own.name.is_empty() && earlier.iter().any(|other| other.name == own.name) {
        let what = format!("two [[interfaces]] are called `{}`", own.name);
        review.mistake(here, Mistake::new(what, "give each a name of its own"));
    }
}

/// A wildcard would take the ports of every other address of its family.
fn check_addresses(
    own: &InterfaceConfig,
    earlier: &[InterfaceConfig],
    here: &KeyPath,
    review: &mut Review<'_>,
) {
    if own.address.is_empty() && review.is_set(here) && !review.is_broken(here) {
        let instead = "name an address of this machine, such as \"192.168.1.10\"";
        review.mistake(here, Mistake::new("`address` is empty", instead));
    }
    check_one_per_family(&own.address, here, review);
    for (index, &address) in own.address.iter().enumerate() {
        let takes = |other: IpAddr| {
            other != address
                && other.is_ipv4() == address.is_ipv4()
                && (other.is_unspecified() || address.is_unspecified())
        };
        let mut others =
            earlier.iter().flat_map(|other| other.address.iter().map(move |ip| (&other.name, ip)));
        if let Some((name, other)) = others.find(|(_, other)| takes(**other)) {
            let what = format!("{address} and {other} of `{name}` are one address to the ports of both");
            let instead = "give both the same address, or each one of its own";
            review.mistake(&review.element(here, index), Mistake::new(what, instead));
        }
    }
}

fn check_advertised(own: &InterfaceConfig, here: &KeyPath, review: &mut Review<'_>) {
    check_one_per_family(&own.advertise, here, review);
    let lacks = |shown: &&IpAddr| !own.address.is_empty() && !has_family(own, shown.is_ipv4());
    if let Some(shown) = own.advertise.iter().find(lacks) {
        let family = family(shown.is_ipv4());
        let what = format!("`advertise` has the {family} address {shown}, but `address` has none");
        let instead = format!("add the {family} address of this machine to `address`, or take it out");
        review.mistake(here, Mistake::new(what, instead));
    }
}

/// On one address, ports belong to one range; interfaces with the very same one share them.
fn check_ports(own: &InterfaceConfig, earlier: &[InterfaceConfig], here: &KeyPath, review: &mut Review<'_>) {
    if review.is_broken(here) {
        return;
    }
    if review.is_set(here)
        && let Some(mistake) = port_range_mistake(own.ports)
    {
        return review.mistake(here, mistake);
    }
    let [first, last] = own.ports;
    let overlaps = |other: &&InterfaceConfig| {
        let [begins, ends] = other.ports;
        other.ports != own.ports
            && (first <= ends && begins <= last)
            && own.address.iter().any(|address| other.address.contains(address))
    };
    if let Some(other) = earlier.iter().find(overlaps) {
        let [begins, ends] = other.ports;
        let what = format!(
            "`ports` from {first} to {last} overlap those of `{}`, from {begins} to {ends}, on one address",
            other.name
        );
        let instead = format!("keep them apart, or write [{begins}, {ends}] for both to share");
        review.mistake(here, Mistake::new(what, instead));
    }
}

/// A peer's address must lead to one interface, and that must be able to reach it.
fn check_networks(
    own: &InterfaceConfig,
    earlier: &[InterfaceConfig],
    here: &KeyPath,
    review: &mut Review<'_>,
) {
    let others = || earlier.iter().flat_map(|other| other.networks.iter().map(move |net| (&other.name, net)));
    let overlap = |one: &IpNet, other: &IpNet| one.contains(other) || other.contains(one);
    for (index, network) in own.networks.iter().enumerate() {
        let is_v4 = network.addr().is_ipv4();
        if !own.address.is_empty() && !has_family(own, is_v4) {
            let what = format!("{network} is {}, and `address` has none", family(is_v4));
            let instead = "move it to an interface that has, or add such an address";
            review.mistake(&review.element(here, index), Mistake::new(what, instead));
        } else if let Some((name, other)) = others().find(|(_, other)| overlap(network, other)) {
            let what = format!("{network} overlaps {other} of `{name}`");
            let instead =
                "name each range at one interface, and give single peers an `interface` of their own";
            review.mistake(&review.element(here, index), Mistake::new(what, instead));
        }
    }
}

/// SIP has to be received wherever RTP is.
fn check_listened(config: &Config, own: &InterfaceConfig, here: &KeyPath, review: &mut Review<'_>) {
    if review.is_broken(&KeyPath::root().key("sip").key("listen")) {
        return;
    }
    let sockets = config.sip.sockets();
    for (index, &address) in own.address.iter().enumerate() {
        let is_there = |ip: IpAddr| ip == address || address.is_unspecified();
        let same_family = |ip: IpAddr| ip.is_ipv4() == address.is_ipv4();
        if sockets.iter().map(|socket| socket.listen.address.ip()).any(|ip| same_family(ip) && is_there(ip)) {
            continue;
        }
        let any = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
        let what = format!("[sip].listen has nothing for {address}, so no call can use it");
        let instead = format!("add \"udp:{any}:5060\" to [sip].listen, which is every interface");
        review.mistake(&review.element(here, index), Mistake::new(what, instead));
    }
}

/// What `[sip]` and `[media]` say of the only interface is said by each of several.
fn check_replaced(config: &Config, review: &mut Review<'_>) {
    let [sip, media] = ["sip", "media"].map(|section| KeyPath::root().key(section));
    for advertise in [sip.key("advertise"), media.key("advertise")] {
        if review.is_set(&advertise) {
            let what = "with [[interfaces]], each has an `advertise` of its own";
            review.mistake(&advertise, Mistake::new(what, "move it to the interface that it belongs to"));
        }
    }
    let (listen, receive) = (sip.key("listen"), media.key("listen"));
    let entries = if review.is_broken(&listen) { &[] } else { &config.sip.listen[..] };
    for (index, &entry) in entries.iter().enumerate() {
        if config.sip.addresses_of(entry).next().is_none() {
            review.mistake(&listen.index(index), for_no_interface(entry.address.ip()));
        }
    }
    if !review.is_broken(&receive) && config.media.listen.iter().any(|ip| !ip.is_unspecified()) {
        let what = "with [[interfaces]], RTP is received at the addresses of each";
        review.mistake(&receive, Mistake::new(what, "take this out"));
    }
}

fn for_no_interface(ip: IpAddr) -> Mistake {
    let (family, any) = (family(ip.is_ipv4()), if ip.is_ipv4() { "0.0.0.0" } else { "[::]" });
    if ip.is_unspecified() {
        return Mistake::new(format!("no [[interfaces]] has an {family} address"), "take this out");
    }
    let instead = format!("name one that an interface has, or {any} for all of them");
    Mistake::new(format!("no [[interfaces]] has the address {ip}"), instead)
}

/// What a peer asks for must be there, and lead to it.
fn check_peers(config: &Config, review: &mut Review<'_>) {
    let interfaces = &config.routing.interfaces;
    let names: Vec<_> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
    for (path, peer) in config.routing.peers() {
        let Some(name) = peer.interface.as_deref() else { continue };
        let here = path.key("interface");
        match interfaces.iter().find(|interface| interface.name == name) {
            None => review.mistake(&here, unknown_peer(name, "[[interfaces]]", &names)),
            Some(own) => check_reach(own, peer, &here, review),
        }
    }
}

fn check_reach(own: &InterfaceConfig, peer: &PeerConfig, here: &KeyPath, review: &mut Review<'_>) {
    let lacking = peer.uris.iter().filter_map(|uri| uri.host.ip()).find(|ip| !has_family(own, ip.is_ipv4()));
    if let Some(ip) = lacking.filter(|_| !own.address.is_empty()) {
        let family = family(ip.is_ipv4());
        let what = format!("`{}` has no {family} address to reach {ip} by", own.name);
        let instead =
            format!("name an interface that has one, or add one to the `address` of `{}`", own.name);
        review.mistake(here, Mistake::new(what, instead));
    }
}

/// The interface that `peer` is reached by at `remote`.
pub(super) fn toward(config: &Config, peer: &PeerConfig, remote: IpAddr) -> InterfaceId {
    let rule = Interfaces::compile(&config.routing.interfaces);
    let chosen = peer.interface.as_deref().and_then(|name| rule.named(name));
    rule.toward(chosen, remote)
}

fn has_family(own: &InterfaceConfig, is_v4: bool) -> bool {
    own.address.iter().any(|address| address.is_ipv4() == is_v4)
}

fn family(is_v4: bool) -> &'static str {
    if is_v4 { "IPv4" } else { "IPv6" }
}

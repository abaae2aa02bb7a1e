//! By which of our interfaces a peer is reached: the one it names, else the one whose networks hold its
//! address, else the first that has its address family.
//!
//! Asked once for each leg, where it begins; everything that is sent on the leg later leaves by the answer,
//! even when a reload has moved the networks meanwhile.

use std::net::IpAddr;

use ipnet::IpNet;

use super::config::InterfaceConfig;
use super::steps::{Step, Trace};
use super::{Peer, Routes};
use crate::id::InterfaceId;

/// The interfaces, by their place in the file; none where `[sip]` and `[media]` describe the only one.
#[derive(Debug)]
pub struct Interfaces(Vec<InterfaceConfig>);

impl Interfaces {
    /// Of interfaces whose networks do not overlap.
    #[must_use]
    pub fn compile(config: &[InterfaceConfig]) -> Self {
        Self(config.to_vec())
    }

    /// The one called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<InterfaceId> {
        self.find(|interface| interface.name == name)
    }

    /// Which one leads to a peer at `remote` that has `chosen` one.
    #[must_use]
    pub fn toward(&self, chosen: Option<InterfaceId>, remote: IpAddr) -> InterfaceId {
        let remote = remote.to_canonical();
        let fitting = || self.around(remote).or_else(|| self.first_of_family(remote));
        chosen.or_else(fitting).unwrap_or_default()
    }

    fn find(&self, is_it: impl FnMut(&InterfaceConfig) -> bool) -> Option<InterfaceId> {
        let place = self.0.iter().position(is_it)?;
        u16::try_from(place).ok().map(InterfaceId)
    }

    /// The one whose networks hold `remote`.
    fn around(&self, remote: IpAddr) -> Option<InterfaceId> {
        self.find(|interface| network_of(interface, remote).is_some())
    }

    /// The first that has the family of `remote`.
    fn first_of_family(&self, remote: IpAddr) -> Option<InterfaceId> {
        self.find(|interface| interface.address.iter().any(|own| own.is_ipv4() == remote.is_ipv4()))
    }
}

fn network_of(interface: &InterfaceConfig, remote: IpAddr) -> Option<IpNet> {
    interface.networks.iter().copied().find(|network| network.contains(&remote))
}

impl Routes {
    /// The interface that `peer` is reached by at `remote`.
    #[must_use]
    pub fn interface(&self, peer: Option<&Peer>, remote: IpAddr) -> InterfaceId {
        self.interfaces.toward(peer.and_then(|peer| peer.interface), remote)
    }

    /// What [`Self::interface`] says, with the rule that decided; no step where there is no choice. Without
    /// `remote`, the peer's address is yet to be looked up.
    pub fn explain_interface(&self, peer: &Peer, remote: Option<IpAddr>, steps: &mut Vec<Step>) {
        let mut trace = Trace::into(Some(steps));
        let what = format!("interface toward {}", peer.name);
        let found = remote.map(|remote| self.interface(Some(peer), remote)).or(peer.interface);
        let found = found.and_then(|id| self.interfaces.0.get(usize::from(id.0)));
        match (found, remote) {
            (Some(found), _) if peer.interface.is_some() => {
                let rule = "its `interface`".to_owned();
                trace.note(&what, || (found.name.clone(), rule)).by(|| peer.key("interface"));
            }
            (Some(found), Some(remote)) => match network_of(found, remote.to_canonical()) {
                Some(network) => {
                    let rule = format!("its networks hold {remote}, by {network}");
                    let key = || format!("interfaces[{}].networks", found.name);
                    trace.note(&what, || (found.name.clone(), rule)).by(key);
                }
                None => {
                    let rule = format!("no networks hold {remote}: the first of its address family");
                    trace.note(&what, || (found.name.clone(), rule));
                }
            },
            (None, None) if !self.interfaces.0.is_empty() => {
                let rule = "whichever has networks that hold the address, else the first of its family";
                trace.note(&what, || ("depends on the look-up".to_owned(), rule.to_owned()));
            }
            (Some(_) | None, _) => {}
        }
    }
}

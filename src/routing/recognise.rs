//! Which peer is calling: the steps by which the source of an initial request becomes a peer, or a
//! stranger.
//!
//! These tables are asked for every packet of every stranger, so nothing here allocates, except the tie of
//! several trunks behind one address, which the dialled number breaks. An empty `allow` means *anywhere* for
//! a `[[retell]]` and for a peer that challenges, and *nowhere* for a trunk known by its address alone.

use std::net::IpAddr;

use ipnet::IpNet;

use super::config::retell_ranges;
use super::normalise::Country;
use super::numbers::Numbers;
use super::steps::{Step, Trace};
use super::{Kind, Peer, Routes};
use crate::id::PeerId;
use crate::sip::message::Message;
use crate::sip::nat::subscriber;
use crate::sip::registration::Account;
use crate::sip::uri::Uri;

/// What an initial request from some source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognition {
    /// Recognised by address alone.
    Peer(PeerId),
    /// Recognised by address, must also authenticate as this very peer.
    ChallengeAs(PeerId),
    /// Must authenticate; the user name decides (see [`Routes::by_username`]).
    Challenge,
    /// No answer of any kind.
    Stranger,
}

impl Recognition {
    /// Whether credentials must be shown.
    #[must_use]
    pub fn is_challenge(&self) -> bool {
        matches!(self, Self::ChallengeAs(_) | Self::Challenge)
    }
}

/// The trunks' ranges, longest prefix first, then in file order.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(IpNet, PeerId)>);

impl Ranges {
    pub(super) fn compile(peers: &[Peer]) -> Self {
        let trunks = peers.iter().filter(|peer| peer.kind == Kind::Trunk);
        let mut ranges: Vec<_> =
            trunks.flat_map(|peer| peer.allow.iter().map(|range| (range.trunc(), peer.id))).collect();
        ranges.sort_by_key(|(range, _)| std::cmp::Reverse(range.prefix_len()));
        Self(ranges)
    }

    /// The trunks that hold `source` in a range as long as the longest that does.
    fn longest(&self, source: IpAddr) -> impl Iterator<Item = (IpNet, PeerId)> + Clone {
        let first = self.0.iter().position(|(range, _)| range.contains(&source));
        let length = first.map(|at| self.0[at].0.prefix_len());
        self.0[first.unwrap_or(self.0.len())..]
            .iter()
            .copied()
            .take_while(move |(range, _)| Some(range.prefix_len()) == length)
            .filter(move |(range, _)| range.contains(&source))
    }
}

impl Routes {
    /// What an initial request from `source` is; `dialled` is the user part of its Request-URI. One that a
    /// registered Contact of ours stands in is that trunk's, whatever its source.
    ///
    /// Hot path: no allocation, unless several trunks share the address.
    #[must_use]
    pub fn recognise(&self, source: IpAddr, dialled: &str) -> Recognition {
        self.recognise_traced(source, dialled, &mut Trace::off())
    }

    /// As [`Self::recognise`], with the rule that decided.
    pub fn explain_recognition(&self, source: IpAddr, dialled: &str, steps: &mut Vec<Step>) -> Recognition {
        self.recognise_traced(source, dialled, &mut Trace::into(Some(steps)))
    }

    fn recognise_traced(&self, source: IpAddr, dialled: &str, trace: &mut Trace<'_>) -> Recognition {
        let source = source.to_canonical();
        let trunk = self.registered_as(dialled).inspect(|trunk| {
            trace
                .note("peer", || {
                    (trunk.name.clone(), "it called the Contact that is registered there".to_owned())
                })
                .by(|| trunk.key("register"));
        });
        if let Some(trunk) = trunk.or_else(|| self.trunk_at(source, dialled, trace)) {
            return if trunk.challenge {
                Recognition::ChallengeAs(trunk.id)
            } else {
                Recognition::Peer(trunk.id)
            };
        }
        if let Some(peer) = self.challengers(source).next() {
            trace
                .note("peer", || {
                    let rule = match peer.range_of(source) {
                        Some(range) => {
                            format!("{source} is in allow {range} of {}, which challenges", peer.name)
                        }
                        None => format!("{} challenges callers from anywhere", peer.name),
                    };
                    ("whoever authenticates".to_owned(), rule)
                })
                .by(|| peer.key("allow"));
            return Recognition::Challenge;
        }
        let by_address = |peer: &&Peer| peer.kind == Kind::Retell && peer.trust_address && !peer.challenge;
        let trusted =
            self.peers.iter().filter(by_address).find_map(|peer| Some((peer, peer.range_of(source)?)));
        match trusted {
            Some((peer, range)) => {
                trace
                    .note("peer", || {
                        (
                            peer.name.clone(),
                            format!("{source} is in its allow {range}, and trust_address = true"),
                        )
                    })
                    .by(|| peer.key("allow"));
                Recognition::Peer(peer.id)
            }
            None => {
                trace.note("peer", || {
                    ("a stranger".to_owned(), format!("{source} is in no allow, and no peer challenges it"))
                });
                Recognition::Stranger
            }
        }
    }

    /// The first peer that challenges `source` and whose user name this is.
    #[must_use]
    pub fn by_username(&self, source: IpAddr, username: &str) -> Option<PeerId> {
        let is_called = |peer: &&Peer| {
            peer.credentials.as_ref().is_some_and(|credentials| credentials.username == username)
        };
        self.challengers(source.to_canonical()).find(is_called).map(|peer| peer.id)
    }

    /// The peers that may authenticate from `source`, in file order, `[[retell]]` first.
    pub fn challengers(&self, source: IpAddr) -> impl Iterator<Item = &Peer> {
        self.peers
            .iter()
            .filter(move |peer| peer.challenge && peer.credentials.is_some() && peer.allows(source))
    }

    /// Whether `source` is in some peer's `allow`; a `[[retell]]` with an empty one allows anywhere.
    ///
    /// Hot path: no allocation.
    #[must_use]
    pub fn knows(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.peers.iter().any(|peer| {
            peer.range_of(source).is_some() || (peer.kind == Kind::Retell && peer.allow.is_empty())
        })
    }

    /// Whether anybody at `source` can be a peer: it is in some `allow`, or may show credentials.
    #[must_use]
    pub fn may_hold_a_peer(&self, source: IpAddr) -> bool {
        self.knows(source) || self.challengers(source.to_canonical()).next().is_some()
    }

    /// Whether a peer that is named by its address, or Retell itself, can be where `source` is: never banned.
    #[must_use]
    pub fn spares(&self, source: IpAddr) -> bool {
        let source = subscriber(source);
        let around = IpNet::new(source, if source.is_ipv4() { 32 } else { 64 }).unwrap_or(source.into());
        let allowed = self.peers.iter().flat_map(|peer| peer.allow.iter().copied()).chain(retell_ranges());
        allowed.into_iter().any(|range| range.contains(&around) || around.contains(&range))
    }

    /// Whether `source` may send requests for calls of `peer`.
    #[must_use]
    pub fn allows(&self, peer: PeerId, source: IpAddr) -> bool {
        self.peer(peer).allows(source.to_canonical())
    }

    /// Whether some peer allows both addresses.
    #[must_use]
    pub fn are_of_one_peer(&self, one: IpAddr, other: IpAddr) -> bool {
        self.peers().iter().any(|peer| self.allows(peer.id, one) && self.allows(peer.id, other))
    }

    /// The trunk at whose registrar we are known by the Contact that `request` calls: nobody else knows it.
    ///
    /// Hot path: looks at nothing unless some trunk has a registrar.
    #[must_use]
    pub fn registered_by(&self, request: &Message) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.registration.is_some())?;
        self.registered_as(&Uri::parse(request.request_uri()).ok()?.user?)
    }

    fn registered_as(&self, user: &str) -> Option<&Peer> {
        let bears = |account: &Account| account.contact_user == user;
        self.peers.iter().find(|peer| peer.registration.as_ref().is_some_and(bears))
    }

    /// Step 1: the trunk with the longest range around `source`; of several the one that `[[numbers]]` gives
    /// for the dialled number, else the first in the file.
    fn trunk_at(&self, source: IpAddr, dialled: &str, trace: &mut Trace<'_>) -> Option<&Peer> {
        let mut candidates = self.ranges.longest(source);
        let tied = candidates.clone();
        let (range, first) = candidates.next()?;
        if candidates.all(|(_, other)| other == first) {
            let peer = self.peer(first);
            trace
                .note("peer", || (peer.name.clone(), format!("{source} is in its allow {range}")))
                .by(|| peer.key("allow"));
            return Some(peer);
        }
        let wanted = self.extensions.get(dialled).map_or(dialled, String::as_str);
        for (_, id) in tied {
            let peer = self.peer(id);
            if let Some(entry) = trunk_of(&self.numbers, wanted, peer.country, id) {
                trace
                    .note("peer", || {
                        (
                            peer.name.clone(),
                            format!("{source} is in allow of several trunks; [[numbers]] \"{entry}\""),
                        )
                    })
                    .by(|| format!("numbers[{entry}].trunk"));
                return Some(peer);
            }
        }
        let peer = self.peer(first);
        trace
            .note("peer", || {
                (
                    peer.name.clone(),
                    format!("{source} is in allow {range} of several trunks; this is the first"),
                )
            })
            .by(|| peer.key("allow"));
        Some(peer)
    }
}

impl Peer {
    /// The first of its ranges that holds `source`.
    pub(super) fn range_of(&self, source: IpAddr) -> Option<IpNet> {
        self.allow.iter().find(|range| range.contains(&source)).copied()
    }

    /// Whether its requests may come from `source`.
    fn allows(&self, source: IpAddr) -> bool {
        let anywhere = self.allow.is_empty() && (self.kind == Kind::Retell || self.challenge);
        anywhere || self.range_of(source).is_some()
    }
}

/// The `[[numbers]]` entry that gives `trunk` for what was dialled, as `country` reads it.
fn trunk_of<'a>(numbers: &'a Numbers, dialled: &str, country: Country, trunk: PeerId) -> Option<&'a str> {
    let reading = country.read(dialled);
    let e164 = reading.as_ref().and_then(|reading| numbers.trunk(&reading.number));
    let found = e164.or_else(|| numbers.trunk(dialled))?;
    (found.peer == trunk).then_some(found.entry)
}

//! Whether every peer can be recognised, and no peer can be taken for another.
//!
//! Retell's address ranges are shared with all customers of LiveKit: a `[[retell]]` recognised by address
//! alone lets any of them call out through the trunks, so that needs an explicit `trust_address = true`.

use ipnet::IpNet;

use super::{Config, PeerConfig, TrunkConfig};
use crate::config::reader::{KeyPath, Mistake, Review};

pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    check_names(config, review);
    for (path, peer) in config.peers() {
        check_uris(peer, &path, review);
        check_credentials(peer, &path, review);
    }
    for (index, retell) in config.retell.iter().enumerate() {
        check_trust(&retell.peer, &KeyPath::root().key("retell").index(index), review);
    }
    for (index, trunk) in config.trunks.iter().enumerate() {
        check_recognised(trunk, &KeyPath::root().key("trunks").index(index), review);
    }
    check_trunk_ranges(config, review);
    check_retell_ranges(config, review);
    check_usernames(config, review);
}

fn check_names(config: &Config, review: &mut Review<'_>) {
    let peers: Vec<_> = config.peers().filter(|(_, peer)| !peer.name.is_empty()).collect();
    for (index, (path, peer)) in peers.iter().enumerate() {
        if peers.iter().take(index).any(|(_, earlier)| earlier.name == peer.name) {
            let what = format!("two peers have the name \"{}\"", peer.name);
            review.mistake(&path.key("name"), Mistake::new(what, "give each a name of its own"));
        }
    }
}

fn check_uris(peer: &PeerConfig, here: &KeyPath, review: &mut Review<'_>) {
    let uri = here.key("uri");
    if peer.uris.is_empty() && !review.is_broken(&uri) {
        review.mistake(
            &uri,
            Mistake::new("`uri` is an empty array", "name at least one, such as \"sip:carrier.example\""),
        );
    }
}

fn check_credentials(peer: &PeerConfig, here: &KeyPath, review: &mut Review<'_>) {
    let (username, password) = (here.key("username"), here.key("password"));
    if review.is_broken(&username) || review.is_broken(&password) {
        return;
    }
    match (&peer.username, &peer.password) {
        (Some(_), None) => {
            let what = "`username` stands without `password`";
            review.mistake(
                &username,
                Mistake::new(what, "add password = \"env:NAME\", or take `username` out"),
            );
        }
        (None, Some(_)) => {
            let what = "`password` stands without `username`";
            review.mistake(&password, Mistake::new(what, "add username = \"…\", or take `password` out"));
        }
        (None, None) if peer.challenge => {
            let what = "`challenge` is true, but there are no credentials to ask for";
            review.mistake(&here.key("challenge"), Mistake::new(what, "add `username` and `password`"));
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    if peer.challenge && peer.trust_address && peer.password.is_some() {
        let what = "`trust_address` has no effect on a peer that is challenged";
        review
            .warning(&here.key("trust_address"), Mistake::new(what, "take it out, or add challenge = false"));
    }
}

/// A `[[retell]]` must be challenged, or be trusted by its addresses in so many words.
fn check_trust(peer: &PeerConfig, here: &KeyPath, review: &mut Review<'_>) {
    let keys = ["username", "password", "challenge", "trust_address", "allow"];
    if peer.challenge || keys.iter().any(|key| review.is_broken(&here.key(key))) {
        return;
    }
    let name = peer.label(here);
    let (what, instead) = if peer.allow.is_empty() {
        let what = format!("{name} has neither addresses in `allow` nor credentials to be challenged for");
        (
            what,
            "add `username` and `password` (\"SIP trunk username\" in Retell's dashboard), or fill `allow`",
        )
    } else if !peer.trust_address {
        let what = format!(
            "{name} would be recognised by address alone, and Retell's are shared with other customers"
        );
        (what, "add `username` and `password` (without challenge = false), or trust_address = true")
    } else {
        return;
    };
    let at = if review.is_set(&here.key("challenge")) { here.key("challenge") } else { here.clone() };
    review.mistake(&at, Mistake::new(what, instead));
}

/// The calls of a trunk are known by their address, by credentials, or by the Contact that they come to.
fn check_recognised(trunk: &TrunkConfig, here: &KeyPath, review: &mut Review<'_>) {
    let peer = &trunk.peer;
    let is_recognised = !peer.allow.is_empty() || peer.challenge || trunk.register.register;
    let keys = ["username", "password", "allow", "challenge", "register"];
    if is_recognised || keys.iter().any(|key| review.is_broken(&here.key(key))) {
        return;
    }
    let name = peer.label(here);
    if peer.username.is_none() && peer.password.is_none() {
        let what = format!("{name} has neither `allow` nor credentials, so its calls can't be recognised");
        let instead = "add allow = [\"…\"] with the addresses its calls come from";
        review.mistake(here, Mistake::new(what, instead));
    } else if !review.is_set(&here.key("allow")) {
        let what = format!("{name} has no `allow`, so its calls are a stranger's and get no answer");
        let instead = "add the addresses they come from, or allow = [] if it only takes calls";
        review.warning(here, Mistake::new(what, instead));
    }
}

/// A trunk range over a `[[retell]]` range would make calls from Retell calls from the trunk.
fn check_trunk_ranges(config: &Config, review: &mut Review<'_>) {
    let ranges = ranges(config.peers().skip(config.retell.len()), review);
    for (index, range) in ranges.iter().enumerate() {
        for (path, retell) in config.peers().take(config.retell.len()) {
            let Some(theirs) = retell.allow.iter().find(|theirs| overlap(&range.range, theirs)) else {
                continue;
            };
            let what = format!("{} overlaps {theirs} of {}", range.range, retell.label(&path));
            let instead =
                "narrow one of them, so that a call from Retell is not taken for one from the trunk";
            review.mistake(&range.path, Mistake::new(what, instead));
        }
        let mut earlier = ranges.iter().take(index).filter(|earlier| earlier.range == range.range);
        if let Some(earlier) = earlier.find(|earlier| earlier.label != range.label) {
            let what = format!("{} has the same range {}", earlier.label, range.range);
            let instead = "narrow one of them, or make sure that [[numbers]] tells their calls apart";
            review.warning(&range.path, Mistake::new(what, instead));
        }
    }
}

/// Two `[[retell]]` recognised by address alone are told apart by their ranges only.
fn check_retell_ranges(config: &Config, review: &mut Review<'_>) {
    let retell = config.peers().take(config.retell.len());
    let ranges = ranges(retell.filter(|(_, peer)| !peer.challenge && peer.trust_address), review);
    for (index, range) in ranges.iter().enumerate() {
        let mut earlier = ranges.iter().take(index).filter(|earlier| earlier.label != range.label);
        if let Some(earlier) = earlier.find(|earlier| overlap(&earlier.range, &range.range)) {
            let what = format!(
                "{} overlaps {} of {}, which gets these calls",
                range.range, earlier.range, earlier.label
            );
            review.warning(&range.path, Mistake::new(what, "narrow one of them, or give both credentials"));
        }
    }
}

/// Of two challenged peers with one user name and a common source, the first gets all calls.
fn check_usernames(config: &Config, review: &mut Review<'_>) {
    let challenged: Vec<_> =
        config.peers().filter(|(_, peer)| peer.challenge && peer.username.is_some()).collect();
    for (index, (path, peer)) in challenged.iter().enumerate() {
        let same = |earlier: &PeerConfig| earlier.username == peer.username && share_source(earlier, peer);
        if let Some((first, earlier)) = challenged.iter().take(index).find(|(_, earlier)| same(earlier)) {
            let what = format!("{} has the same `username`, so it gets these calls", earlier.label(first));
            review
                .warning(&path.key("username"), Mistake::new(what, "give each peer a user name of its own"));
        }
    }
}

struct Range {
    /// Of the peer that it belongs to; no two peers share one.
    label: String,
    path: KeyPath,
    range: IpNet,
}

fn ranges<'a>(peers: impl Iterator<Item = (KeyPath, &'a PeerConfig)>, review: &Review<'_>) -> Vec<Range> {
    let mut ranges = Vec::new();
    for (path, peer) in peers {
        for (index, range) in peer.allow.iter().enumerate() {
            let at = review.element(&path.key("allow"), index);
            ranges.push(Range { label: peer.label(&path), path: at, range: *range });
        }
    }
    ranges
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// An empty list of a challenged peer is any source.
fn share_source(one: &PeerConfig, other: &PeerConfig) -> bool {
    let within = |range: &IpNet| other.allow.iter().any(|theirs| overlap(range, theirs));
    one.allow.is_empty() || other.allow.is_empty() || one.allow.iter().any(within)
}

//! OPTIONS to the targets of peers that are watched, and what their answers mean for calls.
//!
//! A target that is down or busy is tried after the others, never left out: it may be well again, and where
//! it is the only one there is nothing to lose. Names are looked up anew for every round, so that targets
//! follow the DNS.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use metrics::gauge;

use crate::call::Hop;
use crate::id::ClientTx;
use crate::routing::Routes;
use crate::sip::flow::Transport;
use crate::sip::message::Message;
use crate::sip::probe::{self, Health, Probe};
use crate::sip::uri::Uri;

use super::bridge::Bridge;
use super::errands::Errand;
use super::requests::Waiting;
use super::world::World;

/// Every peer that is watched.
#[derive(Debug, Default)]
pub(super) struct Probes {
    peers: Vec<Watched>,
    next: u64,
}

#[derive(Debug)]
struct Watched {
    peer: String,
    every: Duration,
    uris: Vec<Uri>,
    due: Instant,
    targets: Vec<Target>,
}

/// One address of a peer.
#[derive(Debug)]
pub(super) struct Target {
    id: u64,
    /// Which of the peer's URIs leads there.
    uri: usize,
    pub(super) hop: Hop,
    pub(super) probe: Probe,
    /// On the wall, when its health changed.
    pub(super) changed_ms: Option<i64>,
}

impl Probes {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.peers.iter().map(|watched| watched.due).min()
    }

    /// Whether calls should try other targets before this one.
    pub(super) fn is_out(&self, transport: Transport, remote: SocketAddr) -> bool {
        let is_it = |target: &&Target| (target.hop.transport, target.hop.remote) == (transport, remote);
        self.targets().any(|target| is_it(&target) && target.probe.health().is_out())
    }

    /// The targets of `peer`; none when it is not watched.
    pub(super) fn of(&self, peer: &str) -> &[Target] {
        let watched = self.peers.iter().find(|watched| watched.peer == peer);
        watched.map_or(&[], |watched| &watched.targets)
    }

    /// Watches what `routes` say from `now` on; what is known of targets stays known where their peer stays
    /// as it is.
    pub(super) fn follow(&mut self, routes: &Routes, now: Instant) {
        let mut known = std::mem::take(&mut self.peers);
        for peer in routes.peers() {
            let Some(every) = peer.probes else { continue };
            let (name, uris) = (peer.name.clone(), peer.next_hops().to_vec());
            let is_same = |old: &Watched| (&old.peer, old.every, &old.uris) == (&name, every, &uris);
            let watched = match known.iter().position(is_same) {
                Some(place) => known.swap_remove(place),
                None => Watched { peer: name, every, uris, due: now, targets: Vec::new() },
            };
            self.peers.push(watched);
        }
        for watched in known {
            watched.targets.iter().for_each(|target| forget(&watched.peer, &target.hop));
        }
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.peers.iter().flat_map(|watched| &watched.targets)
    }

    fn find(&mut self, id: u64) -> Option<(&str, &mut Target)> {
        self.peers.iter_mut().find_map(|watched| {
            let target = watched.targets.iter_mut().find(|target| target.id == id)?;
            Some((watched.peer.as_str(), target))
        })
    }
}

impl Watched {
    /// Takes over where its URI `uri` leads; what it no longer leads to is forgotten.
    fn renew(&mut self, uri: usize, hops: Vec<Hop>, next: &mut u64) {
        let leads_to = |target: &Target, hop: &Hop| {
            (target.hop.remote, target.hop.transport) == (hop.remote, hop.transport)
        };
        let peer = &self.peer;
        self.targets.retain(|target| {
            let stays = target.uri != uri || hops.iter().any(|hop| leads_to(target, hop));
            if !stays {
                forget(peer, &target.hop);
            }
            stays
        });
        for hop in hops {
            if let Some(target) = self.targets.iter_mut().find(|target| leads_to(target, &hop)) {
                target.hop = hop;
            } else {
                *next += 1;
                let probe = Probe::default();
                self.targets.push(Target { id: *next, uri, hop, probe, changed_ms: None });
            }
        }
    }
}

impl<W: World> Bridge<W> {
    /// Looks up every target of the peers whose turn it is; their probes follow.
    pub(super) fn on_probe_deadlines(&mut self) {
        let mut wanted = Vec::new();
        for watched in self.probes.peers.iter_mut().filter(|watched| watched.due <= self.now) {
            watched.due = self.now + watched.every;
            wanted.extend(watched.uris.iter().cloned().enumerate().map(|uri| (watched.peer.clone(), uri)));
        }
        for (peer, (place, uri)) in wanted {
            let waiting = Waiting::for_probes(&peer, place, &uri);
            self.look_up(uri, waiting);
        }
    }

    /// The `place`th URI of `peer` leads there; `None`: nobody could say, so it goes on leading where it led.
    pub(super) fn on_probe_hops(&mut self, peer: &str, place: usize, hops: Option<Vec<Hop>>) {
        let Probes { peers, next } = &mut self.probes;
        let Some(watched) = peers.iter_mut().find(|watched| watched.peer == peer) else { return };
        let Some(uri) = watched.uris.get(place).cloned() else { return };
        if let Some(hops) = hops {
            watched.renew(place, hops, next);
        }
        let mut probes = Vec::new();
        for target in watched.targets.iter_mut().filter(|target| target.uri == place) {
            let tx = self.ids.client_tx();
            let draft = probe::options(&uri, &target.hop, &mut self.ids);
            let changed = target.probe.on_sent(tx, self.now);
            probes.push((target.id, tx, target.hop.clone(), draft, changed));
        }
        for (id, tx, hop, draft, changed) in probes {
            if changed {
                self.on_health_changed(id);
            }
            self.run_errand(Errand::Probe(id), tx, &hop, &draft);
        }
    }

    pub(super) fn on_probe_answered(&mut self, id: u64, tx: ClientTx, response: &Message) {
        let (Some((_, target)), Some(code @ 200..)) = (self.probes.find(id), response.status()) else {
            return;
        };
        if target.probe.on_answer(tx, code, self.now) {
            self.on_health_changed(id);
        }
    }

    pub(super) fn on_probe_lost(&mut self, id: u64, tx: ClientTx) {
        if self.probes.find(id).is_some_and(|(_, target)| target.probe.on_lost(tx)) {
            self.on_health_changed(id);
        }
    }

    fn on_health_changed(&mut self, id: u64) {
        let now_ms = self.unix_ms;
        let Some((peer, target)) = self.probes.find(id) else { return };
        let before = target.changed_ms.replace(now_ms);
        let (remote, transport) = (target.hop.remote, target.hop.transport.via());
        let (health, code) = (target.probe.health(), target.probe.last_code());
        let state = health.label();
        match health {
            Health::Up if before.is_none() => tracing::info!(%peer, %remote, transport, "target is up"),
            Health::Up => tracing::info!(%peer, %remote, transport, "target is up again"),
            Health::Busy | Health::Down => {
                let what = "target is out; calls try others first";
                tracing::warn!(%peer, %remote, transport, state, last_code = code, "{what}");
            }
            Health::Unknown => {}
        }
        let value = if health.is_out() { 0.0 } else { 1.0 };
        let is_return = health == Health::Up && before.is_some();
        let peer = peer.to_owned();
        gauge!("trunkline_target_up", "peer" => peer.clone(), "target" => label(&target.hop)).set(value);
        if is_return {
            self.on_target_return(&peer);
        }
    }
}

/// How metrics and the API call a target: `udp:198.51.100.7:5060`.
pub(super) fn label(hop: &Hop) -> String {
    format!("{}:{}", hop.transport.param(), hop.remote)
}

/// A metric cannot be taken away: one that is no number says that nothing is known any more.
fn forget(peer: &str, hop: &Hop) {
    gauge!("trunkline_target_up", "peer" => peer.to_owned(), "target" => label(hop)).set(f64::NAN);
}

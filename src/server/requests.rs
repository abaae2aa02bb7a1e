//! How a request of ours finds its way: look-ups, the next hop inside a dialog, TCP for what is too large for
//! UDP, and what goes another way because the first one failed.
//!
//! Inside a dialog the remote target decides (RFC 3261 §12.2.1.1), but what it says is often not where the
//! peer can be reached: see [`way`](super::way).

use std::sync::Arc;
use std::time::Duration;

use crate::call::{Destination, Hop, Input};
use crate::id::{CallId, ClientTx, InterfaceId, PeerId};
use crate::routing::{Peer, Routes};
use crate::sip::build::Draft;
use crate::sip::flow::{ConnectionId, Domain, Flow, Transport};
use crate::sip::nat::is_out_of_reach;
use crate::sip::uri::{Host, Uri};
use crate::transport::resolve::{self, Target, Targets};

use super::bridge::{Bridge, Client};
use super::way::{Way, in_dialog};
use super::world::World;

/// A look-up that was finished elsewhere, and what waits for it.
pub struct Resolved {
    /// What waits for it.
    pub waiting: Waiting,
    /// Its addresses; `None` when it has none.
    pub targets: Option<Targets>,
}

/// What a look-up is for; opaque to whoever looks up.
pub struct Waiting(For);

enum For {
    /// A call wants the addresses of its next target, at this host.
    Targets { call: CallId, host: Host },
    /// A request inside a dialog, whose next hop is a name.
    Request { tx: ClientTx, draft: Draft, next: Next },
    /// The same for an ACK.
    Ack { tx: ClientTx, draft: Draft, next: Next },
    /// A registration wants the addresses of its trunk's registrar, at this host.
    Registrar { registration: u64, trunk: String, host: Host },
    /// The targets behind this URI of a peer are to be probed.
    Probes { peer: String, uri: usize, host: Host },
}

/// The next hop inside a dialog.
struct Next {
    call: CallId,
    peer: PeerId,
    /// Of its URI.
    host: Host,
    port: Option<u16>,
    /// The path that the peer's messages came by.
    flow: Flow,
    /// The interface that the dialog was begun by.
    interface: InterfaceId,
}

/// How a request goes when its first way fails.
pub(super) struct Detour {
    draft: Draft,
    hop: Hop,
    pub(super) cause: Cause,
}

/// What makes a request go another way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// It is large and tries TCP first, which cannot be had.
    NoTcp,
    /// The connection that its peer had opened is gone.
    StreamGone,
}

/// The way of one request: the connection to use if there is one, and where it goes when that is gone.
struct Path {
    hop: Hop,
    connection: Option<ConnectionId>,
    anew: Option<Hop>,
}

impl From<Hop> for Path {
    fn from(hop: Hop) -> Self {
        Self { hop, connection: None, anew: None }
    }
}

impl Waiting {
    /// A call wants the addresses of its next target.
    pub(super) fn for_targets(call: CallId, target: &Uri) -> Self {
        Self(For::Targets { call, host: target.host.clone() })
    }

    /// A registration wants the addresses of a registrar.
    pub(super) fn for_registrar(registration: u64, trunk: &str, registrar: &Uri) -> Self {
        Self(For::Registrar { registration, trunk: trunk.to_owned(), host: registrar.host.clone() })
    }

    /// The targets behind the `place`th URI of `peer` are to be probed.
    pub(super) fn for_probes(peer: &str, place: usize, uri: &Uri) -> Self {
        Self(For::Probes { peer: peer.to_owned(), uri: place, host: uri.host.clone() })
    }
}

impl<W: World> Bridge<W> {
    /// Sends a call's request, at once unless a name has to be looked up for it.
    pub(super) fn send_request(
        &mut self,
        call: CallId,
        tx: ClientTx,
        peer: PeerId,
        draft: Draft,
        to: Destination,
    ) {
        match to {
            Destination::Hop(hop) => {
                let routes = self.calls.get(&call).map(|entry| Arc::clone(&entry.routes));
                let draft = match &routes {
                    Some(routes) => self.by_service_route(routes.peer(peer), draft),
                    None => draft,
                };
                self.request(call, tx, peer, draft, hop.into());
            }
            Destination::Dialog { uri, flow, interface } => {
                let next = Next { call, peer, host: uri.host.clone(), port: uri.port, flow, interface };
                self.look_up(uri, Waiting(For::Request { tx, draft, next }));
            }
        }
    }

    /// The same for an ACK to a 2xx, which has no transaction.
    pub(super) fn send_ack(
        &mut self,
        call: CallId,
        tx: ClientTx,
        peer: PeerId,
        draft: Draft,
        to: Destination,
    ) {
        match to {
            Destination::Hop(hop) => self.ack(tx, &draft, &hop.into()),
            Destination::Dialog { uri, flow, interface } => {
                let next = Next { call, peer, host: uri.host.clone(), port: uri.port, flow, interface };
                self.look_up(uri, Waiting(For::Ack { tx, draft, next }));
            }
        }
    }

    /// A message could not be sent: one that was left to a stream that had been good (`stale`) goes by a new
    /// one, a large request falls back to UDP, any other is lost.
    pub fn on_send_failed(&mut self, tx: ClientTx, flow: Flow, error: &str, stale: bool) {
        if stale && self.send_anew(tx) {
            return self.carry_out_table(None);
        }
        self.complain_of_peer(flow.remote, error, "message could not be sent");
        let Some(client) = self.clients.get_mut(&tx) else {
            self.table.on_transport_failed(tx, self.now, &mut self.table_out);
            self.on_errand_lost(tx);
            return self.carry_out_table(None);
        };
        if let Some(by_udp) = client.detour.take_if(|detour| detour.cause == Cause::NoTcp) {
            self.no_tcp.note(flow.remote, self.now + NO_TCP, self.now);
            if self.take_detour(tx, &by_udp) {
                return self.carry_out_table(None);
            }
        }
        if let Some(client) = self.clients.get(&tx) {
            let call = client.call;
            self.inbox.push_back((call, Input::TransportFailed(tx)));
            self.table.on_transport_failed(tx, self.now, &mut self.table_out);
            self.carry_out_table(None);
        }
    }

    /// A target of a call failed: others are tried before it for a while.
    pub(super) fn rest(&mut self, hop: &Hop, retry_after_s: Option<u32>) {
        let told = retry_after_s.map(|seconds| Duration::from_secs(seconds.min(LONGEST_REST_S).into()));
        let rest = told.unwrap_or(REST);
        if self.resting.note((hop.transport, hop.remote), self.now + rest, self.now) {
            let (remote, transport, seconds) = (hop.remote, hop.transport.via(), rest.as_secs());
            tracing::warn!(%remote, transport, seconds, "target failed; calls try their other targets first");
        }
    }

    /// Sends the request of `tx` once more, because the stream that it went by is gone: by a new one to where
    /// that led, or to where the peer listens if it was the peer's. False when it does not go.
    pub(super) fn send_anew(&mut self, tx: ClientTx) -> bool {
        let client = self.clients.get_mut(&tx);
        let detour =
            client.and_then(|client| client.detour.take_if(|detour| detour.cause == Cause::StreamGone));
        match detour {
            Some(detour) => self.take_detour(tx, &detour),
            None => self.table.send_again(tx, self.now, &mut self.table_out),
        }
    }

    /// Sends a request another way than the first time; false when we have no listener for it.
    fn take_detour(&mut self, tx: ClientTx, Detour { draft, hop, .. }: &Detour) -> bool {
        let Hop { remote, transport, domain, .. } = *hop;
        let Some(local) = self.world.local(transport, remote, hop.interface) else { return false };
        let bytes = draft.with_via(transport, &local.sent_by, &self.ids.branch(tx));
        let flow = Flow { transport, listener: local.listener, remote, connection: None, domain };
        self.table.resend(tx, bytes, flow, self.now, &mut self.table_out);
        true
    }

    fn request(
        &mut self,
        call: CallId,
        tx: ClientTx,
        peer: PeerId,
        draft: Draft,
        Path { hop, connection, anew }: Path,
    ) {
        let tcp_for_large = self.calls.get(&call).is_some_and(|entry| entry.routes.peer(peer).tcp_for_large);
        let by_tcp = hop.transport == Transport::Udp
            && tcp_for_large
            && draft.len() + VIA_LENGTH > LARGE
            && !self.no_tcp.holds(&hop.remote, self.now)
            && self.world.local(Transport::Tcp, hop.remote, hop.interface).is_some();
        let transport = if by_tcp { Transport::Tcp } else { hop.transport };
        let Some(local) = self.world.local(transport, hop.remote, hop.interface) else {
            self.inbox.push_back((call, Input::TransportFailed(tx)));
            self.inbox.push_back((call, Input::ClientGone(tx)));
            return;
        };
        let bytes = draft.with_via(transport, &local.sent_by, &self.ids.branch(tx));
        let (listener, remote, domain) = (local.listener, hop.remote, hop.domain);
        let flow = Flow { transport, listener, remote, connection, domain };
        let detour = match anew {
            _ if by_tcp => Some((hop, Cause::NoTcp)),
            anew => anew.map(|hop| (hop, Cause::StreamGone)),
        };
        let detour = detour.map(|(hop, cause)| Box::new(Detour { draft: draft.clone(), hop, cause }));
        self.clients.insert(tx, Client { call, detour });
        self.table.request(tx, draft.method(), bytes, flow, self.now, &mut self.table_out);
        self.carry_out_table(None);
    }

    fn ack(&mut self, tx: ClientTx, draft: &Draft, Path { hop, connection, .. }: &Path) {
        let local = self.world.local(hop.transport, hop.remote, hop.interface);
        let Some(local) = local else { return };
        let bytes = draft.with_via(hop.transport, &local.sent_by, &self.ids.branch(tx));
        let (transport, listener, remote, domain) = (hop.transport, local.listener, hop.remote, hop.domain);
        let flow = Flow { transport, listener, remote, connection: *connection, domain };
        self.send(&flow, bytes, None, None);
    }

    /// Looks `uri` up, off this thread when it is a name; the result comes back through
    /// [`Self::on_resolved`].
    pub(super) fn look_up(&mut self, uri: Uri, waiting: Waiting) {
        if let Some(targets) = resolve::literal(&uri) {
            return self.on_resolved(Resolved { waiting, targets: targets.ok() });
        }
        self.world.look_up(uri, waiting);
    }

    /// Goes on with what waited for a look-up.
    pub fn on_resolved(&mut self, resolved: Resolved) {
        let Resolved { waiting, targets } = resolved;
        match waiting.0 {
            For::Targets { call, host } => {
                let entry =
                    self.calls.get(&call).map(|entry| (Arc::clone(&entry.routes), entry.call.callee()));
                let hops = entry.zip(targets).map(|((routes, callee), targets)| {
                    self.hops(&routes, Some(routes.peer(callee)), &targets, &host)
                });
                let hops = hops.unwrap_or_default();
                let rests = |hop: &Hop| {
                    self.resting.holds(&(hop.transport, hop.remote), self.now)
                        || self.probes.is_out(hop.transport, hop.remote)
                };
                let (resting, hops) = hops.into_iter().partition(rests);
                self.inbox.push_back((call, Input::Targets { hops, resting }));
                self.work();
            }
            For::Request { tx, draft, next } => {
                let path = self.path_in_dialog(targets.as_ref(), &next);
                self.request(next.call, tx, next.peer, draft, path);
            }
            For::Ack { tx, draft, next } => {
                let path = self.path_in_dialog(targets.as_ref(), &next);
                self.ack(tx, &draft, &path);
            }
            For::Registrar { registration, trunk, host } => {
                let routes = Arc::clone(&self.routes);
                let hops =
                    targets.map(|targets| self.hops(&routes, routes.peer_named(&trunk), &targets, &host));
                self.on_registrar_hops(registration, hops.unwrap_or_default());
            }
            For::Probes { peer, uri, host } => {
                let routes = Arc::clone(&self.routes);
                let hops =
                    targets.map(|targets| self.hops(&routes, routes.peer_named(&peer), &targets, &host));
                self.on_probe_hops(&peer, uri, hops);
            }
        }
    }

    /// The addresses of `peer` that we have a way to, looked up at `host`.
    fn hops(&mut self, routes: &Routes, peer: Option<&Peer>, targets: &Targets, host: &Host) -> Vec<Hop> {
        let mut hops = Vec::with_capacity(targets.targets.len());
        for &Target { transport, address: remote } in &targets.targets {
            self.bans.spare(remote.ip(), self.now);
            let interface = routes.interface(peer, remote.ip());
            let Some(local) = self.world.local(transport, remote, interface) else { continue };
            if is_out_of_reach(local.ip, remote.ip()) {
                self.complain_of_peer(remote, local.ip, UNREACHABLE);
            }
            let is_tls = transport == Transport::Tls;
            let domain = peer.filter(|_| is_tls).and_then(|peer| self.domain_of(peer, host));
            hops.push(Hop { remote, transport, interface, domain, sent_by: local.sent_by });
        }
        hops
    }

    fn path_in_dialog(&mut self, targets: Option<&Targets>, next: &Next) -> Path {
        let stands = next.flow.connection.is_some_and(|connection| self.world.stands(connection));
        let way = in_dialog(targets, next.port, next.flow, stands);
        let came_in = way.connection.is_some_and(ConnectionId::came_in);
        let anew = came_in.then(|| in_dialog(targets, next.port, next.flow, false));
        let anew = anew.map(|anew| self.hop_in_dialog(anew, next));
        Path { hop: self.hop_in_dialog(way, next), connection: way.connection, anew }
    }

    fn hop_in_dialog(&mut self, Way { remote, transport, .. }: Way, next: &Next) -> Hop {
        let domain = match transport {
            Transport::Udp | Transport::Tcp => None,
            Transport::Tls if remote == next.flow.remote => next.flow.domain,
            Transport::Tls => self.domain_in_dialog(next),
        };
        Hop { remote, transport, interface: next.interface, domain, sent_by: String::new() }
    }

    /// As [`Self::domain_of`], for a peer of `call`.
    fn domain(&mut self, call: CallId, peer: PeerId, host: &Host) -> Option<Domain> {
        let routes = Arc::clone(&self.calls.get(&call)?.routes);
        self.domain_of(routes.peer(peer), host)
    }

    /// Who has to be there when `peer` is reached at `host` by TLS (RFC 5922 §7.2): who its configuration
    /// says, else that host.
    fn domain_of(&mut self, peer: &Peer, host: &Host) -> Option<Domain> {
        let host = peer.tls_name.as_ref().unwrap_or(host);
        self.world.domain(host, peer.tls_ca.as_deref())
    }

    /// The same inside a dialog. Peers write addresses into their Contact, which hardly any certificate
    /// proves: then it is who was proven before, or the host of the peer's own URI.
    fn domain_in_dialog(&mut self, next: &Next) -> Option<Domain> {
        if next.host.ip().is_none() {
            return self.domain(next.call, next.peer, &next.host);
        }
        let entry = self.calls.get(&next.call)?;
        let own = entry.routes.peer(next.peer).uris.first().map(|uri| uri.host.clone());
        let own = own.unwrap_or_else(|| next.host.clone());
        next.flow.domain.or_else(|| self.domain(next.call, next.peer, &own))
    }
}

/// What is likely where a peer is told an address that it cannot send to.
const UNREACHABLE: &str =
    "peer is told to answer to a private address, which it cannot reach; set `advertise`";
/// A request longer than this goes by TCP (RFC 3261 §18.1.1).
const LARGE: usize = 1_300;
/// How much our own Via adds to a request, at most.
const VIA_LENGTH: usize = 100;
/// How long TCP has to come up for a large request before it goes by UDP.
pub(super) const TCP_FOR_LARGE: Duration = Duration::from_secs(1);
/// How long a target that took no TCP gets large requests by UDP.
const NO_TCP: Duration = Duration::from_secs(600);
/// How long a target that failed is tried after all others, unless it says for how long.
const REST: Duration = Duration::from_secs(30);
/// The most it can say: whoever comes back earlier than it thought is found again.
const LONGEST_REST_S: u32 = 3_600;

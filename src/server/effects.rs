//! Carrying out what calls and transactions ask for.
//!
//! A call's actions are carried out in order; what answers them (addresses, ports, counters) goes to the end of
//! `inbox`, so no call is entered while another input of it is being worked on.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::record::{LegRecord, Record};
use crate::call::{Action, Cx, Destination, Hop, Input};
use crate::id::{CallId, ClientTx, PeerId};
use crate::media::LegStats;
use crate::sip::build::Draft;
use crate::sip::flow::{ConnectionId, Flow, Transport};
use crate::sip::message::Method;
use crate::sip::transaction::{Action as TableAction, Owner};
use crate::sip::uri::Uri;
use crate::transport::resolve::{self, Targets};

use super::bridge::{Bridge, Client};
use super::counters::Way;
use super::telemetry::Redact;
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
    /// A call wants the addresses of its next target.
    Targets(CallId),
    /// A request inside a dialog, whose next hop is a name.
    Request { call: CallId, tx: ClientTx, peer: PeerId, draft: Draft, flow: Flow },
    /// The same for an ACK.
    Ack { tx: ClientTx, draft: Draft, flow: Flow },
}

/// A large request that tries TCP first, and how it goes when that fails.
pub(super) struct LargeRequest {
    draft: Draft,
    hop: Hop,
}

/// Targets that took no TCP: large requests go there by UDP for a while.
#[derive(Debug, Default)]
pub(super) struct Unreachable {
    until: HashMap<SocketAddr, Instant>,
}

impl Unreachable {
    fn holds(&self, remote: SocketAddr, now: Instant) -> bool {
        self.until.get(&remote).is_some_and(|&until| now < until)
    }

    fn note(&mut self, remote: SocketAddr, now: Instant) {
        if self.until.len() < MOST_REMEMBERED {
            self.until.insert(remote, now + REMEMBERED);
        }
    }

    /// Drops what has lapsed.
    pub(super) fn forget(&mut self, now: Instant) {
        self.until.retain(|_, &mut until| now < until);
    }
}

impl<W: World> Bridge<W> {
    /// Tells calls what waits for them, until nothing does.
    pub(super) fn work(&mut self) {
        if std::mem::replace(&mut self.working, true) {
            return;
        }
        while let Some((id, input)) = self.inbox.pop_front() {
            self.tell(id, input);
        }
        self.working = false;
    }

    fn tell(&mut self, id: CallId, input: Input) {
        let Some(entry) = self.calls.get_mut(&id) else { return self.orphaned(input) };
        let routes = entry.routes.clone();
        let mut out = std::mem::take(&mut self.call_out);
        let mut cx = Cx {
            now: self.now,
            unix_ms: self.unix_ms,
            ids: &mut self.ids,
            routes: &routes,
            settings: &self.settings,
            out: &mut out,
        };
        let call = &mut entry.call;
        entry.span.in_scope(|| call.on(input, &mut cx));
        self.carry_out(id, &mut out);
        self.call_out = out;
    }

    /// An input for a call that is gone; a request still deserves its answer.
    fn orphaned(&mut self, input: Input) {
        if let Input::Request { tx, message, flow, .. } = input {
            self.answer(&message, tx, flow, 481, "", &[]);
        }
    }

    /// Carries out the actions of one input, then notes when the call wants to be woken, or drops it.
    pub(super) fn carry_out(&mut self, id: CallId, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            self.act(id, action);
        }
        let Some(entry) = self.calls.get_mut(&id) else { return };
        if entry.call.is_gone() {
            self.calls.remove(&id);
            return;
        }
        let wanted = entry.call.next_deadline();
        entry.scheduled = self.deadlines.note(id, entry.scheduled, wanted);
    }

    fn act(&mut self, id: CallId, action: Action) {
        match action {
            Action::Respond { tx, code, bytes } => {
                self.metrics.counters.response(code);
                self.table.respond(tx, code, bytes, self.now, &mut self.table_out);
                self.carry_out_table(None);
            }
            Action::Resolve(uri) => self.look_up(uri, Waiting(For::Targets(id))),
            Action::ReserveMedia { caller, callee } => {
                let reserved = self.world.reserve(id, caller, callee);
                self.inbox.push_back((id, Input::Media(reserved)));
            }
            Action::Request { tx, peer, draft, to, .. } => match self.hop(&to) {
                Some((hop, connection)) => self.request(id, tx, peer, draft, hop, connection),
                None => self.await_name(to, |flow| Waiting(For::Request { call: id, tx, peer, draft, flow })),
            },
            Action::Ack { tx, draft, to, .. } => match self.hop(&to) {
                Some((hop, connection)) => self.ack(tx, &draft, &hop, connection),
                None => self.await_name(to, |flow| Waiting(For::Ack { tx, draft, flow })),
            },
            Action::Cancel { tx, reason } => {
                self.table.cancel(tx, reason, self.now, &mut self.table_out);
                self.carry_out_table(None);
            }
            Action::SetLeg(side, media) => self.world.set_leg(id, side, media),
            Action::ClearLeg(side) => self.world.clear_leg(id, side),
            Action::Answered => self.world.answered(id),
            Action::SetHeld(side, held) => self.world.set_held(id, side, held),
            Action::CountMedia => {
                let packets = self.world.stats(id).map_or(0, |[caller, _]| caller.packets_received);
                self.inbox.push_back((id, Input::MediaCount(packets)));
            }
            Action::Show(view) => {
                self.world.show(view);
            }
            Action::Finish { record, answered_leg } => self.finish(id, *record, answered_leg),
        }
    }

    fn finish(&mut self, id: CallId, mut record: Record, answered_leg: Option<usize>) {
        if let Some([caller, callee]) = self.world.stats(id) {
            if let Some(leg) = record.legs.first_mut() {
                fill(leg, &caller);
            }
            if let Some(leg) = answered_leg.and_then(|leg| record.legs.get_mut(leg)) {
                fill(leg, &callee);
            }
        }
        self.world.release(id);
        self.world.hide(id);
        self.set_active(self.active.saturating_sub(1));
        let counters = &self.metrics.counters;
        counters.ended(&record);
        if let Some(answered) = record.answered_ms {
            let setup = u64::try_from(answered - record.started_ms).unwrap_or(0);
            counters.answered_after(Duration::from_millis(setup));
        }
        tracing::info!(
            call = %record.id,
            direction = ?record.direction,
            from = %Redact(&record.from),
            to = %Redact(&record.to),
            code = record.sip_code,
            ended_by = ?record.ended_by,
            reason = %record.reason,
            "call ended"
        );
        self.world.record(record);
    }

    /// Carries out what the transaction table asks for; `flow` is where the message that caused it came from.
    pub(super) fn carry_out_table(&mut self, flow: Option<Flow>) {
        let mut actions = std::mem::take(&mut self.table_out);
        for action in actions.drain(..) {
            match action {
                TableAction::Send { flow, bytes, by } => self.send_of_transaction(&flow, bytes, by),
                TableAction::Response { tx, message } => {
                    if let (Some(client), Some(flow)) = (self.clients.get(&tx), flow) {
                        self.inbox.push_back((client.call, Input::Response { tx, message, flow }));
                    }
                }
                TableAction::TimedOut { tx } => {
                    if let Some(client) = self.clients.get(&tx) {
                        self.inbox.push_back((client.call, Input::TimedOut(tx)));
                    }
                }
                TableAction::ClientGone { tx } => {
                    if let Some(client) = self.clients.remove(&tx) {
                        self.inbox.push_back((client.call, Input::ClientGone(tx)));
                    }
                }
                TableAction::NoAck { .. } => {}
                TableAction::ServerGone { tx } => {
                    self.invites.remove(&tx);
                }
            }
        }
        self.table_out = actions;
        self.work();
    }

    fn send_of_transaction(&mut self, flow: &Flow, bytes: Bytes, by: Owner) {
        let timeout = match by {
            Owner::Client(tx) if self.clients.get(&tx).is_some_and(|client| client.large.is_some()) => {
                Some(TCP_FOR_LARGE)
            }
            Owner::Client(_) | Owner::Server(_) | Owner::Nobody => None,
        };
        self.send(flow, bytes, by, timeout);
    }

    /// Hands a message to the transports and counts it.
    pub(super) fn send(&mut self, flow: &Flow, bytes: Bytes, by: Owner, timeout: Option<Duration>) {
        self.metrics.counters.message(flow.transport, Way::Out, method_of(&bytes));
        tracing::debug!(target: "trunkline::sip", remote = %flow.remote, message = %FirstLine(&bytes), "out");
        let client = match by {
            Owner::Client(tx) => Some(tx),
            Owner::Server(_) | Owner::Nobody => None,
        };
        self.world.send(flow, bytes, client, timeout);
    }

    /// A message could not be sent: a large request falls back to UDP, any other is lost.
    pub fn on_send_failed(&mut self, tx: ClientTx, flow: Flow, error: &str) {
        tracing::debug!(remote = %flow.remote, transport = flow.transport.via(), error, "message could not be sent");
        let Some(client) = self.clients.get_mut(&tx) else { return };
        if let Some(large) = client.large.take() {
            self.no_tcp.note(flow.remote, self.now);
            if let Some((udp, listener)) = self.udp_flow(&large.hop) {
                let branch = self.ids.branch(tx);
                let bytes = large.draft.with_via(Transport::Udp, &listener, &branch);
                self.table.resend(tx, bytes, udp, self.now, &mut self.table_out);
                return self.carry_out_table(None);
            }
        }
        if let Some(client) = self.clients.get(&tx) {
            let call = client.call;
            self.inbox.push_back((call, Input::TransportFailed(tx)));
            self.table.on_transport_failed(Owner::Client(tx), self.now, &mut self.table_out);
            self.carry_out_table(None);
        }
    }

    fn udp_flow(&mut self, hop: &Hop) -> Option<(Flow, String)> {
        let local = self.world.local(Transport::Udp, hop.remote)?;
        let flow = Flow {
            transport: Transport::Udp,
            listener: local.listener,
            remote: hop.remote,
            connection: None,
        };
        Some((flow, local.sent_by))
    }

    fn request(
        &mut self,
        call: CallId,
        tx: ClientTx,
        peer: PeerId,
        draft: Draft,
        hop: Hop,
        connection: Option<ConnectionId>,
    ) {
        let tcp_for_large = self.calls.get(&call).is_some_and(|entry| entry.routes.peer(peer).tcp_for_large);
        let by_tcp = hop.transport == Transport::Udp
            && tcp_for_large
            && draft.len() + VIA_LENGTH > LARGE
            && !self.no_tcp.holds(hop.remote, self.now)
            && self.world.local(Transport::Tcp, hop.remote).is_some();
        let transport = if by_tcp { Transport::Tcp } else { hop.transport };
        let Some(local) = self.world.local(transport, hop.remote) else {
            self.clients.insert(tx, Client { call, large: None });
            self.inbox.push_back((call, Input::TransportFailed(tx)));
            self.inbox.push_back((call, Input::ClientGone(tx)));
            return;
        };
        let bytes = draft.with_via(transport, &local.sent_by, &self.ids.branch(tx));
        let flow = Flow { transport, listener: local.listener, remote: hop.remote, connection };
        let large = by_tcp.then(|| Box::new(LargeRequest { draft: draft.clone(), hop }));
        self.clients.insert(tx, Client { call, large });
        self.table.request(tx, draft.method(), bytes, flow, self.now, &mut self.table_out);
        self.carry_out_table(None);
    }

    fn ack(&mut self, tx: ClientTx, draft: &Draft, hop: &Hop, connection: Option<ConnectionId>) {
        let Some(local) = self.world.local(hop.transport, hop.remote) else { return };
        let bytes = draft.with_via(hop.transport, &local.sent_by, &self.ids.branch(tx));
        let flow =
            Flow { transport: hop.transport, listener: local.listener, remote: hop.remote, connection };
        self.send(&flow, bytes, Owner::Nobody, None);
    }

    /// The address behind `to`, when no name has to be looked up, and the stream to use if it still stands.
    fn hop(&mut self, to: &Destination) -> Option<(Hop, Option<ConnectionId>)> {
        match to {
            Destination::Hop(hop) => Some((hop.clone(), None)),
            Destination::Dialog { uri, flow } => {
                let targets = resolve::literal(uri)?.ok();
                Some(self.hop_in_dialog(targets, *flow))
            }
        }
    }

    /// Where a request inside a dialog goes: the target, unless only the path its messages came by can reach the peer.
    fn hop_in_dialog(&mut self, targets: Option<Targets>, flow: Flow) -> (Hop, Option<ConnectionId>) {
        let back =
            (Hop { remote: flow.remote, transport: flow.transport, sent_by: String::new() }, flow.connection);
        let Some(targets) = targets else { return back };
        let Some(&remote) = targets.addresses.first() else { return back };
        let behind_nat = is_private(remote.ip()) && !is_private(flow.remote.ip());
        let same_stream = flow.connection.is_some()
            && targets.transport == flow.transport
            && remote.ip() == flow.remote.ip();
        if behind_nat || same_stream {
            return back;
        }
        (Hop { remote, transport: targets.transport, sent_by: String::new() }, None)
    }

    fn await_name(&mut self, to: Destination, waiting: impl FnOnce(Flow) -> Waiting) {
        if let Destination::Dialog { uri, flow } = to {
            self.look_up(uri, waiting(flow));
        }
    }

    /// Looks `uri` up, off this thread when it is a name; the result comes back through [`Self::on_resolved`].
    fn look_up(&mut self, uri: Uri, waiting: Waiting) {
        if let Some(targets) = resolve::literal(&uri) {
            return self.on_resolved(Resolved { waiting, targets: targets.ok() });
        }
        self.world.look_up(uri, waiting);
    }

    /// Goes on with what waited for a look-up.
    pub fn on_resolved(&mut self, resolved: Resolved) {
        let Resolved { waiting, targets } = resolved;
        match waiting.0 {
            For::Targets(call) => {
                let hops = targets.map(|targets| self.hops(&targets)).unwrap_or_default();
                self.inbox.push_back((call, Input::Targets(hops)));
                self.work();
            }
            For::Request { call, tx, peer, draft, flow } => {
                let (hop, connection) = self.hop_in_dialog(targets, flow);
                self.request(call, tx, peer, draft, hop, connection);
            }
            For::Ack { tx, draft, flow } => {
                let (hop, connection) = self.hop_in_dialog(targets, flow);
                self.ack(tx, &draft, &hop, connection);
            }
        }
    }

    fn hops(&mut self, targets: &Targets) -> Vec<Hop> {
        let transport = targets.transport;
        let mut hops = Vec::with_capacity(targets.addresses.len());
        for &remote in &targets.addresses {
            if let Some(local) = self.world.local(transport, remote) {
                hops.push(Hop { remote, transport, sent_by: local.sent_by });
            }
        }
        hops
    }
}

fn fill(leg: &mut LegRecord, stats: &LegStats) {
    leg.packets_sent = stats.packets_sent;
    leg.packets_received = stats.packets_received;
    leg.packets_lost = stats.packets_lost;
    leg.jitter_ms = stats.jitter_ms;
}

/// The method a message of ours counts under: its own, or that of its CSeq.
fn method_of(bytes: &[u8]) -> Method<'_> {
    let token = |bytes: &'_ [u8]| bytes.iter().position(|&b| b == b' ' || b == b'\r').unwrap_or(bytes.len());
    if !bytes.starts_with(b"SIP/2.0 ") {
        return Method::parse(&bytes[..token(bytes)]);
    }
    let Some(at) = memchr::memmem::find(bytes, b"\r\nCSeq: ") else { return Method::Other(b"") };
    let cseq = &bytes[at + 8..];
    let method = &cseq[(token(cseq) + 1).min(cseq.len())..];
    Method::parse(&method[..token(method)])
}

/// The first line of a message, for the log.
struct FirstLine<'a>(&'a [u8]);

impl std::fmt::Display for FirstLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = memchr::memchr2(b'\r', b'\n', self.0).unwrap_or(self.0.len());
        write!(f, "{}", String::from_utf8_lossy(&self.0[..end]).escape_debug())
    }
}

/// Whether packets from the public Internet cannot reach `ip`.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

/// A request longer than this goes by TCP (RFC 3261 §18.1.1).
const LARGE: usize = 1_300;
/// How much our own Via adds to a request, at most.
const VIA_LENGTH: usize = 100;
/// How long TCP has to come up for a large request before it goes by UDP.
const TCP_FOR_LARGE: Duration = Duration::from_secs(1);
/// How long a target that took no TCP gets large requests by UDP.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Targets remembered at once; more are tried by TCP every time.
const MOST_REMEMBERED: usize = 4_096;

//! Every connection that stands or is being made, TCP or TLS, in either direction (RFC 3261 §18, RFC 5923).
//!
//! A connection is found by its number, or by its remote address; who opened it makes no difference to who
//! may use it, but by TLS the other side's certificate must belong to whom the message is for. One that ended
//! or was closed is forgotten at once: reports that it left in the queue lead nowhere.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::link::{Link, Outgoing};
use super::tcp::{self, Dial, Ended, Run, Welcome};
use super::tls::Named;
use super::{Event, Report, Task};
use crate::sip::flow::{ConnectionId, Flow, Transport};
use crate::sip::message::Limits;
use crate::sip::nat::subscriber;

/// The connections.
pub(super) struct Pool {
    connections: HashMap<ConnectionId, Connection>,
    by_remote: HashMap<SocketAddr, Vec<ConnectionId>>,
    /// What came in from each source.
    sources: HashMap<IpAddr, Count>,
    /// Connections that came in, oldest first; recognised and forgotten ones are left out when their turn
    /// comes.
    arrived: VecDeque<ConnectionId>,
    /// Those of them that had to agree on TLS first; the others are left out likewise.
    shaking: VecDeque<ConnectionId>,
    /// Sources that a TLS connection was opened to: they may open one themselves, for requests of the same
    /// calls.
    dialled: HashSet<IpAddr>,
    last: u64,
    run: Run,
}

struct Connection {
    link: Arc<Link>,
    came_in: bool,
    _task: Task,
}

/// How many connections stand.
#[derive(Clone, Copy, Default)]
struct Count {
    all: usize,
    /// Those on which nobody was recognised.
    strangers: usize,
}

impl Pool {
    pub(super) fn new(limits: Limits, reports: mpsc::Sender<Report>) -> Self {
        let (connections, by_remote, sources, arrived, shaking, dialled) = Default::default();
        let run = Run { reports, limits };
        Self { connections, by_remote, sources, arrived, shaking, dialled, last: 0, run }
    }

    /// Takes a connection that came in by `flow`, if there is room for it; the oldest one of a stranger has
    /// to make some, from the same source if that has many: connections that say nothing must not keep a peer
    /// out that shares their address. With `tls` there, it has to agree on TLS first.
    pub(super) fn accept(
        &mut self,
        flow: Flow,
        stream: TcpStream,
        tls: Option<Welcome>,
        events: &mut Vec<Event>,
    ) {
        let from = subscriber(flow.remote.ip());
        let Count { all, strangers } = self.sources.get(&from).copied().unwrap_or_default();
        let is_full = self.connections.len() >= MAX_CONNECTIONS
            || all >= MAX_OF_SOURCE
            || (strangers >= MAX_STRANGERS && !self.make_room_of(from, events));
        if is_full || (tls.is_some() && self.shaking_with(from) >= MAX_HANDSHAKES) {
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "connections").increment(1);
            tracing::debug!(remote = %flow.remote, all, strangers, "turned a connection away");
            return;
        }
        self.make_room(events);
        let count = self.sources.entry(from).or_default();
        count.all += 1;
        count.strangers += 1;
        let link = Arc::new(Link::accepted(self.next_id(true), flow));
        self.arrived.push_back(link.id);
        if tls.is_some() {
            self.shaking.push_back(link.id);
        }
        let task = Task::spawn(tcp::run_accepted(Arc::clone(&link), stream, tls, self.run.clone()));
        self.insert(link, true, task);
    }

    /// Closes the longest standing connection from there on which nobody was recognised; false if there is
    /// none.
    fn make_room_of(&mut self, from: IpAddr, events: &mut Vec<Event>) -> bool {
        let is_of_it = |id: &ConnectionId| {
            let link = self.connections.get(id).map(|connection| &connection.link);
            link.is_some_and(|link| !link.is_recognised() && subscriber(link.remote.ip()) == from)
        };
        let oldest = self.arrived.iter().position(is_of_it).and_then(|place| self.arrived.remove(place));
        oldest.is_some_and(|oldest| self.remove(oldest, &Ended::Closed, events).is_some())
    }

    /// How many connections from there have not agreed on TLS yet.
    fn shaking_with(&mut self, from: IpAddr) -> usize {
        let connections = &self.connections;
        let link = |id: &ConnectionId| connections.get(id).map(|connection| &connection.link);
        self.shaking.retain(|id| link(id).is_some_and(|link| !link.is_standing()));
        self.shaking
            .iter()
            .filter(|id| link(id).is_some_and(|link| subscriber(link.remote.ip()) == from))
            .count()
    }

    /// Many sources together must not take what peers need: closes the longest standing strangers, and the
    /// slowest to agree on TLS.
    fn make_room(&mut self, events: &mut Vec<Event>) {
        if self.shaking.len() >= MAX_ALL_HANDSHAKES
            && let Some(slowest) = self.shaking.pop_front()
        {
            self.remove(slowest, &Ended::Closed, events);
        }
        if self.arrived.len() < MAX_ALL_STRANGERS {
            return;
        }
        let is_stranger = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| !connection.link.is_recognised())
        };
        self.arrived.retain(is_stranger);
        while self.arrived.len() >= MAX_ALL_STRANGERS {
            let Some(oldest) = self.arrived.pop_front() else { return };
            self.remove(oldest, &Ended::Closed, events);
        }
    }

    /// Begins to connect, by TLS to whoever is `named`.
    ///
    /// # Errors
    ///
    /// The message itself when there are too many connections already.
    pub(super) fn connect(
        &mut self,
        dial: Dial,
        named: Option<Arc<Named>>,
        first: Outgoing,
    ) -> Result<(), Outgoing> {
        if self.connections.len() >= MAX_CONNECTIONS {
            return Err(first);
        }
        if named.is_some() {
            if self.dialled.len() >= MAX_DIALLED {
                self.dialled.clear();
            }
            self.dialled.insert(subscriber(first.flow.remote.ip()));
        }
        let link = Arc::new(Link::dialled(self.next_id(false), first.flow, named));
        link.send(first)?;
        let task = Task::spawn(tcp::run_dialled(Arc::clone(&link), dial, self.run.clone()));
        self.insert(link, false, task);
        Ok(())
    }

    /// Whether a TLS connection was opened to that source.
    pub(super) fn has_dialled(&self, remote: SocketAddr) -> bool {
        self.dialled.contains(&subscriber(remote.ip()))
    }

    /// The link with that number, else one of the same transport that stands to the same remote address, else
    /// one that is being made to it; by TLS only if it serves whoever is `named`.
    pub(super) fn find(&self, flow: &Flow, named: Option<&Named>) -> Option<Arc<Link>> {
        if let Some(connection) = flow.connection.and_then(|id| self.connections.get(&id)) {
            return Some(Arc::clone(&connection.link));
        }
        let fits = |link: &&Arc<Link>| link.flow.transport == flow.transport && link.serves(named);
        let mut links = self.links_to(flow.remote).filter(fits);
        let first = links.next()?;
        let link =
            if first.is_standing() { first } else { links.find(|link| link.is_standing()).unwrap_or(first) };
        Some(Arc::clone(link))
    }

    /// A connection that stands to `remote`.
    pub(super) fn standing(&self, transport: Transport, remote: SocketAddr) -> Option<ConnectionId> {
        let fits = |link: &&Arc<Link>| link.flow.transport == transport && link.is_standing();
        self.links_to(remote).find(fits).map(|link| link.id)
    }

    pub(super) fn contains(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Its other side is one that we talk to.
    pub(super) fn recognise(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get(&connection)
            && connection.link.recognise()
        {
            let remote = connection.link.remote;
            self.uncount(remote, false, true);
        }
    }

    /// Whether a peer was recognised on it, or we opened it.
    pub(super) fn is_recognised(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|connection| connection.link.is_recognised())
    }

    /// Forgets a connection and ends its task; what it had not sent fails for the reason `ended`.
    pub(super) fn remove(
        &mut self,
        connection: ConnectionId,
        ended: &Ended,
        events: &mut Vec<Event>,
    ) -> Option<Arc<Link>> {
        let Connection { link, came_in, .. } = self.connections.remove(&connection)?;
        if let Some(others) = self.by_remote.get_mut(&link.remote) {
            others.retain(|other| *other != connection);
            if others.is_empty() {
                self.by_remote.remove(&link.remote);
            }
        }
        self.uncount(link.remote, came_in, !link.is_recognised());
        let transport = link.flow.transport.via();
        tracing::debug!(remote = %link.remote, transport, reason = %ended, "connection ended");
        let stale = link.was_heard() && ended.is_of_the_other_side();
        for Outgoing { flow, token, .. } in link.take_unsent() {
            events.push(Event::SendFailed { token, flow, error: ended.to_string(), stale });
        }
        Some(link)
    }

    fn links_to(&self, remote: SocketAddr) -> impl Iterator<Item = &Arc<Link>> {
        let ids = self.by_remote.get(&remote).into_iter().flatten();
        ids.filter_map(|id| self.connections.get(id)).map(|connection| &connection.link)
    }

    fn next_id(&mut self, came_in: bool) -> ConnectionId {
        self.last += 2;
        ConnectionId(self.last | u64::from(came_in))
    }

    fn insert(&mut self, link: Arc<Link>, came_in: bool, task: Task) {
        self.by_remote.entry(link.remote).or_default().push(link.id);
        self.connections.insert(link.id, Connection { link, came_in, _task: task });
    }

    fn uncount(&mut self, remote: SocketAddr, is_gone: bool, was_stranger: bool) {
        let from = subscriber(remote.ip());
        let Some(count) = self.sources.get_mut(&from) else { return };
        count.all -= usize::from(is_gone);
        count.strangers -= usize::from(was_stranger);
        if count.all == 0 {
            self.sources.remove(&from);
        }
    }
}

/// Connections at once, whoever opened them.
const MAX_CONNECTIONS: usize = 16_384;

/// Connections at once that one source opened: it must leave some to the others.
const MAX_OF_SOURCE: usize = MAX_CONNECTIONS / 2;

/// Connections at once on which nobody was recognised yet, whatever their sources.
const MAX_ALL_STRANGERS: usize = 1_024;

/// Connections at once from one source before it is recognised on them.
const MAX_STRANGERS: usize = 64;

/// Connections at once that have not agreed on TLS yet, from one source and from all.
const MAX_HANDSHAKES: usize = 16;
const MAX_ALL_HANDSHAKES: usize = 256;

/// Sources remembered that a TLS connection was opened to.
const MAX_DIALLED: usize = 4_096;

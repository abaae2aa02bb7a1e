//! Every TCP connection that stands or is being made, in either direction (RFC 3261 §18, RFC 5923 in spirit).
//!
//! A connection is found by its number, or by its remote address; who opened it makes no difference to who may use it.
//! One that ended or was closed is forgotten at once: reports that it left in the queue lead nowhere.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::tcp::{self, Ended, Link, Outgoing};
use super::{Event, Report, Task};
use crate::sip::flow::{ConnectionId, ListenerId};
use crate::sip::message::Limits;

/// The connections.
pub(super) struct Pool {
    connections: HashMap<ConnectionId, Connection>,
    by_remote: HashMap<SocketAddr, Vec<ConnectionId>>,
    /// How many connections of each source are not recognised.
    strangers: HashMap<IpAddr, usize>,
    /// Connections that came in, oldest first; recognised and forgotten ones are left out when their turn comes.
    arrived: VecDeque<ConnectionId>,
    last: u64,
    limits: Limits,
    reports: mpsc::Sender<Report>,
}

struct Connection {
    link: Arc<Link>,
    _task: Task,
}

impl Pool {
    pub(super) fn new(limits: Limits, reports: mpsc::Sender<Report>) -> Self {
        let (connections, by_remote, strangers, arrived) = Default::default();
        Self { connections, by_remote, strangers, arrived, last: 0, limits, reports }
    }

    /// Takes a connection that came in, if there is room for it; the oldest one of a stranger has to make some.
    pub(super) fn accept(
        &mut self,
        listener: ListenerId,
        stream: TcpStream,
        remote: SocketAddr,
        events: &mut Vec<Event>,
    ) {
        let strangers = self.strangers.get(&source(remote)).copied().unwrap_or_default();
        if self.connections.len() >= MAX_CONNECTIONS || strangers >= MAX_STRANGERS {
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "connections").increment(1);
            tracing::debug!(%remote, strangers, "turned a connection away");
            return;
        }
        self.make_room(events);
        *self.strangers.entry(source(remote)).or_default() += 1;
        let link = Arc::new(Link::new(self.next_id(), remote, false));
        let run = tcp::run(Arc::clone(&link), stream, listener, self.reports.clone(), self.limits.clone());
        self.arrived.push_back(link.id);
        self.insert(link, Task::spawn(run));
    }

    /// Many sources together must not take what peers need: closes the longest standing strangers.
    fn make_room(&mut self, events: &mut Vec<Event>) {
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

    /// Begins to connect; `None` when there are too many connections already.
    pub(super) fn connect(
        &mut self,
        listener: ListenerId,
        from: Option<IpAddr>,
        first: Outgoing,
    ) -> Result<(), Outgoing> {
        if self.connections.len() >= MAX_CONNECTIONS {
            return Err(first);
        }
        let link = Arc::new(Link::new(self.next_id(), first.flow.remote, true));
        link.send(first)?;
        let (reports, limits) = (self.reports.clone(), self.limits.clone());
        let task = Task::spawn(tcp::run_outgoing(Arc::clone(&link), from, listener, reports, limits));
        self.insert(link, task);
        Ok(())
    }

    /// The link with that number, else one that stands to `remote`, else one that is being made to it.
    pub(super) fn find(&self, connection: Option<ConnectionId>, remote: SocketAddr) -> Option<Arc<Link>> {
        if let Some(connection) = connection.and_then(|id| self.connections.get(&id)) {
            return Some(Arc::clone(&connection.link));
        }
        let mut links = self.links_to(remote);
        let first = links.next()?;
        let link =
            if first.is_standing() { first } else { links.find(|link| link.is_standing()).unwrap_or(first) };
        Some(Arc::clone(link))
    }

    /// A connection that stands to `remote`.
    pub(super) fn standing(&self, remote: SocketAddr) -> Option<ConnectionId> {
        self.links_to(remote).find(|link| link.is_standing()).map(|link| link.id)
    }

    pub(super) fn contains(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Its other side is one that we talk to.
    pub(super) fn recognise(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.connections.get(&connection)
            && connection.link.recognise()
        {
            let source = source(connection.link.remote);
            self.forget_stranger(source);
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
        let link = self.connections.remove(&connection)?.link;
        if let Some(others) = self.by_remote.get_mut(&link.remote) {
            others.retain(|other| *other != connection);
            if others.is_empty() {
                self.by_remote.remove(&link.remote);
            }
        }
        if !link.is_recognised() {
            self.forget_stranger(source(link.remote));
        }
        tracing::debug!(remote = %link.remote, reason = %ended, "TCP connection ended");
        for Outgoing { flow, token, .. } in link.take_unsent() {
            events.push(Event::SendFailed { token, flow, error: ended.to_string() });
        }
        Some(link)
    }

    fn links_to(&self, remote: SocketAddr) -> impl Iterator<Item = &Arc<Link>> {
        let ids = self.by_remote.get(&remote).into_iter().flatten();
        ids.filter_map(|id| self.connections.get(id)).map(|connection| &connection.link)
    }

    fn next_id(&mut self) -> ConnectionId {
        self.last += 1;
        ConnectionId(self.last)
    }

    fn insert(&mut self, link: Arc<Link>, task: Task) {
        self.by_remote.entry(link.remote).or_default().push(link.id);
        self.connections.insert(link.id, Connection { link, _task: task });
    }

    fn forget_stranger(&mut self, source: IpAddr) {
        if let Some(count) = self.strangers.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&source);
            }
        }
    }
}

/// What counts as one source: an address, of IPv6 the network that one subscriber commonly has.
fn source(remote: SocketAddr) -> IpAddr {
    match remote.ip() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Connections at once, whoever opened them.
const MAX_CONNECTIONS: usize = 16_384;

/// Connections at once on which nobody was recognised yet, whatever their sources.
const MAX_ALL_STRANGERS: usize = 1_024;

/// Connections at once from one source before it is recognised on them.
const MAX_STRANGERS: usize = 64;

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
    bounds: Bounds,
    last: u64,
    run: Run,
}

/// How many connections may stand at once.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Whoever opened them.
    all: usize,
    /// That one source opened: it must leave some to the others.
    of_source: usize,
    /// On which nobody was recognised yet, whatever their sources.
    strangers: usize,
    /// The same of one source.
    strangers_of_source: usize,
    /// That have not agreed on TLS yet.
    handshakes: usize,
    /// The same of one source.
    handshakes_of_source: usize,
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
        Self { connections, by_remote, sources, arrived, shaking, dialled, bounds: BOUNDS, last: 0, run }
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
        if self.connections.len() >= self.bounds.all || all >= self.bounds.of_source {
            count_rejected();
            tracing::debug!(remote = %flow.remote, all, strangers, "turned a connection away");
            return;
        }
        if strangers >= self.bounds.strangers_of_source {
            self.close_oldest_stranger_of(from, events);
        }
        if tls.is_some() {
            self.make_room_for_handshake(from, events);
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

    fn close_oldest_stranger_of(&mut self, from: IpAddr, events: &mut Vec<Event>) {
        let is_of_it = |id: &ConnectionId| self.is_from(*id, from, |link| !link.is_recognised());
        let oldest = self.arrived.iter().position(is_of_it).and_then(|place| self.arrived.remove(place));
        self.close_crowding(oldest, events);
    }

    /// Whoever can agree on TLS does so in less time than it takes a source to open that many more.
    fn make_room_for_handshake(&mut self, from: IpAddr, events: &mut Vec<Event>) {
        let connections = &self.connections;
        let is_shaking = |id: &ConnectionId| connections.get(id).is_some_and(|it| !it.link.is_standing());
        self.shaking.retain(is_shaking);
        let of_it = self.shaking.iter().filter(|id| self.is_from(**id, from, |_| true));
        let slowest = of_it.clone().next().copied();
        if of_it.count() >= self.bounds.handshakes_of_source {
            self.close_crowding(slowest, events);
        }
    }

    fn is_from(&self, id: ConnectionId, from: IpAddr, also: impl Fn(&Link) -> bool) -> bool {
        let link = self.connections.get(&id).map(|connection| &connection.link);
        link.is_some_and(|link| subscriber(link.remote.ip()) == from && also(link))
    }

    /// Closes one of too many that its source opened; it said as little as one that was closed for its age.
    fn close_crowding(&mut self, connection: Option<ConnectionId>, events: &mut Vec<Event>) {
        let Some(connection) = connection else { return };
        if let Some(link) = self.remove(connection, &Ended::Closed, events) {
            count_rejected();
            events.push(Event::Idle { remote: link.remote });
        }
    }

    /// Many sources together must not take what peers need: closes the longest standing strangers, and the
    /// slowest to agree on TLS.
    fn make_room(&mut self, events: &mut Vec<Event>) {
        if self.shaking.len() >= self.bounds.handshakes
            && let Some(slowest) = self.shaking.pop_front()
        {
            self.remove(slowest, &Ended::Closed, events);
        }
        if self.arrived.len() < self.bounds.strangers {
            return;
        }
        let is_stranger = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| !connection.link.is_recognised())
        };
        self.arrived.retain(is_stranger);
        while self.arrived.len() >= self.bounds.strangers {
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
        if self.connections.len() >= self.bounds.all {
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

fn count_rejected() {
    metrics::counter!("trunkline_sip_rejected_total", "reason" => "connections").increment(1);
}

const BOUNDS: Bounds = Bounds {
    all: 16_384,
    of_source: 8_192,
    strangers: 1_024,
    strangers_of_source: 64,
    handshakes: 256,
    handshakes_of_source: 16,
};

/// Sources remembered that a TLS connection was opened to.
const MAX_DIALLED: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::sip::flow::ListenerId;

    #[tokio::test]
    async fn one_source_leaves_half_of_all_connections_to_the_others() {
        let mut far = FarEnds::new(Bounds { all: 4, of_source: 2, ..BOUNDS }).await;

        for _ in 0..3 {
            far.connect_and_recognise(ATTACKER).await;
        }

        assert_eq!(far.pool.connections.len(), 2);
        for _ in 0..2 {
            far.connect_and_recognise(PEER).await;
        }
        assert_eq!(far.pool.connections.len(), 4);
    }

    #[tokio::test]
    async fn with_all_connections_taken_no_other_is_until_one_ends() {
        let mut far = FarEnds::new(Bounds { all: 2, ..BOUNDS }).await;
        let first = far.connect_and_recognise(ATTACKER).await;
        far.connect_and_recognise(ATTACKER).await;

        far.connect_and_recognise(PEER).await;
        let turned_away = far.count_of(PEER);
        far.pool.remove(first, &Ended::Eof, &mut far.events);
        far.connect_and_recognise(PEER).await;

        assert_eq!((turned_away, far.count_of(PEER), far.count_of(ATTACKER)), (0, 1, 1));
    }

    #[tokio::test]
    async fn strangers_together_make_room_for_the_next_oldest_first_and_recognised_ones_stay() {
        let mut far = FarEnds::new(Bounds { strangers: 3, ..BOUNDS }).await;
        far.connect_and_recognise(PEER).await;

        for host in 10..20 {
            far.connect(Ipv4Addr::new(127, 0, 0, host)).await;
        }

        let hosts = far.pool.connections.values().map(|connection| connection.link.remote.ip());
        let standing: BTreeSet<_> = hosts.collect();
        let peer_and_newest = [3, 17, 18, 19].map(|host| IpAddr::from([127, 0, 0, host]));
        assert_eq!(standing, peer_and_newest.into());
        assert!(far.events.is_empty(), "nobody is blamed for the crowd that others make");
    }

    #[tokio::test]
    async fn a_source_that_crowds_out_its_own_silent_connections_is_told_of_each_time() {
        let mut far = FarEnds::new(Bounds { strangers_of_source: 2, ..BOUNDS }).await;

        for _ in 0..5 {
            far.connect(ATTACKER).await;
        }

        let told = far.events.iter().filter(|event| matches!(event, Event::Idle { .. })).count();
        assert_eq!((far.count_of(ATTACKER), told), (2, 3));
    }

    struct FarEnds {
        pool: Pool,
        listener: TcpListener,
        clients: Vec<TcpStream>,
        events: Vec<Event>,
        _reports: mpsc::Receiver<Report>,
    }

    impl FarEnds {
        async fn new(bounds: Bounds) -> Self {
            let (sender, reports) = mpsc::channel(64);
            let pool = Pool { bounds, ..Pool::new(Limits::default(), sender) };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            Self { pool, listener, clients: Vec::new(), events: Vec::new(), _reports: reports }
        }

        /// The newest connection that stands then: that one, unless it was turned away.
        async fn connect(&mut self, from: Ipv4Addr) -> ConnectionId {
            let client = tokio::net::TcpSocket::new_v4().expect("a socket");
            client.bind((from, 0).into()).expect("a loopback address");
            let to = self.listener.local_addr().expect("it is bound");
            let (client, accepted) = tokio::join!(client.connect(to), self.listener.accept());
            self.clients.push(client.expect("loopback connects"));
            let (stream, remote) = accepted.expect("loopback connects");
            let flow = Flow {
                transport: Transport::Tcp,
                listener: ListenerId(0),
                remote,
                connection: None,
                domain: None,
            };
            self.pool.accept(flow, stream, None, &mut self.events);
            self.pool.connections.keys().copied().max_by_key(|id| id.0).expect("one stands")
        }

        async fn connect_and_recognise(&mut self, from: Ipv4Addr) -> ConnectionId {
            let connection = self.connect(from).await;
            self.pool.recognise(connection);
            connection
        }

        fn count_of(&self, from: Ipv4Addr) -> usize {
            self.pool.sources.get(&from.into()).map_or(0, |count| count.all)
        }
    }

    const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const PEER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
}

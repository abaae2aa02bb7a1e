//! A simulated network under a virtual clock: seeded loss, delay, duplication and reordering of datagrams, the real
//! bridge in the middle, scripted user agents around it.
//!
//! Time jumps to whoever's deadline is next, so a minute of ringing costs nothing and nothing sleeps.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use trunkline::call::Settings;
use trunkline::call::record::{Record, View};
use trunkline::id::{CallId, ClientTx, Ids};
use trunkline::media::LegStats;
use trunkline::routing::Routes;
use trunkline::rtp::leg::{LegMedia, Reserved, Side};
use trunkline::server::{Bridge, Parts, Waiting, World};
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use trunkline::sip::message::Limits;
use trunkline::sip::uri::Uri;
use trunkline::transport::Local;

use super::agents::Agent;

/// How datagrams fare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Lost, of 100.
    pub(crate) lost: u32,
    /// Delivered twice, of 100.
    pub(crate) doubled: u32,
    /// Milliseconds on the way, at least and at most; a spread reorders.
    pub(crate) delay_ms: (u64, u64),
}

impl Weather {
    pub(crate) const FAIR: Self = Self { lost: 0, doubled: 0, delay_ms: (1, 1) };
    pub(crate) const STORM: Self = Self { lost: 15, doubled: 10, delay_ms: (1, 120) };
}

/// Everything in one test.
pub(crate) struct Network {
    pub(crate) bridge: Bridge<FakeWorld>,
    pub(crate) agents: Vec<Box<dyn Agent>>,
    pub(crate) now: Instant,
    start: Instant,
    weather: Weather,
    rng: StdRng,
    wire: BTreeMap<(Instant, u64), Datagram>,
    sequence: u64,
    /// What the bridge sent, in order: destination, first line.
    pub(crate) from_bridge: Vec<(Duration, SocketAddr, String)>,
    /// Every message that the bridge sent.
    pub(crate) emitted: Vec<Bytes>,
    /// Every message that it received.
    pub(crate) heard: Vec<Heard>,
}

/// A message on its way into the bridge.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Since the start.
    pub(crate) after: Duration,
    pub(crate) flow: Flow,
    pub(crate) bytes: Bytes,
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

impl Network {
    pub(crate) fn new(routes: Routes, seed: u64, weather: Weather) -> Self {
        let now = Instant::now();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let bridge = Bridge::new(Parts {
            world: FakeWorld::default(),
            routes: Arc::new(routes),
            ids: Ids::new(key, 1),
            settings: Settings::default(),
            limits: Limits::default(),
            now,
        });
        Self {
            bridge,
            agents: Vec::new(),
            now,
            start: now,
            weather,
            rng: StdRng::seed_from_u64(seed),
            wire: BTreeMap::new(),
            sequence: 0,
            from_bridge: Vec::new(),
            emitted: Vec::new(),
            heard: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, agent: impl Agent + 'static) -> usize {
        self.agents.push(Box::new(agent));
        self.agents.len() - 1
    }

    /// Jumps from deadline to deadline until nothing is left to happen, or `limit` has passed.
    pub(crate) fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        self.collect();
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    fn next(&self) -> Option<Instant> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let agents = self.agents.iter().filter_map(|agent| agent.next_deadline(self.start));
        agents.chain(wire).chain(self.bridge.next_deadline()).min()
    }

    fn step(&mut self) {
        let unix_ms = i64::try_from(self.elapsed().as_millis()).unwrap();
        self.bridge.set_time(self.now, unix_ms);
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let datagram = entry.remove();
            self.deliver(datagram);
        }
        let now = self.now - self.start;
        for agent in &mut self.agents {
            agent.on_deadline(now);
        }
        self.bridge.on_deadlines();
        self.collect();
    }

    fn deliver(&mut self, datagram: Datagram) {
        let Datagram { from, to, bytes } = datagram;
        if to == BRIDGE {
            let flow =
                Flow { transport: Transport::Udp, listener: ListenerId(0), remote: from, connection: None };
            self.heard.push(Heard { after: self.now - self.start, flow, bytes: bytes.clone() });
            self.bridge.on_message(bytes, flow);
        } else if let Some(agent) = self.agents.iter_mut().find(|agent| agent.address() == to) {
            agent.on_message(&String::from_utf8_lossy(&bytes), from, self.now - self.start);
        }
        self.collect();
    }

    /// Puts what everybody wants sent on the wire.
    fn collect(&mut self) {
        for (flow, bytes) in std::mem::take(&mut self.bridge.world.sent) {
            let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
            self.from_bridge.push((self.now - self.start, flow.remote, line));
            self.emitted.push(bytes.clone());
            self.put(BRIDGE, flow.remote, bytes);
        }
        let sent: Vec<_> = self.agents.iter_mut().flat_map(|agent| agent.take_sent()).collect();
        for (from, to, text) in sent {
            self.put(from, to, Bytes::from(text));
        }
    }

    fn put(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        if self.rng.random_range(0..100) < self.weather.lost {
            return;
        }
        let copies = if self.rng.random_range(0..100) < self.weather.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let (least, most) = self.weather.delay_ms;
            let at = self.now + Duration::from_millis(self.rng.random_range(least..=most));
            self.sequence += 1;
            self.wire.insert((at, self.sequence), Datagram { from, to, bytes: bytes.clone() });
        }
    }
}

/// The world of the bridge: what it sends and holds.
#[derive(Default)]
pub(crate) struct FakeWorld {
    sent: Vec<(Flow, Bytes)>,
    pub(crate) ports: HashMap<CallId, u16>,
    pub(crate) views: HashSet<CallId>,
    pub(crate) records: Vec<Record>,
    /// What the relay was last told of each side.
    pub(crate) legs: HashMap<(CallId, Side), LegMedia>,
    /// Packets that seem to have come from callers.
    pub(crate) packets_from_caller: u64,
    pub(crate) closed: Vec<ConnectionId>,
    next_port: u16,
    /// No media ports are left.
    pub(crate) exhausted: bool,
}

impl World for FakeWorld {
    fn local(&mut self, transport: Transport, _remote: SocketAddr) -> Option<Local> {
        (transport == Transport::Udp).then(local)
    }

    fn local_of(&mut self, _flow: &Flow) -> Option<Local> {
        Some(local())
    }

    fn send(&mut self, flow: &Flow, bytes: Bytes, _client: Option<ClientTx>, _timeout: Option<Duration>) {
        self.sent.push((*flow, bytes));
    }

    fn recognise(&mut self, _connection: ConnectionId) {}

    fn stands(&self, _connection: ConnectionId) -> bool {
        true
    }

    fn close(&mut self, connection: ConnectionId) {
        self.closed.push(connection);
    }

    fn look_up(&mut self, uri: Uri, _waiting: Waiting) {
        panic!("a name was to be looked up: {uri}");
    }

    fn reserve(&mut self, call: CallId, _caller: IpAddr, _callee: IpAddr) -> Result<Reserved, String> {
        if self.exhausted {
            return Err("media port range exhausted".into());
        }
        let port = 20_000 + self.next_port % 10_000;
        self.next_port = self.next_port.wrapping_add(4);
        self.ports.insert(call, port);
        let at = |port| SocketAddr::from(([203, 0, 113, 10], port));
        Ok(Reserved { caller: at(port), callee: at(port + 2) })
    }

    fn set_leg(&mut self, call: CallId, side: Side, media: LegMedia) {
        self.legs.insert((call, side), media);
    }

    fn clear_leg(&mut self, call: CallId, side: Side) {
        self.legs.remove(&(call, side));
    }

    fn answered(&mut self, _call: CallId) {}

    fn set_held(&mut self, _call: CallId, _side: Side, _held: bool) {}

    fn stats(&self, _call: CallId) -> Option<[LegStats; 2]> {
        let caller = LegStats { packets_received: self.packets_from_caller, ..LegStats::default() };
        Some([caller, LegStats::default()])
    }

    fn release(&mut self, call: CallId) {
        self.ports.remove(&call);
    }

    fn show(&mut self, view: View) {
        self.views.insert(view.id);
    }

    fn hide(&mut self, call: CallId) {
        self.views.remove(&call);
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }
}

fn local() -> Local {
    Local { listener: ListenerId(0), sent_by: BRIDGE.to_string(), ip: BRIDGE.ip() }
}

/// Where the bridge listens.
pub(crate) const BRIDGE: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10)), 5060);

/// Asserts that nothing of any call is left.
pub(crate) fn assert_nothing_left(network: &Network) {
    assert_eq!(network.bridge.standing(), trunkline::server::Standing::default());
    assert!(network.bridge.world.ports.is_empty(), "ports are left");
    assert!(network.bridge.world.views.is_empty(), "views are left");
    assert_eq!(network.bridge.next_deadline(), None, "a timer is left");
}

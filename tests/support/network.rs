//! A simulated network under a virtual clock: seeded loss, delay, duplication and reordering of datagrams,
//! the real bridge in the middle, scripted user agents around it.
//!
//! Time jumps to whoever's deadline is next, so a minute of ringing costs nothing and nothing sleeps.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use trunkline::call::Settings;
use trunkline::id::Ids;
use trunkline::routing::Routes;
use trunkline::server::{Bridge, Parts};
use trunkline::sip::flow::{Flow, ListenerId, Transport};
use trunkline::sip::message::Limits;

use super::agents::{Agent, Outgoing};
use super::world::FakeWorld;

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
    /// Every message that the bridge sent, in order.
    pub(crate) emitted: Vec<Emitted>,
    /// Every message that it received.
    pub(crate) heard: Vec<Heard>,
}

/// A message that left the bridge.
#[derive(Clone, Debug)]
pub(crate) struct Emitted {
    /// Since the start.
    pub(crate) after: Duration,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Bytes,
}

impl Emitted {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the tests' own peers write UTF-8")
    }
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
        if self.next().is_some() {
            self.now = end;
        }
    }

    /// As [`Self::run`], and this much time passes even if nothing happens in it.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(time);
        self.now = end;
    }

    /// Puts a message to the bridge on the wire, as if `from` had sent it.
    pub(crate) fn say(&mut self, from: SocketAddr, text: &str) {
        self.put(from, BRIDGE, Bytes::copy_from_slice(text.as_bytes()));
    }

    /// What `agent` has received.
    pub(crate) fn messages(&self, agent: usize) -> &[String] {
        self.agents[agent].messages()
    }

    /// The messages that `agent` has received and that begin so.
    pub(crate) fn received(&self, agent: usize, start: &str) -> Vec<&str> {
        let messages = self.messages(agent).iter().map(String::as_str);
        messages.filter(|text| text.starts_with(start)).collect()
    }

    /// When the bridge sent messages that begin so.
    pub(crate) fn sent_at(&self, start: &str) -> Vec<Duration> {
        let sent = self.emitted.iter().filter(|emitted| emitted.bytes.starts_with(start.as_bytes()));
        sent.map(|emitted| emitted.after).collect()
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
            let flow = Flow {
                transport: Transport::Udp,
                listener: ListenerId(0),
                remote: from,
                connection: None,
                domain: None,
            };
            self.heard.push(Heard { after: self.elapsed(), flow, bytes: bytes.clone() });
            self.bridge.on_message(bytes, flow);
        } else if let Some(agent) = self.agents.iter_mut().find(|agent| agent.address() == to) {
            agent.on_message(&String::from_utf8_lossy(&bytes), from, self.now - self.start);
        }
        self.collect();
    }

    /// Puts what everybody wants sent on the wire.
    fn collect(&mut self) {
        for (flow, bytes) in std::mem::take(&mut self.bridge.world.sent) {
            self.emitted.push(Emitted { after: self.elapsed(), to: flow.remote, bytes: bytes.clone() });
            self.put(BRIDGE, flow.remote, bytes);
        }
        let sent: Vec<_> = self.agents.iter_mut().flat_map(|agent| agent.take_sent()).collect();
        for Outgoing { from, to, text } in sent {
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

//! Both far ends of every call: sends at a rate, and knows each packet again that comes back.
//!
//! What is counted as lost may have been lost here, so the generator keeps an account of itself: of what it
//! did not come to send, and of what reached its CPU and found no room.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::Load;
use super::frame::{Arrived, Frame, Mac, Stamp};
use super::meter::{Cpu, Latencies, Measured, dropped_before_us};
use super::wire::{BATCH, Wire};

/// The far ends of every flow through the relay.
pub(crate) struct Far {
    wire: Wire,
    ports: [u16; 2],
    /// In the order in which they send: shuffled, as calls begin when they like.
    flows: Vec<Flow>,
    /// Where in `flows` each is, by its number.
    places: Vec<u32>,
    turn: usize,
    origin: Instant,
    counts: Counts,
    latencies: Latencies,
}

/// One direction of one call: flow 2i is from A, 2i + 1 from B.
struct Flow {
    frame: Frame,
    number: u32,
    /// The relay's port from which the other end gets it.
    from: u16,
    sent: u64,
    highest: u64,
}

/// What became of packets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) misrouted: u64,
    pub(crate) doubled: u64,
}

impl Far {
    /// # Errors
    ///
    /// The device can't be opened, or there are no pairs.
    pub(crate) fn open(load: &Load) -> Result<Self, Box<dyn Error>> {
        let relay_mac = parse_mac(&load.relay_mac).ok_or_else(|| {
            format!("--relay-mac {}: write six bytes, such as 02:00:00:00:00:02", load.relay_mac)
        })?;
        let ports = [load.ports[0], load.ports[1]];
        let pairs = fs::read_to_string(&load.pairs).map_err(|error| format!("{:?}: {error}", load.pairs))?;
        let mut flows = Vec::new();
        for line in pairs.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [ip, a, b] = words[..] else { return Err(format!("no pair: {line}").into()) };
            let (ip, a, b): (Ipv4Addr, u16, u16) = (ip.parse()?, a.parse()?, b.parse()?);
            for (port, to, from) in [(ports[0], a, b), (ports[1], b, a)] {
                let (local, relay) = (SocketAddrV4::new(load.local, port), SocketAddrV4::new(ip, to));
                let (frame, number) = (Frame::new(relay_mac, local, relay), flows.len() as u32);
                flows.push(Flow { frame, number, from, sent: 0, highest: 0 });
            }
        }
        if flows.is_empty() {
            return Err(format!("{:?} has no pairs", load.pairs).into());
        }
        shuffle(&mut flows);
        let mut places = vec![0; flows.len()];
        for (place, flow) in flows.iter().enumerate() {
            places[flow.number as usize] = place as u32;
        }
        let wire = Wire::open(&load.device).map_err(|error| format!("device {}: {error}", load.device))?;
        Ok(Self {
            wire,
            ports,
            flows,
            places,
            turn: 0,
            origin: Instant::now(),
            counts: Counts::default(),
            latencies: Latencies::default(),
        })
    }

    pub(crate) fn calls(&self) -> usize {
        self.flows.len() / 2
    }

    /// 20 ms packets, each way.
    pub(crate) fn real_rate(&self) -> f64 {
        self.flows.len() as f64 * 50.0
    }

    /// Has every flow heard from, with packets far enough apart that they are a stream: relays that learn
    /// where their peers are don't take a burst for one.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(crate) fn make_known(&mut self) -> io::Result<()> {
        self.run(self.flows.len() as f64 * 10.0, 0.6).map(drop)
    }

    /// Measures `rate` packets a second, all flows together, after a moment to get going.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(crate) fn measure(&mut self, rate: f64, load: &Load) -> io::Result<Measured> {
        self.run(rate, GET_GOING)?;
        self.latencies = Latencies::default();
        self.counts = Counts::default();
        self.wire.take_lost()?;
        let (before, dropped) = (Cpu::read(load.watch), dropped_before_us());
        let seconds = self.run(rate, load.seconds)?;
        let cpu = Cpu::read(load.watch).since(&before);
        let lost_here = self.wire.take_lost()? + dropped_before_us().saturating_sub(dropped);
        let latencies = std::mem::take(&mut self.latencies);
        Ok(Measured { rate, seconds, counts: self.counts, lost_here, latencies, cpu })
    }

    /// Sends at `rate` for `seconds`, then takes what is still under way; returns how long sending took.
    fn run(&mut self, rate: f64, seconds: f64) -> io::Result<f64> {
        let started = Instant::now();
        let (mut considered, mut last) = (0.0, 0.0);
        loop {
            let elapsed = started.elapsed().as_secs_f64();
            if elapsed >= seconds {
                break;
            }
            let owed = elapsed * rate - considered;
            if owed >= BATCH as f64 || elapsed - last >= TICK && owed >= 1.0 {
                last = elapsed;
                let most = rate * CATCH_UP + BATCH as f64;
                considered += (owed - most).max(0.0);
                considered += self.send((owed as usize).min(BATCH))? as f64;
            }
            self.receive();
        }
        let took = started.elapsed();
        let (mut quiet, mut received) = (Instant::now(), self.counts.received);
        while quiet.elapsed() < LINGER && started.elapsed() < took + LONGEST_LINGER {
            self.receive();
            if self.counts.received != received {
                (quiet, received) = (Instant::now(), self.counts.received);
            }
        }
        Ok(took.as_secs_f64())
    }

    /// Sends a packet of each of the next `count` flows, or up to the last one; returns how many that are.
    fn send(&mut self, count: usize) -> io::Result<usize> {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        let count = count.min(self.flows.len() - self.turn);
        let flows = &mut self.flows[self.turn..self.turn + count];
        for flow in &mut *flows {
            flow.sent += 1;
            flow.frame.stamp(&Stamp { flow: flow.number, number: flow.sent, nanos });
        }
        self.counts.sent += self.wire.send(flows.iter().map(|flow| flow.frame.bytes()))?;
        self.turn = (self.turn + count) % self.flows.len();
        Ok(count)
    }

    /// Takes what has arrived.
    fn receive(&mut self) {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        let Self { wire, ports, flows, places, counts, latencies, .. } = self;
        wire.receive(|frame| {
            let Some(arrived) = Arrived::read(frame) else { return };
            let Stamp { flow, number, nanos: sent } = arrived.stamp;
            let place = places.get(flow as usize);
            let Some(known) = place.and_then(|&place| flows.get_mut(place as usize)) else { return };
            let other_end = ports[1 - flow as usize % 2];
            if arrived.source_port != known.from || arrived.destination_port != other_end {
                counts.misrouted += 1;
            } else if number == known.highest {
                counts.doubled += 1;
            } else {
                known.highest = known.highest.max(number);
                counts.received += 1;
                latencies.add(nanos.saturating_sub(sent));
            }
        });
    }
}

fn parse_mac(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// Out of order, and always in the same one.
fn shuffle(flows: &mut [Flow]) {
    let mut state = 7_u64;
    for place in (1..flows.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        flows.swap(place, (state >> 33) as usize % (place + 1));
    }
}

/// Seconds at a new rate before anything is counted.
const GET_GOING: f64 = 0.1;
/// Seconds after which less than a batch is sent.
const TICK: f64 = 0.000_1;
/// Seconds that are made up for after a pause: whoever let us wait is not to make a burst of it.
const CATCH_UP: f64 = 0.004;
const LINGER: Duration = Duration::from_millis(60);
const LONGEST_LINGER: Duration = Duration::from_secs(2);

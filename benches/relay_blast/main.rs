//! A load generator and meter for any RTP relay: paces packets through its ports, or
//! looks for the rate it bears.
//!
//! Call i has two far ends, both at `--local`: A sends to A_PORT and B must get it from B_PORT, and the other
//! way round. Every payload says which flow it belongs to, its number, and when it was sent, so a packet that
//! is lost, doubled or comes to the wrong end is told from one that is late. Everything happens on one thread
//! that never sleeps: keep it on a CPU of its own.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use socket2::SockRef;

mod meter;
mod ng;

use meter::{Cpu, Latencies, Measured};

#[derive(Parser)]
#[command(about = "Sends RTP through a relay and measures what comes out")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What `cargo bench` adds
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Sends 50 packets a second each way for every call
    Paced(Load),
    /// Looks for the highest rate at which fewer than 0.1 % are lost
    Max(Load),
    /// Sets calls up in an rtpengine by its ng protocol, and writes the pairs file
    Ng(ng::Arguments),
}

#[derive(Parser, Clone)]
struct Load {
    /// A line for each call: RELAY_IP A_PORT B_PORT
    #[arg(long)]
    pairs: PathBuf,
    /// Our address
    #[arg(long)]
    local: IpAddr,
    /// Our ports: A's, then B's
    #[arg(long, num_args = 2, default_values_t = [40_000, 45_000])]
    ports: Vec<u16>,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The process whose CPU time is divided by the packets
    #[arg(long)]
    watch: Option<u32>,
    /// Copied to the output
    #[arg(long, default_value = "relay")]
    label: String,
}

/// The sockets of both ends and every flow through the relay.
struct Far {
    ends: [UdpSocket; 2],
    flows: Vec<Flow>,
    /// The order in which flows send: shuffled, as calls begin when they like.
    order: Vec<u32>,
    turn: usize,
    origin: Instant,
    packet: [u8; PACKET],
    latencies: Latencies,
    sent: u64,
    received: u64,
    misrouted: u64,
    doubled: u64,
}

/// One direction of one call: flow 2i is from A, 2i + 1 from B.
struct Flow {
    relay: SocketAddr,
    /// The port from which the other end gets it.
    from: u16,
    sent: u64,
    highest: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => {
            println!("relay_blast measures RTP relays: see --help, and benches/relay_load/compare.sh");
            Ok(())
        }
        Some(Command::Ng(arguments)) => ng::set_up(&arguments),
        Some(Command::Paced(load)) => paced(&load),
        Some(Command::Max(load)) => max(&load),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay_blast: {error}");
            ExitCode::FAILURE
        }
    }
}

fn paced(load: &Load) -> Result<(), Box<dyn Error>> {
    let mut far = Far::open(load)?;
    let rate = far.flows.len() as f64 * 50.0;
    far.run(rate, 1.0)?;
    let measured = far.measure(rate, load)?;
    println!("{}", measured.json(&load.label, far.flows.len() / 2));
    Ok(())
}

/// Raises the rate until packets are lost, then halves the interval down to 5 %.
fn max(load: &Load) -> Result<(), Box<dyn Error>> {
    let mut far = Far::open(load)?;
    far.run((far.flows.len() as f64).min(4_000.0), 1.5)?;
    let (mut good, mut bad, mut best) = (0.0, f64::INFINITY, None::<Measured>);
    let mut rate = LOWEST_RATE;
    while bad.is_infinite() || bad - good > 0.05 * good {
        let mut measured = far.measure(rate, load)?;
        for _ in 0..RETRIES {
            if measured.is_good(rate) {
                break;
            }
            measured = far.measure(rate, load)?;
        }
        if measured.is_good(rate) {
            good = rate;
            best = Some(measured);
        } else {
            bad = rate;
        }
        if bad < LOWEST_RATE / 8.0 {
            return Err("even the lowest rate loses packets".into());
        }
        rate = match (good > 0.0, bad.is_finite()) {
            (true, true) => (good + bad) / 2.0,
            (true, false) => rate * 1.35,
            (false, _) => rate / 2.0,
        };
    }
    let best = best.ok_or("no rate was borne")?;
    println!("{}", best.json(&load.label, far.flows.len() / 2));
    Ok(())
}

impl Far {
    fn open(load: &Load) -> Result<Self, Box<dyn Error>> {
        let [a, b] = [0, 1].map(|side| end(SocketAddr::new(load.local, load.ports[side])));
        let mut flows = Vec::new();
        let pairs = fs::read_to_string(&load.pairs).map_err(|error| format!("{:?}: {error}", load.pairs))?;
        for line in pairs.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [ip, a, b] = words[..] else { return Err(format!("no pair: {line}").into()) };
            let (ip, a, b): (IpAddr, u16, u16) = (ip.parse()?, a.parse()?, b.parse()?);
            for (to, from) in [(a, b), (b, a)] {
                flows.push(Flow { relay: SocketAddr::new(ip, to), from, sent: 0, highest: 0 });
            }
        }
        let mut packet = [0xFF; PACKET];
        packet[..2].copy_from_slice(&[0x80, 0]);
        Ok(Self {
            ends: [a?, b?],
            order: shuffled(flows.len() as u32),
            flows,
            turn: 0,
            origin: Instant::now(),
            packet,
            latencies: Latencies::default(),
            sent: 0,
            received: 0,
            misrouted: 0,
            doubled: 0,
        })
    }

    /// Measures `rate` packets a second, all flows together, after a moment to get going.
    fn measure(&mut self, rate: f64, load: &Load) -> io::Result<Measured> {
        self.run(rate, 0.2)?;
        self.latencies = Latencies::default();
        (self.sent, self.received, self.misrouted, self.doubled) = (0, 0, 0, 0);
        let before = Cpu::read(load.watch);
        let seconds = self.run(rate, load.seconds)?;
        let cpu = Cpu::read(load.watch).since(&before);
        let Self { sent, received, misrouted, doubled, .. } = *self;
        let latencies = std::mem::take(&mut self.latencies);
        Ok(Measured { seconds, sent, received, misrouted, doubled, latencies, cpu })
    }

    /// Sends at `rate` for `seconds`, then takes what is still under way; returns how long sending took.
    fn run(&mut self, rate: f64, seconds: f64) -> io::Result<f64> {
        let started = Instant::now();
        let mut sent = 0_u64;
        loop {
            let elapsed = started.elapsed().as_secs_f64();
            if elapsed >= seconds {
                break;
            }
            let due = (elapsed * rate) as u64;
            for _ in 0..due.saturating_sub(sent).min(BURST) {
                self.send()?;
                sent += 1;
            }
            self.receive()?;
        }
        let took = started.elapsed();
        let mut quiet = Instant::now();
        while quiet.elapsed() < LINGER {
            if self.receive()? > 0 {
                quiet = Instant::now();
            }
        }
        Ok(took.as_secs_f64())
    }

    fn send(&mut self) -> io::Result<()> {
        let index = self.order[self.turn];
        self.turn = (self.turn + 1) % self.order.len();
        let flow = &mut self.flows[index as usize];
        flow.sent += 1;
        let nanos = self.origin.elapsed().as_nanos() as u64;
        let packet = &mut self.packet;
        packet[2..4].copy_from_slice(&(flow.sent as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(flow.sent as u32).wrapping_mul(160).to_be_bytes());
        packet[8..12].copy_from_slice(&(0x1000_0000 + index).to_be_bytes());
        packet[12..16].copy_from_slice(&MAGIC.to_be_bytes());
        packet[16..20].copy_from_slice(&index.to_be_bytes());
        packet[20..28].copy_from_slice(&flow.sent.to_be_bytes());
        packet[28..36].copy_from_slice(&nanos.to_be_bytes());
        match self.ends[(index % 2) as usize].send_to(packet, flow.relay) {
            Ok(_) => self.sent += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes what has arrived, a bounded number; returns how many of the packets sent here were among it: the
    /// silence that a relay fills pauses with never ends.
    fn receive(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        let mut buffer = [0; 2_048];
        for side in 0..2 {
            for _ in 0..BURST {
                match self.ends[side].recv_from(&mut buffer) {
                    Ok((length, source)) => {
                        taken += u64::from(self.arrived(side as u32, &buffer[..length], source));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(taken)
    }

    /// False for what was not sent here.
    fn arrived(&mut self, side: u32, packet: &[u8], source: SocketAddr) -> bool {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        let word =
            |at: usize| packet.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        if word(12) != MAGIC {
            // Silence that fills a gap, or a report.
            return false;
        }
        let (index, number) = (word(16), long(20));
        let Some(flow) = self.flows.get_mut(index as usize) else { return false };
        if index % 2 == side || source.port() != flow.from {
            self.misrouted += 1;
        } else if number == flow.highest {
            self.doubled += 1;
        } else {
            flow.highest = flow.highest.max(number);
            self.received += 1;
            self.latencies.add(nanos.saturating_sub(long(28)));
        }
        true
    }
}

fn end(address: SocketAddr) -> Result<UdpSocket, Box<dyn Error>> {
    let socket = UdpSocket::bind(address).map_err(|error| format!("{address}: {error}"))?;
    socket.set_nonblocking(true)?;
    // Of root alone the first is obeyed in full; the second goes up to net.core.rmem_max.
    #[cfg(target_os = "linux")]
    {
        SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
        SockRef::from(&socket).set_send_buffer_size(BUFFER)?;
    }
    Ok(socket)
}

/// The numbers below `count`, out of order and always in the same one.
fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 7_u64;
    for place in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(place, (state >> 33) as usize % (place + 1));
    }
    order
}

/// A header and 20 ms of G.711.
const PACKET: usize = 172;
const MAGIC: u32 = 0x5452_4B4C;
const BUFFER: usize = 16 << 20;
const BURST: u64 = 64;
const LINGER: Duration = Duration::from_millis(100);
const LOWEST_RATE: f64 = 40_000.0;
const RETRIES: u32 = 2;

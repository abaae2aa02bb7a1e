//! N calls in the media engine without SIP, for any load generator to drive.
//!
//! Opens the calls, writes the ports to send to, and runs until its input closes. Both legs have what a
//! real call has: latching, statistics, filling, and RTCP on the trunk's side. `compare.sh` beside it
//! measures it against rtpengine.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use trunkline::id::CallId;
use trunkline::media::{Config, Engine, LegMedia, Rtcp, Side, raise_file_limit};

#[derive(Parser)]
#[command(about = "Holds N calls in trunkline's media engine, without SIP, until its input closes")]
#[command(
    after_help = "Example: relay_load --calls 500 --listen 198.18.0.2 --peer 198.18.0.1:40000:45000 --pairs \
                  pairs.txt"
)]
struct Arguments {
    /// Calls to open
    #[arg(long)]
    calls: u32,
    /// Local address for RTP
    #[arg(long)]
    listen: IpAddr,
    /// Where both far ends are: A is the trunk's leg, B is Retell's
    #[arg(long, value_name = "IP:PORT_A:PORT_B", value_parser = Peer::parse)]
    peer: Peer,
    /// Ports a side that the far ends use: call i has PORT_A + i mod N and PORT_B + i mod N
    #[arg(long, value_name = "N", default_value_t = 1)]
    peer_ports: u16,
    /// Written when all calls are ready, a line for each: RELAY_IP A_PORT B_PORT
    #[arg(long)]
    pairs: PathBuf,
    /// Relay threads; 0 is one for each CPU of the set this process was started on
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// Milliseconds without a packet before silence is sent in its place; 0 is never. Generators pause
    /// between their steps, with clocks that stand still: what they send next would be late behind
    /// silence, so this is longer than such a pause
    #[arg(long, default_value_t = 3_000)]
    fill_ms: u32,
    /// Other calls that begin and end every second until the input closes
    #[arg(long, value_name = "CALLS", default_value_t = 0)]
    churn: u32,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// The two far ends.
#[derive(Clone, Copy)]
struct Peer {
    ip: IpAddr,
    ports: [u16; 2],
}

fn main() -> ExitCode {
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        println!("relay_load holds calls for a load generator: see --help, and compare.sh beside its source");
        return ExitCode::SUCCESS;
    }
    match hold(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let _ = raise_file_limit();
    let config = Config {
        listen: vec![arguments.listen],
        ports: PORTS,
        silence_timeout_s: 0,
        threads: arguments.threads,
        ..Config::default()
    };
    let mut engine = Engine::start(&config, Arc::new(|_| ()))?;
    let mut pairs = String::new();
    for n in 0..arguments.calls {
        let [a, b] = open(&mut engine, n, arguments)?;
        writeln!(pairs, "{} {} {}", a.ip(), a.port(), b.port())?;
    }
    std::fs::write(&arguments.pairs, pairs)?;
    eprintln!("relay_load: {} calls on {} threads", arguments.calls, engine.threads());
    let closed = thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink()));
    if arguments.churn > 0 {
        churn(&mut engine, arguments, || closed.is_finished())?;
    }
    closed.join().map_err(|_| "reading the input panicked")??;
    let totals = engine.packet_totals();
    let dropped = totals.dropped.iter().filter(|(_, count)| *count > 0);
    let dropped: Vec<_> = dropped.map(|(reason, count)| format!("{} {count}", reason.name())).collect();
    eprintln!(
        "relay_load: {} relayed, {} errors, dropped: {}",
        totals.relayed,
        totals.errors,
        dropped.join(", ")
    );
    Ok(())
}

/// Begins calls at their rate, and ends each when a tenth of a second's worth are up.
fn churn(
    engine: &mut Engine,
    arguments: &Arguments,
    is_over: impl Fn() -> bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let (mut begun, mut slowest, mut up) = (0, Duration::ZERO, VecDeque::new());
    while !is_over() {
        while f64::from(begun) < started.elapsed().as_secs_f64() * f64::from(arguments.churn) {
            let (n, before) = (arguments.calls + begun, Instant::now());
            open(engine, n, arguments)?;
            up.push_back(n);
            if up.len() > arguments.churn as usize / 10 {
                up.pop_front().into_iter().for_each(|n| engine.release(id(n)));
            }
            slowest = slowest.max(before.elapsed());
            begun += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let a_second = f64::from(begun) / started.elapsed().as_secs_f64();
    eprintln!("relay_load: {begun} other calls, {a_second:.0} a second; the slowest took {slowest:?}");
    Ok(())
}

/// Opens one call; returns where its far ends are to send.
fn open(
    engine: &mut Engine,
    n: u32,
    arguments: &Arguments,
) -> Result<[SocketAddr; 2], Box<dyn std::error::Error>> {
    let (call, Peer { ip, ports }) = (id(n), arguments.peer);
    let reserved = engine.reserve(call, ip, ip)?;
    let step = (n % u32::from(arguments.peer_ports.max(1))) as u16;
    for (side, port, rtcp) in
        [(Side::Caller, ports[0], Rtcp::Separate), (Side::Callee, ports[1], Rtcp::Never)]
    {
        let remote = SocketAddr::new(ip, port + step);
        let media = LegMedia { rtcp, fill_ms: arguments.fill_ms, ..LegMedia::new(remote, PCMU) };
        engine.set_leg(call, side, media);
    }
    engine.answered(call);
    Ok([reserved.caller, reserved.callee])
}

fn id(n: u32) -> CallId {
    CallId(u64::from(n) + 1)
}

impl Peer {
    fn parse(text: &str) -> Result<Self, String> {
        let instead = "write IP:PORT_A:PORT_B, such as 198.18.0.1:40000:45000";
        let mut parts = text.rsplitn(3, ':');
        let (b, a, ip) = (parts.next(), parts.next(), parts.next());
        let port = |part: Option<&str>| part?.parse().ok();
        let ip = ip.and_then(|ip| ip.trim_matches(['[', ']']).parse().ok());
        match (ip, port(a), port(b)) {
            (Some(ip), Some(a), Some(b)) => Ok(Self { ip, ports: [a, b] }),
            _ => Err(instead.to_owned()),
        }
    }
}

const PCMU: u8 = 0;
const PORTS: [u16; 2] = [2_048, 65_535];

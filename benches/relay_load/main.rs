//! N calls in the media engine without SIP, for any load generator to drive.
//!
//! Opens the calls, writes the ports to send to, and runs until its input closes. Both legs have what a
//! real call has: latching, statistics, filling, and RTCP on the trunk's side. `compare.sh` beside it
//! measures it against rtpengine.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

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
    io::copy(&mut io::stdin(), &mut io::sink())?;
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

/// Opens one call; returns where its far ends are to send.
fn open(
    engine: &mut Engine,
    n: u32,
    arguments: &Arguments,
) -> Result<[SocketAddr; 2], Box<dyn std::error::Error>> {
    let (call, Peer { ip, ports }) = (CallId(u64::from(n) + 1), arguments.peer);
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

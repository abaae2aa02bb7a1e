//! `trunkline demo`: the simulated carrier and Retell endpoint, the real bridge between
//! them, and what came of it.
//!
//! The bridge gets the configuration that a user would write, made in memory, and is reached through sockets
//! only; so a good demonstration says as much about this machine as about trunkline.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::api;
use crate::config::Config;
use crate::config::reader::Secret;
use crate::media;
use crate::routing::config::{
    CalledNumber, CallerId, Dialling, ForeignCaller, OwnHeaders, PeerConfig, PeerMedia, PoolConfig, Preset,
    Profile, RegisterConfig, RetellConfig, Spelling, TrunkConfig,
};
use crate::server::{self, Running};
use crate::sim::demo::{Bridge, CARRIER, FarEnds, RETELL};
use crate::sip::flow::Transport;
use crate::sip::uri::{Host, Uri};
use crate::transport;
use crate::transport::config::Listen;

/// Arguments of `trunkline demo`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Calls at once, every second one from Retell to the carrier
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MOST_CALLS))]
    calls: u32,
    /// Print one JSON object instead of the ladder and the table
    #[arg(long)]
    json: bool,
}

/// Why no call could even be tried.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(
        "the simulated far ends need sockets on {CARRIER} and {RETELL}: {0}; all of 127.0.0.0/8 must be local"
    )]
    FarEnds(io::Error),
    #[error("no {ports} free UDP ports in a row on 127.0.0.1 for the audio; ask for fewer calls")]
    Ports { ports: u16 },
    #[error(
        "{calls} calls need {needed} open files and {limit} are allowed; ask for fewer, or raise ulimit -Hn"
    )]
    Files { calls: u32, needed: u64, limit: u64 },
    #[error("the bridge did not start: {0}")]
    Start(#[from] server::RunError),
    #[error("the bridge does not listen by {}", .0.via())]
    Listener(Transport),
}

pub(super) fn run(args: &Args) -> ExitCode {
    match demonstrate(args) {
        Ok(code) => code,
        Err(error) => {
            output::complain(format_args!("trunkline: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(args: &Args) -> Result<ExitCode, DemoError> {
    let (needed, limit) =
        (FILES_PER_CALL * u64::from(args.calls) + FILES_FOR_THE_REST, media::raise_file_limit().now);
    if limit < needed {
        return Err(DemoError::Files { calls: args.calls, needed, limit });
    }
    let ends = FarEnds::bind().map_err(DemoError::FarEnds)?;
    let running = server::start(configuration(&ends, args.calls)?)?;
    let report = match bridge(&running) {
        Ok(bridge) => {
            let progress = progress(args.calls);
            let report = ends.run(args.calls as usize, bridge, || progress.inc(1));
            progress.finish_and_clear();
            Ok(report)
        }
        Err(error) => Err(error),
    };
    ends.attend(|| running.stop());
    let report = report?;
    let text = if args.json {
        serde_json::to_string(report.summary()).expect("numbers and strings serialize") + "\n"
    } else {
        report.to_string()
    };
    let code = if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let code = output::finish(&text, code);
    if !report.is_good() {
        let failed = report.summary().failed.len();
        let calls = args.calls;
        output::complain(format_args!(
            "trunkline: {failed} of {calls} calls failed; each reason is given above"
        ));
    }
    Ok(code)
}

fn bridge(running: &Running) -> Result<Bridge, DemoError> {
    let address = |transport| running.sip_address(transport).ok_or(DemoError::Listener(transport));
    Ok(Bridge { udp: address(Transport::Udp)?, tcp: address(Transport::Tcp)? })
}

/// What a user would write for these two far ends; everything else at its default.
fn configuration(ends: &FarEnds, calls: u32) -> Result<Config, DemoError> {
    let mut config = Config::default();
    let free = SocketAddr::from((BRIDGE, 0));
    config.sip = transport::config::Config {
        listen: [Transport::Udp, Transport::Tcp]
            .map(|transport| Listen { transport, address: free })
            .to_vec(),
        ..config.sip
    };
    config.media = media::Config { listen: vec![BRIDGE], ports: free_ports(calls)?, ..config.media };
    config.http = api::config::Config { listen: free, ..config.http };
    let retell = ends.retell_address();
    let credentials = ends.credentials();
    config.routing.retell = vec![RetellConfig {
        peer: PeerConfig {
            username: Some(credentials.username.clone()),
            password: Some(Secret::literal(credentials.password.clone())),
            challenge: true,
            force_rport: true,
            profile: Profile::of(Preset::Retell),
            ..peer("retell", uri(retell).with_param("transport", Some("tcp")), RETELL)
        },
        allow_emergency: false,
        dialling: Dialling::default(),
        agent_silence_s: 10,
        fallback: Vec::new(),
    }];
    config.routing.trunks = vec![TrunkConfig {
        peer: peer("carrier", uri(ends.carrier_address()), CARRIER),
        country: None,
        caller_id: CallerId::FromCall,
        foreign_caller: ForeignCaller::Keep,
        register: RegisterConfig::default(),
        provider: None,
        pool: PoolConfig::default(),
        spelling: Spelling::default(),
        headers: OwnHeaders::default(),
    }];
    Ok(config)
}

fn peer(name: &str, uri: Uri, allow: IpAddr) -> PeerConfig {
    PeerConfig {
        media: PeerMedia::default(),
        max_calls: 0,
        calls_per_second: 0,
        calls_per_hour: 0,
        minutes_per_hour: 0,
        queue_s: 5,
        options_s: 0,
        interface: None,
        name: name.to_owned(),
        uris: vec![uri],
        allow: vec![allow.into()],
        username: None,
        password: None,
        challenge: false,
        answer_timeout_s: 60,
        trust_address: false,
        force_rport: false,
        tcp_for_large: true,
        tls_name: None,
        tls_ca: None,
        called_number: CalledNumber::RequestUri,
        profile: Profile::of(Preset::Standard),
    }
}

fn uri(address: SocketAddr) -> Uri {
    Uri::sip(None, Host::Ip(address.ip()), Some(address.port()))
}

/// Four ports for each call, below the range that the system itself gives out.
fn free_ports(calls: u32) -> Result<[u16; 2], DemoError> {
    let ports = u16::try_from(calls * 4).unwrap_or(u16::MAX).max(64);
    let last = |first: u16| first.checked_add(ports - 1);
    let free = |port: u16| UdpSocket::bind((BRIDGE, port)).is_ok();
    (10_000..u16::MAX)
        .step_by(500)
        .filter_map(|first| last(first).map(|last| [first, last]))
        .find(|[first, last]| (*first..=*last).all(free))
        .ok_or(DemoError::Ports { ports })
}

/// A bar on standard error, while that is a terminal.
fn progress(calls: u32) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {pos} of {len} calls done").expect("the template is ours");
    ProgressBar::new(u64::from(calls)).with_style(style)
}

const BRIDGE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Four of the bridge, two of the far ends.
const FILES_PER_CALL: u64 = 6;
const FILES_FOR_THE_REST: u64 = 200;
/// As many as fit into the ports of one address.
const MOST_CALLS: i64 = 10_000;

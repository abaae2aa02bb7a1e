//! A load generator and meter for any RTP relay: paces packets through its ports, or looks for the rate it
//! bears.
//!
//! Call i has two far ends, both at `--local`: A sends to A_PORT and B must get it from B_PORT, and the other
//! way round. Neither has a network stack: their packets are written to and read from `--device`, at whose
//! other end the relay takes `--local` for a neighbour whose Ethernet address no device has. Everything
//! happens on one thread that never sleeps: keep it on a CPU of its own, which also has the receive path of
//! that device. A rate that the generator did not reach says nothing of the relay: `limited_by` tells.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod far;
mod frame;
mod meter;
mod ng;
mod wire;

use far::Far;
use meter::{Limit, Measured};

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
    /// Sends at one rate
    Paced {
        #[command(flatten)]
        load: Load,
        /// Packets a second, all calls together [default: 50 each way for every call]
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Looks for the highest rate at which fewer than 0.1 % are lost and the p99 stays under 40 ms
    Max(Load),
    /// Sets calls up in an rtpengine by its ng protocol, and writes the pairs file
    Ng(ng::Arguments),
}

#[derive(Parser, Clone)]
struct Load {
    /// A line for each call: RELAY_IP A_PORT B_PORT
    #[arg(long)]
    pairs: PathBuf,
    /// The far ends' address
    #[arg(long)]
    local: Ipv4Addr,
    /// The network device at whose other end the relay is
    #[arg(long)]
    device: String,
    /// The relay's Ethernet address
    #[arg(long)]
    relay_mac: String,
    /// The far ends' ports: A's, then B's
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => {
            println!("relay_blast measures RTP relays: see --help, and benches/relay_load/compare.sh");
            Ok(())
        }
        Some(Command::Ng(arguments)) => ng::set_up(&arguments),
        Some(Command::Paced { load, rate }) => paced(&load, rate),
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

fn paced(load: &Load, rate: Option<f64>) -> Result<(), Box<dyn Error>> {
    let mut far = Far::open(load)?;
    far.make_known()?;
    let rate = rate.unwrap_or(far.real_rate());
    let measured = far.measure(rate, load)?;
    println!("{}", measured.json(&load.label, far.calls(), measured.limit()));
    Ok(())
}

/// Raises the rate until packets are lost, then halves the interval down to 5 %.
fn max(load: &Load) -> Result<(), Box<dyn Error>> {
    let mut far = Far::open(load)?;
    far.make_known()?;
    let (mut good, mut bad) = (None::<Measured>, None::<(f64, Limit)>);
    loop {
        let rate = match (&good, bad) {
            (None, None) => FIRST_RATE,
            (None, Some((bad, _))) if bad < LOWEST_RATE => {
                return Err("even the lowest rate loses packets".into());
            }
            (None, Some((bad, _))) => bad / 2.0,
            (Some(good), None) => good.rate * 1.4,
            (Some(good), Some((bad, limit))) if bad < good.rate * 1.05 => {
                println!("{}", good.json(&load.label, far.calls(), Some(limit)));
                return Ok(());
            }
            (Some(good), Some((bad, _))) => f64::midpoint(good.rate, bad),
        };
        match try_rate(&mut far, rate, load)? {
            Ok(measured) => good = Some(measured),
            Err(limit) => bad = Some((rate, limit)),
        }
    }
}

/// What was measured at `rate`, or who does not bear it: a noisy moment does not decide that.
fn try_rate(far: &mut Far, rate: f64, load: &Load) -> Result<Result<Measured, Limit>, Box<dyn Error>> {
    let mut limits = Vec::new();
    while limits.len() < TRIES {
        let measured = far.measure(rate, load)?;
        match measured.limit() {
            None => return Ok(Ok(measured)),
            Some(limit) => limits.push(limit),
        }
    }
    let by_us = limits.iter().filter(|&&limit| limit == Limit::Generator).count();
    Ok(Err(if 2 * by_us >= TRIES { Limit::Generator } else { Limit::Relay }))
}

const FIRST_RATE: f64 = 60_000.0;
const LOWEST_RATE: f64 = 5_000.0;
const TRIES: usize = 4;

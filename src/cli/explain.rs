//! `trunkline explain`: STUB; `routing` brings the real one, with the same two names.

use std::process::ExitCode;

/// Arguments of `trunkline explain`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: super::ConfigArgs,
    /// Address the call comes from
    #[arg(long, value_name = "IP")]
    source: std::net::IpAddr,
    /// Caller's number
    #[arg(long, value_name = "N")]
    from: String,
    /// Dialled number
    #[arg(long, value_name = "N")]
    to: String,
    /// Header of the INVITE, such as 'X-Account: 7'; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: &Args) -> ExitCode {
    todo!()
}

//! `trunkline demo`: STUB; `sim` brings the real one, with the same two names.

use std::process::ExitCode;

/// Arguments of `trunkline demo`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Calls at once, half of them in each direction
    #[arg(long, value_name = "N", default_value_t = 2)]
    calls: usize,
    /// Print one JSON object instead of the ladder and the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: &Args) -> ExitCode {
    todo!()
}

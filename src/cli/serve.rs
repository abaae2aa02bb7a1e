//! `trunkline serve`: reads the configuration, refuses it whole if there is a mistake, and hands it to the server.
//!
//! Mistakes go to standard error as they are, because how to log is itself configured; warnings of a configuration
//! that is served are logged by the server.

use std::process::ExitCode;

use super::{ConfigArgs, output, refuse};
use crate::config::{self, process_environment};
use crate::server;

pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    let file = &args.config;
    let loaded = match config::load(file, &process_environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(file, "served", &problems),
    };
    match server::run(loaded, file.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("trunkline: {error}"));
            ExitCode::FAILURE
        }
    }
}

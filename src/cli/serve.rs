//! `trunkline serve`: reads the configuration, refuses it whole if there is a mistake or something that it
//! needs is not there, and hands it to the server.
//!
//! Mistakes go to standard error as they are, because how to log is itself configured; warnings of a
//! configuration that is served are logged by the server.

use std::process::ExitCode;

use super::{ConfigArgs, obstacles, output, refuse};
use crate::config::reader::Problem;
use crate::config::{self, process_environment};
use crate::server;

pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    let file = &args.config;
    let loaded = match config::load(file, &process_environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(file, "served", &problems),
    };
    let obstacles: Vec<_> = obstacles(&loaded.warnings).map(Problem::unmarked).collect();
    if !obstacles.is_empty() {
        output::complain(obstacles.join("\n"));
        output::complain(format_args!("{} can't be served here as things stand", file.display()));
        return ExitCode::FAILURE;
    }
    match server::run(loaded, file.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("trunkline: {error}"));
            ExitCode::FAILURE
        }
    }
}

//! The `trunkline` command; everything is in the library.
//!
//! The process ends by returning from here, never by `exit`, so that every call's record is written first.

use std::process::ExitCode;

fn main() -> ExitCode {
    trunkline::cli::run()
}

//! What commands print, and what becomes of them when nobody can read it.
//!
//! `println!` panics where standard output is a full disk or a closed pipe, and ignoring the error
//! would end a failed command with 0; so everything a command prints goes through here, and standard
//! error never panics either.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Prints `text` and ends the command with `code`; with 1 if not all of it could be written.
pub(super) fn finish(text: &str, code: ExitCode) -> ExitCode {
    finish_with(|| io::stdout().write_all(text.as_bytes()), code)
}

/// The same for what knows how to print itself to standard output.
///
/// A reader who closed the pipe knows that, so nothing is said about it.
pub(super) fn finish_with(print: impl FnOnce() -> io::Result<()>, code: ExitCode) -> ExitCode {
    match print().and_then(|()| io::stdout().flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            complain(format_args!("trunkline: standard output can't be written: {error}; send it elsewhere"));
            ExitCode::FAILURE
        }
    }
}

/// Says one line on standard error. There is nowhere left to say that this failed.
pub(super) fn complain(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

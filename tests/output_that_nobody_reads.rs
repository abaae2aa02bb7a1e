//! Standard output that is a full disk or a closed pipe: every printing command ends with 1, and none panics.
//!
//! A closed pipe ends quietly, like other tools before `head`; a full disk is named, because
//! nobody else would say it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/process.rs"]
mod process;

use std::fs::{self, OpenOptions};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::{Net, SOON};
use tempfile::TempDir;

#[test]
fn a_command_whose_output_cannot_be_written_says_so_and_exits_with_1() {
    for arguments in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();

        let (code, said) = outcome(arguments, full.into());

        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        let cause = "trunkline: standard output can't be written: No space left on device (os error 28); \
                     send it elsewhere\n";
        assert!(said.ends_with(cause), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly_with_1() {
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);

        let (code, said) = outcome(arguments, writer.into());

        assert_eq!((code, said.as_str()), (Some(1), ""), "{arguments:?}");
    }
}

#[test]
fn a_command_that_cannot_even_complain_ends_with_its_code() {
    for (arguments, code) in
        [(&["check", "-c", "missing.toml"][..], 1), (&["serve", "-c", "missing.toml"], 1)]
    {
        let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());

        let home = home();
        let status = command(&home, arguments).stdout(full()).stderr(full()).status().unwrap();

        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_bridge_whose_log_cannot_be_written_serves_all_the_same() {
    let net = Net::new();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), net.config()).unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut bridge = command(&home, &["serve"]).stderr(full).spawn().unwrap();

    let deadline = Instant::now() + SOON;
    let is_up = || TcpStream::connect(net.http()).is_ok();
    while !is_up() && bridge.try_wait().unwrap().is_none() && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }

    assert!(is_up(), "{:?}", bridge.try_wait());
    bridge.kill().unwrap();
    bridge.wait().unwrap();
}

fn outcome(arguments: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(&home(), arguments).stdout(stdout).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A folder with a good configuration.
fn home() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), GOOD).unwrap();
    folder
}

/// With nothing in its environment.
fn command(home: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("trunkline"));
    command.args(arguments).current_dir(home.path()).env_clear().stderr(Stdio::piped());
    command
}

const PRINTING: [&[&str]; 6] = [
    &["check"],
    &["explain", "--source", "198.51.100.7", "--from", "+14155550123", "--to", "+14155550100"],
    &["explain", "--json", "--source", "198.51.100.7", "--from", "+14155550123", "--to", "+14155550100"],
    &["demo", "--calls", "1", "--json"],
    &["--help"],
    &["--version"],
];

const GOOD: &str = include_str!("support/peers.toml");

/// Between two times of asking.
const PAUSE: Duration = Duration::from_millis(10);

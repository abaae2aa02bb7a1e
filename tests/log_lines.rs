//! What a peer writes into its headers cannot end a log line or steer the terminal of whoever reads it.
//!
//! The log goes to a pipe here, so that no colour has any business in it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use phone::{Phone, follow_up};
use process::{Net, Process};
use serde_json::Value;

#[test]
fn a_text_line_has_no_control_character_and_begins_with_its_time() {
    let log = log_of_an_attack("text");

    for line in &log {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.starts_with("20"), "a forged line: {line:?}");
    }
}

#[test]
fn a_json_line_has_no_control_character_and_is_json() {
    let log = log_of_an_attack("json");

    for line in &log {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line:?}");
    }
}

/// Every line that a bridge writes at DEBUG while its peer sends what an attacker of terminals would.
fn log_of_an_attack(format: &str) -> Vec<String> {
    let net = Net::new();
    let log = format!("[log]\nlevel = \"debug\"\nformat = \"{format}\"\n");
    let bridge = Process::start(net, &(log + &net.config()));
    let phone = Phone::new(net.trunk(), net.sip());
    for headers in HOSTILE {
        let invite = phone.invite("+14155550100", headers);
        let invite = match headers.starts_with("Content-Type") {
            true => invite.replacen("Content-Type: application/sdp\r\n", "", 1),
            false => invite,
        };
        phone.send(&invite);
        let refused = phone.expect("SIP/2.0 4");
        phone.send(follow_up(&invite, &refused, "ACK", 1));
    }
    let told = |log: &[String]| log.iter().filter(|line| line.contains("evil")).count();
    bridge
        .eventually("every attack in the log", || Some(bridge.log()).filter(|log| told(log) >= HOSTILE.len()))
}

/// Each makes the bridge refuse the call with a reason that says what was sent.
const HOSTILE: [&str; 4] = [
    "Require: evil\u{1b}[2J\u{9b}31m\u{7}\r\nUser-Agent: \u{1b}]0;owned\u{7}\r\n",
    "Content-Type: evil/\u{1b}[31m\u{9b}2J\r\n",
    "Content-Type: evil/a\r\n 2026-01-01T00:00:00Z  INFO forged\r\n",
    "Require: evil\u{2028}\u{202e}x\r\n",
];

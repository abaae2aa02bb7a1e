//! `trunkline demo` as a user runs it: the real binary, both far ends, real sockets.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn the_demo_is_good_and_says_so_in_figures() {
    let output = demo(&["--calls", "4", "--json"]);

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], Value::Array(vec![]));
    assert!(output.status.success());
    assert_eq!((&report["calls"], &report["ok"]), (&4.into(), &4.into()));
    for (way, hertz) in [("to_retell", 1009.0), ("to_trunk", 443.0)] {
        let heard = |figure: &str| report["audio"][way][figure].as_f64().unwrap();
        assert_eq!(heard("expected_hz"), hertz);
        assert!((heard("tone_hz") - hertz).abs() < 0.5, "{report}");
        assert!((heard("level_dbov") + 13.0).abs() < 0.5, "{report}");
        assert!(heard("snr_db") > 25.0, "{report}");
    }
    let setup = report["setup_ms"]["p50"].as_f64().unwrap();
    assert!((200.0..5_000.0).contains(&setup), "the far ends ring for 200 and 300 ms: {report}");
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["setup_ms"]["p99"].is_number() && report["latency_us"]["p99"].is_number());
    assert!(report["loss_percent"].as_f64().unwrap() < 5.0, "{report}");
}

#[test]
fn the_ladder_shows_the_first_call_on_both_legs_and_fits_a_terminal() {
    let output = demo(&["--calls", "1"]);

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for title in ["INVITE (SDP)", "180 Ringing", "200 OK (SDP)", "ACK", "BYE", "200 OK -"] {
        let arrows = text.lines().filter(|line| line.contains(&format!(" {title}"))).count();
        assert_eq!(arrows, 2, "{title} in\n{text}");
    }
    for tone in ["PCMU 1009 Hz", "PCMU 443 Hz"] {
        assert_eq!(text.matches(tone).count(), 2, "{tone} in\n{text}");
    }
    assert!(text.contains("1 of 1 good"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
}

#[test]
fn no_calls_at_all_is_wrong_usage() {
    let output = demo(&["--calls", "0"]);

    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_has_an_example() {
    let output = demo(&["--help"]);

    assert!(String::from_utf8(output.stdout).unwrap().contains("trunkline demo --calls 200"));
}

fn demo(arguments: &[&str]) -> std::process::Output {
    Command::cargo_bin("trunkline").unwrap().arg("demo").args(arguments).output().unwrap()
}

//! `trunkline check` as a script sees it: what it prints, and how it exits.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

#[test]
fn a_good_configuration_exits_with_0_and_says_so() {
    let folder = folder("config.toml", GOOD);

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!((code, printed.as_str()), (0, "config.toml can be served: 0 mistakes, 0 warnings\n"));
}

#[test]
fn mistakes_and_warnings_are_printed_with_their_places_and_it_exits_with_1() {
    let text =
        GOOD.replace("country = \"US\"\n", "").replace("[[trunks]]", "[log]\nlevle = \"info\"\n[[trunks]]");
    let folder = folder("other.toml", &text);

    let (code, printed) = check(folder.path(), &["check", "-c", "other.toml"]);

    assert_eq!(code, 1);
    assert_eq!(
        printed,
        "other.toml:7:1: unknown key `levle`; write `level`\n\
         other.toml:8:1: warning: trunk `carrier` has no `country`, so national numbers stay as they are; \
         add the country whose numbers it sends, such as country = \"US\"\n\
         other.toml can't be served: 1 mistake, 1 warning\n"
    );
}

#[test]
fn warnings_alone_exit_with_0() {
    let folder = folder("config.toml", &GOOD.replace("country = \"US\"\n", ""));

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 0);
    assert!(printed.starts_with("config.toml:6:1: warning: "), "{printed}");
    assert!(printed.ends_with("config.toml can be served: 0 mistakes, 1 warning\n"), "{printed}");
}

#[test]
fn what_this_machine_lacks_is_told_by_check_and_refused_by_serve() {
    let sip = "[sip]\nlisten = [\"udp:203.0.113.77:5060\"]\n";
    let media = "[media]\nlisten = [\"203.0.113.77\"]\n";
    let http = "[http]\nlisten = \"203.0.113.77:8080\"\ntoken = \"t\"\n";
    let token = "[http]\nlisten = \"127.0.0.1:0\"\ntoken = \"file:no.token\"\n";
    let records = "[records]\nfile = \"nowhere/calls.jsonl\"\n";
    let state = "[server]\nstate = \"nowhere/state.json\"\n";
    let here = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let password = GOOD.replace("\"p\"", "\"env:NOT_SET_ANYWHERE\"");
    for (config, named) in [
        (format!("{sip}{GOOD}"), "config.toml:2:11: warning: 203.0.113.77:5060 can't be listened on: "),
        (format!("{media}{GOOD}"), "config.toml:2:11: warning: 203.0.113.77 can't be listened on: "),
        (format!("{http}{GOOD}"), "config.toml:2:10: warning: 203.0.113.77:8080 can't be listened on: "),
        (format!("{token}{GOOD}"), "config.toml:3:9: warning: no.token can't be read: "),
        (format!("{records}{GOOD}"), "config.toml:2:8: warning: nowhere/calls.jsonl can't be written: "),
        (format!("{state}{GOOD}"), "config.toml:2:9: warning: nowhere/state.json can't be written: "),
        (format!("{here}{password}"), "config.toml:9:12: warning: environment variable NOT_SET_ANYWHERE "),
    ] {
        let folder = folder("config.toml", &config);

        let (code, printed) = check(folder.path(), &["check"]);
        let served = trunkline(folder.path()).timeout(SOON).arg("serve").output().unwrap();

        let verdict =
            "config.toml is right, but can't be served here as things stand: 0 mistakes, 1 warning\n";
        assert_eq!(code, 0, "nothing is wrong with the file: {printed}");
        assert!(printed.starts_with(named) && printed.ends_with(verdict), "{printed}");
        assert_eq!(served.status.code(), Some(1), "{config}");
        let said = String::from_utf8(served.stderr).unwrap();
        assert!(said.starts_with(&named.replace("warning: ", "")), "{said}");
        assert!(said.ends_with("config.toml can't be served here as things stand\n"), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sip = format!("[sip]\nlisten = [\"udp:{}\"]\n", taken.local_addr().unwrap());
    let folder = folder("config.toml", &format!("{sip}{GOOD}"));

    let served = trunkline(folder.path()).timeout(SOON).arg("serve").output().unwrap();

    let said = String::from_utf8(served.stderr).unwrap();
    assert_eq!(served.status.code(), Some(1), "{said}");
    assert!(said.contains("trunkline: [sip].listen: listening on udp:127.0.0.1:"), "{said}");
    assert!(said.ends_with("stop it, or choose another port\n"), "{said}");
}

#[test]
fn the_log_of_a_warning_says_so_once() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sip = format!("[sip]\nlisten = [\"udp:{}\"]\n", taken.local_addr().unwrap());
    let folder = folder("config.toml", &format!("{sip}{}", GOOD.replace("country = \"US\"\n", "")));

    let served = trunkline(folder.path()).timeout(SOON).arg("serve").output().unwrap();

    let said = String::from_utf8(served.stderr).unwrap().to_lowercase();
    let line = said.lines().find(|line| line.contains("config.toml:8:1: trunk `carrier`")).unwrap();
    assert_eq!(line.matches("warn").count(), 1, "{line}");
}

#[test]
fn the_environment_and_dotenv_are_checked_too() {
    let folder = folder("config.toml", GOOD);
    fs::write(folder.path().join(".env"), "LOGLEVEL=info\n  export PSTN_CARRIER=nobody\n").unwrap();

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 1);
    assert!(printed.starts_with(".env:2:1: there is no trunk with the name \"nobody\"; "), "{printed}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 1);
    assert!(printed.starts_with("config.toml: there is no such file; name yours with -c"), "{printed}");
}

#[test]
fn the_file_that_comes_with_trunkline_can_be_served() {
    let folder = folder("config.toml", include_str!("../config.toml"));

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 0, "{printed}");
}

#[test]
fn serve_refuses_what_check_refuses_and_says_why() {
    let folder = folder("config.toml", "[sip]\nlissten = []\n");

    for arguments in [&["serve"][..], &[], &["-c", "config.toml"]] {
        let output = trunkline(folder.path()).args(arguments).output().unwrap();

        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("config.toml:2:1: unknown key `lissten`; write `listen`\n"), "{said}");
        assert!(said.ends_with("config.toml can't be served: 3 mistakes, 0 warnings\n"), "{said}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();

    for arguments in [&["chekc"][..], &["check", "--fast"], &["explain", "--source", "nowhere"]] {
        let output = trunkline(folder.path()).args(arguments).output().unwrap();

        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_configuration_without_its_flag_is_told_where_it_goes() {
    let folder = folder("other.toml", GOOD);

    for arguments in [&["check", "other.toml"][..], &["serve", "other.toml"], &["other.toml"]] {
        let output = trunkline(folder.path()).args(arguments).output().unwrap();

        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said.ends_with("tip: name the configuration with '-c other.toml'\n"), "{said}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();

    for command in ["serve", "check", "explain", "demo"] {
        let output = trunkline(folder.path()).args([command, "--help"]).output().unwrap();

        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains(&format!("Example:\n  trunkline {command} ")), "{help}");
    }
}

const GOOD: &str = include_str!("support/peers.toml");

/// How long a process may take that ends at once.
const SOON: Duration = Duration::from_secs(20);

fn folder(file: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), text).unwrap();
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = trunkline(folder).args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The binary in `folder`, with nothing in its environment.
fn trunkline(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("trunkline"));
    command.current_dir(folder).env_clear();
    command
}

//! `trunkline check` as a script sees it: what it prints, and how it exits.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

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
    let folder = folder("config.toml", &GOOD.replace("\"p\"", "\"env:NOT_SET_ANYWHERE\""));

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 0);
    assert!(printed.ends_with("config.toml can be served: 0 mistakes, 1 warning\n"), "{printed}");
    assert!(printed.starts_with("config.toml:5:12: warning: "), "{printed}");
}

#[test]
fn the_environment_and_dotenv_are_checked_too() {
    let folder = folder("config.toml", GOOD);
    fs::write(folder.path().join(".env"), "PSTN_CARRIER=nobody\n").unwrap();

    let (code, printed) = check(folder.path(), &["check"]);

    assert_eq!(code, 1);
    assert!(
        printed.starts_with("environment:PSTN_CARRIER: there is no trunk with the name \"nobody\"; "),
        "{printed}"
    );
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
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();

    for command in ["serve", "check", "explain", "demo"] {
        let output = trunkline(folder.path()).args([command, "--help"]).output().unwrap();

        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains(&format!("Example:\n  trunkline {command} ")), "{help}");
    }
}

const GOOD: &str = r#"[[retell]]
name = "retell"
uri = "sip:retell.example"
username = "u"
password = "p"
[[trunks]]
name = "carrier"
uri = "sip:carrier.example"
allow = ["198.51.100.0/24"]
country = "US"
"#;

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

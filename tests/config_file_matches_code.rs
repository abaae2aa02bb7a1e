//! `config.toml` at the root is the reference of all keys: each stands there, at its
//! default, and nothing else does.
//!
//! Live lines are defaults (but for the two peers' own values); commented lines of the form `# key = value`
//! and `# [[table]]` are examples of what has no default.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{Document, TableLike};
use trunkline::config::{self, Config, known_keys};

#[test]
fn every_live_line_is_the_default_of_the_code() {
    let shipped = load(&shipped());
    let minimal = load(MINIMAL);

    assert_eq!(shipped, minimal);
    assert_eq!(Config { routing: Config::default().routing, ..shipped }, Config::default());
}

#[test]
fn every_default_stands_in_a_live_line() {
    let text = shipped();
    let live = Document::parse(text).unwrap();
    let without_default: Vec<_> =
        known_keys().into_iter().filter(|key| !holds(live.as_table(), key)).collect();

    assert_eq!(
        without_default,
        [
            "headers.rules",
            "headers.rules.remove",
            "headers.rules.set",
            "headers.rules.toward",
            "http.token",
            "interfaces",
            "interfaces.address",
            "interfaces.advertise",
            "interfaces.name",
            "interfaces.networks",
            "interfaces.ports",
            "media.advertise",
            "numbers",
            "numbers.fallback",
            "numbers.number",
            "numbers.retell",
            "numbers.trunk",
            "records.file",
            "retell.allow_numbers",
            "retell.fallback",
            "retell.first_codec",
            "retell.interface",
            "retell.tls_ca",
            "retell.tls_name",
            "server.state",
            "sip.advertise",
            "tls.ca",
            "tls.certificate",
            "tls.client_ca",
            "tls.key",
            "trunks.caller_format",
            "trunks.caller_id",
            "trunks.caller_ids",
            "trunks.first_codec",
            "trunks.from_host",
            "trunks.interface",
            "trunks.outbound_proxy",
            "trunks.owned",
            "trunks.password",
            "trunks.prefix",
            "trunks.provider",
            "trunks.realm",
            "trunks.registrar",
            "trunks.request_host",
            "trunks.set_headers",
            "trunks.tls_ca",
            "trunks.tls_name",
            "trunks.to_host",
            "trunks.username",
        ]
    );
}

#[test]
fn every_key_stands_in_the_file_at_least_as_an_example() {
    let document = Document::parse(uncommented()).unwrap();
    let missing: Vec<_> = known_keys().into_iter().filter(|key| !holds(document.as_table(), key)).collect();

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_example_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &uncommented());

    let problems = config::load(&file, &secrets()).unwrap_err();

    let is_of_this_machine = |what: &&str| what.contains("192.168.1.10 can't be listened on");
    let what: Vec<_> = problems.iter().map(|problem| problem.what.as_str()).collect();
    let what: Vec<_> = what.into_iter().filter(|what| !is_of_this_machine(what)).collect();
    assert_eq!(
        what,
        [
            "with [[interfaces]], each has an `advertise` of its own",
            "with [[interfaces]], each has an `advertise` of its own",
            "`caller_id` and `caller_ids` are both there",
            "`registrar` has no effect without register = true"
        ]
    );
}

#[test]
fn the_file_can_be_served_once_its_secret_is_set_and_only_warns_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &shipped());

    let unset: Vec<_> =
        config::load(&file, &[]).unwrap().warnings.into_iter().map(|warning| warning.what).collect();
    let set = config::load(&file, &secrets()).unwrap().warnings;

    assert_eq!(unset, ["environment variable RETELL_SIP_PASSWORD is not set, or empty"]);
    assert_eq!(set, []);
}

/// What has no default in the shipped file, and nothing else.
const MINIMAL: &str = r#"
[[retell]]
name = "retell"
uri = "sip:sip.retellai.com;transport=tcp"
username = "retell-outbound"
password = "env:RETELL_SIP_PASSWORD"

[[trunks]]
name = "carrier"
uri = "sip:carrier.example"
allow = ["198.51.100.0/24"]
country = "US"
"#;

fn shipped() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml")).unwrap()
}

/// The shipped file with its examples made live.
fn uncommented() -> String {
    let live = |line: &str| match line.strip_prefix("# ") {
        Some(example) if is_toml(example) => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    shipped().lines().map(live).collect()
}

fn is_toml(line: &str) -> bool {
    let is_assignment = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    line.starts_with("[[") && line.ends_with("]]") || is_assignment
}

fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    config::load(&write(folder.path(), text), &secrets()).unwrap().config
}

fn secrets() -> [(String, String); 3] {
    ["RETELL_SIP_PASSWORD", "TRUNK_PASSWORD", "TRUNKLINE_TOKEN"]
        .map(|name| (name.to_owned(), "s3cret".to_owned()))
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("config.toml");
    fs::write(&file, text).unwrap();
    file
}

/// Whether a key such as `trunks.country` stands in the table, in the first element of each array of tables.
fn holds(table: &dyn TableLike, path: &str) -> bool {
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(item) = table.get(key) else { return false };
    let inner =
        item.as_array_of_tables().and_then(|tables| tables.get(0)).map(|table| table as &dyn TableLike);
    rest.is_empty() || inner.or(item.as_table_like()).is_some_and(|inner| holds(inner, rest))
}

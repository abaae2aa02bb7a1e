//! Every mistake that a configuration can hold is reported with its exact place, all of them at once.
//!
//! Expectations are whole lines as `trunkline check` prints them, because their wording
//! is what a user works with.

#![allow(clippy::unwrap_used)]

use std::fs;

use trunkline::config;

mod interfaces;
mod peers;
mod routing;
mod sockets;
mod spelling;

#[test]
fn all_mistakes_come_at_once_sorted_by_place() {
    let text = r#"[media]
ports = "20000-29999"
silence_timeout = 60
[sip]
listen = ["udp:0.0.0.0:5060", "0.0.0.0:5060"]
[server]
drain_s = -1
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:9: `ports` is a string; write the first and the last port, such as [20000, 29999]",
            "3:1: unknown key `silence_timeout`; write `silence_timeout_s`",
            "5:31: \"0.0.0.0:5060\" does not begin with a transport; write \"udp:\", \"tcp:\" or \"tls:\", \
             then address and port",
            "7:11: `drain_s` is -1; write a number from 0 to 86400",
        ]
    );
}

#[test]
fn a_syntax_error_is_one_problem_with_its_place_and_without_the_text() {
    let problems = problems("[http]\ntoken = \"s3cret\nlisten = 1\n");

    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("2:16: this is not TOML: invalid basic string"), "{problems:?}");
    assert!(!problems[0].contains("s3cret"));
}

#[test]
fn text_without_quotes_or_with_curly_ones_is_told_apart() {
    let instead = |text: &str| problems(text)[0].rsplit_once("; ").unwrap().1.to_owned();

    assert_eq!(instead("[sip]\nlisten = udp\n"), "write text in quotes, such as name = \"carrier\"");
    assert_eq!(
        instead("[log]\nlevel = \u{201c}info\u{201d}\n"),
        "write straight quotes, \", in place of the curly ones"
    );
    assert_eq!(instead("[sip]\nlisten\n"), "see https://toml.io for how TOML is written");
}

#[test]
fn a_key_that_stands_twice_is_named_with_both_places() {
    let twice = "keep one of them, with what both hold";

    assert_eq!(
        problems("[sip]\n# more\n max_headers = 100\nmax_headers = 200\n"),
        [format!("4:1: `max_headers` already stands at 3:2; {twice}")]
    );
    assert_eq!(
        problems("[sip]\nmax_headers = 100\n[log]\n[sip]\n"),
        [format!("4:2: `sip` already stands at 1:2; {twice}")]
    );
    assert_eq!(
        problems("[[headers.rules]]\nset = { X-A = \"1\", X-A = \"2\" }\n"),
        [format!("2:20: `X-A` already stands at 2:9; {twice}")]
    );
}

#[test]
fn a_wrong_type_is_named_with_what_to_write() {
    let text = r#"[sip]
listen = "udp:0.0.0.0:5060"
max_headers = 2.5
[media]
listen = [1]
[records]
file = ["calls.jsonl"]
[log]
format = true
"#;

    assert_eq!(
        with_peers(text),
        [
            "2:10: `listen` is a string; write an array of strings, in brackets",
            "3:15: `max_headers` is a number with a fraction; write a whole number, such as 256",
            "5:11: `listen` is a whole number; write a string, in quotes",
            "7:8: `file` is an array; write a string, in quotes",
            "9:10: `format` is true or false; write a string, in quotes",
        ]
    );
}

#[test]
fn a_table_in_place_of_an_array_of_tables_and_the_other_way_round_are_told_apart() {
    let text =
        "trunks = 5\n[retell]\nname = \"retell\"\n[[sip]]\n[headers]\nrules = { toward = \"all trunks\" }\n";

    assert_eq!(
        problems(text),
        [
            "1:10: `trunks` is a whole number; write one table for each: [[trunks]]",
            "2:1: `retell` is a table; write one table for each: [[retell]]",
            "4:1: `sip` is an array of tables; write a table: [sip]",
            "6:9: `rules` is a table; write one table for each: [[headers.rules]]",
        ]
    );
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let text = "sipp = 1\n[log]\nlevle = \"info\"\ndrain_s = 5\nfrobnicate = 1\n";

    assert_eq!(
        with_peers(text),
        [
            "1:1: unknown key `sipp`; write `sip`",
            "3:1: unknown key `levle`; write `level`",
            "4:1: unknown key `drain_s`; move it to `server`, or take it out",
            "5:1: unknown key `frobnicate`; take it out (known here: `level`, `format`)",
        ]
    );
}

#[test]
fn a_transport_that_is_not_there_is_refused_by_name() {
    let websocket = "[sip]\nlisten = [\"ws:0.0.0.0:5061\"]\n";

    assert_eq!(
        with_peers(websocket),
        ["2:11: transport \"ws\" is not supported; write \"udp:\", \"tcp:\" or \"tls:\" before the address"]
    );
}

#[test]
fn log_levels_are_words_or_filters() {
    let level = |level: &str| with_peers(&format!("[log]\nlevel = \"{level}\"\n"));

    assert_eq!(level("info,trunkline::sip=trace"), [""; 0]);
    assert_eq!(level("inof"), ["2:9: \"inof\" is no log level; write \"info\""]);
    assert_eq!(level("trunkline=loud").len(), 1);
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, binary) = (folder.path().join("missing.toml"), folder.path().join("binary.toml"));
    fs::write(&binary, b"[sip]\na = \"\xff\"").unwrap();

    let say = |file: &std::path::Path| {
        let problems = config::load(file, &[]).unwrap_err();
        problems[0].to_string().strip_prefix(&file.display().to_string()).unwrap().to_owned()
    };

    assert_eq!(
        say(&missing),
        ": there is no such file; name yours with -c, or start from a copy of the config.toml that comes \
         with trunkline"
    );
    assert_eq!(say(&binary), ":2:6: this is not UTF-8; save the file as UTF-8");
}

pub(crate) const PEERS: &str = r#"[[retell]]
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

/// The problems of `text` followed by two good peers.
pub(crate) fn with_peers(text: &str) -> Vec<String> {
    problems(&format!("{text}\n{PEERS}"))
}

/// Every problem as `check` prints it, without the file's name.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();

    let problems = config::load(&file, &[]).map_or_else(|problems| problems, |loaded| loaded.warnings);

    let place = format!("{}:", file.display());
    problems.iter().map(|problem| problem.to_string().strip_prefix(&place).unwrap().to_owned()).collect()
}

//! `trunkline explain`: what it says of a call, of a refusal and of a stranger, and how it exits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Output;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn a_call_from_a_trunk_is_explained_step_by_step_with_the_rule_that_decided() {
    let home = Home::new();

    let output = home.explain(&[
        "--source",
        "198.51.100.7",
        "--from",
        "415 555 0123",
        "--to",
        "4155550100",
        "--header",
        "X-Account: 7",
        "--header",
        "Subject: hello",
        "--header",
        "X-Trunk: mine",
        "--header",
        "X-Internal: 1",
        "--header",
        "s: compact",
        "--header",
        "Supported: 100rel",
        "--header",
        "P-Asserted-Identity: <sip:+14155550123@pbx.example>",
    ]);

    assert!(output.status.success());
    let expected = "\
peer carrier 198.51.100.7 is in its allow 198.51.100.0/24 (config.toml:15)
dialled 4155550100 user part of the Request-URI (the default)
to +14155550100 national number of the trunk's country (country of carrier: US) (config.toml:18)
caller +14155550123 From says 415 555 0123: national number of the trunk's country
retell retell the default: first [[retell]] (config.toml:6)
from +14155550123 the caller, toward Retell
target sip:+14155550100@retell.example;transport=tcp uri 1 of retell (config.toml:7)
header X-Account: 7 [headers].pass \"X-*\" (the default)
header dropped Subject not in [headers].pass (the default)
header X-Trunk: mine [headers].pass \"X-*\" (the default)
header X-Internal: 1 [headers].pass \"X-*\" (the default)
header dropped Subject not in [headers].pass (the default)
header dropped P-Asserted-Identity asserted identities are never copied
header removed X-Internal: 1 [[headers.rules]] 1: remove \"X-Internal\" (config.toml:24)
header removed X-Trunk: mine [[headers.rules]] 1: set puts its own in this place (config.toml:23)
header X-Trunk: carrier [[headers.rules]] 1: set (config.toml:23)
header dropped Supported SIP's own: trunkline writes what each leg needs itself

The call goes to sip:+14155550100@retell.example;transport=tcp, from +14155550123
";
    assert_eq!(without_padding(&output.stdout), without_padding(expected.as_bytes()));
}

#[test]
fn a_call_from_retell_says_that_authentication_is_assumed() {
    let home = Home::new();

    let output = home.explain(&[
        "--json",
        "--source",
        "192.0.2.1",
        "--from",
        "+14155550101",
        "--to",
        "2125550123",
        "--header",
        "X-Original-CLID: +14155550177",
    ]);

    assert!(output.status.success());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["outcome"], "routed");
    assert_eq!(told["assumes_authentication"], true);
    assert_eq!(told["direction"], "to_trunk");
    assert_eq!(
        (&told["peer"], &told["retell"], &told["trunk"]),
        (&json!("retell"), &json!("retell"), &json!("carrier"))
    );
    assert_eq!((&told["from"], &told["to"]), (&json!("+14155550199"), &json!("+12125550123")));
    assert_eq!(
        told["targets"],
        json!(["sip:+12125550123@a.carrier.example", "sip:+12125550123@b.carrier.example"])
    );
    assert_eq!(told["headers"], json!([]));
    let step = |what: &str| {
        let steps = told["steps"].as_array().unwrap();
        steps.iter().find(|step| step["what"] == what).unwrap()["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(step("authentication"), "401: assumed to answer rightly");
    assert_eq!(step("from"), "caller_id of the trunk");
    let placed = |what: &str| {
        let steps = told["steps"].as_array().unwrap();
        steps.iter().find(|step| step["what"] == what).unwrap()["place"].clone()
    };
    assert_eq!(placed("authentication"), "config.toml:9");
    assert_eq!(placed("from"), "config.toml:19");
    assert_eq!(placed("caller"), Value::Null);
}

#[test]
fn a_refusal_and_a_stranger_exit_with_1_and_say_why() {
    let home = Home::new();

    let refused = home.explain(&["--json", "--source", "192.0.2.1", "--from", "+14155550101", "--to", "911"]);
    let stranger =
        home.explain(&["--source", "203.0.113.9", "--from", "+14155550101", "--to", "+14155550100"]);

    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!((&told["outcome"], &told["status"]), (&json!("refused"), &json!(403)));
    assert_eq!(told["reason"], "emergency number 911 refused: allow_emergency is off");
    assert_eq!(stranger.status.code(), Some(1));
    let text = String::from_utf8(stranger.stdout).unwrap();
    assert!(
        text.ends_with("There is no call: 203.0.113.9 is a stranger: it gets no answer of any kind\n"),
        "{text}"
    );
}

#[test]
fn a_whole_from_and_request_uri_may_be_given() {
    let home = Home::new();

    let output = home.explain(&[
        "--json",
        "--source",
        "198.51.100.7",
        "--from",
        "\"Ann\" <sip:4155550123@pbx.example>",
        "--to",
        "sip:4155550100@203.0.113.10;user=phone",
        "--header",
        "Diversion: <sip:1001@pbx.example>;reason=no-answer",
    ]);

    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["display"], &told["from"], &told["to"]),
        (&json!("Ann"), &json!("+14155550123"), &json!("+14155550100"))
    );
    let diversion = json!({ "name": "Diversion", "value": "<sip:1001@203.0.113.10>;reason=no-answer" });
    assert_eq!(told["headers"][0], diversion);
}

#[test]
fn a_call_to_what_is_registered_is_the_trunks_and_a_stranger_is_told_of_it() {
    let home = Home::with(&CONFIG.replace("allow = [\"198.51.100.0/24\"]", "register = true"));
    let call = ["--source", "203.0.113.9", "--from", "2125550123", "--to", "4155550100"];

    let stranger = home.explain(&call);
    let registered = home.explain(&[&call[..], &["--registered", "carrier"]].concat());
    let elsewhere = home.explain(&[&call[..], &["--registered", "retell"]].concat());

    let said = String::from_utf8(stranger.stdout).unwrap();
    assert_eq!(stranger.status.code(), Some(1));
    assert!(said.ends_with("add --registered carrier for such a call\n"), "{said}");
    let text = without_padding(&registered.stdout);
    assert!(registered.status.success());
    assert_eq!(text[0], "peer carrier it called the Contact that is registered there (config.toml:15)");
    assert_eq!(text[1], "dialled 4155550100 To, behind the Contact that is registered (the default)");
    assert_eq!(
        text.last().unwrap(),
        "The call goes to sip:+14155550100@retell.example;transport=tcp, from +12125550123"
    );
    let said = String::from_utf8(elsewhere.stderr).unwrap();
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(said.starts_with("trunkline: nothing is registered at \"retell\"; "), "{said}");
}

#[test]
fn wrong_arguments_exit_with_2_and_a_broken_configuration_with_1() {
    let home = Home::new();
    let broken = Home::with("[[retell]]\nname = 1\n");
    let call = ["--source", "198.51.100.7", "--from", "1", "--to", "2"];

    let no_header = home.explain(&[&call[..], &["--header", "nonsense"]].concat());
    let no_source = home.explain(&["--from", "1", "--to", "2"]);
    let no_config = broken.explain(&call);

    assert_eq!(no_header.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_header.stderr).contains("write it like 'X-Account: 7'"));
    assert_eq!(no_source.status.code(), Some(2));
    assert_eq!(no_config.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no_config.stderr).contains("config.toml:2:"));
}

#[test]
fn the_interface_of_each_leg_is_told_with_the_rule_that_decided() {
    let explained = |lan: &str| {
        let interfaces = format!(
            "[[interfaces]]\nname = \"internet\"\naddress = \"127.0.0.1\"\nadvertise = \"203.0.113.10\"\n\
             [[interfaces]]\nname = \"lan\"\naddress = \"127.0.0.1\"\n{lan}\n"
        );
        let sip = "[sip]\nadvertise = [\"203.0.113.10\"]\n";
        let home = Home::with(&CONFIG.replace(sip, &interfaces));
        let output = home.explain(&["--source", "198.51.100.7", "--from", "1", "--to", "4155550100"]);
        let steps = without_padding(&output.stdout);
        steps.into_iter().filter(|line| line.starts_with("interface")).collect::<Vec<_>>()
    };

    let toward_retell = "interface toward retell depends on the look-up whichever has networks that hold the \
                         address, else the first of its family";
    assert_eq!(
        explained("networks = [\"198.51.100.0/24\"]"),
        [
            "interface toward carrier lan its networks hold 198.51.100.7, by 198.51.100.0/24 (config.toml:9)",
            toward_retell
        ]
    );
    assert_eq!(
        explained(""),
        [
            "interface toward carrier internet no networks hold 198.51.100.7: the first of its address \
             family",
            toward_retell
        ]
    );
}

#[test]
fn no_secret_is_asked_for_and_none_is_printed() {
    let home = Home::new(); // its password is an environment variable that is not set

    let output = home.explain(&["--json", "--source", "192.0.2.1", "--from", "1", "--to", "+12125550123"]);

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("carrier-secret"));
}

#[test]
fn a_rule_that_the_environment_overrides_is_placed_there() {
    let home = Home::new();
    std::fs::write(home.0.path().join(".env"), "# ours\nOVERRIDE_CALLER_ID=+14155550188\n").unwrap();

    let output = home.explain(&["--source", "192.0.2.1", "--from", "+14155550101", "--to", "2125550123"]);

    let text = without_padding(&output.stdout);
    assert!(text.contains(&"from +14155550188 caller_id of the trunk (.env:2)".to_owned()), "{text:#?}");
}

/// A folder with a configuration.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        Self(home)
    }

    fn explain(&self, arguments: &[&str]) -> Output {
        let mut command = Command::cargo_bin("trunkline").unwrap();
        command.env_clear().current_dir(self.0.path()).arg("explain").args(arguments).output().unwrap()
    }
}

/// Column widths are not the point.
fn without_padding(text: &[u8]) -> Vec<String> {
    let text = str::from_utf8(text).unwrap();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const CONFIG: &str = r#"
[sip]
advertise = ["203.0.113.10"]

[[retell]]
name = "retell"
uri = "sip:retell.example;transport=tcp"
allow = ["192.0.2.0/24"]
username = "retell-user"
password = "env:NOT_SET_ANYWHERE"

[[trunks]]
name = "carrier"
uri = ["sip:a.carrier.example", "sip:b.carrier.example"]
allow = ["198.51.100.0/24"]
username = "acct"
password = "carrier-secret"
country = "US"
caller_id = "+14155550199"

[[headers.rules]]
toward = "all retell"
set = { X-Trunk = "{trunk}" }
remove = ["X-Internal"]
"#;

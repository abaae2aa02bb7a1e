//! `fallback` in the configuration: what `check` says of it, and how `explain` shows it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use assert_cmd::Command;
use serde_json::{Value, json};
use trunkline::config;

#[test]
fn a_number_a_uri_and_another_retell_are_right_alone_and_in_a_list() {
    for fallback in [
        r#""+14155550199""#,
        r#""1001""#,
        r#""sip:desk@pbx.example;transport=tcp""#,
        r#""second""#,
        r#"["second", "+14155550199", "sip:pbx.example"]"#,
        "[]",
    ] {
        assert_eq!(problems(fallback, "", ""), [""; 0], "{fallback}");
    }
}

#[test]
fn what_is_none_of_them_is_told_with_its_place_and_what_to_write() {
    for (fallback, problem) in [
        (
            r#"["+14155550199", "secnd"]"#,
            "6:29: there is no [[retell]] with the name \"secnd\"; write \"first\" or \"second\", or a \
             number or SIP URI",
        ),
        (
            r#""""#,
            "6:12: `fallback` is empty; write a number such as \"+14155550199\", \"sip:desk@pbx.example\", \
             or the name of a [[retell]]",
        ),
        (r#""tel:+14155550199""#, "6:12: `fallback` is a tel: URI; write the number alone: \"+14155550199\""),
        (
            r#""sip:desk:secret@pbx.example""#,
            "6:12: `fallback` has a password in its URI; write a number such as \"+14155550199\", \
             \"sip:desk@pbx.example\", or the name of a [[retell]]",
        ),
    ] {
        assert_eq!(problems(fallback, "", ""), [problem], "{fallback}");
    }
}

#[test]
fn a_chain_that_leads_back_is_refused_with_its_way() {
    assert_eq!(
        problems(r#""first""#, "", ""),
        ["6:12: `fallback` leads back to where it began: first -> first; take one of these names out of \
          its `fallback`"]
    );
    assert_eq!(
        problems(r#"["+14155550199", "second"]"#, r#"fallback = "first""#, ""),
        [
            "6:12: `fallback` leads back to where it began: first -> second -> first; take one of these \
             names out of its `fallback`",
            "12:12: `fallback` leads back to where it began: second -> first -> second; take one of these \
             names out of its `fallback`",
        ]
    );
}

#[test]
fn a_number_may_not_fall_back_to_the_retell_it_goes_to() {
    let numbers = "[[numbers]]\nnumber = \"+14155550100\"\nfallback = \"first\"\n";

    assert_eq!(
        problems("[]", "", numbers),
        ["22:12: calls to +14155550100 go to \"first\" already; name another [[retell]], a number or a \
          SIP URI"]
    );
}

#[test]
fn a_number_of_our_own_would_come_back() {
    for (own, problem) in [
        (
            "+14155550199",
            "6:12: \"+14155550199\" is in [[numbers]] \"+14155550199\", so the trunk may bring the call \
             back; name a number that does not lead here",
        ),
        (
            "+1415555*",
            "6:12: warning: \"+14155550199\" is in [[numbers]] \"+1415555*\", so the trunk may bring the \
             call back; name a number that does not lead here",
        ),
        ("+1212555*", ""),
    ] {
        let numbers = format!("[[numbers]]\nnumber = \"{own}\"\n");

        assert_eq!(problems(r#""+14155550199""#, "", &numbers).join("\n"), problem);
    }
}

#[test]
fn explain_shows_every_fallback_in_order_with_the_rule_and_as_whom() {
    let arguments = ["--source", "198.51.100.7", "--from", "+14155550123", "--to", "+14155550100"];

    let text = explain(&arguments);
    let told: Value = serde_json::from_str(&explain(&[&arguments[..], &["--json"]].concat())).unwrap();

    let steps: Vec<_> = text.lines().filter(|line| line.starts_with("fallback ")).collect();
    let steps: Vec<_> =
        steps.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        steps,
        [
            "fallback sip:+14155550100@second.example fallback of first, from +14155550123",
            "fallback sip:desk@pbx.example fallback of second, from +14155550198",
            "fallback sip:+14155550199@carrier.example fallback of first, from +14155550198",
        ]
    );
    let verdict = "The call goes to sip:+14155550100@first.example, from +14155550123, and if that fails to \
        sip:+14155550100@second.example, and if that fails to sip:desk@pbx.example, and if that fails to \
        sip:+14155550199@carrier.example";
    assert_eq!(text.lines().last(), Some(verdict));
    assert_eq!(
        told["fallbacks"][2],
        json!({
            "peer": "carrier",
            "from": "+14155550198",
            "to": "+14155550199",
            "targets": ["sip:+14155550199@carrier.example"],
        })
    );
}

fn explain(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text(r#"["second", "+14155550199"]"#, r#"fallback = "sip:desk@pbx.example""#, ""))
        .unwrap();
    let mut command = Command::cargo_bin("trunkline").unwrap();
    let output = command.env_clear().arg("explain").arg("-c").arg(file).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The problems, as `check` prints them without the file's name, where the first `[[retell]]` has this
/// fallback, and the second one these keys.
fn problems(fallback: &str, second: &str, rest: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text(fallback, second, rest)).unwrap();
    let problems = config::load(&file, &[]).map_or_else(|problems| problems, |loaded| loaded.warnings);
    let place = format!("{}:", file.display());
    problems.iter().map(|problem| problem.to_string().strip_prefix(&place).unwrap().to_owned()).collect()
}

fn text(fallback: &str, second: &str, rest: &str) -> String {
    format!(
        "[[retell]]\nname = \"first\"\nuri = \"sip:first.example\"\nusername = \"u\"\npassword = \"p\"\n\
         fallback = {fallback}\n[[retell]]\nname = \"second\"\nuri = \"sip:second.example\"\n\
         username = \"v\"\n\
         password = \"p\"\n{second}\n[[trunks]]\nname = \"carrier\"\nuri = \"sip:carrier.example\"\n\
         allow = [\"198.51.100.0/24\"]\ncountry = \"US\"\ncaller_id = \"+14155550198\"\n\n{rest}"
    )
}

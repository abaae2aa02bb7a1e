//! The connector's environment variables: process over `.env` over file, each named once,
//! mistakes by the variable's name.

#![allow(clippy::unwrap_used)]

use std::fs;

use trunkline::config::{self, Config, Loaded};
use trunkline::routing::config::CallerId;

#[test]
fn the_process_wins_over_dotenv_and_dotenv_over_the_file() {
    let loaded = load("LOGLEVEL=debug\nCOUNTRY_CODE=DE\n", &[("COUNTRY_CODE", "49")]).unwrap();

    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(country(&loaded.config, 0), "49");
    assert_eq!(
        loaded.overrides,
        ["COUNTRY_CODE (environment): country of the trunk is 49", "LOGLEVEL (.env): log level is debug"]
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_changes_nothing() {
    let loaded = load("COUNTRY_CODE=DE\n", &[("COUNTRY_CODE", ""), ("PSTN_CARRIER", "")]).unwrap();

    assert_eq!(country(&loaded.config, 0), "DE");
    assert_eq!(loaded.overrides.len(), 1);
}

#[test]
fn the_named_peers_become_the_first_and_get_the_peer_variables() {
    let loaded = load(
        "",
        &[
            ("RETELL_CARRIER", "retell-eu"),
            ("PSTN_CARRIER", "third"),
            ("SIP_USERNAME", "user"),
            ("SIP_PASSWORD", "s3cret"),
            ("COUNTRY_CODE", "1"),
        ],
    )
    .unwrap();

    let routing = &loaded.config.routing;
    assert_eq!(routing.retell_names().collect::<Vec<_>>(), ["retell-eu", "retell"]);
    assert_eq!(routing.trunk_names().collect::<Vec<_>>(), ["third", "first", "second"]);
    assert_eq!(routing.retell[0].peer.username.as_deref(), Some("user"));
    assert_eq!(routing.retell[0].peer.password.as_ref().unwrap().reveal().unwrap(), "s3cret");
    assert_eq!(routing.retell[1].peer.username.as_deref(), Some("u"), "the other keeps its own");
    assert_eq!([0, 1, 2].map(|index| country(&loaded.config, index)), ["1", "US", "US"]);
    assert!(loaded.overrides.iter().all(|line| !line.contains("s3cret")), "{:?}", loaded.overrides);
}

#[test]
fn credentials_from_the_environment_are_challenged_for_like_those_of_the_file() {
    let file = FILE.replace("username = \"u\"\npassword = \"p\"\n", "");

    let loaded = load_file(&file, "SIP_USERNAME=user\nSIP_PASSWORD='s3 cret'\n", &[]).unwrap();
    let refused = load_file(&file, "", &[]).unwrap_err();
    let half = load_file(&file, "", &[("SIP_PASSWORD", "s3cret")]).unwrap_err();

    assert!(loaded.config.routing.retell[0].peer.challenge);
    assert_eq!(refused.len(), 1);
    assert_eq!(
        half,
        ["environment:SIP_PASSWORD: `password` stands without `username`; add username = \"…\", or take \
          `password` out"]
    );
}

#[test]
fn caller_ids_from_the_environment_replace_those_of_the_file() {
    let caller_id = |environment| load("", environment).unwrap().config.routing.trunks.remove(0).caller_id;

    assert_eq!(caller_id(&[]), CallerId::Fixed("+14155550100".to_owned()));
    assert_eq!(caller_id(&[("OVERRIDE_CALLER_ID", "1234567e0")]), CallerId::Fixed("1234567e0".to_owned()));
    assert_eq!(caller_id(&[("OVERRIDE_CALLER_ID", "anonymous")]), CallerId::Withheld);
    assert_eq!(
        caller_id(&[("CALLER_ID_CAROUSEL", "+14155550101, +14155550102,")]),
        CallerId::Rotating(vec!["+14155550101".into(), "+14155550102".into()])
    );
}

#[test]
fn log_levels_of_the_connector_are_known() {
    let level = |level| load("", &[("LOGLEVEL", level)]).unwrap().config.log.level;

    assert_eq!(["trace", "info", "fatal", "silent"].map(level), ["trace", "info", "error", "off"]);
}

#[test]
fn http_port_sets_the_port_and_nothing_else() {
    let loaded = load("", &[("HTTP_PORT", "3000")]).unwrap();

    assert_eq!(loaded.config.http.listen.to_string(), "127.0.0.2:3000");
}

#[test]
fn every_mistake_is_reported_by_the_name_of_its_variable() {
    let problems = load(
        "",
        &[
            ("RETELL_CARRIER", "retel"),
            ("PSTN_CARRIER", "nobody"),
            ("COUNTRY_CODE", "XX"),
            ("OVERRIDE_CALLER_ID", "+1 415"),
            ("CALLER_ID_CAROUSEL", ","),
            ("LOGLEVEL", "verbose"),
            ("HTTP_PORT", "http"),
        ],
    )
    .unwrap_err();

    assert_eq!(
        problems,
        [
            "environment:CALLER_ID_CAROUSEL: there is no number in it; write numbers with commas between, \
             or unset it",
            "environment:COUNTRY_CODE: `country` is \"XX\", which is no country; \
             write an ISO 3166 code such as \"US\", or a calling code such as \"1\"",
            "environment:HTTP_PORT: \"http\" is no port; write a number below 65536, such as 8080",
            "environment:LOGLEVEL: \"verbose\" is no log level; \
             write one of trace, debug, info, warn, error, off",
            "environment:OVERRIDE_CALLER_ID: `caller_id`: \"+1 415\" is empty, a whole URI, or has spaces \
             in it; \
             write the number alone, such as \"+14155550100\"",
            "environment:PSTN_CARRIER: there is no trunk with the name \"nobody\"; \
             write \"first\", \"second\" or \"third\"",
            "environment:RETELL_CARRIER: there is no [[retell]] with the name \"retel\"; \
             write \"retell\" or \"retell-eu\"",
        ]
    );
}

#[test]
fn one_caller_id_and_several_at_once_are_refused() {
    let problems =
        load("OVERRIDE_CALLER_ID=+14155550100\n", &[("CALLER_ID_CAROUSEL", "+14155550101")]).unwrap_err();

    assert_eq!(problems, ["environment:CALLER_ID_CAROUSEL: OVERRIDE_CALLER_ID is set too; keep one of them"]);
}

#[test]
fn secrets_named_by_env_are_found_in_the_process_and_in_dotenv() {
    let file = FILE.replace("password = \"p\"", "password = \"env:RETELL_SIP_PASSWORD\"");
    let password = |dotenv, environment| {
        let loaded = load_file(&file, dotenv, environment).unwrap();
        loaded.config.routing.retell[0].peer.password.as_ref().unwrap().reveal().unwrap()
    };

    assert_eq!(password("RETELL_SIP_PASSWORD=below\n", &[]), "below");
    assert_eq!(password("RETELL_SIP_PASSWORD=below\n", &[("RETELL_SIP_PASSWORD", "above")]), "above");
}

#[test]
fn a_line_of_dotenv_that_cannot_be_read_is_named_by_its_place_and_never_shown() {
    let problems = load("# mine\nLOGLEVEL=info\nSIP_PASSWORD='s3cret\n", &[]).unwrap_err();

    assert_eq!(
        problems,
        [".env:3:1: this line can't be read; write NAME=value, or NAME='value' with quotes"]
    );
}

const FILE: &str = r#"
[http]
listen = "127.0.0.2:8080"

[[retell]]
name = "retell"
uri = "sip:retell.example"
username = "u"
password = "p"

[[retell]]
name = "retell-eu"
uri = "sip:retell-eu.example"
username = "eu"
password = "p"

[[trunks]]
name = "first"
uri = "sip:first.example"
allow = ["198.51.100.1"]
country = "US"
caller_id = "+14155550100"

[[trunks]]
name = "second"
uri = "sip:second.example"
allow = ["198.51.100.2"]
country = "US"

[[trunks]]
name = "third"
uri = "sip:third.example"
allow = ["198.51.100.3"]
country = "US"
"#;

fn load(dotenv: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    load_file(FILE, dotenv, environment)
}

/// Problems come as they are printed, without the folder.
fn load_file(text: &str, dotenv: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();

    let place = format!("{}/", folder.path().display());
    let without_folder = |problem: config::reader::Problem| problem.to_string().replace(&place, "");
    config::load(&file, &environment).map_err(|problems| problems.into_iter().map(without_folder).collect())
}

fn country(config: &Config, trunk: usize) -> &str {
    &config.routing.trunks[trunk].country.as_ref().unwrap().0
}

//! `provider`: each preset by itself is a working trunk, every key of it yields to the file, and
//! `trunkline check --expand` prints what came out without a secret in it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Output;

use assert_cmd::Command;
use trunkline::config;
use trunkline::routing::config::{
    CallerPlace, NumberFormat, PROVIDERS, Treatment, TrunkConfig, provider as named,
};
use trunkline::sdp::codec::Codec;

#[test]
fn every_preset_makes_a_trunk_of_a_name_an_address_and_credentials() {
    for provider in PROVIDERS {
        let keys = format!("provider = \"{}\"\nuri = \"sip:carrier.example\"", provider.name);

        let (trunk, warnings) = load(&keys);

        let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let expected = match provider.more_ranges {
            Some(why) => Some(why),
            None if trunk.peer.allow.is_empty() && !trunk.register.register => Some("has no `allow`, "),
            None => None,
        };
        assert_eq!(said.len(), usize::from(expected.is_some()), "{}: {said:?}", provider.name);
        assert!(expected.is_none_or(|what| said[0].contains(what)), "{said:?}");
        assert_eq!(trunk.provider.as_deref(), Some(provider.name));
        assert!(!provider.source.is_empty() && provider.uri.starts_with("sip:"), "{}", provider.name);
    }
}

#[test]
fn a_preset_stands_for_the_keys_that_are_absent() {
    let (telnyx, _) = load("provider = \"telnyx\"");
    let (sipgate, _) = load("provider = \"sipgate\"");
    let (plivo, _) =
        load("provider = \"plivo\"\nuri = \"sip:carrier.example\"\nprofile = { hold = \"pass\" }");

    assert_eq!(telnyx.peer.uris[0].to_string(), "sip:sip.telnyx.com");
    assert_eq!((telnyx.peer.allow.len(), telnyx.peer.calls_per_second), (8, 50));
    assert_eq!(telnyx.headers.set, [("X-Telnyx-Username".to_owned(), "{username}".to_owned())]);
    assert_eq!(sipgate.spelling.caller_in.0, [CallerPlace::PPreferredIdentity]);
    assert_eq!(sipgate.spelling.caller_format, NumberFormat::E164);
    assert!(sipgate.register.register);
    assert_eq!(sipgate.peer.media.first_codec, Some(Codec::Pcma));
    assert_eq!(sipgate.spelling.number_format, NumberFormat::PlusE164);
    assert_eq!((plivo.peer.profile.prack, plivo.peer.profile.hold), (Treatment::Strip, Treatment::Pass));
}

#[test]
fn every_key_of_a_preset_yields_to_the_file() {
    let keys = "provider = \"telnyx\"\nuri = \"sip:eu.carrier.example\"\nallow = [\"198.51.100.7\"]\n\
                number_format = \"E.164\"\ncalls_per_second = 5\nset_headers = {}\n\
                profile = { prack = \"force\" }";
    let (trunk, warnings) = load(keys);

    assert_eq!(trunk.peer.uris[0].to_string(), "sip:eu.carrier.example");
    assert_eq!((trunk.peer.allow.len(), trunk.peer.calls_per_second), (1, 5));
    assert_eq!(trunk.spelling.number_format, NumberFormat::E164);
    assert_eq!((trunk.headers.set.len(), trunk.peer.profile.prack), (0, Treatment::Force));
    assert_eq!(warnings, []);
}

#[test]
fn a_preset_of_another_name_is_a_mistake_and_what_only_the_customer_knows_is_asked_for() {
    assert_eq!(
        mistakes("provider = \"twillio\"\nuri = \"sip:carrier.example\""),
        ["there is no preset for provider \"twillio\"; write \"twilio\""]
    );
    let asked = mistakes("provider = \"twilio\"");
    assert_eq!(
        asked,
        ["`uri` is missing; add uri = \"sip:<trunk>.pstn.twilio.com\", where calls to this peer go"]
    );
}

#[test]
fn a_transport_that_the_provider_is_not_known_to_take_is_a_warning() {
    let warned = |transport: &str| {
        let uri = format!("uri = \"sip:carrier.example{transport}\"");
        let warnings = load(&format!("provider = \"voipms\"\n{uri}")).1;
        let of_it = warnings.into_iter().filter(|warning| warning.what.starts_with("`uri`"));
        of_it.map(|warning| format!("{}; {}", warning.what, warning.instead)).collect()
    };

    let expected = "`uri` is by TCP, which voipms is not known to take; \
                    write ;transport= for UDP or TLS, unless you agreed on this";
    let said: [Vec<String>; 3] = ["", ";transport=tls", ";transport=tcp"].map(warned);
    assert_eq!(said, [vec![], vec![], vec![expected.to_owned()]]);
}

#[test]
fn what_expand_prints_is_the_same_configuration() {
    for provider in PROVIDERS {
        let uri = if provider.keys.contains("uri = ") { "" } else { "uri = \"sip:carrier.example\"\n" };
        let text = file(&format!("provider = \"{}\"\n{uri}[trunks.profile]\nhold = \"pass\"", provider.name));
        let before = loaded(&text).0;

        let printed = expand(&text);

        assert!(printed.status.success(), "{printed:?}");
        let printed = String::from_utf8(printed.stdout).unwrap();
        let after = loaded(&printed).0;
        assert_eq!(before, after, "{}\n{printed}", provider.name);
        let unnamed = printed.replace(&format!("provider = \"{}\"", provider.name), "");
        let without = loaded(&unnamed).0;
        assert_eq!(without.routing.trunks[0].spelling, before.routing.trunks[0].spelling);
        assert_eq!(without.routing.trunks[0].headers, before.routing.trunks[0].headers);
        assert_eq!(without.routing.trunks[0].peer, before.routing.trunks[0].peer, "every key is written out");
    }
    assert!(named("telnyx").is_some_and(|telnyx| telnyx.keys.contains("X-Telnyx-Username")));
}

#[test]
fn headers_of_ones_own_take_the_place_of_the_presets_when_expanded_too() {
    for own in ["set_headers = {}", "set_headers = { X-Account = \"7\" }"] {
        let text = file(&format!("provider = \"telnyx\"\n{own}"));
        let before = loaded(&text).0.routing.trunks.remove(0).headers;

        let printed = String::from_utf8(expand(&text).stdout).unwrap();

        assert_eq!(loaded(&printed).0.routing.trunks[0].headers, before, "{printed}");
        assert!(printed.contains(&format!("{own}\n")), "{printed}");
    }
}

#[test]
fn expand_keeps_comments_and_shows_no_secret() {
    let text = file("provider = \"telnyx\" # ours").replace("\"env:TRUNK_PASSWORD\"", "\"s3cret\"");

    let printed = String::from_utf8(expand(&text).stdout).unwrap();

    assert!(printed.contains("provider = \"telnyx\" # ours\n"), "{printed}");
    assert!(printed.contains("password = \"env:RETELL_PASSWORD\"\n"), "{printed}");
    assert!(printed.contains("calls_per_second = 50\n"), "{printed}");
    assert!(!printed.contains("s3cret") && printed.contains("password = \"…\"\n"), "{printed}");
}

#[test]
fn expand_tells_what_is_known_of_the_provider_and_why_each_key_is_there() {
    for provider in PROVIDERS {
        let printed = expand(&file(&format!(
            "  provider = \"{}\"\n  uri = \"sip:carrier.example\"\n  allow = [\"192.0.2.1\"]",
            provider.name
        )));

        let printed = String::from_utf8(printed.stdout).unwrap();
        let (before, after) = printed.split_once(&format!("  provider = \"{}\"", provider.name)).unwrap();
        let facts = before.split_once("env:TRUNK_PASSWORD\"\n").unwrap().1;
        let said = facts.replace("  #   ", "").replace("  # ", "").replace('\n', " ");
        assert!(said.contains(&format!("source: {}.", provider.source)), "{facts}");
        assert!(
            said.contains(&format!("REFER: {}.", provider.refer.unwrap_or("nothing is said of it"))),
            "{facts}"
        );
        assert!(provider.notes.iter().all(|note| said.contains(note)), "{facts}");
        assert!(facts.lines().all(|line| line.starts_with("  #") && line.len() <= 112), "{facts}");
        for comment in provider.keys.lines().map(str::trim).filter(|line| line.starts_with('#')) {
            let is_over_a_key = after.contains(&format!("\n{comment}\n"));
            let of_what_the_file_says = comment.contains("Regions");
            assert!(is_over_a_key || of_what_the_file_says, "{comment}\n{after}");
        }
    }
}

#[test]
fn expand_writes_no_comment_where_toml_has_no_room_for_one() {
    let retell = file("").split("[[trunks]]").next().unwrap().to_owned();
    let trunk = "{ name = \"carrier\", provider = \"telnyx\", country = \"US\", username = \"acct\", \
                 password = \"env:TRUNK_PASSWORD\" }";

    let printed = String::from_utf8(expand(&format!("trunks = [{trunk}]\n{retell}")).stdout).unwrap();

    assert!(printed.contains("calls_per_second = 50"), "{printed}");
    assert!(!printed.contains('#'), "{printed}");
    loaded(&printed);
}

#[test]
fn expand_says_what_is_wrong_and_prints_nothing_then() {
    let output = expand(&file("provider = \"twilio\""));

    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("`uri` is missing"));
}

/// A good `[[retell]]`, and a trunk with credentials and these keys.
fn file(keys: &str) -> String {
    format!(
        "[[retell]]\nname = \"retell\"\nuri = \"sip:retell.example\"\nusername = \"u\"\n\
         password = \"env:RETELL_PASSWORD\"\n\n[[trunks]]\nname = \"carrier\"\ncountry = \"US\"\n\
         username = \"acct\"\npassword = \"env:TRUNK_PASSWORD\"\n{keys}\n"
    )
}

fn loaded(text: &str) -> (config::Config, Vec<config::reader::Problem>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let loaded = config::load(&path, &secrets()).unwrap();
    (loaded.config, loaded.warnings)
}

fn load(keys: &str) -> (TrunkConfig, Vec<config::reader::Problem>) {
    let (mut config, warnings) = loaded(&file(keys));
    (config.routing.trunks.remove(0), warnings)
}

fn mistakes(keys: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, file(keys)).unwrap();
    let problems = config::load(&path, &secrets()).unwrap_err();
    let mistakes = problems.iter().filter(|problem| problem.severity == config::reader::Severity::Mistake);
    mistakes.map(|problem| format!("{}; {}", problem.what, problem.instead)).collect()
}

fn expand(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut trunkline = Command::cargo_bin("trunkline").unwrap();
    trunkline.current_dir(folder.path()).env_clear().envs(secrets());
    trunkline.args(["check", "--expand"]).output().unwrap()
}

fn secrets() -> [(String, String); 2] {
    ["RETELL_PASSWORD", "TRUNK_PASSWORD"].map(|name| (name.to_owned(), "s3cret".to_owned()))
}

//! `[retell.profile]` and `[trunks.profile]`: presets, the keys laid over them, and the
//! words that make no sense.
//!
//! What each word does on the wire is tested with its feature: hold, update, prack,
//! session_timers, late_offer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::fs;

use calls::{CALLER, CalleeScript, CallerScript, SDP, Step, Way, body, in_weather, routes};
use trunkline::config;
use trunkline::routing::config::{Preset, Profile, Treatment};

#[test]
fn each_kind_of_peer_has_its_preset_unless_the_file_names_another() {
    let [retell, trunk] = profiles("", "").unwrap();
    assert_eq!((retell, trunk), (Profile::of(Preset::Retell), Profile::of(Preset::Standard)));

    let [retell, trunk] = profiles("preset = \"standard\"", "preset = \"retell\"").unwrap();
    assert_eq!((retell, trunk), (Profile::of(Preset::Standard), Profile::of(Preset::Retell)));
}

#[test]
fn a_key_wins_over_the_preset_wherever_it_stands() {
    let [_, trunk] = profiles("", "prack = \"force\"\npreset = \"retell\"\nmin_se_s = 300").unwrap();

    let expected = Profile { prack: Treatment::Force, min_se_s: 300, ..Profile::of(Preset::Retell) };
    assert_eq!(trunk, expected);
}

#[test]
fn a_word_that_makes_no_sense_for_a_feature_is_refused_with_the_reason_and_those_that_do() {
    for (line, said) in [
        (
            "hold = \"strip\"",
            "`hold` is \"strip\", but a peer that holds must be answered, and nobody is held by us; \
             write \"pass\" or \"terminate\"",
        ),
        (
            "prack = \"pass\"",
            "`prack` is \"pass\", but what is acknowledged on one leg says nothing of the other; \
             write \"terminate\", \"strip\" or \"force\"",
        ),
        (
            "session_timer = \"pass\"",
            "`session_timer` is \"pass\", but each leg has a session of its own; \
             write \"terminate\", \"strip\" or \"force\"",
        ),
        (
            "late_offer = \"force\"",
            "`late_offer` is \"force\", but every callee gets an offer of ours, and a late one is up to the \
             caller; \
             write \"terminate\" or \"strip\"",
        ),
        ("update = \"drop\"", "`update` is \"drop\"; write \"terminate\" or \"strip\""),
        ("preset = \"cisco\"", "`preset` is \"cisco\"; write \"retell\" or \"standard\""),
        ("min_se_s = 60", "`min_se_s` is 60; write a number from 90 to 86400"),
        ("holds = \"pass\"", "unknown key `holds`; write `hold`"),
    ] {
        assert_eq!(profiles("", line).unwrap_err(), [said], "{line}");
    }
}

#[test]
fn early_media_is_passed_or_stripped_as_the_callers_profile_says() {
    for (treatment, describes) in [(Treatment::Pass, true), (Treatment::Strip, false)] {
        let mut config = Way::ToRetell.config();
        config.trunks[0].peer.profile.early_media = treatment;
        let steps = [Step::new(100, 183, "Progress").with_sdp(SDP), Step::new(500, 200, "OK")];
        let fair = calls::Weather::FAIR;
        let mut network = in_weather(
            fair,
            1,
            routes::compile(&config),
            Way::ToRetell,
            CallerScript::default(),
            CalleeScript::saying(steps),
        );

        calls::finish(&mut network);

        let progress = network.received(CALLER, "SIP/2.0 183 ")[0];
        assert_eq!(!body(progress).is_empty(), describes, "{treatment:?}");
    }
}

/// The profiles of the `[[retell]]` and the trunk of a file with these lines in them,
/// or what is wrong with it.
fn profiles(retell: &str, trunk: &str) -> Result<[Profile; 2], Vec<String>> {
    let text = format!(
        "[[retell]]\nname = \"retell\"\nuri = \"sip:retell.example\"\ntrust_address = true\n\
         [retell.profile]\n{retell}\n[[trunks]]\nname = \"carrier\"\nuri = \"sip:carrier.example\"\n\
         allow = [\"198.51.100.0/24\"]\ncountry = \"US\"\n[trunks.profile]\n{trunk}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    match config::load(&file, &[]) {
        Ok(loaded) => {
            let routing = loaded.config.routing;
            Ok([routing.retell[0].peer.profile, routing.trunks[0].peer.profile])
        }
        Err(problems) => {
            Err(problems.iter().map(|problem| format!("{}; {}", problem.what, problem.instead)).collect())
        }
    }
}

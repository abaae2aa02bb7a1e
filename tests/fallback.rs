//! Retell cannot take a call: the next place in `fallback` gets it, with identifiers of its own, and the
//! caller hears ringing throughout.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::collections::HashSet;
use std::time::Duration;

use calls::{
    ByHand, CALLER, Callee, CalleeScript, Caller, CallerScript, End, Network, RETELL, RETELL_2, Step, TRUNK,
    Way, Weather, finish, header, routes, status, tag,
};
use trunkline::call::record::EndedBy;
use trunkline::routing::config::{Config, FallbackConfig};
use trunkline::sip::uri::Uri;

#[test]
fn whatever_retell_refuses_with_the_call_goes_to_the_number_by_the_trunk() {
    for code in [302, 400, 401, 403, 404, 408, 480, 486, 488, 500, 503, 603] {
        let network = fall_back(config(&[number()]), CalleeScript::refusing(code), CalleeScript::default());

        let invite = network.received(DESK, "INVITE ")[0];
        assert!(invite.starts_with("INVITE sip:+14155550199@198.51.100.20 SIP/2.0\r\n"), "{code}: {invite}");
        assert_eq!(network.agents[CALLER].ends(), [End::Released], "{code}");
        assert_eq!(network.bridge.world.records[0].sip_code, 200, "{code}");
    }
}

#[test]
fn each_attempt_has_a_call_id_and_tags_of_its_own() {
    let network = fall_back(config(&[number()]), CalleeScript::refusing(480), CalleeScript::default());

    let invites = [network.received(AGENT, "INVITE ")[0], network.received(DESK, "INVITE ")[0]];
    let ids: HashSet<_> =
        invites.iter().flat_map(|text| [header(text, "Call-ID").unwrap(), tag(text, "From")]).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn the_record_lists_every_attempt_and_says_why_the_call_went_on() {
    let network = fall_back(config(&[number()]), CalleeScript::refusing(486), CalleeScript::default());

    let record = &network.bridge.world.records[0];
    let legs: Vec<_> =
        record.legs.iter().map(|leg| (leg.peer.as_str(), leg.to.as_str(), leg.sip_code)).collect();
    assert_eq!(
        legs,
        [("carrier", "+14155550100", 200), ("retell", "+14155550100", 486), ("carrier", "+14155550199", 200)]
    );
    assert_eq!((record.to.as_str(), record.retell.as_str()), ("+14155550100", "retell"));
    assert_eq!(
        record.hints,
        ["retell has no agent for this call (486 No), so the call went on to +14155550199 (carrier)"]
    );
    assert_eq!((record.ended_by, record.reason.as_str()), (EndedBy::Caller, "the caller hung up"));
}

#[test]
fn a_retell_that_gives_no_response_is_left_after_4_s() {
    let mut network = two_callees(config(&[number()]), CalleeScript::default(), CalleeScript::default());
    network.agents[AGENT] = Box::new(ByHand::silent(RETELL));
    finish(&mut network);

    let asked = sent_to(&network, DESK, "INVITE ")[0] - sent_to(&network, AGENT, "INVITE ")[0];
    assert_eq!(asked.as_secs(), 4);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn an_agent_that_does_not_answer_in_time_is_cancelled_and_the_desk_rings_on() {
    let mut config = config(&[number()]);
    config.retell[0].peer.answer_timeout_s = 20;
    let ringing = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]);

    let network = fall_back(config, ringing, CalleeScript::default());

    assert_eq!(network.received(AGENT, "CANCEL ").len(), 1);
    let asked = sent_to(&network, DESK, "INVITE ")[0] - sent_to(&network, AGENT, "INVITE ")[0];
    assert_eq!(asked.as_secs(), 20);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    assert_eq!(network.received(CALLER, "SIP/2.0 180 ").len(), 1, "ringing is told once, whoever rings");
    assert_eq!(network.bridge.world.records[0].legs[1].sip_code, 487);
}

#[test]
fn a_caller_that_heard_nothing_yet_hears_ringing_when_the_call_goes_on() {
    let silent = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(5_000, 200, "OK")]);

    let network = fall_back(config(&[number()]), CalleeScript::refusing(503), silent);

    let rings = sent_to(&network, CALLER, "SIP/2.0 180 ");
    let asked = sent_to(&network, DESK, "INVITE ");
    assert_eq!(rings.len(), 1);
    assert!(rings[0] <= asked[0]);
}

#[test]
fn a_list_is_tried_in_order_and_the_last_code_reaches_the_caller() {
    let list = [number(), address("sip:desk@192.0.2.8"), FallbackConfig::Word("+14155550198".into())];
    let mut network = two_callees(config(&list), CalleeScript::refusing(480), CalleeScript::refusing(503));
    let desk = network.add(Callee::new(RETELL_2, CalleeScript::refusing(404)));
    finish(&mut network);

    let tried: Vec<_> = network.emitted.iter().filter(|it| it.bytes.starts_with(b"INVITE ")).collect();
    let tried: Vec<_> = tried.iter().map(|it| it.text().split(' ').nth(1).unwrap()).collect();
    assert_eq!(
        tried,
        [
            "sip:+14155550100@192.0.2.7",
            "sip:+14155550199@198.51.100.20",
            "sip:desk@192.0.2.8",
            "sip:+14155550198@198.51.100.20"
        ]
    );
    assert_eq!(network.received(desk, "INVITE ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Refused(503)]);
    assert_eq!(network.bridge.world.records[0].legs.len(), 5);
}

#[test]
fn a_busy_desk_is_told_to_the_caller_as_busy() {
    let network = fall_back(config(&[number()]), CalleeScript::refusing(486), CalleeScript::refusing(486));

    assert_eq!(network.agents[CALLER].ends(), [End::Refused(486)]);
}

#[test]
fn another_retell_gets_the_number_as_dialled_and_its_own_fallback_follows() {
    let mut config = config(&[FallbackConfig::Word("second".into())]);
    config.retell.push(routes::retell("second"));
    config.retell[1].peer.uris = vec![routes::address("192.0.2.8")];
    config.retell[1].fallback = vec![number()];
    let mut network = two_callees(config, CalleeScript::refusing(503), CalleeScript::default());
    let second = network.add(Callee::new(RETELL_2, CalleeScript::refusing(480)));
    finish(&mut network);

    let invite = network.received(second, "INVITE ")[0];
    assert!(invite.starts_with("INVITE sip:+14155550100@192.0.2.8 SIP/2.0\r\n"), "{invite}");
    assert_eq!(network.received(DESK, "INVITE ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn what_a_number_falls_back_to_stands_in_place_of_what_its_retell_does() {
    for (of_number, tried) in [(vec![number()], 1), (vec![], 0)] {
        let mut config = config(&[address("sip:nobody@192.0.2.8")]);
        let entry = routes::number("+14155550100", None, None);
        config.numbers =
            vec![trunkline::routing::config::NumberConfig { fallback: Some(of_number), ..entry }];

        let network = fall_back(config, CalleeScript::refusing(503), CalleeScript::default());

        assert_eq!(network.received(DESK, "INVITE ").len(), tried);
    }
}

#[test]
fn a_caller_that_gives_up_meanwhile_ends_everything() {
    let caller = CallerScript { cancel_after: Some(Duration::from_secs(3)), ..CallerScript::default() };
    let ringing = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]);
    let mut network = Network::new(routes::compile(&config(&[number()])), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, CalleeScript::refusing(480)));
    network.add(Callee::new(DESK_AT, ringing));
    finish(&mut network);

    assert_eq!(network.received(DESK, "CANCEL ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Refused(487)]);
    assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Caller);
}

#[test]
fn an_answer_that_cannot_be_used_goes_on_too() {
    let unusable = Step::new(200, 200, "OK").with_sdp("v=0\r\n");

    let network = fall_back(config(&[number()]), CalleeScript::saying([unusable]), CalleeScript::default());

    assert_eq!(network.received(AGENT, "BYE ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn after_early_media_the_next_callee_is_offered_the_codec_and_the_ports_that_the_caller_was_told() {
    let pcma = calls::SDP.replace("0 8 101", "8 101");
    let announcing = Step::new(100, 183, "Session Progress").with_sdp(&pcma);
    let desk = CalleeScript::saying([announcing, Step::new(2_000, 480, "Nobody")]);
    let answering = CalleeScript::saying([Step::new(100, 200, "OK").with_sdp(&pcma)]);
    let mut network =
        two_callees(config(&[number(), address("sip:desk@192.0.2.8")]), CalleeScript::refusing(503), desk);
    let last = network.add(Callee::new(RETELL_2, answering));
    finish(&mut network);

    let audio = |text: &str| text.lines().find(|line| line.starts_with("m=audio ")).unwrap().to_owned();
    let offers = [DESK, last].map(|who| audio(network.received(who, "INVITE ")[0]));
    assert!(offers[0].ends_with(" RTP/AVP 0 8 101"), "{offers:?}");
    assert!(offers[1].ends_with(" RTP/AVP 8 101"), "{offers:?}");
    let port = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(port(&offers[0]), port(&offers[1]));
    let told = ["SIP/2.0 183 ", "SIP/2.0 200 "].map(|start| audio(network.received(CALLER, start)[0]));
    assert_eq!(told[0], told[1]);
}

#[test]
fn an_address_that_is_no_trunks_own_gets_no_credentials_whatever_it_asks_for() {
    let challenge = Step::new(0, 401, "Prove It").with_headers(
        "WWW-Authenticate: Digest realm=\"desk\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n",
    );
    for (at, invites) in [("192.0.2.8", 1), ("198.51.100.20", 2)] {
        let mut config = config(&[address(&format!("sip:desk@{at}"))]);
        config.trunks[0].peer.username = Some("acct".into());
        config.trunks[0].peer.password = config.retell[0].peer.password.clone();
        let desk = CalleeScript { challenges: vec![challenge.clone()], ..CalleeScript::default() };
        let mut network = two_callees(config, CalleeScript::refusing(503), desk.clone());
        let other = network.add(Callee::new(RETELL_2, desk));
        finish(&mut network);

        let asked: Vec<_> = [DESK, other].iter().flat_map(|&who| network.received(who, "INVITE ")).collect();
        let shown = asked.iter().filter(|text| header(text, "Authorization").is_some()).count();
        assert_eq!((asked.len(), shown), (invites, invites - 1), "{at}");
    }
}

#[test]
fn the_dialled_number_is_no_fallback_for_itself() {
    let list = [FallbackConfig::Word("415 555 0100".into()), number()];

    let network = fall_back(config(&list), CalleeScript::refusing(503), CalleeScript::default());

    let tried: Vec<_> = network.received(DESK, "INVITE ").iter().map(|text| &text[..28]).collect();
    assert_eq!(tried, ["INVITE sip:+14155550199@198."]);
}

#[test]
fn calls_from_retell_have_no_fallback() {
    let mut config = Way::ToTrunk.config();
    config.retell[0].fallback = vec![address("sip:desk@198.51.100.20")];
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(Caller::new(RETELL, CallerScript::default()));
    network.add(Callee::new(TRUNK, CalleeScript::refusing(486)));
    network.add(Callee::new(DESK_AT, CalleeScript::default()));
    finish(&mut network);

    assert_eq!(network.agents[CALLER].ends(), [End::Refused(486)]);
}

/// A call from the trunk to an agent that does as `agent` says, then to the desk behind the trunk.
fn fall_back(config: Config, agent: CalleeScript, desk: CalleeScript) -> Network {
    let mut network = two_callees(config, agent, desk);
    finish(&mut network);
    assert!(network.messages(CALLER).iter().filter(|text| status(text) == Some(180)).count() <= 1);
    network
}

fn two_callees(config: Config, agent: CalleeScript, desk: CalleeScript) -> Network {
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, CallerScript::default()));
    network.add(Callee::new(RETELL, agent));
    network.add(Callee::new(DESK_AT, desk));
    network
}

/// The trunk's calls come from [`TRUNK`], and go to the desk.
fn config(fallback: &[FallbackConfig]) -> Config {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
    config.retell[0].fallback = fallback.to_vec();
    config
}

fn number() -> FallbackConfig {
    FallbackConfig::Word("+14155550199".into())
}

fn address(uri: &str) -> FallbackConfig {
    FallbackConfig::Address(Uri::parse(uri.as_bytes()).unwrap())
}

/// When the bridge sent messages that begin so to `agent`.
fn sent_to(network: &Network, agent: usize, start: &str) -> Vec<Duration> {
    let to = network.agents[agent].address();
    let sent = network.emitted.iter().filter(|it| it.to == to && it.bytes.starts_with(start.as_bytes()));
    sent.map(|it| it.after).collect()
}

const AGENT: usize = 1;
const DESK: usize = 2;
const DESK_AT: &str = "198.51.100.20:5060";

//! What a caller hears while the other side rings: its own exchange, or, once it listens to us, a tone of
//! ours (RFC 3960 §3.2), until somebody answers.
//!
//! How the tone sounds and gives way to real audio is tested in relay_ringing and relay_audio.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    CALLEE, CALLER, Callee, CalleeScript, Caller, CallerScript, DialogSide, End, Network, RETELL, Request,
    SDP, Step, TRUNK, Way, Weather, answer_to, body, finish, header, in_weather, leg, routes, status,
    with_body,
};
use trunkline::routing::Routes;
use trunkline::routing::config::{Config, FallbackConfig, Ringing, Treatment};
use trunkline::rtp::leg::Side;
use trunkline::rtp::ringback::Ringback;

#[test]
fn a_180_is_relayed_without_a_description_and_the_callers_own_exchange_rings() {
    for way in Way::BOTH {
        let mut network = calling(way, way.routes(), ringing());

        network.run(Duration::from_secs(1));

        assert_eq!(body(network.received(CALLER, "SIP/2.0 180 ")[0]), "");
        assert_eq!(rings(&network), None, "{way:?}");
        finish(&mut network);
    }
}

#[test]
fn with_generate_a_183_with_our_description_takes_the_place_of_every_180_and_we_ring_until_the_answer() {
    for way in Way::BOTH {
        let again =
            [Step::new(100, 180, "Ringing"), Step::new(700, 180, "Ringing"), Step::new(2_000, 200, "OK")];
        let mut network = calling(way, generating(way), CalleeScript::saying(again));

        network.run(Duration::from_millis(1_900));
        assert_eq!(rings(&network), Some(Ringback::of_country("US")), "{way:?}");
        assert_eq!(leg(&network, CALLER).remote.port(), 6_000, "the tone has somewhere to go");
        network.run(Duration::from_millis(500));

        assert_eq!(rings(&network), None, "{way:?}");
        finish(&mut network);
        assert_eq!(network.received(CALLER, "SIP/2.0 180 ").len(), 0);
        let told = network.received(CALLER, "SIP/2.0 183 ");
        assert_eq!(told.len(), 1);
        assert!(body(told[0]).contains("m=audio "));
        assert_eq!(body(told[0]), body(network.received(CALLER, "SIP/2.0 200 ")[0]));
        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    }
}

#[test]
fn the_183_of_ours_is_reliable_where_the_caller_has_100rel() {
    let script = CallerScript { headers: "Supported: 100rel\r\n".into(), ..CallerScript::default() };
    let mut network = in_weather(
        Weather::FAIR,
        1,
        generating(Way::ToRetell),
        Way::ToRetell,
        script,
        CalleeScript::saying([Step::new(100, 180, "Ringing")]),
    );

    network.run(Duration::from_secs(1));

    let told = network.received(CALLER, "SIP/2.0 183 ")[0];
    assert_eq!((header(told, "Require"), header(told, "RSeq").is_some()), (Some("100rel"), true));
}

#[test]
fn the_callee_may_take_another_codec_in_the_end_than_the_caller_was_told() {
    let pcma = SDP.replace("0 8 101", "8 101");
    let steps = [Step::new(100, 180, "Ringing"), Step::new(500, 200, "OK").with_sdp(&pcma)];
    let mut network = calling(Way::ToTrunk, generating(Way::ToTrunk), CalleeScript::saying(steps));

    network.run(Duration::from_secs(1));

    assert_eq!([CALLER, CALLEE].map(|who| leg(&network, who).audio_payload_type), [0, 8]);
    finish(&mut network);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn what_the_callee_described_with_its_180_is_the_codec_that_the_caller_is_told() {
    let pcma = SDP.replace("0 8 101", "8 101");
    let steps = [Step::new(100, 180, "Ringing").with_sdp(&pcma), Step::new(500, 200, "OK").with_sdp(&pcma)];
    let mut network = calling(Way::ToTrunk, generating(Way::ToTrunk), CalleeScript::saying(steps));

    finish(&mut network);

    let told = body(network.received(CALLER, "SIP/2.0 183 ")[0]);
    assert!(told.contains(" RTP/AVP 8 101\r\n"), "{told}");
}

#[test]
fn a_late_offer_is_rung_to_only_where_our_offer_cannot_be_lost_and_was_answered() {
    for (headers, describes) in [("", false), ("Supported: 100rel\r\n", true)] {
        let invite = Request { sdp: String::new(), ..Request::invite(TRUNK) }.with_headers(headers);
        let mut network = calls::ByHandCall::inviting(Way::ToRetell, generating(Way::ToRetell), &invite);
        let received = network.received(CALLEE, "INVITE ").last().unwrap().to_string();
        let ringing = calls::answer(&received, 180, "Ringing", "byhandtoo", calls::NO_BODY);
        network.say(RETELL.parse().unwrap(), &ringing);
        network.run(Duration::from_millis(100));

        if !describes {
            assert_eq!(body(network.received(CALLER, "SIP/2.0 180 ")[0]), "");
            assert_eq!(rings(&network), None);
            continue;
        }
        let told = network.received(CALLER, "SIP/2.0 183 ")[0].to_owned();
        let mut caller = DialogSide::of_caller(TRUNK.parse().unwrap(), &invite.to_string(), &told);
        let rack = format!("RAck: {} 1 INVITE\r\n", header(&told, "RSeq").unwrap());
        let prack = caller.request("PRACK", &with_body(&rack, SDP));
        assert_eq!(status(&answer_to(&mut network, CALLER, &prack)), Some(200));
        assert_eq!(leg(&network, CALLER).remote.port(), 6_000);
        assert_eq!(rings(&network), Some(Ringback::of_country("US")));
    }
}

#[test]
fn a_callee_that_only_rings_after_early_media_is_heard_to_ring_but_not_one_that_says_no_such_thing() {
    for (second, tone) in [(180, Some(Ringback::of_country("US"))), (182, None)] {
        let steps = [Step::new(100, 183, "Session Progress").with_sdp(SDP), Step::new(300, second, "Wait")];
        let mut network = calling(Way::ToRetell, Way::ToRetell.routes(), CalleeScript::saying(steps));

        network.run(Duration::from_secs(1));

        assert_eq!(rings(&network), tone, "{second}");
    }
}

#[test]
fn with_generate_a_caller_that_has_early_media_is_told_of_no_ringing_besides() {
    let steps = [
        Step::new(100, 183, "Session Progress").with_sdp(SDP),
        Step::new(300, 180, "Ringing"),
        Step::new(2_000, 200, "OK"),
    ];
    let mut network = calling(Way::ToRetell, generating(Way::ToRetell), CalleeScript::saying(steps));

    finish(&mut network);

    assert_eq!(network.received(CALLER, "SIP/2.0 183 ").len(), 1);
    assert!(network.received(CALLER, "SIP/2.0 180 ").is_empty());
}

#[test]
fn a_caller_whose_early_media_is_stripped_hears_our_ringing_in_its_place() {
    let mut config = generating_config(Way::ToRetell);
    config.trunks[0].peer.profile.early_media = Treatment::Strip;
    let steps = [Step::new(100, 183, "Progress").with_sdp(SDP), Step::new(300, 180, "Ringing")];
    let mut network = calling(Way::ToRetell, routes::compile(&config), CalleeScript::saying(steps));

    network.run(Duration::from_secs(1));

    let bodies = network.received(CALLER, "SIP/2.0 183 ").into_iter().map(|told| !body(told).is_empty());
    assert_eq!(bodies.collect::<Vec<_>>(), [false, true]);
    assert_eq!(rings(&network), Some(Ringback::of_country("US")));
    let described: Vec<_> = network.bridge.world.legs.keys().map(|(_, side)| *side).collect();
    assert_eq!(described, [Side::Caller], "nothing of the callee's is relayed");
}

#[test]
fn the_tone_is_that_of_the_country_dialled_else_of_the_trunks() {
    for (dialled, country) in
        [("+442079460100", "GB"), ("+390655501234", "IT"), ("+14155550100", "US"), ("1001", "US")]
    {
        let script = CallerScript { dialled: dialled.into(), ..CallerScript::default() };
        let routes = generating(Way::ToRetell);
        let mut network = in_weather(Weather::FAIR, 1, routes, Way::ToRetell, script, ringing());

        network.run(Duration::from_millis(500));

        assert_eq!(rings(&network), Some(Ringback::of_country(country)), "{dialled}");
    }
}

#[test]
fn after_early_media_a_call_that_falls_back_rings_until_the_desk_answers() {
    let announcing = [Step::new(100, 183, "Session Progress").with_sdp(SDP), Step::new(1_000, 480, "Nobody")];
    let mut network = with_desk(CalleeScript::saying(announcing), ringing());

    network.run(Duration::from_millis(900));
    assert_eq!(rings(&network), None, "the announcement is heard");
    network.run(Duration::from_millis(200));
    assert_eq!(rings(&network), Some(Ringback::of_country("US")), "before the desk said anything");
    network.run(Duration::from_secs(2));
    assert!(rings(&network).is_some());
    network.run(Duration::from_secs(1));

    assert_eq!(network.received(DESK, "ACK ").len(), 1);
    assert_eq!(rings(&network), None);
    finish(&mut network);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn before_any_description_a_call_that_falls_back_makes_the_callers_own_exchange_ring() {
    let mut network = with_desk(CalleeScript::refusing(480), ringing());

    network.run(Duration::from_secs(1));

    assert_eq!(network.received(CALLER, "SIP/2.0 180 ").len(), 1);
    assert_eq!(rings(&network), None);
}

#[test]
fn with_generate_a_call_that_falls_back_rings_from_the_first_refusal_on() {
    let mut config = desk_config();
    config.trunks[0].peer.profile.ringback = Ringing::Generate;
    let mut network = with_desk_as(&config, CalleeScript::refusing(480), ringing());

    network.run(Duration::from_millis(300));

    assert!(body(network.received(CALLER, "SIP/2.0 183 ")[0]).contains("m=audio "));
    assert_eq!(rings(&network), Some(Ringback::of_country("US")));
    finish(&mut network);
    assert_eq!(network.received(CALLER, "SIP/2.0 183 ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn a_caller_whose_agent_died_hears_ringing_until_the_desk_takes_over() {
    let mut network = with_desk(CalleeScript::default(), ringing());
    network.run(Duration::from_secs(1));
    assert_eq!(rings(&network), None);

    let call = *network.bridge.world.views.iter().next().unwrap();
    network.bridge.set_time(network.now, 1_000);
    network.bridge.on_media_silent(call, Side::Callee);
    network.run(Duration::from_secs(2));

    assert_eq!(rings(&network), Some(Ringback::of_country("US")));
    network.run(Duration::from_secs(2));
    assert_eq!(network.received(DESK, "ACK ").len(), 1);
    assert_eq!(rings(&network), None);
    finish(&mut network);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

/// What the caller of the only call hears in place of silence.
fn rings(network: &Network) -> Option<Ringback> {
    let ringing = &network.bridge.world.ringing;
    assert!(ringing.keys().all(|(_, side)| *side == Side::Caller));
    ringing.values().next().copied()
}

fn calling(way: Way, routes: Routes, callee: CalleeScript) -> Network {
    let caller = CallerScript { hang_up_after: Some(Duration::from_secs(8)), ..CallerScript::default() };
    in_weather(Weather::FAIR, 1, routes, way, caller, callee)
}

/// Rings soon, and answers after three seconds.
fn ringing() -> CalleeScript {
    CalleeScript::saying([
        Step::new(0, 100, "Trying"),
        Step::new(100, 180, "Ringing"),
        Step::new(3_000, 200, "OK"),
    ])
}

fn generating(way: Way) -> Routes {
    routes::compile(&generating_config(way))
}

fn generating_config(way: Way) -> Config {
    let mut config = way.config();
    match way {
        Way::ToRetell => config.trunks[0].peer.profile.ringback = Ringing::Generate,
        Way::ToTrunk => config.retell[0].peer.profile.ringback = Ringing::Generate,
    }
    config
}

fn with_desk(agent: CalleeScript, desk: CalleeScript) -> Network {
    with_desk_as(&desk_config(), agent, desk)
}

fn with_desk_as(config: &Config, agent: CalleeScript, desk: CalleeScript) -> Network {
    let caller = CallerScript { hang_up_after: Some(Duration::from_secs(8)), ..CallerScript::default() };
    let mut network = Network::new(routes::compile(config), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, agent));
    network.add(Callee::new(DESK_AT, desk));
    network
}

fn desk_config() -> Config {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
    config.retell[0].fallback = vec![FallbackConfig::Word("+14155550199".into())];
    config
}

const DESK: usize = 2;
const DESK_AT: &str = "198.51.100.20:5060";

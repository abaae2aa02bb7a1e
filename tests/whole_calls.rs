//! Whole calls through the real bridge on a simulated network, in virtual time: both peers, loss,
//! races, and nothing left.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    CALLEE, CALLER, Callee, CalleeScript, Caller, CallerScript, End, Network, RETELL, RETELL_2, STRANGER,
    Step, TRUNK, Way, Weather, assert_clean, header, in_weather, routes,
};
use trunkline::call::record::EndedBy;
use trunkline::routing::Routes;
use trunkline::rtp::leg::{ReserveError, Side};

#[test]
fn an_answered_call_is_released_on_both_sides_and_leaves_nothing() {
    let (network, caller, callee) = run(CallerScript::default(), CalleeScript::default(), Weather::FAIR, 1);

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    let record = &network.bridge.world.records[0];
    assert_eq!((record.sip_code, record.ended_by), (200, EndedBy::Caller));
    assert_eq!(record.answered_ms.map(|at| at / 100), Some(6));
    assert_clean(&network);
}

#[test]
fn thousands_of_calls_in_a_storm_end_on_both_sides_and_leave_nothing() {
    for seed in 0..40 {
        let caller = CallerScript {
            calls: 50,
            hang_up_after: (seed % 3 != 0).then(|| Duration::from_millis(100 * seed)),
            cancel_after: (seed % 5 == 0).then(|| Duration::from_millis(90 * seed)),
            ..CallerScript::default()
        };
        let last = match seed % 4 {
            0 => Step::new(700, 486, "Busy Here"),
            _ => Step::new(40 * seed, 200, "OK"),
        };
        let callee = CalleeScript {
            hang_up_after: (seed % 3 == 0).then(|| Duration::from_secs(3)),
            ..CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing"), last])
        };

        let (network, caller, callee) = run(caller, callee, Weather::STORM, seed);

        assert_eq!(network.bridge.world.records.len(), 50, "seed {seed}");
        for end in [caller, callee].iter().flat_map(|&agent| network.agents[agent].ends()) {
            assert!(!matches!(end, End::Open(_)), "seed {seed}: a leg was left up: {end:?}");
        }
        assert_clean(&network);
    }
}

#[test]
fn cancel_before_the_callee_said_anything_waits_for_its_first_word() {
    let caller = CallerScript { cancel_after: Some(Duration::from_millis(300)), ..CallerScript::default() };
    let callee = CalleeScript::saying([Step::new(2_000, 100, "Trying"), Step::new(60_000, 200, "OK")]);

    let (network, caller, callee) = run(caller, callee, Weather::FAIR, 2);

    assert_eq!(network.agents[caller].ends(), [End::Refused(487)]);
    assert_eq!(network.agents[callee].ends(), [End::Refused(487)]);
    let cancelled = network.sent_at("CANCEL ");
    assert!(cancelled[0] >= Duration::from_secs(2), "CANCEL went out at {cancelled:?}");
    assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Caller);
    assert_clean(&network);
}

#[test]
fn cancel_that_crosses_the_answer_ends_in_ack_and_bye_for_the_callee() {
    let weather = Weather { delay_ms: (50, 50), ..Weather::FAIR };
    let caller = CallerScript { cancel_after: Some(Duration::from_millis(680)), ..CallerScript::default() };
    let callee = answering_after(640);

    let (network, caller, callee) = run(caller, callee, weather, 3);

    assert_eq!(network.agents[caller].ends(), [End::Refused(487)]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    assert_eq!(network.sent_at("ACK ").len(), 1);
    assert_eq!(network.sent_at("BYE ").len(), 1);
    assert_clean(&network);
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let weather = Weather { delay_ms: (50, 50), ..Weather::FAIR };
    let caller = CallerScript {
        cancel_after: Some(Duration::from_millis(790)),
        hang_up_after: Some(Duration::from_secs(5)),
        ..CallerScript::default()
    };

    let (network, caller, _) = run(caller, CalleeScript::default(), weather, 4);

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.bridge.world.records[0].sip_code, 200);
    assert_clean(&network);
}

#[test]
fn a_call_whose_answer_is_never_acknowledged_ends_after_64_t1_with_bye_on_both_sides() {
    let caller =
        CallerScript { acks_from: CallerScript::NEVER, hang_up_after: None, ..CallerScript::default() };

    let (network, caller, callee) = run(caller, CalleeScript::default(), Weather::FAIR, 5);

    let record = &network.bridge.world.records[0];
    assert_eq!(record.ended_by, EndedBy::Trunkline);
    assert_eq!((record.ended_ms - record.answered_ms.unwrap()) / 1000, 32);
    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    let answers = network.received(caller, "SIP/2.0 200 ").len();
    assert_eq!(answers, 11, "the 200 and its repeats from T1 doubling to T2");
    assert_clean(&network);
}

#[test]
fn a_fork_that_answers_second_gets_ack_and_bye() {
    let both = [Step::new(600, 200, "OK"), Step::new(600, 200, "OK").of("fork")];
    let callee = CalleeScript::saying(both);

    let (network, caller, _) = run(CallerScript::default(), callee, Weather::FAIR, 6);

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    let releases = network.agents[1].messages().iter().filter(|text| text.starts_with("BYE "));
    let tags: Vec<_> = releases.filter_map(|bye| header(bye, "To")?.split("tag=").nth(1)).collect();
    assert_eq!(tags, ["t5060fork", "t5060"]);
    assert_clean(&network);
}

#[test]
fn an_unanswered_call_ends_at_the_peers_answer_time_out_with_480() {
    let callee = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]);

    let (network, caller, callee) = run(CallerScript::default(), callee, Weather::FAIR, 7);

    assert_eq!(network.agents[caller].ends(), [End::Refused(480)]);
    assert_eq!(network.agents[callee].ends(), [End::Refused(487)]);
    assert_eq!(network.bridge.world.records[0].ended_ms / 1000, 90);
    assert_clean(&network);
}

#[test]
fn retells_refusals_reach_the_trunk_as_what_they_mean() {
    for (refused, told) in [(486, 480), (404, 480), (503, 503), (500, 500), (403, 503), (603, 503)] {
        let (network, caller, _) =
            run(CallerScript::default(), CalleeScript::refusing(refused), Weather::FAIR, 8);

        assert_eq!(network.agents[caller].ends(), [End::Refused(told)], "{refused}");
        assert_clean(&network);
    }
}

#[test]
fn a_silent_target_is_left_after_4_s_and_its_late_answer_is_released() {
    let mut network = Network::new(two_retell_targets(), 10, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    let late = CalleeScript::saying([Step::new(5_000, 180, "Ringing"), Step::new(5_001, 200, "OK")]);
    let first = network.add(Callee::new(RETELL, late));
    let second = network.add(Callee::new(RETELL_2, CalleeScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[second].ends(), [End::Released]);
    assert_eq!(network.agents[first].ends(), [End::Released]);
    let second_target = network.emitted.iter().filter(|it| it.to.to_string() == RETELL_2);
    let invited: Vec<_> =
        second_target.filter(|it| it.text().starts_with("INVITE ")).map(|it| it.after.as_millis()).collect();
    assert_eq!(invited, [4_001]);
    let call_ids: Vec<_> = [first, second]
        .iter()
        .map(|&agent| header(&network.agents[agent].messages()[0], "Call-ID").unwrap().to_owned())
        .collect();
    assert_ne!(call_ids[0], call_ids[1], "identifiers are fresh for every target");
    assert_clean(&network);
}

#[test]
fn a_busy_server_sends_the_call_to_the_next_target_and_a_callee_that_declines_does_not() {
    for (code, goes_on) in [(503, true), (500, true), (486, false), (603, false), (404, false)] {
        let mut network = Network::new(two_retell_targets(), 11, Weather::FAIR);
        let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
        network.add(Callee::new(RETELL, CalleeScript::refusing(code)));
        network.add(Callee::new(RETELL_2, CalleeScript::default()));
        network.run(Duration::from_secs(300));

        let released = network.agents[caller].ends() == [End::Released];
        assert_eq!(released, goes_on, "{code}");
        assert_clean(&network);
    }
}

#[test]
fn a_server_that_fails_after_ringing_ends_the_call() {
    let mut network = Network::new(two_retell_targets(), 12, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    let failing = [Step::new(100, 180, "Ringing"), Step::new(300, 503, "No")];
    network.add(Callee::new(RETELL, CalleeScript::saying(failing)));
    network.add(Callee::new(RETELL_2, CalleeScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Refused(503)]);
    assert_clean(&network);
}

#[test]
fn when_no_target_answers_at_all_the_caller_is_told_503() {
    let mut network = Network::new(two_retell_targets(), 13, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Refused(503)]);
    assert_eq!(network.bridge.world.records[0].ended_ms / 1000, 14, "4 s, then 10 s for the last one");
    assert_clean(&network);
}

#[test]
fn ringing_is_told_once_however_often_the_callee_says_it() {
    let weather = Weather { doubled: 100, ..Weather::FAIR };

    let (network, ..) = run(CallerScript::default(), CalleeScript::default(), weather, 14);

    assert_eq!(network.sent_at("SIP/2.0 180 ").len(), 1);
    assert_clean(&network);
}

#[test]
fn without_media_ports_the_caller_is_told_503_with_retry_after() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    network.bridge.world.refuses = Some(ReserveError::NoPorts { in_use: 4, resting: 0, refused: 0 });
    network.run(Duration::from_secs(200));

    assert_eq!(network.agents[0].ends(), [End::Refused(503)]);
    assert!(header(network.agents[0].messages().last().unwrap(), "Retry-After").is_some());
    assert_clean(&network);
}

#[test]
fn an_offer_of_an_address_family_that_we_have_not_is_told_488_with_a_warning() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    network.bridge.world.refuses = Some(ReserveError::NoFamily { side: Side::Caller });
    network.run(Duration::from_secs(200));

    let refusal = network.agents[0].messages().last().unwrap();
    assert_eq!(network.agents[0].ends(), [End::Refused(488)]);
    assert_eq!(
        header(refusal, "Warning").unwrap(),
        "301 203.0.113.10 \"Incompatible network address formats\""
    );
    assert_eq!(header(refusal, "Retry-After"), None);
    assert_clean(&network);
}

#[test]
fn a_callee_of_an_address_family_that_we_have_not_is_passed_over() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    network.bridge.world.refuses = Some(ReserveError::NoFamily { side: Side::Callee });
    network.run(Duration::from_secs(200));

    assert_eq!(network.agents[0].ends(), [End::Refused(503)]);
    assert!(network.bridge.world.records[0].reason.contains("address family of the callee"));
    assert_clean(&network);
}

#[test]
fn a_stranger_gets_no_byte() {
    let routes = routes::compile(&routes::config());
    let mut network = Network::new(routes, 16, Weather::FAIR);
    let stranger = network.add(Caller::new(STRANGER, CallerScript::default()));
    network.run(Duration::from_secs(200));

    assert!(network.emitted.is_empty());
    assert!(network.messages(stranger).is_empty());
    assert!(network.bridge.world.records.is_empty());
    assert_clean(&network);
}

fn run(caller: CallerScript, callee: CalleeScript, weather: Weather, seed: u64) -> (Network, usize, usize) {
    let way = Way::ToRetell;
    let mut network = in_weather(weather, seed, way.routes(), way, caller, callee);
    network.run(Duration::from_secs(400));
    (network, CALLER, CALLEE)
}

fn answering_after(ms: u64) -> CalleeScript {
    CalleeScript::saying([
        Step::new(0, 100, "Trying"),
        Step::new(100, 180, "Ringing"),
        Step::new(ms, 200, "OK"),
    ])
}

fn two_retell_targets() -> Routes {
    let mut config = Way::ToRetell.config();
    config.retell[0].peer.uris.push(routes::address("192.0.2.8"));
    routes::compile(&config)
}

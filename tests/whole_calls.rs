//! Whole calls through the real bridge on a simulated network, in virtual time: both peers, loss, races, and nothing left.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agents.rs"]
mod agents;
#[path = "support/network.rs"]
mod network;
#[path = "support/routes.rs"]
mod routes;

use std::time::Duration;

use agents::{Callee, CalleeScript, Caller, CallerScript, End, header};
use network::{Network, Weather, assert_nothing_left};
use trunkline::call::record::EndedBy;
use trunkline::routing::Routes;
use trunkline::sip::uri::Uri;

#[test]
fn an_answered_call_is_released_on_both_sides_and_leaves_nothing() {
    let (network, caller, callee) = run(CallerScript::default(), CalleeScript::default(), Weather::FAIR, 1);

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    let record = &network.bridge.world.records[0];
    assert_eq!((record.sip_code, record.ended_by), (200, EndedBy::Caller));
    assert_eq!(record.answered_ms.map(|at| at / 100), Some(6));
    assert_nothing_left(&network);
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
        let callee = CalleeScript {
            final_after: match seed % 4 {
                0 => Some((486, "Busy Here", Duration::from_millis(700))),
                _ => Some((200, "OK", Duration::from_millis(40 * seed))),
            },
            hang_up_after: (seed % 3 == 0).then(|| Duration::from_secs(3)),
            ..CalleeScript::default()
        };

        let (network, caller, callee) = run(caller, callee, Weather::STORM, seed);

        assert_eq!(network.bridge.world.records.len(), 50, "seed {seed}");
        for end in [caller, callee].iter().flat_map(|&agent| network.agents[agent].ends()) {
            assert!(!matches!(end, End::Open(_)), "seed {seed}: a leg was left up: {end:?}");
        }
        assert_nothing_left(&network);
    }
}

#[test]
fn cancel_before_the_callee_said_anything_waits_for_its_first_word() {
    let caller = CallerScript { cancel_after: Some(Duration::from_millis(300)), ..CallerScript::default() };
    let callee = CalleeScript {
        trying_after: Some(Duration::from_secs(2)),
        rings: None,
        final_after: Some((200, "OK", Duration::from_secs(60))),
        ..CalleeScript::default()
    };

    let (network, caller, callee) = run(caller, callee, Weather::FAIR, 2);

    assert_eq!(network.agents[caller].ends(), [End::Refused(487)]);
    assert_eq!(network.agents[callee].ends(), [End::Refused(487)]);
    let cancelled = sent(&network, "CANCEL ");
    assert!(cancelled[0] >= Duration::from_secs(2), "CANCEL went out at {cancelled:?}");
    assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Caller);
    assert_nothing_left(&network);
}

#[test]
fn cancel_that_crosses_the_answer_ends_in_ack_and_bye_for_the_callee() {
    let weather = Weather { delay_ms: (50, 50), ..Weather::FAIR };
    let caller = CallerScript { cancel_after: Some(Duration::from_millis(680)), ..CallerScript::default() };
    let callee = CalleeScript {
        final_after: Some((200, "OK", Duration::from_millis(640))),
        ..CalleeScript::default()
    };

    let (network, caller, callee) = run(caller, callee, weather, 3);

    assert_eq!(network.agents[caller].ends(), [End::Refused(487)]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    assert_eq!(sent(&network, "ACK ").len(), 1);
    assert_eq!(sent(&network, "BYE ").len(), 1);
    assert_nothing_left(&network);
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
    assert_nothing_left(&network);
}

#[test]
fn a_call_whose_answer_is_never_acknowledged_ends_after_64_t1_with_bye_on_both_sides() {
    let caller = CallerScript { never_acks: true, hang_up_after: None, ..CallerScript::default() };

    let (network, caller, callee) = run(caller, CalleeScript::default(), Weather::FAIR, 5);

    let record = &network.bridge.world.records[0];
    assert_eq!(record.ended_by, EndedBy::Trunkline);
    assert_eq!((record.ended_ms - record.answered_ms.unwrap()) / 1000, 32);
    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[callee].ends(), [End::Released]);
    let answers = network.agents[caller].received().iter().filter(|line| line.contains(" 200 ")).count();
    assert_eq!(answers, 11, "the 200 and its repeats from T1 doubling to T2");
    assert_nothing_left(&network);
}

#[test]
fn a_fork_that_answers_second_gets_ack_and_bye() {
    let callee = CalleeScript { forks: true, ..CalleeScript::default() };

    let (network, caller, _) = run(CallerScript::default(), callee, Weather::FAIR, 6);

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    let releases = network.agents[1].messages().iter().filter(|text| text.starts_with("BYE "));
    let tags: Vec<_> = releases.filter_map(|bye| header(bye, "To")?.split("tag=").nth(1)).collect();
    assert_eq!(tags, ["otherfork", "t5060"]);
    assert_nothing_left(&network);
}

#[test]
fn an_unanswered_call_ends_at_the_peers_answer_time_out_with_480() {
    let callee = CalleeScript { final_after: None, ..CalleeScript::default() };

    let (network, caller, callee) = run(CallerScript::default(), callee, Weather::FAIR, 7);

    assert_eq!(network.agents[caller].ends(), [End::Refused(480)]);
    assert_eq!(network.agents[callee].ends(), [End::Refused(487)]);
    assert_eq!(network.bridge.world.records[0].ended_ms / 1000, 90);
    assert_nothing_left(&network);
}

#[test]
fn retells_refusals_reach_the_trunk_as_what_they_mean() {
    for (refused, told) in [(486, 480), (404, 480), (503, 503), (500, 500), (403, 503), (603, 503)] {
        let callee = CalleeScript {
            final_after: Some((refused, "No", Duration::from_millis(200))),
            ..CalleeScript::default()
        };

        let (network, caller, _) = run(CallerScript::default(), callee, Weather::FAIR, 8);

        assert_eq!(network.agents[caller].ends(), [End::Refused(told)], "{refused}");
        assert_nothing_left(&network);
    }
}

#[test]
fn a_challenge_of_the_callee_is_answered_with_the_same_call_id_and_the_next_cseq() {
    for code in [401, 407] {
        let callee = CalleeScript { challenges: Some(code), ..CalleeScript::default() };

        let (network, caller, callee) = run(CallerScript::default(), callee, Weather::FAIR, 9);

        assert_eq!(network.agents[caller].ends(), [End::Released]);
        let invites: Vec<_> =
            network.agents[callee].messages().iter().filter(|text| text.starts_with("INVITE ")).collect();
        assert_eq!(invites.len(), 2);
        assert_eq!(header(invites[0], "Call-ID"), header(invites[1], "Call-ID"));
        assert_eq!(header(invites[0], "From"), header(invites[1], "From"));
        assert_eq!(
            (header(invites[0], "CSeq"), header(invites[1], "CSeq")),
            (Some("1 INVITE"), Some("2 INVITE"))
        );
        let name = if code == 401 { "Authorization" } else { "Proxy-Authorization" };
        let authorization = header(invites[1], name).unwrap();
        assert_eq!(authorization.contains("qop"), code == 401, "{authorization}");
        assert_nothing_left(&network);
    }
}

#[test]
fn a_silent_target_is_left_after_4_s_and_its_late_answer_is_released() {
    let mut network = Network::new(two_retell_targets(), 10, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    let late = CalleeScript {
        trying_after: None,
        rings: Some((180, Duration::from_secs(5))),
        final_after: Some((200, "OK", Duration::from_millis(5_001))),
        ..CalleeScript::default()
    };
    let first = network.add(Callee::new(RETELL, late));
    let second = network.add(Callee::new(RETELL_2, CalleeScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Released]);
    assert_eq!(network.agents[second].ends(), [End::Released]);
    assert_eq!(network.agents[first].ends(), [End::Released]);
    let invited: Vec<_> = network
        .from_bridge
        .iter()
        .filter(|(_, to, line)| line.starts_with("INVITE ") && to.to_string() == RETELL_2)
        .map(|(at, ..)| at.as_millis())
        .collect();
    assert_eq!(invited, [4_001]);
    let call_ids: Vec<_> = [first, second]
        .iter()
        .map(|&agent| header(&network.agents[agent].messages()[0], "Call-ID").unwrap().to_owned())
        .collect();
    assert_ne!(call_ids[0], call_ids[1], "identifiers are fresh for every target");
    assert_nothing_left(&network);
}

#[test]
fn a_busy_server_sends_the_call_to_the_next_target_and_a_callee_that_declines_does_not() {
    for (code, goes_on) in [(503, true), (500, true), (486, false), (603, false), (404, false)] {
        let mut network = Network::new(two_retell_targets(), 11, Weather::FAIR);
        let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
        let refusing = CalleeScript {
            rings: None,
            final_after: Some((code, "No", Duration::from_millis(100))),
            ..CalleeScript::default()
        };
        network.add(Callee::new(RETELL, refusing));
        network.add(Callee::new(RETELL_2, CalleeScript::default()));
        network.run(Duration::from_secs(300));

        let released = network.agents[caller].ends() == [End::Released];
        assert_eq!(released, goes_on, "{code}");
        assert_nothing_left(&network);
    }
}

#[test]
fn a_server_that_fails_after_ringing_ends_the_call() {
    let mut network = Network::new(two_retell_targets(), 12, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    let failing = CalleeScript {
        final_after: Some((503, "No", Duration::from_millis(300))),
        ..CalleeScript::default()
    };
    network.add(Callee::new(RETELL, failing));
    network.add(Callee::new(RETELL_2, CalleeScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Refused(503)]);
    assert_nothing_left(&network);
}

#[test]
fn when_no_target_answers_at_all_the_caller_is_told_503() {
    let mut network = Network::new(two_retell_targets(), 13, Weather::FAIR);
    let caller = network.add(Caller::new(TRUNK, CallerScript::default()));
    network.run(Duration::from_secs(300));

    assert_eq!(network.agents[caller].ends(), [End::Refused(503)]);
    assert_eq!(network.bridge.world.records[0].ended_ms / 1000, 14, "4 s, then 10 s for the last one");
    assert_nothing_left(&network);
}

#[test]
fn ringing_is_told_once_however_often_the_callee_says_it() {
    let callee = CalleeScript { rings: Some((180, Duration::from_millis(100))), ..CalleeScript::default() };
    let weather = Weather { doubled: 100, ..Weather::FAIR };

    let (network, ..) = run(CallerScript::default(), callee, weather, 14);

    assert_eq!(sent(&network, "SIP/2.0 180 ").len(), 1);
    assert_nothing_left(&network);
}

#[test]
fn without_media_ports_the_caller_is_told_503_with_retry_after() {
    let mut network = network(15, Weather::FAIR, CallerScript::default(), CalleeScript::default());
    network.bridge.world.exhausted = true;
    network.run(Duration::from_secs(200));

    assert_eq!(network.agents[0].ends(), [End::Refused(503)]);
    assert!(header(network.agents[0].messages().last().unwrap(), "Retry-After").is_some());
    assert_nothing_left(&network);
}

#[test]
fn a_stranger_gets_no_byte() {
    let routes = routes::compile(&routes::config());
    let mut network = Network::new(routes, 16, Weather::FAIR);
    let stranger = network.add(Caller::new("203.0.113.66:5060", CallerScript::default()));
    network.run(Duration::from_secs(200));

    assert!(network.from_bridge.is_empty());
    assert!(network.agents[stranger].received().is_empty());
    assert!(network.bridge.world.records.is_empty());
    assert_nothing_left(&network);
}

fn run(caller: CallerScript, callee: CalleeScript, weather: Weather, seed: u64) -> (Network, usize, usize) {
    let mut network = network(seed, weather, caller, callee);
    network.run(Duration::from_secs(400));
    (network, 0, 1)
}

/// A trunk that calls one Retell endpoint.
fn network(seed: u64, weather: Weather, caller: CallerScript, callee: CalleeScript) -> Network {
    let mut network = Network::new(one_retell_target(), seed, weather);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, callee));
    network
}

fn one_retell_target() -> Routes {
    let mut config = routes::config();
    config.retell[0].peer.uris = vec![Uri::parse(b"sip:192.0.2.7").unwrap()];
    config.retell[0].peer.answer_timeout_s = 90;
    routes::compile(&config)
}

fn two_retell_targets() -> Routes {
    let mut config = routes::config();
    config.retell[0].peer.uris =
        vec![Uri::parse(b"sip:192.0.2.7").unwrap(), Uri::parse(b"sip:192.0.2.8").unwrap()];
    config.retell[0].peer.answer_timeout_s = 90;
    routes::compile(&config)
}

/// When the bridge sent messages that begin with `prefix`.
fn sent(network: &Network, prefix: &str) -> Vec<Duration> {
    let lines = network.from_bridge.iter().filter(|(_, _, line)| line.starts_with(prefix));
    lines.map(|(at, ..)| *at).collect()
}

const TRUNK: &str = "198.51.100.7:5060";
const RETELL: &str = "192.0.2.7:5060";
const RETELL_2: &str = "192.0.2.8:5060";

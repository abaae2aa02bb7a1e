//! Targets that are asked by OPTIONS: what their answers and their silence mean for calls, and what is shown
//! of them.
#![allow(clippy::unwrap_used)]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{ByHand, Network, RETELL, Request, TRUNK, TRUNK_2, Way, Weather, answer, ask, header, routes};

#[test]
fn every_target_is_asked_as_often_as_configured_and_shown() {
    let mut network = watched();

    for _ in 0..3 {
        network.run(Duration::from_millis(100));
        reply(&mut network, FIRST, 200, "");
        reply(&mut network, SECOND, 405, "");
        network.wait(Duration::from_millis(9_900) - spent());
    }

    assert_eq!(network.received(FIRST, "OPTIONS ").len(), 3);
    let options = network.received(FIRST, "OPTIONS ")[0];
    assert!(options.starts_with("OPTIONS sip:198.51.100.7 SIP/2.0\r\n"), "{options}");
    assert_eq!(states(&network), [("up", Some(200)), ("up", Some(405))]);
    let shown = &network.bridge.trunks()[0];
    assert_eq!((shown.name.as_str(), shown.kind), ("carrier", "trunk"));
    assert_eq!(shown.targets[0].target, "udp:198.51.100.7:5060");
    assert!(shown.targets[0].latency_ms.is_some_and(|ms| ms >= 2.0), "{shown:?}");
    assert!(network.bridge.trunks()[1].targets.is_empty(), "Retell is not watched");
}

#[test]
fn a_target_that_stops_answering_is_tried_last_until_it_answers() {
    let mut network = watched();
    network.run(Duration::from_millis(100));
    reply(&mut network, FIRST, 200, "");
    reply(&mut network, SECOND, 200, "");
    for _ in 0..4 {
        network.wait(Duration::from_secs(10));
        reply(&mut network, SECOND, 200, "");
    }
    assert_eq!(states(&network), [("down", Some(200)), ("up", Some(200))]);

    call(&mut network, "one");
    assert_eq!(invites(&network), (0, 1));

    reply(&mut network, FIRST, 200, "");
    assert_eq!(states(&network)[0], ("up", Some(200)));
    call(&mut network, "two");
    assert_eq!(invites(&network).1, 1, "the first is the first again");
    assert!(invites(&network).0 > 0);
}

#[test]
fn a_busy_target_is_tried_last_and_one_that_never_answered_keeps_its_place() {
    let mut network = watched();
    for _ in 0..5 {
        network.run(Duration::from_millis(100));
        reply(&mut network, SECOND, 503, "Retry-After: 600\r\n");
        network.wait(Duration::from_millis(9_900) - spent());
    }

    assert_eq!(states(&network), [("unknown", None), ("busy", Some(503))]);
    call(&mut network, "one");
    assert!(invites(&network).0 > 0, "silence alone proves nothing");
    assert_eq!(invites(&network).1, 0);
}

const FIRST: usize = 1;
const SECOND: usize = 2;

/// A trunk with two targets that is watched every 10 s; agent 0 is Retell, which may call.
fn watched() -> Network {
    let mut config = Way::ToTrunk.config();
    config.trunks[0].peer.uris.push(routes::address("198.51.100.8"));
    config.trunks[0].peer.options_s = 10;
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(ByHand::new(RETELL));
    network.add(ByHand::new(TRUNK));
    network.add(ByHand::new(TRUNK_2));
    network
}

/// Answers the last OPTIONS that `agent` got.
fn reply(network: &mut Network, agent: usize, code: u16, headers: &str) {
    let options = network.received(agent, "OPTIONS ").last().unwrap().to_string();
    assert_eq!(header(&options, "CSeq"), Some("1 OPTIONS"));
    let rest = format!("{headers}{}", calls::NO_BODY);
    ask(network, agent, &answer(&options, code, "Whatever", "far", &rest));
}

fn call(network: &mut Network, name: &str) {
    let invite = Request { call_id: name.into(), branch: name.into(), ..Request::invite(RETELL) };
    ask(network, 0, &invite.to_string());
}

fn invites(network: &Network) -> (usize, usize) {
    (network.received(FIRST, "INVITE ").len(), network.received(SECOND, "INVITE ").len())
}

fn states(network: &Network) -> Vec<(&'static str, Option<u16>)> {
    network.bridge.trunks()[0].targets.iter().map(|target| (target.state, target.last_code)).collect()
}

/// What two replies take of a round.
fn spent() -> Duration {
    Duration::from_millis(200)
}

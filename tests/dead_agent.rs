//! An agent that answered falls silent for good: the next place in `fallback` takes over the call that the
//! caller is in, or the call ends on both sides with a truthful record.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    Callee, CalleeScript, Caller, CallerScript, End, Network, RETELL, Step, TRUNK, Way, Weather, finish,
    header, routes,
};
use trunkline::call::record::EndedBy;
use trunkline::id::CallId;
use trunkline::routing::config::{Config, FallbackConfig};
use trunkline::rtp::leg::Side;

#[test]
fn the_desk_takes_over_and_the_caller_hears_of_it_by_nothing_but_its_voice() {
    let mut network = in_a_call(CalleeScript::default());
    let before = network.messages(CALLER).len();
    let caller_leg = network.bridge.world.legs[&(id(&network), Side::Caller)].clone();

    fall_silent(&mut network, Side::Callee);
    network.run(Duration::from_secs(3));

    let bye = network.received(AGENT, "BYE ")[0];
    assert_eq!(header(bye, "Reason"), Some("Q.850;cause=102;text=\"recovery on timer expiry\""));
    let invite = network.received(DESK, "INVITE ")[0];
    assert!(invite.contains(" RTP/AVP 0 101\r\n"), "the caller was promised PCMU: {invite}");
    assert_eq!(network.messages(CALLER).len(), before, "its call goes on");
    let world = &network.bridge.world;
    assert_eq!(world.legs[&(id(&network), Side::Caller)], caller_leg);
    assert_eq!(world.legs[&(id(&network), Side::Callee)].remote.port(), 6000);
    finish(&mut network);
    for who in [CALLER, AGENT, DESK] {
        assert_eq!(network.agents[who].ends(), [End::Released]);
    }
}

#[test]
fn the_record_of_a_call_that_was_taken_over_lists_both_with_their_own_figures() {
    let mut network = in_a_call(CalleeScript::default());
    network.bridge.world.packets_from_callee = 500;
    fall_silent(&mut network, Side::Callee);
    network.run(Duration::from_secs(1));
    network.bridge.world.packets_from_callee = 70;
    finish(&mut network);

    let record = &network.bridge.world.records[0];
    let legs: Vec<_> =
        record.legs.iter().map(|leg| (leg.to.as_str(), leg.sip_code, leg.media.packets_received)).collect();
    assert_eq!(legs, [("+14155550100", 200, 0), ("+14155550100", 200, 500), ("+14155550199", 200, 70)]);
    assert_eq!(
        (record.ended_by, record.sip_code, record.reason.as_str()),
        (EndedBy::Caller, 200, "the caller hung up")
    );
    assert_eq!(
        record.hints,
        ["no audio came from retell any more, so the call went on to +14155550199 (carrier)"]
    );
}

#[test]
fn the_agents_figures_stay_its_own_however_many_are_tried_after_it() {
    let mut network = network(&[number(), number()], CalleeScript::refusing(480));
    network.run(Duration::from_secs(2));
    network.bridge.world.packets_from_callee = 500;
    fall_silent(&mut network, Side::Callee);
    network.bridge.world.packets_from_callee = 70;
    finish(&mut network);

    let received = network.bridge.world.records[0].legs.iter().map(|leg| leg.media.packets_received);
    assert_eq!(received.collect::<Vec<_>>(), [0, 500, 0, 0]);
}

#[test]
fn when_the_desk_does_not_take_over_the_caller_gets_bye() {
    for (desk, cause) in [(CalleeScript::refusing(486), 17), (CalleeScript::refusing(503), 41)] {
        let mut network = in_a_call(desk);

        fall_silent(&mut network, Side::Callee);
        finish(&mut network);

        let bye = network.received(CALLER, "BYE ")[0];
        assert!(header(bye, "Reason").unwrap().starts_with(&format!("Q.850;cause={cause};")), "{bye}");
        let record = &network.bridge.world.records[0];
        assert_eq!((record.ended_by, record.sip_code), (EndedBy::Trunkline, 200));
        let why = "no audio came from retell any more, and carrier refused the call: ";
        assert!(record.reason.starts_with(why), "{}", record.reason);
    }
}

#[test]
fn without_a_fallback_both_sides_get_bye_and_the_record_says_why() {
    for (side, who) in [(Side::Callee, "retell"), (Side::Caller, "carrier")] {
        let mut network = network(&[], CalleeScript::default());
        network.run(Duration::from_secs(2));

        fall_silent(&mut network, side);
        finish(&mut network);

        assert_eq!([CALLER, AGENT].map(|who| network.received(who, "BYE ").len()), [1, 1]);
        let record = &network.bridge.world.records[0];
        assert_eq!(record.ended_by, EndedBy::Trunkline);
        assert_eq!(record.reason, format!("no audio came from {who} any more"));
    }
}

#[test]
fn a_caller_that_falls_silent_is_nobodys_to_take_over() {
    let mut network = in_a_call(CalleeScript::default());

    fall_silent(&mut network, Side::Caller);
    finish(&mut network);

    assert!(network.messages(DESK).is_empty());
    assert_eq!([CALLER, AGENT].map(|who| network.received(who, "BYE ").len()), [1, 1]);
}

#[test]
fn a_desk_that_falls_silent_in_turn_is_not_replaced() {
    let mut network = in_a_call(CalleeScript::default());
    fall_silent(&mut network, Side::Callee);
    network.run(Duration::from_secs(3));

    fall_silent(&mut network, Side::Callee);
    finish(&mut network);

    assert_eq!(network.received(DESK, "INVITE ").len(), 1);
    assert_eq!(network.received(CALLER, "BYE ").len(), 1);
}

#[test]
fn a_caller_that_hangs_up_while_the_desk_rings_ends_everything() {
    let ringing = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]);
    let mut network = in_a_call(ringing);

    fall_silent(&mut network, Side::Callee);
    finish(&mut network);

    assert_eq!(network.received(DESK, "CANCEL ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    assert_eq!(network.bridge.world.records[0].reason, "the caller hung up");
}

#[test]
fn told_to_hang_up_while_the_desk_rings_we_end_everything() {
    let ringing = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]);
    let mut network = in_a_call(ringing);

    fall_silent(&mut network, Side::Callee);
    network.run(Duration::from_secs(1));
    let call = wake(&mut network);
    network.bridge.hang_up(call, "told to", 480);
    finish(&mut network);

    assert_eq!(network.received(DESK, "CANCEL ").len(), 1);
    assert_eq!(network.received(CALLER, "BYE ").len(), 1);
    assert_eq!(network.bridge.world.records[0].reason, "told to");
}

#[test]
fn what_the_dead_agent_still_says_ends_nothing() {
    let hanging_up =
        CalleeScript { hang_up_after: Some(Duration::from_millis(2_001)), ..CalleeScript::default() };
    let mut network = network_of(&[number()], hanging_up, CalleeScript::default());
    network.run(Duration::from_secs(2));

    fall_silent(&mut network, Side::Callee);
    network.run(Duration::from_secs(3));

    assert_eq!(network.bridge.standing().active, 1, "the caller talks to the desk");
    finish(&mut network);
    assert_eq!(network.bridge.world.records[0].reason, "the caller hung up");
}

#[test]
fn in_a_storm_whoever_hangs_up_or_falls_silent_when_everything_ends_on_every_side() {
    for seed in 0..300 {
        let mut network = stormy(seed);
        let (silent_at, hung_up_at) = (500 + seed * 37 % 9_000, 3_000 + seed * 101 % 9_000);

        network.wait(Duration::from_millis(silent_at.min(hung_up_at)));
        if silent_at < hung_up_at {
            silence_all(&mut network);
            network.wait(Duration::from_millis(hung_up_at - silent_at));
        }
        if seed.is_multiple_of(3) {
            tell_time(&mut network);
            network.bridge.hang_up_all("told to");
        }

        finish(&mut network);
        assert_eq!(network.bridge.world.records.len(), 1, "seed {seed}");
        for who in [CALLER, AGENT, DESK] {
            let open =
                network.agents[who].ends().into_iter().filter(|end| matches!(end, End::Open(_))).count();
            assert_eq!(open, 0, "seed {seed}: agent {who}");
        }
    }
}

/// A lossy, reordering network; what the caller and the two callees do depends on the seed.
fn stormy(seed: u64) -> Network {
    let callee = |kind| match kind {
        0 => CalleeScript::refusing(480),
        1 => CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing")]),
        2 => CalleeScript { hang_up_after: Some(Duration::from_secs(4)), ..CalleeScript::default() },
        _ => CalleeScript::default(),
    };
    let caller = CallerScript {
        hang_up_after: Some(Duration::from_secs(2 + seed % 8)),
        cancel_after: seed.is_multiple_of(5).then(|| Duration::from_millis(300 + seed * 53 % 4_000)),
        ..CallerScript::default()
    };
    let mut network = Network::new(routes::compile(&config(&[number()])), seed, Weather::STORM);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, callee(seed % 7)));
    network.add(Callee::new(DESK_AT, callee(seed / 7 % 5)));
    network
}

fn silence_all(network: &mut Network) {
    let calls: Vec<_> = network.bridge.world.views.iter().copied().collect();
    tell_time(network);
    for call in calls {
        network.bridge.on_media_silent(call, Side::Callee);
    }
}

/// An answered call with an agent, and a desk to fall back to.
fn in_a_call(desk: CalleeScript) -> Network {
    let mut network = network(&[number()], desk);
    network.run(Duration::from_secs(2));
    network
}

fn network(fallback: &[FallbackConfig], desk: CalleeScript) -> Network {
    network_of(fallback, CalleeScript::default(), desk)
}

fn network_of(fallback: &[FallbackConfig], agent: CalleeScript, desk: CalleeScript) -> Network {
    let caller = CallerScript { hang_up_after: Some(Duration::from_secs(8)), ..CallerScript::default() };
    let mut network = Network::new(routes::compile(&config(fallback)), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, agent));
    network.add(Callee::new(DESK_AT, desk));
    network
}

fn config(fallback: &[FallbackConfig]) -> Config {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
    config.retell[0].fallback = fallback.to_vec();
    config
}

fn number() -> FallbackConfig {
    FallbackConfig::Word("+14155550199".into())
}

fn fall_silent(network: &mut Network, side: Side) {
    let call = wake(network);
    network.bridge.on_media_silent(call, side);
}

/// The only call, and the bridge knows what time it is.
fn wake(network: &mut Network) -> CallId {
    tell_time(network);
    id(network)
}

fn tell_time(network: &mut Network) {
    let unix_ms = network.elapsed().as_millis().try_into().unwrap();
    network.bridge.set_time(network.now, unix_ms);
}

fn id(network: &Network) -> CallId {
    *network.bridge.world.views.iter().next().unwrap()
}

const CALLER: usize = 0;
const AGENT: usize = 1;
const DESK: usize = 2;
const DESK_AT: &str = "198.51.100.20:5060";

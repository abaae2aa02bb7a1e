//! `calls_per_hour` and `minutes_per_hour`: what the calls of one peer may come to before the next one is
//! 403, and what they never touch: calls in progress, other peers, and calls for help.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use calls::{
    CALLEE, CALLER, CalleeScript, CallerScript, End, Network, Way, Weather, finish, in_weather, routes,
};
use phone::{Call, Phone};
use process::{Net, Process};
use trunkline::routing::config::{Config, PeerConfig};

#[test]
fn calls_beyond_the_cap_are_403_with_a_record_and_begin_again_an_hour_later() {
    for way in Way::BOTH {
        let config = capped(way, |peer| peer.calls_per_hour = 3);
        let script = CallerScript { calls: 7, apart: Duration::from_secs(900), ..CallerScript::default() };

        let network = run(way, &config, script);

        let codes: Vec<_> = network.bridge.world.records.iter().map(|record| record.sip_code).collect();
        assert_eq!(codes, [200, 200, 200, 403, 200, 200, 200], "{way:?}");
        assert_eq!(network.received(CALLEE, "INVITE ").len(), 6);
        let refused = &network.bridge.world.records[3];
        let whose = if way == Way::ToTrunk { "retell" } else { "carrier" };
        let reason = format!("{whose} has made its 3 calls of the last hour (`calls_per_hour`)");
        assert_eq!(refused.reason, reason);
    }
}

#[test]
fn talk_beyond_the_cap_refuses_the_next_call_and_lets_those_in_progress_go_on() {
    let config = capped(Way::ToTrunk, |peer| peer.minutes_per_hour = 3);
    let hang_up_after = Some(Duration::from_secs(240));
    let apart = Duration::from_secs(60);
    let script = CallerScript { calls: 4, apart, hang_up_after, ..CallerScript::default() };

    let network = run(Way::ToTrunk, &config, script);

    // After two minutes the first two have talked three.
    let ends = network.agents[CALLER].ends();
    let refused = ends.iter().filter(|end| **end == End::Refused(403)).count();
    assert_eq!((ends.len(), refused), (4, 1), "{ends:?}");
    let talked: Vec<_> =
        network.bridge.world.records.iter().filter_map(|record| record.answered_ms).collect();
    assert_eq!(talked.len(), 3);
    let reason = "the calls of retell have talked its 3 minutes of the last hour (`minutes_per_hour`)";
    assert!(network.bridge.world.records.iter().any(|record| record.reason == reason));
}

#[test]
fn calls_that_were_not_answered_have_not_talked() {
    let config = capped(Way::ToTrunk, |peer| peer.minutes_per_hour = 1);
    let cancel_after = Some(Duration::from_millis(300));
    let apart = Duration::from_secs(200);
    let script = CallerScript { calls: 3, apart, cancel_after, ..CallerScript::default() };

    let network = run(Way::ToTrunk, &config, script);

    assert_eq!(network.agents[CALLER].ends(), [End::Refused(487), End::Refused(487), End::Refused(487)]);
}

#[test]
fn what_was_spent_outlives_a_reload() {
    let config = capped(Way::ToTrunk, |peer| peer.calls_per_hour = 1);
    let script = CallerScript { calls: 2, apart: Duration::from_secs(10), ..CallerScript::default() };
    let way = Way::ToTrunk;
    let routes = || routes::compile(&config);
    let mut network = in_weather(Weather::FAIR, 1, routes(), way, script, CalleeScript::default());
    network.run(Duration::from_secs(5));

    network.bridge.replace_routes(Arc::new(routes()));
    finish(&mut network);

    assert_eq!(network.agents[CALLER].ends(), [End::Released, End::Refused(403)]);
    let shown = network.bridge.trunks();
    let calls: Vec<_> = shown.iter().map(|peer| (peer.name.as_str(), peer.calls_last_hour)).collect();
    assert_eq!(calls, [("carrier", 0), ("retell", 1)]);
}

#[test]
fn what_was_spent_outlives_a_crash_where_there_is_a_state_file() {
    let net = Net::new();
    let config = net.config() + "calls_per_hour = 2\n[server]\nstate = \"state.json\"\n";
    let [carrier, retell] = [net.trunk(), net.retell()].map(|ip| Phone::new(ip, net.sip()));
    let bridge = Process::start(net, &config);
    for _ in 0..2 {
        Call::place(&carrier, &retell, "+14155550100").hang_up();
    }
    let state = bridge.eventually("the state of both calls", || {
        let state = fs::read_to_string(bridge.path("state.json")).ok()?;
        state.contains("\"calls\":2").then_some(state)
    });

    drop(bridge);
    let bridge = Process::start_in(net, &config, &[("state.json", &state)], &[]);
    carrier.send(carrier.invite("+14155550100", ""));

    carrier.expect("SIP/2.0 403 ");
    bridge.eventually("the record", || (bridge.records().len() == 1).then_some(()));
}

#[test]
fn a_call_for_help_is_never_refused_for_a_cap() {
    let mut config = capped(Way::ToTrunk, |peer| peer.calls_per_hour = 1);
    config.retell[0].allow_emergency = true;
    let script = CallerScript { calls: 3, dialled: "911".into(), ..CallerScript::default() };

    let network = run(Way::ToTrunk, &config, script);

    assert_eq!(network.agents[CALLER].ends(), [End::Released, End::Released, End::Released]);
}

/// With keys of the caller's peer as `set` has them.
fn capped(way: Way, set: impl Fn(&mut PeerConfig)) -> Config {
    let mut config = way.config();
    match way {
        Way::ToRetell => set(&mut config.trunks[0].peer),
        Way::ToTrunk => set(&mut config.retell[0].peer),
    }
    config
}

fn run(way: Way, config: &Config, caller: CallerScript) -> Network {
    let routes = routes::compile(config);
    let mut network = in_weather(Weather::FAIR, 1, routes, way, caller, CalleeScript::default());
    network.run(Duration::from_secs(7_200));
    finish(&mut network);
    network
}

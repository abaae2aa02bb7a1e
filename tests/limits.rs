//! Calls at once and calls a second: who waits behind a 182, who is refused with 503 and
//! Retry-After, and what a record says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    CALLEE, CALLER, CalleeScript, CallerScript, End, Network, Request, TRUNK, Way, Weather, finish, header,
    in_weather, routes,
};
use trunkline::routing::config::PeerConfig;
use trunkline::routing::limits::Limit;
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};

#[test]
fn calls_above_a_trunks_rate_wait_behind_a_182_and_leave_evenly_spread() {
    let network = placed(Way::ToTrunk, 4, |_, trunk| trunk.calls_per_second = 2);

    let invited = network.sent_at("INVITE ");
    let apart: Vec<_> = invited.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(apart, [500, 500, 500]);
    assert_eq!(network.received(CALLER, "SIP/2.0 182 Queued\r\n").len(), 3);
    assert_eq!(ends(&network), [(End::Released, 4)]);
}

#[test]
fn whoever_would_wait_too_long_is_refused_at_once_and_its_record_says_why() {
    let network = placed(Way::ToTrunk, 5, |_, trunk| (trunk.calls_per_second, trunk.queue_s) = (1, 2));

    assert_eq!(ends(&network), [(End::Released, 3), (End::Refused(503), 2)]);
    let refused = network.received(CALLER, "SIP/2.0 503 ");
    assert_eq!(header(refused[0], "Retry-After"), Some("5"));
    let records = &network.bridge.world.records;
    let record = records.iter().find(|record| record.sip_code == 503).unwrap();
    assert_eq!(
        record.reason,
        "carrier takes 1 calls a second (`calls_per_second`), and its queue is full (`queue_s`)"
    );
}

#[test]
fn whoever_gives_up_while_it_waits_is_487_and_its_turn_is_the_next_ones() {
    let mut config = Way::ToTrunk.config();
    config.trunks[0].peer.calls_per_second = 1;
    let caller = CallerScript { calls: 2, cancel_after: Some(Duration::from_millis(300)), ..script() };

    let network = run(Way::ToTrunk, &config, caller);

    assert_eq!(network.received(CALLEE, "INVITE ").len(), 1, "the second never left");
    assert_eq!(ends(&network), [(End::Refused(487), 2)]);
}

#[test]
fn a_full_callee_or_caller_is_503_until_one_of_its_calls_has_ended() {
    for way in Way::BOTH {
        for side in [0, 1] {
            let network = placed(way, 3, |retell, trunk| [retell, trunk][side].max_calls = 2);

            assert_eq!(ends(&network), [(End::Released, 2), (End::Refused(503), 1)], "{way:?} {side}");
        }
    }
    let mut config = Way::ToTrunk.config();
    config.trunks[0].peer.max_calls = 1;
    let caller = CallerScript { calls: 3, apart: Duration::from_secs(10), ..script() };
    assert_eq!(ends(&run(Way::ToTrunk, &config, caller)), [(End::Released, 3)]);
}

#[test]
fn all_peers_together_have_no_more_than_the_process_may_have() {
    for (total, refused) in
        [(Limit { calls: Some(2), ..Limit::default() }, 3), (Limit { rate: Some(4), ..Limit::default() }, 1)]
    {
        let caller = CallerScript { calls: 5, ..script() };
        let mut network = in_weather(
            Weather::FAIR,
            1,
            Way::ToRetell.routes(),
            Way::ToRetell,
            caller,
            CalleeScript::default(),
        );
        network.bridge.limit(total);

        finish(&mut network);

        assert_eq!(ends(&network), [(End::Released, 5 - refused), (End::Refused(503), refused)], "{total:?}");
    }
}

#[test]
fn behind_its_load_few_calls_begin_and_whoever_came_by_a_stream_is_always_told() {
    for (transport, told) in [(Transport::Udp, 10), (Transport::Tcp, 297)] {
        let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);
        for ms in 0..10_000 {
            network.bridge.set_time(network.now + Duration::from_millis(ms), 0);
            network.bridge.on_read(false);
        }

        for number in 0..300 {
            let (branch, call_id) = (format!("z9hG4bK{number}"), number.to_string());
            let invite = Request { branch, call_id, ..Request::invite(TRUNK) };
            let remote = TRUNK.parse().unwrap();
            let connection = transport.is_reliable().then_some(ConnectionId(7));
            let flow = Flow { transport, listener: ListenerId(0), remote, connection, domain: None };
            network.bridge.on_message(invite.to_string().into(), flow);
        }

        network.run(Duration::ZERO);
        let count = |start| network.sent_at(start).len();
        assert_eq!([count("SIP/2.0 503 "), count("SIP/2.0 100 ")], [told, 3], "{transport:?}");
    }
}

/// `calls` calls at once, with keys of the `[[retell]]` and of the trunk as `set` has them.
fn placed(way: Way, calls: u32, set: impl Fn(&mut PeerConfig, &mut PeerConfig)) -> Network {
    let mut config = way.config();
    set(&mut config.retell[0].peer, &mut config.trunks[0].peer);
    run(way, &config, CallerScript { calls, ..script() })
}

fn run(way: Way, config: &trunkline::routing::config::Config, caller: CallerScript) -> Network {
    let routes = routes::compile(config);
    let mut network = in_weather(Weather::FAIR, 1, routes, way, caller, CalleeScript::default());
    finish(&mut network);
    network
}

fn script() -> CallerScript {
    CallerScript { apart: Duration::ZERO, ..CallerScript::default() }
}

/// How the caller's calls ended, and how many so.
fn ends(network: &Network) -> Vec<(End, usize)> {
    let all = network.agents[CALLER].ends();
    let mut ends: Vec<(End, usize)> = Vec::new();
    for end in
        all.iter().filter(|end| **end == End::Released).chain(all.iter().filter(|e| **e != End::Released))
    {
        match ends.last_mut() {
            Some((last, count)) if last == end => *count += 1,
            _ => ends.push((end.clone(), 1)),
        }
    }
    ends
}

//! The relay with several interfaces: each leg's ports are at the interface that its peer is reached by, and
//! a callee that is reached by another one gets others while the caller keeps its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use trunkline::id::{CallId, InterfaceId};
use trunkline::media::config::Interface;
use trunkline::media::{Config, LegMedia, ReserveError, Rtcp, Side, Way};

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, Peer, engine_with, heard, ip};

#[test]
fn a_callee_at_another_interface_gets_other_ports_and_the_caller_keeps_its_own() {
    let mut call = Call::on(engine_with(&config([30_000, 30_007])).0);
    for side in [Side::Caller, Side::Callee] {
        call.engine.set_leg(CALL, side, call.media(side));
    }
    call.engine.answered(CALL);
    assert_eq!(heard(&call.say(Side::Caller, &[(0, "agent")])), [(0, "agent")]);
    let before = call.reserved;

    call.engine.clear_leg(CALL, Side::Callee);
    call.reserved = call.engine.reserve_callee(CALL, way(1, "127.0.0.1")).unwrap();
    call.callee = Peer::at("127.0.0.1");
    let reports = LegMedia { rtcp: Rtcp::Separate, ..call.media(Side::Callee) };
    call.engine.set_leg(CALL, Side::Callee, reports);

    assert_eq!(call.reserved.caller, before.caller);
    assert_eq!((before.callee.ip(), call.reserved.callee.ip()), (ip("127.0.13.1"), ip("203.0.113.10")));
    call.reserved.callee.set_ip(ip("127.0.13.2"));
    assert_eq!(heard(&call.say(Side::Caller, &[(0, "desk")])), [(0, "desk")]);
    assert_eq!(heard(&call.say(Side::Callee, &[(0, "hello")])), [(0, "hello")]);
    let mut late = Peer::at("127.0.0.1");
    late.send(before.callee, 0, b"from the agent that is gone");
    assert!(call.caller.receive(1).is_empty());
}

#[test]
fn the_pair_that_a_callee_leaves_is_lent_again_and_the_one_it_cannot_have_changes_nothing() {
    let mut call = Call::on(engine_with(&config([31_000, 31_003])).0);
    let full = call.engine.reserve(CallId(2), way(0, "127.0.0.1"), way(1, "127.0.0.1"));
    assert!(matches!(full, Err(ReserveError::NoPorts { .. })), "both pairs of the first are lent");

    let no_family = call.engine.reserve_callee(CALL, way(1, "::1"));
    assert_eq!(no_family, Err(ReserveError::NoFamily { side: Side::Callee }));
    let moved = call.engine.reserve_callee(CALL, way(1, "127.0.0.1")).unwrap();
    let next = call.engine.reserve(CallId(2), way(0, "127.0.0.1"), way(1, "127.0.0.1")).unwrap();

    assert_eq!(moved.caller, call.reserved.caller);
    assert_eq!(next.caller, call.reserved.callee);
}

/// Two addresses, the second one behind NAT.
fn config(ports: [u16; 2]) -> Config {
    let inside = Interface { listen: vec![ip("127.0.13.1")], advertise: vec![], ports };
    let outside = Interface { listen: vec![ip("127.0.13.2")], advertise: vec![ip("203.0.113.10")], ports };
    Config { interfaces: vec![inside, outside], silence_timeout_s: 0, threads: 1, ..Config::default() }
}

fn way(interface: u16, peer: &str) -> Way {
    Way { interface: InterfaceId(interface), peer: ip(peer) }
}

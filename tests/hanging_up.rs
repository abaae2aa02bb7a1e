//! We hang up: through the API, at the end of a drain, in every state a call can be in (RFC 3261 §15).
//!
//! Between our 200 and the caller's ACK a BYE has to wait, at most for 64·T1; whatever else ends the call
//! meanwhile, both legs are told once and nothing is left.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, End, NO_BODY, Network, Way, finish};
use trunkline::call::record::EndedBy;

#[test]
fn a_call_hung_up_before_the_ack_says_bye_to_the_callee_at_once_and_to_the_caller_after_its_ack() {
    for way in Way::BOTH {
        let mut call = ByHandCall::unacknowledged(way);

        hang_up(&mut call.network);
        assert_eq!(call.network.received(CALLEE, "BYE ").len(), 1);
        assert_eq!(call.network.received(CALLER, "BYE ").len(), 0);
        let ack = call.sides[CALLER].ack();
        let got = call.say(CALLER, &ack);

        assert!(got[0].starts_with("BYE "), "{got:?}");
        finish(&mut call.network);
        assert_eq!(call.network.received(CALLER, "BYE ").len(), 1);
    }
}

#[test]
fn a_second_order_to_hang_up_before_the_ack_changes_nothing() {
    let mut call = ByHandCall::unacknowledged(Way::ToRetell);

    hang_up(&mut call.network);
    call.network.bridge.hang_up_all("again");
    call.network.run(Duration::from_millis(100));
    let ack = call.sides[CALLER].ack();
    call.say(CALLER, &ack);

    finish(&mut call.network);
    let byes = [CALLER, CALLEE].map(|who| call.network.received(who, "BYE ").len());
    assert_eq!(byes, [1, 1]);
    assert_eq!(call.network.bridge.world.records.len(), 1);
}

#[test]
fn a_caller_that_never_acknowledges_hears_the_bye_after_64_t1() {
    for way in Way::BOTH {
        let caller =
            CallerScript { acks_from: CallerScript::NEVER, hang_up_after: None, ..Default::default() };
        let mut network = calls::network(way, caller, CalleeScript::default());
        network.run(Duration::from_secs(1));
        let answered = network.sent_at("SIP/2.0 200 ")[0];

        hang_up(&mut network);
        finish(&mut network);

        let told = network.emitted.iter().filter(|it| it.to == way.ends().0.parse().unwrap());
        let bye = told.filter(|it| it.bytes.starts_with(b"BYE ")).map(|it| it.after).next().unwrap();
        assert_eq!((bye - answered).as_secs(), 32);
        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    }
}

#[test]
fn the_callers_own_bye_before_its_ack_crosses_ours_and_nothing_is_left() {
    for way in Way::BOTH {
        let mut call = ByHandCall::unacknowledged(way);

        hang_up(&mut call.network);
        let told = call.ask(CALLER, "BYE", NO_BODY);

        assert!(told.starts_with("SIP/2.0 200 "), "{told}");
        finish(&mut call.network);
        assert_eq!(call.network.received(CALLER, "BYE ").len(), 0, "it hung up itself");
    }
}

#[test]
fn byes_that_cross_on_both_legs_are_each_answered_with_200() {
    for way in Way::BOTH {
        let mut call = ByHandCall::answered(way);

        call.network.bridge.hang_up_all("told to");
        for who in [CALLER, CALLEE] {
            let bye = call.sides[who].request("BYE", NO_BODY);
            call.network.say(call.sides[who].here, &bye);
        }

        finish(&mut call.network);
        for who in [CALLER, CALLEE] {
            let told = call.network.received(who, "SIP/2.0 ");
            assert!(told.last().unwrap().starts_with("SIP/2.0 200 "), "{told:#?}");
        }
        let record = &call.network.bridge.world.records[0];
        assert_eq!((record.ended_by, record.reason.as_str()), (EndedBy::Trunkline, "told to"));
    }
}

fn hang_up(network: &mut Network) {
    network.bridge.hang_up_all("told to");
    network.run(Duration::from_millis(100));
}

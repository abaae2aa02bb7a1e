//! SIGTERM and SIGINT: no new calls, those in progress may finish, and the process ends
//! with 0 however they end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use phone::{Call, Phone, follow_up, header, ring};
use process::{Net, Process, Signal};

#[test]
fn a_draining_bridge_refuses_what_is_new_and_ends_with_0_when_the_last_call_has_ended() {
    let (mut bridge, caller, callee) = serve("drain_s = 300");
    let call = Call::place(&caller, &callee, "+14155550100");
    call.exchange_audio(1);

    bridge.signal(Signal::Terminate);
    bridge.eventually("not ready", || (bridge.status_of("/readyz") == Some(503)).then_some(()));

    assert_eq!(bridge.status_of("/healthz"), Some(200));
    let late = caller.invite("+14155550101", "");
    caller.send(&late);
    let refused = caller.expect("SIP/2.0 503 ");
    assert!(header(&refused, "Retry-After").parse::<u32>().is_ok(), "{refused}");
    caller.send(follow_up(&late, &refused, "ACK", 1));
    caller.send(caller.options());
    assert!(header(&caller.expect("SIP/2.0 503 "), "CSeq").ends_with(" OPTIONS"));
    call.exchange_audio(2);
    assert_eq!(bridge.calls()[0]["state"], "answered");

    callee.send(call.bye_of_callee());
    callee.expect("SIP/2.0 200 ");
    caller.answer(&caller.expect("BYE "), "200 OK");
    assert_eq!(bridge.exit().code(), Some(0), "{:#?}", bridge.log());
    let records = bridge.records();
    assert_eq!(records.len(), 1, "a call that was never admitted has no record: {records:?}");
    assert_eq!((&records[0]["ended_by"], &records[0]["sip_code"]), (&"callee".into(), &200.into()));
    assert_eq!(callee.heard(), [""; 0], "no call is set up while draining");
}

#[test]
fn a_call_that_rings_when_the_drain_begins_may_still_be_answered() {
    let (mut bridge, caller, callee) = serve("drain_s = 300");
    let (invite, offered) = ring(&caller, &callee, "+14155550100");

    bridge.signal(Signal::Terminate);
    bridge.eventually("not ready", || (bridge.status_of("/readyz") == Some(503)).then_some(()));
    callee.answer(&offered, "200 OK");
    callee.expect("ACK ");
    let ok = caller.expect("SIP/2.0 200 ");
    caller.send(follow_up(&invite, &ok, "ACK", 1));
    let call = Call { caller: &caller, callee: &callee, invite, ok, offered };
    call.exchange_audio(1);
    call.hang_up();

    assert_eq!(bridge.exit().code(), Some(0));
}

#[test]
fn calls_that_outlast_drain_s_get_bye_on_both_legs_or_a_final_response_and_cancel() {
    let (mut bridge, caller, callee) = serve("drain_s = 1");
    let (ringing, _) = ring(&caller, &callee, "+14155550101");
    let call = Call::place(&caller, &callee, "+14155550100");

    bridge.signal(Signal::Terminate);

    ends_for_everyone(&call, &ringing);
    assert_eq!(bridge.exit().code(), Some(0), "{:#?}", bridge.log());
    let mut codes: Vec<_> = bridge.records().iter().map(|record| record["sip_code"].clone()).collect();
    codes.sort_by_key(ToString::to_string);
    assert_eq!(codes, [200, 503]);
    for record in bridge.records() {
        assert_eq!(record["reason"], "trunkline is shutting down");
        assert_eq!(record["ended_by"], "trunkline");
    }
}

#[test]
fn a_second_signal_ends_every_call_at_once() {
    for (first, second) in [(Signal::Terminate, Signal::Interrupt), (Signal::Interrupt, Signal::Terminate)] {
        let (mut bridge, caller, callee) = serve("drain_s = 300");
        let (ringing, _) = ring(&caller, &callee, "+14155550101");
        let call = Call::place(&caller, &callee, "+14155550100");

        bridge.signal(first);
        bridge.eventually("not ready", || (bridge.status_of("/readyz") == Some(503)).then_some(()));
        call.exchange_audio(1);
        bridge.signal(second);

        ends_for_everyone(&call, &ringing);
        assert_eq!(bridge.exit().code(), Some(0), "{first:?}: {:#?}", bridge.log());
    }
}

#[test]
fn a_second_signal_says_bye_to_a_caller_that_never_acknowledged_too_and_ends_soon() {
    let (mut bridge, caller, callee) = serve("drain_s = 300");
    let (_, offered) = ring(&caller, &callee, "+14155550100");
    callee.answer(&offered, "200 OK");
    callee.expect("ACK ");
    caller.expect("SIP/2.0 200 ");

    bridge.signal(Signal::Terminate);
    bridge.eventually("not ready", || (bridge.status_of("/readyz") == Some(503)).then_some(()));
    bridge.signal(Signal::Terminate);
    callee.answer(&callee.expect("BYE "), "200 OK");

    caller.answer(&caller.expect("BYE "), "200 OK");
    assert_eq!(bridge.exit().code(), Some(0), "{:#?}", bridge.log());
}

#[test]
fn with_no_calls_one_signal_is_enough() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let (mut bridge, ..) = serve("drain_s = 300");

        bridge.signal(signal);

        assert_eq!(bridge.exit().code(), Some(0), "{signal:?}");
    }
}

/// The answered call gets BYE on both legs; the ringing one a final response and CANCEL.
fn ends_for_everyone(answered: &Call<'_>, ringing: &str) {
    let (caller, callee) = (answered.caller, answered.callee);
    let (mut to_caller, mut to_callee) = ((false, false), (false, false));
    while to_caller != (true, true) {
        let message = caller.expect("");
        if message.starts_with("BYE ") {
            to_caller.0 = true;
            caller.answer(&message, "200 OK");
        } else if message.starts_with("SIP/2.0 503 ") {
            assert_eq!(header(&message, "Call-ID"), header(ringing, "Call-ID"));
            to_caller.1 = true;
            caller.send(follow_up(ringing, &message, "ACK", 1));
        }
    }
    while to_callee != (true, true) {
        let message = callee.expect("");
        if message.starts_with("BYE ") {
            to_callee.0 = true;
            callee.answer(&message, "200 OK");
        } else if message.starts_with("CANCEL ") {
            to_callee.1 = true;
            callee.answer(&message, "200 OK");
        }
    }
}

fn serve(server: &str) -> (Process, Phone, Phone) {
    let net = Net::new();
    let bridge = Process::start(net, &format!("[server]\n{server}\n{}", net.config()));
    (bridge, Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()))
}

//! Reason (RFC 3326): what one leg says about the end is told on the other, what it does not say is made, and
//! the record says in one sentence who ended the call and why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, Network, Step, Way, ask, finish, header, headers,
    run, with_body,
};

#[test]
fn a_trunk_is_told_the_reasons_of_the_other_leg_as_they_are_and_16_when_there_is_none() {
    for (said, told) in [
        ("", &["Q.850;cause=16;text=\"normal call clearing\""][..]),
        ("Reason: Q.850;cause=31;text=\"x\"\r\n", &["Q.850;cause=31;text=\"x\""]),
        ("Reason: SIP;cause=200;text=\"Done\"\r\n", &["SIP;cause=200;text=\"Done\""]),
        ("Reason: SIP;cause=503, Q.850;cause=41\r\n", &["SIP;cause=503", "Q.850;cause=41"]),
        ("Reason: Preemption;cause=1\r\n", &["Q.850;cause=16;text=\"normal call clearing\""]),
    ] {
        assert_eq!(told_in_bye(Way::ToTrunk, CALLER, said), told, "{said}");
        assert_eq!(told_in_bye(Way::ToRetell, CALLEE, said), told, "{said}");
    }
}

#[test]
fn retell_is_told_16_of_every_normal_end_and_the_truth_of_any_other() {
    for (said, told) in [
        ("", &["Q.850;cause=16;text=\"normal call clearing\""][..]),
        ("Reason: Q.850;cause=31\r\n", &["Q.850;cause=16;text=\"normal call clearing\""]),
        ("Reason: SIP;cause=200;text=\"Done\"\r\n", &["Q.850;cause=16;text=\"normal call clearing\""]),
        ("Reason: Q.850;cause=38\r\n", &["Q.850;cause=38"]),
    ] {
        assert_eq!(told_in_bye(Way::ToRetell, CALLER, said), told, "{said}");
    }
}

#[test]
fn the_record_says_who_hung_up_and_what_it_gave_as_a_reason_when_that_is_not_the_normal_end() {
    for (who, said, sentence, hints) in [
        (CALLER, "", "the caller hung up", &[][..]),
        (CALLEE, "Reason: Q.850;cause=16\r\n", "the callee hung up", &[]),
        (
            CALLEE,
            "Reason: Q.850;cause=41;text=\"oops\"\r\n",
            "the callee hung up, saying Q.850 cause 41: temporary failure",
            &["Q.850 cause 41: temporary failure"],
        ),
    ] {
        let mut call = ByHandCall::answered(Way::ToTrunk);
        call.ask(who, "BYE", &with_body(said, ""));
        finish(&mut call.network);

        let record = &call.network.bridge.world.records[0];
        assert_eq!(record.reason, sentence);
        assert_eq!(record.hints, hints);
    }
}

#[test]
fn a_cancel_carries_the_callers_reason_to_the_callee() {
    let (mut network, invite) = ByHandCall::invited(Way::ToTrunk);
    let received = network.received(CALLEE, "INVITE ")[0].to_owned();
    let ringing = calls::answer(&received, 180, "Ringing", "byhandtoo", calls::NO_BODY);
    ask(&mut network, CALLEE, &ringing);
    let cancel = invite.replace("INVITE ", "CANCEL ").replace(" INVITE\r\n", " CANCEL\r\n");
    let head = cancel.split("Content-Type").next().unwrap();
    let said = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    ask(&mut network, CALLER, &format!("{head}{}", with_body(said, "")));

    let got = network.received(CALLEE, "CANCEL ")[0];
    assert_eq!(header(got, "Reason"), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
}

#[test]
fn a_bye_of_our_own_says_why() {
    for way in Way::BOTH {
        for (code, cause) in [(480, "Q.850;cause=16;"), (503, "Q.850;cause=41;")] {
            let mut call = ByHandCall::answered(way);
            let id = *call.network.bridge.world.views.iter().next().unwrap();
            call.network.bridge.hang_up(id, "told to", code);
            finish(&mut call.network);

            for who in [CALLER, CALLEE] {
                let told = header(call.network.received(who, "BYE ")[0], "Reason").unwrap();
                assert!(told.starts_with(cause), "{told}");
            }
        }
    }
}

#[test]
fn silence_and_a_lost_ack_are_told_as_a_timer_that_ran_out() {
    let never = CallerScript { acks_from: CallerScript::NEVER, hang_up_after: None, ..Default::default() };
    let network = run(Way::ToTrunk, never, CalleeScript::default());
    assert_eq!(reasons(&network, CALLEE, "BYE "), ["Q.850;cause=102;text=\"recovery on timer expiry\""]);

    let mut call = ByHandCall::answered(Way::ToTrunk);
    let id = *call.network.bridge.world.views.iter().next().unwrap();
    call.network.bridge.on_media_silent(id, trunkline::rtp::leg::Side::Caller);
    finish(&mut call.network);
    let told = reasons(&call.network, CALLEE, "BYE ");
    assert_eq!(told, ["Q.850;cause=102;text=\"recovery on timer expiry\""]);
}

#[test]
fn a_refusal_tells_a_trunk_the_cause_of_the_code_it_gets_and_retell_what_the_trunk_said() {
    let told = |way, code, said: &str| {
        let refusing = Step::new(200, code, "No").with_headers(said);
        let network = run(way, CallerScript::default(), CalleeScript::saying([refusing]));
        reasons(&network, CALLER, "SIP/2.0 4")
    };

    assert_eq!(told(Way::ToRetell, 486, ""), ["Q.850;cause=18;text=\"no user responding\""]);
    assert_eq!(
        told(Way::ToRetell, 486, "Reason: Q.850;cause=17\r\n"),
        ["Q.850;cause=18;text=\"no user responding\""],
        "17 would contradict the 480"
    );
    assert_eq!(told(Way::ToTrunk, 486, ""), [""; 0]);
    assert_eq!(told(Way::ToTrunk, 480, "Reason: Q.850;cause=17\r\n"), ["Q.850;cause=17"]);
}

/// What the other side's BYE says when `who` hangs up with `said`.
fn told_in_bye(way: Way, who: usize, said: &str) -> Vec<String> {
    let mut call = ByHandCall::answered(way);
    call.ask(who, "BYE", &with_body(said, ""));
    call.network.run(Duration::from_secs(1));
    let told = reasons(&call.network, 1 - who, "BYE ");
    finish(&mut call.network);
    told
}

/// The reasons in the first message of `who` that begins so.
fn reasons(network: &Network, who: usize, start: &str) -> Vec<String> {
    let got = network.received(who, start);
    headers(got[0]).filter(|(name, _)| *name == "Reason").map(|(_, value)| value.to_owned()).collect()
}

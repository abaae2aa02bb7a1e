//! The answer to a call and its acknowledgement, on both legs (RFC 3261 §13.2.2.4, §13.3.1.4, §15).
//!
//! A 2xx is repeated end to end until its ACK comes, whatever the transport; and every 2xx of a callee,
//! wanted or not, gets its ACK, or that callee would ring on for half a minute.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, End, NO_BODY, Network, SDP, Step, Way, answer,
    finish, header, run, tag, with_body,
};
use trunkline::call::record::EndedBy;

#[test]
fn a_200_is_repeated_until_its_ack_comes_and_no_longer() {
    for way in Way::BOTH {
        let caller = CallerScript {
            acks_from: 4,
            hang_up_after: Some(Duration::from_secs(30)),
            ..CallerScript::default()
        };

        let network = run(way, caller, CalleeScript::default());

        let at: Vec<_> = answers_at(&network);
        assert_eq!(at, [0, 500, 1_500, 3_500], "{way:?}");
        assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Caller);
    }
}

#[test]
fn a_retell_caller_that_sent_no_audio_before_the_200_acknowledges_it_by_sending_some() {
    let mut network = calls::network(Way::ToTrunk, never_acks(), hanging_up_after(50));
    network.run(Duration::from_millis(700));
    network.bridge.world.packets_from_caller = 5;
    finish(&mut network);

    assert_eq!(answers_at(&network).len(), 2, "counted when the first repeat is due");
    let record = &network.bridge.world.records[0];
    assert_eq!((record.ended_by, record.ended_ms / 1000), (EndedBy::Callee, 50), "the call went on");
}

#[test]
fn audio_that_came_before_the_200_is_no_ack() {
    let mut network = calls::network(Way::ToTrunk, never_acks(), CalleeScript::default());
    network.bridge.world.packets_from_caller = 5;
    network.run(Duration::from_millis(700));
    network.bridge.world.packets_from_caller = 50;
    finish(&mut network);

    assert_was_given_up(&network);
}

#[test]
fn audio_of_a_trunk_is_no_ack() {
    let mut network = calls::network(Way::ToRetell, never_acks(), CalleeScript::default());
    network.run(Duration::from_millis(700));
    network.bridge.world.packets_from_caller = 5;
    finish(&mut network);

    assert_was_given_up(&network);
}

#[test]
fn a_caller_that_neither_acknowledges_nor_sends_audio_is_given_up_after_64_t1() {
    for way in Way::BOTH {
        let network = run(way, never_acks(), CalleeScript::default());

        assert_was_given_up(&network);
    }
}

#[test]
fn every_repeat_of_the_callees_200_gets_the_same_ack_again() {
    for way in Way::BOTH {
        let mut call = ByHandCall::answered(way);
        let ok = call.answers[CALLEE].clone();
        for _ in 0..3 {
            call.say(CALLEE, &ok);
        }

        let acks = call.network.received(CALLEE, "ACK ");
        assert_eq!(acks.len(), 4);
        assert!(acks.iter().all(|ack| *ack == acks[0]), "{acks:#?}");
        assert_eq!(call.network.received(CALLER, "SIP/2.0 200 ").len(), 1, "the caller hears of it once");
        call.hang_up();
    }
}

#[test]
fn the_callees_bye_waits_for_the_callers_ack() {
    for way in Way::BOTH {
        let mut call = ByHandCall::unacknowledged(way);

        call.ask(CALLEE, "BYE", NO_BODY);
        assert_eq!(call.network.received(CALLER, "BYE "), Vec::<&str>::new());
        let ack = call.sides[CALLER].ack();
        let got = call.say(CALLER, &ack);

        assert!(got[0].starts_with("BYE "), "{got:?}");
        finish(&mut call.network);
        assert_eq!(call.network.bridge.world.records[0].ended_by, EndedBy::Callee);
    }
}

#[test]
fn of_several_forks_that_rang_the_first_answer_wins_and_each_other_gets_ack_and_bye() {
    for way in Way::BOTH {
        let steps = [
            Step::new(0, 100, "Trying"),
            Step::new(100, 180, "Ringing").of("a"),
            Step::new(110, 183, "Progress").of("b").with_sdp(SDP),
            Step::new(120, 180, "Ringing").of("c"),
            Step::new(600, 200, "OK").of("b"),
            Step::new(610, 200, "OK").of("c"),
            Step::new(900, 200, "OK").of("d"),
        ];
        let caller = CallerScript { hang_up_after: Some(Duration::from_secs(5)), ..CallerScript::default() };

        let network = run(way, caller, CalleeScript::saying(steps));

        let tags_of = |start| -> Vec<_> {
            network.received(CALLEE, start).iter().map(|text| tag(text, "To").to_owned()).collect()
        };
        assert_eq!(tags_of("ACK "), ["t5060b", "t5060c", "t5060d"]);
        assert_eq!(tags_of("BYE "), ["t5060c", "t5060d", "t5060b"], "the winner's is the caller's own");
        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
        assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Caller);
    }
}

#[test]
fn a_fork_that_answers_while_the_call_is_up_gets_ack_and_bye_and_the_call_goes_on() {
    let steps = [Step::new(600, 200, "OK"), Step::new(20_000, 200, "OK").of("late")];
    let caller = CallerScript { hang_up_after: Some(Duration::from_secs(60)), ..CallerScript::default() };

    let network = run(Way::ToTrunk, caller, CalleeScript::saying(steps));

    let byes: Vec<_> = network.received(CALLEE, "BYE ").iter().map(|bye| tag(bye, "To").to_owned()).collect();
    assert_eq!(byes, ["t5060late", "t5060"]);
    let at = network.sent_at("BYE ");
    assert_eq!((at[0].as_secs(), at[1].as_secs()), (20, 60));
}

#[test]
fn an_answer_that_cannot_be_used_is_acknowledged_and_released_and_the_caller_is_told_whose_fault_it_is() {
    for (way, told) in [(Way::ToRetell, 503), (Way::ToTrunk, 502)] {
        for sdp in ["", "v=1\r\n", NOT_OFFERED, REFUSED, "\u{0}\u{1}\u{2}"] {
            let step = Step::new(200, 200, "OK").with_sdp(sdp);

            let network = run(way, CallerScript::default(), CalleeScript::saying([step]));

            assert_eq!(network.agents[CALLER].ends(), [End::Refused(told)], "{way:?} {sdp:?}");
            assert_eq!(network.received(CALLEE, "ACK ").len(), 1);
            assert_eq!(network.received(CALLEE, "BYE ").len(), 1);
            assert_eq!(network.agents[CALLEE].ends(), [End::Released]);
            let record = &network.bridge.world.records[0];
            assert_eq!((record.sip_code, record.answered_ms), (told, None));
        }
    }
}

#[test]
fn an_answer_in_the_183_is_the_answer_when_the_200_has_none() {
    let steps = [Step::new(100, 183, "Progress").with_sdp(SDP), Step::new(600, 200, "OK").with_sdp("")];

    let network = run(Way::ToTrunk, CallerScript::default(), CalleeScript::saying(steps));

    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    let told = network.received(CALLER, "SIP/2.0 200 ")[0];
    assert!(told.contains("m=audio "), "{told}");
}

#[test]
fn an_answer_whose_contact_is_missing_or_unreadable_is_acknowledged_at_the_request_uri() {
    for contact in ["", "Contact: <sip:@@>\r\n", "Contact: *\r\n", "Contact: \"\r\n"] {
        let (mut network, invite) = ByHandCall::invited(Way::ToTrunk);
        let received = network.received(CALLEE, "INVITE ")[0].to_owned();
        let ok = answer(&received, 200, "OK", "byhandtoo", &with_body(contact, SDP));
        let (here, there) = Way::ToTrunk.ends();
        network.say(there.parse().unwrap(), &ok);
        network.run(Duration::from_millis(100));

        let told = network.received(CALLER, "SIP/2.0 200 ")[0].to_owned();
        let mut caller = calls::DialogSide::of_caller(here.parse().unwrap(), &invite, &told);
        calls::ask(&mut network, CALLER, &caller.ack());
        calls::ask(&mut network, CALLER, &caller.request("BYE", NO_BODY));
        finish(&mut network);

        let uri = received.split(' ').nth(1).unwrap();
        for start in ["ACK ", "BYE "] {
            let got = network.received(CALLEE, start);
            assert!(got[0].starts_with(&format!("{start}{uri} SIP/2.0")), "{contact}: {got:?}");
        }
    }
}

#[test]
fn the_route_set_of_the_answer_is_the_way_of_ack_and_bye() {
    let routes = "Record-Route: <sip:198.51.100.21:5060;lr>, <sip:198.51.100.7:5060;lr;near>\r\n";
    let step = Step::new(200, 200, "OK").with_headers(routes);
    let callee =
        CalleeScript { contact: Some("<sip:bob@198.51.100.99>".into()), ..CalleeScript::saying([step]) };

    let network = run(Way::ToTrunk, CallerScript::default(), callee);

    for start in ["ACK ", "BYE "] {
        let got = network.received(CALLEE, start)[0];
        assert!(got.starts_with(&format!("{start}sip:bob@198.51.100.99 SIP/2.0\r\n")), "{got}");
        let routes: Vec<_> =
            calls::headers(got).filter(|(name, _)| *name == "Route").map(|(_, value)| value).collect();
        assert_eq!(routes, ["<sip:198.51.100.7:5060;lr;near>", "<sip:198.51.100.21:5060;lr>"]);
    }
}

/// Milliseconds after the first, of every 200 to the caller's INVITE.
fn answers_at(network: &Network) -> Vec<u128> {
    let to_caller = network.agents[CALLER].address();
    let answers = network.emitted.iter().filter(|it| it.to == to_caller);
    let answers: Vec<_> = answers
        .filter(|it| it.text().starts_with("SIP/2.0 200 ") && header(it.text(), "CSeq") == Some("1 INVITE"))
        .map(|it| it.after)
        .collect();
    answers.iter().map(|at| (*at - answers[0]).as_millis()).collect()
}

fn assert_was_given_up(network: &Network) {
    assert_eq!(answers_at(network).len(), 11);
    let record = &network.bridge.world.records[0];
    assert_eq!(record.ended_by, EndedBy::Trunkline);
    assert_eq!((record.ended_ms - record.answered_ms.unwrap()) / 1000, 32);
    for agent in [CALLER, CALLEE] {
        assert_eq!(network.agents[agent].ends(), [End::Released]);
        assert_eq!(network.received(agent, "BYE ").len(), 1);
    }
}

fn never_acks() -> CallerScript {
    CallerScript { acks_from: CallerScript::NEVER, hang_up_after: None, ..CallerScript::default() }
}

fn hanging_up_after(seconds: u64) -> CalleeScript {
    CalleeScript { hang_up_after: Some(Duration::from_secs(seconds)), ..CalleeScript::default() }
}

/// G.722 alone, which we offer to nobody.
const NOT_OFFERED: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 9\r\n";
const REFUSED: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 0 RTP/AVP 0\r\n";

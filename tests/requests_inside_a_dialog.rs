//! Requests inside a dialog, on either leg (RFC 3261 §12.2, §14; RFC 3311; RFC 6086): each is answered where
//! it came, and the other leg hears of none but BYE.
//!
//! Who may speak in a dialog is decided before anything else: its tags must be right, and it
//! must come from that peer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHand, ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, DialogSide, End, NO_BODY, Network,
    RETELL, SDP, STRANGER, TRUNK, Way, answer, answer_to, ask, body, finish, header, leg, status, with_body,
};
use trunkline::rtp::leg::LegMedia;

#[test]
fn info_and_options_are_answered_on_their_leg_and_not_forwarded() {
    for (who, other) in EITHER {
        for method in ["INFO", "OPTIONS"] {
            let mut call = ByHandCall::answered(Way::ToRetell);
            let before = call.network.messages(other).len();

            let told = call.ask(who, method, NO_BODY);

            assert_eq!(status(&told), Some(200), "{method}");
            assert_eq!(call.network.messages(other).len(), before);
            call.hang_up();
        }
    }
}

#[test]
fn update_without_a_session_is_200_and_only_moves_the_contact() {
    for (who, other) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let media = media(&call.network);
        let before = call.network.messages(other).len();

        let told = call.ask(who, "UPDATE", NO_BODY);

        assert_eq!((status(&told), header(&told, "Content-Length")), (Some(200), Some("0")));
        assert_eq!(media, self::media(&call.network));
        assert_eq!(call.network.messages(other).len(), before);
        call.hang_up();
    }
}

#[test]
fn update_with_a_session_is_answered_with_ours_and_moves_the_media() {
    for (who, _) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);

        let told = call.ask(who, "UPDATE", &with_body("", &moved()));

        assert_eq!(status(&told), Some(200));
        assert_eq!(body(&told), body_before(&call, who));
        assert_eq!(leg(&call.network, who).remote.to_string(), MOVED_TO);
        call.hang_up();
    }
}

#[test]
fn reinvite_without_change_gets_the_same_description_byte_for_byte() {
    for (who, other) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let media = media(&call.network);
        let before = call.network.messages(other).len();

        let told = call.ask(who, "INVITE", &with_body("", SDP));
        acknowledge(&mut call, who);

        assert_eq!(status(&told), Some(200));
        assert_eq!(body(&told), body_before(&call, who));
        assert_eq!(media, self::media(&call.network));
        assert_eq!(call.network.messages(other).len(), before);
        call.hang_up();
    }
}

#[test]
fn reinvite_with_another_address_moves_the_media_of_that_leg_alone() {
    for (who, other) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let untouched = leg(&call.network, other);

        let told = call.ask(who, "INVITE", &with_body("", &moved()));
        acknowledge(&mut call, who);

        assert_eq!(status(&told), Some(200));
        assert_eq!(leg(&call.network, who).remote.to_string(), MOVED_TO);
        assert_eq!(leg(&call.network, other), untouched);
        call.hang_up();
    }
}

#[test]
fn hold_is_answered_in_kind_and_ends_with_the_next_reinvite() {
    for (who, _) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        for (offered, answered, held) in
            [("sendonly", "recvonly", true), ("inactive", "inactive", true), ("sendrecv", "sendrecv", false)]
        {
            let told = call.ask(who, "INVITE", &with_body("", &format!("{SDP}a={offered}\r\n")));
            acknowledge(&mut call, who);

            assert!(body(&told).contains(&format!("a={answered}\r\n")), "{offered}: {told}");
            assert_eq!(!call.network.bridge.world.held.is_empty(), held);
            assert_eq!(leg(&call.network, who).receives, offered == "sendrecv");
        }
        call.hang_up();
    }
}

#[test]
fn reinvite_that_we_cannot_use_is_488_with_a_warning_and_changes_nothing() {
    for (who, _) in EITHER {
        for (sdp, warning) in [(NO_CODEC, "305 "), (VIDEO_ALONE, "304 "), ("v=1\r\n", "399 ")] {
            let mut call = ByHandCall::answered(Way::ToRetell);
            let media = media(&call.network);

            let told = call.ask(who, "INVITE", &with_body("", sdp));

            assert_eq!(status(&told), Some(488), "{sdp}");
            let said = header(&told, "Warning").unwrap();
            assert!(said.starts_with(&format!("{warning}203.0.113.10 \"")), "{said}");
            assert_eq!(media, self::media(&call.network));
            call.hang_up();
        }
    }
}

#[test]
fn reinvite_whose_ack_is_lost_does_not_stand_in_the_way_of_the_next_one() {
    for (who, _) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let held = format!("{SDP}a=sendonly\r\n");
        call.ask(who, "INVITE", &with_body("", &held));
        let first = call.sides[who].cseq;

        let told = call.ask(who, "INVITE", &with_body("", SDP));

        assert!(status(&told) == Some(200) && told.contains("a=sendrecv"), "{told}");
        let late = call.sides[who].numbered("ACK", first, NO_BODY);
        call.say(who, &late);
        acknowledge(&mut call, who);
        let answers = call.network.received(who, "SIP/2.0 200 ").len();
        call.network.wait(Duration::from_secs(40));
        assert_eq!(call.network.received(who, "SIP/2.0 200 ").len(), answers, "nothing is repeated");
        call.hang_up();
    }
}

#[test]
fn reinvite_of_the_caller_before_its_first_ack_is_answered_and_our_200_repeated_until_that_comes() {
    let mut call = ByHandCall::unacknowledged(Way::ToRetell);
    let first_ack = call.sides[CALLER].clone().ack();

    let told = call.ask(CALLER, "INVITE", &with_body("", SDP));

    assert_eq!(status(&told), Some(200));
    acknowledge(&mut call, CALLER);
    call.network.wait(Duration::from_secs(1));
    let last = call.network.received(CALLER, "SIP/2.0 200 ").last().copied().unwrap().to_owned();
    assert_eq!(header(&last, "CSeq"), Some("1 INVITE"), "{last}");
    call.say(CALLER, &first_ack);
    call.hang_up();
}

#[test]
fn reinvite_of_the_caller_before_our_answer_is_500_with_retry_after() {
    let waits = CallerScript { hang_up_after: None, ..CallerScript::default() };
    let hangs_up = CalleeScript { hang_up_after: Some(Duration::from_secs(2)), ..CalleeScript::default() };
    let mut network = calls::network(Way::ToRetell, waits, hangs_up);
    let mut caller = early_caller(&mut network);

    let told = answer_to(&mut network, CALLER, &caller.request("INVITE", &with_body("", SDP)));

    assert_is_too_early(&told);
    finish(&mut network);
    assert_eq!(network.agents[CALLEE].ends(), [End::Released]);
}

#[test]
fn requests_of_the_callee_before_it_answers_are_answered_in_its_early_dialog() {
    for (method, rest, code) in [
        ("INVITE", with_body("", SDP), 491),
        ("UPDATE", with_body("", SDP), 491),
        ("UPDATE", with_body("", ""), 200),
        ("INFO", with_body("", ""), 200),
        ("BYE", with_body("", ""), 481),
        ("REFER", with_body("", ""), 405),
    ] {
        let (mut network, mut callee, invite) = early_callee();

        let told = answer_to(&mut network, CALLEE, &callee.request(method, &rest));

        assert_eq!(status(&told), Some(code), "{method}");
        let again = answer_to(&mut network, CALLEE, &callee.numbered("INFO", 1, NO_BODY));
        assert_eq!(status(&again), Some(500), "the order of CSeq holds in an early dialog too");
        let ok =
            answer(&invite, 200, "OK", "early", &with_body("Contact: <sip:hand@192.0.2.7:5060>\r\n", SDP));
        network.say(RETELL.parse().unwrap(), &ok);
        network.run(Duration::from_millis(100));
        let again = answer_to(&mut network, CALLEE, &callee.numbered("INFO", 1, NO_BODY));
        assert_eq!(status(&again), Some(500), "and when it is confirmed");
        let bye = answer_to(&mut network, CALLEE, &callee.request("BYE", NO_BODY));
        assert_eq!(status(&bye), Some(200));
        finish(&mut network);
    }
}

#[test]
fn reinvite_without_an_ack_ends_the_call_on_both_sides_after_64_t1() {
    for (who, _) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let at = call.network.elapsed();

        call.ask(who, "INVITE", &with_body("", SDP));
        finish(&mut call.network);

        let repeats = call.network.received(who, "SIP/2.0 200 ");
        assert_eq!(
            repeats.iter().filter(|text| header(text, "CSeq").unwrap().ends_with("INVITE")).count(),
            11 + usize::from(who == CALLER)
        );
        for agent in [CALLER, CALLEE] {
            assert_eq!(call.network.agents[agent].ends(), [End::Released]);
        }
        let ended = call.network.sent_at("BYE ")[0] - at;
        assert_eq!(ended.as_secs(), 32);
    }
}

#[test]
fn a_cseq_that_is_not_above_the_last_is_500() {
    for (who, _) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        call.sides[who].cseq = 20;
        call.ask(who, "INFO", NO_BODY);
        for cseq in [1, 20, 21] {
            let text = call.sides[who].numbered("INFO", cseq, NO_BODY);
            let told = answer_to(&mut call.network, who, &text);

            assert_eq!(status(&told), Some(500), "{cseq} after 21");
        }
        call.hang_up();
    }
}

#[test]
fn a_method_nobody_knows_is_501_one_that_is_not_for_us_405_and_an_event_489_each_with_allow() {
    for (who, other) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let before = call.network.messages(other).len();
        for (method, code) in [
            ("DANCE", 501),
            ("REFER", 405),
            ("SUBSCRIBE", 489),
            ("NOTIFY", 489),
            ("MESSAGE", 405),
            ("PUBLISH", 489),
        ] {
            let told = call.ask(who, method, NO_BODY);

            assert_eq!(status(&told), Some(code), "{method}");
            assert!(header(&told, "Allow").unwrap().contains("BYE"), "{method}");
        }
        assert_eq!(call.network.messages(other).len(), before);
        call.hang_up();
    }
}

#[test]
fn an_extension_that_a_request_requires_is_420_and_named() {
    for method in ["INVITE", "UPDATE", "INFO", "BYE"] {
        let mut call = ByHandCall::answered(Way::ToRetell);

        let told =
            call.ask(CALLER, method, &with_body("Require: 100rel, precondition, timer, made-up\r\n", ""));

        assert_eq!(
            (status(&told), header(&told, "Unsupported")),
            (Some(420), Some("precondition, made-up")),
            "{method}"
        );
        call.hang_up();
    }
}

#[test]
fn a_request_that_lacks_what_every_request_needs_is_400_and_the_call_goes_on() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let text = call.sides[CALLER].request("INFO", NO_BODY).replace("Max-Forwards: 70", "Max-Forwards: many");

    let told = answer_to(&mut call.network, CALLER, &text);

    assert!(told.starts_with("SIP/2.0 400 Bad Max-Forwards"), "{told}");
    call.hang_up();
}

#[test]
fn wrong_tags_or_call_id_are_481_to_a_peer_and_nothing_to_a_stranger() {
    let wrong: [fn(&mut DialogSide); 4] = [
        |side| side.remote = side.remote.replace("tag=", "tag=0"),
        |side| side.remote = side.remote.split(";tag=").next().unwrap().to_owned() + ";tag=made-up",
        |side| side.local += "0",
        |side| side.call_id += "0",
    ];
    for (who, _) in EITHER {
        for break_it in wrong {
            for method in ["BYE", "INVITE", "INFO"] {
                let mut call = ByHandCall::answered(Way::ToRetell);
                let stranger = call.network.add(ByHand::new(STRANGER));
                let mut broken = call.sides[who].clone();
                break_it(&mut broken);
                let text = broken.request(method, NO_BODY).replace("z9hG4bK", "z9hG4bKw");

                let told = answer_to(&mut call.network, who, &text);
                let nothing = ask(&mut call.network, stranger, &text.replace("z9hG4bK", "z9hG4bKs"));

                assert_eq!(status(&told), Some(481), "{method}");
                assert_eq!(nothing, Vec::<String>::new());
                call.hang_up();
            }
        }
    }
}

#[test]
fn a_right_dialog_from_a_strangers_address_is_not_answered_and_goes_on() {
    for (who, _) in EITHER {
        for method in ["BYE", "INVITE", "UPDATE", "INFO", "ACK"] {
            let mut call = ByHandCall::answered(Way::ToRetell);
            let stranger = call.network.add(ByHand::new(STRANGER));
            let media = media(&call.network);
            let mut stolen = call.sides[who].clone();
            let text = stolen.request(method, &with_body("", &moved()));

            let told = ask(&mut call.network, stranger, &text);

            assert_eq!(told, Vec::<String>::new(), "{method}");
            assert_eq!(media, self::media(&call.network));
            call.hang_up();
        }
    }
}

#[test]
fn a_right_dialog_from_another_peer_is_481_and_from_the_same_peers_other_address_it_counts() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let text = call.sides[CALLER].request("BYE", NO_BODY);

    let from_retell = answer_to(&mut call.network, CALLEE, &text);
    assert_eq!(status(&from_retell), Some(481));
    let elsewhere = call.network.add(ByHand::new("198.51.100.200:5060"));
    let from_trunk = answer_to(&mut call.network, elsewhere, &text.replace("z9hG4bK", "z9hG4bKt"));

    assert_eq!(status(&from_trunk), Some(200));
    finish(&mut call.network);
    assert_eq!(call.network.agents[CALLEE].ends(), [End::Released]);
}

#[test]
fn a_second_bye_is_481_and_a_repeated_one_gets_its_200_again() {
    for (who, other) in EITHER {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let bye = call.sides[who].request("BYE", NO_BODY);

        let first = answer_to(&mut call.network, who, &bye);
        let repeated = answer_to(&mut call.network, who, &bye);
        let second = call.ask(who, "BYE", NO_BODY);

        assert_eq!((status(&first), status(&second)), (Some(200), Some(481)));
        assert_eq!(first, repeated);
        finish(&mut call.network);
        assert_eq!(call.network.agents[other].ends(), [End::Released]);
        let late = call.ask(who, "BYE", NO_BODY);
        assert_eq!(status(&late), Some(481), "when nothing is left of the call");
    }
}

#[test]
fn the_caller_may_hang_up_before_the_answer() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    let mut caller = early_caller(&mut network);

    let got = ask(&mut network, CALLER, &caller.request("BYE", NO_BODY));

    let codes: Vec<_> = got.iter().filter_map(|text| status(text)).collect();
    assert_eq!(codes, [200, 487]);
    finish(&mut network);
    assert_eq!(network.agents[CALLEE].ends(), [End::Refused(487)]);
}

#[test]
fn a_cancel_from_elsewhere_is_not_answered_and_the_call_goes_on() {
    for (from, codes) in
        [(STRANGER, vec![]), ("192.0.2.99:5060", vec![481]), ("198.51.100.200:5060", vec![200])]
    {
        let cancels = codes == [200];
        let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
        let other = network.add(ByHand::new(from));
        network.run(Duration::from_millis(200));
        let invite = String::from_utf8_lossy(&network.heard[0].bytes).into_owned();
        let head = invite.replace("INVITE ", "CANCEL ").replace("1 INVITE", "1 CANCEL");
        let head = head.split("Content-Type").next().unwrap();

        let told = ask(&mut network, other, &format!("{head}{NO_BODY}"));

        assert_eq!(told.iter().filter_map(|text| status(text)).collect::<Vec<_>>(), codes, "{from}");
        finish(&mut network);
        let end = if cancels { End::Refused(487) } else { End::Released };
        assert_eq!(network.agents[CALLER].ends(), [end], "{from}");
    }
}

#[test]
fn a_new_contact_is_where_later_requests_go() {
    for method in ["INVITE", "UPDATE"] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let there = call.network.add(ByHand::new("198.51.100.50:5080"));
        let text = call.sides[CALLER].request(method, &with_body("", SDP));
        let text =
            text.replace("Contact: <sip:hand@198.51.100.7:5060>", "Contact: <sip:new@198.51.100.50:5080>");
        call.say(CALLER, &text);
        acknowledge(&mut call, CALLER);

        call.ask(CALLEE, "BYE", NO_BODY);
        finish(&mut call.network);

        let bye = call.network.received(there, "BYE ");
        assert!(bye[0].starts_with("BYE sip:new@198.51.100.50:5080 SIP/2.0\r\n"), "{method}: {bye:?}");
    }
}

/// Each leg, and the other one.
const EITHER: [(usize, usize); 2] = [(CALLER, CALLEE), (CALLEE, CALLER)];

/// RFC 3261 §14.2: 500 with a Retry-After of 0 to 10 seconds.
fn assert_is_too_early(told: &str) {
    let seconds = header(told, "Retry-After").and_then(|seconds| seconds.parse::<u32>().ok());
    assert_eq!(status(told), Some(500), "{told}");
    assert!(seconds.is_some_and(|seconds| seconds <= 10), "{told}");
}

/// The caller's side of a call that rings.
fn early_caller(network: &mut Network) -> DialogSide {
    network.run(Duration::from_millis(200));
    let ringing = network.received(CALLER, "SIP/2.0 180 ")[0].to_owned();
    let invite = String::from_utf8_lossy(&network.heard[0].bytes).into_owned();
    DialogSide::of_caller(TRUNK.parse().unwrap(), &invite, &ringing)
}

/// A call that rings, its callee's side, and the INVITE that this got.
fn early_callee() -> (Network, DialogSide, String) {
    let (mut network, _) = ByHandCall::invited(Way::ToRetell);
    let invite = network.received(CALLEE, "INVITE ")[0].to_owned();
    let ringing =
        answer(&invite, 180, "Ringing", "early", &with_body("Contact: <sip:hand@192.0.2.7:5060>\r\n", ""));
    network.say(RETELL.parse().unwrap(), &ringing);
    network.run(Duration::from_millis(100));
    let callee = DialogSide::of_callee(RETELL.parse().unwrap(), &invite, &ringing);
    (network, callee, invite)
}

fn acknowledge(call: &mut ByHandCall, who: usize) {
    let ack = call.sides[who].ack();
    call.say(who, &ack);
}

/// The description that `who` has of us: from our 200, or from our INVITE.
fn body_before(call: &ByHandCall, who: usize) -> String {
    match who {
        CALLER => body(&call.answers[CALLER]).to_owned(),
        _ => {
            let offer = body(call.network.received(CALLEE, "INVITE ")[0]);
            assert!(offer.contains("m=audio"), "{offer}");
            offer.to_owned()
        }
    }
}

fn media(network: &Network) -> [LegMedia; 2] {
    [leg(network, CALLER), leg(network, CALLEE)]
}

/// The usual session, from another address.
fn moved() -> String {
    SDP.replace("IN IP4 198.51.100.7", "IN IP4 198.51.100.77").replace("m=audio 6000", "m=audio 7000")
}

const MOVED_TO: &str = "198.51.100.77:7000";

const NO_CODEC: &str = "v=0\r\no=- 7 2 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 18\r\n";

const VIDEO_ALONE: &str = "v=0\r\no=- 7 2 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=video 6000 RTP/AVP 31\r\n";

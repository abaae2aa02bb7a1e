//! Late offer (RFC 3261 §13.2.1): a caller that describes its session only in its ACK or PRACK.
//!
//! The callee is offered something all the same, and the caller gets our offer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, DialogSide, End, NO_BODY, Network, RETELL, Request, SDP, TRUNK, Way, answer,
    answer_to, ask, body, finish, header, leg, routes, status, with_body,
};
use trunkline::routing::config::Treatment;
use trunkline::rtp::leg::Side;

#[test]
fn our_offer_goes_in_the_200_and_the_ack_completes_it() {
    for (way, offered) in [(Way::ToRetell, "RTP/AVP 0 101"), (Way::ToTrunk, "RTP/AVP 0 8 101")] {
        let mut call = answered(way);
        assert!(body(call.network.received(CALLEE, "INVITE ")[0]).contains(offered), "{way:?}");
        assert!(body(&call.answers[CALLER]).contains("RTP/AVP 0 8 101"), "{}", call.answers[CALLER]);
        assert!(!describes_caller(&call.network), "nothing is known of the caller yet");

        let ack = call.sides[CALLER].numbered("ACK", 1, &with_body("", SDP));
        call.say(CALLER, &ack);

        assert_eq!(leg(&call.network, CALLER).remote.port(), 6_000);
        call.hang_up();
    }
}

#[test]
fn the_codec_that_the_callee_took_stands_first_in_our_offer_and_the_caller_may_take_the_other() {
    let mut call = ByHandCall::answering(Way::ToTrunk, routes_of(Way::ToTrunk), &late(RETELL), "", PCMA);
    assert!(body(&call.answers[CALLER]).contains("RTP/AVP 8 0 101"));

    let ack = call.sides[CALLER].numbered("ACK", 1, &with_body("", &SDP.replace(" 0 8 ", " 0 ")));
    call.say(CALLER, &ack);

    assert_eq!(leg(&call.network, CALLER).audio_payload_type, 0);
    assert_eq!(leg(&call.network, CALLEE).audio_payload_type, 8);
    call.hang_up();
}

#[test]
fn an_ack_without_a_usable_answer_ends_both_legs_with_a_reason() {
    for (sdp, why) in [
        ("", "An INVITE must carry a session description"),
        ("v=1\r\n", "the body is no session description"),
        ("v=0\r\nm=audio 4000 RTP/AVP 18\r\n", "no codec in common"),
        ("v=0\r\nm=audio 0 RTP/AVP 0\r\n", "every audio stream has port 0"),
    ] {
        let mut call = answered(Way::ToRetell);

        let ack = call.sides[CALLER].numbered("ACK", 1, &with_body("", sdp));
        call.say(CALLER, &ack);
        finish(&mut call.network);

        for who in [CALLER, CALLEE] {
            assert_eq!(call.network.agents[who].ends(), [End::Released], "{sdp}");
        }
        let reason = &call.network.bridge.world.records[0].reason;
        assert!(reason.starts_with("the caller's answer to our offer cannot be used: "), "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn a_lost_ack_is_made_up_for_by_the_repeated_one() {
    let mut call = answered(Way::ToRetell);
    call.network.wait(Duration::from_secs(4));
    assert!(call.network.received(CALLER, "SIP/2.0 200 ").len() > 3, "our 200 is repeated");

    let ack = call.sides[CALLER].numbered("ACK", 1, &with_body("", SDP));
    call.say(CALLER, &ack);
    call.say(CALLER, &ack);

    assert_eq!(leg(&call.network, CALLER).remote.port(), 6_000);
    call.hang_up();
}

#[test]
fn a_reinvite_that_overtakes_the_answer_is_491_and_the_answer_counts() {
    let mut call = answered(Way::ToRetell);

    let told = call.ask(CALLER, "INVITE", &with_body("", &SDP.replace("m=audio 6000", "m=audio 6002")));

    assert_eq!(status(&told), Some(491));
    let ack = call.sides[CALLER].numbered("ACK", 1, &with_body("", SDP));
    call.say(CALLER, &ack);
    assert_eq!(leg(&call.network, CALLER).remote.port(), 6_000);
    call.hang_up();
}

#[test]
fn a_caller_that_requires_100rel_gets_our_offer_in_the_first_18x_and_answers_in_its_prack() {
    let invite = late(TRUNK).with_headers("Require: 100rel\r\n");
    let mut network = ByHandCall::inviting(Way::ToRetell, routes_of(Way::ToRetell), &invite);
    callee_says(&mut network, 180, "");
    let ringing = network.received(CALLER, "SIP/2.0 180 ")[0].to_owned();
    assert!(body(&ringing).contains("RTP/AVP 0 8 101"), "{ringing}");
    let mut caller = DialogSide::of_caller(TRUNK.parse().unwrap(), &invite.to_string(), &ringing);
    let rack = format!("RAck: {} 1 INVITE\r\n", header(&ringing, "RSeq").unwrap());

    let prack = caller.request("PRACK", &with_body(&rack, SDP));
    let ok = answer_to(&mut network, CALLER, &prack);

    assert_eq!((status(&ok), body(&ok)), (Some(200), ""));
    assert_eq!(leg(&network, CALLER).remote.port(), 6_000);
    callee_says(&mut network, 200, SDP);
    let answered = network.received(CALLER, "SIP/2.0 200 ").last().unwrap().to_string();
    assert_eq!((header(&answered, "CSeq"), body(&answered)), (Some("1 INVITE"), ""), "all is said");
    let ack = caller.numbered("ACK", 1, NO_BODY);
    ask(&mut network, CALLER, &ack);
    let bye = caller.request("BYE", NO_BODY);
    assert_eq!(status(&answer_to(&mut network, CALLER, &bye)), Some(200));
    finish(&mut network);
}

#[test]
fn a_prack_without_an_answer_to_our_offer_is_refused_and_ends_the_call() {
    let invite = late(TRUNK).with_headers("Require: 100rel\r\n");
    let mut network = ByHandCall::inviting(Way::ToRetell, routes_of(Way::ToRetell), &invite);
    callee_says(&mut network, 180, "");
    let ringing = network.received(CALLER, "SIP/2.0 180 ")[0].to_owned();
    let mut caller = DialogSide::of_caller(TRUNK.parse().unwrap(), &invite.to_string(), &ringing);
    let rack = format!("RAck: {} 1 INVITE\r\n", header(&ringing, "RSeq").unwrap());

    let got = ask(&mut network, CALLER, &caller.request("PRACK", &with_body(&rack, "")));

    assert_eq!(got.iter().map(|text| status(text)).collect::<Vec<_>>(), [Some(488), Some(488)]);
    assert!(!network.received(CALLEE, "CANCEL ").is_empty());
}

#[test]
fn early_media_is_offered_reliably_to_a_late_caller_that_can_and_kept_from_one_that_cannot() {
    for (headers, describes) in [("Supported: 100rel\r\n", true), ("", false)] {
        let invite = late(TRUNK).with_headers(headers);
        let mut network = ByHandCall::inviting(Way::ToRetell, routes_of(Way::ToRetell), &invite);

        callee_says(&mut network, 183, SDP);

        let told = network.received(CALLER, "SIP/2.0 183 ")[0];
        assert_eq!((!body(told).is_empty(), header(told, "RSeq").is_some()), (describes, describes));
    }
}

#[test]
fn stripped_it_is_488() {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.profile.late_offer = Treatment::Strip;

    let network = ByHandCall::inviting(Way::ToRetell, routes::compile(&config), &late(TRUNK));

    let refused = network.received(CALLER, "SIP/2.0 488 ")[0];
    let warning = header(refused, "Warning").unwrap();
    assert_eq!(warning, "399 203.0.113.10 \"An INVITE must carry a session description\"");
}

/// The caller has our 200 to its INVITE without a session description.
fn answered(way: Way) -> ByHandCall {
    ByHandCall::answering(way, routes_of(way), &late(way.ends().0), "", SDP)
}

/// Retell may come late too.
fn routes_of(way: Way) -> trunkline::routing::Routes {
    let mut config = way.config();
    config.retell[0].peer.profile.late_offer = Treatment::Terminate;
    routes::compile(&config)
}

fn late(here: &str) -> Request {
    Request { sdp: String::new(), ..Request::invite(here) }
}

fn callee_says(network: &mut Network, code: u16, sdp: &str) {
    let received = network.received(CALLEE, "INVITE ")[0].to_owned();
    let contact = format!("Contact: <sip:hand@{RETELL}>\r\n");
    network
        .say(RETELL.parse().unwrap(), &answer(&received, code, "Said", "early", &with_body(&contact, sdp)));
    network.run(Duration::from_millis(100));
}

fn describes_caller(network: &Network) -> bool {
    network.bridge.world.legs.keys().any(|(_, side)| *side == Side::Caller)
}

const PCMA: &str = "v=0\r\no=- 7 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 8\r\n";

//! Offer and answer inside a call (RFC 3264, RFC 6337): what each leg may change, and what it may not.
//!
//! A refused offer leaves the session as it was; nothing of one leg's negotiation shows on the other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, End, NO_BODY, RETELL, Request, SDP, Step, TRUNK,
    Way, answer, body, header, leg, routes, run, status, with_body,
};
use trunkline::routing::config::Treatment;
use trunkline::rtp::leg::Rtcp;

#[test]
fn a_reinvite_may_change_the_law_of_its_leg_alone() {
    for who in [CALLER, CALLEE] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let other = leg(&call.network, 1 - who);

        let told = reinvite(&mut call, who, &SDP.replace(" 0 8 ", " 8 "));

        assert_eq!(status(&told), Some(200));
        assert!(body(&told).contains("RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"), "{told}");
        assert_eq!(leg(&call.network, who).audio_payload_type, 8);
        assert_eq!(leg(&call.network, 1 - who), other);
        call.hang_up();
    }
}

#[test]
fn the_codec_in_use_is_kept_when_it_is_offered_again_in_any_place() {
    let mut call = ByHandCall::answered(Way::ToRetell);

    let told = reinvite(&mut call, CALLER, &SDP.replace(" 0 8 ", " 8 0 "));

    assert!(body(&told).contains("RTP/AVP 0 101"), "{told}");
    call.hang_up();
}

#[test]
fn reports_go_by_the_rtp_port_where_a_peer_offered_that_and_never_where_we_did_not() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let rtcp = |call: &ByHandCall| leg(&call.network, CALLER).rtcp;
    assert_eq!(rtcp(&call), Rtcp::Separate);

    let told = reinvite(&mut call, CALLER, &format!("{SDP}a=rtcp-mux\r\n"));
    assert!(body(&told).contains("a=rtcp-mux\r\n"), "{told}");
    assert_eq!(rtcp(&call), Rtcp::Muxed);
    let told = reinvite(&mut call, CALLER, SDP);

    assert!(!told.contains("rtcp-mux"), "{told}");
    assert_eq!(rtcp(&call), Rtcp::Separate);
    assert!(!call.network.received(CALLEE, "INVITE ")[0].contains("rtcp-mux"));
    call.hang_up();
}

#[test]
fn telephone_events_may_move_to_another_number_or_go() {
    let mut call = ByHandCall::answered(Way::ToRetell);

    reinvite(&mut call, CALLER, &SDP.replace("101", "96"));
    assert_eq!(leg(&call.network, CALLER).dtmf_payload_type, Some(96));
    reinvite(&mut call, CALLER, &SDP.replace(" 101\r\na=rtpmap:101 telephone-event/8000", ""));

    assert_eq!(leg(&call.network, CALLER).dtmf_payload_type, None);
    call.hang_up();
}

#[test]
fn a_callee_that_takes_the_other_law_is_joined_all_the_same() {
    for way in Way::BOTH {
        let offered = SDP.replace(" 0 8 ", " 0 ");
        let caller = CallerScript { sdp: offered, ..CallerScript::default() };
        let pcma = SDP.replace(" 0 8 ", " 8 ");
        let callee = CalleeScript::saying([Step::new(100, 200, "OK").with_sdp(&pcma)]);

        let network = run(way, caller, callee);

        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
        let told = network.received(CALLER, "SIP/2.0 200 ")[0];
        assert!(body(told).contains("RTP/AVP 0 101"), "{told}");
        let codecs: Vec<_> =
            network.bridge.world.records[0].legs.iter().map(|leg| leg.codec.clone()).collect();
        assert_eq!(codecs, [Some("PCMU".to_owned()), Some("PCMA".to_owned())]);
    }
}

#[test]
fn an_offerless_reinvite_gets_our_offer_and_its_ack_completes_it() {
    for who in [CALLER, CALLEE] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let before = version(&first_description(&call, who));

        let told = call.ask(who, "INVITE", NO_BODY);
        assert!(body(&told).contains("RTP/AVP 0 8 101"), "{told}");
        assert!(version(body(&told)) > before);
        let cseq = call.sides[who].cseq;
        let moved = SDP.replace("m=audio 6000", "m=audio 7000");
        let ack = call.sides[who].numbered("ACK", cseq, &with_body("", &moved));
        call.say(who, &ack);

        assert_eq!(leg(&call.network, who).remote.port(), 7_000);
        call.hang_up();
    }
}

#[test]
fn an_ack_that_does_not_answer_our_offer_leaves_the_session_as_it_was() {
    for sdp in ["", "v=0\r\nm=audio 7000 RTP/AVP 18\r\n"] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let before = leg(&call.network, CALLER);
        call.ask(CALLER, "INVITE", NO_BODY);
        let cseq = call.sides[CALLER].cseq;

        let ack = call.sides[CALLER].numbered("ACK", cseq, &with_body("", sdp));
        call.say(CALLER, &ack);

        assert_eq!(leg(&call.network, CALLER), before);
        let told = reinvite(&mut call, CALLER, SDP);
        assert_eq!(status(&told), Some(200), "the next offer is answered");
        call.hang_up();
    }
}

#[test]
fn while_our_offer_is_open_another_offer_is_refused_until_the_ack_is_here() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    call.ask(CALLER, "INVITE", NO_BODY);
    let cseq = call.sides[CALLER].cseq;

    let update = call.ask(CALLER, "UPDATE", &with_body("", SDP));
    let reinvite = call.ask(CALLER, "INVITE", &with_body("", SDP));

    assert_eq!((status(&update), status(&reinvite)), (Some(491), Some(491)));
    let ack = call.sides[CALLER].numbered("ACK", cseq, &with_body("", SDP));
    call.say(CALLER, &ack);
    let update = call.ask(CALLER, "UPDATE", &with_body("", SDP));
    assert_eq!(status(&update), Some(200));
    call.hang_up();
}

#[test]
fn other_media_beside_audio_get_port_0_and_keep_their_places_in_our_own_offers() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let offer = SDP.replace("m=audio", "m=video 9000 RTP/AVP 31\r\nm=audio")
        + "m=image 9002 udptl t38\r\nm=audio 9004 RTP/AVP 0\r\n";
    let places =
        ["m=video 0 RTP/AVP 31", "m=audio 20000 RTP/AVP", "m=image 0 udptl t38", "m=audio 0 RTP/AVP 0"];

    let told = reinvite(&mut call, CALLER, &offer);
    assert_begin(&told, &places);

    let told = call.ask(CALLER, "INVITE", NO_BODY);
    assert_begin(&told, &places);
    let cseq = call.sides[CALLER].cseq;
    let ack = call.sides[CALLER].numbered("ACK", cseq, &with_body("", &offer));
    call.say(CALLER, &ack);
    call.hang_up();
}

#[test]
fn a_switch_to_fax_or_video_alone_is_488_and_the_audio_goes_on() {
    for lines in [
        "m=image 9002 udptl t38\r\n",
        "m=audio 0 RTP/AVP 0\r\nm=image 9002 udptl t38\r\n",
        "m=video 9000 RTP/AVP 31\r\n",
        "m=audio 9000 RTP/SAVP 0\r\n",
    ] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let before = leg(&call.network, CALLER);
        let head = SDP.split("m=audio").next().unwrap();

        let told = call.ask(CALLER, "INVITE", &with_body("", &format!("{head}{lines}")));

        assert_eq!(status(&told), Some(488), "{lines}");
        assert!(header(&told, "Warning").is_some());
        assert_eq!(leg(&call.network, CALLER), before);
        call.hang_up();
    }
}

#[test]
fn a_session_among_several_parts_is_found_and_an_unknown_required_part_is_415() {
    let part = |handling: &str| {
        let body = format!(
            "--x1\r\nContent-Type: application/isup;version=itu-t92+\r\n\
             Content-Disposition: signal;{handling}\r\n\r\n\
             \x01\x02\r\n--x1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x1--\r\n"
        );
        let kind = "Content-Type: multipart/mixed;boundary=\"x1\"\r\n";
        format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut call = ByHandCall::answered(Way::ToRetell);

    let optional = call.ask(CALLER, "INVITE", &part("handling=optional"));
    let ack = call.sides[CALLER].ack();
    call.say(CALLER, &ack);
    let required = call.ask(CALLER, "INVITE", &part("handling=required"));

    assert_eq!((status(&optional), status(&required)), (Some(200), Some(415)));
    assert_eq!(header(&required, "Accept"), Some("application/sdp, multipart/mixed"));
    call.hang_up();
}

#[test]
fn an_invite_with_several_parts_becomes_a_call_and_the_callee_gets_our_description_alone() {
    let plain = Request::invite(TRUNK).to_string();
    let (head, _) = plain.split_once("Content-Type").unwrap();
    let body = format!(
        "--b\r\nContent-Type: application/pidf+xml\r\n\r\n<x/>\r\n--b\r\n\
        Content-Type: application/sdp\r\n\r\n{SDP}\r\n--b--\r\n"
    );
    let text = format!(
        "{head}Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut network = calls::Network::new(Way::ToRetell.routes(), 1, calls::Weather::FAIR);
    network.add(calls::ByHand::new(TRUNK));
    network.add(calls::ByHand::new(RETELL));

    network.say(TRUNK.parse().unwrap(), &text);
    network.run(Duration::from_millis(100));

    let invite = network.received(CALLEE, "INVITE ")[0];
    assert_eq!(header(invite, "Content-Type"), Some("application/sdp"));
    assert!(!invite.contains("pidf"));
}

#[test]
fn when_both_sides_reinvite_at_a_time_each_is_491_and_ours_goes_again_as_rfc_3261_has_it() {
    for (way, who, wait_ms) in [(Way::ToRetell, CALLER, (0, 2_100)), (Way::ToTrunk, CALLEE, (2_100, 4_100))] {
        let mut config = way.config();
        let profile = &mut config.trunks[0].peer.profile;
        (profile.session_timer, profile.session_expires_s) = (Treatment::Force, 90);
        let invite = Request::invite(way.ends().0);
        let mut call = ByHandCall::answered_as(way, routes::compile(&config), &invite, "");
        let before = call.network.received(who, "INVITE ").len();
        while call.network.received(who, "INVITE ").len() == before {
            call.network.wait(Duration::from_millis(10));
        }
        let ours = call.network.received(who, "INVITE ").last().unwrap().to_string();

        let crossing = call.sides[who].request("INVITE", &with_body("", SDP));
        let got = call.say(who, &crossing);
        assert_eq!(got.iter().find_map(|text| status(text)), Some(491), "{got:?}");
        call.say(who, &answer(&ours, 491, "Request Pending", "", NO_BODY));
        let refused = call.network.elapsed();
        let ack = call.sides[who].ack();
        call.say(who, &ack);
        while call.network.received(who, "INVITE ").last().unwrap() == &ours {
            call.network.wait(Duration::from_millis(10));
        }

        let waited = (call.network.elapsed() - refused).as_millis();
        assert!((wait_ms.0..=wait_ms.1).contains(&waited), "{way:?}: {waited} ms");
        let again = call.network.received(who, "INVITE ").last().unwrap().to_string();
        assert_eq!(body(&again), body(&ours));
        call.say(who, &answer(&again, 200, "OK", "", &with_body("", SDP)));
        call.hang_up();
    }
}

fn reinvite(call: &mut ByHandCall, who: usize, sdp: &str) -> String {
    let told = call.ask(who, "INVITE", &with_body("", sdp));
    let ack = call.sides[who].ack();
    call.say(who, &ack);
    told
}

/// The m-lines of `told` begin so, one by one.
fn assert_begin(told: &str, places: &[&str]) {
    let lines: Vec<_> = body(told).split("\r\n").filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines.len(), places.len(), "{told}");
    for (line, place) in lines.iter().zip(places) {
        assert!(line.starts_with(place), "{line} is not {place}");
    }
}

fn first_description(call: &ByHandCall, who: usize) -> String {
    match who {
        CALLER => body(&call.answers[CALLER]).to_owned(),
        _ => body(call.network.received(CALLEE, "INVITE ")[0]).to_owned(),
    }
}

fn version(sdp: &str) -> u32 {
    let origin = sdp.split("\r\n").find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

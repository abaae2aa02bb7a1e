//! Hold in all its dialects stops at us (RFC 3264 §8.4, RFC 6337 §5.3): the holder gets the direction that
//! answers its own, and the other leg never hears of it by SIP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, NO_BODY, Request, SDP, TRUNK, Way, body, leg, routes, status, with_body,
};
use trunkline::routing::config::Treatment;

#[test]
fn every_dialect_of_hold_is_answered_in_kind_suspends_time_outs_and_ends_at_once() {
    for who in [CALLER, CALLEE] {
        for (name, held, answered, receives) in [
            ("sendonly", sdp("sendonly"), "a=recvonly", false),
            ("inactive", sdp("inactive"), "a=inactive", false),
            ("recvonly", sdp("recvonly"), "a=sendonly", true),
            ("c=0.0.0.0", nowhere(""), "a=recvonly", false),
            ("c=0.0.0.0 and sendonly", nowhere("a=sendonly\r\n"), "a=recvonly", false),
            ("c=0.0.0.0 and inactive", nowhere("a=inactive\r\n"), "a=inactive", false),
            ("port 0", SDP.replace("m=audio 6000", "m=audio 0"), "m=audio 0 ", false),
            (
                "for the whole session",
                SDP.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n"),
                "a=recvonly",
                false,
            ),
        ] {
            let mut call = ByHandCall::answered(Way::ToRetell);
            let other = call.network.messages(1 - who).len();

            let told = reinvite(&mut call, who, &held);

            assert_eq!(status(&told), Some(200), "{name}");
            assert!(body(&told).contains(answered), "{name}: {told}");
            let media = leg(&call.network, who);
            assert_eq!((media.receives, media.sends), (receives, false), "{name}");
            assert_eq!(call.network.bridge.world.held.len(), 1, "{name}");

            let back = reinvite(&mut call, who, SDP);

            assert!(body(&back).contains("a=sendrecv"), "{name}: {back}");
            let media = leg(&call.network, who);
            assert_eq!((media.receives, media.sends, media.remote.port()), (true, true, 6_000), "{name}");
            assert!(call.network.bridge.world.held.is_empty(), "{name}");
            assert_eq!(call.network.messages(1 - who).len(), other, "the other leg heard nothing");
            call.hang_up();
        }
    }
}

#[test]
fn a_call_held_for_ten_minutes_stays_up() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    reinvite(&mut call, CALLER, &sdp("sendonly"));

    for _ in 0..60 {
        call.network.wait(Duration::from_secs(10));
        answer_options(&mut call);
        assert_eq!(call.network.bridge.world.held.len(), 1);
    }
    let back = reinvite(&mut call, CALLER, SDP);

    assert!(body(&back).contains("a=sendrecv"));
    assert!(call.network.bridge.world.held.is_empty());
    call.hang_up();
}

#[test]
fn each_description_of_ours_has_a_higher_version_when_it_changes_and_the_same_when_not() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let mut versions = vec![version(&call.answers[CALLER])];
    for direction in ["sendonly", "sendonly", "sendrecv", "inactive", "sendrecv"] {
        let told = reinvite(&mut call, CALLER, &sdp(direction));
        versions.push(version(&told));
    }

    assert_eq!(versions, [1, 2, 2, 3, 4, 5]);
    call.hang_up();
}

#[test]
fn hold_by_update_is_the_same_as_by_reinvite() {
    let mut call = ByHandCall::answered(Way::ToRetell);

    let told = call.ask(CALLER, "UPDATE", &with_body("", &sdp("sendonly")));
    assert!(body(&told).contains("a=recvonly"), "{told}");
    assert_eq!(call.network.bridge.world.held.len(), 1);

    let told = call.ask(CALLER, "UPDATE", &with_body("", &sdp("sendrecv")));
    assert!(body(&told).contains("a=sendrecv"), "{told}");
    assert!(call.network.bridge.world.held.is_empty());
    call.hang_up();
}

#[test]
fn both_sides_may_hold_at_once_and_resume_one_by_one() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    for (who, direction, held) in
        [(CALLER, "sendonly", 1), (CALLEE, "inactive", 2), (CALLER, "sendrecv", 1), (CALLEE, "sendrecv", 0)]
    {
        reinvite(&mut call, who, &sdp(direction));

        assert_eq!(call.network.bridge.world.held.len(), held);
    }
    call.hang_up();
}

#[test]
fn a_call_may_begin_on_hold() {
    for (direction, answered) in [("sendonly", "a=recvonly"), ("inactive", "a=inactive")] {
        let invite = Request { sdp: sdp(direction), ..Request::invite(TRUNK) };
        let mut call = ByHandCall::answered_as(Way::ToRetell, Way::ToRetell.routes(), &invite, "");

        assert!(body(&call.answers[CALLER]).contains(answered));
        assert_eq!(call.network.bridge.world.held.len(), 1);
        reinvite(&mut call, CALLER, SDP);
        assert!(call.network.bridge.world.held.is_empty());
        call.hang_up();
    }
}

#[test]
fn an_offerless_reinvite_of_a_holder_is_offered_audio_both_ways_again() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    for held in [sdp("sendonly"), SDP.replace("m=audio 6000", "m=audio 0")] {
        reinvite(&mut call, CALLER, &held);

        let told = call.ask(CALLER, "INVITE", NO_BODY);
        assert!(body(&told).contains("m=audio 20000 RTP/AVP 0 8 101"), "{told}");
        assert!(body(&told).contains("a=sendrecv"));
        let cseq = call.sides[CALLER].cseq;
        let ack = call.sides[CALLER].numbered("ACK", cseq, &with_body("", SDP));
        call.say(CALLER, &ack);

        assert!(call.network.bridge.world.held.is_empty());
    }
    call.hang_up();
}

#[test]
fn the_music_of_a_holder_is_heard_only_where_its_profile_says_so() {
    for (treatment, sends) in [(Treatment::Terminate, false), (Treatment::Pass, true)] {
        let mut config = Way::ToRetell.config();
        config.trunks[0].peer.profile.hold = treatment;
        let routes = routes::compile(&config);
        let mut call = ByHandCall::answered_as(Way::ToRetell, routes, &Request::invite(TRUNK), "");

        reinvite(&mut call, CALLER, &sdp("sendonly"));

        let media = leg(&call.network, CALLER);
        assert_eq!((media.sends, media.receives), (sends, false), "{treatment:?}");
        call.hang_up();
    }
}

/// Sends a re-INVITE, acknowledges its 200, and gives that.
fn reinvite(call: &mut ByHandCall, who: usize, sdp: &str) -> String {
    let told = call.ask(who, "INVITE", &with_body("", sdp));
    let ack = call.sides[who].ack();
    call.say(who, &ack);
    told
}

fn answer_options(call: &mut ByHandCall) {
    if let Some(text) = call.network.received(CALLEE, "OPTIONS ").last() {
        let ok = calls::answer(text, 200, "OK", "", NO_BODY);
        call.say(CALLEE, &ok);
    }
}

fn sdp(direction: &str) -> String {
    format!("{SDP}a={direction}\r\n")
}

/// Hold as RFC 2543 had it.
fn nowhere(attribute: &str) -> String {
    SDP.replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0") + attribute
}

fn version(text: &str) -> u32 {
    let origin = body(text).split("\r\n").find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

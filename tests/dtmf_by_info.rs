//! Digits by INFO on one leg and by telephone events on the other (RFC 4733), each once,
//! and never an INFO across.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, NO_BODY, Request, SDP, TRUNK, Way, body, header, leg, routes, status,
};
use trunkline::routing::config::DigitsBy;
use trunkline::rtp::dtmf::Digit;
use trunkline::rtp::leg::Side;

#[test]
fn a_digit_by_info_of_a_peer_without_telephone_events_is_pressed_for_the_other_side() {
    let mut call = trunk_with(DigitsBy::Events, NO_EVENTS);
    let before = call.network.messages(CALLEE).len();

    for (kind, content, pressed) in [
        ("application/dtmf-relay", "Signal=5\r\nDuration=240\r\n", ("5", 240)),
        ("application/dtmf", "#", ("#", 160)),
    ] {
        let told = call.ask(CALLER, "INFO", &info(kind, content));

        assert_eq!(status(&told), Some(200));
        let (side, digit, ms) = call.network.bridge.world.pressed.pop().unwrap();
        assert_eq!((side, &*digit, ms), (Side::Callee, pressed.0, pressed.1));
    }

    assert_eq!(call.network.messages(CALLEE).len(), before, "no INFO goes across");
    call.hang_up();
}

#[test]
fn a_digit_by_info_of_a_peer_that_has_telephone_events_is_not_pressed_a_second_time() {
    let mut call = trunk_with(DigitsBy::Events, SDP);

    let told = call.ask(CALLER, "INFO", &info("application/dtmf-relay", "Signal=5\r\n"));

    assert_eq!(status(&told), Some(200));
    assert!(call.network.bridge.world.pressed.is_empty());
    call.hang_up();
}

#[test]
fn a_peer_that_has_digits_by_info_agrees_on_no_events_and_gets_the_other_sides_by_info() {
    let mut call = trunk_with(DigitsBy::Info, SDP);
    assert!(!body(&call.answers[CALLER]).contains("telephone-event"));
    assert!(body(call.network.received(CALLEE, "INVITE ")[0]).contains("telephone-event"));

    let told = call.ask(CALLER, "INFO", &info("application/dtmf", "7"));
    assert_eq!(status(&told), Some(200));
    assert_eq!(call.network.bridge.world.pressed, [(Side::Callee, "7".to_owned(), 160)]);
    press(&mut call, Side::Callee, '9');

    let sent = call.network.received(CALLER, "INFO ")[0];
    assert_eq!(header(sent, "Content-Type"), Some("application/dtmf-relay"));
    assert_eq!(body(sent), "Signal=9\r\nDuration=120\r\n");
    let ok = calls::answer(sent, 200, "OK", "", NO_BODY);
    call.say(CALLER, &ok);
    assert!(call.network.received(CALLEE, "INFO ").is_empty());
    call.hang_up();
}

#[test]
fn a_digit_that_was_relayed_as_an_event_is_not_said_again_by_info() {
    let mut call = trunk_with(DigitsBy::Events, SDP);

    press(&mut call, Side::Callee, '9');
    press(&mut call, Side::Caller, '9');

    for who in [CALLER, CALLEE] {
        assert!(call.network.received(who, "INFO ").is_empty());
    }
    call.hang_up();
}

#[test]
fn a_peer_that_plays_its_digits_agrees_on_no_events_and_is_listened_to_and_played_them() {
    for (digits, listens) in [(DigitsBy::Inband, true), (DigitsBy::Events, false)] {
        let call = trunk_with(digits, SDP);

        let leg = leg(&call.network, CALLER);
        assert_eq!((leg.inband_dtmf, leg.plays_digits), (listens, listens));
        assert_eq!(leg.dtmf_payload_type.is_none(), listens);
        call.hang_up();
    }
}

#[test]
fn a_peer_that_has_no_events_is_played_digits_unless_it_gets_them_by_info() {
    for (digits, plays) in [(DigitsBy::Inband, true), (DigitsBy::Events, true), (DigitsBy::Info, false)] {
        let call = trunk_with(digits, NO_EVENTS);

        assert_eq!(leg(&call.network, CALLER).plays_digits, plays, "{digits:?}");
        assert!(!leg(&call.network, CALLEE).plays_digits);
        call.hang_up();
    }
}

#[test]
fn an_info_that_holds_no_key_is_415_with_what_may_hold_one() {
    let mut call = trunk_with(DigitsBy::Events, NO_EVENTS);

    let told = call.ask(CALLER, "INFO", &info("application/media_control+xml", "<media_control/>"));

    let accepted = Some("application/dtmf-relay, application/dtmf");
    assert_eq!((status(&told), header(&told, "Accept")), (Some(415), accepted));
    assert_eq!(status(&call.ask(CALLER, "INFO", NO_BODY)), Some(200));
    call.hang_up();
}

fn trunk_with(digits: DigitsBy, sdp: &str) -> ByHandCall {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.profile.dtmf = digits;
    let invite = Request { sdp: sdp.into(), ..Request::invite(TRUNK) };
    ByHandCall::answered_as(Way::ToRetell, routes::compile(&config), &invite, "")
}

/// The relay heard a key of this side.
fn press(call: &mut ByHandCall, side: Side, key: char) {
    let id = *call.network.bridge.world.ports.keys().next().unwrap();
    let digit = Digit::try_from(key).unwrap();
    call.network.bridge.on_digit(id, side, digit, Duration::from_millis(120));
    call.network.run(Duration::from_millis(100));
}

fn info(kind: &str, content: &str) -> String {
    format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

const NO_EVENTS: &str = "v=0\r\no=- 7 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0 8\r\na=ptime:20\r\n";

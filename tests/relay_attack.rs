//! Somebody who sprays RTP at every port of the relay, as the tools that look for calls to steal do.
//!
//! What counts is how many packets the sprayer is sent, and how many of its own reach a far end: none once
//! both ends are known, and hardly any before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use trunkline::media::{LegMedia, Side};

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, Peer, heard};

#[test]
fn once_both_ends_are_known_a_sprayer_hears_nothing_and_is_not_heard() {
    let mut call = Call::connected("127.0.13.1", |_, media| media);
    call.engine.answered(CALL);
    let mut sprayers = sprayers();
    assert_eq!(
        call.say(Side::Caller, &[(0, "voice")]).len() + call.say(Side::Callee, &[(0, "voice")]).len(),
        2
    );

    let (mut to_callee, mut to_caller) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        sprayers.iter_mut().for_each(|sprayer| spray(sprayer, &call));
        to_callee.extend(call.say(Side::Caller, &[(0, "voice")]));
        to_caller.extend(call.say(Side::Callee, &[(0, "voice")]));
    }

    assert_eq!((heard(&to_callee), heard(&to_caller)), (vec![(0, "voice"); 30], vec![(0, "voice"); 30]));
    assert!(sprayers.iter().all(|sprayer| sprayer.receive_all().is_empty()));
    assert!(call.engine.stats(CALL).unwrap().iter().all(|leg| leg.strangers > 0));
}

#[test]
fn a_sprayer_that_begins_before_the_far_ends_speak_gets_fewer_than_five_packets_in_and_none_out() {
    let mut call = Call::connected("127.0.13.2", |_, media| media);
    let mut sprayers = sprayers();

    for _ in 0..10 {
        sprayers.iter_mut().for_each(|sprayer| spray(sprayer, &call));
    }
    let injected = call.caller.receive(5).len() + call.callee.receive(5).len();
    call.engine.answered(CALL);
    let (to_callee, to_caller) =
        (call.say(Side::Caller, &[(0, "voice")]), call.say(Side::Callee, &[(0, "voice")]));

    assert!(injected < 5, "{injected} packets");
    assert_eq!((heard(&to_callee), heard(&to_caller)), (vec![(0, "voice")], vec![(0, "voice")]));
    assert!(sprayers.iter().all(|sprayer| sprayer.receive_all().is_empty()));
}

#[test]
fn a_sprayer_that_sends_ten_packets_to_a_port_before_it_goes_on_to_the_next_gets_none_in() {
    let mut call = Call::connected("127.0.13.4", |_, media| media);
    let mut sprayer = Peer::at("127.0.0.66");

    for relay in [Side::Callee, Side::Caller].map(|side| call.relay(side)) {
        (0..10).for_each(|_| sprayer.send(relay, 0, b"stolen?"));
    }
    let injected = call.caller.receive(5).len() + call.callee.receive(5).len();
    call.engine.answered(CALL);
    let to_callee = call.say(Side::Caller, &[(0, "voice")]);

    assert!(injected < 5, "{injected} packets");
    assert_eq!(heard(&to_callee), vec![(0, "voice")]);
    assert!(sprayer.receive_all().is_empty());
}

#[test]
fn a_sprayer_does_not_prove_itself_a_far_end_that_is_silent_or_behind_nat() {
    let mut call = Call::connected("127.0.13.3", |side, media| match side {
        Side::Caller => media,
        Side::Callee => LegMedia::new("10.99.0.1:4000".parse().unwrap(), 0),
    });
    call.engine.answered(CALL);
    call.say(Side::Caller, &[(0, "voice")]);
    std::thread::sleep(Duration::from_millis(600));
    let mut sprayer = Peer::at("127.0.0.66");

    (0..50).for_each(|_| spray(&mut sprayer, &call));
    let injected = call.caller.receive(1).len();
    let relay = call.relay(Side::Callee);
    for text in ["1", "2", "3", "4"] {
        call.callee.send(relay, 0, text.as_bytes());
        std::thread::sleep(PACE);
    }
    let found = call.caller.receive(2);
    let to_callee = call.say(Side::Caller, &[(0, "voice")]);

    assert_eq!(injected, 0);
    assert_eq!((heard(&found), heard(&to_callee)), (vec![(0, "3"), (0, "4")], vec![(0, "voice")]));
    assert!(sprayer.receive_all().is_empty());
}

/// Between two packets of one who speaks.
const PACE: Duration = Duration::from_millis(20);

/// Each goes on counting from pass to pass, as one source.
fn sprayers() -> Vec<Peer> {
    ["127.0.0.66", "127.0.0.67", "127.0.0.68"].map(Peer::at).into()
}

/// A packet to each port from 64 below the call's to 64 above.
fn spray(sprayer: &mut Peer, call: &Call) {
    let middle = call.reserved.caller.port();
    for port in middle.saturating_sub(64)..middle + 64 {
        let packet = sprayer.packet(0, b"stolen?");
        sprayer.socket.send_to(&packet, SocketAddr::new(call.reserved.caller.ip(), port)).unwrap();
    }
    sprayer.sequence = sprayer.sequence.wrapping_add(1);
}

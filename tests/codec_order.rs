//! `first_codec`: which law of G.711 a peer is offered first, and which is taken of what it offers itself.
//! The callee's goes before the caller's; without any, the order of the offer stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::{ByHandCall, CALLEE, CALLER, Request, SDP, Way, answer, body, routes, with_body};
use trunkline::sdp::codec::Codec::{self, Pcma, Pcmu};

#[test]
fn a_trunk_is_offered_its_own_law_first_and_the_other_behind_it() {
    for (retell, trunk, expected) in [
        (None, None, " 0 8 101"),
        (None, Some(Pcma), " 8 0 101"),
        (Some(Pcma), None, " 8 0 101"),
        (Some(Pcma), Some(Pcmu), " 0 8 101"),
    ] {
        assert_eq!(offered(Way::ToTrunk, retell, trunk, SDP), expected, "{retell:?} {trunk:?}");
    }
}

#[test]
fn retell_is_offered_the_law_that_the_trunk_or_itself_wants_first_and_no_other() {
    for (retell, trunk, expected) in [
        (None, None, " 0 101"),
        (None, Some(Pcma), " 8 101"),
        (Some(Pcma), None, " 8 101"),
        (Some(Pcmu), Some(Pcma), " 0 101"),
    ] {
        assert_eq!(offered(Way::ToRetell, retell, trunk, SDP), expected, "{retell:?} {trunk:?}");
    }
}

#[test]
fn a_law_that_the_caller_has_not_is_not_offered_for_being_first() {
    let pcmu_alone = SDP.replace(" 0 8 ", " 0 ");

    for way in Way::BOTH {
        assert_eq!(offered(way, Some(Pcma), Some(Pcma), &pcmu_alone), " 0 101", "{way:?}");
    }
}

#[test]
fn a_caller_that_offers_nothing_yet_leaves_the_order_to_the_key() {
    assert_eq!(offered(Way::ToRetell, None, Some(Pcma), ""), " 8 101");
}

#[test]
fn the_caller_is_answered_with_the_law_that_the_callee_took() {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.media.first_codec = Some(Pcma);
    let invite = Request::invite(Way::ToRetell.ends().0);
    let mut network = ByHandCall::inviting(Way::ToRetell, routes::compile(&config), &invite);
    let received = network.received(CALLEE, "INVITE ")[0].to_owned();

    let sdp = SDP.replace(" 0 8 ", " 8 ");
    let ok = answer(&received, 200, "OK", "too", &with_body("Contact: <sip:hand@192.0.2.7>\r\n", &sdp));
    network.say(Way::ToRetell.ends().1.parse().unwrap(), &ok);
    network.run(std::time::Duration::from_millis(100));

    let told = network.received(CALLER, "SIP/2.0 200 ")[0];
    assert!(body(told).contains("RTP/AVP 8 101\r\n"), "{told}");
}

/// The payload types that the callee is offered for a call with `sdp`.
fn offered(way: Way, retell: Option<Codec>, trunk: Option<Codec>, sdp: &str) -> String {
    let mut config = way.config();
    config.retell[0].peer.media.first_codec = retell;
    config.trunks[0].peer.media.first_codec = trunk;
    let invite = Request { sdp: sdp.to_owned(), ..Request::invite(way.ends().0) };
    let network = ByHandCall::inviting(way, routes::compile(&config), &invite);
    let seen = network.received(CALLEE, "INVITE ")[0];
    let (_, types) = seen.split_once("RTP/AVP").unwrap();
    types.split_once("\r\n").unwrap().0.to_owned()
}

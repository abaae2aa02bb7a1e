//! What a caller hears while the callee is being reached: 100 from us, the callee's 18x as they come, and
//! early media (RFC 3261 §13.2.2.1, RFC 3960).
//!
//! However many forks answer the callee's INVITE, the caller sees one dialog, under one tag of ours.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    CALLEE, CALLER, CalleeScript, CallerScript, End, Network, SDP, Step, Way, header, run, status, tag,
};
use trunkline::rtp::leg::Side;

#[test]
fn the_caller_hears_100_at_once_and_then_nothing_that_the_callee_did_not_say() {
    for way in Way::BOTH {
        let silent =
            [Step::new(50, 100, "Trying"), Step::new(60, 100, "Trying"), Step::new(1_000, 486, "Busy")];

        let network = run(way, CallerScript::default(), CalleeScript::saying(silent));

        let codes = codes(&network);
        assert_eq!((codes[0], codes.len()), (100, 2), "{codes:?}");
        assert_eq!(network.sent_at("SIP/2.0 100 ")[0], Duration::from_millis(1), "as the INVITE arrives");
    }
}

#[test]
fn ringing_is_told_once_also_after_a_183_and_other_18x_as_they_come() {
    for (said, told) in [
        (&[180, 180, 180][..], &[180][..]),
        (&[183, 180, 180], &[183, 180]),
        (&[180, 183, 180, 183], &[180, 183, 183]),
        (&[181, 181, 182, 180], &[181, 181, 182, 180]),
        (&[182, 181, 183], &[182, 181, 183]),
        (&[199, 180, 199], &[180]),
        (&[199, 199], &[]),
    ] {
        for way in Way::BOTH {
            let steps = said.iter().zip(1..).map(|(&code, at)| Step::new(100 * at, code, "On Its Way"));
            let steps = steps.chain([Step::new(2_000, 200, "OK")]);

            let network = run(way, CallerScript::default(), CalleeScript::saying(steps));

            let heard = codes(&network);
            assert_eq!(heard[1..heard.len() - 2], *told, "{way:?} {said:?}");
        }
    }
}

#[test]
fn passed_headers_go_with_an_18x_and_the_callees_phrase_does_not() {
    let step = Step::new(100, 182, "Three Before You").with_headers("X-Place: 3\r\nServer: theirs\r\n");

    let network =
        run(Way::ToTrunk, CallerScript::default(), CalleeScript::saying([step, Step::new(500, 200, "OK")]));

    let told = network.received(CALLER, "SIP/2.0 182 ")[0];
    assert!(told.starts_with("SIP/2.0 182 Queued\r\n"), "{told}");
    assert_eq!((header(told, "X-Place"), header(told, "Server")), (Some("3"), None));
}

#[test]
fn early_media_connects_both_legs_before_the_answer_and_the_200_says_the_same() {
    for way in Way::BOTH {
        let steps = [Step::new(100, 183, "Session Progress").with_sdp(SDP), Step::new(2_000, 200, "OK")];
        let mut network = calls::network(way, CallerScript::default(), CalleeScript::saying(steps));

        network.run(Duration::from_secs(1));

        let sides: Vec<_> = network.bridge.world.legs.keys().map(|(_, side)| *side).collect();
        assert!(sides.contains(&Side::Caller) && sides.contains(&Side::Callee), "{sides:?}");
        calls::finish(&mut network);
        let early = network.received(CALLER, "SIP/2.0 183 ")[0];
        let answer = network.received(CALLER, "SIP/2.0 200 ")[0];
        assert_eq!(body(early), body(answer), "byte for byte, or it would be a new description");
        assert!(body(early).contains("m=audio "));
    }
}

#[test]
fn a_183_without_a_usable_session_is_told_without_one() {
    for sdp in
        ["", "v=1\r\n", "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"]
    {
        let steps = [Step::new(100, 183, "Session Progress").with_sdp(sdp), Step::new(500, 200, "OK")];

        let network = run(Way::ToTrunk, CallerScript::default(), CalleeScript::saying(steps));

        let early = network.received(CALLER, "SIP/2.0 183 ")[0];
        assert_eq!(header(early, "Content-Length"), Some("0"), "{sdp}");
        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    }
}

#[test]
fn the_answer_of_another_fork_than_the_one_with_early_media_moves_the_media_there() {
    let there = SDP.replace("IN IP4 198.51.100.7", "IN IP4 198.51.100.77");
    let steps = [
        Step::new(100, 183, "Session Progress").of("a").with_sdp(SDP),
        Step::new(200, 183, "Session Progress").of("b").with_sdp(&there),
        Step::new(300, 200, "OK").of("a"),
    ];
    let mut network = calls::network(Way::ToTrunk, CallerScript::default(), CalleeScript::saying(steps));

    let mut remotes = Vec::new();
    for _ in 0..3 {
        network.run(Duration::from_millis(if remotes.is_empty() { 150 } else { 100 }));
        let legs = &network.bridge.world.legs;
        let callee = legs.iter().find(|((_, side), _)| *side == Side::Callee).unwrap().1;
        remotes.push(callee.remote.ip().to_string());
    }

    assert_eq!(remotes, ["198.51.100.7", "198.51.100.77", "198.51.100.7"]);
    calls::finish(&mut network);
}

#[test]
fn however_many_forks_ring_the_caller_sees_one_dialog() {
    for way in Way::BOTH {
        let steps = [
            Step::new(100, 183, "Session Progress").of("a").with_sdp(SDP),
            Step::new(200, 180, "Ringing").of("b"),
            Step::new(300, 183, "Session Progress").of("c").with_sdp(SDP),
            Step::new(600, 200, "OK").of("b"),
        ];

        let network = run(way, CallerScript::default(), CalleeScript::saying(steps));

        let tags: Vec<_> = network.messages(CALLER).iter().map(|text| tag(text, "To")).collect();
        assert_eq!(tags[0], "", "100 opens no dialog");
        assert!(tags[1..].iter().all(|tag| !tag.is_empty() && *tag == tags[1]), "{tags:?}");
        assert_eq!(network.agents[CALLEE].ends(), [End::Released]);
    }
}

/// What the caller was told of its INVITE and BYE, in order.
fn codes(network: &Network) -> Vec<u16> {
    network.messages(CALLER).iter().filter_map(|text| status(text)).collect()
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

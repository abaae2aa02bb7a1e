//! Calls over SRTP (RFC 4568): what each leg is offered and answered, what the relay is
//! told, and what is never said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, End, NO_BODY, Network, Request, SDP, Way,
    Weather, answer, body, header, in_weather, leg, routes, status, with_body,
};
use trunkline::id::srtp::{LegKeys, MasterKey, Suite};
use trunkline::routing::Routes;
use trunkline::sdp::crypto::{Crypto, Policy};

#[test]
fn a_callee_takes_one_of_the_keys_it_is_offered_and_the_caller_hears_nothing_of_them() {
    for policy in [Policy::Offer, Policy::Require] {
        let call =
            answering(routes_with(Way::ToTrunk, policy, true), SDP, &secure(SDP, &[(2, SUITE_32, "x")]));

        let invite = call.network.received(CALLEE, "INVITE ")[0];
        assert!(body(invite).contains(" RTP/SAVP 0 8 101\r\n"), "{invite}");
        let offered = lines(body(invite));
        assert_eq!(offered.iter().map(|line| line.tag).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let keys = LegKeys { local: offered[1].key.clone(), remote: key("x", Suite::AesCm128HmacSha1_32) };
        assert_eq!(leg(&call.network, CALLEE).srtp.as_deref(), Some(&keys));
        assert_eq!(leg(&call.network, CALLER).srtp, None);
        assert!(body(&call.answers[0]).contains(" RTP/AVP 0 101\r\n"), "{}", call.answers[0]);
        assert!(!call.answers[0].contains("crypto"), "{}", call.answers[0]);
    }
}

#[test]
fn a_caller_is_answered_under_its_own_tag_and_the_callee_hears_nothing_of_it() {
    let routes = routes_with(Way::ToRetell, Policy::Require, true);
    let offer = secure(SDP, &[(7, SUITE_80, "a"), (8, SUITE_32, "b")]);

    let call = answering(routes, &offer, SDP);

    let told = lines(body(&call.answers[0]));
    assert_eq!((told.len(), told[0].tag), (1, 7));
    assert!(body(&call.answers[0]).contains(" RTP/SAVP 0 101\r\n"), "{}", call.answers[0]);
    let keys = LegKeys { local: told[0].key.clone(), remote: key("a", Suite::AesCm128HmacSha1_80) };
    assert_eq!(leg(&call.network, CALLER).srtp.as_deref(), Some(&keys));
    assert_eq!(leg(&call.network, CALLEE).srtp, None);
    let invite = call.network.received(CALLEE, "INVITE ")[0];
    assert!(!invite.contains("crypto") && !invite.contains("SAVP"), "{invite}");
}

#[test]
fn a_callee_that_refuses_srtp_is_asked_again_without_it_if_it_is_only_offered() {
    for (code, policy, attempts) in [
        (488, Policy::Offer, 2),
        (415, Policy::Offer, 2),
        (400, Policy::Offer, 2),
        (486, Policy::Offer, 1),
        (488, Policy::Require, 1),
        (488, Policy::Off, 1),
    ] {
        let network = refused(routes_with(Way::ToTrunk, policy, true), code);

        let invites = network.received(CALLEE, "INVITE ");
        assert_eq!(invites.len(), attempts, "{code}, {policy}");
        if let [first, second] = invites[..] {
            assert_ne!(header(first, "Call-ID"), header(second, "Call-ID"));
            assert!(body(second).contains(" RTP/AVP ") && !second.contains("crypto"), "{second}");
        }
        assert!(matches!(network.agents[CALLER].ends()[..], [End::Refused(_)]));
    }
}

#[test]
fn a_callers_description_has_to_suit_the_policy() {
    let encrypted = secure(SDP, &[(1, SUITE_80, "a")]);
    for (policy, sdp, warning) in [
        (Policy::Off, &encrypted[..], Some("audio only by RTP/SAVP, which is not supported; offer RTP/AVP")),
        (Policy::Offer, &encrypted, None),
        (Policy::Offer, SDP, None),
        (
            Policy::Require,
            SDP,
            Some("audio only by RTP/AVP, but it has to be encrypted; offer RTP/SAVP with a=crypto"),
        ),
    ] {
        let network = inviting(routes_with(Way::ToRetell, policy, true), sdp);

        let refusal = network.received(CALLER, "SIP/2.0 488 ").first().copied();
        assert_eq!(refusal.is_some(), warning.is_some(), "{policy}");
        if let (Some(refusal), Some(warning)) = (refusal, warning) {
            assert!(header(refusal, "Warning").unwrap().contains(warning), "{refusal}");
        }
    }
}

#[test]
fn keys_are_neither_sent_nor_taken_in_cleartext_unless_that_is_allowed() {
    let encrypted = secure(SDP, &[(1, SUITE_80, "a")]);

    let offered = inviting(routes_with(Way::ToTrunk, Policy::Offer, false), SDP);
    let required = inviting(routes_with(Way::ToTrunk, Policy::Require, false), SDP);
    let taken = inviting(routes_with(Way::ToRetell, Policy::Offer, false), &encrypted);
    let demanded = inviting(routes_with(Way::ToRetell, Policy::Require, false), &encrypted);

    assert!(body(offered.received(CALLEE, "INVITE ")[0]).contains(" RTP/AVP "));
    assert!(required.received(CALLEE, "INVITE ").is_empty());
    assert_eq!(required.received(CALLER, "SIP/2.0 503 ").len(), 1);
    assert_eq!(taken.received(CALLER, "SIP/2.0 488 ").len(), 1);
    let refusal = demanded.received(CALLER, "SIP/2.0 488 ")[0];
    let warning = header(refusal, "Warning").unwrap();
    assert!(warning.contains("SRTP is required, and its keys must not be sent without TLS"), "{warning}");
}

#[test]
fn an_answer_without_a_key_that_was_offered_ends_the_call_if_it_must_be_encrypted() {
    for (answered, fails) in [
        (secure(SDP, &[(9, SUITE_80, "x")]), [true, true]),
        (secure(SDP, &[(1, SUITE_32, "x")]), [true, true]),
        (secure(SDP, &[(1, SUITE_80, "x"), (2, SUITE_32, "y")]), [true, true]),
        (SDP.to_owned(), [false, true]),
    ] {
        for (policy, fails) in [Policy::Offer, Policy::Require].into_iter().zip(fails) {
            let network = answered_with(routes_with(Way::ToTrunk, policy, true), &answered);

            let byes = network.received(CALLEE, "BYE ").len();
            assert_eq!(byes == 1, fails, "{policy}: {answered}");
            assert_eq!(network.received(CALLER, "SIP/2.0 200 ").is_empty(), fails, "{policy}: {answered}");
        }
    }
}

#[test]
fn a_new_key_in_a_reinvite_is_taken_under_the_same_key_of_ours() {
    let routes = routes_with(Way::ToRetell, Policy::Require, true);
    let mut call = answering(routes, &secure(SDP, &[(1, SUITE_80, "a")]), SDP);
    let ack = call.sides[CALLER].ack();
    call.say(CALLER, &ack);
    let before = leg(&call.network, CALLER).srtp.unwrap();

    for (tag, letter) in [(1, "a"), (4, "b")] {
        let told = call.ask(CALLER, "INVITE", &reinvite(&secure(SDP, &[(tag, SUITE_80, letter)])));

        assert_eq!(lines(body(&told))[0].tag, tag, "{told}");
        let remote = key(letter, Suite::AesCm128HmacSha1_80);
        let keys = LegKeys { local: before.local.clone(), remote };
        assert_eq!(leg(&call.network, CALLER).srtp.as_deref(), Some(&keys));
        let ack = call.sides[CALLER].ack();
        call.say(CALLER, &ack);
    }
    let refused = call.ask(CALLER, "INVITE", &reinvite(SDP));
    assert_eq!(status(&refused), Some(488), "a call that is encrypted stays so: {refused}");
}

#[test]
fn what_is_offered_later_is_what_was_agreed_and_nothing_more() {
    for (answered, tags) in [(secure(SDP, &[(2, SUITE_32, "x")]), vec![2]), (SDP.to_owned(), vec![])] {
        let mut call = answering(routes_with(Way::ToTrunk, Policy::Offer, true), SDP, &answered);
        let ack = call.sides[CALLER].ack();
        call.say(CALLER, &ack);

        let contact = format!("Contact: <sip:hand@{}>\r\n", Way::ToTrunk.ends().1);
        let told = call.ask(CALLEE, "INVITE", &(contact + NO_BODY));

        let offered: Vec<u32> = lines(body(&told)).iter().map(|line| line.tag).collect();
        assert_eq!((status(&told), offered), (Some(200), tags.clone()), "{told}");
        assert_eq!(body(&told).contains("RTP/SAVP"), !tags.is_empty(), "{told}");
    }
}

const SUITE_80: &str = "AES_CM_128_HMAC_SHA1_80";
const SUITE_32: &str = "AES_CM_128_HMAC_SHA1_32";

/// A trunk with this policy, which the caller or the callee is.
fn routes_with(way: Way, policy: Policy, over_cleartext: bool) -> Routes {
    let mut config = way.config();
    let media = &mut config.trunks[0].peer.media;
    (media.srtp, media.srtp_over_cleartext) = (policy, over_cleartext);
    routes::compile(&config)
}

/// `sdp` over SRTP, with these tags, suites and keys.
fn secure(sdp: &str, keys: &[(u32, &str, &str)]) -> String {
    let lines: String = keys
        .iter()
        .map(|(tag, suite, letter)| format!("a=crypto:{tag} {suite} inline:{}\r\n", letter.repeat(40)))
        .collect();
    sdp.replace("RTP/AVP", "RTP/SAVP") + &lines
}

/// What forty times `letter` is in base64.
fn key(letter: &str, suite: Suite) -> MasterKey {
    let line = format!("1 {SUITE_80} inline:{}", letter.repeat(40));
    MasterKey::new(suite, Crypto::parse(&line).unwrap().key.reveal()).unwrap()
}

/// The keys of a session description.
fn lines(sdp: &str) -> Vec<Crypto> {
    let values = sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
    values.map(|value| Crypto::parse(value).unwrap()).collect()
}

fn way_of(routes: &Routes) -> Way {
    if routes.peer_named("retell").unwrap().challenge { Way::ToRetell } else { Way::ToTrunk }
}

fn inviting(routes: Routes, offer: &str) -> Network {
    let way = way_of(&routes);
    let invite = Request { sdp: offer.to_owned(), ..Request::invite(way.ends().0) };
    ByHandCall::inviting(way, routes, &invite)
}

fn answering(routes: Routes, offer: &str, answered: &str) -> ByHandCall {
    let way = way_of(&routes);
    let invite = Request { sdp: offer.to_owned(), ..Request::invite(way.ends().0) };
    ByHandCall::answering(way, routes, &invite, "", answered)
}

/// The callee answers a plain caller's call with this; what both got.
fn answered_with(routes: Routes, answered: &str) -> Network {
    let way = way_of(&routes);
    let mut network = inviting(routes, SDP);
    let received = network.received(CALLEE, "INVITE ")[0].to_owned();
    let there = way.ends().1;
    let contact = format!("Contact: <sip:hand@{there}>\r\n");
    network.say(
        there.parse().unwrap(),
        &answer(&received, 200, "OK", "byhandtoo", &with_body(&contact, answered)),
    );
    network.run(Duration::from_millis(100));
    network
}

/// A plain caller's call, refused by the callee as often as it is asked.
fn refused(routes: Routes, code: u16) -> Network {
    let way = way_of(&routes);
    let callee = CalleeScript::refusing(code);
    let mut network = in_weather(Weather::FAIR, 1, routes, way, CallerScript::default(), callee);
    calls::finish(&mut network);
    network
}

fn reinvite(sdp: &str) -> String {
    with_body("Contact: <sip:hand@198.51.100.7:5060>\r\n", sdp)
}

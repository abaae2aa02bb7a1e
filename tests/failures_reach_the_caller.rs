//! What a caller is told when its call does not come about: the callee's codes as what they mean in each
//! direction, and the codes that are our own (RFC 3261 §8.2, §21).
//!
//! A refusal is for peers that are recognised; whoever is not gets no byte, whatever
//! is wrong with its request.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::{
    ByHand, CALLEE, CALLER, CalleeScript, CallerScript, End, Network, Request, STRANGER, Step, TRUNK, Way,
    Weather, answer_to, ask, finish, header, headers, run, status,
};
use trunkline::call::record::EndedBy;

#[test]
fn retells_codes_are_told_to_the_trunk_as_what_they_mean() {
    for (refused, told) in [
        (300, 502),
        (302, 502),
        (400, 480),
        (401, 503),
        (403, 503),
        (404, 480),
        (405, 503),
        (407, 503),
        (408, 480),
        (480, 480),
        (486, 480),
        (488, 503),
        (491, 503),
        (500, 500),
        (501, 500),
        (502, 500),
        (503, 503),
        (504, 500),
        (580, 500),
        (600, 503),
        (603, 503),
        (604, 503),
    ] {
        assert_eq!(told_when_refused(Way::ToRetell, refused, "No").0, told, "{refused}");
    }
}

#[test]
fn a_carriers_code_and_phrase_reach_retell_as_they_are() {
    for refused in
        [400, 402, 403, 404, 408, 410, 480, 481, 484, 486, 487, 488, 500, 501, 503, 504, 600, 603, 604]
    {
        let (told, phrase) = told_when_refused(Way::ToTrunk, refused, "As The Carrier Says");

        assert_eq!((told, phrase.as_str()), (refused, "As The Carrier Says"));
    }
}

#[test]
fn a_carrier_that_refuses_our_credentials_or_redirects_is_told_to_retell_as_403_or_502() {
    for (refused, told, phrase) in [
        (401, 403, "Forbidden"),
        (407, 403, "Forbidden"),
        (301, 502, "Bad Gateway"),
        (302, 502, "Bad Gateway"),
    ] {
        assert_eq!(told_when_refused(Way::ToTrunk, refused, "No"), (told, phrase.to_owned()), "{refused}");
    }
}

#[test]
fn a_contact_of_a_redirection_is_neither_followed_nor_told() {
    for way in Way::BOTH {
        let elsewhere = Step::new(200, 302, "Moved").with_headers("Contact: <sip:other@203.0.113.99>\r\n");

        let network = run(way, CallerScript::default(), CalleeScript::saying([elsewhere]));

        assert!(network.emitted.iter().all(|it| !it.text().contains("203.0.113.99")), "{way:?}");
        assert_eq!(network.bridge.world.records[0].ended_by, EndedBy::Callee);
    }
}

#[test]
fn retry_after_of_a_busy_callee_reaches_the_caller() {
    for way in Way::BOTH {
        let busy = Step::new(200, 503, "Busy").with_headers("Retry-After: 17\r\n");

        let network = run(way, CallerScript::default(), CalleeScript::saying([busy]));

        let told = network.received(CALLER, "SIP/2.0 503 ");
        assert_eq!(header(told[0], "Retry-After"), Some("17"), "{way:?}");
    }
}

#[test]
fn max_forwards_of_0_is_483() {
    let refused = refused(&Request { max_forwards: "0".into(), ..invite() });

    assert_eq!(status(&refused), Some(483));
}

#[test]
fn extensions_we_lack_are_420_and_every_one_is_named() {
    for (required, unsupported) in [
        ("Require: precondition\r\n", "precondition"),
        ("Require: timer, made-up, 100REL, other\r\n", "made-up, other"),
        ("Require: a\r\nRequire: b\r\n", "a, b"),
    ] {
        let refused = refused(&invite().with_headers(required));

        assert_eq!(status(&refused), Some(420));
        let named: Vec<_> =
            headers(&refused).filter(|(name, _)| *name == "Unsupported").map(|(_, value)| value).collect();
        assert_eq!(named.join(", "), unsupported);
        let probed = Request { sdp: String::new(), ..invite().of_method("OPTIONS").with_headers(required) };
        assert_eq!(header(&refused_text(&probed.to_string()), "Unsupported"), Some(unsupported));
    }
}

#[test]
fn what_was_heard_of_a_callee_before_it_refused_stands_in_its_leg_of_the_record() {
    for way in Way::BOTH {
        let announced = Step::new(100, 183, "Session Progress").with_sdp(calls::SDP);
        let callee = CalleeScript::saying([announced, Step::new(3_000, 486, "Busy Here")]);
        let mut network = calls::network(way, CallerScript::default(), callee);
        network.bridge.world.packets_from_callee = 145;
        finish(&mut network);

        let record = &network.bridge.world.records[0];
        assert_eq!(record.answered_ms, None);
        assert_eq!(record.legs[1].media.packets_received, 145, "{way:?}");
    }
}

#[test]
fn an_invite_without_usable_session_description_is_488_with_a_warning_that_says_why() {
    for (sdp, warning) in [
        ("v=1\r\n", "399 203.0.113.10 "),
        (ONLY_G729, "305 203.0.113.10 \"no codec in common: offered G729"),
        (ONLY_VIDEO, "304 203.0.113.10 "),
        (ONLY_SRTP, "302 203.0.113.10 "),
    ] {
        let refused = refused(&Request { sdp: sdp.into(), ..invite() });

        assert_eq!(status(&refused), Some(488), "{sdp}");
        assert!(header(&refused, "Warning").unwrap().starts_with(warning), "{refused}");
    }
}

#[test]
fn a_body_that_is_no_session_description_is_415_with_what_we_take() {
    let request = invite().to_string().replace("application/sdp", "text/plain");

    let refused = refused_text(&request);

    assert_eq!(
        (status(&refused), header(&refused, "Accept")),
        (Some(415), Some("application/sdp, multipart/mixed"))
    );
}

#[test]
fn a_number_that_leads_nowhere_is_404() {
    let refused = refused(&Request { uri: "sip:203.0.113.10".into(), ..invite() });

    assert_eq!(status(&refused), Some(404));
    assert!(refused.starts_with("SIP/2.0 404 no number was dialled\r\n"), "{refused}");
}

#[test]
fn an_emergency_call_from_retell_is_403() {
    let caller = CallerScript { dialled: "911".into(), ..CallerScript::default() };

    let network = run(Way::ToTrunk, caller, CalleeScript::default());

    assert_eq!(network.agents[CALLER].ends(), [End::Refused(403)]);
    assert!(network.messages(CALLEE).is_empty());
}

#[test]
fn our_own_invite_that_comes_back_is_482() {
    for way in Way::BOTH {
        let mut network = calls::network(way, CallerScript::default(), CalleeScript::default());
        network.run(std::time::Duration::from_millis(50));
        let invite = network.received(CALLEE, "INVITE ")[0].to_owned();
        let (caller, _) = way.ends();
        let looped =
            invite.replacen("Via: ", &format!("Via: SIP/2.0/UDP {caller};branch=z9hG4bKloop\r\nVia: "), 1);

        let refused = answer_to(&mut network, CALLER, &looped);

        assert_eq!(status(&refused), Some(482), "{way:?}");
        finish(&mut network);
        assert_eq!(network.agents[CALLER].ends(), [End::Released], "the call itself goes on");
    }
}

#[test]
fn the_same_invite_by_another_path_is_482_and_the_first_goes_on() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    let other = network.add(ByHand::new(OTHER));
    network.run(std::time::Duration::from_millis(50));
    let heard = String::from_utf8_lossy(&network.heard[0].bytes).into_owned();
    let merged = heard.replace(
        "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK",
        &format!("Via: SIP/2.0/UDP {OTHER};branch=z9hG4bKother"),
    );

    let refused = answer_to(&mut network, other, &merged);

    assert_eq!(status(&refused), Some(482));
    finish(&mut network);
    assert_eq!(network.received(CALLEE, "INVITE ").len(), 1);
    assert_eq!(network.agents[CALLEE].ends(), [End::Released]);
}

#[test]
fn while_draining_a_new_call_is_503_with_retry_after_and_a_standing_one_goes_on() {
    let mut network = calls::network(Way::ToRetell, CallerScript::default(), CalleeScript::default());
    let other = network.add(ByHand::new(OTHER));
    network.run(std::time::Duration::from_millis(200));
    network.bridge.drain();

    let refused = answer_to(&mut network, other, &Request::invite(OTHER).to_string());
    let options = Request::invite(OTHER).of_method("OPTIONS").to_string();
    let probed = answer_to(&mut network, other, &options);

    assert_eq!((status(&refused), header(&refused, "Retry-After")), (Some(503), Some("30")));
    assert_eq!(status(&probed), Some(503));
    finish(&mut network);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn a_method_nobody_knows_is_501_and_one_that_is_not_for_us_is_405_each_with_allow() {
    for (method, code) in [
        ("DANCE", 501),
        ("REGISTER", 405),
        ("SUBSCRIBE", 405),
        ("NOTIFY", 405),
        ("PUBLISH", 405),
        ("MESSAGE", 405),
        ("REFER", 405),
        ("INFO", 405),
        ("UPDATE", 405),
        ("PRACK", 405),
    ] {
        let refused = refused(&invite().of_method(method));

        assert_eq!(status(&refused), Some(code), "{method}");
        assert!(header(&refused, "Allow").unwrap().contains("INVITE, ACK, BYE"), "{refused}");
    }
}

#[test]
fn nothing_is_kept_of_what_begins_no_call_and_its_answer_is_the_same_when_it_comes_again() {
    for method in ["OPTIONS", "CANCEL", "REGISTER", "DANCE", "INVITE"] {
        let mut network = by_hand();
        let request = Request { max_forwards: "none".into(), ..invite().of_method(method) }.to_string();
        let request = if method == "INVITE" { request } else { request.replacen("none", "70", 1) };

        let told = [(); 2].map(|()| answer_to(&mut network, CALLER, &request));

        assert_eq!(network.bridge.standing(), trunkline::server::Standing::default(), "{method}");
        assert_eq!(told[0], told[1]);
    }
}

#[test]
fn bye_and_cancel_of_nothing_are_481_or_405() {
    assert_eq!(status(&refused(&invite().of_method("CANCEL"))), Some(481));
    let claimed = Request { to: "<sip:+14155550100@203.0.113.10>;tag=made-up".into(), ..invite() };
    assert_eq!(status(&refused(&claimed.of_method("BYE"))), Some(481));
}

#[test]
fn a_message_that_cannot_be_read_is_400_and_its_phrase_says_why() {
    for (from, to, phrase) in [
        ("Max-Forwards: 70", "Max-Forwards: many", "Bad Max-Forwards"),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", "CSeq method differs"),
        ("From: <sip:", "From: <<sip:", "Bad From"),
        ("Call-ID: ", "X-No-Call-ID: ", "Missing Call-ID"),
        ("To: <", "To: <sip:one@h>\r\nTo: <", "More than one To"),
    ] {
        let mut network = by_hand();
        let text = invite().to_string().replacen(from, to, 1);
        let refused = ask(&mut network, CALLER, &text);

        assert!(refused[0].starts_with(&format!("SIP/2.0 400 {phrase}")), "{to}: {refused:?}");
    }
}

#[test]
fn a_stranger_is_told_nothing_whatever_is_wrong() {
    let here = STRANGER;
    let claimed = Request { to: "<sip:a@203.0.113.10>;tag=made-up".into(), ..Request::invite(here) };
    let requests = [
        Request::invite(here).to_string(),
        Request { max_forwards: "0".into(), ..Request::invite(here) }.to_string(),
        Request::invite(here).with_headers("Require: 100rel\r\n").to_string(),
        Request::invite(here).of_method("OPTIONS").to_string(),
        Request::invite(here).of_method("CANCEL").to_string(),
        Request::invite(here).of_method("DANCE").to_string(),
        Request::invite(here).of_method("REGISTER").to_string(),
        claimed.clone().of_method("BYE").to_string(),
        claimed.of_method("ACK").to_string(),
        Request::invite(here).to_string().replace("Call-ID: ", "X: "),
        Request::invite(here).to_string().replace("Content-Length: ", "Content-Length: 9"),
    ];

    for request in requests {
        let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);
        let stranger = network.add(ByHand::new(here));

        assert!(ask(&mut network, stranger, &request).is_empty(), "{request}");
        assert!(network.emitted.is_empty());
        finish(&mut network);
    }
}

/// Code and phrase that the caller got when the callee refused.
fn told_when_refused(way: Way, code: u16, phrase: &'static str) -> (u16, String) {
    let callee = CalleeScript::saying([Step::new(0, 100, "Trying"), Step::new(200, code, phrase)]);

    let network = run(way, CallerScript::default(), callee);

    let told =
        network.messages(CALLER).iter().find(|text| status(text).is_some_and(|code| code >= 300)).unwrap();
    let line = told.lines().next().unwrap();
    let record = &network.bridge.world.records[0];
    assert_eq!((record.ended_by, Some(record.sip_code)), (EndedBy::Callee, status(told)));
    assert_eq!(record.legs[1].sip_code, code);
    (status(told).unwrap(), line["SIP/2.0 480 ".len()..].to_owned())
}

fn invite() -> Request {
    Request::invite(TRUNK)
}

/// What a request of the trunk gets, which reaches no callee and leaves nothing.
fn refused(request: &Request) -> String {
    refused_text(&request.to_string())
}

fn refused_text(request: &str) -> String {
    let mut network = by_hand();
    let refused = answer_to(&mut network, CALLER, request);
    finish(&mut network);
    refused
}

/// A trunk that the test speaks for, and nobody else.
fn by_hand() -> Network {
    let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);
    network.add(ByHand::new(TRUNK));
    network
}

/// Another address of the trunk.
const OTHER: &str = "198.51.100.9:5060";

const ONLY_G729: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n";
const ONLY_VIDEO: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
const ONLY_SRTP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/SAVP 0\r\n";

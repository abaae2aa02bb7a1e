//! Whatever the bridge sends, in any weather and in every kind of call, is a message that RFC 3261 would
//! have: held against the lines of what it answers, and read again by rsip.
//!
//! The check itself is tried too: it must see each fault that is put into a good message.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use bytes::Bytes;
use calls::emitted::first_fault;
use calls::{
    CALLEE, CALLER, CalleeScript, CallerScript, End, SDP, Step, Way, Weather, finish, header, in_weather, run,
};

#[test]
fn in_storms_every_kind_of_call_is_told_in_well_formed_messages() {
    for way in Way::BOTH {
        for (seed, callee) in (0..).zip(kinds_of_callee()) {
            for (caller, name) in [(hanging_up(), "hangs up"), (cancelling(), "cancels"), (deaf(), "is deaf")]
            {
                let mut network = in_weather(Weather::STORM, seed, way.routes(), way, caller, callee.clone());
                finish(&mut network);

                assert_eq!(network.bridge.world.records.len(), 10, "{way:?}, callee {seed}, caller {name}");
                let ends = [CALLER, CALLEE].iter().flat_map(|&agent| network.agents[agent].ends());
                let open: Vec<_> = ends.filter(|end| matches!(end, End::Open(_))).collect();
                assert_eq!(open, [], "{way:?}, callee {seed}, caller {name}");
            }
        }
    }
}

#[test]
fn max_forwards_is_one_less_and_70_when_the_caller_gave_none() {
    for (given, sent) in [("Max-Forwards: 70\r\n", "69"), ("Max-Forwards: 5\r\n", "4"), ("", "70")] {
        for way in Way::BOTH {
            let caller = CallerScript { max_forwards: given.into(), ..CallerScript::default() };

            let network = run(way, caller, CalleeScript::default());

            assert_eq!(header(network.received(CALLEE, "INVITE ")[0], "Max-Forwards"), Some(sent), "{given}");
        }
    }
}

#[test]
fn the_last_hop_is_still_taken() {
    let caller = CallerScript { max_forwards: "Max-Forwards: 1\r\n".into(), ..CallerScript::default() };

    let network = run(Way::ToRetell, caller, CalleeScript::default());

    assert_eq!(header(network.received(CALLEE, "INVITE ")[0], "Max-Forwards"), Some("0"));
}

#[test]
fn the_check_sees_every_fault_that_is_put_into_a_message() {
    for (start, found, planted) in [
        ("INVITE ", "branch=z9hG4bK", "branch=0"),
        ("INVITE ", ";rport", ""),
        ("INVITE ", "203.0.113.10:5060;rport", "198.51.100.7:5060;rport"),
        ("INVITE ", "Max-Forwards: 69", "Max-Forwards: 71"),
        ("INVITE ", "Max-Forwards: 69\r\n", ""),
        ("INVITE ", "CSeq: 1 INVITE", "CSeq: 1 BYE"),
        ("INVITE ", "CSeq: ", "CSeq: 1 INVITE\r\nCSeq: "),
        ("INVITE ", "To: <sip:+1", "To: <sip:+2"),
        ("INVITE ", "To: <sip:+14155550100@192.0.2.7>", "To: <sip:+14155550100@192.0.2.7>;tag=a"),
        ("INVITE ", ";tag=", ";gat="),
        ("INVITE ", "@203.0.113.10>", "@198.51.100.7>"),
        ("INVITE ", "Contact: <sip:203.0.113.10:5060>", "Contact: <sip:198.51.100.7:5060>"),
        ("INVITE ", "Contact: ", "X-Contact: "),
        ("INVITE ", "Allow: ", "X-Allow: "),
        ("INVITE ", "c=IN IP4 203.0.113.10", "c=IN IP4 198.51.100.7"),
        ("INVITE ", "m=audio 2", "m=audio 1"),
        ("INVITE ", "Content-Type: application/sdp\r\n", ""),
        ("INVITE ", "Content-Type: application/sdp", "Content-Type: text/plain"),
        ("INVITE ", "Content-Length: ", "Content-Length: 1"),
        ("INVITE ", "Call-ID: ", "Call ID: "),
        ("INVITE ", "Call-ID: ", "Call-ID: \t\u{7}"),
        ("ACK ", ";tag=t5060", ""),
        ("BYE ", ";tag=t5060", ""),
        ("BYE ", "CSeq: 2 BYE", "CSeq: 2 INVITE"),
        (
            "SIP/2.0 100 ",
            "To: <sip:+14155550100@203.0.113.10:5060>",
            "To: <sip:+14155550100@203.0.113.10:5060>;tag=a",
        ),
        ("SIP/2.0 180 ", ";tag=0", ";gat=0"),
        ("SIP/2.0 180 ", "Contact: <sip:203.0.113.10:5060>\r\n", ""),
        ("SIP/2.0 180 ", "Via: SIP/2.0/UDP 198.51.100.7:5060", "Via: SIP/2.0/UDP 198.51.100.8:5060"),
        ("SIP/2.0 180 ", "branch=z9hG4bKi", "branch=z9hG4bKj"),
        ("SIP/2.0 200 ", "From: \"Ann\"", "From: \"Bob\""),
        ("SIP/2.0 200 ", "Call-ID: 0x5060", "Call-ID: 1x5060"),
        ("SIP/2.0 200 ", "CSeq: 1 INVITE", "CSeq: 1 OPTIONS"),
    ] {
        let mut network = run(Way::ToRetell, CallerScript::default(), CalleeScript::default());
        assert_eq!(first_fault(&network), None);
        let at = network.emitted.iter().position(|it| it.text().starts_with(start)).unwrap();
        let whole = network.emitted[at].text().to_owned();
        assert!(whole.contains(found), "{found} is not in\n{whole}");

        network.emitted[at].bytes = Bytes::from(whole.replacen(found, planted, 1));

        assert_ne!(first_fault(&network), None, "{planted:?} for {found:?} in {start}");
    }
}

fn kinds_of_callee() -> Vec<CalleeScript> {
    let trying = || Step::new(0, 100, "Trying");
    let prove = |code, name: &str| {
        let line = format!("{name}: Digest realm=\"callee\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n");
        Step::new(0, code, "Prove It").with_headers(&line)
    };
    let answering = || vec![trying(), Step::new(100, 180, "Ringing"), Step::new(900, 200, "OK")];
    vec![
        CalleeScript::saying(answering()),
        CalleeScript { hang_up_after: Some(Duration::from_secs(1)), ..CalleeScript::saying(answering()) },
        CalleeScript::saying([Step::new(300, 183, "Progress").with_sdp(SDP), Step::new(2_000, 200, "OK")]),
        CalleeScript::saying([
            Step::new(500, 181, "Forwarded"),
            Step::new(700, 182, "Queued"),
            Step::new(900, 200, "OK"),
        ]),
        CalleeScript::saying([trying(), Step::new(500, 486, "Busy Here").with_headers("X-Why: busy\r\n")]),
        CalleeScript::saying([
            trying(),
            Step::new(500, 302, "Moved").with_headers("Contact: <sip:b@h.example>\r\n"),
        ]),
        CalleeScript::saying([trying(), Step::new(500, 503, "Busy").with_headers("Retry-After: 9\r\n")]),
        CalleeScript::saying([Step::new(500, 200, "OK"), Step::new(510, 200, "OK").of("fork")]),
        CalleeScript::saying([trying(), Step::new(500, 200, "OK").with_sdp("")]),
        CalleeScript {
            challenges: vec![prove(401, "WWW-Authenticate")],
            ..CalleeScript::saying(answering())
        },
        CalleeScript {
            challenges: vec![prove(407, "Proxy-Authenticate")],
            ..CalleeScript::saying(answering())
        },
        CalleeScript::saying((20..26).map(|second| Step::new(1_000 * second, 180, "Ringing"))),
    ]
}

fn hanging_up() -> CallerScript {
    let headers = "X-Call: 1\r\nDiversion: <sip:+14155550177@198.51.100.7>;reason=no-answer\r\n";
    CallerScript {
        calls: 10,
        headers: headers.into(),
        bye_headers: "X-Bye: 1\r\n".into(),
        ..CallerScript::default()
    }
}

fn cancelling() -> CallerScript {
    CallerScript { calls: 10, cancel_after: Some(Duration::from_millis(600)), ..CallerScript::default() }
}

fn deaf() -> CallerScript {
    CallerScript { calls: 10, acks_from: CallerScript::NEVER, hang_up_after: None, ..CallerScript::default() }
}

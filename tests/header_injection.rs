//! Line ends smuggled into names, numbers, header values and phrases, escaped, folded, quoted or bare: on the
//! other leg they begin no header line, and no URI bears them on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::{
    ByHand, CALLEE, CALLER, NO_BODY, Network, RETELL, Request, TRUNK, Way, Weather, answer, answer_to, ask,
    headers, status,
};

#[test]
fn what_a_caller_smuggles_begins_no_header_line_toward_the_callee() {
    for way in Way::BOTH {
        let mut reached = 0;
        for (place, smuggled) in [
            ("From: <", "From: \"Bob%0d%0aX-Evil: yes\" <"),
            ("From: <", "From: \"Bob\r\n X-Evil: yes\" <"),
            ("From: <", "From: \"Bob\\\r\n X-Evil: yes\" <"),
            ("From: <", "From: \"Bob\rX-Evil: yes\" <"),
            ("From: <", "From: \"Bob\nX-Evil: yes\" <"),
            ("sip:+14155550123@", "sip:+14155550123%0d%0aX-Evil:%20yes@"),
            ("sip:+14155550123@", "sip:%22%3e%0d%0aX-Evil:%20yes@"),
            ("\r\nContact", "\r\nX-Account: a%0d%0aX-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nX-Account: a\r\n X-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nX-Account: a\rX-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nX-Account: a\nX-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nX-Account: a\0\r\n\tX-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nX-Original-CLID: +1415%0d%0aX-Evil: yes\r\nContact"),
            ("\r\nContact", "\r\nDiversion: \"d\\\r\n X-Evil: y\" <sip:%0d%0aX-Evil:y@192.0.2.9>\r\nContact"),
            ("\r\nContact", "\r\nHistory-Info: <sip:a@192.0.2.9?X=%0d%0aX-Evil:y>;index=1\r\nContact"),
            ("\r\nContact", "\r\nUser-to-User: 34%0d%0aX-Evil: yes\r\n X-Evil: yes\r\nContact"),
        ] {
            let mut network = by_hand(way);
            let invite = Request::invite(caller(way)).to_string().replacen(place, smuggled, 1);

            ask(&mut network, CALLER, &invite);

            for got in network.received(CALLEE, "INVITE ") {
                assert_clean(got, smuggled);
                reached += 1;
            }
            assert_nothing_escaped_in_uris(&network);
        }
        assert!(reached >= 10, "{way:?}: all but the bare CR and LF can be read");
    }
}

#[test]
fn a_number_with_control_characters_is_nobodys() {
    for way in Way::BOTH {
        for number in ["+14155550100%0d%0aX-Evil", "911%0d", "%00", "+1415555%0a0100"] {
            let mut network = by_hand(way);
            let dialled = format!("sip:{number}@");
            let invite = Request::invite(caller(way)).to_string().replace("sip:+14155550100@", &dialled);

            let told = answer_to(&mut network, CALLER, &invite);

            assert_eq!(status(&told), Some(404), "{number}");
            assert!(network.messages(CALLEE).is_empty());
        }
    }
}

#[test]
fn what_a_callee_smuggles_begins_no_header_line_toward_the_caller() {
    for way in Way::BOTH {
        for (place, smuggled) in [
            ("Busy Here", "Busy%0d%0aX-Evil: yes"),
            ("Busy Here", "Busy\x0b\0Here"),
            ("\r\nContent", "\r\nReason: SIP;cause=486;text=\"a%0d%0a\\\r\n X-Evil: yes\"\r\nContent"),
            ("\r\nContent", "\r\nX-Account: a\r\n X-Evil: yes\r\nContent"),
            ("\r\nContent", "\r\nDiversion: <sip:%0d%0aX-Evil:y@192.0.2.9>\r\nContent"),
        ] {
            let mut network = by_hand(way);
            ask(&mut network, CALLER, &Request::invite(caller(way)).to_string());
            let invite = network.received(CALLEE, "INVITE ")[0].to_owned();
            let refusal = answer(&invite, 486, "Busy Here", "theirs", NO_BODY).replacen(place, smuggled, 1);

            ask(&mut network, CALLEE, &refusal);

            let told = network.messages(CALLER).last().unwrap();
            assert!(status(told).is_some_and(|code| code >= 400), "{told}");
            assert_clean(told, smuggled);
        }
    }
}

/// No line begins with what was smuggled, and no control character is left.
fn assert_clean(text: &str, smuggled: &str) {
    assert!(headers(text).all(|(name, _)| !name.eq_ignore_ascii_case("X-Evil")), "{smuggled}: {text}");
    let left = text.chars().find(|&c| c.is_control() && !matches!(c, '\r' | '\n'));
    assert_eq!(left, None, "{smuggled}: {text}");
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count(), "{smuggled}: {text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{smuggled}: {text}");
}

/// In the URIs that are made of numbers.
fn assert_nothing_escaped_in_uris(network: &Network) {
    for got in network.received(CALLEE, "INVITE ") {
        let made = headers(got).filter(|(name, _)| matches!(*name, "From" | "To" | "Contact"));
        for value in made.map(|(_, value)| value).chain(got.lines().next()) {
            let uri = value.rsplit('<').next().unwrap();
            assert!(!uri.contains("%0"), "{value}");
        }
    }
}

fn caller(way: Way) -> &'static str {
    match way {
        Way::ToRetell => TRUNK,
        Way::ToTrunk => RETELL,
    }
}

fn by_hand(way: Way) -> Network {
    let callee = if caller(way) == TRUNK { RETELL } else { TRUNK };
    let mut network = Network::new(way.routes(), 1, Weather::FAIR);
    network.add(ByHand::new(caller(way)));
    network.add(ByHand::new(callee));
    network
}

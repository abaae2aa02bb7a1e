//! What carriers say beside their codes (RFC 6432, X-Twilio-Error, Telnyx's own codes) decides what Retell is
//! told, and stands in the record in plain words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::{
    CALLER, Callee, CalleeScript, Caller, CallerScript, Network, RETELL, Step, TRUNK, TRUNK_2, Way, Weather,
    finish, run, status,
};

#[test]
fn a_hint_makes_the_code_truer_and_stands_in_the_record() {
    for (code, phrase, headers, told, hint) in [
        (503, "Down", "Reason: Q.850;cause=17\r\n", 486, "Q.850 cause 17: user busy"),
        (500, "Nope", "Reason: Q.850;cause=1\r\n", 404, "Q.850 cause 1: unallocated number"),
        (480, "No", "Reason: Q.850;cause=19\r\n", 480, "Q.850 cause 19: no answer from the user"),
        (
            603,
            "Decline",
            "X-Twilio-Error: 32203 Blocked\r\n",
            608,
            "Twilio error 32203: blocked by Twilio as unwanted or fraudulent",
        ),
        (403, "Caller Origination Number is Invalid D35", "", 403, "Telnyx D35: the caller ID is invalid"),
        (404, "Not Found D19", "", 403, "Telnyx D19: the account is blocked"),
    ] {
        let network = refused(Way::ToTrunk, Step::new(200, code, phrase).with_headers(headers));

        let record = &network.bridge.world.records[0];
        assert_eq!(
            (record.sip_code, record.hints.as_slice()),
            (told, &[hint.to_owned()][..]),
            "{code} {headers}"
        );
        assert_eq!(record.legs[1].sip_code, code, "the leg keeps what it said");
        assert!(
            record.reason.ends_with(&format!("refused the call: {code} {phrase} ({hint})")),
            "{}",
            record.reason
        );
        let line = final_line(&network);
        assert_eq!(status(&line), Some(told));
        assert_eq!(line.contains(phrase), told == code, "a phrase goes with its code: {line}");
    }
}

#[test]
fn a_definite_code_outweighs_a_cause() {
    let network =
        refused(Way::ToTrunk, Step::new(200, 486, "Busy").with_headers("Reason: Q.850;cause=1\r\n"));

    assert_eq!(status(&final_line(&network)), Some(486));
}

#[test]
fn a_trunk_is_told_retells_codes_by_retells_vocabulary_whatever_the_hint() {
    let network =
        refused(Way::ToRetell, Step::new(200, 503, "No").with_headers("Reason: Q.850;cause=17\r\n"));

    assert_eq!(status(&final_line(&network)), Some(503));
}

#[test]
fn a_503_that_means_busy_is_not_tried_at_the_next_gateway_and_one_that_means_full_is() {
    for (cause, tried, told) in [(17, 0, 486), (34, 1, 200)] {
        let mut config = Way::ToTrunk.config();
        config.trunks[0].peer.uris.push(calls::routes::address("198.51.100.8"));
        let mut network = Network::new(calls::routes::compile(&config), 1, Weather::FAIR);
        let says = Step::new(100, 503, "No").with_headers(&format!("Reason: Q.850;cause={cause}\r\n"));
        network.add(Caller::new(RETELL, CallerScript::default()));
        network.add(Callee::new(TRUNK, CalleeScript::saying([says])));
        let second = network.add(Callee::new(TRUNK_2, CalleeScript::default()));
        finish(&mut network);

        assert_eq!(network.received(second, "INVITE ").len(), tried, "cause {cause}");
        assert_eq!(network.bridge.world.records[0].sip_code, told);
    }
}

fn refused(way: Way, step: Step) -> Network {
    run(way, CallerScript::default(), CalleeScript::saying([step]))
}

/// The first line of what the caller got in the end.
fn final_line(network: &Network) -> String {
    let messages = network.messages(CALLER).iter();
    let mut finals = messages.filter(|text| status(text).is_some_and(|code| code >= 300));
    finals.next().unwrap().lines().next().unwrap().to_owned()
}

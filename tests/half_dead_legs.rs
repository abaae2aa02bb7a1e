//! A leg whose peer is gone without a word: it does not know the call any more, does not answer, or its
//! stream broke. Each ends the call cleanly on the other side, with a record that says what happened.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, Callee, CalleeScript, Caller, CallerScript, End, NO_BODY, Network, RETELL,
    Request, TRUNK, Way, Weather, answer, finish, header, routes,
};
use trunkline::call::record::EndedBy;
use trunkline::routing::config::FallbackConfig;
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};

#[test]
fn retell_gets_options_inside_the_call_every_two_minutes_and_a_200_changes_nothing() {
    let caller = CallerScript { hang_up_after: Some(Duration::from_secs(610)), ..CallerScript::default() };
    let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, caller));
    network.add(Callee::new(RETELL, CalleeScript::default()));
    network.run(Duration::from_secs(700));
    finish(&mut network);

    let asked = network.received(CALLEE, "OPTIONS ");
    assert_eq!(asked.len(), 5);
    let invite = network.received(CALLEE, "INVITE ")[0];
    assert_eq!(header(asked[0], "Call-ID"), header(invite, "Call-ID"));
    assert!(header(asked[0], "To").unwrap().contains(";tag="));
    assert_eq!(network.sent_at("OPTIONS ")[0].as_millis() / 1_000, 120);
    assert_eq!(network.received(CALLER, "OPTIONS ").len(), 0, "nobody asked for it of the trunk");
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn a_leg_that_does_not_know_the_call_any_more_ends_it() {
    for (way, leg) in [(Way::ToRetell, CALLEE), (Way::ToTrunk, CALLER)] {
        let mut call = answered(way);
        call.run(Duration::from_secs(121));
        let asked = call.received(leg, "OPTIONS ")[0].to_owned();

        calls::ask(&mut call, leg, &answer(&asked, 481, "Gone", "", NO_BODY));
        finish(&mut call);

        assert_eq!(call.received(1 - leg, "BYE ").len(), 1, "{way:?}");
        let record = &call.bridge.world.records[0];
        assert_eq!(record.reason, "retell does not know the call any more (481)");
        assert_eq!((record.ended_by, record.sip_code), (EndedBy::Trunkline, 200));
    }
}

#[test]
fn any_other_refusal_proves_that_the_leg_is_there() {
    let mut call = answered(Way::ToRetell);
    for (round, code) in [405, 500, 501, 503].into_iter().enumerate() {
        call.run(Duration::from_secs(121));
        let asked = call.received(CALLEE, "OPTIONS ").last().unwrap().to_string();
        calls::ask(&mut call, CALLEE, &answer(&asked, code, "No", "", NO_BODY));

        assert_eq!(call.bridge.standing().active, 1, "round {round}: {code}");
    }
    call.bridge.hang_up_all("enough");
    finish(&mut call);
}

#[test]
fn a_leg_that_answers_nothing_inside_the_call_ends_it_after_64_t1() {
    let mut call = answered(Way::ToRetell);

    call.run(Duration::from_secs(600));
    calls::assert_clean(&call);

    let lost = call.sent_at("BYE ")[0] - call.sent_at("OPTIONS ")[0];
    assert_eq!(lost.as_secs(), 32);
    let record = &call.bridge.world.records[0];
    assert_eq!(record.reason, "retell does not answer inside the call any more");
    let told = header(call.received(CALLER, "BYE ")[0], "Reason");
    assert_eq!(told, Some("SIP;cause=408;text=\"No answer to OPTIONS\""));
}

#[test]
fn what_a_lost_agent_was_asked_leads_to_the_fallback() {
    let mut config = Way::ToRetell.config();
    config.retell[0].fallback = vec![FallbackConfig::Word("+14155550199".into())];
    config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
    let invite = Request::invite(TRUNK);
    let mut call = ByHandCall::answered_as(Way::ToRetell, routes::compile(&config), &invite, "").network;
    let desk = call.add(Callee::new("198.51.100.20:5060", CalleeScript::default()));
    call.run(Duration::from_secs(121));
    let asked = call.received(CALLEE, "OPTIONS ")[0].to_owned();

    calls::ask(&mut call, CALLEE, &answer(&asked, 481, "Gone", "", NO_BODY));
    call.run(Duration::from_secs(3));

    assert_eq!(call.received(desk, "ACK ").len(), 1);
    assert_eq!(call.received(CALLER, "BYE ").len(), 0);
    call.bridge.hang_up_all("enough");
    finish(&mut call);
}

#[test]
fn what_a_lost_agent_never_answered_is_nothing_to_whoever_took_its_place() {
    let mut config = Way::ToRetell.config();
    config.retell[0].fallback = vec![FallbackConfig::Word("+14155550199".into())];
    config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
    let invite = Request::invite(TRUNK);
    let mut call = ByHandCall::answered_as(Way::ToRetell, routes::compile(&config), &invite, "").network;
    call.add(Callee::new("198.51.100.20:5060", CalleeScript::default()));
    call.run(Duration::from_secs(121));

    let id = *call.bridge.world.views.iter().next().unwrap();
    call.bridge.on_media_silent(id, trunkline::rtp::leg::Side::Callee);
    call.run(Duration::from_secs(60));

    assert_eq!(call.bridge.standing().active, 1, "the caller talks to the desk");
    call.bridge.hang_up_all("enough");
    finish(&mut call);
}

#[test]
fn a_stream_that_ended_and_cannot_be_opened_anew_ends_retells_leg_but_not_a_trunks() {
    for (way, who, ended) in [
        (Way::ToRetell, CALLEE, 1),
        (Way::ToTrunk, CALLER, 1),
        (Way::ToRetell, CALLER, 0),
        (Way::ToTrunk, CALLEE, 0),
    ] {
        let mut call = ByHandCall::answered(way);
        let here = call.sides[who].here;
        let options = call.sides[who].request("OPTIONS", NO_BODY);
        let flow = Flow {
            transport: Transport::Tcp,
            listener: ListenerId(0),
            remote: here,
            connection: Some(ConnectionId(7)),
            domain: None,
        };
        call.network.bridge.on_message(options.into(), flow);

        call.network.bridge.on_stream_ended(ConnectionId(8));
        assert_eq!(call.network.bridge.world.records.len(), 0, "another stream's end is nothing to it");
        call.network.bridge.on_stream_ended(ConnectionId(7));

        let records = &call.network.bridge.world.records;
        assert_eq!(records.len(), ended, "{way:?}");
        assert!(
            records.iter().all(|record| record.reason == "retell does not answer inside the call any more")
        );
    }
}

#[test]
fn a_call_that_ends_while_its_leg_is_asked_leaves_nothing() {
    let mut call = answered(Way::ToRetell);
    call.run(Duration::from_secs(121));

    call.bridge.hang_up_all("enough");
    finish(&mut call);

    assert_eq!(call.bridge.world.records.len(), 1);
}

/// A call that was answered, and whose OPTIONS nobody answers by itself.
fn answered(way: Way) -> Network {
    ByHandCall::answered(way).network
}

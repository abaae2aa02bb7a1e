//! UPDATE before and after the answer (RFC 3311): answered on its leg, with 491 and 500
//! where offers would cross.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, DialogSide, NO_BODY, Network, Request, SDP, TRUNK, Way, answer, answer_to,
    ask, body, finish, header, leg, routes, status, with_body,
};
use trunkline::routing::config::Treatment;

#[test]
fn an_early_offer_of_the_caller_is_500_until_its_first_one_was_answered() {
    let mut early = Early::of(Way::ToRetell);
    early.callee_says("early", 180, "");

    let refused = early.caller_updates(SDP);

    assert_eq!(status(&refused), Some(500));
    let seconds: u32 = header(&refused, "Retry-After").unwrap().parse().unwrap();
    assert!(seconds <= 10);
    assert_eq!(status(&early.caller_updates("")), Some(200), "one without an offer is answered");
}

#[test]
fn an_early_offer_of_the_caller_after_early_media_is_answered_and_stands_in_the_200() {
    let mut early = Early::of(Way::ToRetell);
    early.callee_says("early", 183, SDP);

    let ok = early.caller_updates(&moved().replace(" 0 8 ", " 8 "));

    assert_eq!(status(&ok), Some(200));
    assert!(body(&ok).contains("RTP/AVP 8 101"), "{ok}");
    let media = leg(&early.network, CALLER);
    assert_eq!((media.remote.port(), media.audio_payload_type), (7_000, 8));
    early.callee_says("early", 200, SDP);
    let answered = early.network.received(CALLER, "SIP/2.0 200 ").last().unwrap().to_string();
    assert_eq!(body(&answered), body(&ok), "the last word, byte for byte");
    assert_eq!(leg(&early.network, CALLER), media);
    early.hang_up();
}

#[test]
fn an_early_offer_of_the_callee_is_491_until_it_answered_ours() {
    for way in Way::BOTH {
        let mut early = Early::of(way);
        early.callee_says("early", 180, "");
        assert_eq!(status(&early.callee_updates("early", &moved())), Some(491), "{way:?}");

        early.callee_says("early", 183, SDP);
        let ok = early.callee_updates("early", &moved());

        assert_eq!(status(&ok), Some(200), "{way:?}");
        assert!(body(&ok).contains("m=audio 20002 "), "{ok}");
        assert_eq!(leg(&early.network, CALLEE).remote.port(), 7_000);
        early.callee_says("early", 200, "");
        assert_eq!(leg(&early.network, CALLEE).remote.port(), 7_000, "and stays so when it answers");
        early.hang_up();
    }
}

#[test]
fn an_early_offer_of_one_fork_says_nothing_of_another() {
    let mut early = Early::of(Way::ToTrunk);
    early.callee_says("a", 183, SDP);
    early.callee_says("b", 183, SDP);
    assert_eq!(status(&early.callee_updates("a", &moved())), Some(200));

    early.callee_says("b", 200, "");

    assert_eq!(leg(&early.network, CALLEE).remote.port(), 6_000);
    early.hang_up();
}

#[test]
fn an_offer_in_an_update_that_cannot_be_used_is_488_and_changes_nothing() {
    for who in [CALLER, CALLEE] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        let before = leg(&call.network, who);

        for sdp in ["v=0\r\nm=audio 7000 RTP/AVP 18\r\n", "v=1\r\n", "v=0\r\nm=image 7000 udptl t38\r\n"] {
            let refused = call.ask(who, "UPDATE", &with_body("", sdp));
            assert_eq!(status(&refused), Some(488), "{sdp}");
            assert!(header(&refused, "Warning").is_some());
        }

        assert_eq!(leg(&call.network, who), before);
        call.hang_up();
    }
}

#[test]
fn an_update_without_an_offer_moves_the_contact_alone() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    let before = leg(&call.network, CALLER);

    let ok = call.ask(CALLER, "UPDATE", NO_BODY);

    assert_eq!((status(&ok), body(&ok)), (Some(200), ""));
    assert!(header(&ok, "Contact").is_some());
    assert_eq!(leg(&call.network, CALLER), before);
    call.hang_up();
}

#[test]
fn stripped_it_is_405_and_not_in_our_allow() {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.profile.update = Treatment::Strip;
    let routes = routes::compile(&config);
    let mut call = ByHandCall::answered_as(Way::ToRetell, routes, &Request::invite(TRUNK), "");

    let refused = call.ask(CALLER, "UPDATE", NO_BODY);

    assert_eq!(status(&refused), Some(405));
    for told in [&refused, &call.answers[CALLER]] {
        assert!(!header(told, "Allow").unwrap().contains("UPDATE"), "{told}");
    }
    call.hang_up();
}

#[test]
fn an_update_of_a_stranger_to_the_dialog_is_481() {
    let mut call = ByHandCall::answered(Way::ToRetell);
    call.sides[CALLEE].local = call.sides[CALLEE].local.replace("byhandtoo", "another");

    let refused = call.ask(CALLEE, "UPDATE", NO_BODY);

    assert_eq!(status(&refused), Some(481));
}

/// A call whose callee has our INVITE.
struct Early {
    way: Way,
    network: Network,
    invite: String,
    caller: Option<DialogSide>,
    forks: Vec<(&'static str, DialogSide)>,
}

impl Early {
    fn of(way: Way) -> Self {
        let (network, invite) = ByHandCall::invited(way);
        Self { way, network, invite, caller: None, forks: Vec::new() }
    }

    fn callee_says(&mut self, fork: &'static str, code: u16, sdp: &str) {
        let there = self.way.ends().1;
        let received = self.network.received(CALLEE, "INVITE ")[0].to_owned();
        let contact = format!("Contact: <sip:{fork}@{there}>\r\n");
        let response = answer(&received, code, "Said", fork, &with_body(&contact, sdp));
        ask(&mut self.network, CALLEE, &response);
        if !self.forks.iter().any(|(known, _)| *known == fork) {
            let side = DialogSide::of_callee(there.parse().unwrap(), &received, &response);
            self.forks.push((fork, side));
        }
        self.network.run(Duration::from_millis(100));
    }

    fn callee_updates(&mut self, fork: &str, sdp: &str) -> String {
        let (_, side) = self.forks.iter_mut().find(|(known, _)| *known == fork).unwrap();
        let text = side.request("UPDATE", &with_body("", sdp)).replace("z9hG4bKh", &format!("z9hG4bK{fork}"));
        answer_to(&mut self.network, CALLEE, &text)
    }

    fn caller(&mut self) -> &mut DialogSide {
        let here = self.way.ends().0.parse().unwrap();
        let told = self.network.received(CALLER, "SIP/2.0 18")[0];
        self.caller.get_or_insert_with(|| DialogSide::of_caller(here, &self.invite, told))
    }

    fn caller_updates(&mut self, sdp: &str) -> String {
        let text = self.caller().request("UPDATE", &with_body("", sdp));
        answer_to(&mut self.network, CALLER, &text)
    }

    fn hang_up(mut self) {
        let ack = self.caller().numbered("ACK", 1, NO_BODY);
        ask(&mut self.network, CALLER, &ack);
        let bye = self.caller().request("BYE", NO_BODY);
        assert_eq!(status(&answer_to(&mut self.network, CALLER, &bye)), Some(200));
        finish(&mut self.network);
    }
}

/// The usual session, at another port.
fn moved() -> String {
    SDP.replace("m=audio 6000", "m=audio 7000")
}

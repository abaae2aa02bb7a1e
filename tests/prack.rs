//! Reliable provisional responses and PRACK (RFC 3262), in both roles, each leg for itself.
//!
//! What is easy to get wrong: only one reliable response is out at a time, and a 200 must wait while a
//! session description of ours is unacknowledged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, DialogSide, End, NO_BODY, Network, RETELL, Request, SDP, TRUNK, Way, answer,
    answer_to, ask, body, finish, header, leg, routes, status, with_body,
};
use trunkline::routing::Routes;
use trunkline::routing::config::Treatment;

#[test]
fn a_session_description_goes_reliably_to_a_caller_that_supports_it_and_plain_ringing_does_not() {
    let mut early = Early::with("Supported: 100rel\r\n");

    early.callee_says(180, "", "");
    early.callee_says(183, "", SDP);

    let ringing = early.told("SIP/2.0 180 ");
    assert_eq!((header(&ringing, "Require"), header(&ringing, "RSeq")), (None, None));
    let progress = early.told("SIP/2.0 183 ");
    assert_eq!(header(&progress, "Require"), Some("100rel"));
    assert!(header(&progress, "RSeq").unwrap().parse::<u32>().unwrap() > 0);
    assert!(body(&progress).contains("m=audio"));
}

#[test]
fn a_caller_that_does_not_support_it_gets_nothing_reliably() {
    let mut early = Early::with("");

    early.callee_says(183, "", SDP);
    early.network.wait(Duration::from_secs(40));

    let told = early.network.received(CALLER, "SIP/2.0 183 ");
    assert_eq!((told.len(), header(told[0], "RSeq")), (1, None));
}

#[test]
fn a_caller_that_requires_it_gets_every_18x_reliably_one_after_the_other() {
    let mut early = Early::with("Require: 100rel\r\n");

    early.callee_says(180, "", "");
    early.callee_says(183, "", SDP);
    early.callee_says(182, "", "");
    assert!(early.network.received(CALLER, "SIP/2.0 183 ").is_empty(), "180 is not acknowledged yet");
    let mut numbers = Vec::new();
    for start in ["SIP/2.0 180 ", "SIP/2.0 183 ", "SIP/2.0 182 "] {
        let told = early.told(start);
        numbers.push(header(&told, "RSeq").unwrap().parse::<u32>().unwrap());
        assert_eq!(status(&early.prack(&told, "")), Some(200), "{start}");
    }

    assert_eq!(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2]);
}

#[test]
fn a_prack_that_names_no_waiting_response_is_481() {
    let mut early = Early::with("Require: 100rel\r\n");
    early.callee_says(180, "", "");
    let told = early.told("SIP/2.0 180 ");
    let rseq = header(&told, "RSeq").unwrap().to_owned();

    for rack in
        [format!("{rseq} 2 INVITE"), "1 1 INVITE".to_owned(), format!("{rseq} 1 UPDATE"), String::new()]
    {
        let line = if rack.is_empty() { rack } else { format!("RAck: {rack}\r\n") };
        let text = early.caller.request("PRACK", &with_body(&line, ""));
        assert_eq!(status(&answer_to(&mut early.network, CALLER, &text)), Some(481), "{line}");
    }
    assert_eq!(status(&early.prack(&told, "")), Some(200));
    assert_eq!(status(&early.prack(&told, "")), Some(481), "a second one");
}

#[test]
fn without_prack_it_is_repeated_at_doubling_intervals_and_the_call_refused_with_504() {
    let mut early = Early::with("Require: 100rel\r\n");
    early.callee_says(180, "", "");

    finish(&mut early.network);

    let at = early.network.sent_at("SIP/2.0 180 ");
    let after: Vec<_> = at.iter().map(|sent| (*sent - at[0]).as_millis()).collect();
    assert_eq!(after, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert!(!early.network.received(CALLER, "SIP/2.0 504 ").is_empty());
    assert!(!early.network.received(CALLEE, "CANCEL ").is_empty());
    assert_eq!(
        early.network.bridge.world.records[0].reason,
        "the caller never acknowledged a reliable provisional response"
    );
}

#[test]
fn the_200_waits_for_the_prack_of_a_session_description_and_the_callee_does_not() {
    let mut early = Early::with("Supported: 100rel\r\n");
    early.callee_says(183, "", SDP);
    early.callee_says(200, "", SDP);
    assert_eq!(early.network.received(CALLEE, "ACK ").len(), 1);
    assert!(early.network.received(CALLER, "SIP/2.0 200 ").is_empty());

    let progress = early.told("SIP/2.0 183 ");
    let got = early.prack_all(&progress, "");

    let codes: Vec<_> = got.iter().map(|text| header(text, "CSeq").unwrap().to_owned()).collect();
    assert_eq!(codes, ["2 PRACK", "1 INVITE"]);
    assert_eq!(body(&got[1]), body(&progress), "the same description");
    early.hang_up();
}

#[test]
fn the_200_does_not_wait_for_the_prack_of_ringing() {
    let mut early = Early::with("Require: 100rel\r\n");
    early.callee_says(180, "", "");

    early.callee_says(200, "", SDP);

    early.told("SIP/2.0 200 ");
    let at = early.network.elapsed();
    early.network.wait(Duration::from_secs(3));
    assert!(early.network.sent_at("SIP/2.0 180 ").iter().all(|sent| *sent < at), "nor is it repeated");
}

#[test]
fn a_prack_that_the_200_overtook_is_answered() {
    let mut early = Early::with("Require: 100rel\r\n");
    early.callee_says(180, "", "");
    early.callee_says(200, "", SDP);
    let ringing = early.told("SIP/2.0 180 ");

    assert_eq!(status(&early.prack(&ringing, "")), Some(200));
    assert_eq!(status(&early.prack(&ringing, "")), Some(481), "a second one");
    early.hang_up();
}

#[test]
fn a_caller_that_gives_up_while_its_200_waits_releases_the_callee() {
    let mut early = Early::with("Supported: 100rel\r\n");
    early.callee_says(183, "", SDP);
    early.callee_says(200, "", SDP);
    let cancel = early.invite.clone().of_method("CANCEL").with_headers("").to_string();

    ask(&mut early.network, CALLER, &cancel);
    early.network.run(Duration::from_secs(1));

    assert_eq!(early.network.received(CALLER, "SIP/2.0 487 ").len(), 2);
    assert_eq!(early.network.agents[CALLEE].ends(), [End::Released]);
}

#[test]
fn a_callee_that_hangs_up_while_the_200_waits_leaves_the_caller_refused() {
    let mut early = Early::with("Supported: 100rel\r\n");
    early.callee_says(183, "", SDP);
    let ok = early.callee_says(200, "", SDP);
    let mut callee = DialogSide::of_callee(RETELL.parse().unwrap(), &early.received, &ok);

    let told = answer_to(&mut early.network, CALLEE, &callee.request("BYE", NO_BODY));

    assert_eq!(status(&told), Some(200));
    early.told("SIP/2.0 480 ");
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200_and_moves_the_media() {
    let mut early = Early::with("Supported: 100rel\r\n");
    early.callee_says(183, "", SDP);
    let progress = early.told("SIP/2.0 183 ");

    let ok = early.prack(&progress, &SDP.replace("m=audio 6000", "m=audio 7000").replace(" 0 8 ", " 8 0 "));

    assert_eq!(status(&ok), Some(200));
    assert!(body(&ok).contains("m=audio 20000 RTP/AVP 0 101"), "{ok}");
    assert_eq!(leg(&early.network, CALLER).remote.port(), 7_000);
    early.callee_says(200, "", SDP);
    early.hang_up();
}

#[test]
fn what_the_caller_acknowledged_is_not_described_again_while_it_rings() {
    let mut early = Early::with("Require: 100rel\r\n");
    for _ in 0..2 {
        early.callee_says(183, "", SDP);
    }
    let first = early.told("SIP/2.0 183 ");
    let got = early.prack_all(&first, &format!("{SDP}a=sendonly\r\n"));

    let [accepted, second] = &got[..] else { panic!("{got:#?}") };
    assert!(body(accepted).contains(" 2 IN IP4 "), "{accepted}");
    assert_eq!((status(second), body(second)), (Some(183), ""));
    early.prack(second, "");
    early.callee_says(200, "", SDP);
    assert_eq!(body(&early.told("SIP/2.0 200 ")), body(accepted));
    early.hang_up();
}

#[test]
fn an_offer_in_a_prack_that_cannot_be_used_is_488_and_the_call_goes_on() {
    let mut early = Early::with("Supported: 100rel\r\n");
    early.callee_says(183, "", SDP);
    let progress = early.told("SIP/2.0 183 ");

    let refused = early.prack(&progress, "v=0\r\nm=audio 7000 RTP/AVP 18\r\n");

    assert_eq!(status(&refused), Some(488));
    early.callee_says(200, "", SDP);
    early.hang_up();
}

#[test]
fn a_callees_reliable_responses_are_acknowledged_once_and_in_order() {
    let mut early = Early::of(Way::ToTrunk, Way::ToTrunk.routes(), "");
    assert_eq!(header(&early.received, "Supported"), Some("100rel, timer"));

    for (rseq, code) in [(7, 180), (7, 180), (9, 182), (8, 183), (7, 180), (9, 182)] {
        let sdp = if code == 183 { SDP } else { "" };
        early.callee_says(code, &format!("Require: 100rel\r\nRSeq: {rseq}\r\n"), sdp);
    }

    let pracks = early.network.received(CALLEE, "PRACK ");
    let mut named: Vec<_> =
        pracks.iter().map(|text| (header(text, "CSeq").unwrap(), header(text, "RAck").unwrap())).collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, [("2 PRACK", "7 1 INVITE"), ("3 PRACK", "8 1 INVITE"), ("4 PRACK", "9 1 INVITE")]);
    let told: Vec<_> = early.network.messages(CALLER).iter().filter_map(|text| status(text)).collect();
    assert_eq!(told, [100, 180, 183, 182], "each once");
}

#[test]
fn every_fork_counts_its_reliable_responses_for_itself() {
    let mut early = Early::of(Way::ToTrunk, Way::ToTrunk.routes(), "");

    for (fork, rseq) in [("a", 5), ("b", 900), ("a", 6), ("b", 901)] {
        let lines = format!("Contact: <sip:{fork}@{TRUNK}>\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n");
        let progress = answer(&early.received, 182, "Said", fork, &with_body(&lines, ""));
        ask(&mut early.network, CALLEE, &progress);
    }

    let pracks = early.network.received(CALLEE, "PRACK ");
    let sent: Vec<_> = pracks
        .iter()
        .map(|text| (calls::tag(text, "To"), header(text, "CSeq").unwrap(), header(text, "RAck").unwrap()))
        .collect();
    let expected = [
        ("a", "2 PRACK", "5 1 INVITE"),
        ("b", "2 PRACK", "900 1 INVITE"),
        ("a", "3 PRACK", "6 1 INVITE"),
        ("b", "3 PRACK", "901 1 INVITE"),
    ];
    assert_eq!(sent, expected);
}

#[test]
fn the_answer_of_a_reliable_183_stands_when_the_200_has_none_or_another() {
    for sdp in ["", &SDP.replace("m=audio 6000", "m=audio 9000")] {
        let mut early = Early::of(Way::ToTrunk, Way::ToTrunk.routes(), "");
        early.callee_says(183, "Require: 100rel\r\nRSeq: 1\r\n", SDP);

        early.callee_says(200, "", sdp);

        assert_eq!(leg(&early.network, CALLEE).remote.port(), 6_000);
        early.hang_up();
    }
}

#[test]
fn retell_is_offered_none_of_it_and_refused_when_it_requires_it() {
    let mut early = Early::with("Supported: 100rel\r\n");
    assert_eq!((header(&early.received, "Supported"), header(&early.received, "Require")), (None, None));
    assert!(!header(&early.received, "Allow").unwrap().contains("PRACK"));
    early.callee_says(183, "Require: 100rel\r\nRSeq: 1\r\n", SDP);
    assert!(early.network.received(CALLEE, "PRACK ").is_empty());

    let invite = Request::invite(RETELL).with_headers("Require: 100rel\r\n");
    let network = ByHandCall::inviting(Way::ToTrunk, Way::ToTrunk.routes(), &invite);

    let refused = network.received(CALLER, "SIP/2.0 420 ")[0];
    assert_eq!(header(refused, "Unsupported"), Some("100rel"));
}

#[test]
fn forced_it_is_required_of_a_callee_and_used_for_all_that_a_caller_is_told() {
    let forced = |way: Way| {
        let mut config = way.config();
        config.trunks[0].peer.profile.prack = Treatment::Force;
        routes::compile(&config)
    };
    let outgoing = Early::of(Way::ToTrunk, forced(Way::ToTrunk), "");
    assert_eq!(header(&outgoing.received, "Require"), Some("100rel"));

    let mut incoming = Early::of(Way::ToRetell, forced(Way::ToRetell), "Supported: 100rel\r\n");
    incoming.callee_says(180, "", "");

    assert!(header(&incoming.told("SIP/2.0 180 "), "RSeq").is_some());
}

/// A call whose callee has our INVITE.
struct Early {
    network: Network,
    invite: Request,
    /// Our INVITE.
    received: String,
    caller: DialogSide,
    callee: &'static str,
}

impl Early {
    fn with(headers: &str) -> Self {
        Self::of(Way::ToRetell, Way::ToRetell.routes(), headers)
    }

    fn of(way: Way, routes: Routes, headers: &str) -> Self {
        let (here, callee) = way.ends();
        let invite = Request::invite(here).with_headers(headers);
        let network = ByHandCall::inviting(way, routes, &invite);
        let received = network.received(CALLEE, "INVITE ")[0].to_owned();
        let told = network.received(CALLER, "SIP/2.0 100 ")[0].to_owned();
        let caller = DialogSide::of_caller(here.parse().unwrap(), &invite.to_string(), &told);
        Self { network, invite, received, caller, callee }
    }

    fn callee_says(&mut self, code: u16, headers: &str, sdp: &str) -> String {
        let lines = format!("Contact: <sip:hand@{}>\r\n{headers}", self.callee);
        let response = answer(&self.received, code, "Said", "early", &with_body(&lines, sdp));
        self.network.say(self.callee.parse().unwrap(), &response);
        self.network.run(Duration::from_millis(100));
        response
    }

    /// What the caller was told that begins so; its dialog is known from then on.
    fn told(&mut self, start: &str) -> String {
        let told = self.network.received(CALLER, start)[0].to_owned();
        let cseq = self.caller.cseq;
        self.caller = DialogSide::of_caller(self.caller.here, &self.invite.to_string(), &told);
        self.caller.cseq = cseq;
        told
    }

    fn prack(&mut self, response: &str, sdp: &str) -> String {
        let got = self.prack_all(response, sdp);
        got.into_iter().find(|text| header(text, "CSeq").unwrap().ends_with("PRACK")).unwrap()
    }

    fn prack_all(&mut self, response: &str, sdp: &str) -> Vec<String> {
        let rack = format!("RAck: {} 1 INVITE\r\n", header(response, "RSeq").unwrap());
        let text = self.caller.request("PRACK", &with_body(&rack, sdp));
        let text = text.replace("branch=z9hG4bKh", &format!("branch=z9hG4bKp{}", self.caller.cseq));
        ask(&mut self.network, CALLER, &text)
    }

    /// The caller acknowledges its 200 and hangs up.
    fn hang_up(mut self) {
        self.told("SIP/2.0 200 ");
        let cseq = self.caller.cseq;
        let ack = self.caller.numbered("ACK", 1, NO_BODY);
        ask(&mut self.network, CALLER, &ack);
        self.caller.cseq = cseq;
        let bye = self.caller.request("BYE", NO_BODY).replace("z9hG4bKh", "z9hG4bKb");
        assert_eq!(status(&answer_to(&mut self.network, CALLER, &bye)), Some(200));
        finish(&mut self.network);
        assert_eq!(self.network.agents[CALLEE].ends(), [End::Released]);
    }
}

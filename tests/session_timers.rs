//! Session timers on each leg (RFC 4028), and the OPTIONS that keep Retell's dialog open.
//!
//! Hours pass in virtual time: what counts is when a refresh goes out, by which method,
//! and what its failure does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    ByHandCall, CALLEE, CALLER, CalleeScript, CallerScript, End, NO_BODY, RETELL, Request, SDP, Step, TRUNK,
    Way, answer, body, finish, header, routes, status, with_body,
};
use trunkline::config::reader::{Secret, SecretSource};
use trunkline::routing::Routes;
use trunkline::routing::config::{Profile, Treatment};

#[test]
fn an_invite_with_a_session_interval_gets_it_and_we_refresh_where_the_choice_is_ours() {
    for (lines, granted, require) in [
        ("Supported: timer\r\nSession-Expires: 1800\r\n", Some("1800;refresher=uas"), None),
        ("Supported: timer\r\nx: 1800;refresher=uac\r\n", Some("1800;refresher=uac"), Some("timer")),
        ("Session-Expires: 1800;refresher=uac\r\n", Some("1800;refresher=uas"), None),
        ("Supported: timer\r\n", None, None),
    ] {
        let call = ByHandCall::answered_as(Way::ToRetell, standard(), &invite(TRUNK, lines), "");

        let told = &call.answers[CALLER];

        assert_eq!((header(told, "Session-Expires"), header(told, "Require")), (granted, require), "{lines}");
        assert_eq!(header(told, "Supported"), Some("100rel, timer"));
        call.hang_up();
    }
}

#[test]
fn an_interval_that_is_too_short_is_422_with_min_se() {
    let routes = trunk_profile(Way::ToRetell, |profile| profile.min_se_s = 300);
    let invite = invite(TRUNK, "Supported: timer\r\nSession-Expires: 299\r\n");

    let network = ByHandCall::inviting(Way::ToRetell, routes, &invite);

    let refused = network.received(CALLER, "SIP/2.0 422 ")[0];
    assert_eq!(header(refused, "Min-SE"), Some("300"));
    assert!(network.messages(CALLEE).is_empty());
}

#[test]
fn an_hour_of_refreshes_by_update_keeps_the_call_up_with_nothing_said_to_retell() {
    let mut call = refreshing("Allow: INVITE, UPDATE\r\n");
    let (before, to_retell) = (call.network.elapsed(), call.network.messages(CALLEE).len());

    for round in 1..=4 {
        let update = next_request(&mut call, CALLER, "UPDATE ");
        assert_eq!((call.network.elapsed() - before).as_secs() / 60, 15 * round);
        assert_eq!(header(&update, "Session-Expires"), Some("1800;refresher=uac"));
        assert_eq!((body(&update), header(&update, "Supported")), ("", Some("100rel, timer")));
        respond(&mut call, CALLER, &update, 200, "Session-Expires: 1800;refresher=uac\r\n", "");
    }

    let to_retell = &call.network.messages(CALLEE)[to_retell..];
    assert!(to_retell.iter().all(|text| text.starts_with("OPTIONS ")), "{to_retell:?}");
    call.hang_up();
}

#[test]
fn every_refresh_may_be_challenged_with_a_nonce_that_is_good_for_one_request() {
    let mut config = Way::ToRetell.config();
    let trunk = &mut config.trunks[0].peer;
    trunk.username = Some("acct".to_owned());
    trunk.password = Some(Secret { source: SecretSource::Literal("secret".to_owned()) });
    let lines = "Allow: UPDATE\r\nSupported: timer\r\nSession-Expires: 1800\r\n";
    let mut call =
        ByHandCall::answered_as(Way::ToRetell, routes::compile(&config), &invite(TRUNK, lines), "");

    for nonce in ["one", "two", "three"] {
        let update = next_request(&mut call, CALLER, "UPDATE ");
        let challenge =
            format!("WWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce}\", qop=\"auth\"\r\n");
        respond(&mut call, CALLER, &update, 401, &challenge, "");
        let proven = call.network.received(CALLER, "UPDATE ").last().unwrap().to_string();
        let credentials = header(&proven, "Authorization").unwrap_or_default();
        assert_eq!(calls::digest::field(credentials, "nonce"), nonce, "{proven}");
        respond(&mut call, CALLER, &proven, 200, "Session-Expires: 1800;refresher=uac\r\n", "");
    }
    call.hang_up();
}

#[test]
fn a_peer_without_update_is_refreshed_by_a_reinvite_that_changes_nothing() {
    let mut call = refreshing("Allow: INVITE, ACK, BYE\r\n");
    let described = body(&call.answers[CALLER]).to_owned();

    for _ in 0..4 {
        let reinvite = next_request(&mut call, CALLER, "INVITE ");
        assert_eq!(body(&reinvite), described, "byte for byte, its version included");
        respond(&mut call, CALLER, &reinvite, 200, "Session-Expires: 1800;refresher=uac\r\n", SDP);
        let acks = call.network.received(CALLER, "ACK ");
        assert_eq!(header(acks.last().unwrap(), "CSeq").unwrap().split(' ').next(), cseq(&reinvite));
    }
    call.hang_up();
}

#[test]
fn a_repeated_200_to_our_reinvite_gets_its_ack_again() {
    let mut call = refreshing("Allow: INVITE\r\n");
    let reinvite = next_request(&mut call, CALLER, "INVITE ");
    let acks = |call: &ByHandCall| call.network.received(CALLER, "ACK ").len();

    for expected in [1, 2, 3] {
        respond(&mut call, CALLER, &reinvite, 200, "", SDP);
        assert_eq!(acks(&call), expected);
    }

    call.hang_up();
}

#[test]
fn a_200_to_our_reinvite_that_comes_after_the_end_of_the_call_gets_its_ack_all_the_same() {
    let mut call = refreshing("Allow: INVITE\r\n");
    let reinvite = next_request(&mut call, CALLER, "INVITE ");
    let bye = call.ask(CALLEE, "BYE", NO_BODY);
    assert_eq!(status(&bye), Some(200));
    let bye = call.network.received(CALLER, "BYE ")[0].to_owned();
    respond(&mut call, CALLER, &bye, 200, "", "");

    for expected in [1, 2] {
        respond(&mut call, CALLER, &reinvite, 200, "", SDP);

        let acks = call.network.received(CALLER, "ACK ");
        assert_eq!(acks.len(), expected);
        assert!(acks.iter().all(|ack| cseq(ack) == cseq(&reinvite)));
    }
    finish(&mut call.network);
}

#[test]
fn the_ack_to_a_reinvite_that_was_challenged_repeats_its_credentials() {
    let mut config = Way::ToRetell.config();
    config.trunks[0].peer.username = Some("acct".into());
    config.trunks[0].peer.password = config.retell[0].peer.password.clone();
    let lines = "Allow: INVITE\r\nSupported: timer\r\nSession-Expires: 1800\r\n";
    let mut call =
        ByHandCall::answered_as(Way::ToRetell, routes::compile(&config), &invite(TRUNK, lines), "");
    let reinvite = next_request(&mut call, CALLER, "INVITE ");
    let challenge = "WWW-Authenticate: Digest realm=\"desk\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";
    respond(&mut call, CALLER, &reinvite, 401, challenge, "");
    let proved = call.network.received(CALLER, "INVITE ").last().unwrap().to_string();

    respond(&mut call, CALLER, &proved, 200, "", SDP);

    let ack = call.network.received(CALLER, "ACK ").last().unwrap().to_string();
    assert_eq!(cseq(&ack), cseq(&proved));
    let shown = header(&ack, "Authorization");
    assert!(shown.is_some() && shown == header(&proved, "Authorization"), "RFC 3261 §22.1: {ack}");
    call.hang_up();
}

#[test]
fn update_that_is_refused_as_unknown_gives_way_to_a_reinvite() {
    for code in [405, 501] {
        let mut call = refreshing("Allow: INVITE, UPDATE\r\n");
        let update = next_request(&mut call, CALLER, "UPDATE ");

        respond(&mut call, CALLER, &update, code, "", "");

        let reinvite = call.network.received(CALLER, "INVITE ").last().unwrap().to_string();
        respond(&mut call, CALLER, &reinvite, 200, "", SDP);
        next_request(&mut call, CALLER, "INVITE ");
    }
}

#[test]
fn a_refresh_that_gets_408_481_or_nothing_ends_both_legs_with_a_reason() {
    for code in [Some(408), Some(481), None] {
        let mut call = refreshing("Allow: UPDATE\r\n");
        let update = next_request(&mut call, CALLER, "UPDATE ");

        if let Some(code) = code {
            respond(&mut call, CALLER, &update, code, "", "");
        }
        finish(&mut call.network);

        for who in [CALLER, CALLEE] {
            let bye = call.network.received(who, "BYE ")[0];
            assert_eq!(
                header(bye, "Reason"),
                Some("SIP;cause=408;text=\"Session refresh failed\""),
                "{code:?}"
            );
        }
        let reason = &call.network.bridge.world.records[0].reason;
        assert_eq!(reason, "carrier did not answer our session refresh");
    }
}

#[test]
fn a_refresh_refused_for_now_is_tried_again_and_the_session_ends_only_when_none_succeeds() {
    let mut call = refreshing("Allow: UPDATE\r\n");
    let start = call.network.elapsed() - Duration::from_millis(200);
    let mut tries = 0;

    while call.network.received(CALLER, "BYE ").is_empty() {
        let seen = call.network.received(CALLER, "UPDATE ").len();
        call.network.wait(Duration::from_secs(1));
        if call.network.received(CALLER, "UPDATE ").len() > seen {
            let update = call.network.received(CALLER, "UPDATE ")[seen].to_owned();
            respond(&mut call, CALLER, &update, 503, "Retry-After: 100\r\n", "");
            tries += 1;
        }
        answer_options(&mut call);
    }

    let ended = call.network.sent_at("BYE ")[0] - start;
    assert_eq!((tries, ended.as_secs()), (9, 1_768), "32 s before the interval of 1800 s ends");
}

#[test]
fn a_422_to_our_refresh_raises_the_interval() {
    let mut call = refreshing("Allow: UPDATE\r\n");
    let update = next_request(&mut call, CALLER, "UPDATE ");

    respond(&mut call, CALLER, &update, 422, "Min-SE: 3600\r\n", "");

    let raised = call.network.received(CALLER, "UPDATE ").last().unwrap().to_string();
    let said = (header(&raised, "Session-Expires"), header(&raised, "Min-SE"));
    assert_eq!(said, (Some("3600;refresher=uac"), Some("3600")));
    respond(&mut call, CALLER, &raised, 200, "Session-Expires: 3600;refresher=uac\r\n", "");
    call.hang_up();
}

#[test]
fn a_peer_that_was_to_refresh_and_does_not_is_said_bye_to_before_the_interval_ends() {
    for (seconds, ends_after) in [(1_800, 1_768), (90, 60)] {
        let lines = format!("Supported: timer\r\nSession-Expires: {seconds};refresher=uac\r\n");
        let mut call = ByHandCall::answered_as(Way::ToRetell, standard(), &invite(TRUNK, &lines), "");
        let start = call.network.sent_at("SIP/2.0 200 ")[0];

        while call.network.received(CALLER, "BYE ").is_empty() {
            call.network.wait(Duration::from_secs(1));
            answer_options(&mut call);
        }

        assert_eq!((call.network.sent_at("BYE ")[0] - start).as_secs(), ends_after);
        let bye = call.network.received(CALLEE, "BYE ")[0];
        assert_eq!(header(bye, "Reason"), Some("SIP;cause=408;text=\"Session expired\""));
    }
}

#[test]
fn a_peer_that_refreshes_itself_keeps_its_call_by_reinvite_and_by_update() {
    for method in ["INVITE", "UPDATE"] {
        let lines = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
        let mut call = ByHandCall::answered_as(Way::ToRetell, standard(), &invite(TRUNK, lines), "");

        for _ in 0..80 {
            pass(&mut call, 45);
            let sdp = if method == "INVITE" { SDP } else { "" };
            let told = call.ask(CALLER, method, &with_body(lines, sdp));
            assert_eq!(header(&told, "Session-Expires"), Some("90;refresher=uac"));
            if method == "INVITE" {
                let ack = call.sides[CALLER].ack();
                call.say(CALLER, &ack);
            }
            answer_options(&mut call);
        }
        call.hang_up();
    }
}

#[test]
fn a_refresh_that_asks_for_too_short_an_interval_is_422_and_changes_nothing() {
    let first = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    for method in ["INVITE", "UPDATE"] {
        let routes = trunk_profile(Way::ToRetell, |profile| profile.min_se_s = 300);
        let mut call = ByHandCall::answered_as(Way::ToRetell, routes, &invite(TRUNK, first), "");

        let lines = "Supported: timer\r\nSession-Expires: 120\r\n";
        let told = call.ask(CALLER, method, &with_body(lines, SDP));

        assert_eq!((status(&told), header(&told, "Min-SE")), (Some(422), Some("300")));
        call.hang_up();
    }
}

#[test]
fn a_trunk_that_answers_with_a_session_interval_is_refreshed_unless_it_does_so_itself() {
    for (refresher, updates) in [(";refresher=uac", 1), (";refresher=uas", 0), ("", 1)] {
        let headers = format!("Require: timer\r\nSession-Expires: 600{refresher}\r\nAllow: UPDATE\r\n");
        let invite = Request::invite(RETELL);
        let mut call = ByHandCall::answered_as(Way::ToTrunk, Way::ToTrunk.routes(), &invite, &headers);
        let ours = call.network.received(CALLEE, "INVITE ")[0];
        assert_eq!(
            (header(ours, "Supported"), header(ours, "Session-Expires")),
            (Some("100rel, timer"), None)
        );

        pass(&mut call, 301);

        assert_eq!(distinct(&call, CALLEE, "UPDATE "), updates, "{refresher}");
    }
}

#[test]
fn a_forced_timer_is_asked_for_and_kept_by_us_where_the_peer_knows_none() {
    let routes = trunk_profile(Way::ToTrunk, |profile| {
        profile.session_timer = Treatment::Force;
        profile.session_expires_s = 200;
    });
    let mut call =
        ByHandCall::answered_as(Way::ToTrunk, routes, &Request::invite(RETELL), "Allow: INVITE\r\n");
    let ours = call.network.received(CALLEE, "INVITE ")[0];
    assert_eq!(header(ours, "Session-Expires"), Some("200"));

    let reinvite = next_request(&mut call, CALLEE, "INVITE ");

    assert_eq!(header(&reinvite, "Session-Expires"), Some("200;refresher=uac"));
}

#[test]
fn a_422_to_our_invite_goes_again_with_its_min_se_in_the_same_call() {
    let script = CalleeScript {
        challenges: vec![Step::new(0, 422, "Too Small").with_headers("Min-SE: 1000\r\n")],
        ..CalleeScript::default()
    };
    let mut network = calls::network(Way::ToTrunk, CallerScript::default(), script);

    finish(&mut network);

    let invites = network.received(CALLEE, "INVITE ");
    let said = |name| invites.iter().map(|text| header(text, name).unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(said("CSeq"), ["1 INVITE", "2 INVITE"]);
    assert_eq!((said("Session-Expires"), said("Min-SE")), (vec!["", "1000"], vec!["", "1000"]));
    assert_eq!(said("Call-ID")[0], said("Call-ID")[1]);
    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
}

#[test]
fn a_callee_that_says_422_to_everything_refuses_the_call() {
    let small = || Step::new(0, 422, "Too Small").with_headers("Min-SE: 1000\r\n");
    let script = CalleeScript::saying([small()]);

    let network = calls::run(Way::ToTrunk, CallerScript::default(), script);

    assert_eq!(network.received(CALLEE, "INVITE ").len(), 2);
    assert_eq!(network.agents[CALLER].ends(), [End::Refused(422)]);
}

#[test]
fn a_callee_that_asks_for_ever_more_refuses_the_call() {
    let more = |least: u32| Step::new(0, 422, "Too Small").with_headers(&format!("Min-SE: {least}\r\n"));
    let script = CalleeScript { challenges: (1_000..1_020).map(more).collect(), ..CalleeScript::default() };

    let network = calls::run(Way::ToTrunk, CallerScript::default(), script);

    assert_eq!(network.received(CALLEE, "INVITE ").len(), 4);
    assert_eq!(network.agents[CALLER].ends(), [End::Refused(422)]);
}

#[test]
fn toward_retell_no_timer_is_taken_part_in() {
    let headers = "Session-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n";
    let call = ByHandCall::answered_as(Way::ToRetell, standard(), &invite(TRUNK, ""), headers);
    let ours = call.network.received(CALLEE, "INVITE ")[0];
    assert_eq!((header(ours, "Supported"), header(ours, "Session-Expires")), (None, None));

    let mut call = call;
    pass(&mut call, 600);

    assert_eq!(call.network.received(CALLEE, "INVITE ").len(), 1);
    assert!(call.network.received(CALLEE, "UPDATE ").is_empty());
    call.hang_up();
}

#[test]
fn retell_gets_options_every_two_minutes_and_its_200_proves_nothing() {
    for code in [200, 404, 405, 500] {
        let mut call = ByHandCall::answered(Way::ToRetell);

        for round in 1..=5 {
            call.network.wait(Duration::from_secs(120));
            let options = call.network.received(CALLEE, "OPTIONS ").last().unwrap().to_string();
            respond(&mut call, CALLEE, &options, code, "", "");
            assert_eq!(distinct(&call, CALLEE, "OPTIONS "), round);
        }

        assert!(call.network.received(CALLER, "OPTIONS ").is_empty(), "a trunk gets none");
        call.hang_up();
    }
}

#[test]
fn options_that_get_481_408_or_no_answer_end_the_call() {
    for code in [Some(481), Some(408), None] {
        let mut call = ByHandCall::answered(Way::ToRetell);
        call.network.wait(Duration::from_secs(121));
        let options = call.network.received(CALLEE, "OPTIONS ")[0].to_owned();

        if let Some(code) = code {
            respond(&mut call, CALLEE, &options, code, "", "");
        }
        finish(&mut call.network);

        let bye = call.network.received(CALLER, "BYE ")[0];
        assert_eq!(header(bye, "Reason"), Some("SIP;cause=408;text=\"No answer to OPTIONS\""), "{code:?}");
    }
}

/// A call from a trunk whose `allow` line says what it takes, with an interval of half
/// an hour that we refresh.
fn refreshing(allow: &str) -> ByHandCall {
    let lines = format!("{allow}Supported: timer\r\nSession-Expires: 1800\r\n");
    ByHandCall::answered_as(Way::ToRetell, standard(), &invite(TRUNK, &lines), "")
}

/// The next request of ours to `who` that begins so, however long it takes; OPTIONS to
/// Retell are answered meanwhile.
fn next_request(call: &mut ByHandCall, who: usize, start: &str) -> String {
    let seen = call.network.received(who, start).len();
    for _ in 0..400 {
        pass(call, 10);
        if call.network.received(who, start).len() > seen {
            return call.network.received(who, start)[seen].to_owned();
        }
    }
    panic!("no {start}in an hour");
}

/// This much time, in which Retell answers the OPTIONS that it gets.
fn pass(call: &mut ByHandCall, seconds: u64) {
    for _ in 0..seconds / 10 {
        call.network.wait(Duration::from_secs(10));
        answer_options(call);
    }
    call.network.wait(Duration::from_secs(seconds % 10));
}

/// Answers the last OPTIONS that Retell got; again does no harm.
fn answer_options(call: &mut ByHandCall) {
    for who in [CALLER, CALLEE] {
        let asked = call.network.received(who, "OPTIONS ").last().map(|&text| text.to_owned());
        if let Some(text) = asked.filter(|_| call.network.agents[who].address() == RETELL.parse().unwrap()) {
            respond(call, who, &text, 200, "", "");
        }
    }
}

fn respond(call: &mut ByHandCall, who: usize, request: &str, code: u16, headers: &str, sdp: &str) {
    let here = call.network.agents[who].address();
    let contact = format!("Contact: <sip:hand@{here}>\r\n{headers}");
    call.network.say(here, &answer(request, code, "Said", "", &with_body(&contact, sdp)));
    call.network.run(Duration::from_millis(100));
}

/// How many requests that begin so `who` got, repeats left out.
fn distinct(call: &ByHandCall, who: usize, start: &str) -> usize {
    let numbers = call.network.received(who, start).into_iter().map(|text| cseq(text).map(str::to_owned));
    numbers.collect::<std::collections::BTreeSet<_>>().len()
}

fn cseq(text: &str) -> Option<&str> {
    header(text, "CSeq")?.split(' ').next()
}

fn invite(here: &str, lines: &str) -> Request {
    Request::invite(here).with_headers(lines)
}

fn standard() -> Routes {
    Way::ToRetell.routes()
}

fn trunk_profile(way: Way, change: impl Fn(&mut Profile)) -> Routes {
    let mut config = way.config();
    change(&mut config.trunks[0].peer.profile);
    routes::compile(&config)
}

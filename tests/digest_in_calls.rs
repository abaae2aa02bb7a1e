//! Digest on the way of a call (RFC 3261 §22, RFC 7616): Retell must prove itself to us, and
//! we to whichever peer asks.
//!
//! LiveKit, which stands behind Retell, hashes the To URI and reads only the first challenge. Toward peers,
//! what counts is who gets credentials: that peer's own hosts, once per challenge, and nobody else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::digest::{Login, field};
use calls::{
    ByHand, CALLEE, CALLER, Callee, CalleeScript, Caller, CallerScript, End, Network, RETELL, RETELL_2,
    Request, Step, TRUNK, Way, Weather, answer, answer_to, ask, finish, header, headers, param, routes, run,
    status, tag, with_body,
};
use trunkline::config::reader::{Secret, SecretSource};
use trunkline::routing::config::{Config, PeerConfig};

#[test]
fn retells_invite_is_challenged_and_its_to_comes_back_byte_for_byte() {
    let mut network = retell_calling();

    let told = answer_to(&mut network, CALLER, &invite().to_string());

    assert!(told.starts_with("SIP/2.0 401 Unauthorized\r\n"), "{told}");
    let to = header(&told, "To").unwrap();
    assert!(to.starts_with(&format!("{TO};tag=")), "{to}");
    let challenges: Vec<_> = headers(&told).filter(|(name, _)| *name == "WWW-Authenticate").collect();
    assert_eq!(challenges.len(), 1, "LiveKit reads only the first");
    let fields = ["realm", "algorithm", "qop", "stale"].map(|name| field(challenges[0].1, name));
    assert_eq!(fields, ["trunkline", "MD5", "auth", ""]);
    assert!(network.messages(CALLEE).is_empty());
    finish(&mut network);
}

#[test]
fn the_right_answer_begins_the_call_with_the_uri_of_to_or_of_the_request() {
    for uri in [TO_URI, REQUEST_URI] {
        let mut network = retell_calling();

        let told = attempt(&mut network, Login { uri, ..login() });

        assert_eq!(status(&told), Some(100), "{uri}");
        network.run(Duration::from_millis(100));
        assert_eq!(network.received(CALLEE, "INVITE ").len(), 1);
        let leaked = network.received(CALLEE, "INVITE ")[0];
        assert_eq!(header(leaked, "Authorization"), None, "what Retell proves to us stays with us");
        finish(&mut network);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_told_the_same() {
    let wrong = [
        Login { password: "guess", ..login() },
        Login { username: "nobody", ..login() },
        Login { uri: "sip:+14155550100@elsewhere.example", ..login() },
        Login { method: "BYE", ..login() },
    ];
    let told = wrong.map(|login| {
        let mut network = retell_calling();
        let told = attempt(&mut network, login);
        assert!(network.messages(CALLEE).is_empty());
        finish(&mut network);
        told.replace(tag(&told, "To"), "")
    });

    assert!(told[0].starts_with("SIP/2.0 403 Forbidden\r\n"), "{}", told[0]);
    assert!(told.iter().all(|other| *other == told[0]), "{told:#?}");
}

#[test]
fn an_answer_that_was_used_in_another_transaction_is_challenged_as_stale_and_the_next_count_is_good() {
    let mut network = retell_calling();
    let first = answer_to(&mut network, CALLER, &invite().to_string());
    let right = authorized(&invite(), &login(), challenge(&first));
    ask(&mut network, CALLER, &right.to_string());

    let replay = Request {
        call_id: "replayed@192.0.2.7".into(),
        branch: "replayed".into(),
        from_tag: "replayed".into(),
        ..right.clone()
    };
    let told = answer_to(&mut network, CALLER, &replay.to_string());

    assert_eq!((status(&told), field(challenge(&told), "stale")), (Some(401), "true"));
    let next = Request { call_id: "next@192.0.2.7".into(), branch: "next".into(), ..invite() };
    let next = authorized(&next, &Login { count: 2, ..login() }, challenge(&first));
    let told = ask(&mut network, CALLER, &next.to_string());
    assert_eq!(status(&told[0]), Some(100));
    network.run(Duration::from_millis(100));
    assert_eq!(network.received(CALLEE, "INVITE ").len(), 2);
    finish(&mut network);
}

#[test]
fn a_repeated_invite_with_credentials_is_no_replay() {
    let mut network = retell_calling();
    let first = answer_to(&mut network, CALLER, &invite().to_string());
    let right = authorized(&invite(), &login(), challenge(&first)).to_string();

    let told = [right.clone(), right].map(|text| ask(&mut network, CALLER, &text));

    for told in told {
        assert!(told.iter().all(|text| !text.starts_with("SIP/2.0 401")), "{told:?}");
    }
    assert_eq!(network.received(CALLEE, "INVITE ").len(), 1);
    finish(&mut network);
}

#[test]
fn a_nonce_that_is_too_old_is_stale() {
    let mut network = retell_calling();
    let first = answer_to(&mut network, CALLER, &invite().to_string());
    network.say(RETELL.parse().unwrap(), &invite().ack(&first));
    network.wait(Duration::from_secs(61));

    let late = authorized(&invite(), &login(), challenge(&first));
    let told = answer_to(&mut network, CALLER, &late.to_string());

    assert_eq!((status(&told), field(challenge(&told), "stale")), (Some(401), "true"));
    finish(&mut network);
}

#[test]
fn a_trunk_that_must_prove_itself_cannot_use_what_is_retells() {
    let mut config = Way::ToRetell.config();
    with_credentials(&mut config.trunks[0].peer);
    config.trunks[0].peer.challenge = true;
    let uri = format!("sip:+14155550100@{}", calls::BRIDGE);
    for (username, password, code) in [("acct", "secret", 100), ("retell-user", "secret", 403)] {
        let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
        let trunk = network.add(ByHand::new(TRUNK));
        let invite = Request::invite(TRUNK);
        let told = answer_to(&mut network, trunk, &invite.to_string());

        let login = Login { username, password, uri: &uri, ..login() };
        let told = ask(&mut network, trunk, &authorized(&invite, &login, challenge(&told)).to_string());

        assert_eq!(status(&told[0]), Some(code), "{username}");
        finish(&mut network);
    }
}

#[test]
fn a_challenge_is_answered_with_the_same_call_id_and_from_the_next_cseq_and_a_new_branch() {
    for (way, code, line, name) in [
        (Way::ToTrunk, 401, WITH_QOP, "Authorization"),
        (Way::ToTrunk, 407, WITH_QOP, "Proxy-Authorization"),
        (Way::ToRetell, 401, WITHOUT_QOP, "Authorization"),
        (Way::ToRetell, 407, WITHOUT_QOP, "Proxy-Authorization"),
    ] {
        let callee = challenging([Step::new(0, code, "Prove It").with_headers(&challenge_line(code, line))]);

        let network = called(way, callee);

        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
        let [first, second] = network.received(CALLEE, "INVITE ").try_into().unwrap();
        for same in ["Call-ID", "From", "To", "Contact", "Max-Forwards"] {
            assert_eq!(header(first, same), header(second, same), "{same}");
        }
        assert_eq!([first, second].map(|text| header(text, "CSeq")), [Some("1 INVITE"), Some("2 INVITE")]);
        assert_ne!(branch(first), branch(second));
        assert_eq!(header(first, name), None);
        assert!(ours(way, "INVITE", second, 1, name), "{second}");
    }
}

#[test]
fn the_ack_repeats_the_credentials_of_its_invite_and_the_bye_has_fresh_ones() {
    for (way, code, name) in
        [(Way::ToTrunk, 407, "Proxy-Authorization"), (Way::ToRetell, 401, "Authorization")]
    {
        let callee =
            challenging([Step::new(0, code, "Prove It").with_headers(&challenge_line(code, WITH_QOP))]);

        let network = called(way, callee);

        let received = network.messages(CALLEE);
        let of = |start: &str| received.iter().rfind(|text| text.starts_with(start)).unwrap();
        assert_eq!(header(of("ACK "), name), header(of("INVITE "), name), "RFC 3261 §22.1");
        assert!(ours(way, "BYE", of("BYE "), 2, name), "{}", of("BYE "));
    }
}

#[test]
fn a_bye_that_is_challenged_goes_again_with_credentials_and_the_headers_it_had() {
    for (way, code, name) in
        [(Way::ToTrunk, 407, "Proxy-Authorization"), (Way::ToRetell, 401, "Authorization")]
    {
        let prove = Step::new(0, code, "Prove It").with_headers(&challenge_line(code, WITH_QOP));
        let callee = CalleeScript { bye_challenges: vec![prove], ..CalleeScript::default() };
        let caller = CallerScript { bye_headers: "X-Why: done\r\n".into(), ..CallerScript::default() };

        let network = connected(way, caller, callee);

        assert_eq!(network.agents[CALLEE].ends(), [End::Released]);
        let byes = network.received(CALLEE, "BYE ");
        let distinct: Vec<_> =
            byes.iter().map(|bye| (header(bye, "CSeq").unwrap(), header(bye, "X-Why"))).collect();
        assert_eq!(distinct, [("2 BYE", Some("done")), ("3 BYE", Some("done"))]);
        assert!(ours(way, "BYE", byes[1], 1, name), "{}", byes[1]);
    }
}

#[test]
fn a_bye_to_the_caller_that_is_challenged_goes_again_with_credentials() {
    for (way, code, name) in
        [(Way::ToTrunk, 407, "Proxy-Authorization"), (Way::ToRetell, 401, "Authorization")]
    {
        let (caller, _) = way.ends();
        let mut network = Network::new(routes::compile(&with_all_credentials(way)), 1, Weather::FAIR);
        let waits = CallerScript {
            hang_up_after: None,
            bye_challenges: vec![(code, challenge_line(code, WITH_QOP))],
            ..CallerScript::default()
        };
        network.add(Caller::new(caller, waits));
        let hangs_up =
            CalleeScript { hang_up_after: Some(Duration::from_secs(1)), ..CalleeScript::default() };
        network.add(Callee::new(way.ends().1, hangs_up));
        finish(&mut network);

        assert_eq!(network.agents[CALLER].ends(), [End::Released]);
        let byes = network.received(CALLER, "BYE ");
        assert_eq!(byes.len(), 2);
        let other = if way == Way::ToTrunk { Way::ToRetell } else { Way::ToTrunk };
        assert!(ours(other, "BYE", byes[1], 1, name), "{}", byes[1]);
    }
}

#[test]
fn a_challenged_bye_to_a_fork_leaves_the_call_with_the_other_alone() {
    let prove = Step::new(0, 401, "Prove It").with_headers(&challenge_line(401, WITH_QOP));
    let both = [Step::new(600, 200, "OK"), Step::new(601, 200, "OK").of("fork")];
    let callee = CalleeScript { bye_challenges: vec![prove], ..CalleeScript::saying(both) };

    let network = called(Way::ToTrunk, callee);

    let byes = network.received(CALLEE, "BYE ");
    let tags: Vec<_> = byes.iter().map(|bye| tag(bye, "To")).collect();
    assert_eq!(tags, ["t5060fork", "t5060fork", "t5060"]);
    assert_eq!(network.bridge.world.records[0].ended_by, trunkline::call::record::EndedBy::Caller);
}

#[test]
fn credentials_that_were_refused_are_not_sent_again() {
    for (way, told) in [(Way::ToTrunk, 403), (Way::ToRetell, 503)] {
        for code in [401, 407] {
            let refusing = Step::new(0, code, "No").with_headers(&challenge_line(code, WITH_QOP));
            let again =
                Step::new(0, code, "No").with_headers(&challenge_line(code, &WITH_QOP.replace("n1", "n2")));

            let network = called(way, challenging([refusing, again]));

            assert_eq!(network.received(CALLEE, "INVITE ").len(), 2, "{way:?} {code}");
            assert_eq!(network.agents[CALLER].ends(), [End::Refused(told)], "{way:?} {code}");
        }
    }
}

#[test]
fn a_stale_nonce_is_answered_once_more_and_then_no_more() {
    let stale = format!("{WITH_QOP}, stale=true");
    let prove = |line: &str, nonce: &str| {
        Step::new(0, 401, "Prove It").with_headers(&challenge_line(401, &line.replace("n1", nonce)))
    };
    let first = prove(WITH_QOP, "n1");

    let good = called(Way::ToTrunk, challenging([first.clone(), prove(&stale, "n2")]));
    let endless = called(Way::ToTrunk, challenging([first, prove(&stale, "n2"), prove(&stale, "n3")]));

    assert_eq!(good.agents[CALLER].ends(), [End::Released]);
    assert!(ours(Way::ToTrunk, "INVITE", good.received(CALLEE, "INVITE ")[2], 1, "Authorization"));
    assert_eq!(endless.agents[CALLER].ends(), [End::Refused(403)]);
    assert_eq!(endless.received(CALLEE, "INVITE ").len(), 3);
}

#[test]
fn a_422_shows_that_the_credentials_are_good_and_the_next_challenge_is_about_the_nonce() {
    let once = |nonce: &str| {
        let line = challenge_line(407, &WITH_QOP.replace("n1", nonce));
        Step::new(0, 407, "Prove It").with_headers(&line)
    };
    let small = Step::new(0, 422, "Too Small").with_headers("Min-SE: 1000\r\n");

    let network = called(Way::ToTrunk, challenging([once("n1"), small, once("n2")]));

    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    let last = network.received(CALLEE, "INVITE ")[3];
    assert!(ours(Way::ToTrunk, "INVITE", last, 1, "Proxy-Authorization"), "{last}");
}

#[test]
fn a_proxy_and_the_server_behind_it_each_get_their_own_answer() {
    let proxy = WITH_QOP.replace("realm=\"callee\"", "realm=\"proxy\"");
    let callee = challenging([
        Step::new(0, 407, "Prove It").with_headers(&challenge_line(407, &proxy)),
        Step::new(0, 401, "Prove It").with_headers(&challenge_line(401, WITH_QOP)),
    ]);

    let network = called(Way::ToTrunk, callee);

    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    let last = network.received(CALLEE, "INVITE ")[2];
    assert!(ours(Way::ToTrunk, "INVITE", last, 2, "Proxy-Authorization"), "{last}");
    assert!(ours(Way::ToTrunk, "INVITE", last, 1, "Authorization"), "{last}");
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let callee = challenging([Step::new(0, 401, "No").with_headers(&challenge_line(401, WITH_QOP))]);

    let network = run(Way::ToTrunk, CallerScript::default(), callee);

    assert_eq!(network.received(CALLEE, "INVITE ").len(), 1);
    assert_eq!(network.agents[CALLER].ends(), [End::Refused(403)]);
}

#[test]
fn the_peers_next_target_gets_its_own_answer_under_a_fresh_call_id() {
    let mut config = Way::ToRetell.config();
    config.retell[0].peer.uris.push(routes::address("192.0.2.8"));
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, CallerScript::default()));
    let prove = Step::new(0, 407, "Prove It").with_headers(&challenge_line(407, WITHOUT_QOP));
    let busy = CalleeScript { challenges: vec![prove.clone()], ..CalleeScript::refusing(503) };
    network.add(Callee::new(RETELL, busy));
    let third = network.add(Callee::new(RETELL_2, challenging([prove])));
    finish(&mut network);

    assert_eq!(network.agents[CALLER].ends(), [End::Released]);
    let [first, second] = [CALLEE, third].map(|agent| network.received(agent, "INVITE "));
    assert_eq!((first.len(), second.len()), (2, 2));
    assert_ne!(header(first[1], "Call-ID"), header(second[0], "Call-ID"));
    assert_eq!(header(second[0], "Proxy-Authorization"), None, "it did not ask yet");
    assert!(header(second[1], "Proxy-Authorization").unwrap().contains("@192.0.2.8"));
}

#[test]
fn a_contact_at_a_host_that_is_not_the_peers_gets_no_credentials_even_if_it_asks() {
    let there = "203.0.113.99:5060";
    let mut callee =
        challenging([Step::new(0, 401, "Prove It").with_headers(&challenge_line(401, WITH_QOP))]);
    callee.contact = Some(format!("<sip:bob@{there}>"));
    let mut network = calls::in_weather(
        Weather::FAIR,
        1,
        routes::compile(&with_all_credentials(Way::ToTrunk)),
        Way::ToTrunk,
        CallerScript { hang_up_after: Some(Duration::from_secs(1)), ..CallerScript::default() },
        callee,
    );
    let elsewhere = network.add(ByHand::silent(there));
    network.run(Duration::from_millis(1_700));
    let bye = network.received(elsewhere, "BYE ")[0].to_owned();
    let asks = answer(&bye, 401, "Prove It", "", &with_body(&challenge_line(401, WITH_QOP), ""));
    ask(&mut network, elsewhere, &asks);
    network.run(Duration::from_secs(60));

    let got = network.messages(elsewhere);
    assert!(got.iter().any(|text| text.starts_with("ACK ")));
    assert!(got.iter().all(|text| header(text, "Authorization").is_none()), "{got:#?}");
    assert_eq!(network.received(elsewhere, "BYE ").len(), 1, "asking does not help");
}

/// To as Retell writes it: the name of the trunk that was set up there, which is not our address.
const TO: &str = "\"A, B\"  <sip:+14155550100@trunk.customer.example;user=phone>";
const TO_URI: &str = "sip:+14155550100@trunk.customer.example";
const REQUEST_URI: &str = "sip:+14155550100@203.0.113.10:5060";

const WITH_QOP: &str = "Digest realm=\"callee\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
const WITHOUT_QOP: &str = "Digest realm=\"callee\", nonce=\"n1\", algorithm=MD5";

fn invite() -> Request {
    Request { to: TO.into(), uri: REQUEST_URI.into(), ..Request::invite(RETELL) }
}

/// What is configured for Retell, used as LiveKit does.
fn login() -> Login<'static> {
    Login { username: "retell-user", password: "secret", method: "INVITE", uri: TO_URI, count: 1 }
}

fn authorized(request: &Request, login: &Login<'_>, challenge: &str) -> Request {
    request.again(&format!("Authorization: {}\r\n", login.answer(challenge)))
}

/// The first thing that the INVITE with this answer gets.
fn attempt(network: &mut Network, login: Login<'_>) -> String {
    let first = answer_to(network, CALLER, &invite().to_string());
    network.say(RETELL.parse().unwrap(), &invite().ack(&first));
    ask(network, CALLER, &authorized(&invite(), &login, challenge(&first)).to_string())[0].clone()
}

/// Retell, spoken for by the test, and a trunk that only listens.
fn retell_calling() -> Network {
    let mut config = Way::ToTrunk.config();
    config.retell[0].peer.challenge = true;
    config.retell[0].peer.trust_address = false;
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(ByHand::new(RETELL));
    network.add(ByHand::new(TRUNK));
    network
}

fn with_credentials(peer: &mut PeerConfig) {
    peer.username = Some("acct".into());
    peer.password = Some(Secret { source: SecretSource::Literal("secret".into()) });
}

/// Both peers have credentials with us.
fn with_all_credentials(way: Way) -> Config {
    let mut config = way.config();
    with_credentials(&mut config.trunks[0].peer);
    config
}

fn challenging(challenges: impl IntoIterator<Item = Step>) -> CalleeScript {
    CalleeScript { challenges: challenges.into_iter().collect(), ..CalleeScript::default() }
}

fn challenge_line(code: u16, challenge: &str) -> String {
    let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    format!("{name}: {challenge}\r\n")
}

fn called(way: Way, callee: CalleeScript) -> Network {
    connected(way, CallerScript::default(), callee)
}

/// A call through a bridge that has credentials for both peers, run to its end.
fn connected(way: Way, caller: CallerScript, callee: CalleeScript) -> Network {
    let routes = routes::compile(&with_all_credentials(way));
    let mut network = calls::in_weather(Weather::FAIR, 1, routes, way, caller, callee);
    finish(&mut network);
    network
}

/// Whether `request` bears our credentials for the callee of `way`, over its own Request-URI.
fn ours(way: Way, method: &str, request: &str, count: u32, name: &str) -> bool {
    let username = if way == Way::ToTrunk { "acct" } else { "retell-user" };
    let uri = request.split(' ').nth(1).unwrap();
    let login = Login { username, password: "secret", method, uri, count };
    header(request, name).is_some_and(|value| login.is_answered_by(value))
}

/// The one challenge of a 401.
fn challenge(response: &str) -> &str {
    header(response, "WWW-Authenticate").unwrap()
}

fn branch(text: &str) -> &str {
    param(header(text, "Via").unwrap(), "branch")
}

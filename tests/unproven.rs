//! Where a peer may call from anywhere, anybody is answered, but only so often: what comes by UDP can be
//! forged, and must not take the time that calls need. Whoever is known by its address, or has shown good
//! credentials, is answered always.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::digest::Login;
use calls::{
    ByHand, CALLER, Network, Request, STRANGER, TRUNK, Way, Weather, answer_to, ask, finish, header, routes,
    status,
};
use trunkline::sip::message::Method;

#[test]
fn of_a_flood_from_where_anybody_may_be_so_many_requests_a_second_are_answered() {
    for (method, code) in [("INVITE", 401), ("REGISTER", 401), ("OPTIONS", 200), ("BYE", 481), ("BREW", 401)]
    {
        let mut network = open_to_all(STRANGER);

        assert_eq!(answers(&mut network, method), vec![code; EACH], "{method}");
        network.wait(Duration::from_secs(1));
        assert_eq!(answers(&mut network, method), vec![code; EACH], "{method}, a second later");
        finish(&mut network);
    }
}

#[test]
fn guesses_count_like_requests_without_any() {
    let mut network = open_to_all(STRANGER);
    let challenge = "Digest realm=\"trunkline\", nonce=\"ours\", qop=\"auth\"";
    let guess = format!("Authorization: {}\r\n", login("guess").answer(challenge));

    let told = told(&mut network, |place| Request { headers: guess.clone(), ..request("INVITE", place) });

    assert_eq!(told, [403; EACH]);
    finish(&mut network);
}

#[test]
fn what_cannot_be_read_counts_like_a_request() {
    let mut network = open_to_all(STRANGER);

    let told = told(&mut network, |place| request("OPTIONS", place).with_headers("no header\r\n"));

    assert_eq!(told, [400; EACH]);
    finish(&mut network);
}

#[test]
fn whoever_is_in_an_allow_is_always_answered() {
    let mut network = open_to_all(TRUNK);

    assert_eq!(answers(&mut network, "OPTIONS"), [200; FLOOD]);
    finish(&mut network);
}

#[test]
fn whoever_has_shown_good_credentials_is_always_answered() {
    let mut network = open_to_all(STRANGER);
    let invite = Request::invite(STRANGER);
    let challenge = answer_to(&mut network, CALLER, &invite.to_string());
    let good = login("secret").answer(header(&challenge, "WWW-Authenticate").unwrap());
    let let_in = ask(&mut network, CALLER, &invite.again(&format!("Authorization: {good}\r\n")).to_string());

    assert_eq!(status(&let_in[0]), Some(100), "{let_in:?}");
    assert_eq!(answers(&mut network, "OPTIONS"), [200; FLOOD]);
    finish(&mut network);
}

/// The codes of what a flood of such requests gets.
fn answers(network: &mut Network, method: &'static str) -> Vec<u16> {
    let is_in_dialog = Method::parse(method.as_bytes()) == Method::Bye;
    told(network, |place| {
        let request = request(method, place);
        let to = if is_in_dialog { format!("{};tag=nobodys", request.to) } else { request.to.clone() };
        Request { to, ..request }
    })
}

/// Sends them all at once, and gives the codes of the answers.
fn told(network: &mut Network, request: impl Fn(usize) -> Request) -> Vec<u16> {
    let before = network.messages(CALLER).len();
    let here = network.agents[CALLER].address();
    for place in 0..FLOOD {
        network.say(here, &request(before + place).to_string());
    }
    network.run(Duration::from_millis(100));
    network.messages(CALLER)[before..].iter().filter_map(|text| status(text)).collect()
}

fn request(method: &'static str, place: usize) -> Request {
    let invite = Request::invite(STRANGER);
    let here = invite.here;
    let request = if method == "INVITE" { invite } else { invite.of_method(method) };
    Request { branch: format!("flood{place}"), call_id: format!("flood{place}@{}", here.ip()), ..request }
}

fn login(password: &str) -> Login<'_> {
    let uri = "sip:+14155550100@203.0.113.10:5060";
    Login { username: "retell-user", password, method: "INVITE", uri, count: 1 }
}

/// A bridge whose Retell may call from anywhere, and somebody at `here`.
fn open_to_all(here: &str) -> Network {
    let mut config = Way::ToRetell.config();
    config.retell[0].peer.allow.clear();
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(ByHand::new(here));
    network
}

/// Requests of a flood, and how many of them are answered.
const FLOOD: usize = 150;
const EACH: usize = 100;

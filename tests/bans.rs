//! A source is banned for what nobody can have forged: connections it abused, and wrong answers to challenges
//! that it was sent. Datagrams alone ban nobody, and who is in an `allow` or in a call is never banned.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/digest.rs"]
mod digest;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use digest::Login;
use phone::{Phone, header};
use process::{Net, Process, SOON};
use serde_json::Value;

#[test]
fn a_stranger_that_connects_again_and_again_is_banned_and_its_datagrams_are_dropped_too() {
    let (bridge, known, _retell) = serve("");
    let stranger = Phone::new(bridge.net.stranger(), bridge.net.sip());

    for _ in 0..AFTER {
        assert!(banned(&bridge).is_empty());
        knock(&bridge, stranger.ip, b"REGISTER sip:bridge.example SIP/2.0\r\n\r\n");
    }
    bridge.eventually("banned", || (bridge.metric(BANS) == 1.0).then_some(()));
    stranger.send(stranger.options());
    knock(&bridge, stranger.ip, b"");

    bridge.eventually("both are dropped", || (bridge.metric(BANNED) == 2.0).then_some(()));
    assert_eq!(bridge.metric(STRANGERS), f64::from(AFTER));
    assert_eq!(stranger.heard(), [""; 0]);
    let bans = banned(&bridge);
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!(bans[0]["source"], stranger.ip.to_string());
    assert_eq!(bans[0]["reason"], "broken or unfinished messages");
    assert_eq!(lines(&bridge, "source banned"), 1);
    known.send(known.options());
    known.expect("SIP/2.0 200 ");
}

#[test]
fn a_source_is_banned_once_whatever_else_it_has_open() {
    let (bridge, _known, _retell) = serve("");
    let open: Vec<_> = (0..3 * AFTER).map(|_| connect(&bridge, bridge.net.stranger())).collect();

    for mut stream in &open {
        let _ = stream.write_all(b"garbage\r\n\r\n");
    }

    bridge.eventually("all are counted", || {
        (bridge.metric(STRANGERS) + bridge.metric(BANNED) == f64::from(3 * AFTER)).then_some(())
    });
    assert_eq!((bridge.metric(BANS), lines(&bridge, "source banned")), (1.0, 1));
}

#[test]
fn datagrams_ban_nobody_however_many_and_however_bad() {
    let (bridge, known, _retell) = serve("");
    let stranger = Phone::new(bridge.net.stranger(), bridge.net.sip());

    for _ in 0..10 * AFTER {
        stranger.send(b"garbage");
        stranger.send(stranger.invite("+14155550100", ""));
    }
    known.send(known.options());
    known.expect("SIP/2.0 200 ");

    bridge.eventually("counted", || (bridge.metric(STRANGERS) == f64::from(20 * AFTER)).then_some(()));
    assert_eq!((bridge.metric(BANS), bridge.metric(BANNED)), (0.0, 0.0));
}

#[test]
fn who_guesses_passwords_is_banned_and_a_reload_lifts_it() {
    let (bridge, config) = serve_anywhere();
    let guesser = Phone::new(bridge.net.stranger(), bridge.net.sip());

    for _ in 0..AFTER {
        assert!(try_password(&guesser, "guess").starts_with("SIP/2.0 403 "));
    }
    let right = guesser.invite("+14155550100", "");
    guesser.send(&right);

    bridge.eventually("dropped", || (bridge.metric(BANNED) == 1.0).then_some(()));
    assert_eq!(banned(&bridge)[0]["reason"], "wrong credentials");
    assert_eq!(guesser.heard(), [""; 0]);
    bridge.reload(&config, "configuration reloaded");
    assert!(banned(&bridge).is_empty());
    assert!(try_password(&guesser, "guess").starts_with("SIP/2.0 403 "));
}

#[test]
fn wrong_answers_to_a_challenge_that_went_elsewhere_ban_nobody() {
    let (bridge, _) = serve_anywhere();
    let attacker = Phone::new(bridge.net.stranger(), bridge.net.sip());
    let victim = Phone::new(bridge.net.ip(67), bridge.net.sip());
    attacker.send(attacker.invite("+14155550100", ""));
    let challenge = attacker.expect("SIP/2.0 401 ");

    for _ in 0..2 * AFTER {
        // As the attacker would have them come, with the address of another.
        victim.send(victim.invite("+14155550100", &authorization(&challenge, "guess")));
        victim.expect("SIP/2.0 403 ");
    }

    assert_eq!(bridge.metric(BANS), 0.0);
}

#[test]
fn who_shows_good_credentials_is_not_banned_for_the_guesses_of_a_neighbour() {
    let (bridge, _) = serve_anywhere();
    let shared = Phone::new(bridge.net.stranger(), bridge.net.sip());
    let carrier = Phone::new(bridge.net.trunk(), bridge.net.sip());
    assert!(try_password(&shared, PASSWORD).starts_with("SIP/2.0 100 "));
    carrier.answer(&carrier.expect("INVITE "), "486 Busy Here");
    shared.expect("SIP/2.0 486 ");

    for _ in 0..2 * AFTER {
        try_password(&shared, "guess");
    }

    assert_eq!(bridge.metric(BANS), 0.0);
}

#[test]
fn a_peer_in_an_allow_is_not_banned_for_what_it_does_wrong() {
    let (bridge, known, _retell) = serve("");

    for _ in 0..2 * AFTER {
        knock(&bridge, known.ip, b"OPTIONS sip:bridge.example SIP/2.0\r\n\r\n");
    }

    known.send(known.options());
    known.expect("SIP/2.0 200 ");
    assert_eq!(bridge.metric(BANS), 0.0);
}

#[test]
fn a_source_with_a_live_call_is_not_banned_before_the_call_is_over() {
    let (bridge, _) = serve_anywhere();
    let caller = Phone::new(bridge.net.trunk(), bridge.net.sip());
    let called = Phone::new(bridge.net.ip(9), bridge.net.sip());
    let answering = Phone::new(bridge.net.stranger(), bridge.net.sip());
    caller.send(caller.invite("+14155550100", ""));
    answering.answer(&called.expect("INVITE "), "200 OK");
    caller.expect("SIP/2.0 200 ");

    for _ in 0..2 * AFTER {
        knock(&bridge, answering.ip, b"garbage\r\n\r\n");
    }

    assert_eq!(bridge.metric(BANS), 0.0);
    let call = bridge.calls()[0]["id"].as_str().unwrap().to_owned();
    bridge.http("DELETE", &format!("/v1/calls/{call}"), "").unwrap();
    bridge.eventually("the call is over", || bridge.calls().is_empty().then_some(()));
    for _ in 0..AFTER {
        knock(&bridge, answering.ip, b"garbage\r\n\r\n");
    }
    bridge.eventually("banned", || (bridge.metric(BANS) == 1.0).then_some(()));
}

#[test]
fn with_ban_s_0_nobody_is_banned() {
    let (bridge, _known, _retell) = serve("ban_s = 0\n");

    for _ in 0..3 * AFTER {
        knock(&bridge, bridge.net.stranger(), b"garbage\r\n\r\n");
    }

    bridge.eventually("counted", || (bridge.metric(STRANGERS) == f64::from(3 * AFTER)).then_some(()));
    assert_eq!(bridge.metric(BANS), 0.0);
}

/// Connects from `from`, sends `bytes`, and waits until the bridge has closed the connection.
fn knock(bridge: &Process, from: impl Into<IpAddr>, bytes: &[u8]) {
    let mut stream = connect(bridge, from);
    stream.set_read_timeout(Some(SOON)).unwrap();
    // A connection that is closed while it is written to fails the rest, and is what is wanted.
    let _ = stream.write_all(bytes);
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it stays open: {error}"),
        Ok(_) | Err(_) => {}
    }
}

fn connect(bridge: &Process, from: impl Into<IpAddr>) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.into(), 0).into()).unwrap();
    socket.connect(&bridge.net.sip().into()).unwrap();
    TcpStream::from(socket)
}

/// Calls with `password`, and says how that was answered.
fn try_password(phone: &Phone, password: &str) -> String {
    phone.send(phone.invite("+14155550100", ""));
    let challenge = phone.expect("SIP/2.0 401 ");
    phone.send(phone.invite("+14155550100", &authorization(&challenge, password)));
    phone.expect("SIP/2.0 ")
}

/// The header line that answers `challenge`.
fn authorization(challenge: &str, password: &str) -> String {
    let (uri, _) = header(challenge, "To").trim_start_matches('<').split_once('>').unwrap();
    let login = Login { username: "agent", password, method: "INVITE", uri, count: 1 };
    format!("Authorization: {}\r\n", login.answer(header(challenge, "WWW-Authenticate")))
}

/// What `/v1/bans` shows.
fn banned(bridge: &Process) -> Vec<Value> {
    let response = bridge.get("/v1/bans");
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn lines(bridge: &Process, what: &str) -> usize {
    bridge.log().iter().filter(|line| line.contains(what)).count()
}

/// A bridge with further keys in `[sip]`, a trunk that it knows, and its Retell.
fn serve(keys: &str) -> (Process, Phone, Phone) {
    let net = Net::new();
    let config = net.config().replacen("[sip]\n", &format!("[sip]\nban_after = {AFTER}\n{keys}"), 1);
    let bridge = Process::start(net, &config);
    (bridge, Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()))
}

/// A bridge whose Retell may show its credentials from anywhere, and its configuration.
fn serve_anywhere() -> (Process, String) {
    let net = Net::new();
    let sockets = net.sockets().replacen("[sip]\n", &format!("[sip]\nban_after = {AFTER}\n"), 1);
    let retell = format!(
        "[[retell]]\nname = \"retell\"\nuri = \"sip:{}:5060\"\nallow = []\nusername = \"agent\"\n\
         password = \"{PASSWORD}\"\n",
        net.ip(9)
    );
    let config = sockets + &retell + &Net::trunk_peer("carrier", net.trunk());
    (Process::start(net, &config), config)
}

const AFTER: u32 = 5;
const PASSWORD: &str = "s3cret";

const STRANGERS: &str = "trunkline_sip_rejected_total{reason=\"stranger\"}";
const BANNED: &str = "trunkline_sip_rejected_total{reason=\"banned\"}";
const BANS: &str = "trunkline_sip_bans_total";

//! `serve` at a registrar on real sockets: it registers, is called by what it registered, shows where it
//! stands, and takes its registration back when it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/digest.rs"]
mod digest;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use digest::Login;
use phone::{Phone, follow_up, header};
use process::{Net, Process, SOON, Signal};
use serde_json::Value;

#[test]
fn over_udp_it_registers_is_called_by_a_stranger_and_unregisters() {
    let net = Net::new();
    let registrar = Phone::new(net.trunk(), net.sip());
    let (retell, stranger) = (Phone::new(net.retell(), net.sip()), Phone::new(net.stranger(), net.sip()));
    let mut bridge = Process::start(net, &config(net, ""));

    let first = registrar.expect("REGISTER ");
    let challenge = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
    registrar.answer(&first, challenge);
    let register = registrar.expect("REGISTER ");
    registrar.send(accepted(&register));

    let uri = format!("sip:{}:5060", net.trunk());
    let login = Login { username: "acct", password: "secret", method: "REGISTER", uri: &uri, count: 1 };
    assert!(login.is_answered_by(header(&register, "Authorization")), "{register}");
    let shown = bridge.eventually("registered", || registration(&bridge, "registered"));
    assert_eq!(shown["registrar"], format!("udp:{}:5060", net.trunk()));
    assert_eq!(shown["last_code"], 200);
    let registered = "trunkline_registrations{trunk=\"carrier\",state=\"registered\"}";
    assert_eq!(bridge.metric(registered).round(), 1.0);

    let contact = contact(&register);
    let almost = contact.replacen("sip:", "sip:0", 1);
    stranger.send(stranger.request("INVITE", &almost, ""));
    let invite = stranger.request("INVITE", &contact, "P-Called-Party-ID: <sip:+14155550188@h.example>\r\n");
    stranger.send(&invite);
    let offered = retell.expect("INVITE ");
    assert!(offered.starts_with("INVITE sip:+14155550188@"), "{offered}");
    retell.answer(&offered, "486 Busy Here");
    let refused = stranger.expect("SIP/2.0 480 ");
    assert_eq!(header(&refused, "Call-ID"), header(&invite, "Call-ID"), "the other one got nothing");
    stranger.send(follow_up(&invite, &refused, "ACK", 1));

    bridge.signal(Signal::Terminate);
    let last = registrar.expect("REGISTER ");
    assert_eq!((header(&last, "Expires"), header(&last, "Call-ID")), ("0", header(&register, "Call-ID")));
    assert!(header(&last, "Contact").ends_with(";expires=0"));
    registrar.answer(&last, "200 OK");
    assert_eq!(bridge.exit().code(), Some(0), "{:#?}", bridge.log());
}

#[test]
fn over_tcp_it_is_called_by_the_connection_that_it_registered_by() {
    let net = Net::new();
    let listener = TcpListener::bind((net.trunk(), 5060)).unwrap();
    let retell = Phone::new(net.retell(), net.sip());
    let bridge = Process::start(net, &config(net, ";transport=tcp"));
    let (mut line, _) = listener.accept().unwrap();
    line.set_read_timeout(Some(SOON)).unwrap();

    let register = read(&mut line);
    line.write_all(accepted(&register).as_bytes()).unwrap();
    bridge.eventually("registered", || registration(&bridge, "registered"));
    let contact = contact(&register);
    assert!(contact.ends_with(";transport=tcp"), "{contact}");
    let sdp = retell.sdp();
    let invite = format!(
        "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/TCP {0};branch=z9hG4bK-line\r\nMax-Forwards: 70\r\n\
         From: <sip:+14155550123@{0}>;tag=line\r\nTo: <sip:+14155550199@carrier.example>\r\nCall-ID: line\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:{0};transport=tcp>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {1}\r\n\r\n{sdp}",
        net.trunk(),
        sdp.len()
    );
    line.write_all(invite.as_bytes()).unwrap();

    let offered = retell.expect("INVITE ");
    assert!(offered.starts_with("INVITE sip:+14155550199@"), "{offered}");
    assert!(read(&mut line).starts_with("SIP/2.0 100 "));
}

#[test]
fn a_registrar_that_refuses_is_shown_with_the_reason_and_logged_once() {
    let net = Net::new();
    let registrar = Phone::new(net.trunk(), net.sip());
    let bridge = Process::start(net, &config(net, ""));

    registrar.answer(&registrar.expect("REGISTER "), "403 Forbidden");

    let shown = bridge.eventually("failed", || registration(&bridge, "failed"));
    assert_eq!(shown["last_code"], 403);
    assert!(shown["reason"].as_str().unwrap().contains("check `username` and `password`"), "{shown}");
    let said = || bridge.log().into_iter().filter(|line| line.contains("not registered")).count();
    assert_eq!(bridge.eventually("logged", || Some(said()).filter(|&lines| lines > 0)), 1);
}

/// A trunk that has no `allow` and is registered at.
fn config(net: Net, transport: &str) -> String {
    let trunk = format!(
        "[[trunks]]\nname = \"carrier\"\nuri = \"sip:{}:5060{transport}\"\ncountry = \"US\"\n\
         username = \"acct\"\npassword = \"secret\"\nregister = true\n",
        net.trunk()
    );
    net.sockets() + &net.retell_peer() + &trunk
}

/// What `/v1/trunks` shows of the trunk's registration, once it is in `state`.
fn registration(bridge: &Process, state: &str) -> Option<Value> {
    let response = bridge.get("/v1/trunks");
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let trunks: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&trunks[0]["name"], &trunks[0]["kind"]), (&"carrier".into(), &"trunk".into()));
    Some(trunks[0]["registration"].clone()).filter(|shown| shown["state"] == state)
}

fn contact(register: &str) -> String {
    header(register, "Contact").split(['<', '>']).nth(1).unwrap().to_owned()
}

/// A 200 that lists the binding.
fn accepted(register: &str) -> String {
    let copied = ["Via", "From", "Call-ID", "CSeq", "Contact"]
        .map(|name| format!("{name}: {}\r\n", header(register, name)))
        .concat();
    let to = header(register, "To");
    format!("SIP/2.0 200 OK\r\n{copied}To: {to};tag=registrar\r\nContent-Length: 0\r\n\r\n")
}

/// One message without a body.
fn read(line: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        line.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

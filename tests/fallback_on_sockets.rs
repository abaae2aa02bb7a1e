//! The running process falls back: no agent answers, an agent's audio stops in the middle of a
//! call, or its stream breaks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use phone::{Call, Phone, follow_up, header};
use process::{Net, Process, SOON};

#[test]
fn when_an_agents_audio_stops_the_desk_takes_over_and_both_hear_each_other() {
    let net = Net::new();
    let retell =
        format!("{}agent_silence_s = 1\nfallback = \"sip:desk@{}:5060\"\n", net.retell_peer(), net.ip(4));
    let bridge = Process::start(net, &(net.sockets() + &retell + &Net::trunk_peer("carrier", net.trunk())));
    let [caller, agent, desk] = [net.trunk(), net.retell(), net.ip(4)].map(|ip| Phone::new(ip, net.sip()));
    let call = Call::place(&caller, &agent, "+14155550100");
    call.exchange_audio(1);

    agent.answer(&agent.expect("BYE "), "200 OK");
    let offered = desk.expect("INVITE ");
    desk.answer(&offered, "200 OK");
    desk.expect("ACK ");

    assert_hears(&desk, |sequence| speak(&caller, &call.ok, sequence));
    assert_hears(&caller, |sequence| speak(&desk, &offered, sequence));
    caller.send(call.bye());
    desk.answer(&desk.expect("BYE "), "200 OK");
    let record = &bridge.eventually("the record", || bridge.records().first().cloned());
    assert_eq!(record["reason"], "the caller hung up");
    assert_eq!(
        record["hints"][0],
        "no audio came from retell any more, so the call went on to desk (carrier)"
    );
    let received = |leg: usize| record["legs"][leg]["packets_received"].as_u64().unwrap();
    assert_eq!(received(1), 1, "the agent's figures stay its own");
    assert!(received(2) > 0, "{record}");
}

#[test]
fn a_retell_that_says_nothing_for_4_s_is_left_for_the_desk_and_the_record_says_so() {
    let net = Net::new();
    let retell = format!("{}fallback = \"sip:desk@{}:5060\"\n", net.retell_peer(), net.ip(4));
    let bridge = Process::start(net, &(net.sockets() + &retell + &Net::trunk_peer("carrier", net.trunk())));
    let [caller, agent, desk] = [net.trunk(), net.retell(), net.ip(4)].map(|ip| Phone::new(ip, net.sip()));

    let (begun, invite) = (Instant::now(), caller.invite("+14155550100", ""));
    caller.send(&invite);
    let offered = desk.expect("INVITE ");

    assert!(begun.elapsed() >= Duration::from_secs(4));
    caller.expect("SIP/2.0 180 ");
    desk.answer(&offered, "486 Busy Here");
    let refused = caller.expect("SIP/2.0 486 ");
    caller.send(follow_up(&invite, &refused, "ACK", 1));
    assert!(agent.heard().iter().all(|line| line.starts_with("INVITE ")), "it never said that it heard");
    let record = &bridge.eventually("the record", || bridge.records().first().cloned());
    let went_on =
        format!("retell at {}:5060 gave no response, so the call went on to desk (carrier)", net.retell());
    assert_eq!((&record["hints"][0], &record["sip_code"]), (&went_on.into(), &486.into()));
    assert_eq!(record["legs"][2]["to"], "desk");
    assert_eq!(bridge.metric("trunkline_fallbacks_total{from=\"retell\"}"), 1.0);
}

#[test]
fn a_fallback_that_leads_back_to_us_ends_there_and_does_not_go_round() {
    let net = Net::new();
    let retell = format!("{}fallback = \"sip:desk@{}\"\n", net.retell_peer(), net.sip());
    let trunk = Net::trunk_peer("carrier", net.trunk())
        .replace("allow = [", &format!("allow = [\"{}\", ", net.bridge()));
    let bridge = Process::start(net, &(net.sockets() + &retell + &trunk));
    let [caller, agent] = [net.trunk(), net.retell()].map(|ip| Phone::new(ip, net.sip()));
    let invite = caller.invite("+14155550100", "");
    caller.send(&invite);

    agent.answer(&agent.expect("INVITE "), "480 Temporarily Unavailable");
    let refused = caller.expect("SIP/2.0 482 ");
    caller.send(follow_up(&invite, &refused, "ACK", 1));

    let record = &bridge.eventually("the record", || bridge.records().first().cloned());
    let codes: Vec<_> = (0..3).map(|leg| record["legs"][leg]["sip_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [482, 480, 482]);
    assert_eq!(bridge.metric("trunkline_sip_rejected_total{reason=\"loop\"}"), 1.0);
    assert!(agent.heard().iter().all(|line| !line.starts_with("INVITE ")), "it was asked once");
}

#[test]
fn an_agent_whose_stream_breaks_and_that_takes_no_other_ends_the_call() {
    let net = Net::new();
    let retell = net.retell_peer().replace(":5060\"", ":5060;transport=tcp\"");
    let bridge = Process::start(net, &(net.sockets() + &retell + &Net::trunk_peer("carrier", net.trunk())));
    let caller = Phone::new(net.trunk(), net.sip());
    let agent = Phone::new(net.retell(), net.sip());
    let listener = TcpListener::bind((net.retell(), 5060)).unwrap();
    let invite = caller.invite("+14155550100", "");
    caller.send(&invite);
    let (mut stream, _) = listener.accept().unwrap();
    let offered = read_message(&mut stream);
    stream.write_all(agent.response(&offered, "200 OK").as_bytes()).unwrap();
    assert!(read_message(&mut stream).starts_with("ACK "));
    let ok = caller.expect("SIP/2.0 200 ");
    caller.send(follow_up(&invite, &ok, "ACK", 1));
    bridge.eventually("answered", || (bridge.calls()[0]["state"] == "answered").then_some(()));

    drop(listener);
    drop(stream);

    let bye = caller.expect("BYE ");
    assert_eq!(header(&bye, "Reason"), "SIP;cause=408;text=\"No answer to OPTIONS\"");
    caller.answer(&bye, "200 OK");
    let record = &bridge.eventually("the record", || bridge.records().first().cloned());
    assert_eq!(record["reason"], "retell does not answer inside the call any more");
    assert_eq!(record["ended_by"], "trunkline");
}

/// `listener` gets what `speak` sends; fillers are not it.
fn assert_hears(listener: &Phone, speak: impl Fn(u8)) {
    let deadline = Instant::now() + SOON;
    let mut packet = [0; 2_048];
    listener.media.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    for sequence in (1..u8::MAX).cycle().take_while(|_| Instant::now() < deadline) {
        speak(sequence);
        if listener.media.recv(&mut packet).is_ok() && packet[12..172] == [VOICE; 160] {
            return;
        }
    }
    panic!("{} does not hear it", listener.ip);
}

/// Sends a packet that is no silence to where `description` wants it.
fn speak(from: &Phone, description: &str, sequence: u8) {
    let line = |start: &str| description.lines().find_map(|line| line.strip_prefix(start)).unwrap();
    let port: u16 = line("m=audio ").split(' ').next().unwrap().parse().unwrap();
    let ip: Ipv4Addr = line("c=IN IP4 ").parse().unwrap();
    let mut packet = [VOICE; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, sequence, 0, 0, sequence, 0, 1, 2, 3, 5]);
    from.media.send_to(&packet, SocketAddr::from((ip, port))).unwrap();
}

fn read_message(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut text = Vec::new();
    let head = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
        if text.ends_with(b"\r\n\r\n") {
            break String::from_utf8(text).unwrap();
        }
    };
    let mut body = vec![0; header(&head, "Content-Length").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + str::from_utf8(&body).unwrap()
}

/// A G.711 sample that nobody sends for silence.
const VOICE: u8 = 0x2a;

//! The running process makes itself heard: ringing while nobody answers yet, and digits as tones to a trunk
//! that takes no events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use phone::{Call, Phone, follow_up, header};
use process::{Net, Process, SOON};
use trunkline::rtp::dtmf::{Detector, Heard};
use trunkline::rtp::g711::Law;

#[test]
fn ringing_of_ours_begins_with_the_183_outlasts_a_refusal_and_ends_when_the_desk_speaks() {
    let net = Net::new();
    let retell = format!("{}fallback = \"sip:desk@{}:5060\"\n", net.retell_peer(), net.ip(4));
    let trunk = Net::trunk_peer("carrier", net.trunk()) + "[trunks.profile]\nringback = \"generate\"\n";
    let bridge = Process::start(net, &(net.sockets() + &retell + &trunk));
    let [caller, agent, desk] = [net.trunk(), net.retell(), net.ip(4)].map(|ip| Phone::new(ip, net.sip()));
    let invite = caller.invite("+14155550100", "");
    caller.send(&invite);
    let offered = agent.expect("INVITE ");

    agent.answer(&offered, "180 Ringing");
    let early = caller.expect("SIP/2.0 18");
    assert!(early.starts_with("SIP/2.0 183 ") && early.contains("m=audio "), "{early}");
    assert!(hears(&caller, is_us_ringing));
    agent.answer(&offered, "480 Nobody Here");
    let offered = desk.expect("INVITE ");
    forget_what_came(&caller);
    assert!(hears(&caller, is_us_ringing));
    desk.answer(&offered, "200 OK");
    let ok = caller.expect("SIP/2.0 200 ");
    caller.send(follow_up(&invite, &ok, "ACK", 1));
    desk.expect("ACK ");
    for sequence in 1..=10 {
        send(&desk, &offered, &packet(0, sequence, 160 * u32::from(sequence), &[VOICE; 160]));
    }

    assert!(hears(&caller, |payload| payload == [VOICE; 160]));
    assert!(!hears_soon(&caller, is_us_ringing), "it rings behind the desk's words");
    caller.send(follow_up(&invite, &ok, "BYE", 2));
    desk.answer(&desk.expect("BYE "), "200 OK");
    let record = &bridge.eventually("the record", || bridge.records().first().cloned());
    assert_eq!(record["reason"], "the caller hung up");
    assert_eq!(header(&ok, "Content-Type"), "application/sdp");
}

#[test]
fn what_an_agent_presses_is_played_to_a_trunk_that_has_its_digits_in_band() {
    let net = Net::new();
    let trunk = Net::trunk_peer("carrier", net.trunk()) + "[trunks.profile]\ndtmf = \"inband\"\n";
    let _bridge = Process::start(net, &(net.sockets() + &net.retell_peer() + &trunk));
    let [caller, agent] = [net.trunk(), net.retell()].map(|ip| Phone::new(ip, net.sip()));
    let call = Call::place(&caller, &agent, "+14155550100");
    assert!(!call.ok.contains("telephone-event") && call.offered.contains("telephone-event"));

    let mut sequence = 1;
    for (code, at) in [(3, 8_000), (3, 16_000), (10, 24_000)] {
        for (flags, duration) in [(10, 160_u16), (10, 480), (138, 800), (138, 800), (138, 800)] {
            let [high, low] = duration.to_be_bytes();
            send(&agent, &call.offered, &packet(101, sequence, at, &[code, flags, high, low]));
            sequence += 1;
        }
    }

    let (mut ear, mut keys) = (Detector::new(Law::Mu), String::new());
    let listened = hears(&caller, |payload| {
        assert_eq!(payload.len(), 160, "an event was relayed");
        ear.listen(payload, |heard| {
            if let Heard::Begins { digit, .. } = heard {
                keys += &digit.to_string();
            }
        });
        keys.len() == 3
    });
    assert!(listened && keys == "33*", "{keys:?}");
    caller.send(call.bye());
    agent.answer(&agent.expect("BYE "), "200 OK");
}

fn forget_what_came(phone: &Phone) {
    phone.media.set_nonblocking(true).unwrap();
    while phone.media.recv(&mut [0; 2_048]).is_ok() {}
    phone.media.set_nonblocking(false).unwrap();
}

/// Whether `phone` is sent a payload that `is_it` before long.
fn hears(phone: &Phone, is_it: impl FnMut(&[u8]) -> bool) -> bool {
    hears_within(SOON, phone, is_it)
}

/// The same within the pause between two rings, as nothing that is not there comes later.
fn hears_soon(phone: &Phone, is_it: impl FnMut(&[u8]) -> bool) -> bool {
    hears_within(Duration::from_millis(500), phone, is_it)
}

fn hears_within(time: Duration, phone: &Phone, mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
    let (deadline, mut packet) = (Instant::now() + time, [0; 2_048]);
    phone.media.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while Instant::now() < deadline {
        if let Ok(length) = phone.media.recv(&mut packet)
            && is_it(&packet[12..length])
        {
            return true;
        }
    }
    false
}

/// Whether 440 and 480 Hz, and nothing between or beside them, sound in 20 ms.
fn is_us_ringing(payload: &[u8]) -> bool {
    let power = |hz: f64| {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (n, &octet) in payload.iter().enumerate() {
            let (sine, cosine) = (std::f64::consts::TAU * hz * n as f64 / 8_000.0).sin_cos();
            real += f64::from(Law::Mu.decode(octet)) * cosine;
            imaginary += f64::from(Law::Mu.decode(octet)) * sine;
        }
        2.0 * real.hypot(imaginary) / payload.len() as f64
    };
    power(460.0) > 3_000.0 && power(860.0) < 1_000.0
}

/// Sends `packet` to where `description` wants it.
fn send(from: &Phone, description: &str, packet: &[u8]) {
    let line = |start: &str| description.lines().find_map(|line| line.strip_prefix(start)).unwrap();
    let port: u16 = line("m=audio ").split(' ').next().unwrap().parse().unwrap();
    let ip: Ipv4Addr = line("c=IN IP4 ").parse().unwrap();
    from.media.send_to(packet, SocketAddr::from((ip, port))).unwrap();
}

fn packet(payload_type: u8, sequence: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type, 0, sequence];
    packet.extend(timestamp.to_be_bytes());
    packet.extend([1, 2, 3, 5]);
    packet.extend(payload);
    packet
}

/// A G.711 sample that nobody sends for silence.
const VOICE: u8 = 0x2a;

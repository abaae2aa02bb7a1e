//! The relay over real sockets: who is heard, who is not, and what becomes of ports.
//!
//! Each test has a loopback address of its own, so that all can use the same ports at once. Waiting is for
//! packets to cross the kernel and for the latch's real-time rules; nothing is asserted on how fast.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::id::CallId;
use trunkline::media::forward::Reason;
use trunkline::media::{Config, Engine, Event, LegMedia, LegStats, ReserveError, Reserved, Side};
use trunkline::rtp::g711::Law;

const CALL: CallId = CallId(1);

#[test]
fn two_peers_hear_each_other_each_under_its_own_payload_types() {
    let mut call = Call::connected("127.0.10.1", |media| match media {
        Side::Caller => (0, Some(96)),
        Side::Callee => (8, Some(101)),
    });

    let to_callee = call.say(Side::Caller, &[(0, "hello"), (96, DIGIT)]);
    let to_caller = call.say(Side::Callee, &[(8, "welcome"), (101, DIGIT)]);

    assert_eq!(heard(&to_callee), [(8, "hello"), (101, DIGIT)]);
    assert_eq!(heard(&to_caller), [(0, "welcome"), (96, DIGIT)]);
    let stats = call.stats();
    assert_eq!(stats.map(|leg| (leg.packets_received, leg.packets_sent, leg.packets_lost)), [(2, 2, 0); 2]);
}

#[test]
fn a_leg_sees_one_source_though_the_peer_behind_changes_its_own() {
    let mut call = Call::connected("127.0.10.2", plain);

    let mut numbers = Vec::new();
    for (ssrc, sequence) in [(1, 10), (1, 11), (99, 50_000), (99, 50_002)] {
        (call.caller.ssrc, call.caller.sequence) = (ssrc, sequence);
        let heard = call.say(Side::Caller, &[(0, "x")]);
        let reader = RtpReader::new(&heard[0]).unwrap();
        numbers.push((reader.ssrc(), u16::from(reader.sequence_number())));
    }

    let (ssrc, first) = numbers[0];
    let expected = [0, 1, 2, 4].map(|step| (ssrc, first.wrapping_add(step)));
    assert_eq!(numbers, expected);
    assert_eq!(call.stats()[0].packets_lost, 1);
}

#[test]
fn a_burst_arrives_whole_and_in_order() {
    let mut call = Call::connected("127.0.10.18", plain);

    let arrived = call.say(Side::Caller, &[(0, "x"); 200]);

    let number = |packet: &Vec<u8>| u16::from(RtpReader::new(packet).unwrap().sequence_number());
    let first = arrived.first().map(number).unwrap();
    let numbers: Vec<_> = arrived.iter().map(number).collect();
    assert_eq!(numbers, (0..200).map(|step| first.wrapping_add(step)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_relayed_before_both_sides_are_known() {
    let mut call = Call::reserved("127.0.10.3");

    call.describe(Side::Caller, plain(Side::Caller));
    assert!(call.say(Side::Caller, &[(0, "early")]).is_empty());
    assert_eq!(call.engine.streams_active(), 0);
    call.describe(Side::Callee, plain(Side::Callee));

    assert_eq!(heard(&call.say(Side::Caller, &[(0, "on time")])), [(0, "on time")]);
    assert_eq!(call.engine.streams_active(), 1);
}

#[test]
fn what_is_not_rtp_is_dropped_and_counted() {
    let mut call = Call::connected("127.0.10.4", plain);
    let stun = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let report =
        [0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    for junk in [&stun[..], b"short", &report, &[0x80; 1_600]] {
        call.caller.socket.send_to(junk, call.reserved.caller).unwrap();
    }
    call.caller.socket.send_to(&report, above(call.reserved.caller)).unwrap();
    let heard_after = call.say(Side::Caller, &[(19, "noise"), (0, "voice")]);

    assert_eq!(heard(&heard_after), [(0, "voice")]);
    std::thread::sleep(Duration::from_millis(20));
    let totals = call.engine.packet_totals();
    let dropped =
        |wanted| totals.dropped.iter().find(|(reason, _)| *reason == wanted).map(|(_, count)| *count);
    let wanted = [
        Reason::WrongVersion,
        Reason::TooShort,
        Reason::Rtcp,
        Reason::Stranger,
        Reason::TooLong,
        Reason::UnknownPayload,
        Reason::Duplicate,
    ];
    assert_eq!(wanted.map(dropped), [1, 1, 1, 1, 1, 1, 0].map(Some));
    assert_eq!(totals.relayed, 1);
}

#[test]
fn a_peer_behind_nat_is_found_by_its_third_packet() {
    let mut call = Call::reserved("127.0.10.5");
    call.describe(Side::Caller, plain(Side::Caller));
    call.describe_at(Side::Callee, "10.99.0.1:4000".parse().unwrap());

    for text in ["one", "two", "three", "four"] {
        call.callee.send(call.reserved.callee, 0, text);
        std::thread::sleep(PACE);
    }
    let heard_before = call.caller.receive(2);
    let answer = call.say(Side::Caller, &[(0, "found you")]);

    assert_eq!(heard(&heard_before), [(0, "three"), (0, "four")]);
    assert_eq!(heard(&answer), [(0, "found you")]);
}

#[test]
fn a_stranger_hears_nothing_and_is_not_heard() {
    let mut call = Call::connected("127.0.10.6", plain);
    call.engine.answered(CALL);
    call.say(Side::Caller, &[(0, "hello")]);
    call.say(Side::Callee, &[(0, "hello")]);
    let mut stranger = Peer::at("127.0.0.66");

    for text in ["a", "b", "c", "d", "e", "f"] {
        stranger.send(call.reserved.caller, 0, text);
        stranger.send(call.reserved.callee, 0, text);
    }
    let to_callee = call.say(Side::Caller, &[(0, "still me")]);

    assert_eq!(heard(&to_callee), [(0, "still me")]);
    assert!(stranger.receive_all().is_empty());
    assert_eq!(call.stats().map(|leg| leg.strangers), [6, 6]);
}

#[test]
fn the_signalled_address_takes_the_stream_back_from_who_came_first() {
    let mut call = Call::connected("127.0.10.7", plain);
    call.engine.answered(CALL);
    std::thread::sleep(Duration::from_millis(550));
    let mut intruder = Peer::at("127.0.0.67");
    for _ in 0..3 {
        intruder.send(call.reserved.callee, 0, "me");
        std::thread::sleep(PACE);
    }

    assert_eq!(heard(&call.caller.receive_all()), [(0, "me")]);
    let taken_back = call.say(Side::Callee, &[(0, "no, me")]);
    intruder.send(call.reserved.callee, 0, "me");
    let on = call.say(Side::Callee, &[(0, "only me")]);

    assert_eq!((heard(&taken_back), heard(&on)), (vec![(0, "no, me")], vec![(0, "only me")]));
}

#[test]
fn a_peer_that_moves_is_followed_after_two_seconds_and_a_stranger_is_not() {
    let mut call = Call::connected("127.0.10.8", plain);
    call.say(Side::Callee, &[(0, "before")]);
    let mut moved = Peer::at("127.0.0.68");
    (moved.ssrc, moved.sequence) = (call.callee.ssrc, call.callee.sequence);
    let mut stranger = Peer::at("127.0.0.69");

    std::thread::sleep(Duration::from_millis(2_050));
    for text in ["1", "2", "3", "4"] {
        stranger.send(call.reserved.callee, 0, "stranger");
        moved.send(call.reserved.callee, 0, text);
        std::thread::sleep(PACE);
    }
    let followed = call.caller.receive_all();
    call.say(Side::Caller, &[(0, "there you are")]);

    assert_eq!(heard(&followed).last(), Some(&(0, "4")));
    assert!(!heard(&followed).contains(&(0, "stranger")));
    assert_eq!(heard(&moved.receive_all()), [(0, "there you are")]);
}

#[test]
fn a_held_side_is_neither_heard_nor_spoken_to() {
    let mut call = Call::connected("127.0.10.9", plain);
    call.say(Side::Callee, &[(0, "hello")]);

    let mut media = call.media(Side::Callee, plain(Side::Callee));
    (media.sends, media.receives) = (false, false);
    call.engine.set_leg(CALL, Side::Callee, media.clone());
    let held = (call.say(Side::Callee, &[(0, "x")]).len(), call.say(Side::Caller, &[(0, "x")]).len());
    (media.sends, media.receives) = (true, true);
    call.engine.set_leg(CALL, Side::Callee, media);

    assert_eq!(held, (0, 0));
    assert_eq!(heard(&call.say(Side::Caller, &[(0, "back")])), [(0, "back")]);
}

#[test]
fn the_next_target_gets_a_stream_and_counters_of_its_own() {
    let mut call = Call::connected("127.0.10.10", plain);
    let first = call.say(Side::Caller, &[(0, "first")]);

    call.engine.clear_leg(CALL, Side::Callee);
    call.callee = Peer::at("127.0.0.1");
    call.describe(Side::Callee, plain(Side::Callee));
    let second = call.say(Side::Caller, &[(0, "second")]);

    assert_eq!(heard(&second), [(0, "second")]);
    assert_ne!(RtpReader::new(&first[0]).unwrap().ssrc(), RtpReader::new(&second[0]).unwrap().ssrc());
    assert_eq!(call.stats()[1].packets_sent, 1);
}

#[test]
fn a_range_gives_a_quarter_of_its_ports_in_calls_and_says_what_became_of_them_when_there_is_none_left() {
    let mut engine = engine("127.0.10.11", [30_000, 30_009], 0).0;
    let peer = ip("127.0.0.1");
    engine.reserve(CallId(1), peer, peer).unwrap();
    engine.reserve(CallId(2), peer, peer).unwrap();

    let refused = engine.reserve(CallId(3), peer, peer).unwrap_err();

    assert_eq!(engine.capacity().by_ports, 2);
    assert_eq!(refused, ReserveError::NoPorts { in_use: 4, resting: 1, refused: 0 });
    engine.release(CallId(1));
    assert!(engine.reserve(CallId(3), peer, peer).is_ok());
}

#[test]
fn ports_rest_after_a_call_that_a_peer_took_part_in_and_not_after_one_that_was_refused() {
    let mut engine = engine("127.0.10.22", [30_000, 30_199], 0).0;
    let peer = ip("127.0.0.1");
    let ports = |reserved: Reserved| [reserved.caller.port(), reserved.callee.port()];

    let refused = ports(engine.reserve(CallId(1), peer, peer).unwrap());
    engine.release(CallId(1));
    let answered = ports(engine.reserve(CallId(2), peer, peer).unwrap());
    engine.answered(CallId(2));
    engine.release(CallId(2));
    let next = ports(engine.reserve(CallId(3), peer, peer).unwrap());

    assert!(refused.iter().all(|port| answered.contains(port)));
    assert!(answered.iter().all(|port| !next.contains(port)));
}

#[test]
fn what_comes_after_a_call_is_never_seen_by_the_next_one_on_its_ports() {
    let mut call = Call::connected("127.0.10.12", plain);
    call.say(Side::Caller, &[(0, "hello")]);
    call.engine.answered(CALL);
    call.engine.release(CALL);
    assert_eq!(call.engine.stats(CALL), None);

    let late = call.say(Side::Caller, &[(0, "still talking"); 30]);
    let pooled =
        call.engine.packet_totals().dropped.into_iter().find(|(reason, _)| *reason == Reason::Pooled);
    std::thread::sleep(Duration::from_millis(2_010));
    let before = call.reserved;
    call.reserved = call.engine.reserve(CALL, ip("127.0.0.1"), ip("127.0.0.1")).unwrap();
    call.describe(Side::Caller, plain(Side::Caller));
    call.describe(Side::Callee, plain(Side::Callee));
    let next = call.say(Side::Caller, &[(0, "next call")]);

    assert!(late.is_empty());
    assert_eq!(pooled, Some((Reason::Pooled, 30)));
    assert_eq!(before, call.reserved);
    assert_eq!(heard(&next), [(0, "next call")]);
    let LegStats { packets_received, packets_lost, strangers, .. } = call.stats()[0];
    assert_eq!((packets_received, packets_lost, strangers), (1, 0, 0));
}

#[test]
fn not_even_what_the_last_call_left_in_its_sockets_is_seen_by_one_that_needs_them_at_once() {
    let mut call = Call::on(engine("127.0.10.23", [30_000, 30_003], 0).0);
    for number in 0..20 {
        call.describe(Side::Caller, plain(Side::Caller));
        call.describe(Side::Callee, plain(Side::Callee));
        let heard_next = call.say(Side::Caller, &[(0, "this call")]);
        assert_eq!(heard(&heard_next), [(0, "this call")], "call {number}");

        call.engine.release(CALL);
        (0..60).for_each(|_| call.caller.send(call.reserved.caller, 0, "the last call"));
        call.reserved = call.engine.reserve(CALL, ip("127.0.0.1"), ip("127.0.0.1")).unwrap();
        call.callee = Peer::at("127.0.0.1");
    }
}

#[test]
fn a_silent_side_is_reported_once() {
    let (engine, events) = engine("127.0.10.13", [30_000, 30_199], 1);
    let mut call = Call::on(engine);
    call.describe(Side::Caller, plain(Side::Caller));
    call.describe(Side::Callee, plain(Side::Callee));
    call.engine.set_held(CALL, Side::Callee, true);

    call.engine.answered(CALL);
    let reported: Vec<_> = collect_for(&events, Duration::from_millis(1_800));

    assert_eq!(reported, [Event::Silent { call: CALL, side: Side::Caller }]);
}

#[test]
fn a_peer_whose_port_is_closed_harms_nobody() {
    let mut call = Call::connected("127.0.10.14", plain);
    call.say(Side::Callee, &[(0, "hello")]);
    let address = call.callee.socket.local_addr().unwrap();
    call.callee = Peer::at("127.0.0.1");
    call.say(Side::Caller, &[(0, "into the void"); 5]);

    call.callee.socket = UdpSocket::bind(address).unwrap();
    quick(&call.callee.socket);

    assert_eq!(heard(&call.say(Side::Caller, &[(0, "again")])), [(0, "again")]);
}

#[test]
fn a_stream_that_floods_does_not_starve_its_neighbour() {
    let mut call = Call::connected("127.0.10.15", plain);
    let (other, reserved) =
        (CallId(2), call.engine.reserve(CallId(2), ip("127.0.0.1"), ip("127.0.0.1")).unwrap());
    let (flooder, target) = (Peer::at("127.0.0.1"), Peer::at("127.0.0.1"));
    call.engine.set_leg(other, Side::Caller, media(flooder.socket.local_addr().unwrap(), (0, None)));
    call.engine.set_leg(other, Side::Callee, media(target.socket.local_addr().unwrap(), (0, None)));
    let stop = Arc::new(AtomicBool::new(false));
    let flood = flood(flooder, reserved.caller, Arc::clone(&stop));

    let mut relayed = 0;
    for _ in 0..50 {
        relayed += call.say(Side::Caller, &[(0, "calm")]).len();
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();

    assert_eq!(relayed, 50);
}

#[test]
fn ipv6_and_ipv4_meet_in_one_call() {
    let config = Config {
        listen: vec![ip("127.0.10.16"), ip("::1")],
        ports: [30_200, 30_399],
        silence_timeout_s: 0,
        ..Config::default()
    };
    let mut engine = Engine::start(&config, Arc::new(|_| ())).unwrap();
    let reserved = engine.reserve(CALL, ip("127.0.0.1"), ip("::1")).unwrap();
    let (caller, callee) = (Peer::at("127.0.0.1"), Peer::at("::1"));
    let mut call = Call { engine, reserved, caller, callee };
    call.describe(Side::Caller, plain(Side::Caller));
    call.describe(Side::Callee, plain(Side::Callee));

    assert_eq!((reserved.caller.ip(), reserved.callee.ip()), (ip("127.0.10.16"), ip("::1")));
    assert_eq!(heard(&call.say(Side::Caller, &[(0, "four to six")])), [(0, "four to six")]);
    assert_eq!(heard(&call.say(Side::Callee, &[(0, "six to four")])), [(0, "six to four")]);
}

#[test]
fn a_wildcard_is_resolved_toward_each_peer() {
    let config = Config { ports: [30_400, 30_599], silence_timeout_s: 0, ..Config::default() };
    let mut engine = Engine::start(&config, Arc::new(|_| ())).unwrap();

    let reserved = engine.reserve(CALL, ip("127.0.0.7"), ip("127.0.0.8")).unwrap();

    assert_eq!((reserved.caller.ip(), reserved.callee.ip()), (ip("127.0.0.1"), ip("127.0.0.1")));
    assert_eq!(
        engine.reserve(CallId(2), ip("127.0.0.1"), ip("::1")),
        Err(ReserveError::NoFamily { side: Side::Callee })
    );
}

/// A call between two peers on loopback.
struct Call {
    engine: Engine,
    reserved: Reserved,
    caller: Peer,
    callee: Peer,
}

/// A far end that numbers its packets.
struct Peer {
    socket: UdpSocket,
    ssrc: u32,
    sequence: u16,
}

impl Call {
    fn on(mut engine: Engine) -> Self {
        let reserved = engine.reserve(CALL, ip("127.0.0.1"), ip("127.0.0.1")).unwrap();
        Self { engine, reserved, caller: Peer::at("127.0.0.1"), callee: Peer::at("127.0.0.1") }
    }

    fn reserved(address: &str) -> Self {
        Self::on(engine(address, [30_000, 30_199], 0).0)
    }

    fn connected(address: &str, payload_types: impl Fn(Side) -> (u8, Option<u8>)) -> Self {
        let mut call = Self::reserved(address);
        for side in [Side::Caller, Side::Callee] {
            call.describe(side, payload_types(side));
        }
        call
    }

    fn media(&self, side: Side, payload_types: (u8, Option<u8>)) -> LegMedia {
        let peer = if side == Side::Caller { &self.caller } else { &self.callee };
        media(peer.socket.local_addr().unwrap(), payload_types)
    }

    fn describe(&mut self, side: Side, payload_types: (u8, Option<u8>)) {
        let media = self.media(side, payload_types);
        self.engine.set_leg(CALL, side, media);
    }

    fn describe_at(&mut self, side: Side, remote: SocketAddr) {
        self.engine.set_leg(CALL, side, media(remote, plain(side)));
    }

    /// Lets `side` send packets; returns what the other one received.
    fn say(&mut self, side: Side, said: &[(u8, &str)]) -> Vec<Vec<u8>> {
        let (from, to, relay) = match side {
            Side::Caller => (&mut self.caller, &mut self.callee, self.reserved.caller),
            Side::Callee => (&mut self.callee, &mut self.caller, self.reserved.callee),
        };
        for &(payload_type, text) in said {
            from.send(relay, payload_type, text);
        }
        to.receive(said.len())
    }

    /// The counters, a moment later: a packet is counted after it was sent.
    fn stats(&self) -> [LegStats; 2] {
        std::thread::sleep(Duration::from_millis(20));
        self.engine.stats(CALL).unwrap()
    }
}

impl Peer {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind((ip(address), 0)).unwrap();
        quick(&socket);
        let port = socket.local_addr().unwrap().port();
        Self { socket, ssrc: u32::from(port), sequence: port }
    }

    fn send(&mut self, to: SocketAddr, payload_type: u8, text: &str) {
        self.socket.send_to(&self.packet(payload_type, text), to).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn packet(&self, payload_type: u8, text: &str) -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(payload_type)
            .sequence(Seq::from(self.sequence))
            .timestamp(u32::from(self.sequence) * 160)
            .ssrc(self.ssrc)
            .payload(text.as_bytes())
            .build()
            .unwrap()
    }

    /// What arrives, until `expected` packets did or nothing more comes.
    fn receive(&self, expected: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = [0; 2_048];
        while packets.len() < expected {
            match self.socket.recv(&mut buffer) {
                Ok(length) => packets.push(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        packets
    }

    fn receive_all(&self) -> Vec<Vec<u8>> {
        self.receive(usize::MAX)
    }
}

fn engine(address: &str, ports: [u16; 2], silence_timeout_s: u32) -> (Engine, Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let config = Config { listen: vec![ip(address)], ports, silence_timeout_s, ..Config::default() };
    let report = move |event| sender.lock().unwrap().send(event).unwrap_or_default();
    (Engine::start(&config, Arc::new(report)).unwrap(), events)
}

fn flood(flooder: Peer, to: SocketAddr, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut flooder = flooder;
        while !stop.load(Ordering::Relaxed) {
            flooder.send(to, 0, "flood");
        }
    })
}

fn collect_for(events: &Receiver<Event>, span: Duration) -> Vec<Event> {
    let end = Instant::now() + span;
    std::iter::from_fn(|| events.recv_timeout(end.saturating_duration_since(Instant::now())).ok()).collect()
}

fn media(remote: SocketAddr, (audio_payload_type, dtmf_payload_type): (u8, Option<u8>)) -> LegMedia {
    LegMedia { dtmf_payload_type, law: Law::Mu, ..LegMedia::new(remote, audio_payload_type) }
}

/// PCMU on both legs.
fn plain(_: Side) -> (u8, Option<u8>) {
    (0, None)
}

fn heard(packets: &[Vec<u8>]) -> Vec<(u8, &str)> {
    packets
        .iter()
        .map(|packet| RtpReader::new(packet).unwrap())
        .map(|reader| (reader.payload_type(), std::str::from_utf8(reader.payload()).unwrap()))
        .collect()
}

fn above(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}

fn quick(socket: &UdpSocket) {
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The 1, for 10 ms, as an event.
const DIGIT: &str = "\u{1}\u{a}\0\u{50}";

/// Between two packets of one who speaks.
const PACE: Duration = Duration::from_millis(20);

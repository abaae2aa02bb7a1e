//! Calls and media threads: moved between them under load, handed over by the thousand, and
//! never stopped by an error.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use trunkline::id::CallId;
use trunkline::media::{Config, Engine, Event, LegMedia, Rtcp, Side, raise_file_limit};

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, Peer, engine_with, heard, ip, sequence_of};

#[test]
fn a_call_that_changes_its_thread_again_and_again_loses_nothing_and_keeps_its_order() {
    let mut call = on_threads("127.0.12.1", 2);
    let (relay, stop) = (call.relay(Side::Caller), Arc::new(AtomicBool::new(false)));
    let mut caller = std::mem::replace(&mut call.caller, Peer::at("127.0.0.1"));
    let stopped = Arc::clone(&stop);
    let speaking = std::thread::spawn(move || {
        let mut sent = 0;
        while !stopped.load(Ordering::Relaxed) {
            caller.send(relay, 0, b"x");
            sent += 1;
            std::thread::sleep(Duration::from_micros(100));
        }
        sent
    });

    let mut arrived = Vec::new();
    for turn in 0..200 {
        assert!(call.engine.move_to_thread(CALL, turn % 2));
        arrived.extend(call.callee.receive(10).iter().map(|packet| sequence_of(packet)));
    }
    stop.store(true, Ordering::Relaxed);
    let sent: usize = speaking.join().unwrap();
    arrived.extend(call.callee.receive(sent - arrived.len()).iter().map(|packet| sequence_of(packet)));

    assert_eq!(arrived.len(), sent);
    assert!(arrived.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert_eq!(call.stats_when(|stats| stats[0].packets_received == sent as u64)[0].packets_lost, 0);
}

#[test]
fn what_is_said_of_a_call_on_its_way_to_another_thread_is_obeyed_there() {
    let mut call = on_threads("127.0.12.2", 2);

    for turn in 0..20 {
        call.engine.move_to_thread(CALL, turn % 2);
        let muted = LegMedia { receives: turn % 2 == 0, ..call.media(Side::Callee) };
        call.engine.set_leg(CALL, Side::Callee, muted);
    }
    let text = "nothing";
    call.caller.send(call.reserved.caller, 0, text.as_bytes());
    assert!(call.callee.receive(1).is_empty());
    call.engine.set_leg(CALL, Side::Callee, call.media(Side::Callee));

    assert_eq!(heard(&call.say(Side::Caller, &[(0, "again")])), [(0, "again")]);
    call.engine.move_to_thread(CALL, 1);
    call.engine.release(CALL);
    assert!(call.say(Side::Caller, &[(0, "over")]).is_empty());
}

#[test]
fn there_is_no_moving_to_a_thread_that_is_not_there_nor_of_a_call_that_is_not() {
    let mut call = on_threads("127.0.12.3", 2);

    assert!(!call.engine.move_to_thread(CALL, 2));
    assert!(!call.engine.move_to_thread(CallId(9), 0));
    assert!(call.engine.move_to_thread(CALL, 1) && call.engine.move_to_thread(CALL, 1));
    assert_eq!(heard(&call.say(Side::Callee, &[(0, "still here")])), [(0, "still here")]);
}

#[test]
fn a_panic_ends_the_calls_of_its_thread_which_carries_the_next_ones() {
    let config = Config {
        listen: vec![ip("127.0.12.6")],
        ports: [30_000, 30_199],
        threads: 1,
        silence_timeout_s: 1,
        ..Config::default()
    };
    let (sender, failed) = mpsc::channel();
    let sender = Mutex::new(sender);
    let report = move |event| match event {
        Event::Failed { call } => sender.lock().unwrap().send(call).unwrap_or_default(),
        other => panic!("a test has the media thread panic over {other:?}"),
    };
    let mut call = Call::on(Engine::start(&config, Arc::new(report)).unwrap());
    call.engine.reserve(CallId(2), ip("127.0.0.1"), ip("127.0.0.1")).unwrap();
    call.engine.set_leg(CALL, Side::Caller, call.media(Side::Caller));
    call.engine.answered(CALL);

    let mut ended = [(); 2].map(|()| failed.recv_timeout(Duration::from_secs(5)).unwrap());
    ended.sort_by_key(|call| call.0);
    ended.iter().for_each(|&id| call.engine.release(id));
    let mut next = Call::on(call.engine);
    for side in [Side::Caller, Side::Callee] {
        next.engine.set_leg(CALL, side, next.media(side));
    }

    assert_eq!(ended, [CALL, CallId(2)]);
    assert_eq!(heard(&next.say(Side::Caller, &[(0, "the next call")])), [(0, "the next call")]);
}

#[test]
fn an_address_of_another_machine_and_a_range_without_room_for_a_call_are_refused_with_what_to_write() {
    let start = |listen, ports| {
        let config = Config { listen: vec![ip(listen)], ports, ..Config::default() };
        Engine::start(&config, Arc::new(|_| ())).map(|_| ()).unwrap_err().to_string()
    };

    let elsewhere = start("203.0.113.5", [30_000, 30_199]);
    let no_room = start("127.0.12.7", [30_000, 30_001]);

    assert!(elsewhere.contains("203.0.113.5") && elsewhere.contains("write an address of this machine"));
    assert!(no_room.contains("0 calls at once"), "{no_room}");
}

/// 200,000 a minute are 3,334 pairs a second; this hands over three seconds' worth.
#[test]
fn ten_thousand_pairs_change_hands_and_a_call_beside_them_hears_every_packet() {
    let _ = raise_file_limit();
    let mut call = on_threads("127.0.12.4", 1);
    let anywhere = SocketAddr::new(ip("127.0.0.1"), 9);
    let (started, mut arrived, mut sent) = (Instant::now(), 0, 0);

    for n in 0..CALLS_HANDED_OVER {
        let other = CallId(2 + n);
        call.engine.reserve(other, anywhere.ip(), anywhere.ip()).unwrap();
        for side in [Side::Caller, Side::Callee] {
            call.engine.set_leg(other, side, LegMedia { rtcp: Rtcp::Never, ..LegMedia::new(anywhere, 0) });
        }
        call.engine.answered(other);
        if n % 50 == 0 {
            sent += 1;
            arrived += call.say(Side::Caller, &[(0, "x")]).len();
        }
        call.engine.release(other);
    }

    assert_eq!(arrived, sent);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "{CALLS_HANDED_OVER} calls took {took:?}");
}

#[test]
fn a_thread_goes_on_when_every_packet_it_sends_comes_back_as_an_error() {
    let mut call = on_threads("127.0.12.5", 1);
    call.say(Side::Caller, &[(0, "hello")]);
    call.say(Side::Callee, &[(0, "hello")]);
    let address = call.callee.address();
    call.callee = Peer::at("127.0.0.1");

    for _ in 0..100 {
        call.caller.send(call.reserved.caller, 0, b"into the void");
        std::thread::sleep(Duration::from_millis(1));
    }
    call.callee.socket = std::net::UdpSocket::bind(address).unwrap();
    call.callee.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();

    assert_eq!(heard(&call.say(Side::Caller, &[(0, "again")])), [(0, "again")]);
}

fn on_threads(address: &str, threads: u32) -> Call {
    let ports = [10_000, 49_999];
    let config =
        Config { listen: vec![ip(address)], ports, silence_timeout_s: 0, threads, ..Config::default() };
    let mut call = Call::on(engine_with(&config).0);
    for side in [Side::Caller, Side::Callee] {
        let media = call.media(side);
        call.engine.set_leg(CALL, side, media);
    }
    call
}

const CALLS_HANDED_OVER: u64 = 5_000;

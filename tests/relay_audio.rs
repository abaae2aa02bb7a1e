//! What a far end hears: the law, the frames and the pauses of a stream, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rtp_rs::RtpReader;
use trunkline::media::{Event, LegMedia, LegStats, Press, Side};
use trunkline::rtp::dtmf::{Detector, Digit, Heard};
use trunkline::rtp::g711::Law;
use trunkline::rtp::ringback::Ringback;

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, engine, sequence_of};

#[test]
fn a_tone_stays_clean_from_one_law_to_the_other_and_back() {
    let mut call = Call::connected("127.0.14.1", |side, media| match side {
        Side::Caller => LegMedia { law: Law::Mu, audio_payload_type: 0, ..media },
        Side::Callee => LegMedia { law: Law::A, audio_payload_type: 8, ..media },
    });

    for (side, from, to) in [(Side::Caller, Law::Mu, Law::A), (Side::Callee, Law::A, Law::Mu)] {
        let mut heard = Vec::new();
        for frame in 0..50 {
            let payload: Vec<u8> = (0..160).map(|n| from.encode(tone(frame * 160 + n))).collect();
            let relay = call.relay(side);
            call.peer(side).send(relay, from.payload_type(), &payload);
            let packet = call.peer(far_end::other(side)).receive(1).remove(0);
            let reader = RtpReader::new(&packet).unwrap();
            assert_eq!(reader.payload_type(), to.payload_type());
            heard.extend(reader.payload().iter().map(|&octet| to.decode(octet)));
        }

        let snr = snr_db(&heard);
        assert!(snr > 33.0, "{snr:.1} dB from {from:?} to {to:?}");
    }
}

#[test]
fn header_extensions_and_contributing_sources_end_at_the_leg_they_came_from() {
    let call = Call::connected("127.0.14.2", |_, media| media);
    let mut packet = call.caller.packet(0, b"voice");
    packet[0] |= 0x11;
    packet.splice(12..12, [0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x7F, 0, 0]);

    call.caller.socket.send_to(&packet, call.relay(Side::Caller)).unwrap();
    let heard = call.callee.receive(1).remove(0);

    assert_eq!((heard[0], heard.len(), &heard[12..]), (0x80, 17, &b"voice"[..]));
}

#[test]
fn from_the_answer_on_a_leg_is_sent_silence_while_nobody_speaks_to_it() {
    let mut call = Call::connected("127.0.14.3", |side, media| match side {
        Side::Caller => LegMedia { fill_ms: 100, ..media },
        Side::Callee => LegMedia { law: Law::A, audio_payload_type: 8, fill_ms: 100, ..media },
    });
    assert!(call.caller.receive(1).is_empty());

    call.engine.answered(CALL);
    let (to_caller, to_callee) = (call.caller.receive(20), call.callee.receive(20));

    for (packets, payload_type, silence) in [(to_caller, 0, 0xFF), (to_callee, 8, 0xD5)] {
        assert_eq!(packets.len(), 20);
        assert!(packets.windows(2).all(|pair| follows(&pair[0], &pair[1])));
        for packet in &packets {
            let reader = RtpReader::new(packet).unwrap();
            assert_eq!((reader.payload_type(), reader.payload()), (payload_type, &[silence; 160][..]));
        }
    }
    let filled = |stats: &[LegStats; 2]| stats.iter().all(|leg| leg.packets_filled >= 20);
    assert!(filled(&call.stats_when(filled)));
}

#[test]
fn a_leg_whose_pauses_are_not_to_be_filled_or_that_receives_nothing_is_sent_nothing() {
    let mut call = Call::connected("127.0.14.5", |side, media| match side {
        Side::Caller => media,
        Side::Callee => LegMedia { fill_ms: 100, receives: false, ..media },
    });
    call.engine.answered(CALL);

    assert!(call.caller.receive(1).is_empty() && call.callee.receive(1).is_empty());
    call.engine.set_leg(CALL, Side::Callee, LegMedia { fill_ms: 100, ..call.media(Side::Callee) });
    assert_eq!(call.callee.receive(5).len(), 5);
    call.engine.release(CALL);
    let left = call.callee.receive(50);
    assert!(left.len() < 50, "it went on after the call");
}

#[test]
fn a_packet_of_60_ms_leaves_in_three_pieces_which_do_not_wait_for_the_next_one() {
    let mut call = Call::connected("127.0.14.6", |_, media| media);
    let relay = call.relay(Side::Caller);
    let spoken: Vec<u8> = (0..480_u16).map(|n| n as u8).collect();

    call.caller.send(relay, 0, &spoken);
    let heard = call.callee.receive(3);

    assert_eq!(heard.len(), 3);
    assert!(heard.windows(2).all(|pair| follows(&pair[0], &pair[1])));
    assert!(heard.iter().flat_map(|packet| packet[12..].iter()).eq(&spoken));
}

#[test]
fn a_digit_that_is_sent_by_command_arrives_and_is_told_by_the_relay_it_reaches() {
    let (engine, events) = engine("127.0.14.7", [30_000, 30_199], 0);
    let mut call = Call::on(engine);
    for side in [Side::Caller, Side::Callee] {
        let media = LegMedia { dtmf_payload_type: Some(101), ..call.media(side) };
        call.engine.set_leg(CALL, side, media);
    }
    let press = Press { digit: Digit::try_from('7').unwrap(), duration: Duration::from_millis(100) };

    call.engine.press(CALL, Side::Callee, press);
    let packets = call.callee.receive(8);
    for packet in &packets {
        call.callee.socket.send_to(packet, call.relay(Side::Callee)).unwrap();
    }
    let told = events.recv_timeout(Duration::from_secs(5)).unwrap();

    let ends = packets.iter().filter(|packet| packet[13] & 0x80 != 0).count();
    assert_eq!((packets.len(), ends), (7, 3));
    assert!(packets.iter().all(|packet| packet[1] & 0x7F == 101 && packet[12] == 7));
    assert_eq!(told, Event::Digit { call: CALL, side: Side::Callee, press });
    assert_eq!(call.caller.receive(7).len(), 7);
}

#[test]
fn ringing_of_ours_has_the_tones_and_the_cadence_of_its_country_and_ends_with_the_first_words() {
    let mut call = Call::connected("127.0.14.8", |side, media| match side {
        Side::Caller => LegMedia { law: Law::A, audio_payload_type: 8, ..media },
        Side::Callee => media,
    });

    call.engine.ring(CALL, Side::Caller, Some(Ringback::of_country("GB")));
    let packets = call.caller.receive(60);
    for text in ["first", "words"] {
        let relay = call.relay(Side::Callee);
        call.callee.send(relay, 0, text.as_bytes());
    }
    let behind = call.caller.receive_all();

    assert!(packets.windows(2).all(|pair| sequence_of(&pair[1]) == sequence_of(&pair[0]).wrapping_add(1)));
    let sound = decoded(&packets, Law::A);
    assert_eq!(sound.len(), 60 * 160);
    for frame in sound.chunks(160) {
        let ms = frame[0].0 / 8 % 3_000;
        let is_loud = frame.iter().any(|(_, sample)| sample.abs() > 3_000);
        assert_eq!(is_loud, (0..400).contains(&ms) || (600..1_000).contains(&ms), "at {ms} ms");
    }
    let first: Vec<_> = sound.into_iter().filter(|(n, _)| *n < 3_200).collect();
    for hz in [400.0, 450.0] {
        let level = level_dbm0(&first, hz);
        assert!((level + 13.0).abs() < 0.5, "{hz} Hz: {level:.1} dBm0");
    }
    let lengths: Vec<_> = behind.iter().rev().take(2).map(|packet| packet.len() - 12).collect();
    assert_eq!(lengths, [5, 5], "nothing rings behind the words");
}

#[test]
fn the_events_of_one_peer_are_played_as_tones_to_another_that_takes_none() {
    let (engine, events) = engine("127.0.14.9", [30_000, 30_199], 0);
    let mut call = Call::on(engine);
    let caller = LegMedia { dtmf_payload_type: Some(101), ..call.media(Side::Caller) };
    let callee =
        LegMedia { law: Law::A, audio_payload_type: 8, plays_digits: true, ..call.media(Side::Callee) };
    call.engine.set_leg(CALL, Side::Caller, caller);
    call.engine.set_leg(CALL, Side::Callee, callee);
    let relay = call.relay(Side::Caller);

    for (code, at) in [(7, 8_000_u32), (7, 16_000), (11, 24_000)] {
        call.caller.timestamp = at;
        for (flags, duration) in [(10, 160_u16), (10, 480), (138, 800), (138, 800), (138, 800)] {
            let [high, low] = duration.to_be_bytes();
            let packet = call.caller.packet(101, &[code, flags, high, low]);
            call.caller.socket.send_to(&packet, relay).unwrap();
            call.caller.sequence += 1;
        }
    }
    let packets = call.callee.receive(24);

    let (mut ear, mut keys) = (Detector::new(Law::A), String::new());
    for packet in &packets {
        assert_eq!(packet[1] & 0x7F, 8, "an event was relayed");
        ear.listen(&packet[12..], |heard| {
            if let Heard::Begins { digit, .. } = heard {
                keys += &digit.to_string();
            }
        });
    }
    assert_eq!(keys, "77#");
    let told = std::iter::from_fn(|| events.recv_timeout(Duration::from_millis(100)).ok()).count();
    assert_eq!(told, 3, "signalling may have an INFO to send for each");
}

/// The samples of a stream with their numbers, counted from its first by timestamp.
fn decoded(packets: &[Vec<u8>], law: Law) -> Vec<(u32, i16)> {
    let samples = |packet: &Vec<u8>| {
        let numbers = advance(&packets[0], packet)..;
        numbers.zip(packet[12..].iter().map(|&octet| law.decode(octet))).collect::<Vec<_>>()
    };
    packets.iter().flat_map(samples).collect()
}

/// The level of one frequency; 0 dBm0 is 3.17 dB below a sine of the greatest amplitude.
fn level_dbm0(heard: &[(u32, i16)], hz: f64) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for &(n, sample) in heard {
        let (sine, cosine) = (std::f64::consts::TAU * hz * f64::from(n) / 8_000.0).sin_cos();
        real += f64::from(sample) * cosine;
        imaginary += f64::from(sample) * sine;
    }
    let amplitude = 2.0 * real.hypot(imaginary) / heard.len() as f64;
    20.0 * (amplitude / 32_636.0).log10() + 3.17
}

fn follows(first: &[u8], second: &[u8]) -> bool {
    sequence_of(second) == sequence_of(first).wrapping_add(1) && advance(first, second) == 160
}

fn advance(first: &[u8], second: &[u8]) -> u32 {
    let timestamp = |packet| RtpReader::new(packet).unwrap().timestamp();
    timestamp(second).wrapping_sub(timestamp(first))
}

/// 1 kHz at -13 dBov, sampled at `n`; not in step with the sampling, so that all values occur.
fn tone(n: usize) -> i16 {
    (AMPLITUDE * (2.0 * std::f64::consts::PI * FREQUENCY * n as f64 / 8_000.0).sin()) as i16
}

/// What is left of `heard` without the tone in it, against the tone.
fn snr_db(heard: &[i16]) -> f64 {
    let step = 2.0 * std::f64::consts::PI * FREQUENCY / 8_000.0;
    let project = |wave: &dyn Fn(f64) -> f64| {
        let terms = heard.iter().enumerate().map(|(n, &sample)| f64::from(sample) * wave(step * n as f64));
        2.0 * terms.sum::<f64>() / heard.len() as f64
    };
    let (sine, cosine) = (project(&f64::sin), project(&f64::cos));
    let rest: f64 = heard
        .iter()
        .enumerate()
        .map(|(n, &sample)| {
            let (sin, cos) = (step * n as f64).sin_cos();
            (f64::from(sample) - sine * sin - cosine * cos).powi(2)
        })
        .sum();
    let signal = (sine.powi(2) + cosine.powi(2)) / 2.0 * heard.len() as f64;
    10.0 * (signal / rest).log10()
}

const FREQUENCY: f64 = 1_004.0;
/// A sine of full scale is at -3 dBov.
const AMPLITUDE: f64 = 32_767.0 * 0.316;

//! What a far end hears: the law, the frames and the pauses of a stream, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rtp_rs::RtpReader;
use trunkline::media::{LegMedia, Side};
use trunkline::rtp::g711::Law;

#[path = "support/far_end.rs"]
mod far_end;

use far_end::Call;

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
    let mut call = Call::connected("127.0.14.2", |_, media| media);
    let mut packet = call.caller.packet(0, b"voice");
    packet[0] |= 0x11;
    packet.splice(12..12, [0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x7F, 0, 0]);

    call.caller.socket.send_to(&packet, call.relay(Side::Caller)).unwrap();
    let heard = call.callee.receive(1).remove(0);

    assert_eq!((heard[0], heard.len(), &heard[12..]), (0x80, 17, &b"voice"[..]));
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

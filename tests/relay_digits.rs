//! DTMF through a relayed call in virtual time: what one end presses the other hears, digit for digit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use trunkline::rtp::dtmf::{Detector, Digit, Heard as InAudio, Tone};
use trunkline::rtp::g711::Law;

#[path = "support/virtual_relay.rs"]
mod virtual_relay;

use virtual_relay::{Heard, Relay, Said};

const MU: [Law; 2] = [Law::Mu, Law::Mu];
const EVENT: u8 = 101;

#[test]
fn every_digit_arrives_once_with_its_duration_and_three_ends_whatever_else_happens() {
    for (loss, fill_ms) in [(0, 0), (0, 100), (7, 100)] {
        let mut relay = Relay::new(MU, fill_ms);
        let mut far_end = FarEnd::default();
        for (n, code) in [1, 1, 1, 11, 10, 0, 0, 9].into_iter().enumerate() {
            far_end.speaks(&mut relay, 5);
            far_end.presses(&mut relay, code, 80 + 40 * (n as u64 % 3), loss);
        }
        far_end.speaks(&mut relay, 20);

        relay.run_until(far_end.at_ms + 500);
        let heard = relay.heard(1);

        assert_eq!(digits(&heard), [1, 1, 1, 11, 10, 0, 0, 9], "1 in {loss} lost, fill {fill_ms}");
        if loss == 0 {
            let ends: Vec<_> = ends(&heard);
            let durations: Vec<u16> = ends.chunks(3).map(|ends| ends[0].1).collect();
            assert_eq!(durations, [640, 960, 1_280, 640, 960, 1_280, 640, 960]);
            assert!(ends.chunks(3).all(|ends| ends.len() == 3 && ends.iter().all(|end| *end == ends[0])));
        }
        let gaps = heard.windows(2).filter(|pair| pair[1].sequence != pair[0].sequence.wrapping_add(1));
        assert!(loss > 0 || gaps.count() == 0);
    }
}

#[test]
fn a_digit_whose_ends_were_all_lost_is_ended_for_the_far_end() {
    let mut relay = Relay::new(MU, 100);
    let mut far_end = FarEnd::default();
    far_end.speaks(&mut relay, 3);
    for _ in 0..4 {
        far_end.event(&mut relay, 5, 320, false);
    }

    relay.run_until(1_000);
    let heard = relay.heard(1);

    assert_eq!((digits(&heard), ends(&heard).len()), (vec![5], 3));
}

#[test]
fn digits_of_ours_go_out_one_after_the_other_in_the_stream_of_the_audio_which_pauses() {
    let mut relay = Relay::new([Law::A, Law::Mu], 100);
    let mut far_end = FarEnd { law: Some(Law::A), ..FarEnd::default() };
    far_end.speaks(&mut relay, 60);
    relay.run_until(100);
    for key in ['4', '#'] {
        relay.press(1, key, 120);
    }

    relay.run_until(1_200);
    let heard = relay.heard(1);

    assert_eq!(digits(&heard), [4, 11]);
    assert_eq!(ends(&heard).iter().map(|end| end.1).collect::<Vec<_>>(), [960; 6]);
    assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    let first = heard.iter().position(|packet| packet.payload_type == EVENT).unwrap();
    let audio_inside = heard[first..first + 8].iter().filter(|packet| packet.payload_type != EVENT);
    assert_eq!(audio_inside.count(), 0);
}

#[test]
fn a_tone_in_the_audio_becomes_an_event_and_is_hardly_heard_itself() {
    let mut relay = Relay::new(MU, 100);
    relay.hears_tones(0, Law::Mu);
    let mut far_end = FarEnd::default();
    far_end.speaks(&mut relay, 10);
    far_end.plays(&mut relay, [697.0, 1_336.0], 5);
    far_end.speaks(&mut relay, 10);
    far_end.plays(&mut relay, [941.0, 1_209.0], 10);
    far_end.speaks(&mut relay, 20);

    relay.run_until(far_end.at_ms + 500);
    let heard = relay.heard(1);

    assert_eq!(digits(&heard), [2, 10]);
    let loud = heard
        .iter()
        .filter(|packet| packet.payload_type == 0)
        .filter(|packet| packet.payload.iter().any(|&octet| Law::Mu.decode(octet).abs() > 2_000));
    assert!(loud.count() <= 4, "of fifteen packets of tone");
    assert_eq!(relay.told(0), ["2", "*"]);
}

#[test]
fn where_the_far_end_takes_no_events_a_tone_is_left_as_it_is() {
    let mut relay = Relay::new(MU, 0);
    relay.hears_tones(0, Law::Mu);
    relay.legs[1].peer.as_mut().unwrap().payload_types.event = None;
    let mut far_end = FarEnd::default();
    far_end.plays(&mut relay, [697.0, 1_336.0], 5);
    far_end.speaks(&mut relay, 10);

    relay.run_until(1_000);
    let heard = relay.heard(1);

    let loud =
        heard.iter().filter(|packet| packet.payload.iter().any(|&octet| Law::Mu.decode(octet) > 2_000));
    assert_eq!((loud.count(), digits(&heard).len()), (5, 0));
    assert_eq!(relay.told(0), ["2"]);
}

#[test]
fn a_peer_that_sends_events_is_not_listened_to_for_tones_which_would_say_them_again() {
    let mut relay = Relay::new(MU, 0);
    relay.hears_tones(0, Law::Mu);
    let mut far_end = FarEnd::default();
    far_end.presses(&mut relay, 2, 100, 0);
    far_end.plays(&mut relay, [697.0, 1_336.0], 5);
    far_end.speaks(&mut relay, 10);

    relay.run_until(1_000);

    assert_eq!(digits(&relay.heard(1)), [2]);
    assert_eq!(relay.told(0), ["2"]);
}

#[test]
fn a_far_end_without_events_hears_each_digit_once_as_tones_in_either_law_whatever_else_happens() {
    for law in [Law::Mu, Law::A] {
        for (loss, fill_ms) in [(0, 0), (0, 100), (9, 100)] {
            let mut relay = Relay::new([Law::Mu, law], fill_ms);
            relay.plays_digits(1);
            let mut far_end = FarEnd::default();
            for (n, code) in [1, 1, 1, 11, 10, 0, 0, 9].into_iter().enumerate() {
                far_end.speaks(&mut relay, 5);
                far_end.presses(&mut relay, code, 80 + 40 * (n as u64 % 3), loss);
            }
            far_end.speaks(&mut relay, 20);

            relay.run_until(far_end.at_ms + 2_000);
            let heard = relay.heard(1);

            assert_eq!(played(&heard, law), "111#*009", "{law:?}, 1 in {loss} lost, fill {fill_ms}");
            assert!(heard.iter().all(|packet| packet.payload_type == law.payload_type()));
            assert!(heard.windows(2).all(|pair| pair[0].timestamp != pair[1].timestamp));
        }
    }
}

#[test]
fn digits_are_played_over_speech_and_on_when_it_stops_and_also_where_pauses_are_left_alone() {
    for (packets, fill_ms) in [(60, 100), (60, 0), (4, 100), (4, 0), (0, 0)] {
        let mut relay = Relay::new([Law::A, Law::Mu], fill_ms);
        relay.plays_digits(1);
        let mut far_end = FarEnd { law: Some(Law::A), ..FarEnd::default() };
        far_end.speaks(&mut relay, packets);
        relay.run_until(60);
        for key in ['4', '4', 'D'] {
            relay.press(1, key, 120);
        }

        relay.run_until(2_000);
        let heard = relay.heard(1);

        assert_eq!(played(&heard, Law::Mu), "44D", "{packets} packets, fill {fill_ms}");
        let playing = heard.iter().take_while(|packet| packet.at_ms < 640).map(|packet| packet.at_ms);
        let waits = playing.clone().zip(playing.skip(1)).map(|(one, next)| next - one);
        assert!(waits.max() <= Some(40), "{packets} packets, fill {fill_ms}");
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        assert!(heard.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp.wrapping_add(160)));
    }
}

#[test]
fn digits_are_played_in_packets_of_the_length_that_the_far_end_wants() {
    let mut relay = Relay::new(MU, 100);
    relay.plays_digits(1);
    relay.legs[1].peer.as_mut().unwrap().ptime_ms = 30;
    let mut far_end = FarEnd::default();
    far_end.speaks(&mut relay, 60);
    relay.run_until(100);
    relay.press(1, '8', 100);

    relay.run_until(1_150);
    let heard = relay.heard(1);

    assert_eq!(played(&heard, Law::Mu), "8");
    let speech = heard.iter().filter(|packet| packet.at_ms > 100);
    assert!(speech.clone().count() > 30 && speech.into_iter().all(|packet| packet.payload.len() == 240));
}

#[test]
fn a_far_end_on_hold_is_played_nothing_and_no_digit_waits_for_it() {
    let mut relay = Relay::new(MU, 100);
    relay.plays_digits(1);
    relay.legs[1].peer.as_mut().unwrap().receives = false;
    relay.press(1, '8', 100);
    relay.run_until(500);
    relay.legs[1].peer.as_mut().unwrap().receives = true;

    relay.run_until(1_000);

    assert_eq!(played(&relay.heard(1), Law::Mu), "");
}

#[test]
fn the_echo_of_a_digit_that_was_played_is_no_digit_of_the_far_end_and_its_own_are_heard_again_soon() {
    let mut relay = Relay::new(MU, 100);
    relay.plays_digits(1);
    relay.hears_tones(1, Law::Mu);
    relay.press(1, '5', 100);
    relay.run_until(200);
    for (packet, n) in relay.heard(1).into_iter().zip(0..) {
        relay.says(1, packet.at_ms + 300, &Said::audio(Law::Mu, n, 160 * u32::from(n), packet.payload));
    }

    relay.run_until(800);
    assert_eq!(relay.told(1), Vec::<String>::new());
    let tone = Tone::new(Digit::try_from('7').unwrap(), Duration::from_millis(100), 0);
    for n in 0..20 {
        let mut payload = vec![Law::Mu.silence(); 160];
        tone.lay_over(Law::Mu, 160 * n, &mut payload);
        relay.says(
            1,
            800 + 20 * u64::from(n),
            &Said::audio(Law::Mu, 40 + n as u16, 6_400 + 160 * n, payload),
        );
    }
    relay.run_until(1_500);

    assert_eq!(relay.told(1), ["7"]);
}

#[test]
fn what_one_far_end_plays_as_tones_another_that_takes_no_events_hears_once() {
    let mut relay = Relay::new(MU, 100);
    relay.hears_tones(0, Law::Mu);
    relay.plays_digits(1);
    let mut far_end = FarEnd::default();
    far_end.speaks(&mut relay, 3);
    far_end.plays(&mut relay, [697.0, 1_336.0], 5);
    far_end.speaks(&mut relay, 40);

    relay.run_until(1_500);

    assert_eq!(played(&relay.heard(1), Law::Mu), "2");
}

/// A telephone that numbers and times its packets.
#[derive(Default)]
struct FarEnd {
    law: Option<Law>,
    at_ms: u64,
    sequence: u16,
    began: u32,
    sent: usize,
    phase: usize,
}

impl FarEnd {
    fn speaks(&mut self, relay: &mut Relay, packets: usize) {
        for _ in 0..packets {
            self.audio(relay, vec![self.law.unwrap_or(Law::Mu).silence(); 160]);
        }
    }

    fn plays(&mut self, relay: &mut Relay, hz: [f64; 2], packets: usize) {
        for _ in 0..packets {
            let octets = (self.phase..self.phase + 160).map(|n| {
                let wave = |hz: f64| (std::f64::consts::TAU * hz * n as f64 / 8_000.0).sin() * 6_000.0;
                Law::Mu.encode((wave(hz[0]) + wave(hz[1])) as i16)
            });
            let payload = octets.collect();
            self.phase += 160;
            self.audio(relay, payload);
        }
    }

    fn audio(&mut self, relay: &mut Relay, payload: Vec<u8>) {
        let law = self.law.unwrap_or(Law::Mu);
        relay.says(0, self.at_ms, &Said::audio(law, self.sequence, self.timestamp(), payload));
        self.next();
    }

    /// For `ms`; one packet in `loss` never arrives.
    fn presses(&mut self, relay: &mut Relay, code: u8, ms: u64, loss: usize) {
        self.began = self.timestamp();
        let packets = ms / 20;
        for n in 1..=packets + 2 {
            let (elapsed, end) = (n.min(packets) * 160, n >= packets);
            self.sent += 1;
            if loss > 0 && self.sent.is_multiple_of(loss) {
                self.next();
            } else {
                self.event(relay, code, elapsed as u16, end);
            }
        }
    }

    fn event(&mut self, relay: &mut Relay, code: u8, duration: u16, end: bool) {
        let [high, low] = duration.to_be_bytes();
        let payload = vec![code, if end { 0x8A } else { 0x0A }, high, low];
        let marker = duration <= 160;
        let said =
            Said { payload_type: EVENT, marker, ..Said::audio(Law::Mu, self.sequence, self.began, payload) };
        relay.says(0, self.at_ms, &said);
        self.next();
    }

    fn next(&mut self) {
        self.sequence += 1;
        self.at_ms += 20;
    }

    fn timestamp(&self) -> u32 {
        4_000 + self.at_ms as u32 * 8
    }
}

/// As a receiver counts them that goes by their timestamps.
fn digits(heard: &[Heard]) -> Vec<u8> {
    let mut events: Vec<_> = heard.iter().filter(|packet| packet.payload_type == EVENT).collect();
    events.dedup_by_key(|packet| packet.timestamp);
    events.iter().map(|packet| packet.payload[0]).collect()
}

/// The digits that are heard in the audio.
fn played(heard: &[Heard], law: Law) -> String {
    let (mut ear, mut digits) = (Detector::new(law), String::new());
    for packet in heard {
        ear.listen(&packet.payload, |it| {
            if let InAudio::Begins { digit, .. } = it {
                digits += &digit.to_string();
            }
        });
    }
    digits
}

/// Code and duration of each packet that ends a digit.
fn ends(heard: &[Heard]) -> Vec<(u8, u16)> {
    let ends = heard.iter().filter(|packet| packet.payload_type == EVENT && packet.payload[1] & 0x80 != 0);
    ends.map(|packet| (packet.payload[0], u16::from_be_bytes([packet.payload[2], packet.payload[3]])))
        .collect()
}

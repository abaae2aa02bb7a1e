//! A ringing tone of ours in a relayed call in virtual time: there at once, in step with its cadence, and
//! gone with the first packet of real audio, of which none is lost for its sake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use trunkline::rtp::g711::Law;
use trunkline::rtp::ringback::Ringback;

#[path = "support/virtual_relay.rs"]
mod virtual_relay;

use virtual_relay::{Heard, Relay, Said};

#[test]
fn it_begins_at_once_without_an_answer_and_stops_when_told_whether_or_not_pauses_are_filled() {
    for fill_ms in [0, 100] {
        let mut relay = unanswered(fill_ms);

        relay.run_until(2_990);
        relay.legs[0].ring(None);
        relay.run_until(4_000);
        let heard = relay.heard(0);

        assert_eq!((heard.len(), heard[0].at_ms), (150, 0), "fill {fill_ms}");
        assert_unbroken(&heard);
        let pauses = (400..600).chain(1_000..3_000);
        assert!(pauses.eq(silent_ms(&heard)), "fill {fill_ms}");
    }
}

#[test]
fn silence_follows_it_on_the_same_grid_when_the_call_was_answered() {
    let mut relay = unanswered(100);
    relay.run_until(310);

    relay.legs[0].ring(None);
    relay.answered = true;
    relay.run_until(1_000);
    let heard = relay.heard(0);

    assert_eq!(heard.len(), 50);
    assert_unbroken(&heard);
    assert!((320..1_000).eq(silent_ms(&heard)));
}

#[test]
fn the_first_words_of_the_far_side_end_it_for_good_and_all_of_them_arrive() {
    for fill_ms in [0, 100] {
        let mut relay = unanswered(fill_ms);
        for n in 0..20 {
            relay.says(1, 507 + 20 * n, &word(n as u16));
        }

        relay.run_until(3_000);
        let heard = relay.heard(0);

        let words: Vec<_> = heard.iter().filter(|packet| packet.payload == [VOICE; 160]).collect();
        assert_eq!((words.len(), relay.dropped.len()), (20, 0), "fill {fill_ms}");
        assert_eq!(words[0].at_ms, 507);
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        assert_eq!(heard.last(), words.last().copied(), "nothing rings behind them");
    }
}

#[test]
fn it_waits_for_a_pause_of_early_media_that_flows() {
    for fill_ms in [0, 100] {
        let mut relay = Relay::new([Law::Mu, Law::Mu], fill_ms);
        relay.answered = false;
        for n in 0..10 {
            relay.says(1, 20 * n, &word(n as u16));
        }
        relay.run_until(185);
        relay.heard(0);

        relay.legs[0].ring(Some(Ringback::of_country("GB")));
        relay.run_until(400);

        assert_eq!(relay.heard(0)[0].at_ms, 280, "fill {fill_ms}");
    }
}

#[test]
fn to_be_told_again_to_ring_in_the_same_way_goes_on_with_it_and_in_another_begins_anew() {
    let mut relay = unanswered(100);
    relay.run_until(310);

    relay.legs[0].ring(Some(Ringback::of_country("GB")));
    relay.run_until(500);
    relay.legs[0].ring(Some(Ringback::of_country("SG")));
    relay.run_until(1_100);

    assert!((400..500).chain(900..1_100).eq(silent_ms(&relay.heard(0))));
}

#[test]
fn a_leg_that_wants_no_packets_is_not_rung_to() {
    let mut relay = unanswered(100);
    relay.legs[0].peer.as_mut().unwrap().receives = false;

    relay.run_until(500);

    assert_eq!(relay.heard(0), []);
}

/// Nobody answered yet, and the far end of leg 0 hears ringing of two tones of 400 ms.
fn unanswered(fill_ms: u32) -> Relay {
    let mut relay = Relay::new([Law::Mu, Law::Mu], fill_ms);
    relay.answered = false;
    relay.legs[0].ring(Some(Ringback::of_country("GB")));
    relay
}

fn word(n: u16) -> Said {
    Said::audio(Law::Mu, 300 + n, 77_000 + 160 * u32::from(n), vec![VOICE; 160])
}

fn assert_unbroken(heard: &[Heard]) {
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
        assert_eq!(pair[1].at_ms, pair[0].at_ms + 20);
    }
}

/// The milliseconds in which there is nothing to be heard.
fn silent_ms(heard: &[Heard]) -> Vec<usize> {
    let sound: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.iter().copied()).collect();
    let is_silent = |octets: &[u8]| octets.iter().all(|&octet| octet == Law::Mu.silence());
    (0..sound.len() / 8).filter(|ms| is_silent(&sound[8 * ms..8 * ms + 8])).collect()
}

/// A G.711 sample that nobody sends for silence.
const VOICE: u8 = 0x2a;

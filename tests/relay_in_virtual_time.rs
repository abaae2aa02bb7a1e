//! Whole minutes of a relayed call in virtual time: pauses, loss, jitter, other sources, and what the far end makes of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use trunkline::media::forward::Reason;
use trunkline::rtp::g711::Law;

#[path = "support/virtual_relay.rs"]
mod virtual_relay;

use virtual_relay::{Heard, Relay, Said};

const MU: [Law; 2] = [Law::Mu, Law::Mu];

#[test]
fn words_and_silence_are_one_stream_without_a_gap() {
    let mut relay = Relay::new(MU, 60);
    for (talkspurt, frame) in (0..3).flat_map(|spurt| (0..5).map(move |frame| (spurt, frame))) {
        let slot = talkspurt * 15 + frame;
        relay.says(0, 7 + 20 * slot, &words((talkspurt * 5 + frame) as u16, slot as u32));
    }

    relay.run_until(1_200);
    let heard = relay.heard(1);

    assert_eq!(heard.iter().filter(|packet| is_words(packet)).count(), 15);
    assert_unbroken(&heard);
    assert_eq!(relay.dropped, []);
}

#[test]
fn half_a_minute_of_silence_is_filled_packet_by_packet_and_the_words_after_it_are_all_heard() {
    let mut relay = Relay::new(MU, 100);
    let second = |relay: &mut Relay, from_ms: u64, first: u16| {
        (0..50).for_each(|n| {
            relay.says(
                0,
                from_ms + 20 * u64::from(n),
                &words(first + n, (from_ms / 20) as u32 + u32::from(n)),
            );
        });
    };
    second(&mut relay, 0, 0);
    second(&mut relay, 31_000, 50);

    relay.run_until(32_100);
    let heard = relay.heard(1);

    assert_unbroken(&heard);
    let pauses = heard.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms);
    assert!(pauses.max().unwrap() <= 100);
    let filled = heard.iter().filter(|packet| !is_words(packet) && packet.at_ms < 31_000).count();
    assert!((1_495..=1_500).contains(&filled), "{filled} packets in 30 s");
    assert_eq!(heard.iter().filter(|packet| is_words(packet)).count(), 100);
}

#[test]
fn of_packets_that_come_after_their_slots_were_filled_only_those_are_dropped_as_late() {
    let mut relay = Relay::new(MU, 100);
    (0..10).for_each(|n| relay.says(0, 20 * n, &words(n as u16, n as u32)));
    (10..30).for_each(|n| relay.says(0, (20 * n).max(400), &words(n as u16, n as u32)));

    relay.run_until(640);
    let heard = relay.heard(1);

    let filled = heard.iter().filter(|packet| !is_words(packet) && packet.at_ms < 400).count();
    assert_eq!(relay.dropped, vec![Reason::Late; filled]);
    assert_unbroken(&heard);
}

fn words(sequence: u16, frame: u32) -> Said {
    Said::audio(Law::Mu, sequence, 1_000 + frame * 160, vec![WORDS; 160])
}

fn is_words(packet: &Heard) -> bool {
    packet.payload[0] == WORDS
}

/// One SSRC, numbers without a gap, and time that goes on by whole frames.
fn assert_unbroken(heard: &[Heard]) {
    for pair in heard.windows(2) {
        assert_eq!(
            pair[1].sequence,
            pair[0].sequence.wrapping_add(1),
            "{:?}",
            (pair[0].at_ms, pair[1].at_ms)
        );
        let advanced = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(advanced >= 160 && advanced.is_multiple_of(160) && advanced < 16_000, "{advanced}");
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
}

const WORDS: u8 = 0x11;

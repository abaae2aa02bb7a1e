//! Whole minutes of a relayed call in virtual time: pauses, loss, jitter, other sources, and what
//! the far end makes of it.

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

#[test]
fn packets_of_any_length_leave_in_packets_of_20_ms_with_nothing_added_and_nothing_left_out() {
    for ptime_ms in [10, 30, 40, 60, 80, 100] {
        let (mut relay, octets) = (Relay::new(MU, 0), ptime_ms * 8);
        let spoken: Vec<u8> = (0..octets * 120).map(|n| (n % 251) as u8).collect();
        for (n, payload) in spoken.chunks(octets).enumerate() {
            let timestamp = 77 + (n * octets) as u32;
            let said = Said::audio(Law::Mu, n as u16, timestamp, payload.to_vec());
            relay.says(0, (n * ptime_ms) as u64, &said);
        }

        relay.run_until(13_000);
        let heard = relay.heard(1);

        assert!(heard.iter().all(|packet| packet.payload.len() == 160), "{ptime_ms} ms");
        assert_unbroken(&heard);
        assert!(heard.iter().flat_map(|packet| packet.payload.iter()).eq(&spoken), "{ptime_ms} ms");
        let apart = heard.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms);
        assert!(apart.clone().all(|ms| (10..=30).contains(&ms)), "{ptime_ms} ms: {:?}", apart.max());
        assert_eq!(relay.dropped, []);
    }
}

#[test]
fn one_in_a_hundred_lost_and_20_ms_of_jitter_arrive_as_just_that_and_cost_nothing_else() {
    let mut relay = Relay::new(MU, 100);
    let mut random = 1_u32;
    let mut draw = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let mut lost = 0;
    for n in 0..3_000 {
        if draw(100) == 0 {
            lost += 1;
        } else {
            relay.says(0, 40 + 20 * u64::from(n) + u64::from(draw(41)), &words(n as u16, n));
        }
    }

    relay.run_until(60_200);
    let mut heard = relay.heard(1);

    let words_heard = heard.iter().filter(|packet| is_words(packet)).count();
    assert_eq!((words_heard, relay.dropped.len()), (3_000 - lost, 0));
    assert_eq!(relay.legs[0].reception.lost(), lost as u64);
    heard.retain(is_words);
    let first = heard_first(&heard);
    heard.sort_by_key(|packet| packet.sequence.wrapping_sub(first));
    for pair in heard.windows(2) {
        let numbers = u32::from(pair[1].sequence.wrapping_sub(pair[0].sequence));
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), numbers * 160);
    }
}

#[test]
fn a_source_that_changes_its_ssrc_and_its_clock_again_and_again_is_one_stream() {
    let mut relay = Relay::new([Law::A, Law::Mu], 100);
    for (spurt, n) in (0..20_u32).flat_map(|spurt| (0..25_u32).map(move |n| (spurt, n))) {
        let said = Said {
            ssrc: 1_000 + spurt,
            ..Said::audio(
                Law::A,
                (spurt * 9_001 + n) as u16,
                spurt.wrapping_mul(0x3333_3333).wrapping_add(n * 160),
                vec![WORDS; 160],
            )
        };
        relay.says(0, u64::from(20 * (spurt * 25 + n)), &said);
    }

    relay.run_until(10_050);
    let heard = relay.heard(1);

    assert_eq!((heard.len(), relay.dropped.len()), (500, 0));
    assert_unbroken(&heard);
    assert!(heard.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 160));
}

#[test]
fn one_odd_packet_in_a_stream_is_passed_on_as_it_is() {
    let mut relay = Relay::new(MU, 0);
    (0..5).for_each(|n| relay.says(0, 20 * n, &words(n as u16, n as u32)));
    relay.says(0, 100, &Said { payload: vec![WORDS; 77], ..words(5, 5) });

    relay.run_until(200);

    assert_eq!(relay.heard(1).last().map(|packet| packet.payload.len()), Some(77));
}

#[test]
fn a_peer_that_asked_for_30_ms_gets_them_from_one_that_sends_20() {
    for fill_ms in [0, 100] {
        let mut relay = Relay::new([Law::Mu, Law::A], fill_ms);
        relay.legs[1].peer.as_mut().unwrap().ptime_ms = 30;
        (0..60).for_each(|n| relay.says(0, 20 * n, &words(n as u16, n as u32)));

        relay.run_until(1_250);
        let heard = relay.heard(1);

        assert_eq!(heard.len(), 40, "fill {fill_ms}");
        assert!(heard.iter().all(|packet| packet.payload.len() == 240 && packet.payload_type == 8));
        assert!(heard.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 240));
    }
}

#[test]
fn what_is_cut_is_filled_for_in_its_pauses_and_goes_on_behind_the_silence() {
    let mut relay = Relay::new(MU, 100);
    let spurt = |relay: &mut Relay, from_ms: u64, first: u16| {
        for n in 0..11_u16 {
            let at_ms = from_ms + 30 * u64::from(n);
            let said = Said::audio(Law::Mu, first + n, at_ms as u32 * 8, vec![WORDS; 240]);
            relay.says(0, at_ms, &said);
        }
    };
    spurt(&mut relay, 0, 0);
    spurt(&mut relay, 1_000, 11);

    relay.run_until(1_320);
    let heard = relay.heard(1);

    let words: usize =
        heard.iter().filter(|packet| is_words(packet)).map(|packet| packet.payload.len()).sum();
    assert!((21 * 240..=22 * 240).contains(&words), "{words} octets");
    assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    assert!(heard.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms <= 120));
    assert_eq!(relay.dropped, []);
}

#[test]
fn words_whose_packets_fill_a_frame_only_together_end_the_silence_at_any_time_in_its_beat() {
    for (packet_ms, wanted_ms) in [(10, 20), (30, 20), (20, 30), (20, 40), (20, 60), (30, 100)] {
        for phase_ms in 0..20 {
            let mut relay = Relay::new(MU, 100);
            relay.legs[1].peer.as_mut().unwrap().ptime_ms = wanted_ms;
            for n in 0..60 {
                let ticks = n * packet_ms * 8;
                let said = Said::audio(Law::Mu, n as u16, ticks, vec![WORDS; packet_ms as usize * 8]);
                relay.says(0, 500 + phase_ms + u64::from(n * packet_ms), &said);
            }

            relay.run_until(500 + phase_ms + 60 * u64::from(packet_ms) + 50);
            let heard = relay.heard(1);

            let case = format!("{packet_ms} ms for {wanted_ms} ms, {phase_ms} ms after the beat");
            let begun = heard.iter().position(is_words).unwrap();
            let frames = 60 * packet_ms as usize / usize::from(wanted_ms);
            let words = &heard[begun..begun + frames];
            assert!(words.iter().all(|it| it.payload == vec![WORDS; usize::from(wanted_ms) * 8]), "{case}");
            assert_eq!(relay.dropped, [], "{case}");
        }
    }
}

#[test]
fn comfort_noise_is_taken_for_silence_at_once_and_is_never_passed_on() {
    let mut relay = Relay::new(MU, 200);
    (0..10).for_each(|n| relay.says(0, 20 * n, &words(n as u16, n as u32)));
    let noise = Said { payload_type: 13, payload: vec![40], ..words(10, 10) };
    relay.says(0, 200, &noise);
    (25..30).for_each(|n| relay.says(0, 20 * n, &words(n as u16 - 14, n as u32)));

    relay.run_until(620);
    let heard = relay.heard(1);

    let first_silence = heard.iter().find(|packet| !is_words(packet)).unwrap();
    assert!((220..=240).contains(&first_silence.at_ms), "{}", first_silence.at_ms);
    assert!(heard.iter().all(|packet| packet.payload_type == 0));
    assert_eq!(heard.iter().filter(|packet| is_words(packet)).count(), 15);
    assert_unbroken(&heard);
}

#[test]
fn a_talkspurt_of_a_source_whose_clock_stands_still_in_pauses_is_heard_whole_if_it_is_marked() {
    for (octets, marked, heard_of_it) in [(160, true, 25), (160, false, 22), (240, true, 25)] {
        let mut relay = Relay::new(MU, 100);
        let word = |n: u16| Said::audio(Law::Mu, n, u32::from(n) * octets, vec![WORDS; octets as usize]);
        let ms = u64::from(octets) / 8;
        (0..50).for_each(|n| relay.says(0, ms * u64::from(n), &word(n)));
        for n in 50..75 {
            let marker = marked && n == 50;
            relay.says(0, 2_000 + ms * u64::from(n), &Said { marker, ..word(n) });
        }

        relay.run_until(2_000 + ms * 75 + 20);
        let heard = relay.heard(1);

        let words = heard.iter().filter(|packet| is_words(packet)).count() as u32;
        assert_eq!(words, (50 + heard_of_it) * octets / 160, "{octets} octets, marked: {marked}");
        assert_unbroken(&heard);
    }
}

#[test]
fn a_held_side_is_sent_silence_as_far_as_its_direction_allows() {
    let mut relay = Relay::new(MU, 100);
    (0..100).for_each(|n| relay.says(0, 20 * n, &words(n as u16, n as u32)));
    relay.legs[0].peer.as_mut().unwrap().sends = false;
    relay.legs[0].peer.as_mut().unwrap().receives = false;

    relay.run_until(2_000);

    assert_eq!(relay.heard(0), []);
    let heard = relay.heard(1);
    assert!((99..=101).contains(&heard.len()) && !heard.iter().any(is_words));
    assert_unbroken(&heard);
}

fn words(sequence: u16, frame: u32) -> Said {
    Said::audio(Law::Mu, sequence, 1_000 + frame * 160, vec![WORDS; 160])
}

/// The number that the stream begins with, give or take what overtook it.
fn heard_first(heard: &[Heard]) -> u16 {
    heard[0].sequence.wrapping_sub(100)
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

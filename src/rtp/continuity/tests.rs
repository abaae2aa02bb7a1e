//! What a leg sees when sources change, jump, pause and come late.

use std::time::Duration;

use super::*;

#[test]
fn one_source_is_renumbered_by_an_addition_that_keeps_its_losses() {
    let mut stream = Stream::new();

    let sent = stream.audio(7, [65_534, 65_535, 2, 3]);

    assert_eq!(sent, [100, 101, 104, 105]);
}

#[test]
fn timestamps_follow_the_source_within_a_run() {
    let mut stream = Stream::new();

    let first = stream.packet(7, 1, 0xFFFF_FFF0, Kind::Audio);
    stream.pass(20);
    let second = stream.packet(7, 2, 0x90, Kind::Audio);

    assert_eq!(timestamps(&[first, second]), [5_000, 5_160]);
}

#[test]
fn reordered_packets_keep_their_relative_number_and_duplicates_pass_once() {
    let mut stream = Stream::new();

    let sent = stream.audio(7, [10, 12, 11, 11, 12, 13]);

    assert_eq!(sent, [100, 102, 101, 103]);
}

#[test]
fn a_new_ssrc_continues_the_sequence_and_as_much_later_as_the_pause_was_long() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 400_000, Kind::Audio);
    stream.pass(95);

    let taken_over = stream.packet(8, 60_000, 12, Kind::Audio);

    let position = Position { ssrc: 1, sequence: 101, timestamp: 5_000 + 5 * FRAME_TICKS };
    assert_eq!(taken_over, Mapped::Send { position, resumed: true });
}

#[test]
fn a_source_that_takes_over_at_once_begins_one_frame_later() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 400_000, Kind::Audio);

    let taken_over = stream.packet(8, 60_000, 12, Kind::Audio);

    assert_eq!(timestamps(&[taken_over]), [5_160]);
}

#[test]
fn a_jump_of_the_sequence_leaves_no_gap() {
    let mut stream = Stream::new();

    let forward = stream.audio(7, [10, 11, 40_000, 40_001]);
    let backward = stream.audio(7, [100, 101]);

    assert_eq!((forward, backward), (vec![100, 101, 102, 103], vec![104, 105]));
}

#[test]
fn a_source_that_restarts_a_little_behind_is_believed_at_its_second_packet() {
    let mut stream = Stream::new();
    stream.audio(7, 1_000..1_100);

    let straggler = stream.audio(7, [1_000]);
    let restarted = stream.audio(7, [500, 501, 502]);

    assert_eq!((straggler, restarted), (vec![], vec![200, 201]));
}

#[test]
fn a_source_that_restarts_among_numbers_that_were_seen_is_believed_at_its_second_packet() {
    let mut stream = Stream::new();
    stream.audio(7, 0..50);

    let mut restarted = Vec::new();
    for number in 0..50 {
        restarted.push(stream.packet(7, number, 700_000 + u32::from(number) * 160, Kind::Audio));
        stream.pass(20);
    }

    assert_eq!(restarted[0], Mapped::Late);
    assert_eq!(numbers(&restarted[1..]), (150..199).collect::<Vec<_>>());
}

#[test]
fn a_burst_of_duplicates_is_no_restart() {
    let mut stream = Stream::new();
    stream.audio(7, 0..50);

    let again = stream.audio(7, 20..50);
    let on = stream.audio(7, [50]);

    assert_eq!((again, on), (vec![], vec![150]));
}

#[test]
fn a_straggler_of_the_former_source_does_not_turn_the_stream_back() {
    let mut stream = Stream::new();
    stream.audio(7, [10, 11]);

    let sent = stream.audio(8, [500]);
    let straggler = stream.packet(7, 9, 0, Kind::Audio);
    let on = stream.audio(8, [501]);

    assert_eq!((sent, straggler, on), (vec![102], Mapped::Late, vec![103]));
}

#[test]
fn a_former_source_that_speaks_again_from_its_beginning_is_heard() {
    let mut stream = Stream::new();
    stream.audio(7, 0..50);
    stream.audio(8, [1]);

    let heard = stream.audio(7, 0..50);

    assert_eq!(heard.len(), 50 - usize::from(STRAGGLERS));
    assert_eq!(heard.first(), Some(&151));
}

#[test]
fn a_jump_of_the_clock_alone_is_smoothed_to_the_time_that_passed() {
    let mut stream = Stream::new();
    stream.packet(7, 1, 1_000, Kind::Audio);
    stream.pass(20);

    let jumped = stream.packet(7, 2, 3_000_000_000, Kind::Audio);
    stream.pass(20);
    let on = stream.packet(7, 3, 3_000_000_160, Kind::Audio);

    assert_eq!(timestamps(&[jumped, on]), [5_160, 5_320]);
}

#[test]
fn silence_suppression_keeps_the_pause_that_the_source_made() {
    let mut stream = Stream::new();
    stream.packet(7, 1, 0, Kind::Audio);
    stream.pass(10_000);

    let resumed = stream.packet(7, 2, 80_000, Kind::Audio);

    assert_eq!(timestamps(&[resumed]), [85_000]);
}

#[test]
fn the_repeated_timestamp_of_an_event_is_kept_between_audio_packets() {
    let mut stream = Stream::new();
    stream.packet(7, 1, 0, Kind::Audio);
    let mut sent = Vec::new();

    for frame in 1..300_u16 {
        stream.pass(20);
        sent.push(stream.packet(7, 2 * frame, 160, Kind::Event));
        sent.push(stream.packet(7, 2 * frame + 1, u32::from(frame) * 160, Kind::Audio));
    }

    let expected: Vec<u32> = (1..300).flat_map(|frame| [5_160, 5_000 + frame * 160]).collect();
    assert_eq!(timestamps(&sent), expected);
}

#[test]
fn a_packet_that_is_left_out_leaves_no_gap_and_a_straggler_from_before_it_keeps_its_place() {
    let mut stream = Stream::new();
    let mut sent = stream.audio(7, [10]);

    stream.skip(7, 12);
    sent.extend(stream.audio(7, [13, 11, 14]));
    stream.skip(7, 15);
    sent.extend(stream.audio(7, [16]));

    assert_eq!(sent, [100, 102, 101, 103, 104]);
}

#[test]
fn silence_continues_numbers_and_timestamps_where_the_source_left_off() {
    let mut stream = Stream::new();
    stream.audio(7, [10, 11]);

    let silence = stream.silence(100, 3);

    let position = |sequence, timestamp| Position { ssrc: 1, sequence, timestamp };
    assert_eq!(silence, [position(102, 5_320), position(103, 5_480), position(104, 5_640)]);
}

#[test]
fn silence_after_long_packets_begins_where_they_end() {
    let mut stream = Stream::new();
    stream.packet(7, 1, 0, Kind::Audio);
    stream.pass(60);
    stream.packet(7, 2, 480, Kind::Audio);

    assert_eq!(stream.silence(100, 1)[0].timestamp, 5_000 + 480 + 480);
}

#[test]
fn what_was_late_or_an_event_between_does_not_lengthen_the_packet_that_silence_follows() {
    let mut stream = Stream::new();
    stream.audio(7, 1..4);
    stream.packet(7, 4, 500, Kind::Event);
    stream.packet(7, 5, 960, Kind::Audio);

    let silence = stream.silence(100, 1);

    assert_eq!(silence[0].timestamp, 5_000 + 5 * FRAME_TICKS + FRAME_TICKS);
}

#[test]
fn a_source_that_comes_back_keeps_its_own_time_and_none_of_the_losses_that_were_filled() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 46);

    let back = stream.packet(7, 60, 9_600, Kind::Audio);
    let on = stream.packet(7, 61, 9_760, Kind::Audio);

    let position = Position { ssrc: 1, sequence: 147, timestamp: 13_000 };
    assert_eq!(back, Mapped::Send { position, resumed: true });
    assert_eq!(
        on,
        Mapped::Send { position: Position { ssrc: 1, sequence: 148, timestamp: 13_160 }, resumed: false }
    );
}

#[test]
fn of_a_delayed_burst_as_many_are_late_as_were_filled_for() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 2);

    let burst: Vec<Mapped> =
        (11..17).map(|number| stream.packet(7, number, u32::from(number) * 160, Kind::Audio)).collect();

    assert_eq!(burst[..2], [Mapped::Late, Mapped::Late]);
    assert_eq!(timestamps(&burst[2..]), [5_480, 5_640, 5_800, 5_960]);
    assert_eq!(numbers(&burst[2..]), [103, 104, 105, 106]);
}

#[test]
fn what_is_older_than_the_silence_is_late_even_when_it_was_lost_before() {
    let mut stream = Stream::new();
    stream.audio(7, [10, 12]);
    stream.silence(100, 5);
    stream.packet(7, 20, 20 * 160, Kind::Audio);

    assert_eq!(stream.packet(7, 11, 11 * 160, Kind::Audio), Mapped::Late);
    assert_eq!(stream.packet(7, 19, 19 * 160, Kind::Audio), Mapped::Late);
    assert_eq!(stream.packet(7, 19, 19 * 160, Kind::Audio), Mapped::Duplicate);
}

#[test]
fn a_source_whose_clock_stood_still_is_heard_again_after_60_ms_of_late_packets() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 50);

    let mut sent = Vec::new();
    for number in 11..16 {
        sent.push(stream.packet(7, number, u32::from(number) * 160, Kind::Audio));
        stream.pass(20);
    }

    assert_eq!(sent[..3], [Mapped::Late; 3]);
    assert_eq!(numbers(&sent[3..]), [151, 152]);
    assert_eq!(timestamps(&sent[3..]), [5_000 + 57 * 160, 5_000 + 58 * 160]);
}

#[test]
fn a_talkspurt_of_a_source_whose_clock_stood_still_is_heard_from_its_beginning() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 20);

    stream.continuity.on_talkspurt(Position { ssrc: 7, sequence: 11, timestamp: 1_760 });
    let sent = stream.audio(7, [11, 12]);

    assert_eq!(sent, [121, 122]);
}

#[test]
fn a_talkspurt_that_was_held_up_on_its_way_is_late_as_far_as_it_was_filled_for() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 20);

    stream.continuity.on_talkspurt(Position { ssrc: 7, sequence: 11, timestamp: 3_200 });

    assert_eq!(stream.packet(7, 11, 3_200, Kind::Audio), Mapped::Late);
}

#[test]
fn late_packets_far_apart_do_not_make_a_clock_that_stood_still() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 40);

    for number in 11..15 {
        assert_eq!(stream.packet(7, number, u32::from(number) * 160, Kind::Audio), Mapped::Late);
        stream.pass(201);
    }
}

#[test]
fn after_a_hold_the_first_packet_is_sent_whatever_the_clock_and_the_numbers_of_the_source_did() {
    for (number, timestamp) in [(11, 1_760), (11, 1_700), (9, 1_440), (10, 1_600), (500, 9_000_000)] {
        let mut stream = Stream::new();
        stream.packet(7, 10, 1_600, Kind::Audio);
        stream.silence(100, 50);

        stream.continuity.on_resume();
        stream.pass(20);
        let back = stream.packet(7, number, timestamp, Kind::Audio);
        stream.pass(20);
        let next = stream.packet(7, number + 1, timestamp + 160, Kind::Audio);

        assert!(matches!(back, Mapped::Send { resumed: true, .. }), "{number}: {back:?}");
        assert_eq!(numbers(&[back, next]), [151, 152], "{number}");
        assert_eq!(timestamps(&[back, next]), [5_000 + 55 * 160, 5_000 + 56 * 160], "{number}");
    }
}

#[test]
fn a_hold_that_nothing_was_sent_in_takes_its_time_and_no_numbers() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);

    stream.pass(1_000);
    stream.continuity.on_resume();
    let back = stream.packet(7, 11, 1_760, Kind::Audio);

    assert_eq!((numbers(&[back]), timestamps(&[back])), (vec![101], vec![5_000 + 50 * 160]));
}

#[test]
fn silence_before_any_source_spoke_begins_the_stream_and_the_source_follows_it() {
    let mut stream = Stream::new();

    let silence = stream.silence(0, 3);
    let spoken = stream.packet(7, 10, 123_456, Kind::Audio);

    let begins: Vec<_> = silence.iter().map(|position| (position.sequence, position.timestamp)).collect();
    assert_eq!(begins, [(100, 5_000), (101, 5_160), (102, 5_320)]);
    let position = Position { ssrc: 1, sequence: 103, timestamp: 5_480 };
    assert_eq!(spoken, Mapped::Send { position, resumed: true });
}

#[test]
fn another_source_after_silence_follows_it() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 1_600, Kind::Audio);
    stream.silence(100, 5);

    let other = stream.packet(8, 60_000, 12, Kind::Audio);

    let position = Position { ssrc: 1, sequence: 106, timestamp: 5_000 + 9 * 160 };
    assert_eq!(other, Mapped::Send { position, resumed: true });
}

#[test]
fn packets_left_out_during_silence_leave_no_gap() {
    let mut stream = Stream::new();
    stream.audio(7, [10]);
    stream.skip(7, 11);
    stream.silence(20, 2);

    stream.skip(7, 13);
    let sent = stream.packet(7, 15, 2_080, Kind::Audio);

    assert_eq!(numbers(&[sent]), [103]);
}

#[test]
fn events_during_silence_are_sent_with_the_time_the_source_gave_them() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 0, Kind::Audio);
    stream.silence(100, 2);

    let pressed = stream.packet(7, 11, 800, Kind::Event);
    let more_silence = stream.silence(20, 1);
    let held = stream.packet(7, 12, 800, Kind::Event);

    assert_eq!(
        (numbers(&[pressed, held]), timestamps(&[pressed, held])),
        (vec![103, 105], vec![5_800, 5_800])
    );
    assert_eq!((more_silence[0].sequence, more_silence[0].timestamp), (104, 5_480));
}

#[test]
fn events_of_an_ssrc_of_their_own_are_let_in_without_turning_the_audio_back() {
    let mut stream = Stream::new();
    let mut sent = vec![stream.packet(7, 10, 1_000, Kind::Audio)];
    for (sequence, timestamp) in [(500, 77), (501, 77), (501, 77), (502, 77)] {
        stream.pass(20);
        sent.push(stream.packet(9, sequence, timestamp, Kind::Event));
    }
    stream.pass(20);
    sent.push(stream.packet(9, 503, 2_000, Kind::Event));
    sent.push(stream.packet(7, 11, 1_000 + 5 * FRAME_TICKS, Kind::Audio));

    assert_eq!(sent.remove(3), Mapped::Duplicate);
    assert_eq!(numbers(&sent), [100, 101, 102, 103, 104, 105]);
    assert_eq!(timestamps(&sent), [5_000, 5_160, 5_320, 5_640, 5_800, 5_800]);
}

#[test]
fn a_packet_of_ours_between_those_of_the_source_takes_a_number_of_its_own() {
    let mut stream = Stream::new();
    let mut sent = stream.audio(7, [10, 11]);
    stream.pass(30);

    let ours = stream.continuity.insert(stream.now);
    sent.extend(stream.audio(7, [14, 12, 13]));

    assert_eq!((ours.sequence, ours.timestamp), (102, 5_400));
    assert_eq!(sent, [100, 101, 105, 103, 104]);
    assert_eq!(stream.packet(7, 10, 0, Kind::Audio), Mapped::Duplicate);
}

#[test]
fn a_new_source_has_nothing_before_its_first_packet() {
    let mut stream = Stream::new();
    stream.audio(7, [10, 11]);
    stream.audio(8, [500]);

    assert_eq!(stream.packet(8, 499, 499 * 160, Kind::Audio), Mapped::Late);
}

#[test]
fn a_clock_that_runs_backwards_is_smoothed_to_the_time_that_passed() {
    let mut stream = Stream::new();
    stream.packet(7, 1, 8_000, Kind::Audio);
    stream.pass(20);

    let turned_back = stream.packet(7, 2, 160, Kind::Audio);
    stream.pass(20);
    let on = stream.packet(7, 3, 320, Kind::Audio);

    assert_eq!(timestamps(&[turned_back, on]), [5_160, 5_320]);
}

#[test]
fn audio_that_was_overtaken_by_an_event_is_where_silence_continues() {
    let mut stream = Stream::new();
    stream.packet(7, 10, 0, Kind::Audio);
    stream.packet(7, 12, 320, Kind::Event);

    let overtaken = stream.packet(7, 11, 160, Kind::Audio);

    assert_eq!(timestamps(&[overtaken]), [5_160]);
    assert_eq!(stream.silence(100, 1)[0].timestamp, 5_320);
}

#[test]
fn an_overtaken_packet_of_another_time_is_late() {
    let mut stream = Stream::new();
    stream.audio(7, [10, 11, 14]);

    assert_eq!(stream.packet(7, 12, 2_000_000, Kind::Audio), Mapped::Late);
    assert_eq!(stream.packet(7, 13, 4_000_000_000, Kind::Audio), Mapped::Late);
}

/// A stream that begins at SSRC 1, sequence 100, timestamp 5000.
struct Stream {
    continuity: Continuity,
    now: Instant,
}

impl Stream {
    fn new() -> Self {
        let first = Position { ssrc: 1, sequence: 100, timestamp: 5_000 };
        Self { continuity: Continuity::new(first), now: Instant::now() }
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: u32, kind: Kind) -> Mapped {
        self.continuity.map(Position { ssrc, sequence, timestamp }, kind, self.now)
    }

    /// `packets` of silence, the first in `ms` and then every 20 ms.
    fn silence(&mut self, ms: u64, packets: usize) -> Vec<Position> {
        let mut sent = Vec::new();
        for wait in std::iter::once(ms).chain(std::iter::repeat(20)).take(packets) {
            self.pass(wait);
            sent.push(self.continuity.fill(self.now));
        }
        sent
    }

    fn skip(&mut self, ssrc: u32, sequence: u16) {
        self.continuity.skip(Position { ssrc, sequence, timestamp: 0 });
    }

    /// The numbers under which packets of `ssrc` are sent.
    fn audio(&mut self, ssrc: u32, sequences: impl IntoIterator<Item = u16>) -> Vec<u16> {
        let sent = sequences.into_iter().filter_map(|sequence| {
            match self.packet(ssrc, sequence, u32::from(sequence) * FRAME_TICKS, Kind::Audio) {
                Mapped::Send { position, .. } => Some(position.sequence),
                Mapped::Duplicate | Mapped::Late => None,
            }
        });
        sent.collect()
    }
}

fn timestamps(sent: &[Mapped]) -> Vec<u32> {
    positions(sent).map(|position| position.timestamp).collect()
}

fn numbers(sent: &[Mapped]) -> Vec<u16> {
    positions(sent).map(|position| position.sequence).collect()
}

fn positions(sent: &[Mapped]) -> impl Iterator<Item = Position> {
    sent.iter().map(|mapped| match mapped {
        Mapped::Send { position, .. } => *position,
        Mapped::Duplicate | Mapped::Late => panic!("{mapped:?} was not sent"),
    })
}

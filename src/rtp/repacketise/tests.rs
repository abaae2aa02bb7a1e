//! Packets of every length, lost, reordered and paused, cut into frames.

use proptest::prelude::*;

use super::*;

#[test]
fn frames_of_20_ms_are_cut_from_longer_packets_and_joined_from_shorter_ones() {
    for packet_ms in [10_u32, 20, 30, 40, 50, 60, 200] {
        let packets = 600 / packet_ms;
        let mut cutter = Cutter::new(20);

        let frames: Vec<Sent> = (0..packets).flat_map(|n| cutter.packet(n, packet_ms * 8)).collect();

        let expected: Vec<Sent> = (0..30).map(|n| Sent::whole(100 + n, 160)).collect();
        assert_eq!(frames, expected, "{packet_ms} ms");
    }
}

#[test]
fn any_length_is_cut_to_the_length_that_was_asked_for() {
    for ptime_ms in [10_u8, 30, 60, 100] {
        let ticks = usize::from(ptime_ms) * 8;
        let mut cutter = Cutter::new(ptime_ms);

        let frames: Vec<Sent> = (0..200).flat_map(|n| cutter.packet(n, 163)).collect();

        let expected: Vec<Sent> =
            (0..200 * 163 / ticks).map(|n| Sent::whole(100 + n as u16, ticks)).collect();
        assert_eq!(frames, expected, "{ptime_ms} ms");
    }
}

#[test]
fn frames_of_one_packet_are_spaced_in_time_and_the_first_bears_its_marker() {
    let mut repacketiser = Repacketiser::new(Shape { ptime_ms: 20, from: Law::Mu, to: Law::Mu });

    let mut cut = repacketiser.push(at(100, 0), true, &[1; 480]).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = cut.next_frame() {
        frames.push((frame.marker, frame.after.as_millis()));
    }

    assert_eq!(frames, [(true, 0), (false, 20), (false, 40)]);
}

#[test]
fn lost_packets_stay_lost_and_others_keep_number_and_time() {
    let mut cutter = Cutter::new(20);

    let mut frames = cutter.packet(0, 480);
    frames.extend(cutter.packet(2, 480));

    let numbers: Vec<_> = frames.iter().map(|frame| (frame.sequence, frame.timestamp)).collect();
    assert_eq!(numbers, [(100, 0), (101, 160), (102, 320), (106, 960), (107, 1_120), (108, 1_280)]);
}

#[test]
fn half_a_frame_whose_other_half_was_lost_leaves_when_it_is_three_slots_old() {
    let mut cutter = Cutter::new(20);

    let frames: Vec<Sent> = [0, 1, 2, 4, 5, 6, 7, 8].into_iter().flat_map(|n| cutter.packet(n, 80)).collect();

    let half = Sent { sequence: 101, timestamp: 160, payload: stretch(160, 80) };
    let whole = [0, 2, 3].map(|n| Sent::whole(100 + n, 160));
    assert_eq!(frames, [&whole[..], &[half]].concat());
}

#[test]
fn packets_that_overtook_each_other_are_joined_all_the_same() {
    let mut cutter = Cutter::new(20);

    let frames: Vec<Sent> = [0, 2, 1, 4, 3, 5].into_iter().flat_map(|n| cutter.packet(n, 80)).collect();

    assert_eq!(frames, [0, 1, 2].map(|n| Sent::whole(100 + n, 160)));
}

#[test]
fn a_long_packet_that_was_overtaken_has_its_frames_where_they_belong() {
    let mut cutter = Cutter::new(20);

    let frames: Vec<Sent> = [0, 2, 1].into_iter().flat_map(|n| cutter.packet(n, 480)).collect();

    assert_eq!(frames, [0, 1, 2, 6, 7, 8, 3, 4, 5].map(|n| Sent::whole(100 + n, 160)));
}

#[test]
fn what_comes_after_its_slot_left_goes_as_it_is() {
    let mut cutter = Cutter::new(20);
    for n in [0, 2, 3, 4] {
        cutter.packet(n, 240);
    }

    let frames = cutter.packet(1, 240);

    let position: Vec<_> =
        frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
    assert_eq!(position, [(101, 240, 80), (102, 320, 160)]);
}

#[test]
fn a_pause_sends_what_began_and_leaves_no_gap_in_the_numbers() {
    let mut cutter = Cutter::new(20);
    let mut frames = cutter.packet(0, 240);

    frames.extend(cutter.at(1, 8_000, 240));

    let position: Vec<_> =
        frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
    assert_eq!(position, [(100, 0, 160), (101, 160, 80), (102, 8_000, 160)]);
}

#[test]
fn a_jump_of_the_numbers_goes_on_without_a_gap() {
    let mut cutter = Cutter::new(20);
    let mut frames = cutter.packet(0, 320);

    frames.extend(cutter.at(40_000, 77, 320));

    let numbers: Vec<_> = frames.iter().map(|frame| frame.sequence).collect();
    assert_eq!(numbers, [100, 101, 102, 103]);
}

#[test]
fn flushing_sends_what_began_and_the_source_goes_on_behind_it() {
    let mut cutter = Cutter::new(20);
    let mut frames = cutter.packet(0, 240);

    frames.extend(sent(cutter.repacketiser.flush()));
    frames.extend(cutter.packet(1, 240));

    let position: Vec<_> =
        frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
    assert_eq!(position, [(100, 0, 160), (101, 160, 80), (102, 240, 160)]);
}

#[test]
fn an_event_between_frames_takes_a_number_and_keeps_its_time() {
    let mut cutter = Cutter::new(20);
    let mut numbers: Vec<_> = cutter.packet(0, 320).iter().map(|frame| frame.sequence).collect();

    let event = cutter.repacketiser.aside(at(101, 320)).unwrap();
    let again = cutter.repacketiser.aside(at(101, 320));
    numbers.extend(cutter.at(2, 320, 320).iter().map(|frame| frame.sequence));

    assert_eq!((event, again), (at(102, 320), Err(NotCut::Duplicate)));
    assert_eq!(numbers, [100, 101, 103, 104]);
}

#[test]
fn a_source_may_begin_with_an_event() {
    let mut cutter = Cutter::new(20);

    let event = cutter.repacketiser.aside(at(100, 0));
    let frames = cutter.at(1, 800, 160);

    assert_eq!((event, frames[0].sequence, frames[0].timestamp), (Ok(at(100, 0)), 101, 800));
}

#[test]
fn duplicates_stragglers_and_endless_packets_give_no_frames() {
    let mut repacketiser = Repacketiser::new(Shape { ptime_ms: 20, from: Law::Mu, to: Law::Mu });
    assert_eq!(sent(repacketiser.push(at(100, 0), false, &[0; 160]).unwrap()).len(), 1);

    let refused = |repacketiser: &mut Repacketiser, sequence, timestamp, octets: &[u8]| {
        repacketiser.push(at(sequence, timestamp), false, octets).err()
    };
    assert_eq!(refused(&mut repacketiser, 100, 0, &[0; 160]), Some(NotCut::Duplicate));
    assert_eq!(refused(&mut repacketiser, 99, 1_000_000, &[0; 160]), Some(NotCut::Late));
    assert_eq!(refused(&mut repacketiser, 1, 0, &[0; 160]), Some(NotCut::Late));
    let too_long = Some(NotCut::TooLong { octets: 1_601 });
    assert_eq!(refused(&mut repacketiser, 101, 160, &[0; 1_601]), too_long);
}

#[test]
fn laws_that_differ_are_transcoded_and_holes_are_silence() {
    let mut repacketiser = Repacketiser::new(Shape { ptime_ms: 40, from: Law::Mu, to: Law::A });
    let sevens = [Law::Mu.encode(7_000); 80];
    for n in [0_u16, 2, 3, 4, 12, 13] {
        let mut cut = repacketiser.push(at(n, u32::from(n) * 80), false, &sevens).unwrap();
        let Some(frame) = cut.next_frame() else { continue };

        let [spoken, hole] = [frame.payload[0], frame.payload[80]];
        let mut expected = [sevens[0]];
        Transcoder::new(Law::Mu, Law::A).in_place(&mut expected);
        assert_eq!(([spoken], hole), (expected, Law::A.silence()));
        return;
    }
    panic!("the frame with the hole never left");
}

proptest! {
    #[test]
    fn no_order_of_packets_panics_or_sends_without_end(
        ptime_ms in any::<u8>(),
        packets in proptest::collection::vec((any::<u32>(), 0_u16..2_000, 0..4_u16, 0..6_u8), 0..200),
    ) {
        let mut repacketiser = Repacketiser::new(Shape { ptime_ms, from: Law::A, to: Law::Mu });
        let (mut sequence, mut timestamp, mut arrived, mut left) = (0_u16, 0_u32, 0, 0);
        for (jump, octets, forward, kind) in packets {
            sequence = sequence.wrapping_add(forward).wrapping_sub(1);
            timestamp = if kind == 0 { jump } else { timestamp.wrapping_add(octets.into()) };
            let position = Position { ssrc: u32::from(kind == 1), sequence, timestamp };
            if kind == 2 {
                let _ = repacketiser.aside(position);
                continue;
            }
            let payload = vec![0; octets.into()];
            if let Ok(cut) = repacketiser.push(position, kind == 3, &payload) {
                arrived += payload.len();
                left += sent(cut).iter().map(|frame| frame.payload.len()).sum::<usize>();
            }
        }
        let slot = usize::from(ptime_ms.clamp(10, 100)) * 8;
        prop_assert!(left <= arrived + 200 * slot, "{} arrived, {} left", arrived, left);
    }
}

#[derive(Debug, PartialEq, Clone)]
struct Sent {
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Sent {
    /// The frame of the number `sequence` where all are of `ticks` and number 100 begins at 0.
    fn whole(sequence: u16, ticks: usize) -> Self {
        let timestamp = u32::from(sequence - 100) * ticks as u32;
        Self { sequence, timestamp, payload: stretch(timestamp, ticks) }
    }
}

/// A source that begins at sequence 100 and timestamp 0, and whose octets tell where they stand.
struct Cutter {
    repacketiser: Repacketiser,
}

impl Cutter {
    fn new(ptime_ms: u8) -> Self {
        Self { repacketiser: Repacketiser::new(Shape { ptime_ms, from: Law::A, to: Law::A }) }
    }

    /// The frames that come of packet `n`, where all hold as many `ticks`.
    fn packet(&mut self, n: u32, ticks: u32) -> Vec<Sent> {
        self.at(n as u16, n * ticks, ticks)
    }

    fn at(&mut self, n: u16, timestamp: u32, ticks: u32) -> Vec<Sent> {
        let payload = stretch(timestamp, ticks as usize);
        sent(self.repacketiser.push(at(100 + n, timestamp), false, &payload).unwrap())
    }
}

fn sent(mut cut: Cut<'_>) -> Vec<Sent> {
    let mut frames = Vec::new();
    while let Some(Frame { position, payload, .. }) = cut.next_frame() {
        let Position { sequence, timestamp, .. } = position;
        frames.push(Sent { sequence, timestamp, payload: payload.to_vec() });
    }
    frames
}

fn at(sequence: u16, timestamp: u32) -> Position {
    Position { ssrc: 7, sequence, timestamp }
}

fn stretch(timestamp: u32, ticks: usize) -> Vec<u8> {
    (0..ticks).map(|n| ((timestamp as usize + n) % 251) as u8).collect()
}

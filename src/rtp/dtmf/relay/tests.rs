//! Digits over a network that loses, repeats and reorders, counted by two kinds of receivers.

use proptest::prelude::*;

use super::*;

#[test]
fn a_digit_leaves_as_it_came_with_the_marker_on_its_first_packet() {
    let mut far = Far::new();

    for packet in digit(5, 1_000, 10, [160, 320, 480]) {
        far.receive(packet);
    }

    let told: Vec<_> = far.left.iter().map(|it| (it.marker, it.event.duration, it.event.end)).collect();
    let ends = [(false, 480, true); 3];
    assert_eq!(told, [&[(true, 160, false), (false, 320, false), (false, 480, false)], &ends[..]].concat());
    assert!(far.left.iter().all(|it| it.timestamp == 1_000 + OFFSET && it.event.code == 5));
}

#[test]
fn the_first_packet_that_arrives_has_the_marker() {
    let mut far = Far::new();

    for packet in digit(5, 1_000, 10, [160, 320, 480]).into_iter().skip(2) {
        far.receive(packet);
    }

    assert!(far.left.iter().enumerate().all(|(n, it)| it.marker == (n == 0)));
}

#[test]
fn digits_that_share_a_timestamp_leave_with_one_each() {
    let mut far = Far::new();

    for n in 0..3 {
        for packet in digit(5, 1_000, 10 + 6 * n, [160, 320, 480]) {
            far.receive(packet);
        }
    }

    assert_eq!(far.timestamps(), [1_000, 1_480, 1_960].map(|it| it + OFFSET));
    assert_eq!((far.begun(), far.ended()), (3, 3));
}

#[test]
fn a_digit_without_an_end_is_ended_before_the_next_begins() {
    let mut far = Far::new();

    far.receive_all(&digit(1, 1_000, 10, [160, 320])[..2]);
    far.receive_all(&digit(2, 5_000, 20, [160, 320]));

    let third = far.left[2];
    assert_eq!((third.event.code, third.event.end, third.event.duration), (1, true, 320));
    assert_eq!((third.timestamp, third.marker), (1_000 + OFFSET, false));
    assert!(far.left[3].marker && far.left[3].event.code == 2);
}

#[test]
fn a_digit_whose_source_falls_silent_is_ended_three_times_and_what_still_comes_is_stale() {
    let mut far = Far::new();
    let packets = digit(1, 1_000, 10, [160, 320]);
    far.receive_all(&packets[..2]);
    let silent_since = far.now;

    far.wait(Duration::from_secs(1));
    let ends: Vec<_> = far.left[2..].iter().map(|it| (it.event.end, it.event.duration)).collect();
    let first_end = far.last_due.map(|due| due - silent_since);
    far.receive_all(&packets[2..]);

    assert_eq!(ends, [(true, 320); 3]);
    assert_eq!(first_end, Some(PATIENCE + 2 * APART));
    assert_eq!((far.left.len(), far.relay.next_deadline()), (5, None));
}

#[test]
fn stragglers_of_the_digit_before_are_stale() {
    let mut far = Far::new();
    let first = digit(1, 1_000, 10, [160, 320]);

    far.receive_all(&first[..3]);
    far.receive_all(&digit(2, 5_000, 20, [160])[..1]);
    let stale = first[3..].iter().all(|&packet| !far.receive(packet));

    assert!(stale);
    assert_eq!((far.begun(), far.livekit_digits()), (2, 2));
}

#[test]
fn a_press_too_long_for_one_duration_stays_one_digit() {
    let mut far = Far::new();
    let long =
        |timestamp, sequence, duration| Packet { marker: false, ..packet(7, timestamp, sequence, duration) };

    far.receive(packet(7, 1_000, 10, 160));
    far.receive(long(1_000, 11, 0xFFFF));
    far.receive(long(1_000 + 0xFFFF, 12, 0xFF00));
    far.receive(long(1_000 + 2 * 0xFFFF, 14, 160));

    let segments = [(0, true), (0, false), (0xFFFF, false), (2 * 0xFFFF, false)];
    let left: Vec<_> = far.left.iter().map(|it| (it.timestamp - 1_000 - OFFSET, it.marker)).collect();
    assert_eq!((left, far.ended()), (segments.to_vec(), 0));
}

#[test]
fn a_source_that_numbers_anew_is_heard_at_once() {
    let mut far = Far::new();

    far.receive_all(&digit(1, 900_000, 30_000, [160]));
    far.receive_all(&digit(2, 40, 7, [160]));
    for packet in digit(3, 0, 7, [160]) {
        far.receive(Packet { source: Position { ssrc: 99, ..packet.source }, ..packet });
    }

    assert_eq!((far.begun(), far.ended()), (3, 3));
}

#[test]
fn a_marker_on_every_packet_makes_no_more_digits() {
    let mut far = Far::new();

    for packet in digit(1, 1_000, 10, [160, 320, 480]) {
        far.receive(Packet { marker: true, ..packet });
    }

    assert_eq!((far.begun(), far.livekit_digits()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_many_digits_leave_as_arrive_whatever_the_network_does(
        codes in proptest::collection::vec(0_u8..16, 1..12),
        fates in proptest::collection::vec(0_u8..8, 96),
        with_timestamps in any::<bool>(),
    ) {
        let mut far = Far::new();
        let mut arrived_digits = 0;
        for (n, &code) in codes.iter().enumerate() {
            let timestamp = if with_timestamps { 1_000 + 2_400 * n as u32 } else { 1_000 };
            let mut packets = digit(code, timestamp, 8 * n as u16, [160, 320, 480, 640, 800]);
            for (place, &fate) in fates[8 * n..8 * n + 8].iter().enumerate().rev() {
                match fate {
                    // Without timestamps nothing but these two tells the digits apart.
                    0 | 1 if with_timestamps || (1..5).contains(&place) => drop(packets.remove(place)),
                    2 if place + 1 < packets.len() && place > 0 => packets.swap(place, place + 1),
                    3 => packets.insert(place, packets[place]),
                    _ => {}
                }
            }
            arrived_digits += usize::from(!packets.is_empty());
            far.receive_all(&packets);
            far.wait(Duration::from_millis(150));
        }
        far.wait(Duration::from_secs(1));

        prop_assert_eq!(far.begun(), arrived_digits);
        prop_assert_eq!(far.ended(), arrived_digits);
        prop_assert_eq!(far.livekit_digits(), arrived_digits);
    }

    #[test]
    fn no_sequence_of_payloads_panics(
        packets in proptest::collection::vec((any::<[u8; 4]>(), 0_u32..3, any::<(u16, u32, bool)>()), 0..50),
    ) {
        let mut far = Far::new();
        for (payload, ssrc, (sequence, timestamp, marker)) in packets {
            let Some(event) = Event::parse(&payload) else { continue };
            far.receive(Packet { source: Position { ssrc, sequence, timestamp }, marker, event });
        }
        far.wait(Duration::from_secs(2));
        prop_assert_eq!(far.relay.next_deadline(), None);
    }
}

/// How far the leg's clock is ahead of the source's.
const OFFSET: u32 = 7_000_000;

#[derive(Clone, Copy, Debug)]
struct Packet {
    source: Position,
    marker: bool,
    event: Event,
}

/// The far leg: what leaves toward it.
struct Far {
    relay: EventRelay,
    left: Vec<EventPacket>,
    now: Instant,
    last_due: Option<Instant>,
}

impl Far {
    fn new() -> Self {
        Self { relay: EventRelay::default(), left: Vec::new(), now: Instant::now(), last_due: None }
    }

    /// Whether it is relayed.
    fn receive(&mut self, packet: Packet) -> bool {
        let Packet { source, marker, event } = packet;
        self.wait(Duration::from_millis(20));
        let Some(placing) = self.relay.on_packet(source, marker, event, self.now) else { return false };
        self.left.extend(placing.owed());
        self.left.push(placing.place(source.timestamp.wrapping_add(OFFSET)));
        true
    }

    fn receive_all(&mut self, packets: &[Packet]) {
        for &packet in packets {
            self.receive(packet);
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.relay.next_deadline().filter(|&due| due <= until) {
            self.left.extend(self.relay.on_time(due));
            self.last_due = Some(due);
        }
        self.now = until;
    }

    fn timestamps(&self) -> Vec<u32> {
        let mut timestamps: Vec<u32> = self.left.iter().map(|it| it.timestamp).collect();
        timestamps.dedup();
        timestamps
    }

    /// Digits, to a receiver that goes by markers.
    fn begun(&self) -> usize {
        self.left.iter().filter(|it| it.marker).count()
    }

    /// Digits, to one that counts the timestamps that ended.
    fn ended(&self) -> usize {
        let mut ended: Vec<u32> = self.left.iter().filter(|it| it.event.end).map(|it| it.timestamp).collect();
        ended.sort_unstable();
        ended.dedup();
        ended.len()
    }

    /// Digits, to LiveKit: each packet whose timestamp is not that of the packet before.
    fn livekit_digits(&self) -> usize {
        self.timestamps().len()
    }
}

/// Updates of growing duration, and three ends.
fn digit<const N: usize>(code: u8, timestamp: u32, sequence: u16, durations: [u16; N]) -> Vec<Packet> {
    let longest = durations[N - 1];
    let ends = [Packet { marker: false, ..packet(code, timestamp, 0, longest) }; 3]
        .map(|it| Packet { event: Event { end: true, ..it.event }, ..it });
    let updates = durations.map(|duration| packet(code, timestamp, 0, duration));
    let mut packets = [&updates[..], &ends].concat();
    for (packet, sequence) in packets.iter_mut().zip(sequence..) {
        packet.source.sequence = sequence;
    }
    packets
}

fn packet(code: u8, timestamp: u32, sequence: u16, duration: u16) -> Packet {
    let source = Position { ssrc: 3, sequence, timestamp };
    Packet { source, marker: duration == 160, event: Event { code, end: false, volume: 10, duration } }
}

//! Two sessions report to each other over a network of known delay and loss.

use proptest::prelude::*;

use super::super::MAX_BYTES;
use super::super::read::Blocks;
use super::*;
use crate::rtp::continuity::Position;
use crate::rtp::stats::Arrival;

#[test]
fn a_round_trip_is_what_the_wire_took_and_not_what_the_peer_waited() {
    let mut pair = Pair::new();
    pair.speak(50, |_| true);
    pair.report_from(0, ms(60));
    pair.now += ms(2_345);
    pair.report_from(1, ms(80));

    let peer = pair.sessions[0].peer().unwrap();

    let round_trip = peer.round_trip.unwrap();
    assert!(round_trip.abs_diff(ms(140)) < ms(1), "{round_trip:?}");
    assert_eq!(
        pair.sessions[1].peer(),
        None,
        "the other one was sent nothing, and so nothing of it was reported"
    );
}

#[test]
fn the_peer_reports_the_part_lost_since_its_last_report_and_the_whole() {
    let mut pair = Pair::new();
    pair.speak(100, |_| true);
    pair.report_from(1, ms(0));
    let at_first = pair.sessions[0].peer();
    pair.speak(100, |n| n % 4 != 1);
    pair.report_from(1, ms(0));
    let then = pair.sessions[0].peer();
    pair.speak(100, |_| true);
    pair.report_from(1, ms(0));
    let at_last = pair.sessions[0].peer();

    let seen = [at_first, then, at_last].map(|peer| peer.map(|peer| (peer.loss, peer.lost)));
    assert_eq!(seen, [Some((0.0, 0)), Some((0.25, 25)), Some((0.0, 25))]);
}

#[test]
fn who_sends_writes_sender_reports_and_who_stopped_two_intervals_ago_does_not() {
    let mut pair = Pair::new();
    pair.speak(3, |_| true);

    let kinds = [(); 4].map(|()| {
        pair.now += ms(7_000);
        let datagram = pair.written_by(0);
        match Compound::parse(&datagram).unwrap().packets().next() {
            Some(Packet::SenderReport { sender, .. }) => Some((sender.packets, sender.octets)),
            Some(Packet::ReceiverReport { .. }) => None,
            other => panic!("{other:?}"),
        }
    });

    assert_eq!(kinds, [Some((3, 480)), Some((3, 480)), None, None]);
}

#[test]
fn a_source_that_was_not_heard_since_the_last_report_has_no_block() {
    let mut pair = Pair::new();
    pair.speak(3, |_| true);

    let blocks = [(); 2].map(|()| {
        pair.now += ms(7_000);
        blocks_of(&pair.written_by(1))
    });

    assert_eq!(blocks.each_ref().map(Vec::len), [1, 0]);
    assert_eq!((blocks[0][0].ssrc, blocks[0][0].highest), (SSRCS[0], 2));
}

#[test]
fn a_source_that_begins_anew_is_reported_from_its_beginning() {
    let mut pair = Pair::new();
    pair.speak(100, |n| n % 2 == 0);
    pair.now += ms(7_000);
    pair.written_by(1);
    pair.arrive(40_000);
    pair.arrive(40_003);
    pair.now += ms(7_000);

    let block = blocks_of(&pair.written_by(1))[0];

    assert_eq!((block.fraction_lost, block.lost, block.highest), (128, 2, 40_003));
}

#[test]
fn the_delay_since_a_sender_report_is_told_only_of_its_own_source_and_until_it_leaves() {
    let mut pair = Pair::new();
    pair.speak(3, |_| true);
    let from_the_source = pair.written_by_after(0, ms(7_000));
    pair.sessions[1].on_datagram(&from_the_source, pair.now).unwrap();
    let heard = blocks_of(&pair.written_by_after(1, ms(7_000)))[0];
    pair.speak(1, |_| true);
    let mut from_another = from_the_source.clone();
    from_another[7] ^= 1;
    pair.sessions[1].on_datagram(&from_another, pair.now).unwrap();
    let of_another = blocks_of(&pair.written_by_after(1, ms(7_000)))[0];
    pair.sessions[1].on_datagram(&from_the_source, pair.now).unwrap();
    pair.speak(1, |_| true);
    let bye = [0x81, 203, 0, 1, 0, 0, 0, SSRCS[0] as u8];
    pair.sessions[1].on_datagram(&bye, pair.now).unwrap();
    let left = blocks_of(&pair.written_by_after(1, ms(7_000)))[0];

    assert_eq!(heard.delay, 7 << 16);
    assert_ne!(heard.last_report, 0);
    assert_eq!((of_another.last_report, of_another.delay), (0, 0));
    assert_eq!((left.last_report, left.delay), (0, 0));
}

#[test]
fn the_farewell_goes_out_at_once_but_not_from_one_that_was_never_heard() {
    let mut pair = Pair::new();
    let mut bytes = [0; MAX_BYTES];
    let unheard = pair.goodbye_of(0, &mut bytes);
    let mut pair = Pair::new();
    pair.speak(1, |_| true);
    let length = pair.goodbye_of(0, &mut bytes);
    let again = pair.goodbye_of(0, &mut [0; MAX_BYTES]);

    let says_goodbye = Compound::parse(&bytes[..length])
        .unwrap()
        .packets()
        .any(|packet| matches!(packet, Packet::Goodbye(sources) if sources.iter().eq([SSRCS[0]])));
    assert_eq!((unheard, says_goodbye, again), (0, true, 0));
    assert_eq!(pair.sessions[0].next_deadline(), None);
}

#[test]
fn a_round_trip_that_can_not_be_is_not_believed_and_the_last_good_one_stays() {
    let mut pair = Pair::new();
    let clock = pair.sessions[0].clock;
    let middle = clock.at(pair.now).middle();
    let mut told = |last_report: u32, delay: u32, at: Instant| {
        let block = ReportBlock { ssrc: SSRCS[0], last_report, delay, ..NOTHING };
        pair.sessions[0].on_block(block, at);
        pair.sessions[0].peer().and_then(|peer| peer.round_trip)
    };
    let later = pair.now + ms(500);

    assert_eq!(told(0, 0, later), None);
    assert_eq!(told(middle, 3 << 14, later), None, "held longer than it took");
    assert_eq!(told(middle.wrapping_sub(60 << 16), 0, later), None, "a minute on the wire");
    assert_eq!(told(middle, 1 << 14, later), Some(ms(250)));
    assert_eq!(told(0, 0, later), Some(ms(250)));
    assert_eq!(told(middle, (1 << 15) + 10, later), Some(Duration::ZERO), "a rounding below nothing");
}

#[test]
fn blocks_about_others_and_what_is_no_report_change_nothing() {
    let mut pair = Pair::new();
    pair.speak(10, |_| true);
    let mut about_another = pair.written_by_after(1, ms(7_000));
    about_another[11] ^= 1;

    pair.sessions[0].on_datagram(&about_another, pair.now).unwrap();
    let refused = pair.sessions[0].on_datagram(&[0x81, 201, 0, 7, 0], pair.now);

    assert_eq!((pair.sessions[0].peer(), refused), (None, Err(NotRtcp::Truncated)));
}

proptest! {
    #[test]
    fn whatever_a_peer_sends_the_next_report_is_valid(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..8),
        sequences in proptest::collection::vec(any::<u16>(), 0..60),
        kind in 199_u8..205,
    ) {
        let mut pair = Pair::new();
        for (n, mut datagram) in datagrams.into_iter().enumerate() {
            if let [first, second, high, low, ..] = datagram.as_mut_slice() {
                (*first, *second, *high, *low) = (0x80 | *first & 3, kind, 0, 6);
            }
            let _ = pair.sessions[1].on_datagram(&datagram, pair.now + ms(n as u64));
        }
        for sequence in sequences {
            pair.arrive(sequence);
        }

        let datagram = pair.written_by_after(1, ms(7_000));

        prop_assert!(blocks_of(&datagram).len() < 2);
    }
}

const SSRCS: [u32; 2] = [7, 9];
const NOTHING: ReportBlock =
    ReportBlock { ssrc: 0, fraction_lost: 0, lost: 0, highest: 0, jitter_ticks: 0, last_report: 0, delay: 0 };

/// Two ends; the first one sends, the other one receives.
struct Pair {
    sessions: [Session; 2],
    receptions: [Reception; 2],
    sequence: u16,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let clocks = [1_700_000_000, 1_600_000_000].map(|s| NtpClock::new(now, Duration::from_secs(s)));
        let sessions = [0, 1].map(|end: usize| {
            let mut session = Session::new(SSRCS[end], Cname::from_random(end as u128), clocks[end]);
            session.start(now, 0);
            session
        });
        Self { sessions, receptions: Default::default(), sequence: 0, now }
    }

    /// Sends packets, of which those arrive that `arrives` says.
    fn speak(&mut self, packets: u16, arrives: impl Fn(u16) -> bool) {
        for n in 0..packets {
            self.now += ms(20);
            self.sessions[0].on_sent(1, 160);
            if arrives(n) {
                self.arrive(self.sequence);
            }
            self.sequence += 1;
        }
    }

    fn arrive(&mut self, sequence: u16) {
        let position = Position { ssrc: SSRCS[0], sequence, timestamp: u32::from(sequence) * 160 };
        self.receptions[1].on_packet(Arrival { position, is_audio: true, bytes: 172, at: self.now });
    }

    /// What an end writes, after as many questions as its schedule needs.
    fn written_by(&mut self, end: usize) -> Vec<u8> {
        let mut bytes = [0; MAX_BYTES];
        let view = View { now: self.now, timestamp: 160, reception: &self.receptions[end] };
        let length = self.sessions[end].on_time(view, 0, &mut bytes);
        assert!(length > 0, "no report is due");
        bytes[..length].to_vec()
    }

    fn written_by_after(&mut self, end: usize, time: Duration) -> Vec<u8> {
        self.now += time;
        self.written_by(end)
    }

    /// An end writes a report 7 s later, which then takes `on_the_wire`.
    fn report_from(&mut self, end: usize, on_the_wire: Duration) {
        let datagram = self.written_by_after(end, ms(7_000));
        self.now += on_the_wire;
        self.sessions[1 - end].on_datagram(&datagram, self.now).unwrap();
    }

    fn goodbye_of(&mut self, end: usize, bytes: &mut [u8]) -> usize {
        let view = View { now: self.now, timestamp: 0, reception: &self.receptions[end] };
        self.sessions[end].goodbye(view, bytes)
    }
}

fn blocks_of(datagram: &[u8]) -> Vec<ReportBlock> {
    let blocks = |packet| match packet {
        Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => Some(blocks),
        Packet::Goodbye(_) | Packet::Other => None,
    };
    Compound::parse(datagram).unwrap().packets().filter_map(blocks).flat_map(Blocks::iter).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

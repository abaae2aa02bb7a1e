//! The pure path of a packet from one leg to the other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

use super::*;
use crate::media::latch::Latch;
use crate::media::latch::Signalled;
use crate::rtp::g711::{Law, Transcoder};
use crate::rtp::payload::PayloadTypes;

#[test]
fn a_packet_is_rewritten_into_the_other_legs_stream() {
    let mut call = Call::connected();

    let sent = call.speak(&Said { payload_type: 0, ..AUDIO }).unwrap();

    let reader = RtpReader::new(&sent).unwrap();
    let mut expected = [0x55; 160];
    Transcoder::new(Law::Mu, Law::A).in_place(&mut expected);
    assert_eq!((reader.payload_type(), reader.mark(), reader.payload()), (8, true, &expected[..]));
    assert_eq!((reader.ssrc(), reader.timestamp()), (0xBBBB, 90_000));
    assert_eq!(reader.sequence_number(), Seq::from(900));
}

#[test]
fn telephone_events_go_out_under_the_other_legs_payload_type() {
    let mut call = Call::connected();

    let sent = call.speak(&Said { payload_type: 96, ..AUDIO }).unwrap();

    assert_eq!(RtpReader::new(&sent).unwrap().payload_type(), 101);
}

#[test]
fn events_under_our_number_or_an_ssrc_of_their_own_pass_and_harm_neither_audio_nor_its_statistics() {
    let mut call = Call::connected();
    call.caller.peer.as_mut().unwrap().payload_types.our_event = Some(101);

    let sent = [(77, 1, 0), (5, 9_000, 101), (77, 2, 0)].map(|(ssrc, sequence, payload_type)| {
        let sent = call.speak(&Said { ssrc, sequence, payload_type, ..AUDIO }).unwrap();
        let reader = RtpReader::new(&sent).unwrap();
        (reader.payload_type(), u16::from(reader.sequence_number()), reader.mark())
    });

    assert_eq!(sent, [(8, 900, true), (101, 901, true), (8, 902, false)]);
    assert_eq!((call.caller.reception.received(), call.caller.reception.lost()), (3, 0));
    assert_eq!(call.caller.reception.source().map(|source| source.received), Some(2));
}

#[test]
fn events_are_dropped_where_the_other_leg_has_none_and_leave_no_gap() {
    let mut call = Call::connected();
    call.callee.peer.as_mut().unwrap().payload_types.event = None;
    let mut numbers = Vec::new();

    for (sequence, payload_type) in [(1, 0), (2, 96), (3, 96), (4, 0)] {
        numbers.push(call.speak(&Said { sequence, payload_type, ..AUDIO }).map(|sent| sequence_of(&sent)));
    }

    let dropped = Err(Reason::UnknownPayload);
    assert_eq!(numbers, [Ok(900), dropped, dropped, Ok(901)]);
    assert_eq!((call.caller.reception.received(), call.caller.reception.lost()), (4, 0));
}

#[test]
fn a_payload_type_that_was_not_negotiated_is_dropped_but_the_peer_was_heard() {
    let mut call = Call::connected();

    let verdict = call.speak(&Said { payload_type: 19, ..AUDIO });

    assert_eq!(verdict, Err(Reason::UnknownPayload));
    assert_eq!(call.caller.heard, Some(call.now));
}

#[test]
fn a_strangers_packet_leaves_no_trace_but_a_count() {
    let mut call = Call::connected();
    call.speak(&AUDIO).unwrap();

    let injected = call.speak(&Said { source: "192.0.2.66:6666", sequence: 2, ..AUDIO });
    let next = call.speak(&Said { sequence: 2, ..AUDIO }).map(|sent| sequence_of(&sent));

    assert_eq!((injected, next), (Err(Reason::Stranger), Ok(901)));
    assert_eq!((call.caller.strangers.packets(), call.caller.reception.received()), (1, 2));
}

#[test]
fn a_duplicate_is_relayed_and_counted_once() {
    let mut call = Call::connected();
    call.speak(&AUDIO).unwrap();

    assert_eq!(call.speak(&AUDIO), Err(Reason::Duplicate));
    assert_eq!(call.caller.reception.received(), 1);
}

#[test]
fn another_source_of_the_peer_starts_a_talkspurt_of_the_same_stream() {
    let mut call = Call::connected();
    call.speak(&AUDIO).unwrap();

    let [first, second] =
        [5_000, 5_001].map(|sequence| call.speak(&Said { ssrc: 78, sequence, ..AUDIO }).unwrap());

    let (first, second) = (RtpReader::new(&first).unwrap(), RtpReader::new(&second).unwrap());
    assert_eq!((first.ssrc(), first.mark(), second.mark()), (0xBBBB, true, false));
}

#[test]
fn hold_drops_packets_and_its_end_leaves_no_gap() {
    let mut call = Call::connected();
    call.speak(&Said { sequence: 1, ..AUDIO }).unwrap();

    call.callee.peer.as_mut().unwrap().receives = false;
    let held = call.speak(&Said { sequence: 2, ..AUDIO });
    call.callee.peer.as_mut().unwrap().receives = true;
    let resumed = call.speak(&Said { sequence: 3, ..AUDIO }).map(|sent| sequence_of(&sent));

    assert_eq!((held, resumed), (Err(Reason::Muted), Ok(901)));
}

#[test]
fn before_a_leg_has_a_session_description_nothing_passes_either_way() {
    let mut call = Call::connected();

    call.callee.peer = None;
    assert_eq!(call.speak(&AUDIO), Err(Reason::NoPeer));
    call.caller.peer = None;
    assert_eq!(call.speak(&AUDIO), Err(Reason::NoPeer));
}

#[test]
fn a_peer_that_can_not_be_sent_to_yet_costs_no_numbers() {
    let mut call = Call::connected();
    call.callee.peer = Some(peer("0.0.0.0:0", PayloadTypes { audio: 8, event: None, our_event: None }));

    assert_eq!(call.speak(&Said { sequence: 1, ..AUDIO }), Err(Reason::NoDestination));
    call.callee.peer =
        Some(peer("198.51.100.8:5000", PayloadTypes { audio: 8, event: None, our_event: None }));
    assert_eq!(call.speak(&Said { sequence: 2, ..AUDIO }).map(|sent| sequence_of(&sent)), Ok(900));
}

#[test]
fn every_reason_stands_at_its_index_under_a_name_of_its_own() {
    let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();

    assert!(Reason::ALL.iter().enumerate().all(|(place, reason)| reason.index() == place));
    assert_eq!(names.len(), Reason::ALL.len());
}

/// What the caller says.
struct Said {
    source: &'static str,
    payload_type: u8,
    sequence: u16,
    ssrc: u32,
}

const AUDIO: Said = Said { source: "198.51.100.7:4000", payload_type: 0, sequence: 1, ssrc: 77 };

struct Call {
    caller: Leg,
    callee: Leg,
    now: Instant,
}

impl Call {
    fn connected() -> Self {
        let mut caller = Leg::new(Position { ssrc: 0xAAAA, sequence: 1, timestamp: 1 });
        caller.peer = Some(peer(AUDIO.source, PayloadTypes { audio: 0, event: Some(96), our_event: None }));
        let mut callee = Leg::new(Position { ssrc: 0xBBBB, sequence: 900, timestamp: 90_000 });
        callee.peer =
            Some(peer("198.51.100.8:5000", PayloadTypes { audio: 8, event: Some(101), our_event: None }));
        Self { caller, callee, now: Instant::now() }
    }

    fn speak(&mut self, said: &Said) -> Result<Vec<u8>, Reason> {
        self.now += Duration::from_millis(20);
        let mut datagram = RtpPacketBuilder::new()
            .payload_type(said.payload_type)
            .marked(said.sequence == 1)
            .sequence(Seq::from(said.sequence))
            .timestamp(u32::from(said.sequence) * 160)
            .ssrc(said.ssrc)
            .payload(if said.payload_type < 96 { &[0x55; 160] } else { &[5, 10, 0, 160] })
            .build()
            .unwrap();
        let source = said.source.parse().unwrap();
        match forward(&mut datagram, source, self.now, &mut self.caller, &mut self.callee, &mut Never) {
            Verdict::Send(length) => Ok(datagram[..length].to_vec()),
            Verdict::Recut => panic!("it is as long as it should be"),
            Verdict::Drop(reason) => Err(reason),
        }
    }
}

/// For packets that all fit the buffers they came in.
struct Never;

impl Outbox for Never {
    fn put(&mut self, _write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        false
    }
}

fn peer(address: &str, payload_types: PayloadTypes) -> Peer {
    let address: SocketAddr = address.parse().unwrap();
    let latch = Latch::new(Signalled::new(address, true));
    let law = Law::of_payload_type(payload_types.audio).unwrap();
    Peer { latch, payload_types, law, ptime_ms: 20, sends: true, receives: true }
}

fn sequence_of(datagram: &[u8]) -> u16 {
    RtpReader::new(datagram).unwrap().sequence_number().into()
}

//! One packet of one leg, rewritten in place for the other: the pure middle of the relay.
//!
//! Packet and leg state in, verdict out: no socket, no clock, no allocation. What a packet was worth to its own leg
//! (latch, statistics, silence) is noted even when it goes no further, and a packet that is left out on purpose closes
//! the gap it would make, so that the far end counts only what the source really lost.

use std::net::SocketAddr;
use std::time::Instant;

use super::latch::{Latch, Seen, Sender};
use crate::rtp::continuity::{Continuity, Mapped, Position};
use crate::rtp::packet::{NotRtp, Packet};
use crate::rtp::payload::{Kind, PayloadTypes};
use crate::rtp::stats::{Arrival, Reception};

/// One leg's stream, both ways.
#[derive(Debug)]
pub struct Leg {
    /// Who is there; `None` until a session description said so.
    pub peer: Option<Peer>,
    /// The numbering of what the leg is sent.
    pub outbound: Continuity,
    /// What came from the peer.
    pub reception: Reception,
    /// Packets that were not the peer's.
    pub strangers: u64,
    /// When the peer was last heard.
    pub heard: Option<Instant>,
}

/// The peer at the end of a leg.
#[derive(Debug)]
pub struct Peer {
    /// Which source is it.
    pub latch: Latch,
    /// What its payload types mean.
    pub payload_types: PayloadTypes,
    /// Its packets are relayed.
    pub sends: bool,
    /// It wants packets.
    pub receives: bool,
}

/// What to do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stands rewritten in its buffer, ready for the other leg's [`Latch::destination`].
    Send,
    /// It ends here.
    Drop(Reason),
}

/// Why a datagram was not relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Shorter than an RTP header.
    TooShort,
    /// Not RTP version 2: STUN, DTLS, junk.
    WrongVersion,
    /// A header that promises more than the datagram holds.
    Malformed,
    /// RTCP, which ends at each leg.
    Rtcp,
    /// Longer than a receive buffer.
    TooLong,
    /// Not from the peer of this leg.
    Stranger,
    /// A payload type that one of the two legs did not negotiate.
    UnknownPayload,
    /// It was relayed already.
    Duplicate,
    /// Too old to be placed.
    Late,
    /// Its leg, or the other one, has no session description yet.
    NoPeer,
    /// One side is on hold: it said that it does not send, or the other that it does not receive.
    Muted,
    /// The other peer gave no address that can be sent to, and was not heard yet.
    NoDestination,
    /// The operating system did not take it.
    SendFailed,
    /// It came for a call that is over.
    Pooled,
}

/// Rewrites `datagram`, which `from` received from `source` at `now`, into what `to` is to be sent.
///
/// Hot path: no allocation, no clock, no lock.
pub fn forward(
    datagram: &mut [u8],
    source: SocketAddr,
    now: Instant,
    from: &mut Leg,
    to: &mut Leg,
) -> Verdict {
    let bytes = datagram.len();
    let mut packet = match Packet::parse(datagram) {
        Ok(packet) => packet,
        Err(what) => return Verdict::Drop(what.into()),
    };
    let Some(peer) = &mut from.peer else { return Verdict::Drop(Reason::NoPeer) };
    let position =
        Position { ssrc: packet.ssrc(), sequence: packet.sequence(), timestamp: packet.timestamp() };
    let kind = peer.payload_types.kind(packet.payload_type());
    let seen = Seen { source, ssrc: position.ssrc, sequence: position.sequence, negotiated: kind.is_some() };
    if peer.latch.on_packet(seen, now) == Sender::Stranger {
        from.strangers += 1;
        return Verdict::Drop(Reason::Stranger);
    }
    from.heard = Some(now);
    let relayed = if peer.sends { kind.ok_or(Reason::UnknownPayload) } else { Err(Reason::Muted) };
    let verdict = to.place(&mut packet, position, relayed, now);
    from.reception.on_packet(Arrival { position, is_audio: kind == Some(Kind::Audio), bytes, at: now });
    if verdict == Verdict::Drop(Reason::Late) {
        from.reception.on_late();
    }
    verdict
}

impl Leg {
    /// A leg that nobody is at yet, and that will be sent packets from `first` on.
    #[must_use]
    pub fn new(first: Position) -> Self {
        Self {
            peer: None,
            outbound: Continuity::new(first),
            reception: Reception::default(),
            strangers: 0,
            heard: None,
        }
    }

    fn place(
        &mut self,
        packet: &mut Packet<'_>,
        position: Position,
        kind: Result<Kind, Reason>,
        now: Instant,
    ) -> Verdict {
        let (kind, payload_type) = match kind.and_then(|kind| Ok((kind, self.takes(kind)?))) {
            Ok(taken) => taken,
            Err(reason) => {
                self.outbound.skip(position);
                return Verdict::Drop(reason);
            }
        };
        match self.outbound.map(position, kind, now) {
            Mapped::Send { position, resumed } => {
                packet.set_payload_type(payload_type);
                packet.set_sequence(position.sequence);
                packet.set_timestamp(position.timestamp);
                packet.set_ssrc(position.ssrc);
                if resumed {
                    packet.set_marker(true);
                }
                Verdict::Send
            }
            Mapped::Duplicate => Verdict::Drop(Reason::Duplicate),
            Mapped::Late => Verdict::Drop(Reason::Late),
        }
    }

    /// The payload type under which this leg's peer takes `kind`.
    fn takes(&self, kind: Kind) -> Result<u8, Reason> {
        let peer = self.peer.as_ref().ok_or(Reason::NoPeer)?;
        if !peer.receives {
            return Err(Reason::Muted);
        }
        peer.latch.destination().ok_or(Reason::NoDestination)?;
        peer.payload_types.of(kind).ok_or(Reason::UnknownPayload)
    }
}

impl Reason {
    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; 14] = [
        Self::TooShort,
        Self::WrongVersion,
        Self::Malformed,
        Self::Rtcp,
        Self::TooLong,
        Self::Stranger,
        Self::UnknownPayload,
        Self::Duplicate,
        Self::Late,
        Self::NoPeer,
        Self::Muted,
        Self::NoDestination,
        Self::SendFailed,
        Self::Pooled,
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// As the `result` label of a metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::WrongVersion => "wrong_version",
            Self::Malformed => "malformed",
            Self::Rtcp => "rtcp",
            Self::TooLong => "too_long",
            Self::Stranger => "stranger",
            Self::UnknownPayload => "unknown_payload",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::NoPeer => "no_peer",
            Self::Muted => "muted",
            Self::NoDestination => "no_destination",
            Self::SendFailed => "send_failed",
            Self::Pooled => "pooled",
        }
    }
}

impl From<NotRtp> for Reason {
    fn from(what: NotRtp) -> Self {
        match what {
            NotRtp::TooShort => Self::TooShort,
            NotRtp::WrongVersion => Self::WrongVersion,
            NotRtp::Malformed => Self::Malformed,
            NotRtp::Rtcp => Self::Rtcp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

    use super::*;
    use crate::media::latch::Signalled;

    #[test]
    fn a_packet_is_rewritten_into_the_other_legs_stream() {
        let mut call = Call::connected();

        let sent = call.speak(&Said { payload_type: 0, ..AUDIO }).unwrap();

        let reader = RtpReader::new(&sent).unwrap();
        assert_eq!((reader.payload_type(), reader.mark(), reader.payload()), (8, true, &[0x55; 160][..]));
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
    fn events_are_dropped_where_the_other_leg_has_none_and_leave_no_gap() {
        let mut call = Call::connected();
        call.callee.peer.as_mut().unwrap().payload_types.event = None;
        let mut numbers = Vec::new();

        for (sequence, payload_type) in [(1, 0), (2, 96), (3, 96), (4, 0)] {
            numbers
                .push(call.speak(&Said { sequence, payload_type, ..AUDIO }).map(|sent| sequence_of(&sent)));
        }

        let dropped = Err(Reason::UnknownPayload);
        assert_eq!(numbers, [Ok(900), dropped, dropped, Ok(901)]);
        assert_eq!((call.caller.reception.received(), call.caller.reception.lost()), (4, 0));
    }

    #[test]
    fn a_payload_type_that_was_not_negotiated_is_dropped_but_the_peer_was_heard() {
        let mut call = Call::connected();

        let verdict = call.speak(&Said { payload_type: 13, ..AUDIO });

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
        assert_eq!((call.caller.strangers, call.caller.reception.received()), (1, 2));
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
        call.callee.peer = Some(peer("0.0.0.0:0", PayloadTypes { audio: 8, event: None }));

        assert_eq!(call.speak(&Said { sequence: 1, ..AUDIO }), Err(Reason::NoDestination));
        call.callee.peer = Some(peer("198.51.100.8:5000", PayloadTypes { audio: 8, event: None }));
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
            caller.peer = Some(peer(AUDIO.source, PayloadTypes { audio: 0, event: Some(96) }));
            let mut callee = Leg::new(Position { ssrc: 0xBBBB, sequence: 900, timestamp: 90_000 });
            callee.peer = Some(peer("198.51.100.8:5000", PayloadTypes { audio: 8, event: Some(101) }));
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
                .payload(&[0x55; 160])
                .build()
                .unwrap();
            let source = said.source.parse().unwrap();
            match forward(&mut datagram, source, self.now, &mut self.caller, &mut self.callee) {
                Verdict::Send => Ok(datagram),
                Verdict::Drop(reason) => Err(reason),
            }
        }
    }

    fn peer(address: &str, payload_types: PayloadTypes) -> Peer {
        let address: SocketAddr = address.parse().unwrap();
        let latch = Latch::new(Signalled::new(address, address.ip()));
        Peer { latch, payload_types, sends: true, receives: true }
    }

    fn sequence_of(datagram: &[u8]) -> u16 {
        RtpReader::new(datagram).unwrap().sequence_number().into()
    }
}

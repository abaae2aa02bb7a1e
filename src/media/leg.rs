//! One leg of a relayed call, as the packet path sees it: who is there, what came from it, what it is sent.
//!
//! Whatever is sent to a leg, relayed or made here, gets its place from the same [`Continuity`]: that is why
//! making packets is the leg's business and not that of whoever has the idea.

use std::time::{Duration, Instant};

use super::digits::{Keypad, Over, Press, Pressed};
use super::latch::Latch;
use super::reason::Reason;
use super::recut::Recut;
use super::strangers::Strangers;
use super::tones::Tones;
use crate::rtp::continuity::{Continuity, Mapped, Position};
use crate::rtp::dtmf::{Event, EventPacket, EventRelay};
use crate::rtp::filler::Filler;
use crate::rtp::g711::{Law, Transcoder};
use crate::rtp::packet::{self, Header, Packet};
use crate::rtp::payload::{Kind, PayloadTypes};
use crate::rtp::repacketise::{Cut, Frame, Shape};
use crate::rtp::ringback::Ringback;
use crate::rtp::rtcp::is_rtcp;
use crate::rtp::srtp::{Context, LegKeys};
use crate::rtp::stats::Reception;
use crate::rtp::{CLOCK_RATE, FRAME_TICKS};

/// One leg's stream, both ways.
#[derive(Debug)]
pub struct Leg {
    /// Who is there; `None` until a session description said so.
    pub peer: Option<Peer>,
    /// The numbering of what the leg is sent.
    pub outbound: Continuity,
    /// When the leg is sent silence.
    pub filler: Filler,
    /// Packets of silence or ringing that it was sent.
    pub filled: u64,
    /// What came from the peer.
    pub reception: Reception,
    /// Who else sent packets.
    pub strangers: Strangers,
    /// When the peer was last heard, by RTP or RTCP.
    pub heard: Option<Instant>,
    /// When its last audio came.
    pub spoke: Option<Instant>,
    /// What its packets are protected by, both ways, if they are.
    pub srtp: Option<Box<Context>>,
    /// Events of the other leg's peer, on their way to this one.
    events: EventRelay,
    /// Digits that its peer presses.
    pub(super) pressed: Pressed,
    /// Digits that are pressed for its peer.
    keypad: Keypad,
    /// Whether they are played to it, for it takes no events.
    plays_digits: bool,
    /// What it hears that nobody sends.
    tones: Tones,
    /// When the last digit that was played to it may come back as an echo.
    echo_until: Option<Instant>,
    /// Cuts what it is sent, from the first packet on that was not of the length it wants.
    recut: Option<Box<Recut>>,
}

/// The peer at the end of a leg.
#[derive(Debug)]
pub struct Peer {
    /// Which source is it.
    pub latch: Latch,
    /// What its payload types mean.
    pub payload_types: PayloadTypes,
    /// The law of its audio.
    pub law: Law,
    /// How many milliseconds of audio it wants in each packet.
    pub ptime_ms: u8,
    /// Its packets are relayed.
    pub sends: bool,
    /// It wants packets.
    pub receives: bool,
}

/// Where packets that are made go, to be sent in the order in which they are put.
pub trait Outbox {
    /// Makes a packet of what `write` fills and returns the length of; false if there is no room for one.
    fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool;
}

/// What became of a packet that came from the other leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It is rewritten in its buffer, so many bytes long.
    InPlace(usize),
    /// What it holds was put into the outbox, as far as it filled packets.
    Recut,
}

/// A packet that came, on its way to the other leg.
pub(super) struct Incoming<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) position: Position,
    pub(super) law: Law,
}

impl Leg {
    /// A leg that nobody is at yet, and that will be sent packets from `first` on.
    #[must_use]
    pub fn new(first: Position) -> Self {
        Self {
            peer: None,
            outbound: Continuity::new(first),
            filler: Filler::new(0),
            filled: 0,
            reception: Reception::default(),
            strangers: Strangers::default(),
            heard: None,
            spoke: None,
            srtp: None,
            events: EventRelay::default(),
            pressed: Pressed::default(),
            keypad: Keypad::default(),
            plays_digits: false,
            tones: Tones::default(),
            echo_until: None,
            recut: None,
        }
    }

    /// What its packets are protected by from here on.
    pub fn secure(&mut self, keys: Option<&LegKeys>) {
        match (keys, &mut self.srtp) {
            (Some(keys), Some(context)) => context.rekey(keys.clone()),
            (Some(keys), context @ None) => *context = Some(Box::new(Context::new(keys.clone()))),
            (None, context) => *context = None,
        }
    }

    /// The RTP packet that the `datagram` holds, decrypted in place if it has to be.
    ///
    /// Hot path.
    pub(super) fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<&'a mut [u8], Reason> {
        let Some(srtp) = &mut self.srtp else { return Ok(datagram) };
        if is_rtcp(datagram) {
            return Err(Reason::Rtcp);
        }
        let length = srtp.inbound.unprotect(datagram)?;
        Ok(&mut datagram[..length])
    }

    /// Makes what came from the other leg into what this one is sent.
    ///
    /// Hot path.
    pub(super) fn take(
        &mut self,
        incoming: &mut Incoming<'_>,
        kind: Result<Kind, Reason>,
        now: Instant,
        out: &mut impl Outbox,
    ) -> Result<Taken, Reason> {
        let (kind, payload_type) = match kind.and_then(|kind| Ok((kind, self.takes(kind)?))) {
            Ok(taken) => taken,
            Err(reason) => {
                let position = self.among_frames(incoming.position)?;
                self.outbound.skip(position);
                if reason == Reason::ComfortNoise {
                    self.filler.hurry(0, now);
                }
                return Err(reason);
            }
        };
        self.put_waiting(None, now, out);
        if kind == Kind::Event {
            return self.take_event(incoming, payload_type, now, out).map(Taken::InPlace);
        }
        if kind == Kind::Audio {
            self.tones.ring(None);
            self.watch_length(incoming);
            if self.recut.is_some() {
                return self.cut(incoming, payload_type, now, out).map(|()| Taken::Recut);
            }
        }
        let position = self.among_frames(incoming.position)?;
        if kind == Kind::Audio && incoming.packet.marker() {
            self.outbound.on_talkspurt(position);
        }
        let (position, resumed) = match self.outbound.map(position, kind, now) {
            Mapped::Send { position, resumed } => (position, resumed),
            Mapped::Duplicate => return Err(Reason::Duplicate),
            Mapped::Late => return Err(Reason::Late),
        };
        let packet = &mut incoming.packet;
        packet.set_payload_type(payload_type);
        packet.set_position(position);
        if resumed {
            packet.set_marker(true);
        }
        let mut ticks = 0;
        if let (Kind::Audio, Some(peer)) = (kind, &self.peer) {
            Transcoder::new(incoming.law, peer.law).in_place(packet.payload());
            self.tones.lay_over(peer.law, position.timestamp, packet.payload());
            ticks = packet.payload().len() as u32;
        }
        self.on_sent(ticks, now);
        Ok(Taken::InPlace(packet.length()))
    }

    /// Makes a packet of an event into what this leg is sent, behind the end of the digit
    /// before, if that is missing.
    fn take_event(
        &mut self,
        incoming: &mut Incoming<'_>,
        payload_type: u8,
        now: Instant,
        out: &mut impl Outbox,
    ) -> Result<usize, Reason> {
        let position = self.among_frames(incoming.position)?;
        let packet = &mut incoming.packet;
        let marker = packet.marker();
        let event = Event::parse(packet.payload());
        let placing = event.and_then(|event| self.events.on_packet(incoming.position, marker, event, now));
        let Some(placing) = placing else {
            self.outbound.skip(position);
            return Err(if event.is_some() { Reason::Late } else { Reason::UnknownPayload });
        };
        if let Some(owed) = placing.owed() {
            put_event(owed, &mut self.outbound, payload_type, now, out);
        }
        let sent = match self.outbound.map(position, Kind::Event, now) {
            Mapped::Send { position, .. } => position,
            Mapped::Duplicate => return Err(Reason::Duplicate),
            Mapped::Late => return Err(Reason::Late),
        };
        let EventPacket { timestamp, marker, .. } = placing.place(sent.timestamp);
        packet.set_payload_type(payload_type);
        packet.set_position(Position { timestamp, ..sent });
        packet.set_marker(marker);
        self.filler.on_packet(0, now);
        Ok(packet.length())
    }

    /// Begins to cut when a packet is of another length than the peer wants, but of one that packets have;
    /// from there on all are cut. An odd one, at the end of a recording say, is passed on as it is.
    fn watch_length(&mut self, incoming: &mut Incoming<'_>) {
        let Some(peer) = &self.peer else { return };
        let shape = Shape { ptime_ms: peer.ptime_ms, from: incoming.law, to: peer.law };
        let octets = incoming.packet.payload().len();
        match &self.recut {
            Some(recut) if recut.shape() == shape => {}
            None if octets == shape.ticks() || octets == 0 || !octets.is_multiple_of(WHOLE_OCTETS) => {}
            Some(_) | None => self.recut = Some(Box::new(Recut::new(shape))),
        }
    }

    /// Cuts a packet of audio.
    fn cut(
        &mut self,
        incoming: &mut Incoming<'_>,
        payload_type: u8,
        now: Instant,
        out: &mut impl Outbox,
    ) -> Result<(), Reason> {
        let Some(recut) = &mut self.recut else { return Ok(()) };
        let (position, marker) = (incoming.position, incoming.packet.marker());
        let law = recut.shape().to;
        let (outbound, tones, mut late) = (&mut self.outbound, &mut self.tones, false);
        let payload = incoming.packet.payload();
        recut.push(position, marker, payload, now, |frame| {
            late |= !put_frame(frame, outbound, (tones, law), payload_type, now, out);
        })?;
        if late {
            return Err(Reason::Late);
        }
        // Also of a packet that filled no frame yet: silence in between would tear every frame apart.
        let ticks = payload.len() as u32;
        self.on_sent(ticks, now);
        Ok(())
    }

    /// `ticks` of the source's audio were sent. A digit that sounds goes on in packets of ours if no more
    /// comes.
    fn on_sent(&mut self, ticks: u32, now: Instant) {
        self.filler.on_packet(ticks, now);
        if self.tones.is_pressing() {
            self.echo_until = Some(now + ECHO);
            self.filler.insist(now);
            self.filler.hurry(ticks, now);
        }
    }

    /// Sends the frames that wait and are due `by` then, or, with `None`, all.
    fn put_waiting(&mut self, by: Option<Instant>, now: Instant, out: &mut impl Outbox) {
        let (Some(recut), Some(peer)) = (&mut self.recut, &self.peer) else { return };
        while let Some(frame) = recut.take(by) {
            let tones = (&mut self.tones, peer.law);
            put_frame(&frame, &mut self.outbound, tones, peer.payload_types.audio, now, out);
        }
    }

    /// Where a packet that is not cut stands among those that are.
    fn among_frames(&mut self, position: Position) -> Result<Position, Reason> {
        match &mut self.recut {
            Some(recut) if !self.outbound.is_aside(position.ssrc) => Ok(recut.aside(position)?),
            Some(_) | None => Ok(position),
        }
    }

    /// The payload type under which this leg's peer takes `kind`.
    fn takes(&self, kind: Kind) -> Result<u8, Reason> {
        if kind == Kind::ComfortNoise {
            return Err(Reason::ComfortNoise);
        }
        if self.keypad.is_pressing() {
            return Err(Reason::Muted);
        }
        let peer = self.reachable()?;
        peer.payload_types.of(kind).ok_or(Reason::UnknownPayload)
    }

    /// The peer, if it wants packets and they can be sent.
    fn reachable(&self) -> Result<&Peer, Reason> {
        let peer = self.peer.as_ref().ok_or(Reason::NoPeer)?;
        if !peer.receives {
            return Err(Reason::Muted);
        }
        peer.latch.destination().ok_or(Reason::NoDestination)?;
        Ok(peer)
    }

    /// Sends the peer a digit behind those that wait; false if those are too many.
    pub fn press(&mut self, press: Press) -> bool {
        if self.plays_digits { self.tones.press(press) } else { self.keypad.push(press) }
    }

    /// Whether tones in what comes from the peer may be those that are played to it: a two-wire line gives
    /// them back.
    pub(super) fn may_echo(&self, now: Instant) -> bool {
        self.echo_until.is_some_and(|until| now < until)
    }

    /// Digits for the peer are played to it as tones from here on, or sent as events.
    pub fn play_digits(&mut self, as_tones: bool) {
        self.plays_digits = as_tones;
    }

    /// The peer hears this ringing from here on in place of silence, until it is told to hear none or real
    /// audio comes; it goes out even where pauses are not filled, and before the answer.
    pub fn ring(&mut self, tone: Option<Ringback>) {
        self.tones.ring(tone);
    }

    /// The peer plays its digits as tones of `law`, or, with `None`, does not.
    pub fn listen_for_tones(&mut self, law: Option<Law>) {
        self.pressed.listen(law);
    }

    /// A digit that the peer pressed and that is over; each is told once. One that came as an event is
    /// played to the peer of `other` if that one hears digits so.
    pub fn next_press(&mut self, other: &mut Self) -> Option<Press> {
        let Over { press, was_event } = self.pressed.next()?;
        if was_event && other.plays_digits {
            other.press(press);
        }
        Some(press)
    }

    /// Makes what is due at `now`: digits, their ends, ringing, and, if the call is `answered`, silence.
    pub fn make(&mut self, answered: bool, now: Instant, out: &mut impl Outbox) {
        let peer = self.reachable().ok().map(|peer| (peer.law, peer.payload_types));
        self.put_waiting(peer.map(|_| now), now, out);
        match peer.and_then(|(_, payload_types)| payload_types.event) {
            Some(payload_type) => self.make_events(payload_type, now, out),
            None => {
                self.keypad.clear();
                self.events = EventRelay::default();
            }
        }
        if peer.is_none() || !self.plays_digits {
            self.tones.clear_digits();
        }
        match peer.filter(|_| answered || self.tones.is_sounding()) {
            Some((law, payload_types)) => self.fill(law, payload_types.audio, now, out),
            None => self.filler.stop(),
        }
    }

    /// When [`Self::make`] will have something to make; `None` is never.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let deadlines = [
            self.filler.next_deadline(),
            self.events.next_deadline(),
            self.keypad.next_deadline(now),
            self.recut.as_ref().and_then(|recut| recut.next_deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn make_events(&mut self, payload_type: u8, now: Instant, out: &mut impl Outbox) {
        while let Some(end) = self.events.on_time(now) {
            put_event(end, &mut self.outbound, payload_type, now, out);
        }
        while let Some(packet) = self.keypad.on_time(now, self.outbound.timestamp_at(now)) {
            put_event(packet, &mut self.outbound, payload_type, now, out);
            self.filler.on_packet(0, now);
        }
    }

    fn fill(&mut self, law: Law, payload_type: u8, now: Instant, out: &mut impl Outbox) {
        if self.tones.is_sounding() {
            self.filler.insist(now);
        } else {
            self.filler.start(now);
        }
        while let Some(due) = self.filler.on_time(now) {
            let mut rest = self.recut.as_mut().map(|recut| recut.flush());
            while let Some(frame) = rest.as_mut().and_then(Cut::next_frame) {
                put_frame(&frame, &mut self.outbound, (&mut self.tones, law), payload_type, now, out);
            }
            if self.tones.is_pressing() {
                self.echo_until = Some(now + ECHO);
            }
            let (position, tones) = (self.outbound.fill(due), &mut self.tones);
            let made = out.put(|bytes| {
                let header = Header { payload_type, marker: false, position };
                packet::write(bytes, header, FRAME_TICKS as usize, |payload| {
                    tones.fill(law, position.timestamp, payload);
                })
            });
            self.filled += u64::from(made);
        }
    }
}

/// Sends a packet of an event that came from nobody.
fn put_event(
    packet: EventPacket,
    outbound: &mut Continuity,
    payload_type: u8,
    now: Instant,
    out: &mut impl Outbox,
) {
    let EventPacket { timestamp, marker, event } = packet;
    let position = Position { timestamp, ..outbound.insert(now) };
    let header = Header { payload_type, marker, position };
    out.put(|bytes| {
        packet::write(bytes, header, Event::BYTES, |payload| payload.copy_from_slice(&event.bytes()))
    });
}

/// Sends `frame` with the tones over it; false if it came too late.
///
/// Hot path: no allocation.
fn put_frame(
    frame: &Frame<'_>,
    outbound: &mut Continuity,
    (tones, law): (&mut Tones, Law),
    payload_type: u8,
    now: Instant,
    out: &mut impl Outbox,
) -> bool {
    if frame.marker {
        outbound.on_talkspurt(frame.position);
    }
    let Mapped::Send { position, resumed } = outbound.map(frame.position, Kind::Audio, now + frame.after)
    else {
        return false;
    };
    let header = Header { payload_type, marker: resumed || frame.marker, position };
    let octets = frame.payload.len();
    out.put(|bytes| {
        packet::write(bytes, header, octets, |payload| {
            payload.copy_from_slice(frame.payload);
            tones.lay_over(law, position.timestamp, payload);
        })
    })
}

/// The longest way to the peer's line and back that is reckoned with.
const ECHO: Duration = Duration::from_millis(400);
/// Packets are whole multiples of 5 ms.
const WHOLE_OCTETS: usize = CLOCK_RATE as usize / 200;

//! One leg of a relayed call, as the packet path sees it: who is there, what came from it, what it is sent.
//!
//! Whatever is sent to a leg, relayed or made here, gets its place from the same [`Continuity`]: that is why making
//! packets is the leg's business and not that of whoever has the idea.

use std::time::Instant;

use super::latch::Latch;
use super::reason::Reason;
use super::strangers::Strangers;
use crate::rtp::FRAME_TICKS;
use crate::rtp::continuity::{Continuity, Mapped, Position};
use crate::rtp::filler::Filler;
use crate::rtp::g711::{Law, Transcoder};
use crate::rtp::packet::{self, Packet};
use crate::rtp::payload::{Kind, PayloadTypes};
use crate::rtp::stats::Reception;

/// One leg's stream, both ways.
#[derive(Debug)]
pub struct Leg {
    /// Who is there; `None` until a session description said so.
    pub peer: Option<Peer>,
    /// The numbering of what the leg is sent.
    pub outbound: Continuity,
    /// When the leg is sent silence.
    pub filler: Filler,
    /// Packets of silence that it was sent.
    pub filled: u64,
    /// What came from the peer.
    pub reception: Reception,
    /// Who else sent packets.
    pub strangers: Strangers,
    /// When the peer was last heard, by RTP or RTCP.
    pub heard: Option<Instant>,
    /// When its last audio came.
    pub spoke: Option<Instant>,
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
        }
    }

    /// Rewrites what came from the other leg into what this one is sent; returns how long that is.
    ///
    /// Hot path.
    pub(super) fn take(
        &mut self,
        incoming: &mut Incoming<'_>,
        kind: Result<Kind, Reason>,
        now: Instant,
    ) -> Result<usize, Reason> {
        let Incoming { packet, position, law } = incoming;
        let (kind, payload_type) = match kind.and_then(|kind| Ok((kind, self.takes(kind)?))) {
            Ok(taken) => taken,
            Err(reason) => {
                self.outbound.skip(*position);
                if reason == Reason::ComfortNoise {
                    self.filler.on_comfort_noise(now);
                }
                return Err(reason);
            }
        };
        let (position, resumed) = match self.outbound.map(*position, kind, now) {
            Mapped::Send { position, resumed } => (position, resumed),
            Mapped::Duplicate => return Err(Reason::Duplicate),
            Mapped::Late => return Err(Reason::Late),
        };
        packet.set_payload_type(payload_type);
        packet.set_position(position);
        if resumed {
            packet.set_marker(true);
        }
        let mut ticks = 0;
        if let (Kind::Audio, Some(peer)) = (kind, &self.peer) {
            Transcoder::new(*law, peer.law).in_place(packet.payload());
            ticks = packet.payload().len() as u32;
        }
        self.filler.on_packet(ticks, now);
        Ok(packet.length())
    }

    /// The payload type under which this leg's peer takes `kind`.
    fn takes(&self, kind: Kind) -> Result<u8, Reason> {
        if kind == Kind::ComfortNoise {
            return Err(Reason::ComfortNoise);
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

    /// Makes the silence that is due at `now`; `answered` is whether the call is. When to come back: the filler's
    /// deadline.
    pub fn fill(&mut self, answered: bool, now: Instant, out: &mut impl Outbox) {
        let Some((law, payload_type)) =
            self.reachable().ok().filter(|_| answered).map(|peer| (peer.law, peer.payload_types.audio))
        else {
            self.filler.stop();
            return;
        };
        self.filler.start(now);
        while let Some(due) = self.filler.on_time(now) {
            let position = self.outbound.fill(due);
            let made = out.put(|bytes| {
                packet::write(bytes, payload_type, position, FRAME_TICKS as usize, |payload| {
                    payload.fill(law.silence())
                })
            });
            self.filled += u64::from(made);
        }
    }
}

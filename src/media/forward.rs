//! One packet of one leg, rewritten in place for the other: the pure middle of the relay.
//!
//! Packet and leg state in, verdict out: no socket, no clock, no allocation. What a packet was worth to its
//! own leg (latch, statistics, silence) is noted even when it goes no further, and a packet that is left out
//! on purpose closes the gap it would make, so that the far end counts only what the source really lost.

use std::net::SocketAddr;
use std::time::Instant;

use super::latch::{Seen, Sender};
use super::leg::{Incoming, Taken};
pub use super::leg::{Leg, Outbox, Peer};
pub use super::reason::Reason;
use crate::rtp::continuity::Position;
use crate::rtp::dtmf::Event;
use crate::rtp::g711::Law;
use crate::rtp::packet::Packet;
use crate::rtp::payload::Kind;
use crate::rtp::stats::Arrival;

/// What to do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// So many bytes stand rewritten in its buffer, ready for the other leg's
    /// [`destination`](super::latch::Latch::destination).
    Send(usize),
    /// What it holds was put into the outbox, in packets of the length that the other leg wants,
    /// as far as it filled them.
    Recut,
    /// It ends here.
    Drop(Reason),
}

/// Rewrites `datagram`, which `from` received from `source` at `now`, into what `to` is to be sent; `out`
/// takes what does not fit its buffer. What is to be SRTP is protected after that, by whoever sends it.
///
/// Hot path: no allocation, no clock, no lock.
pub fn forward(
    datagram: &mut [u8],
    source: SocketAddr,
    now: Instant,
    from: &mut Leg,
    to: &mut Leg,
    out: &mut impl Outbox,
) -> Verdict {
    let opened = from.open(datagram).and_then(|datagram| Ok(Packet::parse(datagram)?));
    let packet = match opened {
        Ok(packet) => packet,
        Err(reason) => return Verdict::Drop(reason),
    };
    let Some(peer) = &mut from.peer else { return Verdict::Drop(Reason::NoPeer) };
    let position =
        Position { ssrc: packet.ssrc(), sequence: packet.sequence(), timestamp: packet.timestamp() };
    let kind = peer.payload_types.kind(packet.payload_type());
    let seen = Seen {
        source,
        ssrc: position.ssrc,
        sequence: position.sequence,
        credible: kind.is_some() && !to.strangers.includes(source),
    };
    if peer.latch.on_packet(seen, now) == Sender::Stranger {
        from.strangers.on_packet(source);
        if let Some(other) = &mut to.peer {
            other.latch.on_seen_elsewhere(source, now);
        }
        return Verdict::Drop(Reason::Stranger);
    }
    from.heard = Some(now);
    if kind == Some(Kind::Audio) {
        from.spoke = Some(now);
    }
    let (law, sends) = (peer.law, peer.sends);
    let mut packet = packet;
    if sends {
        hear_digits(&mut packet, position, law, kind, now, from, to);
    }
    let relayed = if sends { kind.ok_or(Reason::UnknownPayload) } else { Err(Reason::Muted) };
    let arrival = Arrival { position, is_audio: kind == Some(Kind::Audio), bytes: packet.length(), at: now };
    let mut incoming = Incoming { packet, position, law };
    let taken = to.take(&mut incoming, relayed, now, out);
    if kind == Some(Kind::Event) && to.outbound.is_aside(position.ssrc) {
        from.reception.on_aside(arrival);
    } else {
        from.reception.on_packet(arrival);
    }
    if taken == Err(Reason::Late) {
        from.reception.on_late();
    }
    match taken {
        Ok(Taken::InPlace(length)) => Verdict::Send(length),
        Ok(Taken::Recut) => Verdict::Recut,
        Err(reason) => Verdict::Drop(reason),
    }
}

/// Notes what the peer of `from` presses; a tone goes to the peer of `to` as an event
/// instead, if it takes those.
fn hear_digits(
    packet: &mut Packet<'_>,
    position: Position,
    law: Law,
    kind: Option<Kind>,
    now: Instant,
    from: &mut Leg,
    to: &mut Leg,
) {
    match kind {
        Some(Kind::Event) => {
            let marker = packet.marker();
            if let Some(event) = Event::parse(packet.payload()) {
                from.pressed.on_event(position, marker, event, now);
            }
        }
        Some(Kind::Audio) if from.may_echo(now) => {}
        Some(Kind::Audio) => {
            let Some(tone) = from.pressed.on_audio(position.sequence, packet.payload()) else { return };
            if to.peer.as_ref().is_some_and(|peer| peer.payload_types.event.is_some()) {
                packet.payload().fill(law.silence());
                tone.over.map(|press| to.press(press));
            }
        }
        Some(Kind::ComfortNoise) | None => {}
    }
}

#[cfg(test)]
mod tests;

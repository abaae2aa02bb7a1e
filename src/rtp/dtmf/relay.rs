//! Telephone events of one leg on their way to the other (RFC 4733 §2.5), as the other's receiver needs them.
//!
//! ```text
//!   arrives    1₁ 1₁ ·  ·  ·  2₁ 2₁ 2ᴱ 1ᴱ 2ᴱ       its digit, and its timestamp; the end of 1 comes too late
//!   leaves     1  1           1ᴱ 2  2  2ᴱ    2ᴱ     1 is ended before 2 begins; 2 has a timestamp of its own
//! ```
//!
//! Packets are passed as they come, each with the timestamp that its digit began with on the other leg; that
//! one is never that of the digit before. The first that leaves has the marker, whether or not the source's
//! first one arrived. A digit whose end is missing is ended here, and what still comes of it is stale, as is
//! any straggler of a digit before: to some receivers it would be another digit.

use std::time::{Duration, Instant};

use super::generator::ENDS;
use super::{Event, EventPacket};
use crate::rtp::continuity::Position;
use crate::rtp::sequence_distance;

/// The events toward one leg.
#[derive(Clone, Debug, Default)]
pub struct EventRelay {
    current: Option<Current>,
}

/// A packet that is to be relayed, before it has its place.
#[derive(Debug)]
pub struct Placing<'a> {
    relay: &'a mut EventRelay,
    source: Position,
    event: Event,
    now: Instant,
    begins: bool,
}

/// The digit that was relayed last.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Its newest packet; the timestamp is that of its beginning, or of its present segment.
    source: Position,
    /// The same timestamp as the leg has it.
    timestamp: u32,
    event: Event,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The last packet came at this time.
    Lasting { since: Instant },
    /// The source ended it.
    Ended,
    /// It is ended here, so many times yet.
    Ending { left: u8, due: Instant },
}

impl EventRelay {
    /// Takes a packet of the source; `None` if it is stale, and its number is to be skipped.
    ///
    /// Hot path: no allocation.
    pub fn on_packet(
        &mut self,
        source: Position,
        marker: bool,
        event: Event,
        now: Instant,
    ) -> Option<Placing<'_>> {
        let begins = match &self.current {
            Some(current) => current.is_followed_by(source, marker, event)?,
            None => true,
        };
        Some(Placing { relay: self, source, event, now, begins })
    }

    /// When to call [`Self::on_time`]; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.current?.state {
            State::Lasting { since } => Some(since + PATIENCE),
            State::Ending { left: 1.., due } => Some(due),
            State::Ending { left: 0, .. } | State::Ended => None,
        }
    }

    /// The end of a digit whose source fell silent, if it is due at `now`: call until there is none.
    pub fn on_time(&mut self, now: Instant) -> Option<EventPacket> {
        self.next_deadline().filter(|&due| due <= now)?;
        let current = self.current.as_mut()?;
        let left = match current.state {
            State::Ending { left, .. } => left,
            State::Lasting { .. } | State::Ended => ENDS,
        };
        current.state = State::Ending { left: left - 1, due: now + APART };
        Some(current.end())
    }
}

impl Placing<'_> {
    /// The end that the digit before still lacks: to be sent first, under a number of its own.
    #[must_use]
    pub fn owed(&self) -> Option<EventPacket> {
        let current = self.relay.current.filter(|_| self.begins)?;
        matches!(current.state, State::Lasting { .. }).then(|| current.end())
    }

    /// The packet to send; `mapped` is where its own timestamp would be on the other leg.
    pub fn place(self, mapped: u32) -> EventPacket {
        let Self { relay, source, event, now, begins } = self;
        let (timestamp, newest, duration) = match relay.current {
            Some(current) if begins => (current.after(mapped), source, event.duration),
            Some(current) => {
                let moved = source.timestamp.wrapping_sub(current.source.timestamp);
                let newer = current.is_older_than(source.sequence);
                let sequence = if newer { source.sequence } else { current.source.sequence };
                let known = if moved == 0 { current.event.duration } else { 0 };
                let newest = Position { sequence, ..source };
                (current.timestamp.wrapping_add(moved), newest, event.duration.max(known))
            }
            None => (mapped, source, event.duration),
        };
        let ended = !begins && relay.current.is_some_and(|current| matches!(current.state, State::Ended));
        let state = if event.end || ended { State::Ended } else { State::Lasting { since: now } };
        let longest = Event { duration, ..event };
        relay.current = Some(Current { source: newest, timestamp, event: longest, state });
        EventPacket { timestamp, marker: begins, event }
    }
}

impl Current {
    /// Whether a packet begins the next digit, or belongs to this one; `None` if it is stale.
    fn is_followed_by(&self, source: Position, marker: bool, event: Event) -> Option<bool> {
        if source.ssrc != self.source.ssrc {
            return Some(true);
        }
        let newer = self.is_older_than(source.sequence);
        if event.code != self.event.code || !self.continues_at(source.timestamp) {
            return newer.then_some(true);
        }
        let restarts = newer && marker && event.duration < self.event.duration;
        match self.state {
            State::Lasting { .. } => Some(restarts),
            State::Ended if event.end => Some(false),
            State::Ended => newer.then_some(true),
            State::Ending { .. } => restarts.then_some(true),
        }
    }

    /// What is far behind is a source that numbers anew.
    fn is_older_than(&self, sequence: u16) -> bool {
        !(-MAX_MISORDER..=0).contains(&sequence_distance(self.source.sequence, sequence))
    }

    /// At the same timestamp; or where a segment ended that had become too long for its field (RFC 4733
    /// §2.5.1.3), whose last packets may be lost.
    fn continues_at(&self, timestamp: u32) -> bool {
        let moved = timestamp.wrapping_sub(self.source.timestamp);
        let lasts = matches!(self.state, State::Lasting { .. });
        let behind = u32::from(self.event.duration)..=u32::from(u16::MAX);
        moved == 0 || lasts && self.event.duration >= LONG && behind.contains(&moved)
    }

    /// Where the next digit may begin: at `mapped`, but not before this one ended.
    fn after(&self, mapped: u32) -> u32 {
        let end = self.timestamp.wrapping_add(self.event.duration.max(1).into());
        if mapped.wrapping_sub(end).cast_signed() >= 0 { mapped } else { end }
    }

    fn end(&self) -> EventPacket {
        EventPacket { timestamp: self.timestamp, marker: false, event: Event { end: true, ..self.event } }
    }
}

/// Four packets at the 50 ms that RFC 4733 §2.5.1.2 recommends.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between the ends that are told here.
const APART: Duration = Duration::from_millis(20);
/// RFC 3550 A.1.
const MAX_MISORDER: i32 = 100;
/// A segment that is followed by another lasts nearly as long as it can tell.
const LONG: u16 = 0xF000;

#[cfg(test)]
mod tests;

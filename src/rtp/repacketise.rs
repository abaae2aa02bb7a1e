//! G.711 packets of any length cut and joined to the length that the other leg asked for
//! (RFC 3551 §4.2, `a=ptime`).
//!
//! ```text
//!   arrives    │ 0        │ 240      │ 480      │     30 ms each; octets and ticks are the same thing
//!   slots      │ 0     │ 160   │ 320   │ 480        20 ms each, counted on from the source's first packet
//!   leaves      0 ──────┘ 1 ─────┘ 2 ────┘           as soon as a slot is full
//! ```
//!
//! No jitter buffer: each octet goes to the slot that its timestamp says, and a slot leaves when it is full,
//! so what was reordered stays reordered and what was lost stays lost. A slot that misses a part leaves when
//! it is three slots old, as long as what it holds. The frames are numbered as if the source had sent them:
//! they are for [`Continuity`](super::continuity::Continuity) to place. Once a source goes through here all
//! of its packets must, as its own numbers are other ones.

use std::time::Duration;

use super::continuity::Position;
use super::g711::{Law, Transcoder};
use super::window::{Step, Window};
use super::{CLOCK_RATE, sequence_distance};

/// One leg's packets on their way to the other one.
///
/// Some three kilobytes: for the legs that need it.
#[derive(Clone, Debug)]
pub struct Repacketiser {
    shape: Shape,
    transcoder: Transcoder,
    silence: u8,
    slot_ticks: usize,
    source: Option<Source>,
    slots: [Slot; SLOTS],
    /// What the slots hold, each in its part; the last part is for what is older than all of them.
    octets: [u8; PARTS * MAX_SLOT_TICKS],
}

/// What a [`Repacketiser`] makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Packets of so many milliseconds, 10 to 100.
    pub ptime_ms: u8,
    /// The law that comes.
    pub from: Law,
    /// The law that leaves.
    pub to: Law,
}

/// A packet to send in the source's stead.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it stands in the source's stream, as cut.
    pub position: Position,
    /// It begins a talkspurt.
    pub marker: bool,
    /// How much later than the packet that it was cut from it would have been sent: add
    /// it to the time of arrival.
    pub after: Duration,
    /// In the law of the leg that it is for.
    pub payload: &'a [u8],
}

/// Why a packet gives no frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotCut {
    /// Its number was there already.
    #[error("a packet of that number was repacketised already")]
    Duplicate,
    /// It is behind everything that can be told apart.
    #[error("the packet is too old to be placed")]
    Late,
    /// No G.711 packet is so long.
    #[error("{octets} octets in one packet: at most 200 ms are taken")]
    TooLong {
        /// Its payload's.
        octets: usize,
    },
}

/// The frames of one packet: ask for the `next` until there is none.
///
/// What is not asked for is lost.
#[derive(Debug)]
pub struct Cut<'a> {
    repacketiser: &'a mut Repacketiser,
    /// Slots that began go first, and then the source begins anew with this packet.
    restarts: bool,
    marker: bool,
    began: u32,
    /// The timestamp of `rest`.
    timestamp: u32,
    rest: &'a [u8],
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    window: Window,
    /// Behind its newest audio packet.
    expected: u32,
    /// What that one held.
    packet_ticks: u32,
    /// Where the oldest slot begins, and the number of its frame.
    base: u32,
    base_sequence: u16,
    /// After the newest frame that left.
    next_sequence: u16,
}

/// One frame to be.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where its octets are.
    part: usize,
    /// From the first octet that arrived to the last; a hole between is silence.
    begin: usize,
    end: usize,
    octets: usize,
    marker: bool,
    left: bool,
}

/// A frame that leaves.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    slot: Slot,
    timestamp: u32,
    sequence: u16,
}

impl Shape {
    /// How long a packet is, in ticks or octets.
    #[must_use]
    pub fn ticks(self) -> usize {
        usize::from(self.ptime_ms.clamp(10, 100)) * CLOCK_RATE as usize / 1_000
    }
}

impl Repacketiser {
    /// One that makes packets of `shape`.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let Shape { from, to, .. } = shape;
        let slot_ticks = shape.ticks();
        Self {
            shape,
            transcoder: Transcoder::new(from, to),
            silence: to.silence(),
            slot_ticks,
            source: None,
            slots: std::array::from_fn(Slot::empty),
            octets: [0; PARTS * MAX_SLOT_TICKS],
        }
    }

    /// What it makes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Takes a packet of audio.
    ///
    /// Hot path: no allocation; one copy of the payload, through a table where the laws differ.
    ///
    /// # Errors
    ///
    /// Why it gives no frames.
    pub fn push<'a>(
        &'a mut self,
        position: Position,
        marker: bool,
        payload: &'a [u8],
    ) -> Result<Cut<'a>, NotCut> {
        if payload.len() > MAX_PACKET_TICKS {
            return Err(NotCut::TooLong { octets: payload.len() });
        }
        let restarts = self.note_audio(position, payload.len() as u32)?;
        let timestamp = position.timestamp;
        Ok(Cut { repacketiser: self, restarts, marker, began: timestamp, timestamp, rest: payload })
    }

    /// The place that a packet of the source which is no audio has between its frames.
    ///
    /// # Errors
    ///
    /// Why it has none.
    pub fn aside(&mut self, position: Position) -> Result<Position, NotCut> {
        self.note(position, false)?;
        let Some(source) = &mut self.source else { return Err(NotCut::Late) };
        let sequence = source.next_sequence;
        source.next_sequence = sequence.wrapping_add(1);
        source.base_sequence = source.base_sequence.wrapping_add(1);
        Ok(Position { sequence, ..position })
    }

    /// What slots hold that were never filled: for when the source pauses or ends, or silence is sent.
    pub fn flush(&mut self) -> Cut<'_> {
        let began = self.source.as_ref().map_or(0, |source| source.expected);
        Cut { repacketiser: self, restarts: true, marker: false, began, timestamp: began, rest: &[] }
    }

    /// Whether the source begins anew with a packet of `ticks` at `position`: after a
    /// pause, or on another clock.
    fn note_audio(&mut self, position: Position, ticks: u32) -> Result<bool, NotCut> {
        let step = self.note(position, true)?;
        let Some(source) = &mut self.source else { return Err(NotCut::Late) };
        let restarts = match step {
            Step::Ahead(distance) => {
                let lost = u32::from(distance - 1).wrapping_mul(source.packet_ticks);
                position.timestamp != source.expected.wrapping_add(lost)
            }
            Step::NewRun => true,
            Step::Behind(_) | Step::Duplicate | Step::Late => {
                let behind = source.expected.wrapping_sub(position.timestamp);
                return if behind <= MAX_BEHIND_TICKS { Ok(false) } else { Err(NotCut::Late) };
            }
        };
        source.expected = position.timestamp.wrapping_add(ticks);
        source.packet_ticks = ticks;
        Ok(restarts)
    }

    fn note(&mut self, position: Position, is_audio: bool) -> Result<Step, NotCut> {
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == position.ssrc) else {
            self.source = Some(Source::starting(position));
            self.slots = std::array::from_fn(Slot::empty);
            return Ok(Step::NewRun);
        };
        let audio = is_audio.then_some(position.timestamp);
        match source.window.step(position.sequence, audio) {
            Step::Duplicate => Err(NotCut::Duplicate),
            Step::Late => Err(NotCut::Late),
            Step::NewRun => {
                source.window = Window::starting(position.sequence, audio);
                Ok(Step::NewRun)
            }
            step @ (Step::Ahead(_) | Step::Behind(_)) => Ok(step),
        }
    }

    /// The slot of `timestamp`, counted from the oldest one, and how far inside it is.
    fn place_of(&self, timestamp: u32) -> (i32, usize) {
        let base = self.source.as_ref().map_or(timestamp, |source| source.base);
        let ahead = timestamp.wrapping_sub(base).cast_signed();
        let ticks = self.slot_ticks as i32;
        (ahead.div_euclid(ticks), ahead.rem_euclid(ticks) as usize)
    }

    /// Puts `piece` into the slot `number`; the frame, if that fills it or it is older than all slots.
    fn write(&mut self, number: i32, within: usize, piece: &[u8], marker: bool) -> Option<Leaving> {
        let mut older = Slot::empty(SLOTS);
        let place = usize::try_from(number).ok();
        let slot = place.map_or(&mut older, |place| &mut self.slots[place]);
        if slot.left {
            return None;
        }
        let octets = &mut self.octets[slot.part * MAX_SLOT_TICKS..][..self.slot_ticks];
        if slot.octets == 0 {
            octets.fill(self.silence);
            slot.begin = within;
        }
        self.transcoder.copy(piece, &mut octets[within..]);
        slot.begin = slot.begin.min(within);
        slot.end = slot.end.max(within + piece.len());
        slot.octets += piece.len();
        slot.marker |= marker;
        if slot.octets < self.slot_ticks && place.is_some() {
            return None;
        }
        slot.left = true;
        let slot = *slot;
        self.leaving(slot, number)
    }

    /// The oldest slot that began and has not left.
    fn leave_unfilled(&mut self) -> Option<Leaving> {
        let place = self.slots.iter().position(|slot| slot.octets > 0 && !slot.left)?;
        self.slots[place].left = true;
        self.leaving(self.slots[place], place as i32)
    }

    /// Gives up the oldest `slots`; a frame, if one of them began: then call again.
    fn retire(&mut self, slots: u32) -> Option<Leaving> {
        let mut remaining = slots;
        while remaining > 0 && self.slots.iter().any(|slot| slot.octets > 0) {
            if self.slots[0].octets > 0 && !self.slots[0].left {
                self.slots[0].left = true;
                return self.leaving(self.slots[0], 0);
            }
            self.slots.rotate_left(1);
            self.slots[SLOTS - 1] = Slot::empty(self.slots[SLOTS - 1].part);
            self.move_base(1);
            remaining -= 1;
        }
        self.move_base(remaining);
        None
    }

    fn move_base(&mut self, slots: u32) {
        if let Some(source) = &mut self.source {
            source.base = source.base.wrapping_add(slots.wrapping_mul(self.slot_ticks as u32));
            source.base_sequence = source.base_sequence.wrapping_add(slots as u16);
        }
    }

    fn restart(&mut self, timestamp: u32) {
        self.slots = std::array::from_fn(Slot::empty);
        if let Some(source) = &mut self.source {
            source.base = timestamp;
            source.base_sequence = source.next_sequence;
        }
    }

    fn leaving(&mut self, slot: Slot, number: i32) -> Option<Leaving> {
        let source = self.source.as_mut()?;
        let sequence = source.base_sequence.wrapping_add(number as u16);
        if sequence_distance(source.next_sequence, sequence) >= 0 {
            source.next_sequence = sequence.wrapping_add(1);
        }
        let within = number.wrapping_mul(self.slot_ticks as i32).wrapping_add(slot.begin as i32);
        Some(Leaving { slot, timestamp: source.base.wrapping_add_signed(within), sequence })
    }

    fn frame(&self, leaving: Leaving, began: u32) -> Option<Frame<'_>> {
        let Leaving { slot, timestamp, sequence } = leaving;
        let ssrc = self.source.as_ref()?.ssrc;
        let after = u64::try_from(timestamp.wrapping_sub(began).cast_signed()).unwrap_or(0);
        Some(Frame {
            position: Position { ssrc, sequence, timestamp },
            marker: slot.marker,
            after: Duration::from_micros(after * 1_000_000 / u64::from(CLOCK_RATE)),
            payload: &self.octets[slot.part * MAX_SLOT_TICKS..][slot.begin..slot.end],
        })
    }
}

impl Cut<'_> {
    /// The next frame.
    ///
    /// Hot path: no allocation.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let leaving = self.next_leaving()?;
        self.repacketiser.frame(leaving, self.began)
    }

    fn next_leaving(&mut self) -> Option<Leaving> {
        if self.restarts {
            let begun = self.repacketiser.leave_unfilled();
            if begun.is_some() {
                return begun;
            }
            self.repacketiser.restart(self.timestamp);
            self.restarts = false;
        }
        while !self.rest.is_empty() {
            let (number, within) = self.repacketiser.place_of(self.timestamp);
            let beyond = u32::try_from(number + 1 - SLOTS as i32).unwrap_or(0);
            let leaving = if beyond > 0 {
                self.repacketiser.retire(beyond)
            } else {
                let fits = self.rest.len().min(self.repacketiser.slot_ticks - within);
                let (piece, rest) = self.rest.split_at(fits);
                (self.rest, self.timestamp) = (rest, self.timestamp.wrapping_add(fits as u32));
                self.repacketiser.write(number, within, piece, std::mem::take(&mut self.marker))
            };
            if leaving.is_some() {
                return leaving;
            }
        }
        None
    }
}

impl Source {
    fn starting(first: Position) -> Self {
        Self {
            ssrc: first.ssrc,
            window: Window::starting(first.sequence, Some(first.timestamp)),
            expected: first.timestamp,
            packet_ticks: 0,
            base: first.timestamp,
            base_sequence: first.sequence,
            next_sequence: first.sequence,
        }
    }
}

impl Slot {
    fn empty(part: usize) -> Self {
        Self { part, begin: 0, end: 0, octets: 0, marker: false, left: false }
    }
}

/// How many frames may be incomplete at a time: packets overtake each other by that much.
const SLOTS: usize = 3;
const PARTS: usize = SLOTS + 1;
/// 100 ms, the longest that is sent.
const MAX_SLOT_TICKS: usize = CLOCK_RATE as usize / 10;
/// 200 ms, the longest that is taken.
const MAX_PACKET_TICKS: usize = CLOCK_RATE as usize / 5;
/// An older packet than this, 3 s, is of another time.
const MAX_BEHIND_TICKS: u32 = 3 * CLOCK_RATE;

#[cfg(test)]
mod tests;

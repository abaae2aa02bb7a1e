//! One unbroken stream toward a leg, whatever changes behind it (RFC 3550 §5.1, RFC 3551 §4.1).
//!
//! ```text
//!   source    ▮▮▮▮▮▮▮▮                              ▮▮▮▮▮▮▮▮   another SSRC, or the same one after a pause
//!                    ╰── fill_ms ──╮                │
//!   sent      ▮▮▮▮▮▮▮▮             ▯▯▯▯▯▯▯▯▯▯▯▯▯▯▯▯▯▮▮▮▮▮▮▮▮   one SSRC, numbers without a gap
//! ```
//!
//! Receivers take a new SSRC, or a jump of sequence or timestamp, for a new speaker or for loss; some fall
//! silent. So each leg sees one SSRC, its sequence numbers have no gap that the source's loss did not make,
//! and its timestamps advance with time. Within one run of a source's numbers the mapping is an addition,
//! which keeps lost and reordered packets exactly that; where the source changes, jumps or was filled for,
//! the addends are chosen anew, and what is older than that moment comes too late.
//!
//! Telephone events may come under an SSRC of their own. They are let in between the packets of the
//! source, at the time at which they come; [`EventRelay`](super::dtmf::EventRelay) keeps each to the
//! time of its first packet.
//!
//! Silence continues right behind the last packet, not where the clock stands: of packets that were
//! only delayed, no more are late than were filled for. A source that comes back keeps its own time,
//! which is ahead of the silence.

use std::time::{Duration, Instant};

use super::payload::Kind;
use super::window::{MIN_DROPBACK, Step, Window};
use super::{CLOCK_RATE, FRAME_TICKS, sequence_distance, ticks_between};

/// The fields of a packet that tell where it stands in its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in ticks.
    pub timestamp: u32,
}

/// What becomes of a source's packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapped {
    /// It goes out at `position`; `resumed` is true for the first one after a change behind, which a receiver
    /// takes best as the start of a talkspurt.
    Send {
        /// Where it stands in the outgoing stream.
        position: Position,
        /// The first packet after a change of source, a jump, or silence of ours.
        resumed: bool,
    },
    /// It went out already.
    Duplicate,
    /// It is too old to be placed: from a former source, behind everything that can still be told apart, or
    /// silence was sent in its place.
    Late,
}

/// The numbering of what one leg is sent.
#[derive(Clone, Debug)]
pub struct Continuity {
    /// Where the first packet goes; its SSRC is that of the whole stream, and its number counts
    /// on until a source speaks.
    next: Position,
    source: Option<Source>,
    former: Option<Former>,
    /// The source of events that is not that of the audio.
    aside: Option<Aside>,
    /// The source's newest audio as it was sent; before there was any, the first packet of ours.
    clock: Option<Tick>,
    /// What was sent since the source last spoke.
    silence: Option<Silence>,
}

/// The run of numbers being mapped.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    window: Window,
    /// Bit n is set when `newest - n` was left out: numbers before it are mapped by an addend greater by one.
    skipped: u64,
    /// Only numbers less than so far behind the newest may be placed: older ones had other addends.
    placeable: u16,
    /// For numbers after the last one left out.
    sequence_offset: u16,
    timestamp_offset: u32,
    /// The newest audio packet's that was sent, as the source has them.
    audio_timestamp: u32,
    audio_sequence: u16,
    /// How much audio its packets hold.
    packet_ticks: u32,
}

/// The run before the last change, to know its stragglers by.
#[derive(Clone, Copy, Debug)]
struct Former {
    ssrc: u32,
    newest: u16,
    /// How many packets of it may still be stragglers; after that it is the source speaking again.
    stragglers: u8,
}

/// Events under an SSRC of their own.
#[derive(Clone, Debug)]
struct Aside {
    ssrc: u32,
    window: Window,
}

/// A timestamp of the outgoing stream, and when it was sent.
#[derive(Clone, Copy, Debug)]
struct Tick {
    timestamp: u32,
    at: Instant,
}

/// Packets of ours in place of the source's.
#[derive(Clone, Copy, Debug)]
struct Silence {
    began: Tick,
    /// The timestamp behind its last packet.
    until: u32,
    overdue: Option<Overdue>,
    /// The source's clock did not go on in it.
    clock_stood: bool,
}

/// Packets of a source that come, one after the other, after silence was sent in their place.
#[derive(Clone, Copy, Debug)]
struct Overdue {
    since: Instant,
    last: Instant,
}

/// Where a packet's audio belongs.
enum Place {
    AsStamped,
    /// The source's clock says nothing about it.
    At(u32),
    Late,
}

impl Continuity {
    /// A stream whose first packet will stand at `first`.
    #[must_use]
    pub fn new(first: Position) -> Self {
        Self { next: first, source: None, former: None, aside: None, clock: None, silence: None }
    }

    /// Places a packet of the source at `position` that arrived at `now`.
    ///
    /// Hot path: no allocation.
    pub fn map(&mut self, position: Position, kind: Kind, now: Instant) -> Mapped {
        if kind == Kind::Event && self.is_aside(position.ssrc) {
            return self.let_in(position, now);
        }
        match self.step(position, kind == Kind::Audio) {
            Step::Ahead(distance) => self.advance(position, distance, kind, now),
            Step::Behind(distance) => self.overtaken(position, distance, kind, now),
            Step::Duplicate => Mapped::Duplicate,
            Step::Late => Mapped::Late,
            Step::NewRun => self.rebase(position, now),
        }
    }

    /// Whether events of `ssrc` are not of the source that speaks.
    #[must_use]
    pub fn is_aside(&self, ssrc: u32) -> bool {
        self.source.as_ref().is_some_and(|source| source.ssrc != ssrc)
    }

    /// Takes note of a packet of the source that will not be sent, so that its number leaves no gap.
    pub fn skip(&mut self, position: Position) {
        let Step::Ahead(distance) = self.step(position, false) else { return };
        let Some(source) = &mut self.source else { return };
        source.note(distance);
        if self.silence.is_some() {
            source.close_gap(distance);
        } else {
            source.skipped |= 1;
            source.close_gap(1);
        }
    }

    /// The source says that the audio at `position` begins a talkspurt (RFC 3551 §4.1): to be called before
    /// it is placed. If its clock nevertheless goes on as if there had been no pause, it stood still
    /// meanwhile, and this packet was not held up.
    pub fn on_talkspurt(&mut self, position: Position) {
        let (Some(silence), Some(source)) = (&mut self.silence, &self.source) else { return };
        silence.clock_stood = source.ssrc == position.ssrc
            && position.sequence.wrapping_sub(source.audio_sequence) == 1
            && position.timestamp.wrapping_sub(source.audio_timestamp) == source.packet_ticks;
    }

    /// The source was on hold and is back: wherever its clock and its numbers stood meanwhile, its next
    /// packet follows what was sent.
    pub fn on_resume(&mut self) {
        if let Some(source) = self.source.take() {
            self.next.sequence = source.newest_sent().wrapping_add(1);
            self.former = None;
        }
    }

    /// The place of 20 ms of silence that are due at `due`, as [`Filler`](super::filler::Filler) says.
    ///
    /// Hot path: no allocation.
    pub fn fill(&mut self, due: Instant) -> Position {
        let timestamp = match (self.silence, self.clock, &self.source) {
            (Some(silence), _, _) => later(silence.until, silence.began.after_whole_frames(due, 0)),
            (None, Some(clock), Some(source)) => clock.timestamp.wrapping_add(source.packet_ticks),
            (None, Some(_) | None, _) => self.timestamp_at(due),
        };
        let tick = Tick { timestamp, at: due };
        let new = Silence { began: tick, until: timestamp, overdue: None, clock_stood: false };
        let silence = self.silence.get_or_insert(new);
        silence.until = timestamp.wrapping_add(FRAME_TICKS);
        self.clock.get_or_insert(tick);
        Position { timestamp, ..self.insert(due) }
    }

    /// The place of a packet of ours that is no audio, between those of the source: the next number, and
    /// the time it is at `now`.
    ///
    /// Hot path: no allocation.
    pub fn insert(&mut self, now: Instant) -> Position {
        let timestamp = self.timestamp_at(now);
        let sequence = if let Some(source) = &mut self.source {
            source.sequence_offset = source.sequence_offset.wrapping_add(1);
            source.placeable = 0;
            source.newest_sent()
        } else {
            let next = self.next.sequence;
            self.next.sequence = next.wrapping_add(1);
            next
        };
        Position { ssrc: self.next.ssrc, sequence, timestamp }
    }

    /// The timestamp that audio sent at `now` would have: of an event that begins, or for a sender report.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        self.clock
            .map_or(self.next.timestamp, |clock| clock.timestamp.wrapping_add(ticks_between(clock.at, now)))
    }

    /// The SSRC of everything that the leg is sent.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.next.ssrc
    }

    fn step(&mut self, position: Position, is_audio: bool) -> Step {
        let Some(source) = &mut self.source else { return Step::NewRun };
        if source.ssrc == position.ssrc {
            return source.window.step(position.sequence, is_audio.then_some(position.timestamp));
        }
        if self.former.as_mut().is_some_and(|former| former.is_straggler(position)) {
            Step::Late
        } else {
            Step::NewRun
        }
    }

    /// Lets an event of another SSRC than the source's in.
    fn let_in(&mut self, position: Position, now: Instant) -> Mapped {
        let step = match &mut self.aside {
            Some(aside) if aside.ssrc == position.ssrc => aside.window.step(position.sequence, None),
            Some(_) | None => Step::NewRun,
        };
        match step {
            Step::Duplicate => return Mapped::Duplicate,
            Step::Late => return Mapped::Late,
            Step::NewRun => {
                let window = Window::starting(position.sequence, None);
                self.aside = Some(Aside { ssrc: position.ssrc, window });
            }
            Step::Ahead(_) | Step::Behind(_) => {}
        }
        Mapped::Send { position: self.insert(now), resumed: false }
    }

    fn advance(&mut self, position: Position, distance: u16, kind: Kind, now: Instant) -> Mapped {
        let place = if kind == Kind::Audio {
            self.place_audio(position.timestamp, distance, now)
        } else {
            Place::AsStamped
        };
        let Some(source) = &mut self.source else { return Mapped::Late };
        source.note(distance);
        if let Place::Late = place {
            source.close_gap(distance);
            return Mapped::Late;
        }
        if self.silence.is_some() {
            source.close_gap(distance - 1);
            source.placeable = 0;
        }
        let mut resumed = false;
        if kind == Kind::Audio {
            resumed = self.silence.take().is_some();
            if let Place::At(timestamp) = place {
                source.timestamp_offset = timestamp.wrapping_sub(position.timestamp);
                source.placeable = 0;
                resumed = true;
            }
            source.on_audio(position);
            let timestamp = position.timestamp.wrapping_add(source.timestamp_offset);
            self.clock = Some(Tick { timestamp, at: now });
        }
        self.placed(position, 0, resumed)
    }

    fn place_audio(&mut self, timestamp: u32, distance: u16, now: Instant) -> Place {
        let (Some(source), Some(clock)) = (&self.source, self.clock) else { return Place::AsStamped };
        let elapsed = i64::from(ticks_between(clock.at, now));
        let advanced = i64::from(timestamp.wrapping_sub(source.audio_timestamp).cast_signed());
        if advanced <= 0 || advanced.abs_diff(elapsed) > CLOCK_JUMP_TICKS {
            return Place::At(self.next_timestamp(distance, now));
        }
        let stamped = timestamp.wrapping_add(source.timestamp_offset);
        match &mut self.silence {
            Some(silence) if is_before(stamped, silence.until) => {
                if silence.clock_stood || silence.stays_overdue(now) {
                    Place::At(self.next_timestamp(1, now))
                } else {
                    Place::Late
                }
            }
            _ => Place::AsStamped,
        }
    }

    /// A packet `distance` behind the newest, which may be the newest audio all the same.
    fn overtaken(&mut self, position: Position, distance: u16, kind: Kind, now: Instant) -> Mapped {
        let Some(source) = &mut self.source else { return Mapped::Late };
        if self.silence.is_some() || distance >= source.placeable {
            return Mapped::Late;
        }
        if kind == Kind::Audio {
            let ahead = i64::from(position.timestamp.wrapping_sub(source.audio_timestamp).cast_signed());
            if ahead.unsigned_abs() > CLOCK_JUMP_TICKS {
                return Mapped::Late;
            }
            if ahead > 0 {
                (source.audio_timestamp, source.audio_sequence) = (position.timestamp, position.sequence);
                let timestamp = position.timestamp.wrapping_add(source.timestamp_offset);
                self.clock = Some(Tick { timestamp, at: now });
            }
        }
        self.placed(position, distance, false)
    }

    /// Starts a new run of numbers where the last one ended, as far on in time as the
    /// pause between them was long.
    fn rebase(&mut self, position: Position, now: Instant) -> Mapped {
        let resumed = self.clock.is_some();
        let timestamp = self.next_timestamp(1, now);
        let mut placeable = if resumed { 0 } else { u16::MAX };
        if let Some(source) = self.source.take() {
            self.next.sequence = source.newest_sent().wrapping_add(1);
            self.former =
                Some(Former { ssrc: source.ssrc, newest: source.window.newest(), stragglers: STRAGGLERS });
            placeable = 0;
        }
        self.source = Some(Source {
            ssrc: position.ssrc,
            window: Window::starting(position.sequence, Some(position.timestamp)),
            skipped: 0,
            placeable,
            sequence_offset: self.next.sequence.wrapping_sub(position.sequence),
            timestamp_offset: timestamp.wrapping_sub(position.timestamp),
            audio_timestamp: position.timestamp,
            audio_sequence: position.sequence,
            packet_ticks: FRAME_TICKS,
        });
        self.clock = Some(Tick { timestamp, at: now });
        self.silence = None;
        self.placed(position, 0, resumed)
    }

    /// Where audio belongs whose own timestamp says nothing: as far on as time is, at least
    /// `frames` and behind silence.
    fn next_timestamp(&self, frames: u16, now: Instant) -> u32 {
        let Some(clock) = self.clock else { return self.next.timestamp };
        let frames = if self.silence.is_some() { 1 } else { frames };
        let timestamp = clock.after_whole_frames(now, frames);
        self.silence.map_or(timestamp, |silence| later(silence.until, timestamp))
    }

    fn placed(&self, position: Position, behind: u16, resumed: bool) -> Mapped {
        let Some(source) = &self.source else { return Mapped::Late };
        let position = Position {
            ssrc: self.next.ssrc,
            sequence: position.sequence.wrapping_add(source.sequence_offset_at(behind)),
            timestamp: position.timestamp.wrapping_add(source.timestamp_offset),
        };
        Mapped::Send { position, resumed }
    }
}

impl Source {
    /// The newest number moved on by `distance`.
    fn note(&mut self, distance: u16) {
        self.skipped = self.skipped.checked_shl(u32::from(distance)).unwrap_or(0);
        self.placeable = self.placeable.saturating_add(distance);
    }

    /// The last `numbers` of the source take no place in what is sent.
    fn close_gap(&mut self, numbers: u16) {
        self.sequence_offset = self.sequence_offset.wrapping_sub(numbers);
    }

    fn newest_sent(&self) -> u16 {
        self.window.newest().wrapping_add(self.sequence_offset)
    }

    /// The addend for the number `behind` the newest: every packet left out since then took one off.
    fn sequence_offset_at(&self, behind: u16) -> u16 {
        let since = self.skipped & ((1 << behind) - 1);
        self.sequence_offset.wrapping_add(since.count_ones() as u16)
    }

    fn on_audio(&mut self, Position { sequence, timestamp, .. }: Position) {
        let advanced = timestamp.wrapping_sub(self.audio_timestamp);
        let follows = sequence.wrapping_sub(self.audio_sequence) == 1;
        if follows && (1..=MAX_PACKET_TICKS).contains(&advanced) {
            self.packet_ticks = advanced;
        }
        (self.audio_timestamp, self.audio_sequence) = (timestamp, sequence);
    }
}

impl Former {
    fn is_straggler(&mut self, position: Position) -> bool {
        let is_one = self.stragglers > 0
            && self.ssrc == position.ssrc
            && (MIN_DROPBACK..=0).contains(&sequence_distance(self.newest, position.sequence));
        self.stragglers = self.stragglers.saturating_sub(u8::from(is_one));
        is_one
    }
}

impl Tick {
    /// The timestamp at `now`, on the nearest whole number of frames: a far end that
    /// fills gaps counts in frames.
    fn after_whole_frames(self, now: Instant, at_least: u16) -> u32 {
        let ticks = ticks_between(self.at, now).saturating_add(FRAME_TICKS / 2) / FRAME_TICKS * FRAME_TICKS;
        self.timestamp.wrapping_add(ticks.max(FRAME_TICKS * u32::from(at_least)))
    }
}

impl Silence {
    /// Whether packets have come too late for longer than a delayed burst lasts: then the source's clock
    /// stood still, or its way became longer for good.
    fn stays_overdue(&mut self, now: Instant) -> bool {
        let since = match self.overdue {
            Some(Overdue { since, last }) if now.saturating_duration_since(last) <= BURST_APART => since,
            _ => now,
        };
        self.overdue = Some(Overdue { since, last: now });
        now.saturating_duration_since(since) >= BURST_LASTS
    }
}

fn is_before(timestamp: u32, other: u32) -> bool {
    timestamp.wrapping_sub(other).cast_signed() < 0
}

fn later(one: u32, other: u32) -> u32 {
    if is_before(one, other) { other } else { one }
}

/// Timestamps that part from arrival times by more than this, 3 s, are a jump and not the network's doing.
pub(super) const CLOCK_JUMP_TICKS: u64 = 3 * CLOCK_RATE as u64;
/// A longer step between two packets is a pause.
const MAX_PACKET_TICKS: u32 = CLOCK_RATE / 5;
const STRAGGLERS: u8 = 16;
/// What was held up somewhere arrives all at once, give or take this.
const BURST_LASTS: Duration = Duration::from_millis(60);
/// Late packets further apart were held up for reasons of their own.
const BURST_APART: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;

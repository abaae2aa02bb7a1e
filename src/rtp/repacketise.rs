//! G.711 packets of any length cut and joined to the length that the other leg asked for (RFC 3551 §4.2, `a=ptime`).
//!
//! ```text
//!   arrives    │ 0        │ 240      │ 480      │     30 ms each; octets and ticks are the same thing
//!   slots      │ 0     │ 160   │ 320   │ 480        20 ms each, counted on from the source's first packet
//!   leaves      0 ──────┘ 1 ─────┘ 2 ────┘           as soon as a slot is full
//! ```
//!
//! No jitter buffer: each octet goes to the slot that its timestamp says, and a slot leaves when it is full, so what was
//! reordered stays reordered and what was lost stays lost. A slot that misses a part leaves when it is three slots old, as
//! long as what it holds. The frames are numbered as if the source had sent them: they are for
//! [`Continuity`](super::continuity::Continuity) to place. Once a source goes through here all of its packets must, as
//! its own numbers are other ones.

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
    transcoder: Transcoder,
    silence: u8,
    slot_ticks: usize,
    source: Option<Source>,
    slots: [Slot; SLOTS],
    /// What the slots hold, each in its part; the last part is for what is older than all of them.
    octets: [u8; PARTS * MAX_SLOT_TICKS],
}

/// A packet to send in the source's stead.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it stands in the source's stream, as cut.
    pub position: Position,
    /// It begins a talkspurt.
    pub marker: bool,
    /// How much later than the packet that it was cut from it would have been sent: add it to the time of arrival.
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

/// The frames of one packet: ask for the [`next`](Self::next) until there is none.
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

impl Repacketiser {
    /// To packets of `ptime_ms`, 10 to 100 ms, from one law to the other.
    #[must_use]
    pub fn new(ptime_ms: u8, from: Law, to: Law) -> Self {
        let slot_ticks = usize::from(ptime_ms.clamp(10, 100)) * CLOCK_RATE as usize / 1_000;
        Self {
            transcoder: Transcoder::new(from, to),
            silence: to.silence(),
            slot_ticks,
            source: None,
            slots: std::array::from_fn(Slot::empty),
            octets: [0; PARTS * MAX_SLOT_TICKS],
        }
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
        self.note(position)?;
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

    /// Whether the source begins anew with a packet of `ticks` at `position`: after a pause, or on another clock.
    fn note_audio(&mut self, position: Position, ticks: u32) -> Result<bool, NotCut> {
        let step = self.note(position)?;
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

    fn note(&mut self, position: Position) -> Result<Step, NotCut> {
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == position.ssrc) else {
            self.source = Some(Source::starting(position));
            self.slots = std::array::from_fn(Slot::empty);
            return Ok(Step::NewRun);
        };
        match source.window.step(position.sequence) {
            Step::Duplicate => Err(NotCut::Duplicate),
            Step::Late => Err(NotCut::Late),
            Step::NewRun => {
                source.window = Window::starting(position.sequence);
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
            window: Window::starting(first.sequence),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_of_20_ms_are_cut_from_longer_packets_and_joined_from_shorter_ones() {
        for packet_ms in [10_u32, 20, 30, 40, 50, 60, 200] {
            let packets = 600 / packet_ms;
            let mut cutter = Cutter::new(20);

            let frames: Vec<Sent> = (0..packets).flat_map(|n| cutter.packet(n, packet_ms * 8)).collect();

            let expected: Vec<Sent> = (0..30).map(|n| Sent::whole(100 + n, 160)).collect();
            assert_eq!(frames, expected, "{packet_ms} ms");
        }
    }

    #[test]
    fn any_length_is_cut_to_the_length_that_was_asked_for() {
        for ptime_ms in [10_u8, 30, 60, 100] {
            let ticks = usize::from(ptime_ms) * 8;
            let mut cutter = Cutter::new(ptime_ms);

            let frames: Vec<Sent> = (0..200).flat_map(|n| cutter.packet(n, 163)).collect();

            let expected: Vec<Sent> =
                (0..200 * 163 / ticks).map(|n| Sent::whole(100 + n as u16, ticks)).collect();
            assert_eq!(frames, expected, "{ptime_ms} ms");
        }
    }

    #[test]
    fn frames_of_one_packet_are_spaced_in_time_and_the_first_bears_its_marker() {
        let mut repacketiser = Repacketiser::new(20, Law::Mu, Law::Mu);

        let mut cut = repacketiser.push(at(100, 0), true, &[1; 480]).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = cut.next_frame() {
            frames.push((frame.marker, frame.after.as_millis()));
        }

        assert_eq!(frames, [(true, 0), (false, 20), (false, 40)]);
    }

    #[test]
    fn lost_packets_stay_lost_and_others_keep_number_and_time() {
        let mut cutter = Cutter::new(20);

        let mut frames = cutter.packet(0, 480);
        frames.extend(cutter.packet(2, 480));

        let numbers: Vec<_> = frames.iter().map(|frame| (frame.sequence, frame.timestamp)).collect();
        assert_eq!(numbers, [(100, 0), (101, 160), (102, 320), (106, 960), (107, 1_120), (108, 1_280)]);
    }

    #[test]
    fn half_a_frame_whose_other_half_was_lost_leaves_when_it_is_three_slots_old() {
        let mut cutter = Cutter::new(20);

        let frames: Vec<Sent> =
            [0, 1, 2, 4, 5, 6, 7, 8].into_iter().flat_map(|n| cutter.packet(n, 80)).collect();

        let half = Sent { sequence: 101, timestamp: 160, payload: stretch(160, 80) };
        let whole = [0, 2, 3].map(|n| Sent::whole(100 + n, 160));
        assert_eq!(frames, [&whole[..], &[half]].concat());
    }

    #[test]
    fn packets_that_overtook_each_other_are_joined_all_the_same() {
        let mut cutter = Cutter::new(20);

        let frames: Vec<Sent> = [0, 2, 1, 4, 3, 5].into_iter().flat_map(|n| cutter.packet(n, 80)).collect();

        assert_eq!(frames, [0, 1, 2].map(|n| Sent::whole(100 + n, 160)));
    }

    #[test]
    fn a_long_packet_that_was_overtaken_has_its_frames_where_they_belong() {
        let mut cutter = Cutter::new(20);

        let frames: Vec<Sent> = [0, 2, 1].into_iter().flat_map(|n| cutter.packet(n, 480)).collect();

        assert_eq!(frames, [0, 1, 2, 6, 7, 8, 3, 4, 5].map(|n| Sent::whole(100 + n, 160)));
    }

    #[test]
    fn what_comes_after_its_slot_left_goes_as_it_is() {
        let mut cutter = Cutter::new(20);
        for n in [0, 2, 3, 4] {
            cutter.packet(n, 240);
        }

        let frames = cutter.packet(1, 240);

        let position: Vec<_> =
            frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
        assert_eq!(position, [(101, 240, 80), (102, 320, 160)]);
    }

    #[test]
    fn a_pause_sends_what_began_and_leaves_no_gap_in_the_numbers() {
        let mut cutter = Cutter::new(20);
        let mut frames = cutter.packet(0, 240);

        frames.extend(cutter.at(1, 8_000, 240));

        let position: Vec<_> =
            frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
        assert_eq!(position, [(100, 0, 160), (101, 160, 80), (102, 8_000, 160)]);
    }

    #[test]
    fn a_jump_of_the_numbers_goes_on_without_a_gap() {
        let mut cutter = Cutter::new(20);
        let mut frames = cutter.packet(0, 320);

        frames.extend(cutter.at(40_000, 77, 320));

        let numbers: Vec<_> = frames.iter().map(|frame| frame.sequence).collect();
        assert_eq!(numbers, [100, 101, 102, 103]);
    }

    #[test]
    fn flushing_sends_what_began_and_the_source_goes_on_behind_it() {
        let mut cutter = Cutter::new(20);
        let mut frames = cutter.packet(0, 240);

        frames.extend(sent(cutter.repacketiser.flush()));
        frames.extend(cutter.packet(1, 240));

        let position: Vec<_> =
            frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.payload.len())).collect();
        assert_eq!(position, [(100, 0, 160), (101, 160, 80), (102, 240, 160)]);
    }

    #[test]
    fn an_event_between_frames_takes_a_number_and_keeps_its_time() {
        let mut cutter = Cutter::new(20);
        let mut numbers: Vec<_> = cutter.packet(0, 320).iter().map(|frame| frame.sequence).collect();

        let event = cutter.repacketiser.aside(at(101, 320)).unwrap();
        let again = cutter.repacketiser.aside(at(101, 320));
        numbers.extend(cutter.at(2, 320, 320).iter().map(|frame| frame.sequence));

        assert_eq!((event, again), (at(102, 320), Err(NotCut::Duplicate)));
        assert_eq!(numbers, [100, 101, 103, 104]);
    }

    #[test]
    fn a_source_may_begin_with_an_event() {
        let mut cutter = Cutter::new(20);

        let event = cutter.repacketiser.aside(at(100, 0));
        let frames = cutter.at(1, 800, 160);

        assert_eq!((event, frames[0].sequence, frames[0].timestamp), (Ok(at(100, 0)), 101, 800));
    }

    #[test]
    fn duplicates_stragglers_and_endless_packets_give_no_frames() {
        let mut repacketiser = Repacketiser::new(20, Law::Mu, Law::Mu);
        assert_eq!(sent(repacketiser.push(at(100, 0), false, &[0; 160]).unwrap()).len(), 1);

        let refused = |repacketiser: &mut Repacketiser, sequence, timestamp, octets: &[u8]| {
            repacketiser.push(at(sequence, timestamp), false, octets).err()
        };
        assert_eq!(refused(&mut repacketiser, 100, 0, &[0; 160]), Some(NotCut::Duplicate));
        assert_eq!(refused(&mut repacketiser, 99, 1_000_000, &[0; 160]), Some(NotCut::Late));
        assert_eq!(refused(&mut repacketiser, 1, 0, &[0; 160]), Some(NotCut::Late));
        let too_long = Some(NotCut::TooLong { octets: 1_601 });
        assert_eq!(refused(&mut repacketiser, 101, 160, &[0; 1_601]), too_long);
    }

    #[test]
    fn laws_that_differ_are_transcoded_and_holes_are_silence() {
        let mut repacketiser = Repacketiser::new(40, Law::Mu, Law::A);
        let sevens = [Law::Mu.encode(7_000); 80];
        for n in [0_u16, 2, 3, 4, 12, 13] {
            let mut cut = repacketiser.push(at(n, u32::from(n) * 80), false, &sevens).unwrap();
            let Some(frame) = cut.next_frame() else { continue };

            let [spoken, hole] = [frame.payload[0], frame.payload[80]];
            let mut expected = [sevens[0]];
            Transcoder::new(Law::Mu, Law::A).in_place(&mut expected);
            assert_eq!(([spoken], hole), (expected, Law::A.silence()));
            return;
        }
        panic!("the frame with the hole never left");
    }

    proptest! {
        #[test]
        fn no_order_of_packets_panics_or_sends_without_end(
            ptime_ms in any::<u8>(),
            packets in proptest::collection::vec((any::<u32>(), 0_u16..2_000, 0..4_u16, 0..6_u8), 0..200),
        ) {
            let mut repacketiser = Repacketiser::new(ptime_ms, Law::A, Law::Mu);
            let (mut sequence, mut timestamp, mut arrived, mut left) = (0_u16, 0_u32, 0, 0);
            for (jump, octets, forward, kind) in packets {
                sequence = sequence.wrapping_add(forward).wrapping_sub(1);
                timestamp = if kind == 0 { jump } else { timestamp.wrapping_add(octets.into()) };
                let position = Position { ssrc: u32::from(kind == 1), sequence, timestamp };
                if kind == 2 {
                    let _ = repacketiser.aside(position);
                    continue;
                }
                let payload = vec![0; octets.into()];
                if let Ok(cut) = repacketiser.push(position, kind == 3, &payload) {
                    arrived += payload.len();
                    left += sent(cut).iter().map(|frame| frame.payload.len()).sum::<usize>();
                }
            }
            let slot = usize::from(ptime_ms.clamp(10, 100)) * 8;
            prop_assert!(left <= arrived + 200 * slot, "{} arrived, {} left", arrived, left);
        }
    }

    #[derive(Debug, PartialEq, Clone)]
    struct Sent {
        sequence: u16,
        timestamp: u32,
        payload: Vec<u8>,
    }

    impl Sent {
        /// The frame of the number `sequence` where all are of `ticks` and number 100 begins at 0.
        fn whole(sequence: u16, ticks: usize) -> Self {
            let timestamp = u32::from(sequence - 100) * ticks as u32;
            Self { sequence, timestamp, payload: stretch(timestamp, ticks) }
        }
    }

    /// A source that begins at sequence 100 and timestamp 0, and whose octets tell where they stand.
    struct Cutter {
        repacketiser: Repacketiser,
    }

    impl Cutter {
        fn new(ptime_ms: u8) -> Self {
            Self { repacketiser: Repacketiser::new(ptime_ms, Law::A, Law::A) }
        }

        /// The frames that come of packet `n`, where all hold as many `ticks`.
        fn packet(&mut self, n: u32, ticks: u32) -> Vec<Sent> {
            self.at(n as u16, n * ticks, ticks)
        }

        fn at(&mut self, n: u16, timestamp: u32, ticks: u32) -> Vec<Sent> {
            let payload = stretch(timestamp, ticks as usize);
            sent(self.repacketiser.push(at(100 + n, timestamp), false, &payload).unwrap())
        }
    }

    fn sent(mut cut: Cut<'_>) -> Vec<Sent> {
        let mut frames = Vec::new();
        while let Some(Frame { position, payload, .. }) = cut.next_frame() {
            let Position { sequence, timestamp, .. } = position;
            frames.push(Sent { sequence, timestamp, payload: payload.to_vec() });
        }
        frames
    }

    fn at(sequence: u16, timestamp: u32) -> Position {
        Position { ssrc: 7, sequence, timestamp }
    }

    fn stretch(timestamp: u32, ticks: usize) -> Vec<u8> {
        (0..ticks).map(|n| ((timestamp as usize + n) % 251) as u8).collect()
    }
}

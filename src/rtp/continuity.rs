//! One unbroken stream toward a leg, whatever changes behind it (RFC 3550 §5.1, RFC 3551 §4.1).
//!
//! Receivers take a new SSRC, or a jump of sequence or timestamp, for a new speaker or for loss; some fall silent.
//! So each leg sees one SSRC, its sequence numbers have no gap that the source's loss did not make, and its timestamps
//! advance with time. Within one run of a source's numbers the mapping is an addition, which keeps lost and reordered
//! packets exactly that; where the source changes or jumps, the addends are chosen anew.

use std::time::Instant;

use super::payload::Kind;
use super::stats::MAX_DROPOUT;
use super::{CLOCK_RATE, FRAME_TICKS, sequence_distance};

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
    /// It goes out at `position`; `resumed` is true for the first one after a change behind, which a receiver takes
    /// best as the start of a talkspurt.
    Send {
        /// Where it stands in the outgoing stream.
        position: Position,
        /// The first packet after a change of source or a jump.
        resumed: bool,
    },
    /// It went out already.
    Duplicate,
    /// It is too old to be placed: from a former source, or behind everything that can still be told apart.
    Late,
}

/// The numbering of what one leg is sent.
#[derive(Clone, Debug)]
pub struct Continuity {
    /// Where the next packet after a change goes; its SSRC is that of the whole stream.
    next: Position,
    source: Option<Source>,
    former: Option<Former>,
}

/// The run of numbers being mapped.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    highest: u16,
    /// Bit n is set when `highest - n` was seen.
    seen: u64,
    /// Bit n is set when `highest - n` was left out: numbers before it are mapped by an addend greater by one.
    skipped: u64,
    /// For numbers after the last one left out.
    sequence_offset: u16,
    timestamp_offset: u32,
    /// The newest audio packet: what timestamps are measured from.
    audio_timestamp: u32,
    audio_arrived: Instant,
    /// The number that would prove that the source really jumped backwards (RFC 3550 A.1).
    restarts_at: Option<u16>,
}

/// The run before the last change, to know its stragglers by.
#[derive(Clone, Copy, Debug)]
struct Former {
    ssrc: u32,
    highest: u16,
    /// How many packets of it may still be stragglers; after that it is the source speaking again.
    stragglers: u8,
}

/// How a number relates to the run being mapped.
enum Step {
    /// By so much the newest.
    Ahead(u16),
    /// By so much older than the newest, and not seen before.
    Behind(u16),
    Duplicate,
    Late,
    NewRun,
}

impl Continuity {
    /// A stream whose first packet will stand at `first`.
    #[must_use]
    pub fn new(first: Position) -> Self {
        Self { next: first, source: None, former: None }
    }

    /// Places a packet of the source at `position` that arrived at `now`.
    ///
    /// Hot path: no allocation.
    pub fn map(&mut self, position: Position, kind: Kind, now: Instant) -> Mapped {
        match self.step(position) {
            Step::Ahead(distance) => self.advance(position, distance, kind, now),
            Step::Behind(distance) => self.placed(position, distance, false),
            Step::Duplicate => Mapped::Duplicate,
            Step::Late => Mapped::Late,
            Step::NewRun => self.rebase(position, now),
        }
    }

    /// Takes note of a packet of the source that will not be sent, so that its number leaves no gap.
    pub fn skip(&mut self, position: Position) {
        if let (Step::Ahead(distance), Some(source)) = (self.step(position), &mut self.source) {
            source.advance(distance);
            source.skipped |= 1;
            source.sequence_offset = source.sequence_offset.wrapping_sub(1);
        }
    }

    fn step(&mut self, position: Position) -> Step {
        let Some(source) = &mut self.source else { return Step::NewRun };
        if source.ssrc == position.ssrc {
            return source.step(position.sequence);
        }
        if self.former.as_mut().is_some_and(|former| former.is_straggler(position)) {
            Step::Late
        } else {
            Step::NewRun
        }
    }

    fn advance(&mut self, position: Position, distance: u16, kind: Kind, now: Instant) -> Mapped {
        let Some(source) = &mut self.source else { return Mapped::Late };
        source.advance(distance);
        let mut resumed = false;
        if kind == Kind::Audio {
            let elapsed = ticks_between(source.audio_arrived, now);
            let advanced = position.timestamp.wrapping_sub(source.audio_timestamp);
            resumed = i64::from(advanced.cast_signed()).abs_diff(i64::from(elapsed)) > CLOCK_JUMP_TICKS;
            if resumed {
                let wanted = whole_frames(elapsed).max(FRAME_TICKS.saturating_mul(u32::from(distance)));
                source.timestamp_offset = source.timestamp_offset.wrapping_add(wanted.wrapping_sub(advanced));
            }
            source.audio_timestamp = position.timestamp;
            source.audio_arrived = now;
        }
        self.placed(position, 0, resumed)
    }

    /// Starts a new run of numbers where the last one ended, as far on in time as the pause between them was long.
    fn rebase(&mut self, position: Position, now: Instant) -> Mapped {
        let resumed = self.source.is_some();
        if let Some(source) = self.source.take() {
            self.next.sequence = source.highest.wrapping_add(source.sequence_offset).wrapping_add(1);
            self.next.timestamp = source
                .audio_timestamp
                .wrapping_add(source.timestamp_offset)
                .wrapping_add(whole_frames(ticks_between(source.audio_arrived, now)).max(FRAME_TICKS));
            self.former = Some(Former { ssrc: source.ssrc, highest: source.highest, stragglers: STRAGGLERS });
        }
        self.source = Some(Source {
            ssrc: position.ssrc,
            highest: position.sequence,
            seen: 1,
            sequence_offset: self.next.sequence.wrapping_sub(position.sequence),
            skipped: 0,
            timestamp_offset: self.next.timestamp.wrapping_sub(position.timestamp),
            audio_timestamp: position.timestamp,
            audio_arrived: now,
            restarts_at: None,
        });
        self.placed(position, 0, resumed)
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
    /// Hot path. A number far behind proves a restart only together with the one that follows it.
    fn step(&mut self, sequence: u16) -> Step {
        let distance = sequence_distance(self.highest, sequence);
        match (distance, u16::try_from(distance.unsigned_abs())) {
            (1..=MAX_DROPOUT, Ok(ahead)) => Step::Ahead(ahead),
            (-63..=0, Ok(behind)) => {
                let bit = 1 << behind;
                let known = self.seen & bit != 0;
                self.seen |= bit;
                if known { Step::Duplicate } else { Step::Behind(behind) }
            }
            (MIN_DROPBACK..=-64, _) if self.restarts_at != Some(sequence) => {
                self.restarts_at = Some(sequence.wrapping_add(1));
                Step::Late
            }
            _ => Step::NewRun,
        }
    }

    fn advance(&mut self, distance: u16) {
        self.highest = self.highest.wrapping_add(distance);
        self.seen = self.seen.checked_shl(u32::from(distance)).unwrap_or(0) | 1;
        self.skipped = self.skipped.checked_shl(u32::from(distance)).unwrap_or(0);
        self.restarts_at = None;
    }

    /// The addend for the number `behind` the newest: every packet left out since then took one off.
    fn sequence_offset_at(&self, behind: u16) -> u16 {
        let since = self.skipped & ((1 << behind) - 1);
        self.sequence_offset.wrapping_add(since.count_ones() as u16)
    }
}

impl Former {
    fn is_straggler(&mut self, position: Position) -> bool {
        let is_one = self.stragglers > 0
            && self.ssrc == position.ssrc
            && (MIN_DROPBACK..=0).contains(&sequence_distance(self.highest, position.sequence));
        self.stragglers = self.stragglers.saturating_sub(u8::from(is_one));
        is_one
    }
}

fn ticks_between(earlier: Instant, later: Instant) -> u32 {
    let micros = later.saturating_duration_since(earlier).as_micros();
    u32::try_from(micros * u128::from(CLOCK_RATE) / 1_000_000).unwrap_or(u32::MAX)
}

/// The nearest whole number of frames: a far end that fills gaps counts in frames.
fn whole_frames(ticks: u32) -> u32 {
    ticks.saturating_add(FRAME_TICKS / 2) / FRAME_TICKS * FRAME_TICKS
}

/// Timestamps that part from arrival times by more than this, 3 s, are a jump and not the network's doing.
const CLOCK_JUMP_TICKS: u64 = 3 * CLOCK_RATE as u64;
const MIN_DROPBACK: i32 = -MAX_DROPOUT;
const STRAGGLERS: u8 = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_source_is_renumbered_by_an_addition_that_keeps_its_losses() {
        let mut stream = Stream::new();

        let sent = stream.audio(7, [65_534, 65_535, 2, 3]);

        assert_eq!(sent, [100, 101, 104, 105]);
    }

    #[test]
    fn timestamps_follow_the_source_within_a_run() {
        let mut stream = Stream::new();

        let first = stream.packet(7, 1, 0xFFFF_FFF0, Kind::Audio);
        stream.pass(20);
        let second = stream.packet(7, 2, 0x90, Kind::Audio);

        assert_eq!(timestamps(&[first, second]), [5_000, 5_160]);
    }

    #[test]
    fn reordered_packets_keep_their_relative_number_and_duplicates_pass_once() {
        let mut stream = Stream::new();

        let sent = stream.audio(7, [10, 12, 11, 11, 12, 13]);

        assert_eq!(sent, [100, 102, 101, 103]);
    }

    #[test]
    fn a_new_ssrc_continues_the_sequence_and_as_much_later_as_the_pause_was_long() {
        let mut stream = Stream::new();
        stream.packet(7, 10, 400_000, Kind::Audio);
        stream.pass(95);

        let taken_over = stream.packet(8, 60_000, 12, Kind::Audio);

        let position = Position { ssrc: 1, sequence: 101, timestamp: 5_000 + 5 * FRAME_TICKS };
        assert_eq!(taken_over, Mapped::Send { position, resumed: true });
    }

    #[test]
    fn a_jump_of_the_sequence_leaves_no_gap() {
        let mut stream = Stream::new();

        let forward = stream.audio(7, [10, 11, 40_000, 40_001]);
        let backward = stream.audio(7, [100, 101]);

        assert_eq!((forward, backward), (vec![100, 101, 102, 103], vec![104, 105]));
    }

    #[test]
    fn a_source_that_restarts_a_little_behind_is_believed_at_its_second_packet() {
        let mut stream = Stream::new();
        stream.audio(7, 1_000..1_100);

        let straggler = stream.audio(7, [1_000]);
        let restarted = stream.audio(7, [500, 501, 502]);

        assert_eq!((straggler, restarted), (vec![], vec![200, 201]));
    }

    #[test]
    fn a_straggler_of_the_former_source_does_not_turn_the_stream_back() {
        let mut stream = Stream::new();
        stream.audio(7, [10, 11]);

        let sent = stream.audio(8, [500]);
        let straggler = stream.packet(7, 9, 0, Kind::Audio);
        let on = stream.audio(8, [501]);

        assert_eq!((sent, straggler, on), (vec![102], Mapped::Late, vec![103]));
    }

    #[test]
    fn a_former_source_that_speaks_again_from_its_beginning_is_heard() {
        let mut stream = Stream::new();
        stream.audio(7, 0..50);
        stream.audio(8, [1]);

        let heard = stream.audio(7, 0..50);

        assert_eq!(heard.len(), 50 - usize::from(STRAGGLERS));
        assert_eq!(heard.first(), Some(&151));
    }

    #[test]
    fn a_jump_of_the_clock_alone_is_smoothed_to_the_time_that_passed() {
        let mut stream = Stream::new();
        stream.packet(7, 1, 1_000, Kind::Audio);
        stream.pass(20);

        let jumped = stream.packet(7, 2, 3_000_000_000, Kind::Audio);
        stream.pass(20);
        let on = stream.packet(7, 3, 3_000_000_160, Kind::Audio);

        assert_eq!(timestamps(&[jumped, on]), [5_160, 5_320]);
    }

    #[test]
    fn silence_suppression_keeps_the_pause_that_the_source_made() {
        let mut stream = Stream::new();
        stream.packet(7, 1, 0, Kind::Audio);
        stream.pass(10_000);

        let resumed = stream.packet(7, 2, 80_000, Kind::Audio);

        assert_eq!(timestamps(&[resumed]), [85_000]);
    }

    #[test]
    fn the_repeated_timestamp_of_an_event_is_kept_between_audio_packets() {
        let mut stream = Stream::new();
        stream.packet(7, 1, 0, Kind::Audio);
        let mut sent = Vec::new();

        for frame in 1..300_u16 {
            stream.pass(20);
            sent.push(stream.packet(7, 2 * frame, 160, Kind::Event));
            sent.push(stream.packet(7, 2 * frame + 1, u32::from(frame) * 160, Kind::Audio));
        }

        let expected: Vec<u32> = (1..300).flat_map(|frame| [5_160, 5_000 + frame * 160]).collect();
        assert_eq!(timestamps(&sent), expected);
    }

    #[test]
    fn a_packet_that_is_left_out_leaves_no_gap_and_a_straggler_from_before_it_keeps_its_place() {
        let mut stream = Stream::new();
        let mut sent = stream.audio(7, [10]);

        stream.skip(7, 12);
        sent.extend(stream.audio(7, [13, 11, 14]));
        stream.skip(7, 15);
        sent.extend(stream.audio(7, [16]));

        assert_eq!(sent, [100, 102, 101, 103, 104]);
    }

    /// A stream that begins at SSRC 1, sequence 100, timestamp 5000.
    struct Stream {
        continuity: Continuity,
        now: Instant,
    }

    impl Stream {
        fn new() -> Self {
            let first = Position { ssrc: 1, sequence: 100, timestamp: 5_000 };
            Self { continuity: Continuity::new(first), now: Instant::now() }
        }

        fn pass(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: u32, kind: Kind) -> Mapped {
            self.continuity.map(Position { ssrc, sequence, timestamp }, kind, self.now)
        }

        fn skip(&mut self, ssrc: u32, sequence: u16) {
            self.continuity.skip(Position { ssrc, sequence, timestamp: 0 });
        }

        /// The numbers under which packets of `ssrc` are sent.
        fn audio(&mut self, ssrc: u32, sequences: impl IntoIterator<Item = u16>) -> Vec<u16> {
            let sent = sequences.into_iter().filter_map(|sequence| {
                match self.packet(ssrc, sequence, u32::from(sequence) * FRAME_TICKS, Kind::Audio) {
                    Mapped::Send { position, .. } => Some(position.sequence),
                    Mapped::Duplicate | Mapped::Late => None,
                }
            });
            sent.collect()
        }
    }

    fn timestamps(sent: &[Mapped]) -> Vec<u32> {
        sent.iter()
            .map(|mapped| match mapped {
                Mapped::Send { position, .. } => position.timestamp,
                Mapped::Duplicate | Mapped::Late => panic!("{mapped:?} was not sent"),
            })
            .collect()
    }
}

//! What came of one peer's stream: counts, loss, jitter, gaps (RFC 3550 appendices A.1, A.3 and A.8).
//!
//! Every packet of the peer belongs here, duplicates too: they are told apart and counted as what they are,
//! since a duplicate that passed for a packet would hide a loss. A source that changes its SSRC, or jumps,
//! begins anew, and what the former one lost stays counted.

use std::time::{Duration, Instant};

use super::continuity::Position;
use super::window::{Step, Window};
use super::{CLOCK_RATE, FRAME_TICKS, ticks_between};

/// Statistics of what one peer sent.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    received: u64,
    bytes: u64,
    late: u64,
    duplicate: u64,
    reordered: u64,
    lost_before: u64,
    source: Option<Source>,
    /// Scaled by 16, as in RFC 3550 A.8.
    jitter_scaled: u32,
    last: Option<Instant>,
    longest_gap: Duration,
    answered: Option<Instant>,
    until_audio: Option<Duration>,
}

/// A packet of the peer, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Where it stands in the peer's stream.
    pub position: Position,
    /// Whether it carries audio. Events (RFC 4733) repeat the timestamp of their beginning, and so say
    /// nothing about jitter.
    pub is_audio: bool,
    /// How long the RTP packet is.
    pub bytes: usize,
    /// When it came.
    pub at: Instant,
}

/// The run of numbers of one SSRC, as a report block describes it (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceReception {
    /// Whose numbers they are.
    pub ssrc: u32,
    /// The highest number seen, extended by its cycles.
    pub highest: u32,
    /// How many packets it sent, as its numbers tell.
    pub expected: u64,
    /// How many of them came.
    pub received: u64,
    /// Interarrival jitter in timestamp ticks.
    pub jitter_ticks: u32,
}

/// The stream of one SSRC.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    window: Window,
    /// Extended by the cycles of the 16-bit number.
    first: i64,
    highest: i64,
    received: u64,
    transit: Option<Transit>,
}

/// Arrival of the last audio packet against its timestamp.
#[derive(Clone, Copy, Debug)]
struct Transit {
    arrived: Instant,
    timestamp: u32,
}

impl Reception {
    /// Counts a packet.
    ///
    /// Hot path: no allocation.
    pub fn on_packet(&mut self, arrival: Arrival) {
        let step = match &mut self.source {
            Some(source) if source.ssrc == arrival.position.ssrc => source.step(arrival),
            Some(_) | None => Step::NewRun,
        };
        match step {
            Step::Duplicate => {
                self.duplicate += 1;
                return;
            }
            Step::Behind(_) => self.reordered += 1,
            Step::Ahead(_) | Step::Late => {}
            Step::NewRun => {
                self.lost_before = self.lost();
                self.source = Some(Source::starting(arrival));
            }
        }
        self.received += 1;
        self.bytes += arrival.bytes as u64;
        self.note_time(arrival);
    }

    /// Counts an event of another SSRC than the audio's, whose numbers tell nothing of the audio's loss.
    pub fn on_aside(&mut self, arrival: Arrival) {
        self.received += 1;
        self.bytes += arrival.bytes as u64;
        self.last = Some(arrival.at);
    }

    /// The packet that was counted last could not be placed any more, as [`Mapped::Late`] says.
    ///
    /// [`Mapped::Late`]: super::continuity::Mapped::Late
    pub fn on_late(&mut self) {
        self.late += 1;
    }

    /// The call was answered: from here on audio is waited for.
    pub fn on_answer(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// The peer was told, or said, that it sends nothing for a while: the time until its next packet is no
    /// gap.
    pub fn on_hold(&mut self) {
        self.last = None;
    }

    /// Packets received, each once.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What they hold, RTP headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that never came; one that comes late is taken off again.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// Packets that came too late to be placed.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Packets that came once more; they are in no other count.
    #[must_use]
    pub fn duplicate(&self) -> u64 {
        self.duplicate
    }

    /// Packets that came after one that was sent later.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// The part of what was sent that never came, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = self.lost() as f64;
        if lost > 0.0 { lost / (lost + self.received as f64) } else { 0.0 }
    }

    /// Interarrival jitter in timestamp ticks.
    #[must_use]
    pub fn jitter_ticks(&self) -> u32 {
        self.jitter_scaled >> 4
    }

    /// Interarrival jitter as a time.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        Duration::from_secs(self.jitter_ticks().into()) / CLOCK_RATE
    }

    /// The longest time between two packets.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// How long after the answer its first audio came; 20 ms at most where early media went before.
    #[must_use]
    pub fn until_audio(&self) -> Option<Duration> {
        self.until_audio
    }

    /// What a report block says about the present source; `None` before there was one.
    #[must_use]
    pub fn source(&self) -> Option<SourceReception> {
        let source = self.source.as_ref()?;
        Some(SourceReception {
            ssrc: source.ssrc,
            highest: source.highest as u32,
            expected: source.expected(),
            received: source.received,
            jitter_ticks: self.jitter_ticks(),
        })
    }

    fn note_time(&mut self, arrival: Arrival) {
        if let Some(last) = self.last.replace(arrival.at) {
            self.longest_gap = self.longest_gap.max(arrival.at.saturating_duration_since(last));
        }
        if !arrival.is_audio {
            return;
        }
        if let (Some(answered), None) = (self.answered, self.until_audio) {
            self.until_audio = Some(arrival.at.saturating_duration_since(answered));
        }
        let Some(source) = &mut self.source else { return };
        let transit = Transit { arrived: arrival.at, timestamp: arrival.position.timestamp };
        if let Some(deviation) = source.transit.replace(transit).and_then(|last| last.deviation(transit)) {
            self.jitter_scaled = self.jitter_scaled + deviation - ((self.jitter_scaled + 8) >> 4);
        }
    }
}

impl Arrival {
    fn audio(self) -> Option<u32> {
        self.is_audio.then_some(self.position.timestamp)
    }
}

impl Source {
    fn starting(arrival: Arrival) -> Self {
        let Position { ssrc, sequence, .. } = arrival.position;
        let (window, first) = (Window::starting(sequence, arrival.audio()), i64::from(sequence));
        Self { ssrc, window, first, highest: first, received: 1, transit: None }
    }

    /// A jump is a new run, not thousands of losses; what is too old to be told apart is in no run.
    fn step(&mut self, arrival: Arrival) -> Step {
        let step = self.window.step(arrival.position.sequence, arrival.audio());
        match step {
            Step::Ahead(distance) => self.highest += i64::from(distance),
            Step::Behind(distance) => self.first = self.first.min(self.highest - i64::from(distance)),
            Step::Duplicate | Step::Late | Step::NewRun => return step,
        }
        self.received += 1;
        step
    }

    fn expected(&self) -> u64 {
        u64::try_from(self.highest - self.first + 1).unwrap_or(0)
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

impl Transit {
    /// How far the spacing of two packets differs between arrival and timestamps, in ticks.
    ///
    /// `None` where the source's clock jumped (a new talkspurt on another time base): that is no jitter.
    fn deviation(self, next: Self) -> Option<u32> {
        let arrival_ticks = i64::from(ticks_between(self.arrived, next.arrived));
        let sent_ticks = i64::from(next.timestamp.wrapping_sub(self.timestamp).cast_signed());
        let deviation = u32::try_from((arrival_ticks - sent_ticks).unsigned_abs()).ok()?;
        (deviation < CLOCK_JUMP_TICKS).then_some(deviation)
    }
}

/// RFC 3550 A.1.
pub(crate) const MAX_DROPOUT: i32 = 3_000;
const CLOCK_JUMP_TICKS: u32 = 150 * FRAME_TICKS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_never_came_are_lost_and_a_late_one_is_taken_off() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [10, 11, 14]);
        let before = reception.lost();
        feed(&mut reception, 1, [12]);

        assert_eq!((before, reception.lost(), reception.received(), reception.reordered()), (2, 1, 4, 1));
        assert!((reception.loss() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_duplicate_hides_no_loss_and_is_counted_apart() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [10, 12, 12, 10]);

        assert_eq!((reception.lost(), reception.received(), reception.duplicate()), (1, 2, 2));
        assert_eq!(reception.bytes(), 2 * 172);
    }

    #[test]
    fn what_came_too_late_to_be_told_apart_stays_lost() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, (100..300).filter(|&sequence| sequence != 150).chain([150]));
        reception.on_late();

        assert_eq!((reception.lost(), reception.late(), reception.reordered()), (1, 1, 0));
    }

    #[test]
    fn sequence_numbers_that_wrap_lose_nothing_and_are_extended_by_their_cycles() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, (0..200_000_u32).map(|n| n as u16));

        assert_eq!((reception.lost(), reception.received()), (0, 200_000));
        let source = reception.source().unwrap();
        assert_eq!((source.highest, source.expected, source.received), (199_999, 200_000, 200_000));
    }

    #[test]
    fn a_source_that_restarts_among_numbers_that_were_seen_sends_no_duplicates() {
        let (mut reception, now) = (Reception::default(), Instant::now());
        let feed = |reception: &mut Reception, start: u32| {
            for n in 0..40_u16 {
                reception.on_packet(arrival(1, n, start + u32::from(n) * FRAME_TICKS, now));
            }
        };

        feed(&mut reception, 5_000);
        feed(&mut reception, 3_000_000);

        assert_eq!((reception.received(), reception.duplicate(), reception.lost()), (80, 0, 0));
    }

    #[test]
    fn a_new_ssrc_or_a_jump_begins_anew_and_keeps_what_was_lost() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [10, 12]);
        feed(&mut reception, 2, [50_000, 50_002]);
        feed(&mut reception, 2, [9, 10]);

        assert_eq!((reception.lost(), reception.received()), (2, 6));
        assert_eq!(reception.source().map(|source| (source.ssrc, source.expected)), Some((2, 2)));
    }

    #[test]
    fn a_packet_from_before_the_first_extends_the_run_backwards() {
        let mut reception = Reception::default();

        feed(&mut reception, 1, [11, 10, 13]);

        assert_eq!(reception.lost(), 1);
    }

    #[test]
    fn packets_in_step_with_their_timestamps_have_no_jitter() {
        let reception = spaced(|n| Duration::from_millis(20 * n));

        assert_eq!(reception.jitter(), Duration::ZERO);
    }

    #[test]
    fn packets_that_come_five_ms_early_and_late_in_turn_converge_to_ten_ms_of_jitter() {
        let reception = spaced(|n| Duration::from_millis(20 * n + 10 * (n % 2)));

        let ticks = reception.jitter_ticks();
        assert!((72..=80).contains(&ticks), "{ticks} ticks, of 80 in 10 ms");
        assert_eq!(reception.jitter(), Duration::from_micros(125) * ticks);
    }

    #[test]
    fn events_and_jumps_of_the_clock_are_no_jitter() {
        let start = Instant::now();
        let mut reception = Reception::default();
        let audio = arrival(1, 1, 160, start);
        let event = Arrival { is_audio: false, ..arrival(1, 2, 160, start + Duration::from_millis(900)) };

        reception.on_packet(audio);
        reception.on_packet(event);
        reception.on_packet(arrival(1, 3, 9_999_999, start + Duration::from_millis(1_000)));

        assert_eq!(reception.jitter_ticks(), 0);
    }

    #[test]
    fn the_longest_gap_is_between_two_packets_and_not_over_a_hold() {
        let (start, mut reception) = (Instant::now(), Reception::default());
        let mut at = |sequence, ms| {
            reception.on_packet(arrival(1, sequence, 0, start + Duration::from_millis(ms)));
            reception.on_hold();
        };
        at(1, 0);
        at(2, 60_000);
        let over_holds = reception.longest_gap();
        for (sequence, ms) in [(3, 60_020), (4, 60_240), (5, 60_260)] {
            reception.on_packet(arrival(1, sequence, 0, start + Duration::from_millis(ms)));
        }

        assert_eq!((over_holds, reception.longest_gap()), (Duration::ZERO, Duration::from_millis(220)));
    }

    #[test]
    fn the_time_until_audio_counts_from_the_answer_and_events_are_no_audio() {
        let (start, mut reception) = (Instant::now(), Reception::default());
        let at = |ms| start + Duration::from_millis(ms);

        reception.on_packet(arrival(1, 1, 0, at(0)));
        let before_answer = reception.until_audio();
        reception.on_answer(at(100));
        reception.on_packet(Arrival { is_audio: false, ..arrival(1, 2, 0, at(150)) });
        reception.on_packet(arrival(1, 3, 160, at(420)));
        reception.on_answer(at(410));
        reception.on_packet(arrival(1, 4, 320, at(440)));

        assert_eq!((before_answer, reception.until_audio()), (None, Some(Duration::from_millis(320))));
    }

    fn feed(reception: &mut Reception, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        let now = Instant::now();
        for sequence in sequences {
            reception.on_packet(Arrival { is_audio: false, ..arrival(ssrc, sequence, 0, now) });
        }
    }

    fn spaced(arrives: impl Fn(u64) -> Duration) -> Reception {
        let start = Instant::now();
        let mut reception = Reception::default();
        for n in 0..500_u16 {
            let at = start + arrives(u64::from(n));
            reception.on_packet(arrival(1, n, u32::from(n) * FRAME_TICKS, at));
        }
        reception
    }

    fn arrival(ssrc: u32, sequence: u16, timestamp: u32, at: Instant) -> Arrival {
        let position = Position { ssrc, sequence, timestamp };
        Arrival { position, is_audio: true, bytes: 172, at }
    }
}

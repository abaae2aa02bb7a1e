//! What holds for a leg's stream whatever the network and the sources behind it do: no number
//! twice, no step back in time.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use trunkline::rtp::FRAME_TICKS;
use trunkline::rtp::continuity::{Continuity, Mapped, Position};
use trunkline::rtp::filler::Filler;
use trunkline::rtp::payload::Kind;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loss_reordering_pauses_and_changes_of_source_never_repeat_a_number_or_turn_time_back(
        happenings in vec(a_happening(), 1..400),
        fill_ms in prop_oneof![Just(0), 20_u32..300],
    ) {
        let mut leg = Leg::new(fill_ms);
        for happening in happenings {
            leg.live_through(happening);
        }

        let mut before: Option<u32> = None;
        for (number, timestamp) in &leg.sent {
            let advanced = before.map_or(1, |before| timestamp.wrapping_sub(before).cast_signed());
            prop_assert!(advanced > 0, "number {} stands at {}, {} after the one \
                                        before", number, timestamp, advanced);
            before = Some(*timestamp);
        }
        prop_assert_eq!(leg.repeated, 0);
    }

    #[test]
    fn silence_leaves_no_pause_over_fill_ms_and_a_frame(
        happenings in vec(a_happening(), 1..400),
        fill_ms in 20_u64..300,
    ) {
        let mut leg = Leg::new(fill_ms as u32);
        for happening in happenings {
            leg.live_through(happening);
        }

        prop_assert!(leg.longest_pause <= Duration::from_millis(fill_ms + 20), "{:?}", leg.longest_pause);
    }
}

/// One thing that befalls the stream.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A packet arrives this many milliseconds late; on the 20 ms grid of the source.
    Packet { late_ms: u64 },
    /// A packet is lost.
    Lost,
    /// A packet comes twice.
    Twice,
    /// The source does not send for this long; its clock may stand still.
    Pause { ms: u64, clock_stands: bool },
    /// A packet that is not for the leg.
    LeftOut,
    /// Another source takes over.
    OtherSource { sequence: u16, timestamp: u32 },
}

fn a_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => (0_u64..200).prop_map(|late_ms| Happening::Packet { late_ms: late_ms.saturating_sub(140) }),
        1 => (0_u64..1_000).prop_map(|late_ms| Happening::Packet { late_ms }),
        2 => Just(Happening::Lost),
        2 => Just(Happening::Twice),
        1 => (1_u64..5_000, any::<bool>())
            .prop_map(|(ms, clock_stands)| Happening::Pause { ms, clock_stands }),
        1 => Just(Happening::LeftOut),
        1 => any::<(u16, u32)>()
            .prop_map(|(sequence, timestamp)| Happening::OtherSource { sequence, timestamp }),
    ]
}

/// A source, the network and the leg they are relayed to, under one virtual clock of milliseconds.
struct Leg {
    continuity: Continuity,
    filler: Filler,
    start: Instant,
    ms: u64,
    source: Position,
    /// By when they arrive.
    under_way: BTreeMap<(u64, u16), (Position, bool)>,
    /// By the extended number.
    sent: BTreeMap<i64, u32>,
    newest: i64,
    repeated: u32,
    last_sent: Instant,
    longest_pause: Duration,
}

impl Leg {
    fn new(fill_ms: u32) -> Self {
        let start = Instant::now();
        let mut filler = Filler::new(fill_ms);
        filler.start(start);
        Self {
            continuity: Continuity::new(Position { ssrc: 1, sequence: 65_000, timestamp: u32::MAX - 16_000 }),
            filler,
            start,
            ms: 0,
            source: Position { ssrc: 1_000, sequence: 65_400, timestamp: u32::MAX - 32_000 },
            under_way: BTreeMap::new(),
            sent: BTreeMap::new(),
            newest: 65_000,
            repeated: 0,
            last_sent: start,
            longest_pause: Duration::ZERO,
        }
    }

    fn live_through(&mut self, happening: Happening) {
        match happening {
            Happening::Packet { late_ms } => self.speak(&[late_ms], true),
            Happening::Lost => self.speak(&[], true),
            Happening::Twice => self.speak(&[0, 3], true),
            Happening::LeftOut => self.speak(&[0], false),
            Happening::Pause { ms, clock_stands } => {
                if !clock_stands {
                    self.source.timestamp = self.source.timestamp.wrapping_add(ms as u32 * 8);
                }
                self.pass(ms);
            }
            Happening::OtherSource { sequence, timestamp } => {
                self.source = Position { ssrc: self.source.ssrc + 1, sequence, timestamp };
            }
        }
    }

    fn speak(&mut self, delays: &[u64], relayed: bool) {
        for delay in delays {
            self.under_way.insert((self.ms + delay, self.source.sequence), (self.source, relayed));
        }
        self.source.sequence = self.source.sequence.wrapping_add(1);
        self.source.timestamp = self.source.timestamp.wrapping_add(FRAME_TICKS);
        self.pass(20);
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            let now = self.start + Duration::from_millis(self.ms);
            while let Some(entry) = self.under_way.first_entry()
                && entry.key().0 <= self.ms
            {
                let (position, relayed) = entry.remove();
                if !relayed {
                    self.continuity.skip(position);
                } else if let Mapped::Send { position, .. } = self.continuity.map(position, Kind::Audio, now)
                {
                    self.filler.on_packet(FRAME_TICKS, now);
                    self.note(position, now);
                }
            }
            while let Some(due) = self.filler.on_time(now) {
                let position = self.continuity.fill(due);
                self.note(position, now);
            }
            self.ms += 1;
        }
    }

    fn note(&mut self, position: Position, now: Instant) {
        assert_eq!(position.ssrc, 1);
        let extended =
            self.newest + i64::from(position.sequence.wrapping_sub(self.newest as u16).cast_signed());
        self.newest = self.newest.max(extended);
        self.repeated += u32::from(self.sent.insert(extended, position.timestamp).is_some());
        self.longest_pause = self.longest_pause.max(now - self.last_sent);
        self.last_sent = now;
    }
}

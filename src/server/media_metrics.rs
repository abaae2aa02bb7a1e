//! What the audio of ended calls was like, as metrics: losses, lateness, jitter, MOS and one-way audio.
//!
//! The relay's own counters are read when a call ends, so nothing here costs a packet anything.

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

use crate::call::record::Record;
use crate::rtp::leg::Side;
use crate::rtp::leg_stats::LegStats;

/// Handles of every metric about audio.
#[derive(Debug)]
pub struct MediaMetrics {
    mos: Histogram,
    jitter_seconds: Histogram,
    first_audio_seconds: Histogram,
    /// In the order of [`fates`].
    fates: [Counter; 4],
    made: Counter,
    one_way: [Counter; 2],
}

impl MediaMetrics {
    pub(super) fn register() -> Self {
        Self {
            mos: histogram!(MOS),
            jitter_seconds: histogram!(JITTER),
            first_audio_seconds: histogram!(FIRST_AUDIO),
            fates: FATES.map(|fate| counter!("trunkline_media_received_total", "fate" => fate)),
            made: counter!("trunkline_media_made_total"),
            one_way: ["caller", "callee"]
                .map(|side| counter!("trunkline_media_one_way_total", "silent" => side)),
        }
    }

    /// A call ended: its legs that carried audio count.
    pub(super) fn ended(&self, record: &Record) {
        for leg in record.legs.iter().map(|leg| &leg.media).filter(|media| media.packets_received > 0) {
            for (counter, count) in self.fates.iter().zip(fates(leg)) {
                counter.increment(count);
            }
            self.jitter_seconds.record(leg.jitter_ms / 1_000.0);
            if let Some(mos) = leg.mos {
                self.mos.record(mos);
            }
            if let Some(first) = leg.first_audio_ms {
                self.first_audio_seconds.record(first / 1_000.0);
            }
        }
    }

    /// Packets of our own making since the start.
    pub(super) fn made(&self, packets: u64) {
        self.made.absolute(packets);
    }

    /// Nothing comes from one side though the other is heard.
    pub(super) fn one_way(&self, silent: Side) {
        self.one_way[silent as usize].increment(1);
    }
}

/// Says what each metric counts.
pub(super) fn describe() {
    describe_histogram!(MOS, "What a leg of an ended call sounded like, 1 to 4.5 (ITU-T G.107)");
    describe_histogram!(JITTER, "Interarrival jitter of a leg of an ended call (RFC 3550)");
    describe_histogram!(FIRST_AUDIO, "Seconds from the answer to the first audio of a leg");
    describe_counter!(
        "trunkline_media_received_total",
        "Packets of ended calls, by what went wrong on their way here"
    );
    describe_counter!("trunkline_media_made_total", "Packets sent that nobody sent us: silence and digits");
    describe_counter!(
        "trunkline_media_one_way_total",
        "Calls in which nothing came from one side for 5 s, by that side"
    );
}

/// Each histogram with its buckets.
pub(super) const BUCKETS: [(&str, &[f64]); 3] = [
    (MOS, &[1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.3, 4.5]),
    (JITTER, &[0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]),
    (FIRST_AUDIO, &[0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]),
];

fn fates(leg: &LegStats) -> [u64; 4] {
    [leg.packets_lost, leg.packets_late, leg.packets_duplicate, leg.packets_reordered]
}

const FATES: [&str; 4] = ["lost", "late", "duplicate", "reordered"];
const MOS: &str = "trunkline_media_mos";
const JITTER: &str = "trunkline_media_jitter_seconds";
const FIRST_AUDIO: &str = "trunkline_media_first_audio_seconds";

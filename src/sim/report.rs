//! What the demonstration found: for people a ladder and a table, for scripts one JSON object.
//!
//! Every figure is a measurement of the far ends. Where a figure is the worst of all calls, it says so.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::sim::demo::Direction;
use crate::sim::ladder::{Audio, Ladder};
use crate::sim::log::{Log, Side};
use crate::sim::stream::Recording;
use crate::sim::verdict::Verdict;

/// One call, judged.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counted from 1.
    pub id: usize,
    /// Which way it went.
    pub direction: Direction,
    /// The number called.
    pub number: String,
    /// From the caller's INVITE to its 200.
    pub setup_ms: Option<f64>,
    /// Of that, how long the callee itself took.
    pub ringing_ms: Option<f64>,
    /// What Retell heard.
    pub at_retell: Option<(Recording, Verdict)>,
    /// What the carrier heard.
    pub at_carrier: Option<(Recording, Verdict)>,
    /// Each a sentence; empty for a good call.
    pub faults: Vec<String>,
}

impl Outcome {
    pub(super) fn new(id: usize, direction: Direction, number: String) -> Self {
        Self {
            id,
            direction,
            number,
            setup_ms: None,
            ringing_ms: None,
            at_retell: None,
            at_carrier: None,
            faults: Vec::new(),
        }
    }
}

/// All calls, and the ladder of the first one, or of the first that failed.
#[derive(Clone, Debug)]
pub struct Report {
    summary: Summary,
    ladders: Vec<(String, Ladder)>,
    remarks: Vec<String>,
    calls_to_retell: usize,
    setup_added_ms: Percentiles,
    packets: u64,
    lost: u64,
}

/// What `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Calls made.
    pub calls: usize,
    /// Calls without a fault.
    pub ok: usize,
    /// The others.
    pub failed: Vec<Failed>,
    /// From the caller's INVITE to its 200, with the callee's own ringing.
    pub setup_ms: Percentiles,
    /// The same without the time that the callee took.
    pub setup_added_ms: Percentiles,
    /// From before a packet's send call to the kernel's stamp at the far end.
    pub latency_us: Percentiles,
    /// Of the packets between the first and the last that came.
    pub loss_percent: f64,
    /// The worst of all calls, each way.
    pub audio: AudioSummary,
}

/// A call that went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// Counted from 1.
    pub id: usize,
    /// What was wrong with it.
    pub reason: String,
}

/// Median and 99th percentile, by nearest rank; 0 of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The two ways.
#[derive(Clone, Debug, Serialize)]
pub struct AudioSummary {
    /// Heard by Retell.
    pub to_retell: AudioFigures,
    /// Heard by the carrier.
    pub to_trunk: AudioFigures,
}

/// One way's worst call; all 0 when no call got that far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AudioFigures {
    /// What was heard.
    pub tone_hz: f64,
    /// What should have been.
    pub expected_hz: f64,
    /// Level of the tone.
    pub level_dbov: f64,
    /// Its power over that of everything else.
    pub snr_db: f64,
}

impl Report {
    pub(super) fn new(outcomes: Vec<Outcome>, log: &Log, lateness_us: u64) -> Self {
        let verdicts =
            || outcomes.iter().flat_map(|outcome| [&outcome.at_retell, &outcome.at_carrier]).flatten();
        let packets = verdicts().map(|(_, verdict)| verdict.expected_packets).sum();
        let lost = verdicts().map(|(_, verdict)| verdict.lost).sum();
        let failed: Vec<_> = outcomes
            .iter()
            .filter(|outcome| !outcome.faults.is_empty())
            .map(|outcome| Failed { id: outcome.id, reason: outcome.faults.join("; ") })
            .collect();
        let latencies = verdicts().flat_map(|(_, verdict)| &verdict.latencies_us);
        let setup_added_ms = Percentiles::of(
            outcomes.iter().filter_map(|outcome| Some(outcome.setup_ms? - outcome.ringing_ms?)),
        );
        let summary = Summary {
            calls: outcomes.len(),
            ok: outcomes.len() - failed.len(),
            setup_ms: Percentiles::of(outcomes.iter().filter_map(|outcome| outcome.setup_ms)),
            setup_added_ms,
            latency_us: Percentiles::of(latencies.map(|latency| f64::from(*latency))),
            loss_percent: if packets == 0 { 0.0 } else { rounded(lost as f64 * 100.0 / packets as f64, 3) },
            audio: AudioSummary {
                to_retell: AudioFigures::worst(
                    outcomes.iter().filter_map(|outcome| outcome.at_retell.as_ref()),
                ),
                to_trunk: AudioFigures::worst(
                    outcomes.iter().filter_map(|outcome| outcome.at_carrier.as_ref()),
                ),
            },
            failed,
        };
        let mut remarks = counted(log.complaints());
        if lateness_us > LATE_US {
            remarks.push(format!(
                "this machine was busy: the far ends themselves ran up to {} ms late",
                lateness_us / 1_000
            ));
        }
        Self {
            ladders: ladders(&outcomes, log),
            calls_to_retell: outcomes
                .iter()
                .filter(|outcome| outcome.direction == Direction::ToRetell)
                .count(),
            summary,
            remarks,
            setup_added_ms,
            packets,
            lost,
        }
    }

    /// What `--json` prints.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether every call was good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.summary.failed.is_empty() && self.summary.calls > 0
    }
}

impl Percentiles {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            rounded(sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default(), 1)
        };
        Self { p50: rank(0.5), p99: rank(0.99) }
    }
}

impl AudioFigures {
    fn worst<'a>(heard: impl Iterator<Item = &'a (Recording, Verdict)>) -> Self {
        let worst = heard.map(|(_, verdict)| verdict).max_by(|a, b| a.badness().total_cmp(&b.badness()));
        worst.map_or_else(Self::default, |verdict| Self {
            tone_hz: rounded(verdict.heard.hertz, 2),
            expected_hz: f64::from(verdict.expected.hertz),
            level_dbov: rounded(verdict.heard.dbov, 2),
            snr_db: rounded(verdict.heard.snr_db, 1),
        })
    }
}

/// The first call's, and the first failed one's if that is another.
fn ladders(outcomes: &[Outcome], log: &Log) -> Vec<(String, Ladder)> {
    let failed = outcomes.iter().find(|outcome| !outcome.faults.is_empty());
    let first = outcomes.first();
    let second = failed.filter(|outcome| first.is_some_and(|first| first.id != outcome.id));
    first.into_iter().chain(second).map(|outcome| (title(outcome), ladder(outcome, log))).collect()
}

fn title(outcome: &Outcome) -> String {
    let way = match outcome.direction {
        Direction::ToRetell => "from the carrier to Retell",
        Direction::ToTrunk => "from Retell to the carrier",
    };
    format!("Call {}, {way}, to {}", outcome.id, outcome.number)
}

fn ladder(outcome: &Outcome, log: &Log) -> Ladder {
    let mut audio = Vec::new();
    if let (Some((retell, retell_heard)), Some((carrier, carrier_heard))) =
        (&outcome.at_retell, &outcome.at_carrier)
    {
        audio.push(Audio { from: Side::Carrier, sender: carrier, listener: retell, verdict: retell_heard });
        audio.push(Audio { from: Side::Retell, sender: retell, listener: carrier, verdict: carrier_heard });
    }
    Ladder::new(&log.of(&outcome.number), &audio)
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, ladder) in &self.ladders {
            writeln!(f, "{title}\n\n{ladder}")?;
        }
        let Summary { calls, ok, failed, setup_ms, latency_us, audio, loss_percent, .. } = &self.summary;
        let to_trunk = calls - self.calls_to_retell;
        writeln!(
            f,
            "{:<20}{ok} of {calls} good, all up at once: {} to Retell, {to_trunk} to the carrier",
            "calls", self.calls_to_retell
        )?;
        writeln!(f, "{:<20}p50         p99", "")?;
        let row = |name, figures: &Percentiles, unit, digits| {
            let figure = |value| format!("{value:.digits$} {unit}");
            format!("{name:<20}{:<12}{:<12}", figure(figures.p50), figure(figures.p99))
        };
        writeln!(f, "{}INVITE to 200, ringing included", row("set-up", setup_ms, "ms", 1))?;
        writeln!(f, "{}ringing excluded", row("  by trunkline", &self.setup_added_ms, "ms", 1))?;
        writeln!(f, "{}per packet, two loopback hops", row("latency", latency_us, "us", 0))?;
        writeln!(f, "{:<20}{loss_percent} % ({} of {} packets)", "loss", self.lost, self.packets)?;
        for (name, figures) in [("heard by Retell", &audio.to_retell), ("heard by carrier", &audio.to_trunk)]
        {
            let AudioFigures { tone_hz, expected_hz, level_dbov, snr_db } = figures;
            writeln!(
                f,
                "{name:<20}{tone_hz:.1} Hz of {expected_hz} Hz, {level_dbov:.1} dBov, SNR {snr_db:.1} dB \
                 (worst call)"
            )?;
        }
        write_some(
            f,
            "failed",
            failed
                .iter()
                .map(|failed| format!("call {}: {}", failed.id, failed.reason.replace("; ", "\n    "))),
        )?;
        write_some(f, "remarks", self.remarks.iter().cloned())
    }
}

/// Each line once, with how often it came.
fn counted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    let same = lines.chunk_by(|a, b| a == b);
    same.map(|lines| {
        if lines.len() == 1 { lines[0].clone() } else { format!("{} ({} times)", lines[0], lines.len()) }
    })
    .collect()
}

/// The first few of a list, and how many more there are.
fn write_some(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    lines: impl ExactSizeIterator<Item = String>,
) -> fmt::Result {
    let total = lines.len();
    if total > 0 {
        writeln!(f, "\n{name}")?;
    }
    for line in lines.take(SHOWN) {
        writeln!(f, "  {line}")?;
    }
    if total > SHOWN {
        writeln!(f, "  and {} more", total - SHOWN)?;
    }
    Ok(())
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Lines of a list before the rest is only counted.
const SHOWN: usize = 10;
/// The far ends' own lateness that is worth a remark.
const LATE_US: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let of = |values: &[f64]| Percentiles::of(values.iter().copied());

        assert_eq!(of(&[]), Percentiles { p50: 0.0, p99: 0.0 });
        assert_eq!(of(&[7.0]), Percentiles { p50: 7.0, p99: 7.0 });
        assert_eq!(
            of(&(1..=200).rev().map(f64::from).collect::<Vec<_>>()),
            Percentiles { p50: 100.0, p99: 198.0 }
        );
    }

    #[test]
    fn one_failed_call_spoils_the_report_and_is_named() {
        let good = Outcome::new(1, Direction::ToRetell, "+14155551000".into());
        let bad =
            Outcome { id: 2, faults: vec!["the Retell end heard nothing at all".into()], ..good.clone() };

        let report = Report::new(vec![good.clone(), bad], &Log::default(), 0);

        assert!(!report.is_good());
        let json = serde_json::to_value(report.summary()).unwrap();
        assert_eq!(json["failed"][0]["id"], 2);
        assert_eq!((&json["calls"], &json["ok"]), (&2.into(), &1.into()));
        assert!(report.to_string().contains("call 2: the Retell end heard nothing at all"), "{report}");
        assert!(Report::new(vec![good], &Log::default(), 0).is_good());
        assert!(!Report::new(vec![], &Log::default(), 0).is_good());
    }
}

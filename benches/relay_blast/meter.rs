//! What one measurement found: counts, a histogram of latencies, and the CPU time of the relay.
//!
//! CPU time is told twice: of the relay's process, and of the whole machine less idleness and this process,
//! which includes the receive path of the kernel that runs outside any process.

use std::fs;

use super::far::Counts;

/// Latencies by their logarithm, 32 steps to each doubling.
pub(crate) struct Latencies {
    buckets: Vec<u32>,
    count: u64,
}

/// One measurement.
pub(crate) struct Measured {
    /// Packets a second that were to be sent.
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    /// Packets that the relay sent and that found no room with us.
    pub(crate) lost_here: u64,
    pub(crate) latencies: Latencies,
    pub(crate) cpu: Cpu,
}

/// Who can't go faster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    Relay,
    Generator,
}

/// CPU time in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of the watched process.
    process: f64,
    /// Of the CPU it last ran on, whatever for.
    core: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * STEPS as usize], count: 0 }
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, nanos: u64) {
        let nanos = nanos.max(STEPS);
        let doublings = u64::from(nanos.ilog2() - STEPS.ilog2());
        let bucket = doublings * STEPS + (nanos >> doublings) - STEPS;
        self.buckets[bucket as usize] += 1;
        self.count += 1;
    }

    /// The latency in microseconds that `part` of all packets stay below.
    fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.count as f64 * part) as u64;
        let mut passed = 0;
        let bucket = self.buckets.iter().position(|&count| {
            passed += u64::from(count);
            passed > wanted
        });
        let Some(bucket) = bucket.map(|bucket| bucket as u64) else { return 0.0 };
        ((STEPS + bucket % STEPS) << (bucket / STEPS)) as f64 / 1_000.0
    }
}

impl Measured {
    /// Who did not bear the rate; `None` if both did.
    ///
    /// What the relay loses at less than the rate is its own doing; only if it loses
    /// nothing does the rest that was never sent say anything.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let Counts { sent, .. } = self.counts;
        let sent_enough = sent as f64 / self.seconds > 0.97 * self.rate;
        if self.loss_percent() >= HIGHEST_LOSS {
            Some(Limit::Relay)
        } else if !sent_enough || percent(self.lost_here, sent) >= HIGHEST_LOSS {
            Some(Limit::Generator)
        } else if self.latencies.quantile(0.99) >= LONGEST_P99_US {
            Some(Limit::Relay)
        } else {
            None
        }
    }

    /// Of what was sent, and not lost here.
    fn loss_percent(&self) -> f64 {
        let Counts { sent, received, .. } = self.counts;
        percent(sent.saturating_sub(received + self.lost_here), sent)
    }

    /// One line; `limit` is who would not bear more.
    pub(crate) fn json(&self, label: &str, calls: usize, limit: Option<Limit>) -> String {
        let Counts { received, misrouted, doubled, .. } = self.counts;
        let per_packet = |seconds: f64| seconds * 1e6 / received.max(1) as f64;
        serde_json::json!({
            "label": label,
            "calls": calls,
            "pps": rounded(received as f64 / self.seconds, 0),
            "limited_by": limit.map(Limit::name),
            "loss_percent": rounded(self.loss_percent(), 4),
            "lost_by_generator": self.lost_here,
            "p50_us": rounded(self.latencies.quantile(0.5), 1),
            "p99_us": rounded(self.latencies.quantile(0.99), 1),
            "process_us": rounded(per_packet(self.cpu.process), 3),
            "core_us": rounded(per_packet(self.cpu.core), 3),
            "misrouted": misrouted,
            "doubled": doubled,
        })
        .to_string()
    }
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Generator => "generator",
        }
    }
}

impl Cpu {
    /// What the process `watch` used so far, in all its threads.
    pub(crate) fn read(watch: Option<u32>) -> Self {
        watch.and_then(Self::of).unwrap_or_default()
    }

    pub(crate) fn since(self, before: &Self) -> Self {
        Self { process: self.process - before.process, core: self.core - before.core }
    }

    fn of(process: u32) -> Option<Self> {
        let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
        let used = |path: std::path::PathBuf| {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        };
        let nanos: f64 = threads.flatten().filter_map(|thread| used(thread.path())).sum();
        let cpu = last_cpu(&format!("/proc/{process}/stat"))?;
        let cpus = fs::read_to_string("/proc/stat").ok()?;
        let line = cpus.lines().find(|line| line.split_whitespace().next() == Some(&format!("cpu{cpu}")))?;
        let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let busy = ticks.get(..8)?.iter().sum::<f64>() - ticks[3] - ticks[4];
        Some(Self { process: nanos / 1e9, core: busy / TICKS_PER_SECOND })
    }
}

/// Packets that arrived for the CPU we are on so far and found its queue full.
pub(crate) fn dropped_before_us() -> u64 {
    let read = || {
        let cpu = last_cpu("/proc/self/stat")?;
        let queues = fs::read_to_string("/proc/net/softnet_stat").ok()?;
        let fields = |line: &str| -> Option<Vec<u64>> {
            line.split_whitespace().map(|field| u64::from_str_radix(field, 16).ok()).collect()
        };
        let queue = queues.lines().filter_map(fields).find(|fields| fields.get(12) == Some(&(cpu as u64)))?;
        queue.get(1).copied()
    };
    read().unwrap_or(0)
}

/// The CPU that a process last ran on.
fn last_cpu(stat: &str) -> Option<usize> {
    let stat = fs::read_to_string(stat).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(36)?.parse().ok()
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Percent of the packets.
const HIGHEST_LOSS: f64 = 0.1;
/// Longer is no moment in which the machine did something else, but queues that only grow: the rate is not
/// borne, though a short run loses nothing yet.
const LONGEST_P99_US: f64 = 40_000.0;
const STEPS: u64 = 32;
/// USER_HZ, the same on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

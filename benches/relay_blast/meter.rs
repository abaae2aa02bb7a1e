//! What one measurement found: counts, a histogram of latencies, and the CPU time of the relay.
//!
//! CPU time is told twice: of the relay's process, and of the whole machine less idleness and this process,
//! which includes the receive path of the kernel that runs outside any process.

use std::fs;

/// Latencies by their logarithm, 32 steps to each doubling.
pub(crate) struct Latencies {
    buckets: Vec<u32>,
    count: u64,
}

/// One measurement.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) misrouted: u64,
    pub(crate) doubled: u64,
    pub(crate) latencies: Latencies,
    pub(crate) cpu: Cpu,
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
    /// Whether the relay bore `rate`, and we did.
    pub(crate) fn is_good(&self, rate: f64) -> bool {
        self.loss_percent() < 0.1
            && self.latencies.quantile(0.99) < LONGEST_P99_US
            && self.sent as f64 / self.seconds > 0.97 * rate
    }

    fn loss_percent(&self) -> f64 {
        100.0 * self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }

    /// One line.
    pub(crate) fn json(&self, label: &str, calls: usize) -> String {
        let per_packet = |seconds: f64| seconds * 1e6 / self.received.max(1) as f64;
        format!(
            "{{\"label\":\"{label}\",\"calls\":{calls},\"pps\":{:.0},\"loss_percent\":{:.4},\"p50_us\":{:.1},\
             \"p99_us\":{:.1},\"process_us\":{:.3},\"core_us\":{:.3},\"misrouted\":{},\"doubled\":{}}}",
            self.received as f64 / self.seconds,
            self.loss_percent(),
            self.latencies.quantile(0.5),
            self.latencies.quantile(0.99),
            per_packet(self.cpu.process),
            per_packet(self.cpu.core),
            self.misrouted,
            self.doubled,
        )
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
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let cpu: usize = stat.rsplit(')').next()?.split_whitespace().nth(36)?.parse().ok()?;
        let cpus = fs::read_to_string("/proc/stat").ok()?;
        let line = cpus.lines().find(|line| line.split_whitespace().next() == Some(&format!("cpu{cpu}")))?;
        let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let busy = ticks.get(..8)?.iter().sum::<f64>() - ticks[3] - ticks[4];
        Some(Self { process: nanos / 1e9, core: busy / TICKS_PER_SECOND })
    }
}

/// More than this stands in queues that only grow: the rate is not borne, though a
/// short run loses nothing yet.
const LONGEST_P99_US: f64 = 10_000.0;
const STEPS: u64 = 32;
/// USER_HZ, the same on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

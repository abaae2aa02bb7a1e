//! Judges what one end heard of one call: is it the other end's tone, and nothing else, all the time?
//!
//! Frequency, level and clarity come from the decoded audio. Loss and latency come from the packets' bytes,
//! counted by the sender's own numbers, since sequence numbers and timestamps may be rewritten on the way.

use crate::sim::stream::{PAYLOADS_PER_WINDOW, Recording, StreamId};
use crate::sim::tone::{self, Heard, Tone};

/// What one end heard, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The tone that should have been heard.
    pub expected: Tone,
    /// What was heard in the second that was measured.
    pub heard: Heard,
    /// Packets of the other end that never came, between the first and the last that did.
    pub lost: u64,
    /// Packets of the other end between the first and the last that came.
    pub expected_packets: u64,
    /// Of each packet, from before its send call to the kernel's stamp at the far end, in µs.
    pub latencies_us: Vec<u32>,
    /// Each begins with "heard"; empty when all is well.
    pub faults: Vec<String>,
}

/// Judges `recording`, which should hold the `expected` tone from `source` and nothing else.
#[must_use]
pub fn judge(recording: &Recording, expected: &Tone, source: StreamId) -> Verdict {
    let heard = tone::measure(&samples(recording), f64::from(expected.hertz));
    let mut numbers: Vec<u64> = recording
        .arrivals
        .iter()
        .filter(|arrival| arrival.source == source)
        .map(|arrival| arrival.number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let expected_packets = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) => last - first + 1,
        (None, _) | (_, None) => 0,
    };
    Verdict {
        expected: *expected,
        heard,
        lost: expected_packets - numbers.len() as u64,
        expected_packets,
        latencies_us: recording
            .arrivals
            .iter()
            .filter(|arrival| arrival.source == source)
            .map(|arrival| arrival.latency_us)
            .collect(),
        faults: faults(recording, &heard, expected, source),
    }
}

impl Verdict {
    /// How far from right: below 1 is within all bounds.
    #[must_use]
    pub fn badness(&self) -> f64 {
        let clarity = if self.heard.snr_db > 0.0 { MIN_SNR_DB / self.heard.snr_db } else { f64::INFINITY };
        let hertz = (self.heard.hertz - f64::from(self.expected.hertz)).abs() / HERTZ_OFF;
        let level = (self.heard.dbov - self.expected.dbov).abs() / DB_OFF;
        clarity.max(hertz).max(level)
    }
}

fn samples(recording: &Recording) -> Vec<Option<[i16; tone::PACKET]>> {
    let Some(law) = recording.law else { return Vec::new() };
    recording
        .window
        .iter()
        .map(|payload| payload.map(|octets| octets.map(|octet| law.decode(octet))))
        .collect()
}

fn faults(recording: &Recording, heard: &Heard, expected: &Tone, source: StreamId) -> Vec<String> {
    if recording.received == 0 {
        return vec![format!("heard nothing at all{}", strange(recording))];
    }
    let mut faults = Vec::new();
    let present = recording.window.iter().filter(|payload| payload.is_some()).count();
    if present * 10 < PAYLOADS_PER_WINDOW * 9 {
        faults.push(format!(
            "heard only {present} of the {PAYLOADS_PER_WINDOW} packets of the measured second"
        ));
    }
    if heard.hertz == 0.0 {
        faults.push(format!("heard silence, expected {} Hz", expected.hertz));
    } else if (heard.hertz - f64::from(expected.hertz)).abs() > HERTZ_OFF {
        faults.push(format!("heard {:.1} Hz, expected {} Hz", heard.hertz, expected.hertz));
    } else if (heard.dbov - expected.dbov).abs() > DB_OFF {
        faults.push(format!("heard the tone at {:.1} dBov, expected {:.1} dBov", heard.dbov, expected.dbov));
    }
    if heard.hertz != 0.0 && heard.snr_db < MIN_SNR_DB {
        faults.push(format!(
            "heard the tone only {:.1} dB above the noise, expected {MIN_SNR_DB} dB",
            heard.snr_db
        ));
    }
    let foreign = recording.arrivals.iter().filter(|arrival| arrival.source != source).count();
    if foreign > 0 {
        faults.push(format!("heard {foreign} packets of another call"));
    }
    if recording.altered > 0 {
        faults.push(format!("heard {} packets with other octets than were sent", recording.altered));
    }
    let quiet_ms = recording.taken_ns.saturating_sub(recording.last_ns.unwrap_or_default()) / 1_000_000;
    if quiet_ms > QUIET_MS {
        faults.push(format!("heard the audio stop {quiet_ms} ms before the end"));
    }
    faults
}

fn strange(recording: &Recording) -> String {
    match recording.strange {
        0 => String::new(),
        strange => format!(" ({strange} packets of another payload type)"),
    }
}

const HERTZ_OFF: f64 = 2.0;
const DB_OFF: f64 = 1.0;
const MIN_SNR_DB: f64 = 25.0;
const QUIET_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::g711::Law;
    use crate::sim::stream::Arrival;

    #[test]
    fn the_right_tone_from_the_right_call_has_no_faults() {
        let verdict = judge(&recording(TONE, StreamId(1)), &TONE, StreamId(1));

        assert_eq!(verdict.faults, Vec::<String>::new());
        assert!(verdict.badness() < 1.0);
        assert_eq!((verdict.lost, verdict.expected_packets), (0, 60));
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |recording: &Recording| judge(recording, &TONE, StreamId(1)).faults.join("; ");
        let right = recording(TONE, StreamId(1));

        assert_eq!(fault(&Recording::default()), "heard nothing at all");
        assert_eq!(
            fault(&recording(Tone { hertz: 443, ..TONE }, StreamId(1))),
            "heard 443.0 Hz, expected 1009 Hz"
        );
        assert_eq!(
            fault(&recording(Tone { dbov: -19.0, ..TONE }, StreamId(1))),
            "heard the tone at -19.0 dBov, expected -13.0 dBov"
        );
        assert_eq!(fault(&recording(TONE, StreamId(2))), "heard 60 packets of another call");
        assert_eq!(
            fault(&Recording { taken_ns: 3_000_000_000, ..right.clone() }),
            "heard the audio stop 2000 ms before the end"
        );
        assert_eq!(
            fault(&Recording { altered: 3, ..right.clone() }),
            "heard 3 packets with other octets than were sent"
        );
        let silent = Recording { window: vec![Some([0xFF; 160]); 50], ..right.clone() };
        assert_eq!(fault(&silent), "heard silence, expected 1009 Hz");
        let mut torn = right.clone();
        torn.window[25] = torn.window[5];
        assert!(fault(&torn).contains("above the noise"), "{}", fault(&torn));
        let mut holes = right;
        holes.window[..6].fill(None);
        assert_eq!(fault(&holes), "heard only 44 of the 50 packets of the measured second");
    }

    #[test]
    fn loss_is_counted_between_the_first_and_the_last_arrival() {
        let mut recording = recording(TONE, StreamId(1));
        recording.arrivals.remove(30);
        recording.arrivals.remove(0);

        let verdict = judge(&recording, &TONE, StreamId(1));

        assert_eq!((verdict.lost, verdict.expected_packets), (1, 59));
    }

    const TONE: Tone = Tone { hertz: 1009, dbov: -13.0 };

    fn recording(tone: Tone, source: StreamId) -> Recording {
        let payload = |packet: usize| std::array::from_fn(|n| Law::Mu.encode(tone.sample(packet * 160 + n)));
        Recording {
            law: Some(Law::Mu),
            received: 60,
            arrivals: (0..60).map(|number| Arrival { source, number, latency_us: 50 }).collect(),
            window: (10..60).map(|packet| Some(payload(packet))).collect(),
            last_ns: Some(1_000_000_000),
            taken_ns: 1_010_000_000,
            ..Recording::default()
        }
    }
}

//! The ladder of one call: what each far end sent and received, with the bridge between them, in 80 columns.
//!
//! The halves are two independent views. The left is the carrier's own, the right Retell's own; the bridge in
//! the middle noted nothing, so a missing arrow is a message that really did not come.

use std::fmt::{self, Display, Write as _};

use crate::sim::log::{Event, Side};
use crate::sim::stream::Recording;
use crate::sim::verdict::Verdict;

/// One call, ready to be drawn.
#[derive(Clone, Debug)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

/// Audio of one direction, as its sender and its listener noted it.
#[derive(Clone, Copy, Debug)]
pub struct Audio<'a> {
    /// Who sent it.
    pub from: Side,
    /// What the sender noted.
    pub sender: &'a Recording,
    /// What the listener noted.
    pub listener: &'a Recording,
    /// The judgement of it.
    pub verdict: &'a Verdict,
}

#[derive(Clone, Debug)]
struct Rung {
    at_ns: u64,
    left: String,
    right: String,
}

impl Ladder {
    /// Joins what both ends noted, in the order of time.
    #[must_use]
    pub fn new(events: &[Event], audio: &[Audio<'_>]) -> Self {
        let mut rungs: Vec<Rung> =
            events.iter().map(Rung::message).chain(audio.iter().filter_map(Rung::audio)).collect();
        rungs.sort_by_key(|rung| rung.at_ns);
        Self { rungs }
    }
}

impl Rung {
    fn message(event: &Event) -> Self {
        let sdp = if event.has_sdp { " (SDP)" } else { "" };
        let title = format!(" {}{sdp} ", event.title);
        let rightward = (event.side == Side::Carrier) == event.sent;
        let arrow = arrow(&title, '-', rightward);
        let gap = " ".repeat(GAP);
        let (left, right) = match event.side {
            Side::Carrier => (arrow, gap),
            Side::Retell => (gap, arrow),
        };
        Self { at_ns: event.at_ns, left, right }
    }

    fn audio(audio: &Audio<'_>) -> Option<Self> {
        let law = |recording: &Recording| recording.law.map_or("no codec", |law| law.name());
        let Audio { sender, listener, verdict, .. } = audio;
        let sent = format!(" {} {} Hz, {} sent ", law(sender), verdict.expected.hertz, sender.sent);
        let heard = format!(" {} {:.0} Hz, {} heard ", law(listener), verdict.heard.hertz, listener.received);
        let (left, right, rightward) = match audio.from {
            Side::Carrier => (sent, heard, true),
            Side::Retell => (heard, sent, false),
        };
        let at_ns = listener.first_ns.or(sender.first_sent_ns)?;
        Some(Self { at_ns, left: arrow(&left, '=', rightward), right: arrow(&right, '=', rightward) })
    }
}

impl Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = " ".repeat(GAP - 7);
        writeln!(f, "      ms  carrier{between}trunkline{between}Retell")?;
        let start = self.rungs.first().map_or(0, |rung| rung.at_ns);
        for rung in &self.rungs {
            let ms = (rung.at_ns - start) as f64 / 1e6;
            writeln!(f, "{ms:>8.1}     |{}|{}|", rung.left, rung.right)?;
        }
        Ok(())
    }
}

/// `text` in the middle of an arrow that fills the gap between two columns.
fn arrow(text: &str, stroke: char, rightward: bool) -> String {
    let shown: String = text.chars().take(GAP - 3).collect();
    let strokes = GAP - 1 - shown.chars().count();
    let mut drawn = String::with_capacity(GAP);
    if !rightward {
        drawn.push('<');
    }
    let before = strokes / 2;
    drawn.extend(std::iter::repeat_n(stroke, before));
    // Writing into a String cannot fail.
    let _ = drawn.write_str(&shown);
    drawn.extend(std::iter::repeat_n(stroke, strokes - before));
    if rightward {
        drawn.push('>');
    }
    drawn
}

/// Columns between two lifelines.
const GAP: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::g711::Law;
    use crate::sim::tone::{Heard, Tone};

    #[test]
    fn both_halves_stand_in_the_order_of_time_within_80_columns() {
        let event = |at_ns, side, sent, title: &str, has_sdp| Event {
            at_ns,
            side,
            sent,
            call_id: String::new(),
            called: String::new(),
            title: title.to_owned(),
            has_sdp,
        };
        let events = [
            event(3_000_000, Side::Retell, true, "180 Ringing", false),
            event(1_000_000, Side::Carrier, true, "INVITE", true),
            event(2_500_000, Side::Retell, false, "INVITE", true),
            event(3_400_000, Side::Carrier, false, "180 Ringing", false),
        ];
        let sender = Recording { law: Some(Law::Mu), sent: 150, ..Recording::default() };
        let listener = Recording {
            law: Some(Law::Mu),
            received: 149,
            first_ns: Some(9_000_000),
            ..Recording::default()
        };
        let verdict = Verdict {
            expected: Tone { hertz: 443, dbov: -13.0 },
            heard: Heard { hertz: 443.04, dbov: -13.0, snr_db: 37.0 },
            lost: 0,
            expected_packets: 149,
            latencies_us: vec![],
            faults: vec![],
        };
        let audio = Audio { from: Side::Retell, sender: &sender, listener: &listener, verdict: &verdict };

        let drawn = Ladder::new(&events, &[audio]).to_string();

        assert_eq!(
            drawn,
            "      ms  carrier                       trunkline                       Retell
     0.0     |------- INVITE (SDP) -------->|                              |
     1.5     |                              |------- INVITE (SDP) -------->|
     2.0     |                              |<-------- 180 Ringing --------|
     2.4     |<-------- 180 Ringing --------|                              |
     8.0     |<== PCMU 443 Hz, 149 heard ===|<=== PCMU 443 Hz, 150 sent ===|
"
        );
        assert!(drawn.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_long_title_is_cut_to_the_gap() {
        assert_eq!(arrow(&"x".repeat(90), '-', true).chars().count(), GAP);
    }
}

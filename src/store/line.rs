//! One call record as one line of JSON.
//!
//! The keys and their order are read by scripts: a new key goes at the end, and none is ever renamed.

use std::io::Write as _;

use serde::Serialize;

use crate::call::record::{Direction, EndedBy, LegRecord, Record};
use crate::call::timestamp::rfc3339;
use crate::rtp::leg_stats::LegStats;

/// Appends `record` and a line feed to `out`.
pub(super) fn append(record: &Record, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, &Line::from(record)).expect("no map keys, and a Vec takes every byte");
    out.write_all(b"\n").expect("a Vec takes every byte");
}

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    direction: Direction,
    from: &'a str,
    to: &'a str,
    trunk: &'a str,
    retell: &'a str,
    started: String,
    answered: Option<String>,
    ended: String,
    duration_ms: i64,
    ended_by: EndedBy,
    sip_code: u16,
    reason: &'a str,
    legs: Vec<Leg<'a>>,
    hints: &'a [String],
}

#[derive(Serialize)]
struct Leg<'a> {
    call_id: &'a str,
    peer: &'a str,
    remote: &'a str,
    sip_code: u16,
    codec: Option<&'a str>,
    #[serde(flatten)]
    media: &'a LegStats,
    to: &'a str,
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            id: record.id.to_string(),
            direction: record.direction,
            from: &record.from,
            to: &record.to,
            trunk: &record.trunk,
            retell: &record.retell,
            started: rfc3339(record.started_ms),
            answered: record.answered_ms.map(rfc3339),
            ended: rfc3339(record.ended_ms),
            duration_ms: record
                .answered_ms
                .map_or(0, |answered| record.ended_ms.saturating_sub(answered).max(0)),
            ended_by: record.ended_by,
            sip_code: record.sip_code,
            reason: &record.reason,
            legs: record.legs.iter().map(Leg::from).collect(),
            hints: &record.hints,
        }
    }
}

impl<'a> From<&'a LegRecord> for Leg<'a> {
    fn from(leg: &'a LegRecord) -> Self {
        Self {
            call_id: &leg.call_id,
            peer: &leg.peer,
            remote: &leg.remote,
            sip_code: leg.sip_code,
            codec: leg.codec.as_deref(),
            media: &leg.media,
            to: &leg.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CallId;

    #[test]
    fn an_answered_call_has_every_key_in_its_order() {
        let leg = LegRecord {
            call_id: "a84b4c76e66710".to_owned(),
            peer: "carrier".to_owned(),
            remote: "198.51.100.7:5060".to_owned(),
            sip_code: 200,
            codec: Some("PCMU".to_owned()),
            media: LegStats {
                packets_sent: 250,
                packets_received: 249,
                packets_lost: 1,
                jitter_ms: 0.123_456,
                mos: Some(4.409),
                bytes_sent: 43_000,
                ..LegStats::default()
            },
            to: "+14155550101".to_owned(),
        };

        let line = written(&Record { legs: vec![leg], ..answered_call() });

        let expected = concat!(
            r#"{"id":"00000000000000ff","direction":"to_retell","from":"+14155550100","to":"+14155550101","#,
            r#""trunk":"carrier","retell":"retell","started":"1970-01-01T00:00:01.000Z","#,
            r#""answered":"1970-01-01T00:00:03.500Z","ended":"1970-01-01T00:00:08.750Z","duration_ms":5250,"#,
            r#""ended_by":"callee","sip_code":200,"reason":"The callee hung up.","#,
            r#""legs":[{"call_id":"a84b4c76e66710","#,
            r#""peer":"carrier","remote":"198.51.100.7:5060","sip_code":200,"codec":"PCMU","#,
            r#""packets_sent":250,"#,
            r#""packets_received":249,"packets_lost":1,"jitter_ms":0.12,"mos":4.41,"#,
            r#""rtt_ms":null,"first_audio_ms":null,"#,
            r#""longest_gap_ms":0.0,"packets_late":0,"packets_duplicate":0,"packets_reordered":0,"#,
            r#""packets_filled":0,"#,
            r#""strangers":0,"peer_loss":null,"bytes_sent":43000,"bytes_received":0,"#,
            r#""to":"+14155550101"}],"hints":["Q.850 cause 41: temporary failure"]}"#,
            "\n"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_call_never_answered_lasted_no_time() {
        let line = written(&Record { answered_ms: None, ..answered_call() });

        assert!(line.contains(r#""answered":null,"#) && line.contains(r#""duration_ms":0,"#), "{line}");
    }

    #[test]
    fn whatever_a_number_holds_the_record_stays_one_line() {
        let line = written(&Record { from: "a\"b\r\nc\u{2028}".to_owned(), ..answered_call() });

        assert_eq!(line.lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["from"], "a\"b\r\nc\u{2028}");
    }

    fn written(record: &Record) -> String {
        let mut out = Vec::new();
        append(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn answered_call() -> Record {
        Record {
            id: CallId(0xff),
            direction: Direction::ToRetell,
            from: "+14155550100".to_owned(),
            to: "+14155550101".to_owned(),
            trunk: "carrier".to_owned(),
            retell: "retell".to_owned(),
            started_ms: 1_000,
            answered_ms: Some(3_500),
            ended_ms: 8_750,
            ended_by: EndedBy::Callee,
            sip_code: 200,
            reason: "The callee hung up.".to_owned(),
            hints: vec!["Q.850 cause 41: temporary failure".to_owned()],
            legs: Vec::new(),
        }
    }
}

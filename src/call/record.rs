//! What is written about a call when it has ended, and what the API shows while it lives (CONTRACT: records, /v1/calls).
use crate::id::CallId;
use serde::Serialize;

/// Which way a call goes through the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a trunk to Retell.
    ToRetell,
    /// From Retell to a trunk.
    ToTrunk,
}

/// Who ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The caller hung up or cancelled.
    Caller,
    /// The callee hung up or refused.
    Callee,
    /// We ended it: time-out, no route, drain, the API.
    Trunkline,
}

/// One call record; times are milliseconds since the Unix epoch and written as RFC 3339 by the store.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub id: CallId,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub trunk: String,
    pub retell: String,
    pub started_ms: i64,
    pub answered_ms: Option<i64>,
    pub ended_ms: i64,
    pub ended_by: EndedBy,
    pub sip_code: u16,
    pub reason: String,
    pub legs: Vec<LegRecord>,
}

/// One leg of a record.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LegRecord {
    pub call_id: String,
    pub peer: String,
    pub remote: String,
    pub sip_code: u16,
    pub codec: Option<String>,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub jitter_ms: f64,
}

/// A live call as `/v1/calls` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    pub id: CallId,
    pub direction: Direction,
    /// `trying`, `ringing`, `answered` or `ending`.
    pub state: &'static str,
    pub from: String,
    pub to: String,
    pub trunk: String,
    pub retell: String,
    pub started_ms: i64,
    pub answered_ms: Option<i64>,
}

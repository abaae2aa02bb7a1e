//! What is written about a call when it has ended, and what the API shows while it lives (call
//! records and `/v1/calls`).
//!
//! Times are milliseconds since the Unix epoch here; whoever writes them makes them RFC 3339.

use serde::Serialize;

use crate::id::CallId;
use crate::rtp::leg_stats::LegStats;

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

/// One call record.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Ours, for logs and the API.
    pub id: CallId,
    /// Which way it went.
    pub direction: Direction,
    /// The caller as the callee saw it.
    pub from: String,
    /// The number that was called, as the callee saw it.
    pub to: String,
    /// Configured name of the trunk.
    pub trunk: String,
    /// Configured name of the `[[retell]]`.
    pub retell: String,
    /// When the INVITE came.
    pub started_ms: i64,
    /// When the 200 left; `None` when it never did.
    pub answered_ms: Option<i64>,
    /// When the first side ended it.
    pub ended_ms: i64,
    /// Whose doing that was.
    pub ended_by: EndedBy,
    /// 200 when answered, else the final status the caller got.
    pub sip_code: u16,
    /// One plain sentence.
    pub reason: String,
    /// What peers said beside their codes about why it failed or ended, in plain words.
    pub hints: Vec<String>,
    /// The caller's, then one for every attempt, in order.
    pub legs: Vec<LegRecord>,
}

/// One leg of a record.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LegRecord {
    /// Its Call-ID.
    pub call_id: String,
    /// Configured name of its peer.
    pub peer: String,
    /// Where its messages went: `host:port`.
    pub remote: String,
    /// Its final status; 0 when none came.
    pub sip_code: u16,
    /// Name of the agreed codec.
    pub codec: Option<String>,
    /// Its audio.
    pub media: LegStats,
    /// The number called: the caller's as we read it, an attempt's as sent.
    pub to: String,
}

/// A live call as `/v1/calls` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// Ours.
    pub id: CallId,
    /// Which way it goes.
    pub direction: Direction,
    /// `trying`, `ringing`, `answered` or `ending`.
    pub state: &'static str,
    /// The caller as the callee sees it.
    pub from: String,
    /// The number that was called, as the callee sees it.
    pub to: String,
    /// Configured name of the trunk.
    pub trunk: String,
    /// Configured name of the `[[retell]]`.
    pub retell: String,
    /// When the INVITE came.
    pub started_ms: i64,
    /// When the 200 left; `None` before.
    pub answered_ms: Option<i64>,
}

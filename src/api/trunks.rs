//! `GET /v1/trunks`: every peer with its registration, its targets and its calls, as the signalling thread
//! sees them.
//!
//! A target is listed only where the peer is watched (`options_s`): of the others nothing is known.

use serde::Serialize;

/// One peer, of either kind.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrunkView {
    /// As configured.
    pub name: String,
    /// `trunk` or `retell`.
    pub kind: &'static str,
    /// Calls with it now, in both directions.
    pub calls: u32,
    /// Calls that it began within the last hour (`calls_per_hour`).
    pub calls_last_hour: u32,
    /// Minutes that its calls talked within the last hour (`minutes_per_hour`).
    pub minutes_last_hour: u64,
    /// Null where none is configured.
    pub registration: Option<RegistrationView>,
    /// In the order of its URIs.
    pub targets: Vec<TargetView>,
}

/// Where a registration stands.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RegistrationView {
    /// `registering`, `registered`, `failed` or `unregistered`.
    pub state: &'static str,
    /// Where it is bound, as `udp:198.51.100.7:5060`.
    pub registrar: Option<String>,
    /// RFC 3339: when the binding expires.
    pub expires: Option<String>,
    /// The last final status of a registrar.
    pub last_code: Option<u16>,
    /// Why the last round failed, as a sentence.
    pub reason: Option<String>,
    /// RFC 3339: when the state changed.
    pub last_change: String,
}

/// What is known of one target.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetView {
    /// As `udp:198.51.100.7:5060`.
    pub target: String,
    /// `unknown`, `up`, `busy` or `down`.
    pub state: &'static str,
    /// The status of its last answer.
    pub last_code: Option<u16>,
    /// How long that took.
    pub latency_ms: Option<f64>,
    /// RFC 3339: when the state changed.
    pub last_change: Option<String>,
}

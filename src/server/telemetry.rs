//! Logs, and the metrics of CONTRACT §4 with handles resolved once, so that counting a message hashes nothing.
//!
//! Both are global to the process and may be asked for again: the first subscriber and the first recorder stay. Only the
//! signalling thread counts here; what media threads count is copied in by it.

use std::array;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use super::config::{LogConfig, LogFormat};
use crate::call::record::{Direction, EndedBy, Record};
use crate::sip::flow::Transport;
use crate::sip::message::Method;

/// `[log].level` is not a tracing filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "[log].level {level:?}: {reason}; write error, warn, info, debug or trace, or a filter like trunkline=debug"
)]
pub struct FilterError {
    level: String,
    reason: tracing_subscriber::filter::ParseError,
}

/// Sends logs to standard error as `config` says; a process that logs already keeps its way of doing so.
///
/// # Errors
///
/// [`FilterError`], with nothing installed.
pub fn start_logs(config: &LogConfig) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|reason| FilterError { level: config.level.clone(), reason })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(true);
    let installed = match config.format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("logs stay as they were set up first");
    }
    Ok(())
}

/// A number or user part in a log line: masked, and in full where this module's logs are at DEBUG.
///
/// Control characters are escaped either way, so that no peer can write a log line of its own.
#[derive(Clone, Copy, Debug)]
pub struct Redact<'a>(pub &'a str);

impl fmt::Display for Redact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if tracing::enabled!(Level::DEBUG) {
            return write!(f, "{}", self.0.escape_debug());
        }
        let (head, tail) = shown_ends(self.0);
        write!(f, "{}***{}", head.escape_debug(), tail.escape_debug())
    }
}

/// What may be seen: country and area at the front, and enough at the end to tell two calls apart.
fn shown_ends(number: &str) -> (&str, &str) {
    let (front, back) = match number.chars().count() {
        0..=5 => (0, 0),
        6..=10 => (0, 2),
        _ => (5, 4),
    };
    let front = number.char_indices().nth(front).map_or(number.len(), |(at, _)| at);
    let back = number.char_indices().rev().take(back).last().map_or(number.len(), |(at, _)| at);
    (&number[..front], &number[back..])
}

/// The process's metrics; the first call installs their recorder, and every call returns it.
///
/// Parts that count for themselves (`store`, `media`) must be started later.
#[must_use]
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::install)
}

/// The installed recorder, and a handle for every metric that signalling moves.
#[derive(Debug)]
pub struct Metrics {
    /// What is counted.
    pub counters: Counters,
    recorder: PrometheusHandle,
}

impl Metrics {
    fn install() -> Self {
        let recorder = recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder was installed first; /metrics stays empty");
        }
        describe();
        Self { counters: Counters::register(), recorder: handle }
    }

    /// All metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.recorder.render()
    }

    /// Folds what histograms have gathered; to be called every few seconds, or they grow until somebody renders them.
    pub fn run_upkeep(&self) {
        self.recorder.run_upkeep();
    }

    /// For the HTTP server.
    #[must_use]
    pub fn renderer(&'static self) -> Arc<dyn Fn() -> String + Send + Sync> {
        Arc::new(|| self.render())
    }
}

/// Which way a SIP message went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A peer sent it.
    In,
    /// We sent it.
    Out,
}

/// Why something that arrived was refused or ignored by us, rather than by the far peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// A source that no peer allows: nothing was sent.
    Stranger,
    /// Unknown user or wrong password: 403.
    Credentials,
    /// A nonce used before or expired: challenged again.
    Replay,
    /// Not a SIP message, or without what every element needs: 400 or nothing.
    Malformed,
    /// A stream that broke the framing rules, closed.
    Framing,
    /// In no dialog or transaction of ours: 481.
    NoDialog,
    /// Unknown method, or known but not allowed: 501, 405.
    Method,
    /// `Require` of something we don't do: 420.
    Extension,
    /// Our own request came back, or the same one twice: 482.
    Loop,
    /// Max-Forwards used up: 483.
    Hops,
    /// Session description we can't use: 488.
    Media,
    /// No number, peer or target for the call: 404.
    NoRoute,
    /// Forbidden by a rule: 403.
    Rule,
    /// No media port or other means left: 503.
    Capacity,
    /// Draining: 503.
    Draining,
}

/// Which way a media packet ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketResult {
    /// Sent on to the other leg.
    Relayed,
    /// From a source that is not the peer's.
    Stranger,
    /// Not RTP or RTCP, or of a payload type nobody negotiated.
    Invalid,
    /// Good, but nowhere to go: held, other leg not there yet, socket full.
    Dropped,
}

/// A handle for every metric that signalling moves; what each counts is in its HELP line at /metrics.
#[derive(Debug)]
pub struct Counters {
    /// Calls that have begun and not ended.
    pub calls_active: Gauge,
    /// Port pairs that media runs through.
    pub media_streams_active: Gauge,
    /// Seconds from INVITE to answer, of answered calls.
    pub setup_seconds: Histogram,
    calls: [[Counter; 4]; 2],
    messages: [[[Counter; METHODS.len()]; 2]; 2],
    responses: Box<[OnceLock<Counter>; 600]>,
    rejected: [Counter; REJECTIONS.len()],
    packets: [Counter; PACKET_RESULTS.len()],
}

impl Counters {
    fn register() -> Self {
        let message = |transport: Transport, way: Way, method: &'static str| {
            counter!("trunkline_sip_messages_total",
                "transport" => transport.param(), "method" => method, "direction" => way.label())
        };
        Self {
            calls_active: gauge!("trunkline_calls_active"),
            media_streams_active: gauge!("trunkline_media_streams_active"),
            setup_seconds: histogram!(SETUP_SECONDS),
            calls: [Direction::ToRetell, Direction::ToTrunk].map(|direction| {
                RESULTS.map(|result| {
                    counter!("trunkline_calls_total", "direction" => direction_label(direction), "result" => result)
                })
            }),
            messages: [Transport::Udp, Transport::Tcp]
                .map(|transport| [Way::In, Way::Out].map(|way| METHODS.map(|method| message(transport, way, method)))),
            responses: Box::new(array::from_fn(|_| OnceLock::new())),
            rejected: REJECTIONS.map(|why| counter!("trunkline_sip_rejected_total", "reason" => why.label())),
            packets: PACKET_RESULTS.map(
                |result| counter!("trunkline_media_packets_total", "path" => "user", "result" => result.label()),
            ),
        }
    }

    /// One SIP message on the wire, retransmissions included; a response counts under the method of its CSeq.
    pub fn message(&self, transport: Transport, way: Way, method: Method<'_>) {
        let transport = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
        };
        self.messages[transport][way as usize][method_place(method)].increment(1);
    }

    /// One response that we sent with status `code`; nothing outside 100 to 699 is one.
    pub fn response(&self, code: u16) {
        let place = usize::from(code).checked_sub(100).and_then(|place| self.responses.get(place));
        let Some(place) = place else { return };
        let register = || counter!("trunkline_sip_responses_total", "code" => code.to_string());
        place.get_or_init(register).increment(1);
    }

    /// One message refused or ignored.
    pub fn rejected(&self, why: Rejection) {
        self.rejected[why as usize].increment(1);
    }

    /// How many media packets have ended in `result` since the start.
    pub fn packets(&self, result: PacketResult, total: u64) {
        self.packets[result as usize].absolute(total);
    }

    /// An answered call took this long to set up.
    pub fn answered_after(&self, setup: Duration) {
        self.setup_seconds.record(setup.as_secs_f64());
    }

    /// A call ended as `record` says.
    pub fn ended(&self, record: &Record) {
        let result = match (record.answered_ms, record.ended_by) {
            (Some(_), _) => 0,
            (None, EndedBy::Caller) => 1,
            (None, EndedBy::Callee) => 2,
            (None, EndedBy::Trunkline) => 3,
        };
        self.calls[record.direction as usize][result].increment(1);
    }
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Rejection {
    fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Credentials => "credentials",
            Self::Replay => "replay",
            Self::Malformed => "malformed",
            Self::Framing => "framing",
            Self::NoDialog => "no_dialog",
            Self::Method => "method",
            Self::Extension => "extension",
            Self::Loop => "loop",
            Self::Hops => "hops",
            Self::Media => "media",
            Self::NoRoute => "no_route",
            Self::Rule => "rule",
            Self::Capacity => "capacity",
            Self::Draining => "draining",
        }
    }
}

impl PacketResult {
    fn label(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Stranger => "stranger",
            Self::Invalid => "invalid",
            Self::Dropped => "dropped",
        }
    }
}

/// The place of `method` in [`METHODS`].
fn method_place(method: Method<'_>) -> usize {
    match method {
        Method::Invite => 0,
        Method::Ack => 1,
        Method::Bye => 2,
        Method::Cancel => 3,
        Method::Options => 4,
        Method::Register => 5,
        Method::Prack => 6,
        Method::Update => 7,
        Method::Info => 8,
        Method::Refer => 9,
        Method::Notify => 10,
        Method::Subscribe => 11,
        Method::Message => 12,
        Method::Publish => 13,
        Method::Other(_) => 14,
    }
}

fn direction_label(direction: Direction) -> &'static str {
    match direction {
        Direction::ToRetell => "to_retell",
        Direction::ToTrunk => "to_trunk",
    }
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(SETUP_SECONDS.to_owned()), &SETUP_BUCKETS)
        .expect("there are buckets")
        .build_recorder()
}

/// Names every metric and says what it counts.
fn describe() {
    describe_gauge!("trunkline_calls_active", "Calls that have begun and not ended");
    describe_counter!("trunkline_calls_total", "Calls that have ended, by direction and result");
    describe_counter!(
        "trunkline_sip_messages_total",
        "SIP messages on the wire, responses by the method of their CSeq"
    );
    describe_counter!("trunkline_sip_responses_total", "SIP responses sent, by status code");
    describe_counter!(
        "trunkline_sip_rejected_total",
        "SIP messages refused or ignored by the bridge itself, by reason"
    );
    describe_counter!(
        "trunkline_media_packets_total",
        "RTP and RTCP packets received, by what became of them"
    );
    describe_gauge!("trunkline_media_streams_active", "Media streams in use");
    describe_histogram!(SETUP_SECONDS, "Seconds from INVITE to answer, of answered calls");
    describe_counter!(
        "trunkline_records_dropped_total",
        "Call records lost because the disk refused them too long"
    );
}

const SETUP_SECONDS: &str = "trunkline_setup_seconds";
/// From a machine that answers at once to a person who lets it ring.
const SETUP_BUCKETS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Indexed by the match in [`Counters::ended`].
const RESULTS: [&str; 4] = ["answered", "cancelled", "refused", "failed"];

/// Indexed by [`method_place`].
const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "other",
];

/// In the order of the variants, which index [`Counters::rejected`].
const REJECTIONS: [Rejection; 15] = [
    Rejection::Stranger,
    Rejection::Credentials,
    Rejection::Replay,
    Rejection::Malformed,
    Rejection::Framing,
    Rejection::NoDialog,
    Rejection::Method,
    Rejection::Extension,
    Rejection::Loop,
    Rejection::Hops,
    Rejection::Media,
    Rejection::NoRoute,
    Rejection::Rule,
    Rejection::Capacity,
    Rejection::Draining,
];

const PACKET_RESULTS: [PacketResult; 4] =
    [PacketResult::Relayed, PacketResult::Stranger, PacketResult::Invalid, PacketResult::Dropped];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::LegRecord;
    use crate::id::CallId;

    #[test]
    fn a_number_shows_its_country_and_its_last_digits_only() {
        assert_eq!(masked("+14155550100"), "+1415***0100");
        assert_eq!(masked("5550100"), "***00");
        assert_eq!(masked("1001"), "***");
        assert_eq!(masked(""), "***");
    }

    #[test]
    fn a_peer_cannot_write_a_log_line_of_its_own() {
        assert_eq!(masked("\r\nINF\u{e9}long user part\n"), "\\r\\nINF***art\\n");
    }

    #[test]
    fn at_debug_a_number_is_shown_in_full() {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(io::sink).finish();

        let shown = tracing::subscriber::with_default(subscriber, || Redact("+14155550100").to_string());

        assert_eq!(shown, "+14155550100");
    }

    #[test]
    fn asking_twice_for_logs_and_metrics_is_no_error() {
        start_logs(&LogConfig::default()).unwrap();
        start_logs(&LogConfig { format: LogFormat::Json, ..LogConfig::default() }).unwrap();

        assert!(std::ptr::eq(metrics(), metrics()));
    }

    #[test]
    fn a_level_that_is_no_filter_says_what_to_write() {
        let error = start_logs(&LogConfig { level: "a=b=c".to_owned(), ..LogConfig::default() }).unwrap_err();

        assert!(error.to_string().contains("write error, warn, info"), "{error}");
    }

    #[test]
    fn every_metric_is_exposed_by_its_name_and_labels() {
        let text = rendered_after(|counters| {
            counters.message(Transport::Tcp, Way::Out, Method::Invite);
            counters.message(Transport::Udp, Way::In, Method::Other(b"BREW"));
            counters.response(486);
            counters.response(99);
            counters.response(700);
            counters.rejected(Rejection::Draining);
            counters.packets(PacketResult::Dropped, 7);
            counters.answered_after(Duration::from_millis(20));
            counters.calls_active.set(3.0);
            counters.media_streams_active.set(12.0);
            counters.ended(&ended(Direction::ToTrunk, Some(1), EndedBy::Callee));
            counters.ended(&ended(Direction::ToRetell, None, EndedBy::Caller));
        });

        for line in [
            r#"trunkline_sip_messages_total{transport="tcp",method="INVITE",direction="out"} 1"#,
            r#"trunkline_sip_messages_total{transport="udp",method="other",direction="in"} 1"#,
            r#"trunkline_sip_responses_total{code="486"} 1"#,
            r#"trunkline_sip_rejected_total{reason="draining"} 1"#,
            r#"trunkline_sip_rejected_total{reason="stranger"} 0"#,
            r#"trunkline_media_packets_total{path="user",result="dropped"} 7"#,
            r#"trunkline_setup_seconds_bucket{le="0.025"} 1"#,
            "trunkline_calls_active 3",
            "trunkline_media_streams_active 12",
            r#"trunkline_calls_total{direction="to_trunk",result="answered"} 1"#,
            r#"trunkline_calls_total{direction="to_retell",result="cancelled"} 1"#,
            r#"trunkline_calls_total{direction="to_retell",result="failed"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains(r#"code="99""#) && !text.contains(r#"code="700""#), "{text}");
    }

    #[test]
    fn every_reason_and_result_has_a_counter_of_its_own() {
        assert!(REJECTIONS.iter().enumerate().all(|(place, &why)| why as usize == place));
        assert!(PACKET_RESULTS.iter().enumerate().all(|(place, &result)| result as usize == place));
    }

    fn masked(number: &str) -> String {
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(io::sink).finish();
        tracing::subscriber::with_default(subscriber, || Redact(number).to_string())
    }

    fn rendered_after(count: impl FnOnce(&Counters)) -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || count(&Counters::register()));
        recorder.handle().render()
    }

    fn ended(direction: Direction, answered_ms: Option<i64>, ended_by: EndedBy) -> Record {
        Record {
            id: CallId(1),
            direction,
            from: String::new(),
            to: String::new(),
            trunk: String::new(),
            retell: String::new(),
            started_ms: 0,
            answered_ms,
            ended_ms: 2,
            ended_by,
            sip_code: 200,
            reason: String::new(),
            legs: vec![LegRecord::default()],
        }
    }
}

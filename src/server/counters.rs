//! The metrics (`/metrics`), with handles resolved once, so that counting a message hashes nothing.
//!
//! The recorder is global to the process and may be asked for again. Only the signalling thread counts here;
//! what media threads count is copied in by it.

use std::array;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::call::record::{Direction, EndedBy, Record};
use crate::media::PacketTotals;
use crate::media::forward::Reason;
use crate::sip::flow::Transport;
use crate::sip::message::Method;

use super::media_metrics::{self, MediaMetrics};

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
    /// What the audio of ended calls was like.
    pub media: MediaMetrics,
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
        media_metrics::describe();
        Self { counters: Counters::register(), media: MediaMetrics::register(), recorder: handle }
    }

    /// All metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.recorder.render()
    }

    /// Folds what histograms have gathered; to be called every few seconds, or they grow
    /// until somebody renders them.
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
    /// A source that is banned: not even read.
    Banned,
    /// From where anybody may be, and one too many to be answered.
    Unproven,
    /// Unknown user or wrong password: 403.
    Credentials,
    /// A nonce used before or expired: challenged again.
    Replay,
    /// Not a SIP message, or without what every element needs: 400 or nothing.
    Malformed,
    /// A stream that broke the framing rules, closed.
    Framing,
    /// A connection that could not agree with us on TLS, closed.
    Handshake,
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
    /// More calls or minutes than its caller may have within an hour: 403.
    Cap,
    /// No media port or other means left: 503.
    Capacity,
    /// Draining: 503.
    Draining,
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
    messages: [[[Counter; METHODS.len()]; 2]; 3],
    responses: Box<[OnceLock<Counter>; 600]>,
    rejected: [Counter; REJECTIONS.len()],
    /// Sources that were banned.
    pub bans: Counter,
    packets_relayed: Counter,
    packets_dropped: [Counter; Reason::ALL.len()],
}

impl Counters {
    fn register() -> Self {
        let message = |transport: Transport, way: Way, method: &'static str| {
            counter!("trunkline_sip_messages_total",
                "transport" => transport.param(), "method" => method, "direction" => way.label())
        };
        let packets = |result: &'static str| {
            let name = "trunkline_media_packets_total";
            counter!(name, "path" => "user", "result" => result)
        };
        Self {
            calls_active: gauge!("trunkline_calls_active"),
            media_streams_active: gauge!("trunkline_media_streams_active"),
            setup_seconds: histogram!(SETUP_SECONDS),
            calls: [Direction::ToRetell, Direction::ToTrunk].map(|direction| {
                RESULTS.map(|result| {
                    let direction = direction_label(direction);
                    counter!("trunkline_calls_total", "direction" => direction, "result" => result)
                })
            }),
            messages: [Transport::Udp, Transport::Tcp, Transport::Tls]
                .map(|via| [Way::In, Way::Out].map(|way| METHODS.map(|method| message(via, way, method)))),
            responses: Box::new(array::from_fn(|_| OnceLock::new())),
            rejected: REJECTIONS.map(|why| counter!("trunkline_sip_rejected_total", "reason" => why.label())),
            bans: counter!("trunkline_sip_bans_total"),
            packets_relayed: packets("relayed"),
            packets_dropped: Reason::ALL.map(|reason| packets(reason.name())),
        }
    }

    /// One SIP message on the wire, retransmissions included; a response counts under the method of its CSeq.
    pub fn message(&self, transport: Transport, way: Way, method: Method<'_>) {
        let transport = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
            Transport::Tls => 2,
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

    /// What became of every media packet since the start.
    pub fn packets(&self, totals: &PacketTotals) {
        self.packets_relayed.absolute(totals.relayed);
        for (counter, (_, total)) in self.packets_dropped.iter().zip(totals.dropped) {
            counter.absolute(total);
        }
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
            Self::Banned => "banned",
            Self::Unproven => "unproven",
            Self::Credentials => "credentials",
            Self::Replay => "replay",
            Self::Malformed => "malformed",
            Self::Framing => "framing",
            Self::Handshake => "handshake",
            Self::NoDialog => "no_dialog",
            Self::Method => "method",
            Self::Extension => "extension",
            Self::Loop => "loop",
            Self::Hops => "hops",
            Self::Media => "media",
            Self::NoRoute => "no_route",
            Self::Rule => "rule",
            Self::Cap => "hourly_cap",
            Self::Capacity => "capacity",
            Self::Draining => "draining",
        }
    }
}

/// A count as the value of a gauge.
#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
pub(super) fn as_gauge(count: usize) -> f64 {
    count as f64
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
    let all = media_metrics::BUCKETS.into_iter().chain([(SETUP_SECONDS, &SETUP_BUCKETS[..])]);
    let builder = all.fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        let name = Matcher::Full(name.to_owned());
        builder.set_buckets_for_metric(name, buckets).expect("there are buckets")
    });
    builder.build_recorder()
}

/// Names every metric and says what it counts.
fn describe() {
    describe_gauge!("trunkline_registrations", "1 for the state that the registration at a trunk is in");
    describe_gauge!(
        "trunkline_target_up",
        "Whether a watched target takes calls; NaN once it is watched no more"
    );
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
        "trunkline_fallbacks_total",
        "Calls that went on to a fallback, by the peer that could not take them"
    );
    describe_counter!("trunkline_sip_bans_total", "Sources banned for a while");
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
const REJECTIONS: [Rejection; 19] = [
    Rejection::Stranger,
    Rejection::Banned,
    Rejection::Unproven,
    Rejection::Credentials,
    Rejection::Replay,
    Rejection::Malformed,
    Rejection::Framing,
    Rejection::Handshake,
    Rejection::NoDialog,
    Rejection::Method,
    Rejection::Extension,
    Rejection::Loop,
    Rejection::Hops,
    Rejection::Media,
    Rejection::NoRoute,
    Rejection::Rule,
    Rejection::Cap,
    Rejection::Capacity,
    Rejection::Draining,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::LegRecord;
    use crate::id::CallId;

    #[test]
    fn every_metric_is_exposed_by_its_name_and_labels() {
        let text = rendered_after(|counters| {
            counters.message(Transport::Tcp, Way::Out, Method::Invite);
            counters.message(Transport::Udp, Way::In, Method::Other(b"BREW"));
            counters.response(486);
            counters.response(99);
            counters.response(700);
            counters.rejected(Rejection::Draining);
            counters.packets(&totals());
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
            r#"trunkline_media_packets_total{path="user",result="relayed"} 9"#,
            r#"trunkline_media_packets_total{path="user",result="muted"} 7"#,
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
    fn every_reason_has_a_counter_of_its_own() {
        assert!(REJECTIONS.iter().enumerate().all(|(place, &why)| why as usize == place));
    }

    #[test]
    fn asking_twice_gives_the_same_metrics() {
        assert!(std::ptr::eq(metrics(), metrics()));
    }

    fn rendered_after(count: impl FnOnce(&Counters)) -> String {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || count(&Counters::register()));
        recorder.handle().render()
    }

    fn totals() -> PacketTotals {
        let dropped = Reason::ALL.map(|reason| (reason, if reason == Reason::Muted { 7 } else { 0 }));
        PacketTotals { relayed: 9, made: 0, dropped, errors: 0 }
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
            hints: Vec::new(),
            legs: vec![LegRecord::default()],
        }
    }
}

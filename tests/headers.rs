//! What of one leg's headers reaches the other: the pass list, its exceptions, and the rules in order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/routes.rs"]
mod support;

use proptest::prelude::*;
use support::{compile, config, invite, message, named, rule};
use trunkline::id::CallId;
use trunkline::routing::config::{CallerId, Config, ForeignCaller, Toward};
use trunkline::routing::{Line, Rotation};
use trunkline::sip::message::Message;

#[test]
fn by_default_x_headers_and_the_four_listed_pass_byte_for_byte_and_in_order() {
    let lines = [
        "X-Patient-ID: 12;a=\"b, c\"  \u{e9}",
        "x-lower: 1",
        "Subject: not listed",
        "User-to-User: 616263;encoding=hex",
        "X-Patient-ID: second",
        "Reason: Q.850;cause=16",
        "Privacy: none",
    ];

    let passed = toward_retell(&config(), &lines);

    assert_eq!(
        passed,
        [
            "X-Patient-ID: 12;a=\"b, c\"  \u{e9}",
            "x-lower: 1",
            "User-to-User: 616263;encoding=hex",
            "X-Patient-ID: second",
            "Privacy: none",
        ]
    );
}

#[test]
fn a_list_in_the_file_replaces_the_default_and_patterns_ignore_case() {
    let mut config = config();
    config.headers.pass = vec!["x-keep-*".to_owned(), "SUBJECT".to_owned()];

    let passed = toward_retell(&config, &["X-Keep-This: 1", "X-Other: 2", "s: compact", "Subject: long"]);

    assert_eq!(passed, ["X-Keep-This: 1", "Subject: compact", "Subject: long"]);
}

#[test]
fn not_even_a_star_passes_what_is_sips_own_ours_or_asserted() {
    let mut config = config();
    config.headers.pass = vec!["*".to_owned()];
    let lines = [
        "P-Asserted-Identity: <sip:+14155550123@198.51.100.7>",
        "P-Preferred-Identity: <sip:+14155550123@198.51.100.7>",
        "Remote-Party-ID: <sip:+14155550123@198.51.100.7>;party=calling",
        "X-Original-CLID: +14155550177",
        "x-trunkline-target: b",
        "Authorization: Digest username=\"a\"",
        "Supported: 100rel",
        "k: timer",
        "Session-Expires: 1800",
        "Record-Route: <sip:198.51.100.9;lr>",
        "Allow-Events: talk",
        "Reason: Q.850;cause=16",
        "Server: far",
        "P-Charge-Info: <sip:1@carrier.example>",
    ];

    let passed = toward_retell(&config, &lines);

    assert_eq!(passed, ["P-Charge-Info: <sip:1@carrier.example>"]);
}

#[test]
fn identity_passes_with_its_date_only_where_listed_and_only_over_unchanged_numbers() {
    let mut config = config();
    let lines =
        ["Date: Sat, 21 Nov 2026 02:00:00 GMT", "Identity: eyJ.a.b;info=<https://c.example>;alg=ES256"];
    let count = |config: &Config, from: &str| {
        toward_retell_from(config, &format!("<sip:{from}@198.51.100.7>"), &lines).len()
    };

    assert_eq!(count(&config, "+14155550123"), 0);
    config.headers.pass.push("identity".to_owned());
    assert_eq!(count(&config, "+14155550123"), 2);
    assert_eq!(count(&config, "4155550123"), 0);
}

#[test]
fn hosts_in_diversion_and_history_info_become_ours_and_everything_else_stays() {
    for (line, expected) in [
        (
            "Diversion: \"A, B\" <sip:+14155550188@pbx.example:5062;user=phone>;reason=user-busy;counter=1",
            &["Diversion: \"A, B\" \
               <sip:+14155550188@203.0.113.10;user=phone>;reason=user-busy;counter=1"][..],
        ),
        ("Diversion: sip:1@pbx.example;reason=unknown", &["Diversion: <sip:1@203.0.113.10>;reason=unknown"]),
        ("Diversion: <tel:+14155550188>;reason=unknown", &["Diversion: <tel:+14155550188>;reason=unknown"]),
        (
            "History-Info: <sip:a@x.example>;index=1, <sip:b@y.example;maddr=10.0.0.1>;index=1.1",
            &["History-Info: <sip:a@203.0.113.10>;index=1", "History-Info: <sip:b@203.0.113.10>;index=1.1"],
        ),
        ("Diversion: <nonsense", &[]),
        ("Diversion: <sips:a@[2001:db8::1]:5061>", &["Diversion: <sips:a@203.0.113.10>"]),
    ] {
        assert_eq!(toward_retell(&config(), &[line]), expected, "{line}");
    }
}

#[test]
fn rules_apply_in_order_toward_their_peers_and_a_rule_removes_before_it_sets() {
    let mut config = config();
    config.headers.rules = vec![
        rule(Toward::AllRetell, &[("X-A", "1"), ("X-B", "1")], &[]),
        rule(Toward::Peer("retell".to_owned()), &[("x-a", "2"), ("X-Only", "new")], &["X-On*", "X-In-*"]),
        rule(Toward::AllTrunks, &[("X-Trunk", "1")], &["*"]),
        rule(Toward::Peer("carrier".to_owned()), &[("X-Carrier", "1")], &[]),
    ];

    let passed = toward_retell(&config, &["X-In-1: a", "X-Only: old", "X-Kept: k", "X-A: 0"]);

    assert_eq!(passed, ["X-Kept: k", "X-B: 1", "x-a: 2", "X-Only: new"]);
}

#[test]
fn values_of_rules_name_the_call() {
    let mut config = config();
    let values = [
        ("X-Numbers", "{from}>{to}"),
        ("X-Where", "{trunk}/{call_id}"),
        ("X-Copy", "<{header:x-foo}>"),
        ("X-Known", "{header:Contact}"),
        ("X-Absent", "{header:X-Nothing}"),
        ("X-Plain", "{unknown}"),
    ];
    config.headers.rules = vec![rule(Toward::AllRetell, &values, &[])];

    let passed = toward_retell(&config, &["X-Foo: bar"]);

    assert_eq!(
        passed,
        [
            "X-Foo: bar",
            "X-Numbers: +14155550123>+14155550100",
            "X-Where: carrier/00000000000000aa",
            "X-Copy: <bar>",
            "X-Known: <sip:198.51.100.7:5060>",
            "X-Plain: {unknown}",
        ]
    );
}

#[test]
fn a_withheld_caller_has_exactly_one_privacy_header() {
    let withheld = toward_retell(&config(), &["Privacy: id;user", "Privacy: critical", "X-A: 1"]);

    assert_eq!(withheld, ["Privacy: id", "X-A: 1"]);
}

#[test]
fn a_kept_foreign_caller_is_diverted_by_our_number_on_top_of_other_diversions() {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Fixed("+14155550100".to_owned());
    config.trunks[0].foreign_caller = ForeignCaller::Diversion;
    let call = invite(CALLER, DIALLED, &["Diversion: <sip:1@a.example>"]);

    let sent = sent(&config, "retell", "carrier", &call, Some(&call));

    assert_eq!(
        sent,
        [
            "Diversion: <sip:+14155550100@203.0.113.10>;reason=unconditional",
            "Diversion: <sip:1@203.0.113.10>"
        ]
    );
}

#[test]
fn responses_and_bye_carry_their_own_headers_and_nothing_of_the_plan() {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Withheld;
    config.headers.rules = vec![rule(Toward::AllRetell, &[("X-First", "{header:X-Foo}")], &[])];
    let call = invite(CALLER, DIALLED, &["X-Foo: first"]);
    let ringing = message("SIP/2.0 180 Ringing", CALLER, &["X-Foo: ringing", "Server: far"]);
    let bye = message("BYE sip:203.0.113.10 SIP/2.0", CALLER, &["X-Foo: bye"]);

    assert_eq!(
        sent(&config, "retell", "retell", &call, Some(&ringing)),
        ["X-Foo: ringing", "X-First: first"]
    );
    assert_eq!(sent(&config, "retell", "carrier", &call, Some(&bye)), ["X-Foo: bye"]);
    assert_eq!(sent(&config, "retell", "retell", &call, None), ["X-First: first"]);
}

#[test]
fn a_refer_carries_its_headers_to_the_invite_it_causes_and_privacy_only_toward_the_callee() {
    let mut config = config();
    config.trunks[0].caller_id = CallerId::Withheld;
    let call = invite(CALLER, DIALLED, &["X-Foo: first"]);
    let lines = ["X-Foo: refer", "User-to-User: 00", "Refer-To: <tel:+14155550123>", "Privacy: none"];
    let refer = message("REFER sip:203.0.113.10 SIP/2.0", CALLER, &lines);
    let toward = |peer| sent(&config, "retell", peer, &call, Some(&refer));

    assert_eq!(toward("carrier"), ["Privacy: id", "X-Foo: refer", "User-to-User: 00"]);
    assert_eq!(toward("retell"), ["X-Foo: refer", "User-to-User: 00", "Privacy: none"]);
}

#[test]
fn a_value_that_others_would_stumble_over_is_left_out_and_the_others_stay() {
    let lines = ["User-to-User: \"61", "X-Size: 5\" pipe", "Privacy: ", "User-to-User: 62;encoding=hex"];

    let sent = toward_retell(&config(), &lines);

    assert_eq!(sent, ["X-Size: 5\" pipe", "User-to-User: 62;encoding=hex"]);
}

#[test]
fn every_header_of_the_explanation_names_its_rule() {
    let mut config = config();
    config.headers.rules =
        vec![rule(Toward::AllRetell, &[("X-Set", "1"), ("X-Not", "{header:X}")], &["X-Gone"])];
    let routes = compile(&config);
    let call = invite(CALLER, DIALLED, &["X-Kept: 1", "X-Gone: 1", "Subject: no", "X-Trunkline-A: 1"]);
    let plan = routes.plan(named(&routes, "carrier"), &call, &mut Rotation::default(), None).unwrap();
    let mut steps = Vec::new();

    routes.explain_headers(&call, &plan, OUR_HOST, &mut steps);

    let told: Vec<_> =
        steps.iter().map(|step| format!("{} | {} | {}", step.what, step.value, step.rule)).collect();
    assert_eq!(
        told,
        [
            "header | X-Kept: 1 | [headers].pass \"X-*\"",
            "header | X-Gone: 1 | [headers].pass \"X-*\"",
            "header dropped | Subject | not in [headers].pass",
            "header dropped | X-Trunkline-A | X-Trunkline-* counts only from Retell",
            "header removed | X-Gone: 1 | [[headers.rules]] 1: remove \"X-Gone\"",
            "header | X-Set: 1 | [[headers.rules]] 1: set",
            "header left out | X-Not | [[headers.rules]] 1: set, but its value is empty",
        ]
    );
}

proptest! {
    #[test]
    fn no_header_ever_holds_a_line_end(
        name in "X-[a-z]{1,5}|Diversion|History-Info|User-to-User|X-[ -~]{0,6}",
        value in prop::collection::vec(any::<u8>(), 0..60),
        user in "[0-9a-z%]{1,8}",
    ) {
        let mut config = config();
        config.headers.rules = vec![rule(Toward::AllRetell, &[("X-Copy", "{from}{to}{header:X-A}")], &[])];
        let mut text = format!(
            "INVITE sip:{user}@203.0.113.10 SIP/2.0\r\nFrom: <sip:{user}@198.51.100.7>;tag=1\r\n\
             X-A: a\r\n b\r\n{name}: "
        )
        .into_bytes();
        text.extend_from_slice(&value);
        text.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
        let Ok(call) = Message::parse(text.into(), &Default::default()) else { return Ok(()) };
        let routes = compile(&config);
        let carrier = named(&routes, "carrier");
        let Ok(plan) = routes.plan(carrier, &call, &mut Rotation::default(), None) else { return Ok(()) };

        let lines = routes.headers(plan.callee, Some(&call), &call, &plan, CALL, OUR_HOST);

        let is_clean = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        prop_assert!(lines.iter().all(|(name, value)| is_clean(name) && is_clean(value)), "{lines:?}");
    }
}

fn toward_retell(config: &Config, lines: &[&str]) -> Vec<String> {
    toward_retell_from(config, CALLER, lines)
}

fn toward_retell_from(config: &Config, from: &str, lines: &[&str]) -> Vec<String> {
    let call = invite(from, DIALLED, lines);
    sent(config, "carrier", "retell", &call, Some(&call))
}

/// The headers toward `toward` of a call that `call` begins from `caller`, made of `source`.
fn sent(
    config: &Config,
    caller: &str,
    toward: &str,
    call: &Message,
    source: Option<&Message>,
) -> Vec<String> {
    let routes = compile(config);
    let plan = routes.plan(named(&routes, caller), call, &mut Rotation::default(), None).unwrap();
    let lines = routes.headers(named(&routes, toward), source, call, &plan, CALL, OUR_HOST);
    lines.iter().map(text).collect()
}

fn text((name, value): &Line) -> String {
    format!("{}: {}", str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap())
}

const CALL: CallId = CallId(0xaa);
const OUR_HOST: &str = "203.0.113.10";
const CALLER: &str = "<sip:+14155550123@198.51.100.7>";
const DIALLED: &str = "sip:+14155550100@203.0.113.10";

//! P-Asserted-Identity of a trunk with `trust_identity` (RFC 3325): its number is the caller's, the header
//! itself goes nowhere, and whoever asked that it be shown to nobody is not shown.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::routes::{compile, config, invite, named};
use calls::{ByHandCall, CALLEE, Request, TRUNK, Way, header};
use trunkline::routing::{Plan, Rotation};

#[test]
fn the_asserted_number_is_the_callers_where_the_trunk_is_trusted_and_privacy_allows() {
    let tel = "P-Asserted-Identity: <tel:+1-415-555-0177>";
    let sip = "P-Asserted-Identity: \"Ann\" <sip:4155550178@carrier.example;user=phone>";
    for (from, lines, number, display) in [
        (ANONYMOUS, &[tel][..], "+14155550177", None),
        (ANONYMOUS, &[sip], "+14155550178", Some("Ann")),
        (CALLER, &[sip], "+14155550178", Some("Ann")),
        (CALLER, &[sip, tel], "+14155550177", None),
        (
            CALLER,
            &["P-Asserted-Identity: \"A, B\" <sip:4155550178@a.example>, <tel:+14155550177>"],
            TEL,
            None,
        ),
        (CALLER, &["P-Asserted-Identity: <sip:ann@carrier.example>"], "+14155550123", Some("Bob")),
        (CALLER, &["P-Asserted-Identity: <sip:ann@carrier.example>", tel], TEL, None),
        (CALLER, &["P-Asserted-Identity: <<>"], "+14155550123", Some("Bob")),
        (CALLER, &["P-Asserted-Identity:"], "+14155550123", Some("Bob")),
        (CALLER, &[], "+14155550123", Some("Bob")),
        (CALLER, &[tel, "Privacy: none"], TEL, None),
        (CALLER, &[tel, "Privacy: session"], TEL, None),
        (CALLER, &[tel, "Privacy: ID"], "+14155550123", Some("Bob")),
        (CALLER, &[tel, "Privacy: critical; id"], "+14155550123", Some("Bob")),
        (CALLER, &[tel, "Privacy: header"], "+14155550123", Some("Bob")),
        (CALLER, &[tel, "Privacy: user;id"], "anonymous", None),
        (ANONYMOUS, &[tel, "Privacy: id"], "anonymous", Some("Anonymous")),
    ] {
        let plan = plan(true, from, lines);

        assert_eq!((plan.from.as_str(), plan.display.as_deref()), (number, display), "{from} {lines:?}");
    }
}

#[test]
fn a_trunk_that_is_not_trusted_asserts_nothing() {
    let plan = plan(false, CALLER, &["P-Asserted-Identity: <tel:+14155550177>"]);

    assert_eq!(plan.from, "+14155550123");
}

#[test]
fn a_number_that_stands_in_from_too_is_unchanged_and_any_other_is_not() {
    let own = plan(true, "<sip:+14155550177@carrier.example>", &["P-Asserted-Identity: <tel:+14155550177>"]);
    let other = plan(true, CALLER, &["P-Asserted-Identity: <tel:+14155550177>"]);

    assert_eq!((own.numbers_unchanged, other.numbers_unchanged), (true, false));
}

#[test]
fn retell_sees_the_asserted_number_in_from_and_never_the_header() {
    let mut config = Way::ToRetell.config();
    config.trunks[0].spelling.trust_identity = true;
    let asserted = "P-Asserted-Identity: <sip:+14155550177@inside.carrier.example>\r\n";
    let invite = Request { headers: asserted.to_owned(), ..Request::invite(TRUNK) };

    let network = ByHandCall::inviting(Way::ToRetell, compile(&config), &invite);

    let seen = network.received(CALLEE, "INVITE ")[0];
    assert!(header(seen, "From").unwrap().starts_with("<sip:+14155550177@203.0.113.10>;tag="), "{seen}");
    assert!(!seen.contains("P-Asserted-Identity") && !seen.contains("carrier.example"), "{seen}");
}

fn plan(is_trusted: bool, from: &str, lines: &[&str]) -> Plan {
    let mut config = config();
    config.trunks[0].spelling.trust_identity = is_trusted;
    let routes = compile(&config);
    let invite = invite(from, "sip:+14155550199@203.0.113.10", lines);
    routes.plan(named(&routes, "carrier"), &invite, &mut Rotation::default(), None).unwrap()
}

const CALLER: &str = "\"Bob\" <sip:+14155550123@carrier.example>";
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
const TEL: &str = "+14155550177";

//! What an INVITE toward a trunk says: numbers in its format, the caller where it looks for one, and its
//! hosts; each rule over a small configuration, then a whole call over a network.
//!
//! Privacy (RFC 3325 §7) is kept here too: an identity that was asked to be hidden leaves only for a trunk
//! that keeps it to itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use calls::routes::{address, compile, config, invite, named, trunk};
use calls::{CALLEE, CALLER, CalleeScript, CallerScript, Way, Weather, finish, header, in_weather};
use trunkline::config::reader::{Secret, SecretSource};
use trunkline::id::CallId;
use trunkline::routing::config::{CallerId, CallerPlace, CallerPlaces, Config, NumberFormat, Spelling};
use trunkline::routing::{Plan, Rotation, Routes};
use trunkline::sip::message::Message;
use trunkline::sip::uri::{Host, Uri};

#[test]
fn both_numbers_leave_in_the_trunks_format_and_records_keep_e164() {
    for (number_format, caller_format, prefix, dialled, caller) in [
        (NumberFormat::PlusE164, NumberFormat::PlusE164, "", "+12125550123", "+14155550100"),
        (NumberFormat::E164, NumberFormat::E164, "", "12125550123", "14155550100"),
        (NumberFormat::DoubleZero, NumberFormat::E164, "", "0012125550123", "14155550100"),
        (NumberFormat::National, NumberFormat::PlusE164, "", "2125550123", "+14155550100"),
        (NumberFormat::PlusE164, NumberFormat::National, "1234", "1234+12125550123", "4155550100"),
    ] {
        let prefix = prefix.to_owned();
        let config = spelt(Spelling { number_format, caller_format, prefix, ..Spelling::default() });

        let plan = plan(&config, &invite(AGENT, DIALLED, &[]));

        let from = plan.from_header(here(), None).uri;
        assert_eq!(
            (plan.targets[0].uri.user.as_deref(), from.user.as_deref()),
            (Some(dialled), Some(caller))
        );
        assert_eq!((plan.to.as_str(), plan.from.as_str()), ("+12125550123", "+14155550100"));
        assert_eq!(plan.targets[0].to, plan.targets[0].uri);
    }
}

#[test]
fn the_prefix_stands_before_whatever_is_dialled_but_not_before_a_name() {
    let config = spelt(Spelling { prefix: "99".to_owned(), ..Spelling::default() });
    for (dialled, expected) in [("1001", "991001"), ("*98", "99*98"), ("sales", "sales")] {
        let plan = plan(&config, &invite(AGENT, &format!("sip:{dialled}@203.0.113.10"), &[]));

        assert_eq!(plan.targets[0].uri.user.as_deref(), Some(expected));
    }
}

#[test]
fn toward_retell_numbers_stay_in_e164() {
    let config = spelt(Spelling {
        number_format: NumberFormat::E164,
        prefix: "99".to_owned(),
        from_host: Some(host("acct.example")),
        ..Spelling::default()
    });
    let routes = compile(&config);
    let invite = invite("<sip:+14155550123@198.51.100.7>", "sip:+14155550100@203.0.113.10", &[]);

    let carrier = named(&routes, "carrier");
    let plan = routes.plan(carrier, &invite, &mut Rotation::default(), None).unwrap();

    let from = plan.from_header(here(), None);
    assert_eq!(from.to_string(), "<sip:+14155550123@203.0.113.10>");
    assert_eq!(plan.targets[0].uri.to_string(), "sip:+14155550100@retell.example;transport=tcp");
    assert_eq!(headers(&routes, &plan, &invite), [""; 0]);
}

#[test]
fn header_rules_see_the_numbers_as_sent() {
    let mut config = spelt(Spelling { number_format: NumberFormat::E164, ..e164() });
    let toward = trunkline::routing::config::Toward::AllTrunks;
    config.headers.rules = vec![calls::routes::rule(toward, &[("X-Pair", "{from}>{to}")], &[])];

    assert_eq!(sent(&config, &[]), ["X-Pair: 14155550100>12125550123"]);
}

#[test]
fn a_trunks_own_headers_come_before_the_rules_which_win() {
    let mut config = spelt(Spelling::default());
    log_in(&mut config);
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    config.trunks[0].headers.set = vec![set("X-Account", "{username}"), set("X-Second", "own")];
    config.trunks[0].headers.remove = vec!["X-Carrier-*".to_owned()];
    let toward = trunkline::routing::config::Toward::AllTrunks;
    config.headers.rules = vec![calls::routes::rule(toward, &[("X-Second", "rule")], &[])];

    assert_eq!(sent(&config, &["X-Carrier-Id: 7"]), ["X-Account: acct", "X-Second: rule"]);
}

#[test]
fn identity_passes_only_where_the_format_leaves_both_numbers_as_they_came() {
    let mut config = spelt(Spelling::default());
    config.headers.pass = vec!["Identity".to_owned()];
    let identity = ["Identity: abc;info=<https://cert.example>"];

    let kept = sent(&config, &identity);
    config.trunks[0].spelling.number_format = NumberFormat::E164;
    let dropped = sent(&config, &identity);

    assert_eq!((kept.len(), dropped.len()), (1, 0));
}

#[test]
fn the_callers_number_stands_in_every_place_the_trunk_looks_at() {
    let places = CallerPlaces(vec![
        CallerPlace::From,
        CallerPlace::Display,
        CallerPlace::PAssertedIdentity,
        CallerPlace::PPreferredIdentity,
        CallerPlace::RemotePartyId,
        CallerPlace::Diversion,
        CallerPlace::PChargeInfo,
    ]);
    let config = spelt(Spelling { caller_in: places, from_host: Some(host("acct.example")), ..e164() });
    let plan = plan(&config, &invite(AGENT, DIALLED, &[]));

    let from = plan.from_header(here(), None).to_string();

    assert_eq!(from, "\"14155550100\" <sip:14155550100@acct.example>");
    assert_eq!(
        sent(&config, &[]),
        [
            "P-Asserted-Identity: <sip:14155550100@acct.example>",
            "P-Preferred-Identity: <sip:14155550100@acct.example>",
            "Remote-Party-ID: <sip:14155550100@acct.example>;party=calling;screen=no;privacy=off",
            "Diversion: <sip:14155550100@acct.example>;reason=unconditional",
            "P-Charge-Info: <sip:14155550100@acct.example>",
        ]
    );
}

#[test]
fn from_names_the_account_where_the_caller_stands_elsewhere() {
    let mut config =
        spelt(Spelling { caller_in: CallerPlaces(vec![CallerPlace::PPreferredIdentity]), ..e164() });
    log_in(&mut config);

    let plan = plan(&config, &invite(AGENT, DIALLED, &[]));

    assert_eq!(plan.from_header(here(), None).to_string(), "<sip:acct@203.0.113.10>");
    assert_eq!(plan.from, "+14155550100", "who calls is another matter");
    assert_eq!(sent(&config, &[]), ["P-Preferred-Identity: <sip:14155550100@203.0.113.10>"]);
}

#[test]
fn a_caller_that_asked_for_privacy_is_named_to_a_trusted_trunk_alone() {
    let places = [CallerPlace::From, CallerPlace::PAssertedIdentity, CallerPlace::RemotePartyId];
    let spelling = Spelling { caller_in: CallerPlaces(places.to_vec()), ..Spelling::default() };
    let trusted = Spelling { trust_identity: true, ..spelling.clone() };
    let private = ["Privacy: user"];

    let plan = plan(&spelt(trusted.clone()), &invite(AGENT, DIALLED, &private));

    let from = plan.from_header(here(), None).to_string();
    assert_eq!(from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
    assert_eq!(plan.from, "anonymous", "nor do records name it");
    assert_eq!(sent(&spelt(spelling), &private), ["Privacy: id"]);
    assert_eq!(
        sent(&spelt(trusted.clone()), &private),
        [
            "P-Asserted-Identity: <sip:+14155550100@203.0.113.10>",
            "Remote-Party-ID: <sip:+14155550100@203.0.113.10>;party=calling;screen=no;privacy=full",
            "Privacy: id",
        ]
    );

    let mut withheld = spelt(trusted);
    withheld.trunks[0].caller_id = CallerId::Withheld;
    assert_eq!(sent(&withheld, &[]), ["Privacy: id"], "no number of ours is there to be named");
}

#[test]
fn hosts_change_what_the_invite_says_and_the_proxy_where_it_goes() {
    let mut config = spelt(Spelling {
        from_host: Some(host("from.example")),
        to_host: Some(host("to.example")),
        request_host: Some(host("acct.example")),
        outbound_proxy: Some(proxy("sip:edge.example:5070")),
        ..Spelling::default()
    });
    config.trunks[0].peer.uris = vec![proxy("sip:carrier.example:5080;transport=tcp")];

    let plan = plan(&config, &invite(AGENT, DIALLED, &[]));

    let target = &plan.targets[0];
    assert_eq!(plan.from_header(here(), Some(5060)).uri.to_string(), "sip:+14155550100@from.example");
    assert_eq!(target.uri.to_string(), "sip:+12125550123@acct.example;transport=tcp");
    assert_eq!(target.to.to_string(), "sip:+12125550123@to.example;transport=tcp");
    assert_eq!((target.next_hop.to_string().as_str(), target.is_routed), ("sip:edge.example:5070", false));
}

#[test]
fn a_call_by_an_outbound_proxy_names_it_in_route_and_is_sent_there() {
    let mut config = Way::ToTrunk.config();
    config.trunks[0].peer.uris = vec![address("carrier.example")];
    config.trunks[0].spelling.outbound_proxy = Some(proxy("sip:198.51.100.7;lr"));
    let routes = compile(&config);
    let (here, there) = (CallerScript::default(), CalleeScript::default());

    let mut network = in_weather(Weather::FAIR, 1, routes, Way::ToTrunk, here, there);
    finish(&mut network);

    let invite = network.received(CALLEE, "INVITE ")[0];
    assert!(invite.starts_with("INVITE sip:+14155550100@carrier.example SIP/2.0\r\n"), "{invite}");
    assert_eq!(header(invite, "Route"), Some("<sip:198.51.100.7;lr>"));
    assert_eq!(header(invite, "To"), Some("<sip:+14155550100@carrier.example>"));
    assert_eq!(network.received(CALLER, "SIP/2.0 200 ").len(), 2, "to the INVITE and to the BYE");
}

#[test]
fn credentials_are_for_the_realm_that_they_were_agreed_for() {
    for (realm, answered) in [("carrier.example", true), ("elsewhere.example", false)] {
        let mut config = Way::ToTrunk.config();
        log_in(&mut config);
        config.trunks[0].spelling.realm = Some("carrier.example".to_owned());
        let invite = calls::Request::invite(calls::RETELL);
        let mut network = calls::ByHandCall::inviting(Way::ToTrunk, compile(&config), &invite);
        let received = network.received(CALLEE, "INVITE ")[0].to_owned();

        let challenge =
            format!("WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n");
        let told = calls::answer(&received, 401, "Unauthorized", "t", &challenge);
        calls::ask(&mut network, CALLEE, &told);

        let invites = network.received(CALLEE, "INVITE ");
        let credentials = invites.last().and_then(|invite| header(invite, "Authorization"));
        assert_eq!(credentials.is_some(), answered, "{realm}");
        assert_eq!(network.received(CALLER, "SIP/2.0 403 ").is_empty(), answered, "{realm}");
    }
}

/// The only trunk, with this spelling.
fn spelt(spelling: Spelling) -> Config {
    let mut config = config();
    config.trunks = vec![trunk("carrier", "198.51.100.0/24")];
    config.trunks[0].spelling = spelling;
    config
}

fn e164() -> Spelling {
    Spelling { caller_format: NumberFormat::E164, ..Spelling::default() }
}

fn log_in(config: &mut Config) {
    let peer = &mut config.trunks[0].peer;
    peer.username = Some("acct".to_owned());
    peer.password = Some(Secret { source: SecretSource::Literal("secret".to_owned()) });
}

/// The course of a call from Retell.
fn plan(config: &Config, invite: &Message) -> Plan {
    let routes = compile(config);
    routes.plan(named(&routes, "retell"), invite, &mut Rotation::default(), None).unwrap()
}

/// The headers of the INVITE that becomes of one from Retell with these lines.
fn sent(config: &Config, lines: &[&str]) -> Vec<String> {
    let routes = compile(config);
    let invite = invite(AGENT, DIALLED, lines);
    let plan = routes.plan(named(&routes, "retell"), &invite, &mut Rotation::default(), None).unwrap();
    headers(&routes, &plan, &invite)
}

fn headers(routes: &Routes, plan: &Plan, invite: &Message) -> Vec<String> {
    let lines = routes.headers(plan.callee, Some(invite), invite, plan, CallId(1), "203.0.113.10");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    lines.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

fn here() -> Host {
    host("203.0.113.10")
}

fn host(text: &str) -> Host {
    Host::parse(text.as_bytes()).unwrap()
}

fn proxy(text: &str) -> Uri {
    Uri::parse(text.as_bytes()).unwrap()
}

/// A caller of ours, as Retell names it.
const AGENT: &str = "<sip:+14155550100@retell.example>";
const DIALLED: &str = "sip:+12125550123@203.0.113.10";

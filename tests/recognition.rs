//! Which peer is calling: the four steps, over tables compiled from small configurations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/routes.rs"]
mod support;

use std::net::IpAddr;

use proptest::prelude::*;
use support::{compile, config, named, number, retell, trunk};
use trunkline::routing::Recognition;
use trunkline::routing::config::{Config, Country, TrunkConfig};

#[test]
fn a_trunk_is_known_by_its_address_and_retell_by_its_credentials() {
    let routes = compile(&config());

    assert_eq!(routes.recognise(ip("198.51.100.7"), ""), Recognition::Peer(named(&routes, "carrier")));
    assert_eq!(routes.recognise(ip("::ffff:198.51.100.7"), ""), Recognition::Peer(named(&routes, "carrier")));
    assert_eq!(routes.recognise(ip("192.0.2.1"), ""), Recognition::Challenge);
    assert_eq!(routes.recognise(ip("203.0.113.1"), ""), Recognition::Stranger);
    assert_eq!(routes.recognise(ip("2001:db8::1"), ""), Recognition::Stranger);
}

#[test]
fn the_longest_range_wins_over_the_file_order() {
    let trunks = vec![trunk("wide", "198.51.100.0/24"), trunk("narrow", "198.51.100.0/28")];
    let routes = compile(&Config { trunks, ..config() });

    assert_eq!(routes.recognise(ip("198.51.100.7"), ""), Recognition::Peer(named(&routes, "narrow")));
    assert_eq!(routes.recognise(ip("198.51.100.77"), ""), Recognition::Peer(named(&routes, "wide")));
}

#[test]
fn trunks_behind_one_address_are_told_apart_by_the_dialled_number_then_by_file_order() {
    let trunks = vec![
        trunk("first", "198.51.100.0/24"),
        TrunkConfig { country: Some(Country("DE".to_owned())), ..trunk("second", "198.51.100.0/24") },
        trunk("narrower elsewhere", "198.51.100.128/25"),
    ];
    let numbers = vec![number("+4930*", None, Some("second")), number("1001", None, Some("second"))];
    let extensions = vec![("77".to_owned(), "+493012345".to_owned())];
    let routes = compile(&Config { trunks, numbers, extensions, ..config() });

    for (dialled, expected) in [
        ("+493012345", "second"),
        ("03012345678", "second"),
        ("1001", "second"),
        ("77", "second"),
        ("+14155550100", "first"),
        ("", "first"),
    ] {
        let found = routes.recognise(ip("198.51.100.7"), dialled);

        assert_eq!(found, Recognition::Peer(named(&routes, expected)), "{dialled}");
    }
}

#[test]
fn a_trunk_with_challenge_must_authenticate_as_itself() {
    let mut pbx = trunk("pbx", "198.51.100.0/24");
    pbx.peer.challenge = true;
    pbx.peer.username = Some("pbx-user".to_owned());
    pbx.peer.password = retell("any").peer.password;
    let routes = compile(&Config { trunks: vec![pbx], ..config() });

    let found = routes.recognise(ip("198.51.100.7"), "");

    assert_eq!(found, Recognition::ChallengeAs(named(&routes, "pbx")));
}

#[test]
fn a_challenging_trunk_without_credentials_is_not_let_in_by_its_address() {
    let mut pbx = trunk("pbx", "198.51.100.0/24");
    pbx.peer.challenge = true;
    let routes = compile(&Config { trunks: vec![pbx], ..config() });

    let found = routes.recognise(ip("198.51.100.7"), "");

    assert_eq!(found, Recognition::ChallengeAs(named(&routes, "pbx")));
    assert_eq!(routes.by_username(ip("198.51.100.7"), ""), None);
}

#[test]
fn without_a_password_retell_is_known_by_address_only_when_that_is_trusted() {
    let mut open = retell("retell");
    open.peer.password = None;
    let routes = |trust_address| {
        let mut open = open.clone();
        open.peer.trust_address = trust_address;
        compile(&Config { retell: vec![open], ..config() })
    };

    assert_eq!(routes(false).recognise(ip("192.0.2.1"), ""), Recognition::Stranger);
    assert_eq!(
        routes(true).recognise(ip("192.0.2.1"), ""),
        Recognition::Peer(named(&routes(true), "retell"))
    );
    assert_eq!(routes(true).recognise(ip("203.0.113.1"), ""), Recognition::Stranger);
}

#[test]
fn trust_without_ranges_trusts_nobody() {
    let mut open = retell("retell");
    open.peer.password = None;
    open.peer.trust_address = true;
    open.peer.allow.clear();
    let routes = compile(&Config { retell: vec![open], ..config() });

    assert_eq!(routes.recognise(ip("192.0.2.1"), ""), Recognition::Stranger);
}

#[test]
fn the_user_name_decides_among_those_that_challenge_the_source() {
    let mut anywhere = retell("anywhere");
    anywhere.peer.allow.clear();
    let mut unchallenged = trunk("carrier", "198.51.100.0/24");
    unchallenged.peer.username = Some("acct".to_owned());
    unchallenged.peer.password = anywhere.peer.password.clone();
    let config =
        Config { retell: vec![retell("retell"), anywhere], trunks: vec![unchallenged], ..Config::default() };
    let routes = compile(&config);

    assert_eq!(routes.by_username(ip("192.0.2.1"), "retell-user"), Some(named(&routes, "retell")));
    assert_eq!(routes.by_username(ip("203.0.113.1"), "retell-user"), None);
    assert_eq!(routes.by_username(ip("203.0.113.1"), "anywhere-user"), Some(named(&routes, "anywhere")));
    assert_eq!(routes.by_username(ip("198.51.100.7"), "acct"), None);
    assert_eq!(routes.recognise(ip("203.0.113.1"), ""), Recognition::Challenge);
}

#[test]
fn requests_of_a_call_may_come_from_anywhere_in_that_peers_ranges() {
    let mut config = config();
    config.retell.push(retell("anywhere"));
    config.retell[1].peer.allow.clear();
    config.trunks.push(trunk("outbound only", ""));
    let routes = compile(&config);
    let allows = |name, source| routes.allows(named(&routes, name), ip(source));

    assert!(allows("retell", "192.0.2.200") && !allows("retell", "198.51.100.7"));
    assert!(allows("carrier", "198.51.100.200") && !allows("carrier", "192.0.2.1"));
    assert!(allows("anywhere", "203.0.113.1"));
    assert!(!allows("outbound only", "203.0.113.1"));
}

#[test]
fn a_source_in_any_peers_ranges_is_known() {
    let routes = compile(&config());

    assert!(routes.knows(ip("198.51.100.7")) && routes.knows(ip("192.0.2.1")));
    assert!(!routes.knows(ip("203.0.113.1")) && !routes.knows(ip("::1")));
}

proptest! {
    #[test]
    fn recognition_agrees_with_reading_the_rules_one_by_one(
        ranges in prop::collection::vec((any::<[u8; 2]>(), 16_u8..=32, any::<bool>()), 1..8),
        source in any::<[u8; 2]>(),
    ) {
        let mut config = config();
        config.trunks = ranges
            .iter()
            .enumerate()
            .map(|(place, ([a, b], length, challenge))| {
                let mut trunk = trunk(&place.to_string(), &format!("10.0.{}.{}/{length}", a % 4, b));
                trunk.peer.challenge = *challenge;
                trunk
            })
            .collect();
        let routes = compile(&config);
        let source = ip(&format!("10.0.{}.{}", source[0] % 4, source[1]));

        let found = routes.recognise(source, "");

        let mut best: Option<(u8, &TrunkConfig)> = None;
        for trunk in &config.trunks {
            let length = trunk.peer.allow[0].prefix_len();
            if trunk.peer.allow[0].contains(&source) && best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, trunk));
            }
        }
        let expected = match best {
            None => Recognition::Stranger,
            Some((_, trunk)) if trunk.peer.challenge => {
                Recognition::ChallengeAs(named(&routes, &trunk.peer.name))
            }
            Some((_, trunk)) => Recognition::Peer(named(&routes, &trunk.peer.name)),
        };
        prop_assert_eq!(found, expected);
        prop_assert_eq!(routes.knows(source), best.is_some());
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

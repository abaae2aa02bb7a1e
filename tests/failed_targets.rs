//! A target that failed costs the calls after it nothing: they try their other targets first, for as long as
//! it asked for or 30 s, and it is tried again when nothing else is left.
#![allow(clippy::unwrap_used)]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{
    Callee, CalleeScript, Caller, CallerScript, End, Network, RETELL, RETELL_2, Step, TRUNK, Way, Weather,
    assert_clean, routes,
};

#[test]
fn a_silent_target_is_left_out_for_30_s() {
    let mut network = calls_apart(Duration::from_secs(15), &[]);

    network.run(Duration::from_secs(300));

    assert_eq!(
        invited(&network),
        ["1st at 0 s", "2nd at 4 s", "2nd at 15 s", "2nd at 30 s", "1st at 45 s", "2nd at 49 s"]
    );
    assert_eq!(network.agents[0].ends(), [const { End::Released }; 4]);
    assert_clean(&network);
}

#[test]
fn a_busy_target_is_left_out_for_as_long_as_it_asks() {
    let busy = Step::new(0, 503, "Service Unavailable");
    for (headers, tried) in [
        ("", &[0, 40][..]),
        ("Retry-After: 50\r\n", &[0, 60]),
        ("Retry-After: 10 (soon)\r\n", &[0, 20, 40, 60]),
        ("Retry-After: soon\r\n", &[0, 40]),
    ] {
        let mut network = calls_apart(Duration::from_secs(20), &[busy.clone().with_headers(headers)]);

        network.run(Duration::from_secs(300));

        let expected: Vec<_> = [0, 20, 40, 60]
            .into_iter()
            .flat_map(|at| {
                let first = tried.contains(&at).then(|| format!("1st at {at} s"));
                first.into_iter().chain([format!("2nd at {at} s")])
            })
            .collect();
        assert_eq!(invited(&network), expected, "{headers}");
        assert_clean(&network);
    }
}

#[test]
fn a_callee_that_declines_is_no_failed_target() {
    for code in [486, 404, 500, 408, 603] {
        let mut network = calls_apart(Duration::from_secs(20), &[Step::new(0, code, "No")]);

        network.run(Duration::from_secs(300));

        let first = invited(&network).into_iter().filter(|invited| invited.starts_with("1st")).count();
        assert_eq!(first, 4, "{code}");
        assert_clean(&network);
    }
}

#[test]
fn when_every_target_has_failed_they_are_tried_all_the_same() {
    let mut network = network(Duration::from_secs(20), 2);

    network.run(Duration::from_secs(300));

    assert_eq!(invited(&network), ["1st at 0 s", "2nd at 4 s", "1st at 20 s", "2nd at 24 s"]);
    assert_eq!(network.agents[0].ends(), [const { End::Refused(503) }; 2]);
    assert_clean(&network);
}

/// Four calls, so far apart; the first target says `first`, the second one answers.
fn calls_apart(apart: Duration, first: &[Step]) -> Network {
    let mut network = network(apart, 4);
    if !first.is_empty() {
        network.add(Callee::new(RETELL, CalleeScript::saying(first.iter().cloned())));
    }
    network.add(Callee::new(RETELL_2, CalleeScript::default()));
    network
}

fn network(apart: Duration, calls: u32) -> Network {
    let mut config = Way::ToRetell.config();
    config.retell[0].peer.uris.push(routes::address("192.0.2.8"));
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    network.add(Caller::new(TRUNK, CallerScript { calls, apart, ..CallerScript::default() }));
    network
}

/// The targets in the order they were tried, each once for every call.
fn invited(network: &Network) -> Vec<String> {
    let invites = network.emitted.iter().filter(|emitted| emitted.text().starts_with("INVITE "));
    let mut seen = Vec::new();
    let mut tried = Vec::new();
    for invite in invites {
        let branch = invite.text().lines().nth(1).unwrap().to_owned();
        if !seen.contains(&branch) {
            seen.push(branch);
            let place = if invite.to.to_string() == RETELL { "1st" } else { "2nd" };
            tried.push(format!("{place} at {} s", invite.after.as_secs()));
        }
    }
    tried
}

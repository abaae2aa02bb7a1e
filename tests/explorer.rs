//! Races are searched, not imagined: seeds interleave CANCEL, 200, forks, late offers, BYE, re-INVITE,
//! UPDATE, PRACK, refreshes, fallback and loss on both legs of a call over the real bridge in virtual time.
//!
//! After each run both legs have ended or stand agreed, versions of session descriptions never went back,
//! everything that left was well formed, and nothing is left. A failure prints its seed and the ladder of the
//! run. `EXPLORER_RUNS` is how many seeds are tried, from `EXPLORER_SEED` on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use calls::{
    BRIDGE, CALLEE, CALLER, End, LAST, Network, Wanderer, Way, Weather, body, emitted, header, leg, routes,
};
use trunkline::routing::config::{FallbackConfig, Ringing};

#[test]
fn however_the_two_legs_race_they_end_agreed_and_nothing_is_left() {
    let number =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, runs) = (number("EXPLORER_SEED", 0), number("EXPLORER_RUNS", 200));
    for seed in first..first + runs {
        let mut network = wandering(seed);
        let explored = catch_unwind(AssertUnwindSafe(|| explore(&mut network)));
        let fault = match explored {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(_) => "it panicked, as said above".to_owned(),
        };
        panic!("EXPLORER_SEED={seed} EXPLORER_RUNS=1: {fault}\n{}", ladder(&network));
    }
}

/// A call between two wanderers: every third seed in a storm; in every fourth the agent has a desk behind
/// it; every fifth with ringing of ours.
fn wandering(seed: u64) -> Network {
    let way = if seed.is_multiple_of(2) { Way::ToRetell } else { Way::ToTrunk };
    let weather = match seed % 3 {
        0 => Weather::FAIR,
        1 => Weather { delay_ms: (1, 300), ..Weather::FAIR },
        _ => Weather::STORM,
    };
    let mut config = way.config();
    if seed.is_multiple_of(5) {
        config.retell[0].peer.profile.ringback = Ringing::Generate;
        config.trunks[0].peer.profile.ringback = Ringing::Generate;
    }
    let has_desk = seed.is_multiple_of(4);
    if has_desk {
        config.trunks[0].peer.uris = vec![routes::address("198.51.100.20")];
        config.retell[0].fallback = vec![FallbackConfig::Word("+14155550199".into())];
    }
    let mut network = Network::new(routes::compile(&config), seed, weather);
    let (here, there) = way.ends();
    network.add(Wanderer::new(here, seed.wrapping_mul(3), true));
    network.add(Wanderer::new(there, seed.wrapping_mul(3).wrapping_add(1), false));
    if has_desk {
        network.add(Wanderer::new("198.51.100.20:5060", seed.wrapping_mul(3).wrapping_add(2), false));
    }
    network
}

fn explore(network: &mut Network) -> Result<(), String> {
    network.run(LAST - Duration::from_millis(500));
    stands_agreed(network)?;
    network.run(Duration::from_secs(900));
    has_ended(network)?;
    versions_grow(network)?;
    emitted::first_fault(network).map_or(Ok(()), Err)
}

/// Both ends are up and the relay knows where each wants its audio, or neither is.
fn stands_agreed(network: &Network) -> Result<(), String> {
    let (caller, callees) = network.agents.split_first().expect("the caller was added first");
    let callee = callees.iter().find_map(|agent| agent.agreed());
    match (caller.agreed(), callee) {
        (None, None) => Ok(()),
        (Some(_), Some(_)) if !network.bridge.world.ringing.is_empty() => {
            Err("it still rings in an answered call".to_owned())
        }
        (Some(caller), Some(callee)) => {
            for (who, port) in [(CALLER, caller), (CALLEE, callee)] {
                let known = leg(network, who).remote.port();
                if known != port {
                    return Err(format!("agent {who} agreed on port {port}, the relay knows {known}"));
                }
            }
            Ok(())
        }
        alone => Err(format!("one leg stands alone: {alone:?}")),
    }
}

fn has_ended(network: &Network) -> Result<(), String> {
    let open: Vec<_> =
        network.agents.iter().flat_map(|agent| agent.ends()).filter(|end| *end != End::Released).collect();
    let standing = network.bridge.standing();
    let is_clean = open.is_empty()
        && standing == trunkline::server::Standing::default()
        && network.bridge.world.ports.is_empty()
        && network.bridge.world.views.is_empty()
        && network.bridge.next_deadline().is_none();
    let records = network.bridge.world.records.len();
    match (is_clean, records) {
        (true, 1) => Ok(()),
        _ => Err(format!("{open:?} and {standing:?} are left, {records} records were written")),
    }
}

/// RFC 3264 §8: a changed description has a higher version, an unchanged one the same.
fn versions_grow(network: &Network) -> Result<(), String> {
    let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut seen = HashSet::new();
    for emitted in network.emitted.iter().filter(|emitted| seen.insert(&emitted.bytes)) {
        let sdp = body(emitted.text());
        let Some(origin) = sdp.split("\r\n").find(|line| line.starts_with("o=")) else { continue };
        let words: Vec<_> = origin.split(' ').collect();
        let (id, version): (_, u64) = (words[1].to_owned(), words[2].parse().unwrap());
        let before = last.insert(id, (version, sdp.to_owned()));
        let is_right =
            before.is_none_or(|(known, text)| known < version || (known == version && text == sdp));
        if !is_right {
            return Err(format!("version {version} is out of order in\n{}", emitted.text()));
        }
    }
    Ok(())
}

/// The caller on the left, the callee on the right, one line for each message.
fn ladder(network: &Network) -> String {
    let addresses = [CALLER, CALLEE].map(|who| network.agents[who].address());
    let heard = network.heard.iter().map(|it| (it.after, it.flow.remote, false, it.bytes.clone()));
    let sent = network.emitted.iter().map(|it| (it.after, it.to, true, it.bytes.clone()));
    let mut lines: Vec<_> = heard.chain(sent).collect();
    lines.sort_by_key(|(after, ..)| *after);
    let mut text = format!("{:>8}  caller {:<34} {BRIDGE} {:>34} callee\n", "ms", "", "");
    for (after, peer, is_ours, bytes) in lines {
        let message = String::from_utf8_lossy(&bytes);
        let start: String = message.split("\r\n").next().unwrap_or_default().chars().take(24).collect();
        let described = if message.contains("\r\n\r\nv=0") { " +SDP" } else { "" };
        let what = format!("{start} ({}){described}", header(&message, "CSeq").unwrap_or_default());
        let arrow = if (peer == addresses[0]) == is_ours { "<--" } else { "-->" };
        let (left, right) = if peer == addresses[0] { (what, String::new()) } else { (String::new(), what) };
        let _ = writeln!(text, "{:>8}  {left:<44} {arrow} {right}", after.as_millis());
    }
    text
}

//! Everything the virtual-time tests of whole calls share: the network, the agents on it, and a bridge
//! between one trunk and one Retell endpoint, in either direction.
//!
//! `benches/calls.rs` includes this too, so nothing here may need a test harness.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]
#![allow(unused_imports, reason = "each test file uses its part")]

#[path = "agents/mod.rs"]
pub(crate) mod agents;
#[path = "digest.rs"]
pub(crate) mod digest;
#[path = "emitted.rs"]
pub(crate) mod emitted;
#[path = "network.rs"]
pub(crate) mod network;
#[path = "reread.rs"]
pub(crate) mod reread;
#[path = "routes.rs"]
pub(crate) mod routes;
#[path = "world.rs"]
pub(crate) mod world;

use std::time::Duration;

use trunkline::routing::Routes;
use trunkline::routing::config::Config;
use trunkline::rtp::leg::{LegMedia, Side};

pub(crate) use agents::*;
pub(crate) use emitted::assert_well_formed;
pub(crate) use network::{BRIDGE, Network, Weather, assert_nothing_left};

/// The trunk's address: allowed, and where its calls go.
pub(crate) const TRUNK: &str = "198.51.100.7:5060";
/// The trunk's second target.
pub(crate) const TRUNK_2: &str = "198.51.100.8:5060";
/// Retell's address: allowed, and where its calls go.
pub(crate) const RETELL: &str = "192.0.2.7:5060";
/// Retell's second target.
pub(crate) const RETELL_2: &str = "192.0.2.8:5060";
/// An address that no peer allows.
pub(crate) const STRANGER: &str = "203.0.113.66:5060";

/// Which way the calls of a test go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    ToRetell,
    ToTrunk,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::ToRetell, Self::ToTrunk];

    /// Addresses of the caller and of the callee.
    pub(crate) fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::ToRetell => (TRUNK, RETELL),
            Self::ToTrunk => (RETELL, TRUNK),
        }
    }

    /// One trunk and one Retell endpoint, each recognised by its address.
    pub(crate) fn config(self) -> Config {
        let mut config = routes::config();
        config.retell[0].peer.uris = vec![routes::address("192.0.2.7")];
        config.trunks[0].peer.uris = vec![routes::address("198.51.100.7")];
        if self == Self::ToTrunk {
            config.retell[0].peer.challenge = false;
            config.retell[0].peer.trust_address = true;
        }
        config
    }

    pub(crate) fn routes(self) -> Routes {
        routes::compile(&self.config())
    }
}

/// A network with a caller (agent 0) and a callee (agent 1).
pub(crate) fn network(way: Way, caller: CallerScript, callee: CalleeScript) -> Network {
    in_weather(Weather::FAIR, 1, way.routes(), way, caller, callee)
}

/// The same, with everything said.
pub(crate) fn in_weather(
    weather: Weather,
    seed: u64,
    routes: Routes,
    way: Way,
    caller: CallerScript,
    callee: CalleeScript,
) -> Network {
    let (here, there) = way.ends();
    let mut network = Network::new(routes, seed, weather);
    network.add(Caller::new(here, caller));
    network.add(Callee::new(there, callee));
    network
}

/// Runs such a network to its end, where everything that left was well formed and nothing is left.
pub(crate) fn run(way: Way, caller: CallerScript, callee: CalleeScript) -> Network {
    let mut network = network(way, caller, callee);
    finish(&mut network);
    network
}

/// A call whose two ends the test speaks for, once it is up: agents 0 and 1, and what their requests need.
pub(crate) struct ByHandCall {
    pub(crate) network: Network,
    /// The caller's and the callee's.
    pub(crate) sides: [DialogSide; 2],
    /// The answers that the caller and we got.
    pub(crate) answers: [String; 2],
}

impl ByHandCall {
    /// Answered and acknowledged.
    pub(crate) fn answered(way: Way) -> Self {
        Self::answered_as(way, way.routes(), &Request::invite(way.ends().0), "")
    }

    /// The caller has our 200, but did not acknowledge it yet.
    pub(crate) fn unacknowledged(way: Way) -> Self {
        Self::answering(way, way.routes(), &Request::invite(way.ends().0), "", SDP)
    }

    /// Answered and acknowledged, with these routes, this INVITE, and further headers in the callee's 200.
    pub(crate) fn answered_as(way: Way, routes: Routes, invite: &Request, headers: &str) -> Self {
        let mut call = Self::answering(way, routes, invite, headers, SDP);
        let ack = call.sides[CALLER].ack();
        call.say(CALLER, &ack);
        call
    }

    /// The callee answered with these header lines and this session description, and the caller has our 200.
    pub(crate) fn answering(way: Way, routes: Routes, invite: &Request, headers: &str, sdp: &str) -> Self {
        let mut network = Self::inviting(way, routes, invite);
        let received = network.received(CALLEE, "INVITE ").last().unwrap().to_string();
        let (here, there) = way.ends();
        let contact = format!("Contact: <sip:hand@{there}>\r\n{headers}");
        let ok = answer(&received, 200, "OK", "byhandtoo", &with_body(&contact, sdp));
        network.say(there.parse().unwrap(), &ok);
        network.run(Duration::from_millis(100));
        let told = network.received(CALLER, "SIP/2.0 200 ")[0].to_owned();
        let caller = DialogSide::of_caller(here.parse().unwrap(), &invite.to_string(), &told);
        let callee = DialogSide::of_callee(there.parse().unwrap(), &received, &ok);
        Self { network, sides: [caller, callee], answers: [told, ok] }
    }

    /// The callee has our INVITE; the caller's is given back.
    pub(crate) fn invited(way: Way) -> (Network, String) {
        let invite = Request::invite(way.ends().0);
        (Self::inviting(way, way.routes(), &invite), invite.to_string())
    }

    /// The same with these routes and this INVITE.
    pub(crate) fn inviting(way: Way, routes: Routes, invite: &Request) -> Network {
        let (here, there) = way.ends();
        let mut network = Network::new(routes, 1, Weather::FAIR);
        network.add(ByHand::new(here));
        network.add(ByHand::new(there));
        network.say(here.parse().unwrap(), &invite.to_string());
        network.run(Duration::from_millis(100));
        network
    }

    /// The one final response that the next request of `who` gets; `rest` is how it ends.
    pub(crate) fn ask(&mut self, who: usize, method: &str, rest: &str) -> String {
        let text = self.sides[who].request(method, rest);
        answer_to(&mut self.network, who, &text)
    }

    /// Says `text` as `who` and gives what it gets within 100 ms.
    pub(crate) fn say(&mut self, who: usize, text: &str) -> Vec<String> {
        ask(&mut self.network, who, text)
    }

    /// The caller hangs up, and everything comes to its end.
    pub(crate) fn hang_up(mut self) {
        let bye = self.ask(CALLER, "BYE", NO_BODY);
        assert_eq!(status(&bye), Some(200), "the call was still up");
        finish(&mut self.network);
        assert_eq!(self.network.agents[CALLEE].ends(), [End::Released]);
    }
}

/// The body of a message.
pub(crate) fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

/// What the relay was told last of the side of `who`.
pub(crate) fn leg(network: &Network, who: usize) -> LegMedia {
    let side = if who == CALLER { Side::Caller } else { Side::Callee };
    let legs = &network.bridge.world.legs;
    legs.iter().find(|((_, it), _)| *it == side).unwrap().1.clone()
}

/// Says `text` from the address of agent `who`, and gives what that agent got within 100 ms.
pub(crate) fn ask(network: &mut Network, who: usize, text: &str) -> Vec<String> {
    let before = network.messages(who).len();
    let here = network.agents[who].address();
    network.say(here, text);
    network.run(Duration::from_millis(100));
    network.messages(who)[before..].to_vec()
}

/// The one final response that `text` gets.
pub(crate) fn answer_to(network: &mut Network, who: usize, text: &str) -> String {
    let got = ask(network, who, text);
    let finals: Vec<_> = got.iter().filter(|text| status(text).is_some_and(|code| code >= 200)).collect();
    assert_eq!(finals.len(), 1, "{got:#?}");
    finals[0].clone()
}

/// Lets everything that is going on come to its end; nothing may be left then, and nothing
/// malformed may have left.
pub(crate) fn finish(network: &mut Network) {
    network.run(Duration::from_secs(600));
    assert_clean(network);
}

/// Nothing malformed has left, and nothing of any call is left.
pub(crate) fn assert_clean(network: &Network) {
    assert_well_formed(network);
    assert_nothing_left(network);
}

/// The caller's and the callee's place in a [`network`].
pub(crate) const CALLER: usize = 0;
pub(crate) const CALLEE: usize = 1;

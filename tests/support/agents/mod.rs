//! Scripted user agents for virtual-time tests: they speak SIP as text, with the retransmissions of RFC
//! 3261 §17 and nothing else.
//!
//! They share no code with the product on purpose: they read lines and split at spaces.

mod by_hand;
mod callee;
mod caller;
mod dialog;
mod fork;
mod repeat;
mod request;
mod text;
mod wanderer;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) use by_hand::ByHand;
pub(crate) use callee::{Callee, CalleeScript, Step};
pub(crate) use caller::{Caller, CallerScript};
pub(crate) use dialog::DialogSide;
pub(crate) use request::Request;
pub(crate) use wanderer::{LAST, Wanderer};

pub(crate) use text::{NO_BODY, SDP, answer, header, headers, param, status, tag, uri_in, with_body};

use super::network::BRIDGE;

/// Somebody at the other end of a leg. Times are since the start.
pub(crate) trait Agent {
    fn address(&self) -> SocketAddr;
    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration);
    fn on_deadline(&mut self, now: Duration);
    fn next_deadline(&self, start: Instant) -> Option<Instant>;
    fn take_sent(&mut self) -> Vec<Outgoing>;
    /// How each of its calls ended, by Call-ID.
    fn ends(&self) -> Vec<End>;
    /// Whole messages it received.
    fn messages(&self) -> &[String];
    /// The port of its last description that was agreed on, while its call is up, if it keeps account.
    fn agreed(&self) -> Option<u16> {
        None
    }
}

/// How a call ended as an agent saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answered, then BYE by either side was confirmed.
    Released,
    /// Final response other than 2xx.
    Refused(u16),
    /// It never ended.
    Open(&'static str),
}

/// A message on its way out of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) text: String,
}

/// What an agent has said and heard.
struct Phone {
    address: SocketAddr,
    sent: Vec<Outgoing>,
    messages: Vec<String>,
}

impl Phone {
    fn new(address: &str) -> Self {
        let address = address.parse().expect("an address of the test");
        Self { address, sent: Vec::new(), messages: Vec::new() }
    }

    fn send(&mut self, to: SocketAddr, text: String) {
        self.sent.push(Outgoing { from: self.address, to, text });
    }
}

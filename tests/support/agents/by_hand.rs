//! A user agent that only listens; what it says, the test writes. BYE alone it answers
//! itself, so that calls can end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::text::{NO_BODY, answer};
use super::{Agent, End, Outgoing, Phone};

/// Somebody whose lines are written out in the test.
pub(crate) struct ByHand {
    phone: Phone,
    released: usize,
    is_silent: bool,
}

impl ByHand {
    pub(crate) fn new(address: &str) -> Self {
        Self { phone: Phone::new(address), released: 0, is_silent: false }
    }

    /// One that does not even answer BYE.
    pub(crate) fn silent(address: &str) -> Self {
        Self { is_silent: true, ..Self::new(address) }
    }
}

impl Agent for ByHand {
    fn address(&self) -> SocketAddr {
        self.phone.address
    }

    fn on_message(&mut self, text: &str, from: SocketAddr, _now: Duration) {
        self.phone.messages.push(text.to_owned());
        if text.starts_with("BYE ") && !self.is_silent {
            self.released += 1;
            self.phone.send(from, answer(text, 200, "OK", "", NO_BODY));
        }
    }

    fn on_deadline(&mut self, _now: Duration) {}

    fn next_deadline(&self, _start: Instant) -> Option<Instant> {
        None
    }

    fn take_sent(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.phone.sent)
    }

    /// One for each BYE it got.
    fn ends(&self) -> Vec<End> {
        vec![End::Released; self.released]
    }

    fn messages(&self) -> &[String] {
        &self.phone.messages
    }
}

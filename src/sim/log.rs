//! What the far ends sent and received, message by message, for the ladder and for
//! anyone who must find a fault.
//!
//! Each end notes its own half only: what the bridge did in between shows as the time between the two.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sim::message::{Message, digits};
use crate::sim::rtp_socket::wall_ns;

/// One of the two far ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The SIP trunk.
    Carrier,
    /// Retell AI.
    Retell,
}

impl Side {
    /// How it is named to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Retell => "Retell",
        }
    }
}

/// A SIP message at one of the far ends.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, in ns since the epoch.
    pub at_ns: u64,
    /// At which end.
    pub side: Side,
    /// Sent by it, or received.
    pub sent: bool,
    /// Call-ID of the leg.
    pub call_id: String,
    /// The last ten digits of the number in To.
    pub called: String,
    /// `INVITE`, `180 Ringing`.
    pub title: String,
    /// Whether it carries SDP.
    pub has_sdp: bool,
}

/// The common notebook of both ends.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    events: Vec<Event>,
    complaints: Vec<String>,
}

impl Log {
    pub(super) fn note(&self, side: Side, sent: bool, message: &Message) {
        self.pages().events.push(Event {
            at_ns: wall_ns(),
            side,
            sent,
            call_id: message.call_id.clone(),
            called: digits(&message.to_user().unwrap_or_default()),
            title: message.title(),
            has_sdp: message.sdp().is_some(),
        });
    }

    /// Notes what a correct peer would not have made happen.
    pub(super) fn complain(&self, side: Side, what: &str) {
        self.pages().complaints.push(format!("{}: {what}", side.name()));
    }

    /// The messages of all legs whose INVITE was to `number`, in the order of time.
    #[must_use]
    pub fn of(&self, number: &str) -> Vec<Event> {
        let pages = self.pages();
        let called = digits(number);
        let legs: HashSet<&str> = pages
            .events
            .iter()
            .filter(|event| event.title == "INVITE" && event.called == called)
            .map(|event| event.call_id.as_str())
            .collect();
        let mut events: Vec<_> =
            pages.events.iter().filter(|event| legs.contains(event.call_id.as_str())).cloned().collect();
        events.sort_by_key(|event| event.at_ns);
        events
    }

    /// All complaints so far.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.pages().complaints.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

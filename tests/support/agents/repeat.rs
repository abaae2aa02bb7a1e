//! A message repeated until something stops it: T1 doubling to T2, for 64·T1 (RFC 3261 §17.1, §13.3.1.4).

use std::net::SocketAddr;
use std::time::Duration;

/// The message and when it goes again.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    text: String,
    to: SocketAddr,
    next: Option<Duration>,
    interval: Duration,
    until: Duration,
}

impl Repeat {
    /// Of a message sent at `now`.
    pub(super) fn new(text: String, to: SocketAddr, now: Duration) -> Self {
        Self { text, to, next: Some(now + T1), interval: T1, until: now + 64 * T1 }
    }

    /// The message, when it is due again.
    pub(super) fn due(&mut self, now: Duration) -> Option<(SocketAddr, String)> {
        self.next.filter(|&next| next <= now)?;
        self.interval = (self.interval * 2).min(T2);
        self.next = Some(now + self.interval);
        Some((self.to, self.text.clone()))
    }

    /// Sends it no more, but remembers that its transaction stands.
    pub(super) fn pause(&mut self) {
        self.next = None;
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.next
    }

    pub(super) fn is_over(&self) -> bool {
        self.next.is_some_and(|next| next > self.until)
    }
}

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

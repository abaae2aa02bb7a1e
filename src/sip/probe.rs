//! Whether a target of a peer lives, as its answers to OPTIONS say (RFC 3261 §11).
//!
//! Any answer but 503 proves that somebody takes requests there, 404 and 405 too. Silence alone proves
//! nothing of a target that never answered: many peers ignore OPTIONS and take calls, so only what was heard
//! before can be lost.

use std::time::{Duration, Instant};

use super::build::{Draft, RequestBuilder};
use super::flow::Hop;
use super::headers::Name;
use super::message::Method;
use super::uri::Uri;
use crate::id::{ClientTx, Ids};

/// What is known of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// It never answered.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It answers 503: it lives, and wants no calls.
    Busy,
    /// It answered before, and then not to [`LOST`] probes in a row.
    Down,
}

/// One target under watch.
#[derive(Debug, Default)]
pub struct Probe {
    health: Health,
    lost: u32,
    pending: Option<(ClientTx, Instant)>,
    last_code: Option<u16>,
    latency: Option<Duration>,
}

impl Probe {
    /// What is known.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// The status of its last answer.
    #[must_use]
    pub fn last_code(&self) -> Option<u16> {
        self.last_code
    }

    /// How long its last answer took.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// A probe goes out as `tx`; the one before it is lost if it was not answered yet. True if that changed
    /// the health.
    pub fn on_sent(&mut self, tx: ClientTx, now: Instant) -> bool {
        let changed = self.pending.is_some() && self.lose();
        self.pending = Some((tx, now));
        changed
    }

    /// An answer came, however late. True if that changed the health.
    pub fn on_answer(&mut self, tx: ClientTx, code: u16, now: Instant) -> bool {
        if let Some((_, sent)) = self.pending.take_if(|(pending, _)| *pending == tx) {
            self.latency = Some(now.saturating_duration_since(sent));
        }
        self.lost = 0;
        self.last_code = Some(code);
        self.become_(if code == 503 { Health::Busy } else { Health::Up })
    }

    /// The probe could not be sent, or nobody answered it. True if that changed the health.
    pub fn on_lost(&mut self, tx: ClientTx) -> bool {
        self.pending.take_if(|(pending, _)| *pending == tx).is_some() && self.lose()
    }

    fn lose(&mut self) -> bool {
        self.lost = self.lost.saturating_add(1);
        self.lost >= LOST && self.health != Health::Unknown && self.become_(Health::Down)
    }

    fn become_(&mut self, health: Health) -> bool {
        std::mem::replace(&mut self.health, health) != health
    }
}

impl Health {
    /// As the API and the log call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Busy => "busy",
            Self::Down => "down",
        }
    }

    /// Whether calls should try other targets first.
    #[must_use]
    pub fn is_out(self) -> bool {
        matches!(self, Self::Busy | Self::Down)
    }
}

/// The OPTIONS to `uri` by `hop`.
#[must_use]
pub fn options(uri: &Uri, hop: &Hop, ids: &mut Ids) -> Draft {
    let sent_by = &hop.sent_by;
    RequestBuilder::new(Method::Options, uri)
        .header(Name::MaxForwards, 70)
        .header(Name::From, format_args!("<sip:{sent_by}>;tag={:016x}", ids.random()))
        .header(Name::To, format_args!("<{uri}>"))
        .header(Name::CallId, ids.call_id())
        .header(Name::CSeq, "1 OPTIONS")
        .header(Name::Contact, format_args!("<sip:{sent_by}>"))
        .header(Name::Accept, "application/sdp")
        .no_body()
}

/// Probes lost in a row that take a target out.
pub const LOST: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lost_probes_take_a_target_out_and_one_answer_brings_it_back() {
        let (start, mut probe) = (Instant::now(), Probe::default());
        let at = |ms| start + Duration::from_millis(ms);
        probe.on_sent(ClientTx(1), at(0));
        assert!(probe.on_answer(ClientTx(1), 404, at(12)));
        assert_eq!((probe.health(), probe.last_code()), (Health::Up, Some(404)));
        assert_eq!(probe.latency(), Some(Duration::from_millis(12)));

        probe.on_sent(ClientTx(2), at(1_000));
        assert!(!probe.on_lost(ClientTx(2)));
        probe.on_sent(ClientTx(3), at(2_000));
        assert!(!probe.on_sent(ClientTx(4), at(3_000)), "the second one lost");
        assert!(probe.on_sent(ClientTx(5), at(4_000)), "the third");
        assert_eq!(probe.health(), Health::Down);
        assert!(!probe.on_lost(ClientTx(5)), "no news");

        assert!(probe.on_answer(ClientTx(4), 200, at(5_000)), "a late one counts as well");
        assert_eq!(probe.health(), Health::Up);
        assert_eq!(probe.latency(), Some(Duration::from_millis(12)), "whose latency is not known");
    }

    #[test]
    fn silence_says_nothing_of_a_target_that_never_answered() {
        let mut probe = Probe::default();

        for tx in 0..10 {
            assert!(!probe.on_sent(ClientTx(tx), Instant::now()));
        }

        assert_eq!(probe.health(), Health::Unknown);
        assert!(!probe.health().is_out());
    }

    #[test]
    fn a_503_is_busy_until_the_next_answer() {
        let (now, mut probe) = (Instant::now(), Probe::default());

        assert!(probe.on_answer(ClientTx(1), 503, now));
        assert!(probe.health().is_out());
        assert!(!probe.on_answer(ClientTx(2), 503, now));
        assert!(probe.on_answer(ClientTx(3), 200, now));
    }
}

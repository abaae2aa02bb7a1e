//! Reliable provisional responses (RFC 3262): RSeq and RAck, their order at the UAC,
//! and the repeats of a UAS.
//!
//! The intervals between repeats double without end, as no others in SIP do: only 64·T1 stops them (§3).

use std::time::{Duration, Instant};

use super::headers::{Name, lex};
use super::message::{Message, Method};
use super::timers::{Resend, Timers};

/// The option tag.
pub const OPTION_TAG: &str = "100rel";

/// What a PRACK acknowledges: RAck (§7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RAck {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq number of the request that was responded to, which must be an INVITE.
    pub cseq: u32,
}

impl RAck {
    /// Reads the RAck of `prack`; `None` when there is none that names an INVITE.
    #[must_use]
    pub fn of(prack: &Message) -> Option<Self> {
        let value = prack.value(Name::RAck)?;
        let mut words = value.split(|&byte| lex::is_space(byte)).filter(|word| !word.is_empty());
        let (rseq, cseq) = (lex::number(words.next()?)?, lex::number(words.next()?)?);
        (Method::parse(words.next()?) == Method::Invite && words.next().is_none())
            .then_some(Self { rseq, cseq })
    }
}

/// The RSeq of a provisional response that wants a PRACK: it requires 100rel and has a number above 0.
#[must_use]
pub fn rseq_of(response: &Message) -> Option<u32> {
    let is_reliable =
        matches!(response.status(), Some(101..=199)) && response.has_token(Name::Require, OPTION_TAG);
    let value = response.value(Name::RSeq).filter(|_| is_reliable)?;
    lex::number(lex::trim(&value)).filter(|&rseq: &u32| rseq > 0)
}

/// How far a UAC got with the reliable responses in one early dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Received {
    last: Option<u32>,
}

impl Received {
    /// Whether the response with `rseq` is the next one. Any other is neither acknowledged nor looked at:
    /// what was acknowledged before came again, and what came too early will come again (§4).
    pub fn is_next(&mut self, rseq: u32) -> bool {
        let is_next = self.last.is_none_or(|last| last.checked_add(1) == Some(rseq));
        if is_next {
            self.last = Some(rseq);
        }
        is_next
    }
}

/// A reliable response that waits for its PRACK; drop it when that comes.
#[derive(Clone, Debug)]
pub struct ReliableRepeat {
    resend: Resend,
    give_up: Instant,
}

/// What is due for a reliable response without PRACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReliableEvent {
    /// Send the same response again.
    SendAgain,
    /// 64·T1 have passed: the INVITE is to be refused with a 5xx.
    GiveUp,
}

impl ReliableRepeat {
    /// For a response sent at `now`.
    #[must_use]
    pub fn start(timers: Timers, now: Instant) -> Self {
        Self { resend: Resend::after(timers.t1, now), give_up: now + timers.give_up() }
    }

    /// When [`Self::on_deadline`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.resend.at.min(self.give_up)
    }

    /// What is due at `now`.
    pub fn on_deadline(&mut self, now: Instant) -> Option<ReliableEvent> {
        if self.give_up <= now {
            return Some(ReliableEvent::GiveUp);
        }
        (self.resend.at <= now).then(|| {
            self.resend = self.resend.again(Duration::MAX, now);
            ReliableEvent::SendAgain
        })
    }
}

/// The first RSeq of a UAS, from 1 to 2³⁰ so that counting up stays below 2³¹ (§3).
#[must_use]
pub fn first_rseq(random: u64) -> u32 {
    u32::try_from(random % (1 << 30)).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message::Limits;
    use super::super::transaction::testing::{at_ms, epoch};
    use super::*;

    #[test]
    fn a_rack_names_a_response_to_an_invite() {
        for (value, read) in [
            ("776656 1 INVITE", Some(RAck { rseq: 776_656, cseq: 1 })),
            ("  7\t2   INVITE ", Some(RAck { rseq: 7, cseq: 2 })),
            ("7 2 UPDATE", None),
            ("7 2", None),
            ("7 2 INVITE x", None),
            ("-7 2 INVITE", None),
            ("99999999999 2 INVITE", None),
            ("", None),
        ] {
            assert_eq!(RAck::of(&message("PRACK sip:h SIP/2.0", &format!("RAck: {value}"))), read, "{value}");
        }
    }

    #[test]
    fn a_response_is_reliable_when_it_requires_100rel_and_is_numbered() {
        for (start, lines, rseq) in [
            ("SIP/2.0 183 Session Progress", "Require: timer, 100REL\r\nRSeq: 9", Some(9)),
            ("SIP/2.0 183 Session Progress", "Require: 100rel\r\nRSeq: 0", None),
            ("SIP/2.0 183 Session Progress", "Require: 100rel", None),
            ("SIP/2.0 183 Session Progress", "RSeq: 9", None),
            ("SIP/2.0 100 Trying", "Require: 100rel\r\nRSeq: 9", None),
            ("SIP/2.0 200 OK", "Require: 100rel\r\nRSeq: 9", None),
        ] {
            assert_eq!(rseq_of(&message(start, lines)), rseq, "{start} {lines}");
        }
    }

    #[test]
    fn only_the_next_number_is_taken() {
        let mut received = Received::default();

        let taken: Vec<_> =
            [5, 5, 7, 6, 4, 7, 6].into_iter().filter(|&rseq| received.is_next(rseq)).collect();

        assert_eq!(taken, [5, 6, 7]);
        assert!(!Received { last: Some(u32::MAX) }.is_next(0), "numbers do not wrap");
    }

    #[test]
    fn a_response_without_prack_is_repeated_at_doubling_intervals_and_given_up_after_64_t1() {
        let mut repeat = ReliableRepeat::start(Timers::default(), epoch());
        let mut sent_ms = Vec::new();

        let given_up = loop {
            let now = repeat.next_deadline();
            match repeat.on_deadline(now).expect("something is due at a deadline") {
                ReliableEvent::SendAgain => sent_ms.push((now - epoch()).as_millis()),
                ReliableEvent::GiveUp => break now,
            }
        };

        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(given_up, at_ms(32_000));
    }

    #[test]
    fn the_first_number_leaves_room_to_count() {
        assert_eq!((first_rseq(0), first_rseq(u64::MAX)), (1, 1 << 30));
    }

    fn message(start: &str, lines: &str) -> Message {
        Message::parse(Bytes::from(format!("{start}\r\n{lines}\r\n\r\n")), &Limits::default()).unwrap()
    }
}

//! Digits that travel by INFO (`application/dtmf-relay`, `application/dtmf`) or as tones, where the other leg
//! has telephone events (RFC 4733), each once.
//!
//! A leg has one way for digits, so none comes twice: with events agreed on it, INFO is answered and left
//! aside, since those who send both mean one key. Profile `dtmf`: `events`, by RTP as the session description
//! says, and a peer that agreed on none is played tones, and its INFO counts; `info`, no events are agreed
//! on, digits come and go by INFO; `inband`, no events either, its tones are heard, and it is played them.

use std::time::Duration;

use bytes::Bytes;

use crate::call::Call;
use crate::call::contract::{Action, Cx};
use crate::call::party::{Purpose, Question};
use crate::id::LegId;
use crate::routing::config::DigitsBy;
use crate::rtp::dtmf::Digit;
use crate::rtp::leg::Side;
use crate::sip::message::{Message, Method};

impl Call {
    /// A key that came by INFO from `leg`.
    pub(super) fn on_digit_by_info(&mut self, leg: LegId, digit: Digit, duration: Duration, cx: &mut Cx<'_>) {
        let exchange = match self.attempt(leg) {
            Some(callee) => &callee.exchange,
            None => &self.caller.exchange,
        };
        if exchange.agreed().is_none_or(|agreed| agreed.dtmf.is_some()) {
            return;
        }
        let Some(other) = self.other_leg(leg) else { return };
        if !self.tell_by_info(other, digit, duration, cx) {
            cx.out.push(Action::Press { side: Self::side(other), digit, duration });
        }
    }

    /// A key that `side` pressed in its audio stream, where it was relayed already as far as that goes.
    pub(in crate::call) fn on_digit(
        &mut self,
        side: Side,
        digit: Digit,
        duration: Duration,
        cx: &mut Cx<'_>,
    ) {
        let other = match side {
            Side::Caller => self.answered_leg(),
            Side::Callee => Some(LegId::CALLER),
        };
        if let Some(other) = other {
            self.tell_by_info(other, digit, duration, cx);
        }
    }

    /// Sends a key by INFO to a leg that has them so; false to any other.
    fn tell_by_info(&mut self, leg: LegId, digit: Digit, duration: Duration, cx: &mut Cx<'_>) -> bool {
        let wants = self.profile(leg, cx).dtmf == DigitsBy::Info;
        let Some(mut party) = self.party(leg).filter(|_| wants) else { return false };
        let body = Bytes::from(format!("Signal={digit}\r\nDuration={}\r\n", duration.as_millis()));
        let question = Question {
            method: Method::Info,
            purpose: Purpose::Digit,
            headers: Vec::new(),
            body: Some((RELAY, body)),
        };
        party.ask(question, cx);
        true
    }

    fn other_leg(&self, leg: LegId) -> Option<LegId> {
        if leg == LegId::CALLER { self.answered_leg() } else { Some(LegId::CALLER) }
    }
}

/// A key and how long it was pressed, as an INFO has it; `None` when it has none.
pub(super) fn digit_in(info: &Message) -> Option<(Digit, Duration)> {
    let body = info.body();
    let text = std::str::from_utf8(&body).ok()?;
    match info.content_type()?.as_str() {
        RELAY => {
            let field = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.split_once(['=', ':']));
                lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
            };
            let duration = field("Duration").and_then(|text| text.parse().ok()).unwrap_or(USUAL_MS);
            Some((key_in(field("Signal")?)?, pressed_for(duration)))
        }
        PLAIN => Some((key_in(text.trim())?, pressed_for(USUAL_MS))),
        _ => None,
    }
}

/// `5`, `#`, `11` for the same: event codes are written too.
fn key_in(text: &str) -> Option<Digit> {
    let mut letters = text.chars();
    match (letters.next()?, letters.next()) {
        (key, None) => Digit::try_from(key).ok(),
        _ => text.parse().ok().and_then(Digit::of_code),
    }
}

fn pressed_for(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds.clamp(SHORTEST_MS, LONGEST_MS))
}

const RELAY: &str = "application/dtmf-relay";
const PLAIN: &str = "application/dtmf";

/// The content types that hold a key.
pub(super) const CONTENT_TYPES: &str = "application/dtmf-relay, application/dtmf";

const USUAL_MS: u64 = 160;
/// Below this, receivers miss it (ITU-T Q.24).
const SHORTEST_MS: u64 = 40;
const LONGEST_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Limits;

    #[test]
    fn keys_are_read_in_every_spelling_that_is_about() {
        for (kind, body, read) in [
            (RELAY, "Signal=5\r\nDuration=160\r\n", Some("5 160")),
            (RELAY, "Signal= # \nDuration= 250 \n", Some("# 250")),
            (RELAY, "signal:a\r\n", Some("A 160")),
            (RELAY, "Signal=11\r\nDuration=1", Some("# 40")),
            (RELAY, "Signal=1\r\nDuration=99999999", Some("1 5000")),
            (RELAY, "Duration=160\r\n", None),
            (RELAY, "Signal=X\r\n", None),
            (RELAY, "Signal=16\r\n", None),
            (RELAY, "Signal=\r\n", None),
            (PLAIN, "*", Some("* 160")),
            (PLAIN, "10\r\n", Some("* 160")),
            (PLAIN, "hello", None),
            ("application/media_control+xml", "5", None),
        ] {
            let text = format!(
                "INFO sip:h SIP/2.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let info = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
            let shown = digit_in(&info).map(|(key, duration)| format!("{key} {}", duration.as_millis()));
            assert_eq!(shown.as_deref(), read, "{kind} {body:?}");
        }
    }
}

//! Reason (RFC 3326, in responses RFC 6432): why a request or response is sent, by SIP
//! status and by Q.850 cause.
//!
//! Read from peers and always written anew. Protocols other than these two are not read, and of each the
//! first value counts: a message has at most one (RFC 3326 §2).

use std::fmt;

use super::cause::{Cause, NORMAL_CLEARING};
use super::headers::{Name, lex};
use super::message::Message;

/// One value of Reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// Whose numbers `cause` is of.
    pub protocol: Protocol,
    /// A status, or a Q.850 cause.
    pub cause: u16,
    /// The words that came with it, or the cause's name; without quotes, backslashes and control characters.
    pub text: Option<String>,
}

/// Whose numbers a cause is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Status codes.
    Sip,
    /// Release causes of telephone networks.
    Q850,
}

impl Reason {
    /// What `message` gives as reasons: at most one of each protocol, in its order.
    #[must_use]
    pub fn read(message: &Message) -> Vec<Self> {
        let mut reasons: Vec<Self> = Vec::new();
        for reason in message.elements(Name::Reason).take(MOST_READ).filter_map(|value| Self::parse(&value)) {
            if reasons.iter().all(|known| known.protocol != reason.protocol) {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// A Q.850 cause under its name.
    #[must_use]
    pub fn q850(cause: u16) -> Self {
        let text = Cause::of(cause).map(|cause| cause.meaning.to_owned());
        Self { protocol: Protocol::Q850, cause, text }
    }

    /// The normal end of a call.
    #[must_use]
    pub fn normal() -> Self {
        Self::q850(NORMAL_CLEARING)
    }

    /// A status with words of ours.
    #[must_use]
    pub fn sip(status: u16, text: &str) -> Self {
        Self { protocol: Protocol::Sip, cause: status, text: Some(text.to_owned()) }
    }

    /// Whether calls are expected to end so.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        match self.protocol {
            Protocol::Sip => matches!(self.cause, 200..=299 | 487),
            Protocol::Q850 => Cause::is_normal(self.cause),
        }
    }

    /// For people: `Q.850 cause 17: user busy`.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.protocol {
            Protocol::Sip => "SIP status",
            Protocol::Q850 => "Q.850 cause",
        };
        let named = Some(self.cause).filter(|_| self.protocol == Protocol::Q850).and_then(Cause::of);
        match named.map(|cause| cause.meaning).or(self.text.as_deref()) {
            Some(meaning) => format!("{what} {}: {meaning}", self.cause),
            None => format!("{what} {}", self.cause),
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (name, params) = value.split_at(lex::find(value, b';')?);
        let protocol = match lex::trim(name) {
            name if name.eq_ignore_ascii_case(b"SIP") => Protocol::Sip,
            name if name.eq_ignore_ascii_case(b"Q.850") => Protocol::Q850,
            _ => return None,
        };
        let cause = lex::number(lex::param(params, "cause")??)?;
        let text = lex::param(params, "text").flatten().and_then(lex::unquote);
        let text = text.map(|text| plain(&text)).filter(|text| !text.is_empty());
        (cause < 1_000).then_some(Self { protocol, cause, text })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Sip => "SIP",
            Protocol::Q850 => "Q.850",
        };
        write!(f, "{protocol};cause={}", self.cause)?;
        match &self.text {
            Some(text) => write!(f, ";text=\"{text}\""),
            None => Ok(()),
        }
    }
}

/// Words from outside, fit for a quoted string and for a record.
fn plain(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let allowed =
        text.chars().filter(|letter| !letter.is_control() && !matches!(letter, '"' | '\\' | '\u{fffd}'));
    allowed.take(TEXT_CHARS).collect::<String>().trim().to_owned()
}

/// Values looked at in one message.
const MOST_READ: usize = 8;
/// Longer words are cut.
const TEXT_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Limits;
    use bytes::Bytes;

    #[test]
    fn reasons_are_read_and_written_anew() {
        for (lines, written) in [
            (
                "Reason: Q.850;cause=16;text=\"Normal call clearing\"",
                "Q.850;cause=16;text=\"Normal call clearing\"",
            ),
            ("Reason: q.850 ; text=busy ; cause = 17", "Q.850;cause=17;text=\"busy\""),
            (
                "Reason: SIP ;cause=200 ;text=\"Call completed elsewhere\"",
                "SIP;cause=200;text=\"Call completed elsewhere\"",
            ),
            ("Reason: SIP;cause=600, Q.850;cause=17", "SIP;cause=600 Q.850;cause=17"),
            ("Reason: Q.850;cause=1\r\nReason: Q.850;cause=2", "Q.850;cause=1"),
            ("Reason: Preemption;cause=1;text=\"UA Preemption\"", ""),
            ("Reason: Q.850;cause=\"17\"", ""),
            ("Reason: Q.850;cause=99999", ""),
            ("Reason: Q.850", ""),
            ("Reason: SIP;cause=503;text=\"a \\\"b\\\\ \x07c\"", "SIP;cause=503;text=\"a b c\""),
        ] {
            let read: Vec<_> = Reason::read(&bye(lines)).iter().map(ToString::to_string).collect();

            assert_eq!(read.join(" "), written, "{lines}");
        }
    }

    #[test]
    fn a_text_is_cut_and_a_flood_of_values_is_not_read() {
        let long = format!("Reason: SIP;cause=503;text=\"{}\"", "x".repeat(5_000));
        let many = "Reason: Preemption;cause=1\r\n".repeat(8) + "Reason: Q.850;cause=16";

        let text = Reason::read(&bye(&long))[0].text.as_ref().map(String::len);
        assert_eq!((text, Reason::read(&bye(&many)).len()), (Some(100), 0));
    }

    #[test]
    fn the_words_are_those_of_q_850_whatever_the_peer_calls_it() {
        let reason = &Reason::read(&bye("Reason: Q.850;cause=17;text=\"USER_BUSY\""))[0];

        assert_eq!(reason.words(), "Q.850 cause 17: user busy");
        assert_eq!(Reason::sip(503, "Overloaded").words(), "SIP status 503: Overloaded");
        assert_eq!(Reason::q850(99).words(), "Q.850 cause 99");
    }

    #[test]
    fn the_normal_ends_are_told_from_the_others() {
        let normal = [Reason::normal(), Reason::q850(31), Reason::sip(200, "OK"), Reason::sip(487, "")];
        let others = [Reason::q850(41), Reason::q850(102), Reason::sip(503, "")];

        assert!(normal.iter().all(Reason::is_normal) && !others.iter().any(Reason::is_normal));
    }

    fn bye(lines: &str) -> Message {
        let text = format!("BYE sip:h SIP/2.0\r\n{lines}\r\n\r\n");
        Message::parse(Bytes::from(text), &Limits::default()).unwrap()
    }
}

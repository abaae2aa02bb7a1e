//! What a carrier says beside its status code about why a call failed, and the code that this makes truer.
//!
//! Retell tells its user `dial_busy`, `dial_no_answer`, `invalid_destination`,
//! `telephony_provider_permission_denied` and the like by the code alone, and carriers are loose with codes:
//! a busy number is a 503 with a Q.850 cause, a full trunk a 403 with a code of their own in the phrase. The
//! vocabulary, and what of the hints leads to each word:
//!
//! | what happened | code | Twilio | Telnyx | Q.850 cause |
//! |---|---|---|---|---|
//! | busy | 486 | | | 17 |
//! | nobody answered | 480 | | | 18, 19, 20 |
//! | no such number | 404, 410 | | D11 | 1, 2, 3, 22, 23 |
//! | not a whole number | 484 | | | 28 |
//! | we are not permitted | 403 | 32200, 32201, 32216, 32224 | D10–D19, D24–D38 | 55, 57, 87 |
//! | the callee declined | 603 | | | 21 |
//! | blocked on the way as unwanted | 608 | 32203 | | |
//! | the trunk is full or down | 503 | 32001, 32012 | D1, D2, D3, D22 | 34, 38, 41, 42, 47, 58, 88 |
//! | the trunk gave up waiting | 504 | | | 102 |
//! | too many hops | 483 | 32006 | | |
//!
//! A carrier's own code always counts; a Q.850 cause only where the status says little: one that is definite
//! (404, 486 …) was chosen by somebody who knew.

use crate::sip::cause::Cause;
use crate::sip::message::Message;
use crate::sip::reason::{Protocol, Reason};

/// One hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hint {
    /// For the record.
    pub(super) words: String,
    /// The code it stands for, if it stands for one.
    code: Option<u16>,
    /// Whether it is a code of the carrier's own.
    is_carriers_own: bool,
}

/// What `response` says beside its code, the carrier's own codes first.
pub(super) fn read(response: &Message) -> Vec<Hint> {
    let mut hints: Vec<_> = [twilio(response), telnyx(response)].into_iter().flatten().collect();
    hints.extend(asterisk(response));
    hints.extend(Reason::read(response).iter().map(Hint::of_reason));
    hints
}

/// The code that says what `received` with `hints` means.
pub(super) fn truest(received: u16, hints: &[Hint]) -> u16 {
    let counts = |hint: &&Hint| hint.is_carriers_own || is_vague(received);
    hints.iter().filter(counts).find_map(|hint| hint.code).unwrap_or(received)
}

impl Hint {
    fn of_reason(reason: &Reason) -> Self {
        let code = Some(reason.cause).filter(|_| reason.protocol == Protocol::Q850).and_then(code_of_cause);
        Self { words: reason.words(), code, is_carriers_own: false }
    }
}

/// `X-Twilio-Error: 32203 SIP call blocked`.
fn twilio(response: &Message) -> Option<Hint> {
    let value = response.value_named("X-Twilio-Error")?;
    let value = String::from_utf8_lossy(&value);
    let number: u32 = value.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
    let known = TWILIO.iter().find(|(error, ..)| *error == number);
    let words = match known {
        Some((_, _, meaning)) => format!("Twilio error {number}: {meaning}"),
        None => format!("Twilio error {number}"),
    };
    Some(Hint { words, code: known.map(|(_, code, _)| *code), is_carriers_own: true })
}

/// `403 Caller Origination Number is Invalid D35`: the code ends the phrase.
fn telnyx(response: &Message) -> Option<Hint> {
    let phrase = std::str::from_utf8(response.reason()).ok()?;
    let last = phrase.trim_end().rsplit(' ').next()?;
    let number: u8 = last.strip_prefix('D').filter(|digits| digits.len() <= 2)?.parse().ok()?;
    let (_, code, meaning) = TELNYX.iter().find(|(range, ..)| range.contains(&number))?;
    Some(Hint { words: format!("Telnyx D{number}: {meaning}"), code: *code, is_carriers_own: true })
}

/// `X-Asterisk-HangupCauseCode: 17`.
fn asterisk(response: &Message) -> Option<Hint> {
    let value = response.value_named("X-Asterisk-HangupCauseCode")?;
    let cause = std::str::from_utf8(&value).ok()?.trim().parse().ok()?;
    Some(Hint::of_reason(&Reason::q850(cause)))
}

/// The code of a cause as Retell understands it: RFC 3398's, but that nobody responding is no answer, a
/// rejected call was declined, and a cause without meaning has no code.
fn code_of_cause(cause: u16) -> Option<u16> {
    match cause {
        18 => Some(480),
        21 => Some(603),
        25..=27 | 29 | 31 | 63 | 111 | 127 => None,
        other => Cause::of(other)?.status,
    }
}

/// A status that many unlike things are answered with.
fn is_vague(status: u16) -> bool {
    matches!(status, 400 | 403 | 408 | 480 | 500..=504 | 580 | 600)
}

const TWILIO: &[(u32, u16, &str)] = &[
    (32_001, 503, "more calls per second than the trunk may have"),
    (32_006, 483, "too few hops left in Max-Forwards"),
    (32_012, 503, "more calls per second than the account may have"),
    (32_200, 403, "the account or trunk lacks the permission"),
    (32_201, 403, "our address is not in the trunk's access control list"),
    (32_203, 608, "blocked by Twilio as unwanted or fraudulent"),
    (32_216, 403, "the address is on a deny list"),
    (32_224, 403, "a forwarded call that the region's rules forbid"),
];

const TELNYX: &[(std::ops::RangeInclusive<u8>, Option<u16>, &str)] = &[
    (1..=3, Some(503), "as many calls at once as the account, profile or connection may have"),
    (10..=10, Some(403), "a header that is reserved"),
    (11..=11, Some(404), "the destination number is invalid"),
    (12..=17, Some(403), "the destination, profile or account is not permitted"),
    (18..=18, Some(403), "the connection is inactive"),
    (19..=19, Some(403), "the account is blocked"),
    (21..=21, None, "no destination belongs to the number"),
    (22..=22, Some(503), "all channels are in use"),
    (24..=24, Some(403), "the call costs more per minute than the profile allows"),
    (25..=29, Some(403), "authentication failed"),
    (30..=31, Some(403), "the SIP URI or subdomain is not valid"),
    (35..=35, Some(403), "the caller ID is invalid"),
    (36..=36, Some(403), "the caller ID belongs to another account"),
    (38..=38, Some(403), "the connection has no outbound voice profile"),
    (40..=40, None, "no route to the destination"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Limits;
    use bytes::Bytes;

    #[test]
    fn a_hint_names_a_truer_code_and_words_for_the_record() {
        for (response, code, words) in [
            ("503 Service Unavailable\r\nReason: Q.850;cause=17", 486, "Q.850 cause 17: user busy"),
            ("480 Unavailable\r\nReason: Q.850;cause=1", 404, "Q.850 cause 1: unallocated number"),
            ("500 Error\r\nReason: Q.850;cause=28", 484, "Q.850 cause 28: address incomplete"),
            ("403 Forbidden\r\nReason: Q.850;cause=21", 603, "Q.850 cause 21: call rejected"),
            ("408 Timeout\r\nReason: Q.850;cause=18", 480, "Q.850 cause 18: no user responding"),
            ("503 No\r\nReason: Q.850;cause=31", 503, "Q.850 cause 31: normal, unspecified"),
            ("486 Busy\r\nReason: Q.850;cause=41", 486, "Q.850 cause 41: temporary failure"),
            ("503 No\r\nReason: SIP;cause=486;text=\"Busy\"", 503, "SIP status 486: Busy"),
            ("500 No\r\nX-Asterisk-HangupCauseCode: 17", 486, "Q.850 cause 17: user busy"),
            (
                "603 Decline\r\nX-Twilio-Error: 32203 blocked",
                608,
                "Twilio error 32203: blocked by Twilio as unwanted or fraudulent",
            ),
            ("403 Forbidden\r\nX-Twilio-Error: 64999 news", 403, "Twilio error 64999"),
            (
                "403 User channel limit exceeded D1",
                503,
                "Telnyx D1: as many calls at once as the account, profile or connection may have",
            ),
            ("404 Not Found D19", 403, "Telnyx D19: the account is blocked"),
            ("403 Caller Origination Number is Invalid D35", 403, "Telnyx D35: the caller ID is invalid"),
        ] {
            let status = response[..3].parse().unwrap();
            let hints = read(&message(response));

            assert_eq!(truest(status, &hints), code, "{response}");
            assert_eq!(hints[0].words, words, "{response}");
        }
    }

    #[test]
    fn what_is_no_hint_changes_nothing() {
        for response in [
            "503 Service Unavailable",
            "403 Dialled D",
            "403 Room D135",
            "403 No D99",
            "503 No\r\nReason: Q.850;cause=many",
            "503 No\r\nX-Twilio-Error: none",
        ] {
            let status = response[..3].parse().unwrap();
            let hints = read(&message(response));

            assert_eq!((truest(status, &hints), hints.len()), (status, 0), "{response}");
        }
    }

    fn message(response: &str) -> Message {
        let text = format!("SIP/2.0 {response}\r\nCall-ID: a\r\n\r\n");
        Message::parse(Bytes::from(text), &Limits::default()).unwrap()
    }
}

//! The table of odd, broken and hostile messages, after RFC 4475 and RFC 5118: every class of the two.
//!
//! The messages are this project's own, one for each class, and each has its verdict and the reason for it.

mod applications;
mod invalid;
mod ipv6;
mod valid;

use trunkline::sip::message::Message;

/// One message class.
pub(crate) struct Case {
    /// RFC, section and its title in our words.
    pub(crate) class: &'static str,
    pub(crate) message: Vec<u8>,
    pub(crate) verdict: Verdict,
    pub(crate) why: &'static str,
}

/// What becomes of a message.
pub(crate) enum Verdict {
    /// Taken; the function checks what was read.
    Accepted(fn(&Message)),
    /// Answered with this status and reason phrase.
    Answered(u16, &'static str),
    /// Dropped without an answer; the text is what the log says.
    Dropped(&'static str),
}

/// All of it.
pub(crate) fn cases() -> Vec<Case> {
    [valid::cases(), invalid::cases(), applications::cases(), ipv6::cases()].into_iter().flatten().collect()
}

/// A plain INVITE with each `from` replaced by its `to`; panics when one is not there, so that a
/// row can't be about nothing.
pub(crate) fn invite(changes: &[(&str, &str)]) -> Vec<u8> {
    let plain = "INVITE sip:callee@bridge.example SIP/2.0\r\n\
        Via: SIP/2.0/UDP caller.example;branch=z9hG4bKplain\r\n\
        Max-Forwards: 70\r\n\
        From: <sip:caller@caller.example>;tag=one\r\n\
        To: <sip:callee@bridge.example>\r\n\
        Call-ID: plain@caller.example\r\n\
        CSeq: 1 INVITE\r\n\
        Contact: <sip:caller@192.0.2.77>\r\n\
        Content-Length: 0\r\n\
        \r\n";
    changes
        .iter()
        .fold(plain.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?} is not in the message");
            text.replacen(from, to, 1)
        })
        .into_bytes()
}

//! What becomes of odd, broken and hostile messages: a table after RFC 4475 and RFC 5118, every class of the two.
//!
//! The messages are this project's own, one for each class, and each has its verdict and the reason for it. A class whose
//! point lies above the parser (an extension to refuse, a scheme to reject) is accepted here, and the row checks that what
//! the layer above decides by can be read.

mod applications;
mod invalid;
mod ipv6;
mod valid;

use bytes::Bytes;
use trunkline::sip::build::ResponseBuilder;
use trunkline::sip::message::{Limits, Message};

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

#[test]
fn every_class_of_rfc_4475_and_rfc_5118_gets_its_verdict() {
    let cases = [valid::cases(), invalid::cases(), applications::cases(), ipv6::cases()];
    let cases: Vec<_> = cases.into_iter().flatten().collect();

    cases.iter().for_each(judge);

    for (rfc, part, sections) in [
        (4475, "3.1.1", 13),
        (4475, "3.1.2", 19),
        (4475, "3.2", 1),
        (4475, "3.3", 15),
        (4475, "3.4", 1),
        (5118, "4", 10),
    ] {
        for section in 1..=sections {
            let title = format!("RFC {rfc} §{part}.{section} ");
            assert!(cases.iter().any(|case| case.class.starts_with(&title)), "no message for {title}");
        }
    }
}

fn judge(case: &Case) {
    let class = format!("{} ({})", case.class, case.why);
    let parsed = Message::parse(Bytes::from(case.message.clone()), &Limits::default());
    let (message, fault) = match parsed {
        Ok(message) => {
            let fault = message.validate().err().map(|error| (error.status(), error.to_string()));
            (Some(message), fault)
        }
        Err(failure) => (failure.salvage, Some((failure.error.status(), failure.error.to_string()))),
    };
    match (&case.verdict, message, fault) {
        (Verdict::Accepted(check), Some(message), None) => {
            check(&message);
            if message.is_request() {
                let response = respond(&message, 200, "");
                assert_eq!(response.validate(), Ok(()), "{class}: our answer");
            }
        }
        (Verdict::Answered(status, reason), Some(message), Some(fault)) if message.is_request() => {
            assert_eq!((*status, *reason), (fault.0, fault.1.as_str()), "{class}");
            let response = respond(&message, fault.0, &fault.1);
            assert_eq!(response.status(), Some(*status), "{class}: our answer");
        }
        (Verdict::Dropped(log), message, Some((_, fault)))
            if message.as_ref().is_none_or(|it| !it.is_request()) =>
        {
            assert_eq!(*log, fault, "{class}");
        }
        (_, message, fault) => panic!("{class}: fault {fault:?} of {message:?}"),
    }
}

/// Our answer, read back.
fn respond(request: &Message, status: u16, reason: &str) -> Message {
    let source = "192.0.2.200:5060".parse().unwrap();
    let bytes = ResponseBuilder::new(request, status, reason, Some("ours"), source).no_body();
    Message::parse(bytes, &Limits::default()).expect("what we build can be read")
}

/// A plain INVITE with each `from` replaced by its `to`; panics when one is not there, so that a row can't be about nothing.
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

//! What becomes of odd, broken and hostile messages: each row of the [`table`] against
//! the parser, and our answer.
//!
//! A class whose point lies above the parser (an extension to refuse, a scheme to reject) is accepted here,
//! and the row checks that what the layer above decides by can be read.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

#[path = "table.rs"]
mod table;

use bytes::Bytes;
use table::{Case, Verdict};
use trunkline::sip::build::ResponseBuilder;
use trunkline::sip::message::{Limits, Message};

#[test]
fn every_class_of_rfc_4475_and_rfc_5118_gets_its_verdict() {
    let cases = table::cases();

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

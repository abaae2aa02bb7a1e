//! RFC 4475 §3.1.2, §3.2: wrong, and what the sender is told.

use trunkline::sip::headers::Name;

use super::Verdict::{Accepted, Answered, Dropped};
use super::valid::response;
use super::{Case, invite};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            class: "RFC 4475 §3.1.2.1 separators with nothing between them",
            message: invite(&[("branch=z9hG4bKplain", "branch=z9hG4bKplain;;,;,,"), ("2.77>", "2.77>;;;;")]),
            verdict: Answered(400, "Bad Via: parameter without a name"),
            why: "the grammar has no empty parameters",
        },
        Case {
            class: "RFC 4475 §3.1.2.2 Content-Length larger than the message",
            message: invite(&[("Length: 0", "Length: 9999")]),
            verdict: Answered(400, "Content-Length is 9999, but the body has 0 bytes"),
            why: "the rest of the body was lost, or the length is a lie; a stream would wait for it",
        },
        Case {
            class: "RFC 4475 §3.1.2.3 a negative Content-Length",
            message: invite(&[("Length: 0", "Length: -999")]),
            verdict: Answered(400, "Content-Length is not a number"),
            why: "where the message ends is unknown",
        },
        Case {
            class: "RFC 4475 §3.1.2.4 a request with numbers that are too large",
            message: invite(&[
                ("CSeq: 1 ", "CSeq: 99999999999999999999 "),
                ("Forwards: 70", "Forwards: 300"),
                ("Contact:", "Expires: 10000000000000000\r\nContact:"),
            ]),
            verdict: Answered(400, "Bad CSeq: number above 2147483647"),
            why: "a CSeq that wraps around would pass for another",
        },
        Case {
            class: "RFC 4475 §3.1.2.5 a response with numbers that are too large",
            message: {
                let text = String::from_utf8(response("503 Service Unavailable")).unwrap();
                text.replacen(
                    "CSeq: 1",
                    "Retry-After: 777777777777777777777\r\nCSeq: 88888888888888888888",
                    1,
                )
                .into_bytes()
            },
            verdict: Dropped("Bad CSeq: number above 2147483647"),
            why: "it can't belong to a request of ours",
        },
        Case {
            class: "RFC 4475 §3.1.2.6 a display name whose quote never closes",
            message: invite(&[("To: <", "To: \"Our Callee <")]),
            verdict: Answered(400, "Bad To: quoted string is not closed"),
            why: "where the URI begins would be a guess",
        },
        Case {
            class: "RFC 4475 §3.1.2.7 the Request-URI in angle brackets",
            message: invite(&[("INVITE sip:callee@bridge.example", "INVITE <sip:callee@bridge.example>")]),
            verdict: Answered(400, "Bad Request-URI: URI contains the byte 0x3c"),
            why: "brackets belong to headers only",
        },
        Case {
            class: "RFC 4475 §3.1.2.8 white space within the Request-URI",
            message: invite(&[("example SIP/2.0", "example; lr SIP/2.0")]),
            verdict: Answered(400, "Bad request line: other than one space between its parts"),
            why: "what is URI and what is not would be a guess",
        },
        Case {
            class: "RFC 4475 §3.1.2.9 several spaces between the parts of the request line",
            message: invite(&[("INVITE sip", "INVITE  sip"), ("example SIP/2.0", "example  SIP/2.0")]),
            verdict: Answered(400, "Bad request line: other than one space between its parts"),
            why: "another element might read another URI",
        },
        Case {
            class: "RFC 4475 §3.1.2.10 spaces at the end of the request line",
            message: invite(&[("SIP/2.0\r\n", "SIP/2.0  \r\n")]),
            verdict: Answered(400, "Bad request line: other than one space between its parts"),
            why: "the line ends with the version",
        },
        Case {
            class: "RFC 4475 §3.1.2.11 escaped headers in the Request-URI",
            message: invite(&[("bridge.example SIP", "bridge.example?Route=%3Csip:far.example%3E SIP")]),
            verdict: Accepted(|message| {
                let uri = trunkline::sip::uri::Uri::parse(message.request_uri()).unwrap();
                assert_eq!(uri.headers.as_deref(), Some("Route=%3Csip:far.example%3E"));
                assert_eq!(message.value(Name::Route), None);
            }),
            why: "RFC 4475 allows to ignore them; they never become headers",
        },
        Case {
            class: "RFC 4475 §3.1.2.12 a Date in a zone other than GMT",
            message: invite(&[("Contact:", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nContact:")]),
            verdict: Accepted(|message| {
                assert_eq!(message.value(Name::Date).as_deref(), Some(&b"Fri, 01 Jan 2010 16:00:00 EST"[..]));
            }),
            why: "nothing here depends on Date, so it refuses nothing",
        },
        Case {
            class: "RFC 4475 §3.1.2.13 a Contact with headers but without brackets",
            message: invite(&[(
                "<sip:caller@192.0.2.77>",
                "sip:caller@192.0.2.77?Route=%3Csip:far.example%3E",
            )]),
            verdict: Accepted(|message| {
                let reason = message.contact().unwrap_err().to_string();
                assert_eq!(reason, "Bad Contact: a URI with ? or , needs angle brackets");
            }),
            why: "whoever needs the Contact answers 400; whether ? ends the URI would be a guess",
        },
        Case {
            class: "RFC 4475 §3.1.2.14 spaces within the brackets",
            message: invite(&[("To: <sip:callee@bridge.example>", "To: < sip:callee@bridge.example >")]),
            verdict: Answered(400, "Bad To: URI contains the byte 0x20"),
            why: "an addr-spec has no white space",
        },
        Case {
            class: "RFC 4475 §3.1.2.15 a display name that needs quotes and has none",
            message: invite(&[("From: <", "From: Doe, Jane <")]),
            verdict: Answered(400, "Bad From: display name needs quotes"),
            why: "the comma could as well begin a second value",
        },
        Case {
            class: "RFC 4475 §3.1.2.16 an unknown protocol version",
            message: invite(&[("SIP/2.0\r\n", "SIP/7.0\r\n"), ("Via: SIP/2.0", "Via: SIP/2.0")]),
            verdict: Answered(505, "SIP version is not 2.0"),
            why: "RFC 3261 has a code of its own for it",
        },
        Case {
            class: "RFC 4475 §3.1.2.17 CSeq with another method",
            message: invite(&[("INVITE sip", "OPTIONS sip")]),
            verdict: Answered(400, "CSeq method differs from the request's"),
            why: "the transaction it belongs to would be a guess",
        },
        Case {
            class: "RFC 4475 §3.1.2.18 an unknown method, and CSeq with another",
            message: invite(&[("INVITE sip", "NEWMETHOD sip")]),
            verdict: Answered(400, "CSeq method differs from the request's"),
            why: "400 or 501 are both right; the message is wrong before its method is unknown",
        },
        Case {
            class: "RFC 4475 §3.1.2.19 a status code that overflows",
            message: response("4294967396 OK"),
            verdict: Dropped("Bad status line: bad status code"),
            why: "in 32 bits it would read as 100",
        },
        Case {
            class: "RFC 4475 §3.2.1 a branch that is the magic cookie alone",
            message: invite(&[("branch=z9hG4bKplain", "branch=z9hG4bK")]),
            verdict: Answered(400, "Bad Via: branch has nothing after z9hG4bK"),
            why: "all requests of such a sender would be one transaction",
        },
    ]
}

//! RFC 4475 §3.3, §3.4: right or wrong for what they ask, more than for how they are written.

use trunkline::sip::headers::Name;
use trunkline::sip::message::Method;
use trunkline::sip::uri::{Scheme, Uri};

use super::Verdict::{Accepted, Answered, Dropped};
use super::valid::{invite_with_body, response};
use super::{Case, invite};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            class: "RFC 4475 §3.3.1 mandatory headers missing",
            message: invite(&[("Call-ID: plain@caller.example\r\n", "")]),
            verdict: Answered(400, "Missing Call-ID"),
            why: "a request with a Via and a From can be told what it lacks",
        },
        Case {
            class: "RFC 4475 §3.3.1 so many of them missing that no response could find its way",
            message: b"INVITE sip:callee@bridge.example SIP/2.0\r\nCSeq: 4 INVITE\r\nno header\r\n\r\n"
                .to_vec(),
            verdict: Dropped("Line 3 is not a header"),
            why: "without a Via nobody would recognise the answer",
        },
        Case {
            class: "RFC 4475 §3.3.2 a Request-URI of an unknown scheme",
            message: invite(&[("INVITE sip:callee@bridge.example", "INVITE noSuchScheme:anything")]),
            verdict: Answered(416, "Bad Request-URI: URI scheme nosuchscheme is not sip, sips or tel"),
            why: "RFC 3261 §8.2.2.1",
        },
        Case {
            class: "RFC 4475 §3.3.3 a Request-URI of a known scheme that is not for calling",
            message: invite(&[("INVITE sip:callee@bridge.example", "INVITE ldap.tls://192.0.2.103:389")]),
            verdict: Answered(416, "Bad Request-URI: URI scheme ldap.tls is not sip, sips or tel"),
            why: "the same: we could not reach it",
        },
        Case {
            class: "RFC 4475 §3.3.4 unknown schemes in headers",
            message: invite(&[
                ("From: <sip:caller@caller.example>", "From: <https://caller.example>"),
                ("To: <sip:callee@bridge.example>", "To: <urn:isbn:9780000000002>"),
                ("<sip:caller@192.0.2.77>", "<nick:caller>"),
            ]),
            verdict: Accepted(|message| {
                let reason = message.to().unwrap_err().to_string();
                assert_eq!(reason, "Bad To: URI scheme urn is not sip, sips or tel");
                assert_eq!(message.from_tag(), Some(&b"one"[..]));
            }),
            why: "an OPTIONS can be answered without reading them; a call that needs one gets its error",
        },
        Case {
            class: "RFC 4475 §3.3.5 extensions required of us and of proxies",
            message: invite(&[(
                "Contact:",
                "Require: unknownToUs, unheardOf\r\n\
                 Proxy-Require: unknownToProxies, unheardOf\r\nContact:",
            )]),
            verdict: Accepted(|message| {
                let required: Vec<_> = message.elements(Name::Require).collect();
                assert_eq!(required, [&b"unknownToUs"[..], b"unheardOf"]);
                assert!(message.has_token(Name::ProxyRequire, "unknowntoproxies"));
            }),
            why: "the server answers 420 with both in Unsupported",
        },
        Case {
            class: "RFC 4475 §3.3.6 a body of unknown type",
            message: invite_with_body("Content-Type: application/unheard-of\r\n", b"<none/>\r\n"),
            verdict: Accepted(|message| {
                assert_eq!(message.content_type().as_deref(), Some("application/unheard-of"));
            }),
            why: "the call answers 415 or 488; the message is right",
        },
        Case {
            class: "RFC 4475 §3.3.7 an unknown authorization scheme",
            message: invite(&[("Contact:", "Authorization: Unheard-Of secret=0\r\nContact:")]),
            verdict: Accepted(|message| {
                let value = message.value(Name::Authorization).unwrap();
                assert_eq!(*value, *b"Unheard-Of secret=0");
            }),
            why: "whoever authenticates treats it as no credentials",
        },
        Case {
            class: "RFC 4475 §3.3.8 several values where one may stand",
            message: invite(&[(
                "CSeq: 1 INVITE\r\n",
                "CSeq: 1 INVITE\r\nCSeq: 3 INVITE\r\ni: second@caller.example\r\n",
            )]),
            verdict: Answered(400, "More than one Call-ID"),
            why: "which one counts would differ from element to element",
        },
        Case {
            class: "RFC 4475 §3.3.9 Content-Length with two values",
            message: invite(&[("Length: 0\r\n", "Length: 0\r\nContent-Length: 5\r\n")]),
            verdict: Answered(400, "Content-Length stands twice with different values"),
            why: "whoever takes the other one sees another message behind this one",
        },
        Case {
            class: "RFC 4475 §3.3.10 a 200 with the broadcast address in its second Via",
            message: {
                let text = String::from_utf8(response("200 OK")).unwrap();
                text.replacen("plain\r\n", "plain\r\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKb\r\n", 1)
                    .into_bytes()
            },
            verdict: Accepted(|message| {
                assert_eq!(message.vias().count(), 2);
                assert_eq!(message.vias().last().unwrap().unwrap().host.to_string(), "255.255.255.255");
            }),
            why: "we are no proxy: a response to a request of ours has one Via, and is never sent on",
        },
        Case {
            class: "RFC 4475 §3.3.11 Max-Forwards of zero",
            message: invite(&[("Forwards: 70", "Forwards: 0")]),
            verdict: Accepted(|message| assert_eq!(message.max_forwards(), Ok(Some(0)))),
            why: "the server answers 483, or an OPTIONS itself",
        },
        Case {
            class: "RFC 4475 §3.3.12 a REGISTER whose Contact parameter belongs to the header",
            message: register("sip:caller@192.0.2.77;unknownparam"),
            verdict: Accepted(|message| {
                let contact = message.contact().unwrap().unwrap();
                assert!(contact.uri.params.is_empty());
                assert_eq!(contact.param("unknownparam"), Some(None));
            }),
            why: "without brackets a parameter is the header's",
        },
        Case {
            class: "RFC 4475 §3.3.13 a REGISTER whose Contact parameter belongs to the URI",
            message: register("<sip:caller@192.0.2.77;unknownparam>"),
            verdict: Accepted(|message| {
                let contact = message.contact().unwrap().unwrap();
                assert_eq!(contact.uri.param("unknownparam"), Some(None));
                assert!(contact.params.is_empty());
            }),
            why: "within brackets it is the URI's",
        },
        Case {
            class: "RFC 4475 §3.3.14 a REGISTER with an escaped header in its Contact",
            message: register("<sip:caller@192.0.2.77?Route=%3Csip:far.example%3E>"),
            verdict: Accepted(|message| {
                let uri = message.contact().unwrap().unwrap().uri;
                assert_eq!(uri.headers.as_deref(), Some("Route=%3Csip:far.example%3E"));
            }),
            why: "the header travels within the URI, escaped",
        },
        Case {
            class: "RFC 4475 §3.3.15 an Accept that offers what we don't have",
            message: invite(&[("Contact:", "Accept: text/unheard-of\r\nContact:")]),
            verdict: Accepted(|message| {
                assert_eq!(message.value(Name::Accept).as_deref(), Some(&b"text/unheard-of"[..]));
            }),
            why: "the call answers 406 if it has nothing else to offer",
        },
        Case {
            class: "RFC 4475 §3.4.1 an INVITE of RFC 2543",
            message: b"INVITE sip:callee@bridge.example SIP/2.0\r\n\
                Via: SIP/2.0/UDP gateway.example:5060\r\n\
                To: <sip:callee@bridge.example>\r\n\
                From: <sip:caller@caller.example>\r\n\
                Call-Id: 2543@192.0.2.77\r\n\
                Cseq: 1 INVITE\r\n\
                Contact: sip:caller@192.0.2.77\r\n\
                \r\n\
                v=0\r\n"
                .to_vec(),
            verdict: Accepted(|message| {
                assert_eq!((message.top_branch(), message.from_tag()), (None, None));
                assert_eq!(message.max_forwards(), Ok(None));
                assert_eq!(message.body(), "v=0\r\n");
            }),
            why: "branch, tags, Max-Forwards and (by UDP) Content-Length may be missing",
        },
        Case {
            class: "RFC 3966 beside them: a tel URI is called",
            message: invite(&[("INVITE sip:callee@bridge.example", "INVITE tel:+1-415-555-0100")]),
            verdict: Accepted(|message| {
                let uri = Uri::parse(message.request_uri()).unwrap();
                assert_eq!((uri.scheme, uri.user.as_deref()), (Scheme::Tel, Some("+14155550100")));
                assert_eq!(message.method(), Some(Method::Invite));
            }),
            why: "carriers write it",
        },
    ]
}

fn register(contact: &str) -> Vec<u8> {
    invite(&[
        ("INVITE sip:callee@", "REGISTER sip:"),
        ("1 INVITE", "1 REGISTER"),
        ("<sip:caller@192.0.2.77>", contact),
    ])
}

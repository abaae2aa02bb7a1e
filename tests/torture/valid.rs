//! RFC 4475 §3.1.1: odd, and right.

use trunkline::sip::headers::Name;
use trunkline::sip::message::Method;
use trunkline::sip::uri::Uri;

use super::Verdict::Accepted;
use super::{Case, invite};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            class: "RFC 4475 §3.1.1.1 a short tortuous INVITE",
            message: [
                "INVITE sip:callee@bridge.example;flag SIP/2.0",
                "tO\t:",
                "\tsip:callee@bridge.example ;  tag  =  there",
                "FROM  : \"C. \\\\ \\\" Aller\"     <sip:caller@caller.example>",
                "   ;",
                "   TAG = here",
                "mAX-fORWARDS: 0042",
                "I: folded.1@192.0.2.77",
                "L  : 4",
                "CSEQ: 000012",
                "\tINVITE",
                "V : SIP /",
                " 2.0 / UDP",
                "   192.0.2.77;branch=2543style",
                "S :",
                "X-New: one",
                "    two\t ",
                " three",
                "X-Odd: ,;;,=;,,",
                "C: text/plain",
                "route:",
                " <sip:p1.bridge.example;lr;a=b;c>",
                "via:SIP/2.0  /TCP    hop.example   ;",
                " Branch  =  z9hG4bKtwo  ,",
                "  sip / 2.0/UDP 192.0.2.99 ;branch=",
                " z9hG4bKthree",
                "M:\"\\\"a\\\", b\" <sip:caller@192.0.2.77> ; new =",
                "   value ;",
                "  flag ; q = 0.5",
                "",
                "body",
            ]
            .join("\r\n")
            .into_bytes(),
            verdict: Accepted(|message| {
                assert_eq!((message.to_tag(), message.from_tag()), (Some(&b"there"[..]), Some(&b"here"[..])));
                assert_eq!(message.from().unwrap().display.as_deref(), Some("C. \\ \" Aller"));
                assert_eq!(message.max_forwards(), Ok(Some(42)));
                assert_eq!(message.cseq().unwrap().to_string(), "12 INVITE");
                let branches: Vec<_> = message.vias().map(|via| via.unwrap().branch.unwrap()).collect();
                assert_eq!(branches, ["2543style", "z9hG4bKtwo", "z9hG4bKthree"]);
                assert_eq!(message.top_branch(), Some(&b"2543style"[..]));
                assert_eq!(message.value_named("x-new").as_deref(), Some(&b"one two three"[..]));
                assert_eq!(message.value(Name::Subject).as_deref(), Some(&b""[..]));
                let contact = message.contact().unwrap().unwrap();
                assert_eq!(contact.param("new"), Some(Some("value")));
                assert_eq!(contact.display.as_deref(), Some("\"a\", b"));
                assert_eq!(message.body(), "body");
            }),
            why: "folding, compact names, empty values and white space around separators are all in the \
                  grammar",
        },
        Case {
            class: "RFC 4475 §3.1.1.2 every character that is allowed somewhere",
            message: [
                &b"a.!%*_+`'~-Z9 sip:u-_.!~*'()&=+$,;?/9:p&=+$,-_.!~*'()@bridge.example SIP/2.0\r\n"[..],
                b"Via: SIP/2.0/UDP caller.example;branch=z9hG4bK.!%*_+`'~-Z9\r\n",
                b"To: \"bell \\\x07, nul \\\x00, del \\\x7f\" <sip:u-_.!~*'()&=+$,;?/9@bridge.example>\r\n",
                b"From: t.! %*_+ `'~-9 \
                  <sip:caller@caller.example>;p.!%*_+`'~-=\"\xce\xb1\xce\xb2\";tag=.!%*_+`'~-t\r\n",
                b"Call-ID: w-.!%*_+`'~()<>:\\\"/[]?{}@w-.!%*_+`'~()<>:\\\"/[]?{}\r\n",
                b"CSeq: 2147483647 a.!%*_+`'~-Z9\r\n",
                b"Max-Forwards: 255\r\n",
                b"x.!%*_+`'~-:\xef\xbb\xbf\xe4\xb8\xad\xfe\r\n",
                b"Content-Length: 0\r\n\r\n",
            ]
            .concat(),
            verdict: Accepted(|message| {
                assert_eq!(message.method(), Some(Method::Other(b"a.!%*_+`'~-Z9")));
                let uri = Uri::parse(message.request_uri()).unwrap();
                assert_eq!(uri.user.as_deref(), Some("u-_.!~*'()&=+$,;?/9"));
                assert_eq!(uri.password.as_deref(), Some("p&=+$,-_.!~*'()"));
                assert_eq!(uri.to_string().as_bytes(), message.request_uri());
                assert_eq!(message.to().unwrap().display.as_deref(), Some("bell \x07, nul \0, del \x7f"));
                assert_eq!(message.from_tag(), Some(&b".!%*_+`'~-t"[..]));
                let from = message.from().unwrap();
                assert_eq!(from.display.as_deref(), Some("t.! %*_+ `'~-9"));
                assert_eq!(from.param("p.!%*_+`'~-"), Some(Some("αβ")));
                assert_eq!(
                    message.value_named("X.!%*_+`'~-").as_deref(),
                    Some(&b"\xef\xbb\xbf\xe4\xb8\xad\xfe"[..])
                );
            }),
            why: "tokens, words, escapes in quoted strings and raw bytes are kept as they came",
        },
        Case {
            class: "RFC 4475 §3.1.1.3 escapes that are escapes",
            message: invite(&[
                ("INVITE sip:callee@", "INVITE sip:a%3Ab%40far.example@"),
                ("To: <sip:callee@", "To: <sip:c%61lle%65@"),
                ("<sip:caller@192.0.2.77>", "<sip:c%61ller@192.0.2.77;l%72;k%65y=%76%25%34%31>"),
            ]),
            verdict: Accepted(|message| {
                let uri = Uri::parse(message.request_uri()).unwrap();
                assert_eq!(uri.user.as_deref(), Some("a:b@far.example"));
                assert_eq!(uri.to_string().as_bytes(), message.request_uri());
                assert_eq!(message.to().unwrap().uri.user.as_deref(), Some("callee"));
                let contact = message.contact().unwrap().unwrap().uri;
                assert!(contact.is_loose_router());
                assert_eq!(contact.param("key"), Some(Some("v%2541")));
            }),
            why: "the user is unescaped once, and only once: %25%34%31 is %41, not A",
        },
        Case {
            class: "RFC 4475 §3.1.1.4 escaped NULs in URIs",
            message: invite(&[
                ("To: <sip:callee@", "To: <sip:before%00after@"),
                ("<sip:caller@192", "<sip:%00@192"),
            ]),
            verdict: Accepted(|message| {
                assert_eq!(message.to().unwrap().uri.user.as_deref(), Some("before\0after"));
                assert_eq!(message.contact().unwrap().unwrap().uri.to_string(), "sip:%00@192.0.2.77");
            }),
            why: "a NUL ends nothing here, and goes out escaped again",
        },
        Case {
            class: "RFC 4475 §3.1.1.5 percent signs that are no escapes",
            message: invite(&[
                ("INVITE sip", "%42Y%45 sip"),
                ("1 INVITE", "1 %42Y%45"),
                ("From: <", "From: \"%Q%41\" <"),
                ("0.2.77>", "0.2.77>;note=\"%E9\""),
            ]),
            verdict: Accepted(|message| {
                assert_eq!(message.method(), Some(Method::Other(b"%42Y%45")));
                assert_eq!(message.from().unwrap().display.as_deref(), Some("%Q%41"));
                assert_eq!(message.contact().unwrap().unwrap().param("note"), Some(Some("%E9")));
            }),
            why: "only URIs have escapes; %42Y%45 is not BYE",
        },
        Case {
            class: "RFC 4475 §3.1.1.6 no space between display name and bracket",
            message: invite(&[("From: <", "From: caller<"), ("To: <", "To:\"callee\"<")]),
            verdict: Accepted(|message| {
                assert_eq!(message.from().unwrap().display.as_deref(), Some("caller"));
                assert_eq!(message.to().unwrap().display.as_deref(), Some("callee"));
            }),
            why: "RFC 3261 lets the white space be left out",
        },
        Case {
            class: "RFC 4475 §3.1.1.7 long values",
            message: long_values(),
            verdict: Accepted(|message| {
                assert_eq!(message.call_id().unwrap().len(), 3_000);
                assert_eq!(message.vias().count(), 35);
                assert_eq!(message.from().unwrap().tag().unwrap().len(), 1_000);
                assert_eq!(message.to().unwrap().display.unwrap().len(), 2_000);
            }),
            why: "within our limits (8 KiB a line, 64 KiB a message) long is not wrong",
        },
        Case {
            class: "RFC 4475 §3.1.1.8 bytes behind the end of a datagram's message",
            message: [invite(&[]), invite(&[("plain@", "second@")])].concat(),
            verdict: Accepted(|message| {
                assert_eq!(message.call_id(), Ok(&b"plain@caller.example"[..]));
                assert!(message.body().is_empty() && message.raw().ends_with(b"\r\n\r\n"));
                assert_eq!(memchr::memmem::find(message.raw(), b"second@"), None);
            }),
            why: "a datagram holds one message; the rest is dropped (RFC 3261 §18.3)",
        },
        Case {
            class: "RFC 4475 §3.1.1.9 semicolons in the user part",
            message: invite(&[("INVITE sip:callee@", "INVITE sip:callee;par=u%40far.example@")]),
            verdict: Accepted(|message| {
                let uri = Uri::parse(message.request_uri()).unwrap();
                assert_eq!(uri.user.as_deref(), Some("callee;par=u@far.example"));
                assert_eq!(uri.host.to_string(), "bridge.example");
                assert!(uri.params.is_empty());
            }),
            why: "before the @ a semicolon is part of the user",
        },
        Case {
            class: "RFC 4475 §3.1.1.10 known and unknown transports in Via",
            message: invite(&[(
                "plain\r\n",
                "plain\r\nVia: SIP/2.0/SCTP h;branch=z9hG4bKs, SIP/2.0/TLS h;branch=z9hG4bKt\r\n\
                 Via: SIP/2.0/UNKNOWN h;branch=z9hG4bKu\r\n",
            )]),
            verdict: Accepted(|message| {
                let transports: Vec<_> = message.vias().map(|via| via.unwrap().transport).collect();
                assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN"]);
            }),
            why: "only the hop that wrote a Via must understand its transport",
        },
        Case {
            class: "RFC 4475 §3.1.1.11 multipart body with bytes that are no text",
            message: invite_with_body(
                "Content-Type: Multipart/Mixed;boundary=7a9\r\n",
                b"--7a9\r\nContent-Type: text/plain\r\n\r\nhi\r\n--7a9\r\n\r\n\x00\xff\r\n\r\n\
                  \x80--7a9--\r\n",
            ),
            verdict: Accepted(|message| {
                assert_eq!(message.content_type().as_deref(), Some("multipart/mixed"));
                assert!(message.body().ends_with(b"\x80--7a9--\r\n"));
            }),
            why: "the body is bytes, whatever it holds",
        },
        Case {
            class: "RFC 4475 §3.1.1.12 an unusual reason phrase",
            message: response(
                "200 (1 + 1) * 100 = \u{3b4}\u{3b9}\u{3b1}\u{3ba}\u{3cc}\u{3c3}\u{3b9}\u{3b1}?",
            ),
            verdict: Accepted(|message| {
                assert_eq!(message.status(), Some(200));
                assert!(message.reason().starts_with(b"(1 + 1) * 100 = \xce"));
            }),
            why: "the phrase is for people and may be any text",
        },
        Case {
            class: "RFC 4475 §3.1.1.13 an empty reason phrase",
            message: response("100 "),
            verdict: Accepted(|message| {
                assert_eq!((message.status(), message.reason()), (Some(100), &b""[..]))
            }),
            why: "the phrase may be empty; RFC 3261 wants the space before it",
        },
    ]
}

pub(crate) fn response(status: &str) -> Vec<u8> {
    let plain = String::from_utf8(invite(&[])).unwrap();
    plain.replacen("INVITE sip:callee@bridge.example SIP/2.0", &format!("SIP/2.0 {status}"), 1).into_bytes()
}

pub(crate) fn invite_with_body(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("{headers}Content-Length: {}\r\n", body.len());
    [invite(&[("Content-Length: 0\r\n", &length)]), body.to_vec()].concat()
}

fn long_values() -> Vec<u8> {
    let vias: String =
        (0..34).map(|hop| format!("v: SIP/2.0/TCP hop{hop}.example;branch=z9hG4bK{hop}\r\n")).collect();
    invite(&[
        ("plain@caller.example", &"c".repeat(3_000)),
        ("tag=one", &format!("tag={}", "t".repeat(1_000))),
        ("To: <", &format!("To: \"{}\" <", "d".repeat(2_000))),
        ("Max-Forwards", &format!("{vias}Max-Forwards")),
    ])
}

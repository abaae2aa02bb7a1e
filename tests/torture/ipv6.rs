//! RFC 5118 §4: IPv6 addresses where SIP writes them.

use std::net::IpAddr;

use trunkline::sip::uri::Uri;

use super::Verdict::{Accepted, Answered};
use super::valid::invite_with_body;
use super::{Case, invite};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            class: "RFC 5118 §4.1 an IPv6 reference in the Request-URI",
            message: invite(&[("sip:callee@bridge.example SIP", "sip:[2001:db8::10] SIP")]),
            verdict: Accepted(|message| assert_eq!(host(message.request_uri()), (ip("2001:db8::10"), None))),
            why: "in brackets, as it must be",
        },
        Case {
            class: "RFC 5118 §4.2 an IPv6 address without brackets in the Request-URI",
            message: invite(&[("sip:callee@bridge.example SIP", "sip:2001:db8::10 SIP")]),
            verdict: Answered(400, "Bad Request-URI: URI has a bad host"),
            why: "where the address ends and the port begins would be a guess",
        },
        Case {
            class: "RFC 5118 §4.3 a port that was meant but stands within the brackets",
            message: invite(&[("sip:callee@bridge.example SIP", "sip:[2001:db8::10:5070] SIP")]),
            verdict: Accepted(|message| {
                assert_eq!(host(message.request_uri()), (ip("2001:db8::10:5070"), None))
            }),
            why: "it is an address, and nobody can know that a port was meant",
        },
        Case {
            class: "RFC 5118 §4.4 a port behind the brackets",
            message: invite(&[("sip:callee@bridge.example SIP", "sip:[2001:db8::10]:5070 SIP")]),
            verdict: Accepted(|message| {
                assert_eq!(host(message.request_uri()), (ip("2001:db8::10"), Some(5070)))
            }),
            why: "there it is one",
        },
        Case {
            class: "RFC 5118 §4.5 received with brackets",
            message: via("[2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111"),
            verdict: Accepted(|message| {
                assert_eq!(message.top_via().unwrap().received, Some(ip("2001:db8::9:255")))
            }),
            why: "RFC 3261 has no brackets here, implementations do",
        },
        Case {
            class: "RFC 5118 §4.5 received without brackets",
            message: via("[2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3"),
            verdict: Accepted(|message| {
                assert_eq!(message.top_via().unwrap().received, Some(ip("2001:db8::9:255")))
            }),
            why: "no port can follow, so both are clear",
        },
        Case {
            class: "RFC 5118 §4.6 IPv6 addresses in the session description",
            message: invite_with_body(
                "Content-Type: application/sdp\r\n",
                b"v=0\r\no=- 1 1 IN IP6 2001:db8::20\r\ns=-\r\nc=IN IP6 2001:db8::20\r\nt=0 0\r\n\
                  m=audio 6000 RTP/AVP 0\r\n",
            ),
            verdict: Accepted(|message| assert!(message.body().starts_with(b"v=0"))),
            why: "to the message a body is bytes; the session is read elsewhere",
        },
        Case {
            class: "RFC 5118 §4.7 IPv4 and IPv6 addresses in one message's headers",
            message: invite(&[
                ("plain\r\n", "plain\r\nVia: SIP/2.0/TCP [2001:db8::9:1]:6050;branch=z9hG4bKtwo\r\n"),
                ("<sip:caller@192.0.2.77>", "<sip:caller@[2001:db8::9:1]>"),
                ("Call-ID: plain@caller.example", "Call-ID: plain@[2001:db8::9:1]"),
            ]),
            verdict: Accepted(|message| {
                assert_eq!(message.vias().last().unwrap().unwrap().port, Some(6050));
                assert_eq!(message.contact().unwrap().unwrap().uri.host.ip(), Some(ip("2001:db8::9:1")));
                assert_eq!(message.call_id(), Ok(&b"plain@[2001:db8::9:1]"[..]));
            }),
            why: "each hop has an address family of its own",
        },
        Case {
            class: "RFC 5118 §4.8 both families in the session description",
            message: invite_with_body(
                "Content-Type: application/sdp\r\n",
                b"v=0\r\no=- 1 1 IN IP6 2001:db8::20\r\ns=-\r\nt=0 0\r\n\
                  m=audio 6000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\nm=video 6024 RTP/AVP 107\r\n\
                  c=IN IP4 192.0.2.1\r\n",
            ),
            verdict: Accepted(|message| assert!(message.body().ends_with(b"IN IP4 192.0.2.1\r\n"))),
            why: "as in §4.6",
        },
        Case {
            class: "RFC 5118 §4.9 an IPv4-mapped IPv6 address",
            message: invite(&[("<sip:caller@192.0.2.77>", "<sip:caller@[::ffff:192.0.2.10]:19823>")]),
            verdict: Accepted(|message| {
                let uri = message.contact().unwrap().unwrap().uri;
                assert_eq!((uri.host.ip(), uri.port), (Some(ip("::ffff:192.0.2.10")), Some(19_823)));
                assert_eq!(uri.to_string(), "sip:caller@[::ffff:192.0.2.10]:19823");
            }),
            why: "it is an IPv6 address like any other, and goes out as it came",
        },
        Case {
            class: "RFC 5118 §4.10 the three colons that RFC 3261's grammar asks for",
            message: invite(&[("sip:callee@bridge.example SIP", "sip:callee@[2001:db8:::192.0.2.1] SIP")]),
            verdict: Accepted(|message| {
                assert_eq!(host(message.request_uri()), (ip("2001:db8::192.0.2.1"), None))
            }),
            why: "the extra colon can mean nothing else; we write two (RFC 5954)",
        },
    ]
}

fn via(sent_by: &str) -> Vec<u8> {
    invite(&[("caller.example;branch=z9hG4bKplain", sent_by)])
}

fn host(uri: &[u8]) -> (IpAddr, Option<u16>) {
    let uri = Uri::parse(uri).unwrap();
    (uri.host.ip().unwrap(), uri.port)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

//! Whatever we build, rsip reads as we meant it, but for its own listed faults.
//!
//! rsip is the user's own SIP library and shares no code with ours, so each catches the other's mistakes.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

#[path = "support/reread.rs"]
mod reread;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bytes::Bytes;
use trunkline::sip::build::{RequestBuilder, ResponseBuilder, ack_for_failure, cancel, cancel_with_reason};
use trunkline::sip::flow::Transport;
use trunkline::sip::headers::{Name, NameAddr};
use trunkline::sip::message::{Limits, Message, Method};
use trunkline::sip::uri::Uri;

use reread::{FAULTS, reread};

#[test]
fn rsip_reads_every_plain_message_we_build_as_we_do() {
    for (name, bytes) in plain() {
        assert_eq!(reread(&bytes), (vec![], vec![]), "{name}");
    }
}

#[test]
fn where_rsip_differs_it_is_one_of_its_known_faults() {
    for (name, bytes) in odd() {
        let (unexplained, _) = reread(&bytes);
        assert_eq!(unexplained, [], "{name}");
    }
}

#[test]
fn every_listed_fault_of_rsip_is_still_one() {
    let seen: BTreeSet<_> = odd().into_iter().flat_map(|(_, bytes)| reread(&bytes).1).collect();

    for fault in FAULTS {
        assert!(seen.contains(fault.name), "{}: {} is no longer true", fault.name, fault.why);
    }
}

#[test]
fn a_difference_that_is_no_fault_of_rsips_is_found() {
    let bytes = Bytes::from_static(b"BYE sip:h.example SIP/2.0\r\nCSeq: 1 BYE\r\nCSeq : 2 BYE\r\n\r\n");

    assert!(!reread(&bytes).0.is_empty());
}

/// The shapes that calls are made of.
fn plain() -> Vec<(&'static str, Bytes)> {
    let invite =
        read(&invite("\"Doe\"", "sip:+14155550101@192.0.2.9", "sip:+14155550100@carrier.example;user=phone"));
    // rsip throws phrases away and has its own; these messages are about everything else.
    let busy = respond(&invite, 486, "BusyHere");
    vec![
        ("INVITE", invite.raw().clone()),
        ("486", busy.clone()),
        ("200 with a body", answer(&invite)),
        ("100", respond(&invite, 100, "Trying")),
        ("180", respond(&invite, 180, "Ringing")),
        ("ACK to a failure", ack_for_failure(&invite, &read(&busy))),
        ("CANCEL", cancel(&invite)),
        (
            "CANCEL with a reason",
            cancel_with_reason(&invite, Some("SIP;cause=200;text=\"Call completed elsewhere\"")),
        ),
        ("BYE by TCP", bye(Transport::Tcp)),
        ("BYE by UDP", bye(Transport::Udp)),
        ("REFER", refer("<sip:caller@192.0.2.9>;tag=a1;x=1")),
    ]
}

/// The shapes that run into rsip's faults.
fn odd() -> Vec<(&'static str, Bytes)> {
    let from = "sip:+14155550101@192.0.2.9";
    let to = "sip:+14155550100@carrier.example";
    vec![
        ("a dot in the user", invite("\"Doe\"", "sip:john.doe@192.0.2.9", to)),
        ("a tel URI", invite("\"Doe\"", from, "tel:+14155550100")),
        ("an IPv6 host", invite("\"Doe\"", "sip:+14155550101@[2001:db8::9]:5070", to)),
        ("a display name with quotes", invite("\"J \\\"R\\\" Doe, Inc.\"", from, to)),
        ("a display name with a bracket", invite("\"Doe <j>\"", from, to)),
        ("escapes in the user", invite("\"Doe\"", "sip:a%40b%3Bc@192.0.2.9", to)),
        ("user parameters", invite("\"Doe\"", "sip:+14155550101;npdi;rn=+14155550199@192.0.2.9", to)),
        ("a quoted parameter", refer("<sip:caller@192.0.2.9>;tag=a1;x=\"1;2\"")),
        ("the standard phrase", respond(&read(&invite("\"Doe\"", from, to)), 486, "")),
        (
            "a method of one's own",
            RequestBuilder::new(Method::Other(b"PING"), &to).no_body().with_via(
                Transport::Tcp,
                "h.example",
                "z9hG4bKx",
            ),
        ),
        (
            "bytes that are no text",
            RequestBuilder::new(Method::Info, &to).header_raw(b"X-Note", b"caf\xe9").no_body().with_via(
                Transport::Tcp,
                "h.example",
                "z9hG4bKx",
            ),
        ),
    ]
}

fn invite(display: &str, from: &str, to: &str) -> Bytes {
    let to = Uri::parse(to.as_bytes()).unwrap();
    let from = NameAddr::parse(format!("{display} <{from}>;tag=a1").as_bytes()).unwrap();
    let from = if display == "\"Doe\"" { NameAddr { display: None, ..from } } else { from };
    RequestBuilder::new(Method::Invite, &to)
        .header(Name::MaxForwards, 69)
        .header(Name::Route, "<sip:p1.example;lr>")
        .header(Name::From, &from)
        .header(Name::To, NameAddr::new(to.clone()))
        .header(Name::CallId, "0f3a9c")
        .header(Name::CSeq, "1 INVITE")
        .header(Name::Contact, NameAddr::new(Uri::parse(b"sip:192.0.2.9:5060;transport=tcp").unwrap()))
        .header(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS")
        .header_raw(b"X-Customer-Id", b"42; tier=gold, \"quoted\"")
        .header(Name::UserToUser, "56a390f3d2b7310023;encoding=hex")
        .body("application/sdp", b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n")
        .with_via(Transport::Udp, "192.0.2.9:5060", "z9hG4bK0100")
}

fn answer(invite: &Message) -> Bytes {
    ResponseBuilder::new(invite, 200, "OK", Some("b2"), source())
        .header(Name::Contact, "<sip:192.0.2.9:5060>")
        .body("application/sdp", b"v=0\r\n")
}

fn respond(request: &Message, code: u16, reason: &str) -> Bytes {
    ResponseBuilder::new(request, code, reason, Some("b2"), source()).no_body()
}

fn bye(transport: Transport) -> Bytes {
    RequestBuilder::new(Method::Bye, &"sip:callee@192.0.2.77:5061;transport=tcp")
        .header(Name::MaxForwards, 70)
        .header(Name::From, "<sip:caller@192.0.2.9>;tag=a1")
        .header(Name::To, "<sip:callee@carrier.example>;tag=b2")
        .header(Name::CallId, "0f3a9c@192.0.2.9")
        .header(Name::CSeq, "2147483647 BYE")
        .header(Name::Reason, "Q.850;cause=16")
        .no_body()
        .with_via(transport, "bridge.example:5060", "z9hG4bK0101")
}

fn refer(from: &str) -> Bytes {
    RequestBuilder::new(Method::Refer, &"sip:192.0.2.77")
        .header(Name::MaxForwards, 70)
        .header(Name::From, from)
        .header(Name::To, "<sip:callee@carrier.example>;tag=b2")
        .header(Name::CallId, "0f3a9c")
        .header(Name::CSeq, "3 REFER")
        .header(Name::ReferTo, "<sip:+14155550102@carrier.example?Replaces=1%40h%3Bto-tag%3D2>")
        .no_body()
        .with_via(Transport::Tcp, "192.0.2.9", "z9hG4bK0102")
}

fn read(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone(), &Limits::default()).unwrap()
}

fn source() -> SocketAddr {
    "198.51.100.7:1024".parse().unwrap()
}

//! A request outside any dialog that a test writes by hand, part by part.

use std::fmt;
use std::net::SocketAddr;

use super::BRIDGE;
use super::text::{NO_BODY, SDP, header, with_body};

/// An INVITE to begin with; change what the test is about.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) here: SocketAddr,
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    /// Without `z9hG4bK`.
    pub(crate) branch: String,
    pub(crate) to: String,
    pub(crate) from_tag: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    /// Further header lines.
    pub(crate) headers: String,
    pub(crate) max_forwards: String,
    pub(crate) sdp: String,
}

impl Request {
    pub(crate) fn invite(here: &str) -> Self {
        let here: SocketAddr = here.parse().expect("an address of the test");
        let uri = format!("sip:+14155550100@{BRIDGE}");
        Self {
            here,
            method: "INVITE",
            to: format!("<{uri}>"),
            uri,
            branch: "hand1".into(),
            from_tag: "byhand".into(),
            call_id: format!("byhand@{}", here.ip()),
            cseq: 1,
            headers: String::new(),
            max_forwards: "70".into(),
            sdp: SDP.into(),
        }
    }

    /// Another method, without a body.
    pub(crate) fn of_method(self, method: &'static str) -> Self {
        Self { method, sdp: String::new(), ..self }
    }

    pub(crate) fn with_headers(self, headers: &str) -> Self {
        Self { headers: headers.into(), ..self }
    }

    /// As it goes again after a challenge: the next CSeq, a new branch, and `headers`.
    pub(crate) fn again(&self, headers: &str) -> Self {
        let cseq = self.cseq + 1;
        Self { cseq, branch: format!("{}-{cseq}", self.branch), headers: headers.into(), ..self.clone() }
    }

    /// The ACK to `refusal`.
    pub(crate) fn ack(&self, refusal: &str) -> String {
        let to = header(refusal, "To").unwrap_or(&self.to).to_owned();
        let rest = Self { method: "ACK", to, headers: String::new(), sdp: String::new(), ..self.clone() };
        rest.to_string()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { here, method, uri, branch, to, from_tag, call_id, cseq, headers, max_forwards, sdp } =
            self;
        let rest = if sdp.is_empty() { format!("{headers}{NO_BODY}") } else { with_body(headers, sdp) };
        write!(
            f,
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch}\r\n\
             Max-Forwards: {max_forwards}\r\n\
             From: <sip:+14155550123@{here}>;tag={from_tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:hand@{here}>\r\n{rest}"
        )
    }
}

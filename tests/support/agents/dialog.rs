//! One side of a dialog, for requests that a test writes by hand.

use std::net::SocketAddr;

use super::text::{NO_BODY, header, uri_in};

/// Whoever called or was called, and what its requests need.
#[derive(Clone, Debug)]
pub(crate) struct DialogSide {
    pub(crate) here: SocketAddr,
    pub(crate) call_id: String,
    /// Its From, tag included.
    pub(crate) local: String,
    /// Its To, tag included.
    pub(crate) remote: String,
    /// Its Request-URI.
    pub(crate) target: String,
    /// Of its last request.
    pub(crate) cseq: u32,
    /// How many requests it wrote: makes their branches.
    written: u32,
}

impl DialogSide {
    /// The side that sent `invite` and got `response`, which has a To-tag.
    pub(crate) fn of_caller(here: SocketAddr, invite: &str, response: &str) -> Self {
        let target = header(response, "Contact").map_or("sip:nobody@invalid", uri_in);
        Self::new(here, response, ("From", "To"), target, cseq_of(invite))
    }

    /// The side that got `invite` and answered with `response`.
    pub(crate) fn of_callee(here: SocketAddr, invite: &str, response: &str) -> Self {
        let target = header(invite, "Contact").map_or("sip:nobody@invalid", uri_in);
        Self::new(here, response, ("To", "From"), target, 0)
    }

    fn new(here: SocketAddr, response: &str, (local, remote): (&str, &str), target: &str, cseq: u32) -> Self {
        let value = |name| header(response, name).unwrap_or_default().to_owned();
        Self {
            here,
            call_id: value("Call-ID"),
            local: value(local),
            remote: value(remote),
            target: target.to_owned(),
            cseq,
            written: 0,
        }
    }

    /// The next request, ended by `rest`: further header lines, the empty line and the body.
    pub(crate) fn request(&mut self, method: &str, rest: &str) -> String {
        self.cseq += 1;
        self.numbered(method, self.cseq, rest)
    }

    /// The ACK to the 2xx of its last INVITE.
    pub(crate) fn ack(&mut self) -> String {
        self.numbered("ACK", self.cseq, NO_BODY)
    }

    /// A request with a CSeq of the test's choice.
    pub(crate) fn numbered(&mut self, method: &str, cseq: u32, rest: &str) -> String {
        self.written += 1;
        let Self { here, call_id, local, remote, target, written, .. } = self;
        let name = call_id.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKh{name}-{written}\r\n\
             Max-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:hand@{here}>\r\n{rest}"
        )
    }
}

fn cseq_of(text: &str) -> u32 {
    let number = header(text, "CSeq").and_then(|cseq| cseq.split(' ').next()?.parse().ok());
    number.unwrap_or_default()
}

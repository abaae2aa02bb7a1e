//! The two requests that belong to an INVITE's own transaction: ACK to a failure (RFC 3261
//! §17.1.1.3) and CANCEL (§9.1).
//!
//! Both repeat the INVITE's topmost Via with its branch, and its Request-URI and Route byte for
//! byte: they must take its way.

use bytes::Bytes;

use super::writer::Writer;
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// ACK for a non-2xx final response: `invite` is our INVITE as sent. To is the response's, with its tag.
#[must_use]
pub fn ack_for_failure(invite: &Message, response: &Message) -> Bytes {
    let to = response.value(Name::To).or_else(|| invite.value(Name::To));
    follow_up("ACK", invite, &to.unwrap_or_default(), None)
}

/// CANCEL for our INVITE as sent.
#[must_use]
pub fn cancel(invite: &Message) -> Bytes {
    cancel_with_reason(invite, None)
}

/// CANCEL for our INVITE as sent, with the value of a Reason header (RFC 3326).
#[must_use]
pub fn cancel_with_reason(invite: &Message, reason: Option<&str>) -> Bytes {
    follow_up("CANCEL", invite, &invite.value(Name::To).unwrap_or_default(), reason)
}

fn follow_up(method: &str, invite: &Message, to: &[u8], reason: Option<&str>) -> Bytes {
    let mut writer = Writer::new();
    writer.raw(method);
    writer.raw(" ");
    writer.value(invite.request_uri());
    writer.raw(" SIP/2.0\r\n");
    if let Some(via) = invite.elements(Name::Via).next() {
        writer.header_bytes(Name::Via, &via);
    }
    writer.header(Name::MaxForwards, 70);
    for route in invite.values(Name::Route) {
        writer.header_bytes(Name::Route, &route);
    }
    writer.header_bytes(Name::From, &invite.value(Name::From).unwrap_or_default());
    writer.header_bytes(Name::To, to);
    writer.header_bytes(Name::CallId, &invite.value(Name::CallId).unwrap_or_default());
    if let Ok(cseq) = invite.cseq() {
        writer.header(Name::CSeq, format_args!("{} {method}", cseq.number));
    }
    if let Some(reason) = reason {
        writer.header(Name::Reason, reason);
    }
    writer.finish(None, b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Limits;

    #[test]
    fn an_ack_to_a_failure_takes_the_invites_way_and_the_responses_tag() {
        let response = parse("SIP/2.0 486 Busy\r\nTo: <sip:k@h.example>;tag=b2\r\nCSeq: 7 INVITE\r\n\r\n");

        assert_eq!(
            ack_for_failure(&invite(), &response),
            "ACK sip:k@h.example;x=Y SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bKone\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:p1.example;lr>\r\n\
             Route: <sip:p2.example;lr>\r\n\
             From: <sip:j@h.example>;tag=a1\r\n\
             To: <sip:k@h.example>;tag=b2\r\n\
             Call-ID: 1@h.example\r\n\
             CSeq: 7 ACK\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_cancel_has_the_invites_branch_and_no_tag() {
        let cancel =
            parse(std::str::from_utf8(&cancel_with_reason(&invite(), Some("SIP;cause=200"))).unwrap());

        assert_eq!(cancel.validate(), Ok(()));
        assert_eq!(cancel.top_branch(), invite().top_branch());
        assert_eq!((cancel.request_uri(), cancel.to_tag()), (&b"sip:k@h.example;x=Y"[..], None));
        assert_eq!(cancel.cseq().unwrap().to_string(), "7 CANCEL");
        assert_eq!(cancel.value(Name::Reason).as_deref(), Some(&b"SIP;cause=200"[..]));
        assert_eq!(cancel.value(Name::ContentType), None);
    }

    fn parse(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    fn invite() -> Message {
        parse(
            "INVITE sip:k@h.example;x=Y SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bKone, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKtwo\r\n\
             Route: <sip:p1.example;lr>\r\n\
             Route: <sip:p2.example;lr>\r\n\
             From: <sip:j@h.example>;tag=a1\r\n\
             To: <sip:k@h.example>\r\n\
             Call-ID: 1@h.example\r\n\
             CSeq: 7 INVITE\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
    }
}

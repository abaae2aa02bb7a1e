//! What every request and response must have before anything is done with it (RFC
//! 3261 §8.1.1, §8.2.2, §16.3).
//!
//! Only what SIP itself needs is looked at: a bad Date or an unknown scheme in Contact must not refuse a
//! request that nobody reads them for (RFC 4475 §3.1.2.12, §3.3.4).

use super::{Message, Method, Start, range};
use crate::sip::headers::{HeaderError, Name, lex};
use crate::sip::uri::{Uri, UriError};

impl Message {
    /// Checks a request or response; the error's text is the reason of the answer,
    /// [`HeaderError::status`] its code.
    ///
    /// Version 2.0; a Request-URI that can be read; Via, From, To, Call-ID, CSeq there and well formed, all
    /// but Via once; CSeq with the request's method; Max-Forwards a number; Content-Type once. From and To
    /// may have a URI scheme that we do not know.
    ///
    /// # Errors
    /// [`HeaderError`]: the first thing that is wrong. A response with an error is dropped
    /// (RFC 3261 §16.7, §18.1.2).
    pub fn validate(&self) -> Result<(), HeaderError> {
        if let Start::Request { is_version_2: false, .. } = self.start {
            return Err(HeaderError::Version);
        }
        for name in ONCE {
            if self.lines_of(name).nth(1).is_some() {
                return Err(HeaderError::Repeated(name.as_str()));
            }
        }
        self.top_via()?;
        self.vias().try_for_each(|via| via.map(drop))?;
        if self.raw_elements(Name::Via).nth(MAX_HOPS).is_some() {
            return Err(HeaderError::Bad { header: "Via", problem: "more of them than a request has hops" });
        }
        readable(self.from())?;
        readable(self.to())?;
        self.call_id()?;
        let cseq = self.cseq()?;
        if self.method().is_some_and(|method| method != cseq.method) {
            return Err(HeaderError::CSeqMethod);
        }
        self.max_forwards()?;
        if self.is_request() {
            Uri::parse(self.request_uri()).map_err(HeaderError::RequestUri)?;
        }
        Ok(())
    }

    /// Whether a response can be built that its sender would recognise.
    pub(super) fn can_be_answered(&self) -> bool {
        let Start::Request { method_end, .. } = self.start else { return false };
        Method::parse(&self.raw[range((0, method_end))]) != Method::Ack
            && self.top_via().is_ok()
            && [Name::From, Name::To].iter().all(|&name| self.raw_value(name).is_some_and(lex::is_closed))
            && self.call_id().is_ok()
            && self.cseq().is_ok()
    }
}

fn readable<T>(address: Result<T, HeaderError>) -> Result<(), HeaderError> {
    match address {
        Ok(_) | Err(HeaderError::Uri { error: UriError::UnknownScheme(_), .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// More than any path has, and few enough to be repeated in a response.
pub(in crate::sip) const MAX_HOPS: usize = 100;

const ONCE: [Name; 6] =
    [Name::From, Name::To, Name::CallId, Name::CSeq, Name::MaxForwards, Name::ContentType];

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Limits;
    use super::*;

    #[test]
    fn a_request_with_all_it_needs_is_valid() {
        assert_eq!(verdict("", ""), Ok(()));
    }

    #[test]
    fn each_fault_is_named() {
        for (replaced, by, reason, status) in [
            ("SIP/2.0\r\nV", "SIP/7.0\r\nV", "SIP version is not 2.0", 505),
            (
                "sip:k@h.example SIP",
                "fax:12 SIP",
                "Bad Request-URI: URI scheme fax is not sip, sips or tel",
                416,
            ),
            (
                "sip:k@h.example SIP",
                "<sip:k@h.example> SIP",
                "Bad Request-URI: URI contains the byte 0x3c",
                400,
            ),
            ("Via", "X", "Missing Via", 400),
            ("From", "X", "Missing From", 400),
            ("To", "X", "Missing To", 400),
            ("Call-ID", "X", "Missing Call-ID", 400),
            ("CSeq", "X", "Missing CSeq", 400),
            ("CSeq: 7 INVITE", "CSeq: 7 BYE", "CSeq method differs from the request's", 400),
            ("CSeq: 7", "CSeq: 2147483648", "Bad CSeq: number above 2147483647", 400),
            ("Max-Forwards: 70", "Max-Forwards: 300", "Bad Max-Forwards: not a number from 0 to 255", 400),
            ("Max-Forwards: 70", "i: 2@h.example", "More than one Call-ID", 400),
            ("Call-ID: 1", "Call-ID: 1 ", "Bad Call-ID: not a word", 400),
            ("<sip:j@", "\"j <sip:j@", "Bad From: quoted string is not closed", 400),
            ("branch=z9hG4bKone", "branch=z9hG4bKone,x", "Bad Via: not SIP/2.0/transport host", 400),
        ] {
            let error = verdict(replaced, by).unwrap_err();

            assert_eq!((error.to_string().as_str(), error.status()), (reason, status));
        }
    }

    #[test]
    fn schemes_we_do_not_know_are_fine_in_from_and_to() {
        assert_eq!(verdict("<sip:j@h.example>", "<isbn:2983792873>"), Ok(()));
    }

    #[test]
    fn more_vias_than_hops_are_refused() {
        let vias = |count| "Via: SIP/2.0/UDP h.example;branch=z9hG4bKx\r\n".repeat(count) + "From";

        assert_eq!(verdict("From", &vias(MAX_HOPS - 1)), Ok(()));
        assert!(verdict("From", &vias(MAX_HOPS)).is_err());
    }

    fn verdict(replaced: &str, by: &str) -> Result<(), HeaderError> {
        let text = "INVITE sip:k@h.example SIP/2.0\r\n\
            Via: SIP/2.0/UDP h.example;branch=z9hG4bKone\r\n\
            From: <sip:j@h.example>;tag=a1\r\n\
            To: <sip:k@h.example>\r\n\
            Max-Forwards: 70\r\n\
            Call-ID: 1@h.example\r\n\
            CSeq: 7 INVITE\r\n\r\n"
            .replacen(replaced, by, 1);
        Message::parse(Bytes::from(text), &Limits::default()).unwrap().validate()
    }
}

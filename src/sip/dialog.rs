//! A dialog (RFC 3261 §12): who talks to whom, in which order, and by which way.
//!
//! The route set is Record-Route as it came for a UAS and reversed for a UAC, and it is echoed byte for byte:
//! proxies keep cookies in it. A strict router at its head (no `lr`) turns request and route set inside out
//! (§12.2.1.1). Peers answer without Contact, or send an INVITE without one; the remote target is then where
//! the INVITE went, or its From.

use super::build::RequestBuilder;
use super::headers::{HeaderError, Name, NameAddr};
use super::message::{Message, Method};
use super::uri::Uri;

pub use super::answer_repeat::{AnswerRepeat, RepeatEvent};

/// One dialog, early or confirmed, in either role.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: String,
    /// From of our requests, with the tag.
    local: Box<str>,
    local_tag: String,
    local_cseq: u32,
    /// To of our requests, with the tag.
    remote: Box<str>,
    remote_tag: String,
    remote_cseq: Option<u32>,
    remote_target: Uri,
    route_set: RouteSet,
    confirmed: bool,
}

/// Where the CSeq of a request inside the dialog stands.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum CSeqOrder {
    /// Above the last one, which it replaces.
    Next,
    /// Not above the last one: out of order or used twice, to be answered with 500.
    Old,
}

impl Dialog {
    /// The dialog of a UAS (§12.1.1), from the INVITE and the tag we put in To.
    ///
    /// # Errors
    ///
    /// Names the header of the INVITE that cannot be used.
    pub fn uas(invite: &Message, local_tag: &str) -> Result<Self, HeaderError> {
        let from = invite.from()?;
        let remote_tag = text(invite.from_tag(), "From")?;
        let remote_target = match invite.contact()? {
            Some(contact) => contact.uri,
            None => from.uri.clone(),
        };
        Ok(Self {
            call_id: text(Some(invite.call_id()?), "Call-ID")?,
            local: tagged(invite.to()?, local_tag),
            local_tag: local_tag.to_owned(),
            local_cseq: 0,
            remote: tagged(from, &remote_tag),
            remote_tag,
            remote_cseq: Some(invite.cseq()?.number),
            remote_target,
            route_set: RouteSet::uas(invite)?,
            confirmed: false,
        })
    }

    /// The dialog of a UAC (§12.1.2), from our INVITE as sent and a 1xx or 2xx. A response of an RFC 2543
    /// peer may have no To-tag; the remote tag is then empty. A Contact that cannot be read counts as none:
    /// whoever answered waits for an ACK, and where the INVITE went it can be had.
    ///
    /// # Errors
    ///
    /// Names the header of either message that cannot be used.
    pub fn uac(invite: &Message, response: &Message) -> Result<Self, HeaderError> {
        let local_tag = text(invite.from_tag(), "From")?;
        let remote_tag = text(response.to_tag(), "To")?;
        let remote_target = match response.contact() {
            Ok(Some(contact)) => contact.uri,
            Ok(None) | Err(_) => Uri::parse(invite.request_uri()).map_err(HeaderError::RequestUri)?,
        };
        Ok(Self {
            call_id: text(Some(invite.call_id()?), "Call-ID")?,
            local: tagged(invite.from()?, &local_tag),
            local_tag,
            local_cseq: invite.cseq()?.number,
            remote: tagged(response.to()?, &remote_tag),
            remote_tag,
            remote_cseq: None,
            remote_target,
            route_set: RouteSet::uac(response)?,
            confirmed: is_success(response),
        })
    }

    /// Our tag.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// The peer's tag, empty if it gave none.
    #[must_use]
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The Contact of the peer.
    #[must_use]
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// What stands in From of a request we send, tag included.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands in To of a request we send, tag included.
    #[must_use]
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The CSeq number of the last request we sent in the dialog; 0 before the first of a UAS.
    #[must_use]
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Where the next request is sent: the first route, be it a loose or a strict
    /// router, else the remote target.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.route_set.first.as_deref().unwrap_or(&self.remote_target)
    }

    /// Whether `request` belongs to this dialog: Call-ID and both tags, compared exactly.
    #[must_use]
    pub fn matches(&self, request: &Message) -> bool {
        request.call_id().is_ok_and(|call_id| call_id == self.call_id.as_bytes())
            && request.to_tag().unwrap_or_default() == self.local_tag.as_bytes()
            && request.from_tag().unwrap_or_default() == self.remote_tag.as_bytes()
    }

    /// Checks the CSeq of a request inside the dialog against the last one (§12.2.2). Not for ACK and CANCEL,
    /// which share their INVITE's; repeated requests never come here, their transaction absorbs them.
    ///
    /// # Errors
    ///
    /// When the request has no usable CSeq.
    pub fn on_request(&mut self, request: &Message) -> Result<CSeqOrder, HeaderError> {
        let number = request.cseq()?.number;
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Ok(CSeqOrder::Old);
        }
        self.remote_cseq = Some(number);
        Ok(CSeqOrder::Next)
    }

    /// Takes over the Contact of a re-INVITE, an UPDATE, or their 2xx, if there is a usable one.
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(Some(contact)) = message.contact() {
            self.remote_target = contact.uri;
        }
    }

    /// Confirms the dialog of a UAC by a 2xx: route set and remote target are taken anew (§13.2.2.4). Later
    /// 2xx change neither; those to a re-INVITE are for [`Self::refresh_target`].
    pub fn confirm(&mut self, response: &Message) {
        if self.confirmed {
            return;
        }
        self.confirmed = true;
        self.refresh_target(response);
        if let Ok(route_set) = RouteSet::uac(response) {
            self.route_set = route_set;
        }
    }

    /// The next request inside the dialog (not an ACK), with Max-Forwards, Route, From, To, Call-ID and the
    /// next CSeq written, in this order.
    #[must_use]
    pub fn request(&mut self, method: Method<'_>) -> RequestBuilder {
        self.local_cseq += 1;
        self.build(method, self.local_cseq)
    }

    /// The ACK to a 2xx of our INVITE with `cseq`, begun as [`Self::request`] begins.
    #[must_use]
    pub fn ack(&self, cseq: u32) -> RequestBuilder {
        self.build(Method::Ack, cseq)
    }

    fn build(&self, method: Method<'_>, cseq: u32) -> RequestBuilder {
        let target = as_request_uri(self.remote_target.clone());
        let request = match &self.route_set.first {
            Some(router) if !router.is_loose_router() => {
                let mut request = RequestBuilder::new(method, &as_request_uri(Uri::clone(router)))
                    .header(Name::MaxForwards, MAX_FORWARDS);
                for route in self.route_set.all.iter().skip(1) {
                    request = request.header_raw(ROUTE, route);
                }
                request.header(Name::Route, format_args!("<{target}>"))
            }
            Some(_) | None => {
                let mut request =
                    RequestBuilder::new(method, &target).header(Name::MaxForwards, MAX_FORWARDS);
                for route in &self.route_set.all {
                    request = request.header_raw(ROUTE, route);
                }
                request
            }
        };
        request
            .header(Name::From, &self.local)
            .header(Name::To, &self.remote)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{cseq} {}", method.as_str()))
    }
}

/// The routers between us and the peer, nearest first.
#[derive(Clone, Debug, Default)]
struct RouteSet {
    /// Each as it came, `<uri>` and parameters.
    all: Vec<Box<[u8]>>,
    first: Option<Box<Uri>>,
}

impl RouteSet {
    fn uas(invite: &Message) -> Result<Self, HeaderError> {
        Self::new(invite.elements(Name::RecordRoute).map(|route| Box::from(&*route)).collect())
    }

    fn uac(response: &Message) -> Result<Self, HeaderError> {
        let mut all: Vec<_> = response.elements(Name::RecordRoute).map(|route| Box::from(&*route)).collect();
        all.reverse();
        Self::new(all)
    }

    fn new(all: Vec<Box<[u8]>>) -> Result<Self, HeaderError> {
        let first =
            all.first().map(|route| NameAddr::parse(route)).transpose()?.map(|route| Box::new(route.uri));
        Ok(Self { all, first })
    }
}

/// From or To as text: the tag must stand as it came, whatever characters the peer has put into it.
fn tagged(mut party: NameAddr, tag: &str) -> Box<str> {
    party.params.clear();
    if tag.is_empty() { party.to_string().into() } else { format!("{party};tag={tag}").into() }
}

/// Without what a Contact may hold and a Request-URI may not (§19.1.1, table 1).
fn as_request_uri(mut uri: Uri) -> Uri {
    uri.headers = None;
    uri.params.retain(|(name, _)| name != "method");
    uri
}

fn text(value: Option<&[u8]>, header: &'static str) -> Result<String, HeaderError> {
    match str::from_utf8(value.unwrap_or_default()) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(HeaderError::Bad { header, problem: "not UTF-8" }),
    }
}

fn is_success(response: &Message) -> bool {
    matches!(response.status(), Some(200..=299))
}

const ROUTE: &[u8] = b"Route";
const MAX_FORWARDS: u8 = 70;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::flow::Transport;
    use crate::sip::message::Limits;

    #[test]
    fn a_uas_keeps_record_route_as_it_came_and_answers_the_contact() {
        let mut dialog =
            Dialog::uas(&invite(CONTACT, "<sip:p1.example;lr;did=a.B>, <sip:p2.example;lr>"), "ours")
                .expect("a dialog");

        let bye = dialog.request(Method::Bye);

        assert_eq!(
            written(bye),
            "BYE sip:caller@192.0.2.1:5070;transport=tcp SIP/2.0\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:p1.example;lr;did=a.B>\r\n\
             Route: <sip:p2.example;lr>\r\n\
             From: \"Callee\" <sip:+14155550101@callee.example>;tag=ours\r\n\
             To: <sip:+14155550100@caller.example>;tag=theirs\r\n\
             Call-ID: call-1\r\n\
             CSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        assert_eq!(dialog.next_hop().to_string(), "sip:p1.example;lr;did=a.B");
    }

    #[test]
    fn a_uac_reverses_record_route_and_continues_the_cseq_of_its_invite() {
        let mut dialog = answered("<sip:p2.example;lr>, <sip:p1.example;lr>");

        let ack = written(dialog.ack(7));
        let bye = written(dialog.request(Method::Bye));

        for (request, cseq) in [(&ack, "CSeq: 7 ACK\r\n"), (&bye, "CSeq: 8 BYE\r\n")] {
            assert!(
                request.contains("Route: <sip:p1.example;lr>\r\nRoute: <sip:p2.example;lr>\r\n"),
                "{request}"
            );
            assert!(request.contains("From: <sip:+14155550100@caller.example>;tag=theirs\r\n"), "{request}");
            assert!(request.contains(cseq), "{request}");
        }
        assert_eq!(dialog.local_cseq(), 8);
    }

    #[test]
    fn a_strict_router_takes_the_request_uri_and_the_target_goes_last() {
        let mut dialog = answered("<sip:p2.example;lr>, <sip:strict.example;method=INVITE?x=y>");

        let bye = written(dialog.request(Method::Bye));

        assert!(bye.starts_with("BYE sip:strict.example SIP/2.0\r\n"), "{bye}");
        let routes = "Route: <sip:p2.example;lr>\r\nRoute: <sip:callee@192.0.2.2>\r\nFrom";
        assert!(bye.contains(routes), "{bye}");
        assert_eq!(dialog.next_hop().to_string(), "sip:strict.example;method=INVITE?x=y");
    }

    #[test]
    fn without_contact_the_from_or_the_request_uri_is_the_target() {
        let uas = Dialog::uas(&invite("", ""), "ours").expect("a dialog");
        let uac = Dialog::uac(&invite(CONTACT, ""), &response(180, "", "")).expect("a dialog");

        assert_eq!(uas.remote_target().to_string(), "sip:+14155550100@caller.example");
        assert_eq!(uac.remote_target().to_string(), "sip:+14155550101@gateway.example");
        assert_eq!(uac.next_hop(), uac.remote_target());
    }

    #[test]
    fn the_2xx_takes_route_set_and_target_anew_and_later_ones_do_not() {
        let mut dialog = Dialog::uac(&invite(CONTACT, ""), &response(180, "", "<sip:early.example;lr>"))
            .expect("a dialog");

        dialog.confirm(&response(200, "<sip:final@192.0.2.3>", "<sip:final.example;lr>"));
        dialog.confirm(&response(200, "<sip:other@192.0.2.4>", "<sip:other.example;lr>"));

        assert_eq!(dialog.next_hop().to_string(), "sip:final.example;lr");
        assert_eq!(dialog.remote_target().to_string(), "sip:final@192.0.2.3");
    }

    #[test]
    fn a_target_refresh_takes_the_contact_but_leaves_the_routes() {
        let mut dialog = answered("<sip:p1.example;lr>");

        dialog.refresh_target(&invite("<sip:moved@192.0.2.9>", "<sip:ignored.example;lr>"));
        dialog.refresh_target(&invite("", ""));
        dialog.refresh_target(&invite("*", ""));

        assert_eq!(dialog.remote_target().to_string(), "sip:moved@192.0.2.9");
        assert_eq!(dialog.next_hop().to_string(), "sip:p1.example;lr");
    }

    #[test]
    fn a_cseq_that_is_not_above_the_last_is_old() {
        let mut uas = Dialog::uas(&invite(CONTACT, ""), "ours").expect("a dialog");
        let mut order = |number| uas.on_request(&inside(number, "ours", "theirs"));

        assert_eq!(order(7), Ok(CSeqOrder::Old), "the INVITE's own");
        assert_eq!(order(8), Ok(CSeqOrder::Next));
        assert_eq!(order(8), Ok(CSeqOrder::Old));
        assert_eq!(order(20), Ok(CSeqOrder::Next));
        assert_eq!(order(19), Ok(CSeqOrder::Old));
    }

    #[test]
    fn the_peer_of_a_uac_may_begin_with_any_cseq() {
        let mut uac = answered("");

        assert_eq!(uac.on_request(&inside(1, "theirs", "tag-b")), Ok(CSeqOrder::Next));
        assert_eq!(uac.on_request(&inside(1, "theirs", "tag-b")), Ok(CSeqOrder::Old));
    }

    #[test]
    fn tags_and_call_id_are_compared_exactly() {
        let dialog = Dialog::uas(&invite(CONTACT, ""), "ours").expect("a dialog");

        assert!(dialog.matches(&inside(8, "ours", "theirs")));
        assert!(!dialog.matches(&inside(8, "Ours", "theirs")));
        assert!(!dialog.matches(&inside(8, "ours", "theirs2")));
        assert!(!dialog.matches(&invite(CONTACT, "")));
    }

    #[test]
    fn a_tag_outside_the_grammar_is_echoed_as_it_came() {
        let text = "SIP/2.0 180 Ringing\r\nTo: <sip:callee.example>;tag=a=/b@c\r\nCSeq: 7 INVITE\r\n\r\n";
        let mut dialog = Dialog::uac(&invite(CONTACT, ""), &parsed(text)).expect("a dialog");

        let bye = written(dialog.request(Method::Bye));

        assert!(bye.contains("To: <sip:callee.example>;tag=a=/b@c\r\n"), "{bye}");
    }

    #[test]
    fn a_response_without_to_tag_makes_a_dialog_without_one() {
        let text = "SIP/2.0 200 OK\r\nTo: <sip:callee.example>\r\nCSeq: 7 INVITE\r\n\r\n";
        let mut dialog = Dialog::uac(&invite(CONTACT, ""), &parsed(text)).expect("a dialog");

        assert_eq!(dialog.remote_tag(), "");
        assert!(written(dialog.request(Method::Bye)).contains("To: <sip:callee.example>\r\n"));
    }

    const CONTACT: &str = "<sip:caller@192.0.2.1:5070;transport=tcp?x=y>;expires=60";

    fn answered(record_route: &str) -> Dialog {
        let answer = response(200, "<sip:callee@192.0.2.2>", record_route);
        Dialog::uac(&invite(CONTACT, ""), &answer).expect("a dialog")
    }

    fn invite(contact: &str, record_route: &str) -> Message {
        parsed(&format!(
            "INVITE sip:+14155550101@gateway.example SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
             {}{}\
             From: <sip:+14155550100@caller.example>;tag=theirs\r\n\
             To: Callee <sip:+14155550101@callee.example>\r\n\
             Call-ID: call-1\r\n\
             CSeq: 7 INVITE\r\n\r\n",
            line("Contact", contact),
            line("Record-Route", record_route)
        ))
    }

    fn response(code: u16, contact: &str, record_route: &str) -> Message {
        parsed(&format!(
            "SIP/2.0 {code} Reason\r\n\
             {}{}\
             From: <sip:+14155550100@caller.example>;tag=theirs\r\n\
             To: <sip:+14155550101@callee.example>;tag=tag-b\r\n\
             Call-ID: call-1\r\n\
             CSeq: 7 INVITE\r\n\r\n",
            line("Contact", contact),
            line("Record-Route", record_route)
        ))
    }

    fn inside(cseq: u32, to_tag: &str, from_tag: &str) -> Message {
        parsed(&format!(
            "INFO sip:us@192.0.2.9 SIP/2.0\r\n\
             From: <sip:a.example>;tag={from_tag}\r\n\
             To: <sip:b.example>;tag={to_tag}\r\n\
             Call-ID: call-1\r\n\
             CSeq: {cseq} INFO\r\n\r\n"
        ))
    }

    fn line(name: &str, value: &str) -> String {
        if value.is_empty() { String::new() } else { format!("{name}: {value}\r\n") }
    }

    fn parsed(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("well formed")
    }

    /// The request as it would be sent, but for its Via.
    fn written(request: RequestBuilder) -> String {
        let message = request.no_body().with_via(Transport::Udp, "h", "b");
        let text = String::from_utf8(message.to_vec()).expect("UTF-8");
        text.lines().filter(|line| !line.starts_with("Via:")).map(|line| format!("{line}\r\n")).collect()
    }
}

//! A dialog (RFC 3261 §12): who talks to whom, in which order, and by which way.
//!
//! The route set is Record-Route as it came for a UAS and reversed for a UAC, and it is echoed byte for byte: proxies keep
//! cookies in it. A strict router at its head (no `lr`) turns request and route set inside out (§12.2.1.1). Peers answer
//! without Contact, or send an INVITE without one; the remote target is then where the INVITE went, or its From.

use super::build::RequestBuilder;
use super::headers::{HeaderError, Name, NameAddr};
use super::message::{Message, Method};
use super::uri::Uri;

pub use super::answer_repeat::{AnswerRepeat, RepeatEvent};

/// One dialog, early or confirmed, in either role.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: String,
    local: NameAddr,
    local_tag: String,
    local_cseq: u32,
    remote: NameAddr,
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

    /// The dialog of a UAC (§12.1.2), from our INVITE as sent and a 1xx or 2xx. A response of an RFC 2543 peer may have no
    /// To-tag; the remote tag is then empty.
    ///
    /// # Errors
    ///
    /// Names the header of either message that cannot be used.
    pub fn uac(invite: &Message, response: &Message) -> Result<Self, HeaderError> {
        let local_tag = text(invite.from_tag(), "From")?;
        let remote_tag = text(response.to_tag(), "To")?;
        let remote_target = match response.contact()? {
            Some(contact) => contact.uri,
            None => Uri::parse(invite.request_uri()).map_err(|_| HeaderError::Missing("Contact"))?,
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
    pub fn local(&self) -> &NameAddr {
        &self.local
    }

    /// What stands in To of a request we send, tag included.
    #[must_use]
    pub fn remote(&self) -> &NameAddr {
        &self.remote
    }

    /// The CSeq number of the last request we sent in the dialog; 0 before the first of a UAS.
    #[must_use]
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Where the next request is sent: the first route, be it a loose or a strict router, else the remote target.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.route_set.first.as_ref().unwrap_or(&self.remote_target)
    }

    /// Whether `request` belongs to this dialog: Call-ID and both tags, compared exactly.
    #[must_use]
    pub fn matches(&self, request: &Message) -> bool {
        request.call_id().is_ok_and(|call_id| call_id == self.call_id.as_bytes())
            && request.to_tag().unwrap_or_default() == self.local_tag.as_bytes()
            && request.from_tag().unwrap_or_default() == self.remote_tag.as_bytes()
    }

    /// Checks the CSeq of a request inside the dialog against the last one (§12.2.2). Not for ACK and CANCEL, which share
    /// their INVITE's; repeated requests never come here, their transaction absorbs them.
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

    /// Confirms the dialog of a UAC by a 2xx: route set and remote target are taken anew (§13.2.2.4). Later 2xx change
    /// neither; those to a re-INVITE are for [`Self::refresh_target`].
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

    /// The next request inside the dialog (not an ACK), with Max-Forwards, Route, From, To, Call-ID and the next CSeq
    /// written, in this order.
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
        let mut request = match &self.route_set.first {
            Some(router) if !router.is_loose_router() => {
                let mut request = RequestBuilder::new(method, &as_request_uri(router.clone()))
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
        request = request.header(Name::From, &self.local).header(Name::To, &self.remote);
        request
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{cseq} {}", method.as_str()))
    }
}

/// The routers between us and the peer, nearest first.
#[derive(Clone, Debug, Default)]
struct RouteSet {
    /// Each as it came, `<uri>` and parameters.
    all: Vec<Box<[u8]>>,
    first: Option<Uri>,
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
        let first = all.first().map(|route| NameAddr::parse(route)).transpose()?.map(|route| route.uri);
        Ok(Self { all, first })
    }
}

fn tagged(mut party: NameAddr, tag: &str) -> NameAddr {
    party.params.clear();
    if !tag.is_empty() {
        party.params.push(("tag".to_owned(), Some(tag.to_owned())));
    }
    party
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
        Err(_) => Err(HeaderError::Missing(header)),
    }
}

fn is_success(response: &Message) -> bool {
    matches!(response.status(), Some(200..=299))
}

const ROUTE: &[u8] = b"Route";
const MAX_FORWARDS: u8 = 70;

//! INFO, MESSAGE, OPTIONS, SUBSCRIBE, NOTIFY and PUBLISH inside a dialog: answered as their
//! RFCs say, never forwarded.
//!
//! | request | answer |
//! |---|---|
//! | OPTIONS (RFC 3261 §11.2) | 200, with what we take |
//! | INFO that names a package (RFC 6086 §4.2.2) | 469: there are none here |
//! | INFO without a body, or with a key (see `dtmf`) | 200 |
//! | INFO with another body | 415 |
//! | SUBSCRIBE, NOTIFY, PUBLISH (RFC 6665 §4.2.1.1, RFC 3903 §6) | 489: no event is known here |
//! | MESSAGE, REFER, REGISTER | 405 |
//! | another method | 501 |
//!
//! Every peer may send them, so no profile has a word on it.

use crate::id::{LegId, ServerTx};
use crate::sip::build::ResponseBuilder;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

use super::dtmf::{CONTENT_TYPES, digit_in};
use super::{allow, supported};
use crate::call::Call;
use crate::call::caller::SDP;
use crate::call::contract::{Action, Cx};
use crate::call::in_dialog::respond;

impl Call {
    /// A request that has nothing to do with the session.
    pub(in crate::call) fn on_aside(
        &mut self,
        leg: LegId,
        tx: ServerTx,
        request: &Message,
        flow: Flow,
        cx: &mut Cx<'_>,
    ) {
        let profile = self.profile(leg, cx);
        let (allow, supported) = (allow(profile), supported(profile));
        let allowed = (Name::Allow, &*allow);
        let mut answer = |code, headers: &[(Name, &str)]| respond(request, tx, flow, code, headers, cx);
        match request.method() {
            Some(Method::Options) => {
                let mut headers = vec![allowed, (Name::Accept, SDP)];
                headers.extend(supported.iter().map(|tags| (Name::Supported, tags.as_str())));
                answer(200, &headers);
            }
            Some(Method::Info) if request.value_named("Info-Package").is_some() => {
                let bad = ResponseBuilder::new(request, 469, "", None, flow.remote);
                let bytes = bad.header(Name::Allow, &allow).header_raw(b"Recv-Info", b"").no_body();
                cx.out.push(Action::Respond { tx, code: 469, bytes });
            }
            Some(Method::Info) if request.body().is_empty() => answer(200, &[allowed]),
            Some(Method::Info) => match digit_in(request) {
                Some((digit, duration)) => {
                    answer(200, &[allowed]);
                    self.on_digit_by_info(leg, digit, duration, cx);
                }
                None => answer(415, &[(Name::Accept, CONTENT_TYPES)]),
            },
            Some(Method::Subscribe | Method::Notify | Method::Publish) => answer(489, &[allowed]),
            Some(Method::Other(_)) => answer(501, &[allowed]),
            _ => answer(405, &[allowed]),
        }
    }
}

//! Requests outside any dialog: who sends them, whether they prove it, and whether a call begins.
//!
//! The four steps of recognition come before any other check or answer, so that a stranger cannot even learn
//! that something listens here. A wrong password and an unknown user get the same answer.

use std::borrow::Cow;
use std::time::Duration;

use crate::call::admit::{Refused, admit, supports_required};
use crate::call::{ALLOW, Call, Cx, Offered, SDP};
use crate::id::{PeerId, ServerTx};
use crate::routing::config::{Preset, Profile};
use crate::routing::hourly::Cap;
use crate::routing::{self, Plan, Recognition};
use crate::sdp::session::Session;
use crate::sip::auth::{Credentials, Verdict};
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::transaction::Incoming;
use crate::sip::uri::{Host, Uri};

use super::bans::Fault;
use super::bridge::{Bridge, Entry};
use super::counters::Rejection;
use super::dispatch::came_through;
use super::overload::Course;
use super::telemetry::Redact;
use super::world::World;

impl<W: World> Bridge<W> {
    /// A request without a To-tag that belongs to no transaction.
    pub(super) fn on_new_request(&mut self, request: Message, flow: Flow) {
        let Some(method) = request.method() else { return };
        let source = flow.remote.ip();
        let known = self.routes.knows(source) || self.routes.registered_by(&request).is_some();
        if matches!(method, Method::Ack) || (method == Method::Options && !known) {
            if !known {
                self.on_stranger(flow);
            }
            return;
        }
        let recognition = if matches!(method, Method::Options | Method::Cancel) && known {
            None
        } else {
            match self.routes.recognise(source, &dialled(&request)) {
                Recognition::Stranger => return self.on_stranger(flow),
                recognition => Some(recognition),
            }
        };
        let is_named = matches!(recognition, Some(Recognition::Peer(_)));
        if !is_named && self.is_one_too_many(flow) {
            return;
        }
        if let Some(connection) = flow.connection {
            self.world.recognise(connection);
        }
        if method == Method::Invite && !self.has_time_for(&request, flow) {
            return;
        }
        if let Err(error) = request.validate() {
            self.metrics.counters.rejected(Rejection::Malformed);
            self.complain_of_peer(flow.remote, &error, "request refused");
            return self.answer_statelessly(&request, flow, error.status(), &error.to_string());
        }
        let is_challenged = recognition.as_ref().is_some_and(Recognition::is_challenge);
        if is_challenged && self.verifier.username_of(&request).is_none() {
            return self.challenge_statelessly(&request, flow);
        }
        let recognition = match recognition {
            Some(recognition) if is_challenged || method == Method::Invite => recognition,
            _ => return self.answer_outside_calls(&request, flow, method),
        };
        let back = self.response_flow(&request, flow);
        match self.table.on_request(&request, back, self.now, &mut self.table_out) {
            Incoming::New(tx) => self.on_recognised(&request, tx, flow, recognition),
            Incoming::CancelUnknown(tx) => {
                self.metrics.counters.rejected(Rejection::NoDialog);
                self.answer_and_forget(&request, tx, flow, 481, &[]);
            }
            Incoming::Merged(tx) => {
                self.metrics.counters.rejected(Rejection::Loop);
                self.answer_and_forget(&request, tx, flow, 482, &[]);
            }
            Incoming::Cancel { .. } | Incoming::Absorbed | Incoming::Ack => self.carry_out_table(Some(flow)),
        }
    }

    /// Whether a new call is taken as far as the load goes; it was answered or left alone when not.
    fn has_time_for(&mut self, invite: &Message, flow: Flow) -> bool {
        let course = self.overload.course();
        if course == Course::Take {
            return true;
        }
        self.metrics.counters.rejected(Rejection::Capacity);
        self.complain_of_peer(flow.remote, 503, "call refused: more arrive than one core can set up");
        // A stream loses nothing, so nothing comes again by it: whoever is ignored there waits for Timer B.
        if course == Course::Refuse || flow.transport.is_reliable() {
            let headers = [(Name::RetryAfter, RETRY_AFTER_OVERLOAD.into())];
            self.answer_statelessly_with(invite, flow, 503, "", &headers);
        }
        false
    }

    fn on_recognised(&mut self, request: &Message, tx: ServerTx, flow: Flow, recognition: Recognition) {
        let draining = self.draining;
        let peer = match recognition {
            Recognition::Peer(peer) => peer,
            Recognition::ChallengeAs(peer) => match self.authenticate(request, tx, flow, Some(peer)) {
                Some(peer) => peer,
                None => return,
            },
            Recognition::Challenge => match self.authenticate(request, tx, flow, None) {
                Some(peer) => peer,
                None => return,
            },
            Recognition::Stranger => return,
        };
        match request.method() {
            Some(Method::Invite) if draining => {
                self.metrics.counters.rejected(Rejection::Draining);
                let headers = [(Name::RetryAfter, RETRY_AFTER_DRAIN.into())];
                self.answer_and_forget(request, tx, flow, 503, &headers);
            }
            Some(Method::Invite) => self.on_invite(request, tx, flow, peer),
            method => {
                self.metrics.counters.rejected(Rejection::Method);
                self.answer_and_forget(request, tx, flow, refused_as(method), &[(Name::Allow, ALLOW.into())]);
            }
        }
    }

    /// A request that can begin no call is answered without keeping anything: its source may be forged, and
    /// whatever were kept for 32 s would be as much as somebody likes to send.
    fn answer_outside_calls(&mut self, request: &Message, flow: Flow, method: Method<'_>) {
        match method {
            Method::Options => self.on_options(request, flow),
            Method::Cancel => {
                self.metrics.counters.rejected(Rejection::NoDialog);
                self.answer_statelessly(request, flow, 481, "");
            }
            method => {
                self.metrics.counters.rejected(Rejection::Method);
                let allow = [(Name::Allow, ALLOW.into())];
                self.answer_statelessly_with(request, flow, refused_as(Some(method)), "", &allow);
            }
        }
    }

    /// Whoever probes us learns what we take (RFC 3261 §11.2), or that they should look elsewhere.
    fn on_options(&mut self, request: &Message, flow: Flow) {
        if self.draining {
            let headers = [(Name::RetryAfter, RETRY_AFTER_DRAIN.into())];
            return self.answer_statelessly_with(request, flow, 503, "", &headers);
        }
        if let Err(Refused::Extension(tags)) = supports_required(request, Profile::of(Preset::Standard)) {
            self.metrics.counters.rejected(Rejection::Extension);
            let headers = [(Name::Unsupported, tags)];
            return self.answer_statelessly_with(request, flow, 420, "", &headers);
        }
        let capabilities = [(Name::Allow, ALLOW.into()), (Name::Accept, SDP.into())];
        self.answer_statelessly_with(request, flow, 200, "", &capabilities);
    }

    /// The peer that `request` proves to be; an answer was sent when it does not.
    /// `expected` is who it must be.
    fn authenticate(
        &mut self,
        request: &Message,
        tx: ServerTx,
        flow: Flow,
        expected: Option<PeerId>,
    ) -> Option<PeerId> {
        let since_start = self.now.saturating_duration_since(self.started);
        let Some(username) = self.verifier.username_of(request) else {
            self.challenge(request, tx, flow, since_start, false);
            return None;
        };
        let is_its_name = |peer: &PeerId| {
            let credentials = self.routes.peer(*peer).credentials.as_ref();
            credentials.is_some_and(|credentials| credentials.username == username)
        };
        let claimed = match expected {
            Some(expected) => Some(expected).filter(is_its_name),
            None => self.routes.by_username(flow.remote.ip(), &username),
        };
        let known = claimed.and_then(|peer| self.routes.peer(peer).credentials.clone().map(|c| (peer, c)));
        let credentials = match &known {
            Some((_, credentials)) => credentials.clone(),
            None => Credentials { username, password: format!("{:016x}", self.ids.random()) },
        };
        let source = flow.remote.ip();
        match (self.verifier.verify(request, source, &credentials, tx.0, since_start), known) {
            (Verdict::Good, Some((peer, _))) => {
                self.bans.spare(source, self.now);
                Some(peer)
            }
            (Verdict::Stale, _) => {
                self.metrics.counters.rejected(Rejection::Replay);
                self.challenge(request, tx, flow, since_start, true);
                None
            }
            (Verdict::Absent, _) => {
                self.challenge(request, tx, flow, since_start, false);
                None
            }
            (verdict @ (Verdict::Wrong { .. } | Verdict::Good), _) => {
                self.metrics.counters.rejected(Rejection::Credentials);
                self.complain_of_peer(
                    flow.remote,
                    403,
                    "unknown user or wrong password: compare with `username` and `password` of that peer",
                );
                self.answer_and_forget(request, tx, flow, 403, &[]);
                if verdict == (Verdict::Wrong { is_answer: true }) || flow.transport.is_reliable() {
                    self.blame(flow.remote, Fault::Credentials);
                }
                None
            }
        }
    }

    /// Whoever shows no credentials may have forged its address: it gets one 401, and nothing of it is kept
    /// (RFC 3261 §26.3.2.4).
    fn challenge_statelessly(&mut self, request: &Message, flow: Flow) {
        let since_start = self.now.saturating_duration_since(self.started);
        let challenge = self.verifier.challenge(self.ids.random(), flow.remote.ip(), since_start, false);
        let headers = [(Name::WwwAuthenticate, challenge)];
        self.answer_statelessly_with(request, flow, 401, "", &headers);
    }

    fn challenge(&mut self, request: &Message, tx: ServerTx, flow: Flow, since_start: Duration, stale: bool) {
        let challenge = self.verifier.challenge(self.ids.random(), flow.remote.ip(), since_start, stale);
        self.answer_and_forget(request, tx, flow, 401, &[(Name::WwwAuthenticate, challenge)]);
    }

    fn on_invite(&mut self, invite: &Message, tx: ServerTx, flow: Flow, peer: PeerId) {
        let interface = self.routes.interface(Some(self.routes.peer(peer)), flow.remote.ip());
        let Some(local) = self.world.local_of(&flow, interface) else {
            return self.answer_and_forget(invite, tx, flow, 503, &[]);
        };
        if came_through(invite, &self.ids).any(|tx| self.clients.contains_key(&tx)) {
            self.metrics.counters.rejected(Rejection::Loop);
            return self.answer_and_forget(invite, tx, flow, 482, &[]);
        }
        let admitted = admit(invite, peer, flow.transport, &self.routes, &mut self.rotation);
        let begun = admitted.and_then(|(plan, offer)| {
            let (interface, sent_by) = (local.interface, local.sent_by);
            self.begin(Offered { invite: invite.head(), tx, flow, peer, interface, sent_by, plan }, offer)
        });
        if let Err(refused) = begun {
            let hints: Vec<_> = refused.hint(&Host::Ip(local.ip).to_string()).into_iter().collect();
            self.refuse_call(invite, tx, flow, peer, &refused, &hints);
        }
    }

    fn begin(&mut self, offered: Offered, offer: Option<Session>) -> Result<(), Refused> {
        let id = self.ids.call();
        let tx = offered.tx;
        let span = span(id, &offered.plan);
        let routes = self.routes.clone();
        let mut out = std::mem::take(&mut self.call_out);
        let mut cx = Cx {
            now: self.now,
            unix_ms: self.unix_ms,
            ids: &mut self.ids,
            routes: &routes,
            settings: &self.settings,
            out: &mut out,
        };
        let caller = routes.peer(offered.peer);
        let cap = if offered.plan.is_emergency { Cap::default() } else { caller.cap };
        self.call_limits.enter(id, &caller.name, caller.limit, self.total, self.now)?;
        if let Err(spent) = self.hourly.begin(id, &caller.name, cap, self.now) {
            self.call_limits.leave(id);
            return Err(spent.into());
        }
        let call = match span.in_scope(|| Call::start(id, offered, offer, &mut cx)) {
            Ok(call) => call,
            Err(error) => {
                self.call_limits.leave(id);
                self.hourly.leave(id, self.now);
                return Err(error.into());
            }
        };
        self.invites.insert(tx, id);
        self.set_active(self.active + 1);
        self.calls
            .insert(id, Entry { call: Box::new(call), routes, span, figures: Vec::new(), scheduled: None });
        self.working = true;
        self.carry_out(id, &mut out);
        self.working = false;
        self.call_out = out;
        self.work();
        Ok(())
    }
}

/// The number in the Request-URI; empty when it has none.
fn dialled(request: &Message) -> String {
    let uri = Uri::parse(request.request_uri()).ok();
    uri.and_then(|uri| routing::number_in(&uri).map(Cow::into_owned)).unwrap_or_default()
}

fn span(id: crate::id::CallId, plan: &Plan) -> tracing::Span {
    tracing::info_span!("call", %id, from = %Redact(&plan.from), to = %Redact(&plan.to))
}

/// The status for a request of no use to us: its method is unknown, or known and not taken here.
fn refused_as(method: Option<Method<'_>>) -> u16 {
    if matches!(method, Some(Method::Other(_))) { 501 } else { 405 }
}

const RETRY_AFTER_DRAIN: &str = "30";
const RETRY_AFTER_OVERLOAD: &str = "2";

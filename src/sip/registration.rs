//! One registration at a registrar (RFC 3261 §10.2, RFC 3608): made, kept, moved to another address, taken
//! back.
//!
//! ```text
//! Waiting ──due──► Resolving ──addresses──► Trying ──2xx──► Waiting, bound until it expires
//!    ▲                 ▲  next registrar      │ │
//!    │                 └──────────────────────┘ │ next address: silence, 408, 500, 502, 503, 504
//!    └──── none left, or refused: back-off ─────┘
//!                                 end: Leaving ──► Gone
//! ```
//!
//! A binding stands beside these states: while a refresh fails and is tried again, calls still arrive by the
//! binding until it expires. All REGISTERs of one registration share their Call-ID and count one CSeq,
//! wherever they go (§10.2).

mod response;
mod status;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::auth::{Answers, Credentials, challenge_of};
use super::build::{Draft, RequestBuilder};
use super::flow::{Hop, Transport};
use super::headers::Name;
use super::message::{Message, Method};
use super::uri::{Scheme, Uri};
use crate::id::{ClientTx, Ids};

pub use response::Route;
use response::{granted, min_expires, service_routes};
pub use status::{Status, Trouble};

/// What is registered, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Registrars in the order they are tried; Request-URI of the REGISTERs.
    pub registrars: Vec<Uri>,
    /// The address-of-record: To and From.
    pub address: Uri,
    /// For its challenges.
    pub credentials: Credentials,
    /// Challenges of another realm are not answered; `None` answers those of any.
    pub realm: Option<String>,
    /// Where REGISTERs go in place of the registrars; with `;lr` it stands in Route too (RFC 3261 §8.1.2).
    pub proxy: Option<Uri>,
    /// User part of our Contact, see [`contact_user`](super::auth::contact_user).
    pub contact_user: String,
    /// How long a binding is asked for.
    pub expires_s: u32,
}

/// What a registration asks of whoever drives it, in order.
#[derive(Debug)]
pub enum Action {
    /// Look this registrar up; answered by [`Registration::on_hops`].
    Resolve(Uri),
    /// Send a REGISTER in a new client transaction.
    Send {
        /// The transaction.
        tx: ClientTx,
        /// Where to.
        hop: Hop,
        /// The message without its Via.
        draft: Draft,
    },
    /// The status changed.
    Changed(Status),
}

/// One registration; see the module for its states.
#[derive(Debug)]
pub struct Registration {
    account: Account,
    call_id: String,
    tag: String,
    cseq: u32,
    /// What is asked for; raised by a 423.
    expires_s: u32,
    answers: Answers,
    state: State,
    binding: Option<Binding>,
    /// Rounds through all registrars that failed in a row.
    failures: u32,
    trouble: Option<Trouble>,
    /// What went wrong in the round that is on.
    so_far: Option<Trouble>,
    last_code: Option<u16>,
    status: Status,
}

#[derive(Debug)]
enum State {
    /// Until the next round begins.
    Waiting { until: Instant },
    /// Addresses of the first of these were asked for.
    Resolving { registrars: VecDeque<Uri> },
    /// A REGISTER is out.
    Trying { attempt: Attempt, hops: VecDeque<Hop>, registrars: VecDeque<Uri> },
    /// The REGISTER that takes the binding back is out.
    Leaving { attempt: Attempt },
    /// Nothing more will happen.
    Gone,
}

/// One address being tried.
#[derive(Clone, Debug)]
struct Attempt {
    registrar: Uri,
    hop: Hop,
    tx: ClientTx,
    /// Silence until then moves on to the next address; `None` when none is left or something came.
    silent_until: Option<Instant>,
    /// REGISTERs that this address answered with a question: 401, 407 or 423.
    questions: u8,
}

/// What a registrar has granted.
#[derive(Clone, Debug)]
struct Binding {
    registrar: Uri,
    hop: Hop,
    until: Instant,
    routes: Vec<Route>,
}

impl Registration {
    /// Begins at `now`; the first actions come with [`Self::on_deadline`].
    #[must_use]
    pub fn new(account: Account, now: Instant, ids: &mut Ids) -> Self {
        Self {
            expires_s: account.expires_s,
            account,
            call_id: ids.call_id(),
            tag: format!("{:016x}", ids.random()),
            cseq: 0,
            answers: Answers::default(),
            state: State::Waiting { until: now },
            binding: None,
            failures: 0,
            trouble: None,
            so_far: None,
            last_code: None,
            status: Status::Registering,
        }
    }

    /// What is registered.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why the last round failed; `None` once one went well.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// The last final status that a registrar gave.
    #[must_use]
    pub fn last_code(&self) -> Option<u16> {
        self.last_code
    }

    /// When the binding expires, and where it is.
    #[must_use]
    pub fn binding(&self) -> Option<(Instant, &Hop)> {
        self.binding.as_ref().map(|binding| (binding.until, &binding.hop))
    }

    /// The way that the registrar wants requests to take (RFC 3608 §5), first router first; empty when it
    /// wants none.
    #[must_use]
    pub fn service_routes(&self) -> &[Route] {
        self.binding.as_ref().map_or(&[], |binding| &binding.routes)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// When [`Self::on_deadline`] must be called; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let due = match &self.state {
            State::Waiting { until } => Some(*until),
            State::Trying { attempt, .. } => attempt.silent_until,
            State::Resolving { .. } | State::Leaving { .. } | State::Gone => None,
        };
        due.into_iter().chain(self.binding.as_ref().map(|binding| binding.until)).min()
    }

    /// Begins a round, moves on to the next address, or notes that the binding expired, as is due at `now`.
    pub fn on_deadline(&mut self, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        if self.binding.as_ref().is_some_and(|binding| binding.until <= now) {
            self.binding = None;
            self.trouble = self.trouble.or(self.so_far).or(Some(Trouble::Silent));
            self.report(Status::Failed, out);
        }
        match &self.state {
            State::Waiting { until } if *until <= now => self.begin_round(out),
            State::Trying { attempt, .. } if attempt.silent_until.is_some_and(|until| until <= now) => {
                self.so_far = Some(Trouble::Silent);
                self.next_hop(now, ids, out);
            }
            State::Waiting { .. }
            | State::Resolving { .. }
            | State::Trying { .. }
            | State::Leaving { .. }
            | State::Gone => {}
        }
    }

    /// Takes the addresses of the registrar asked for last; none when it has none.
    pub fn on_hops(&mut self, hops: Vec<Hop>, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        let State::Resolving { registrars } = &mut self.state else { return };
        let Some(registrar) = registrars.pop_front() else { return };
        let registrars = std::mem::take(registrars);
        let mut hops: VecDeque<_> = hops.into_iter().take(MAX_ADDRESSES).collect();
        match hops.pop_front() {
            Some(hop) => self.try_hop(registrar, hop, hops, registrars, now, ids, out),
            None if registrars.is_empty() => {
                let trouble = self.so_far.unwrap_or(Trouble::NoAddress);
                self.fail(trouble, None, now, ids, out);
            }
            None => self.resolve(registrars, out),
        }
    }

    /// Advances on a response to the REGISTER of `tx`; one to a REGISTER that was given up counts for
    /// nothing.
    pub fn on_response(
        &mut self,
        tx: ClientTx,
        response: &Message,
        now: Instant,
        ids: &mut Ids,
        out: &mut Vec<Action>,
    ) {
        let Some(code) = response.status() else { return };
        let Some(attempt) = self.attempt_mut().filter(|attempt| attempt.tx == tx) else { return };
        attempt.silent_until = None;
        if code < 200 {
            return;
        }
        attempt.questions += 1;
        let may_ask = attempt.questions <= MAX_QUESTIONS;
        self.last_code = Some(code);
        let is_leaving = matches!(self.state, State::Leaving { .. });
        match code {
            401 | 407 if may_ask && self.is_ours(response) && self.answers.take(response) => {
                self.send_again(ids, out)
            }
            423 if may_ask && !is_leaving && self.raise_expiry(response) => {
                self.answers.accept();
                self.send_again(ids, out);
            }
            _ if is_leaving => self.leave(out),
            200..=299 => self.on_success(response, now, ids, out),
            408 | 500 | 502 | 503 | 504 => {
                self.so_far = Some(Trouble::Refused(code));
                let told = response.retry_after();
                self.next_hop_or_wait(told, now, ids, out);
            }
            401 | 403 | 407 => self.fail(Trouble::Credentials(code), None, now, ids, out),
            _ => self.fail(Trouble::Refused(code), response.retry_after(), now, ids, out),
        }
    }

    /// The REGISTER of `tx` could not be sent, or nobody answered it (timer F).
    pub fn on_lost(&mut self, tx: ClientTx, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        if self.attempt_mut().is_none_or(|attempt| attempt.tx != tx) {
            return;
        }
        if matches!(self.state, State::Leaving { .. }) {
            return self.leave(out);
        }
        self.so_far = Some(Trouble::Silent);
        self.next_hop(now, ids, out);
    }

    /// The stream to `remote` is gone. A registrar that is bound by it may have no other way to us: soon, not
    /// at once, since it may be one that closes every stream when it has answered.
    pub fn on_flow_lost(&mut self, remote: SocketAddr, now: Instant, ids: &mut Ids) {
        let bound = self.binding.as_ref().map(|binding| &binding.hop);
        let is_lost = bound.is_some_and(|hop| hop.remote == remote && hop.transport.is_reliable());
        if let State::Waiting { until } = &mut self.state
            && is_lost
        {
            *until = (*until).min(now + share(FLOW_WAIT, FLOW_PERCENT, ids));
        }
    }

    /// Somebody who gave no answer gives one again. A registrar that was away may have forgotten us, and one
    /// that was silent is worth another round: soon, not with everybody else who waited for it. One that has
    /// refused is left alone.
    pub fn on_return(&mut self, now: Instant, ids: &mut Ids) {
        let has_refused = !matches!(self.trouble, None | Some(Trouble::Silent));
        if let State::Waiting { until } = &mut self.state
            && !has_refused
        {
            *until = (*until).min(now + share(RETURN_WAIT, FLOW_PERCENT, ids));
        }
    }

    /// Takes the binding back (RFC 3261 §10.2.2), where there is one or may be one.
    pub fn end(&mut self, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        let tried = self.attempt_mut().map(|attempt| (attempt.registrar.clone(), attempt.hop.clone()));
        let bound = self.binding.as_ref().filter(|binding| now < binding.until);
        let bound = bound.map(|binding| (binding.registrar.clone(), binding.hop.clone()));
        match (&self.state, bound.or(tried)) {
            (State::Leaving { .. } | State::Gone, _) => {}
            (_, None) => self.leave(out),
            (_, Some((registrar, hop))) => {
                let attempt =
                    Attempt { registrar, hop, tx: ids.client_tx(), silent_until: None, questions: 0 };
                self.expires_s = 0;
                self.send(&attempt, ids, out);
                self.state = State::Leaving { attempt };
            }
        }
    }

    fn begin_round(&mut self, out: &mut Vec<Action>) {
        self.so_far = None;
        self.resolve(self.account.registrars.iter().cloned().collect(), out);
    }

    fn resolve(&mut self, registrars: VecDeque<Uri>, out: &mut Vec<Action>) {
        let next_hop = self.account.proxy.as_ref().or(registrars.front());
        out.extend(next_hop.cloned().map(Action::Resolve));
        self.state = State::Resolving { registrars };
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one state, and what every step needs")]
    fn try_hop(
        &mut self,
        registrar: Uri,
        hop: Hop,
        hops: VecDeque<Hop>,
        registrars: VecDeque<Uri>,
        now: Instant,
        ids: &mut Ids,
        out: &mut Vec<Action>,
    ) {
        let is_last = hops.is_empty() && registrars.is_empty();
        let silent_until = (!is_last).then(|| now + SILENCE);
        let attempt = Attempt { registrar, hop, tx: ids.client_tx(), silent_until, questions: 0 };
        self.send(&attempt, ids, out);
        self.state = State::Trying { attempt, hops, registrars };
    }

    fn next_hop(&mut self, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        self.next_hop_or_wait(None, now, ids, out);
    }

    /// The next address; if none is left, waits, for as long as the last one has `told`.
    fn next_hop_or_wait(&mut self, told: Option<u32>, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        let State::Trying { attempt, hops, registrars } = &mut self.state else { return };
        let (mut hops, registrars) = (std::mem::take(hops), std::mem::take(registrars));
        match hops.pop_front() {
            Some(hop) => {
                let registrar = attempt.registrar.clone();
                self.try_hop(registrar, hop, hops, registrars, now, ids, out);
            }
            None if registrars.is_empty() => {
                self.fail(self.so_far.unwrap_or(Trouble::Silent), told, now, ids, out);
            }
            None => self.resolve(registrars, out),
        }
    }

    fn send_again(&mut self, ids: &mut Ids, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempt_mut() else { return };
        attempt.tx = ids.client_tx();
        let attempt = attempt.clone();
        self.send(&attempt, ids, out);
    }

    fn send(&mut self, attempt: &Attempt, ids: &mut Ids, out: &mut Vec<Action>) {
        self.cseq += 1;
        let address = &self.account.address;
        let request = RequestBuilder::new(Method::Register, &attempt.registrar)
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("<{address}>;tag={}", self.tag))
            .header(Name::To, format_args!("<{address}>"))
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{} REGISTER", self.cseq))
            .header(Name::Contact, self.contact(attempt))
            .header(Name::Expires, self.expires_s)
            .header(Name::Supported, "path");
        let request = match self.account.proxy.as_ref().filter(|proxy| proxy.is_loose_router()) {
            Some(proxy) => request.header(Name::Route, format_args!("<{proxy}>")),
            None => request,
        };
        let credentials = Some(&self.account.credentials);
        let answers = self.answers.write(credentials, Method::Register, &attempt.registrar, &[], ids);
        let request = answers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        out.push(Action::Send { tx: attempt.tx, hop: attempt.hop.clone(), draft: request.no_body() });
    }

    fn contact(&self, attempt: &Attempt) -> String {
        let (user, sent_by) = (&self.account.contact_user, &attempt.hop.sent_by);
        let expires = self.expires_s;
        match (attempt.registrar.scheme, attempt.hop.transport) {
            (Scheme::Sips, _) => format!("<sips:{user}@{sent_by}>;expires={expires}"),
            (Scheme::Sip | Scheme::Tel, Transport::Udp) => {
                format!("<sip:{user}@{sent_by}>;expires={expires}")
            }
            (Scheme::Sip | Scheme::Tel, transport @ (Transport::Tcp | Transport::Tls)) => {
                format!("<sip:{user}@{sent_by};transport={}>;expires={expires}", transport.param())
            }
        }
    }

    /// Whether the challenge is of the realm that the credentials are for.
    fn is_ours(&self, response: &Message) -> bool {
        let is_it = |realm: &String| challenge_of(response).is_some_and(|asked| asked.realm == *realm);
        self.account.realm.as_ref().is_none_or(is_it)
    }

    /// Asks for what a 423 demands; false when that is no more than was asked for, or absurd.
    fn raise_expiry(&mut self, response: &Message) -> bool {
        let least = min_expires(response).filter(|least| (self.expires_s + 1..=LONGEST_S).contains(least));
        self.expires_s = least.unwrap_or(self.expires_s);
        least.is_some()
    }

    fn on_success(&mut self, response: &Message, now: Instant, ids: &mut Ids, out: &mut Vec<Action>) {
        let State::Trying { attempt, .. } = &self.state else { return };
        let (registrar, hop) = (attempt.registrar.clone(), attempt.hop.clone());
        let expires_s = granted(response, &self.account.contact_user, self.expires_s).min(LONGEST_S);
        self.answers.accept();
        if expires_s == 0 {
            return self.fail(Trouble::NotBound, None, now, ids, out);
        }
        let expires = Duration::from_secs(expires_s.into());
        let routes = service_routes(response);
        self.binding = Some(Binding { registrar, hop, until: now + expires, routes });
        self.failures = 0;
        self.trouble = None;
        let refresh = share(expires, REFRESH_PERCENT, ids).max(SOONEST_REFRESH);
        self.state = State::Waiting { until: now + refresh };
        self.report(Status::Registered, out);
    }

    /// Waits before the next round (RFC 5626 §4.5): the longer the more rounds failed, or for as long as it
    /// was `told`.
    fn fail(
        &mut self,
        trouble: Trouble,
        told: Option<u32>,
        now: Instant,
        ids: &mut Ids,
        out: &mut Vec<Action>,
    ) {
        self.trouble = Some(trouble);
        self.failures = self.failures.saturating_add(1);
        let doubled = BASE_WAIT.saturating_mul(1 << self.failures.min(8));
        let wait = share(doubled.min(LONGEST_WAIT), WAIT_PERCENT, ids);
        let told = Duration::from_secs(told.unwrap_or(0).min(LONGEST_TOLD_S).into());
        self.state = State::Waiting { until: now + wait.max(told) };
        if self.binding.is_none() {
            self.report(Status::Failed, out);
        }
    }

    fn leave(&mut self, out: &mut Vec<Action>) {
        self.binding = None;
        self.state = State::Gone;
        self.report(Status::Unregistered, out);
    }

    fn report(&mut self, status: Status, out: &mut Vec<Action>) {
        if self.status != status {
            self.status = status;
            out.push(Action::Changed(status));
        }
    }

    fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.state {
            State::Trying { attempt, .. } | State::Leaving { attempt } => Some(attempt),
            State::Waiting { .. } | State::Resolving { .. } | State::Gone => None,
        }
    }
}

/// A random part of `whole`, in per cent, so that what began together does not come back together.
fn share(whole: Duration, percent: RangeInclusive<u32>, ids: &mut Ids) -> Duration {
    let span = u64::from(percent.end() - percent.start()) * 10 + 1;
    let drawn = u32::try_from(ids.random() % span).unwrap_or(0);
    whole * (percent.start() * 10 + drawn) / 1_000
}

/// An address that gives no response for this long is left for the next one.
const SILENCE: Duration = Duration::from_secs(4);
/// When a binding is renewed, of the time granted: early enough for several rounds to fail before it expires.
const REFRESH_PERCENT: RangeInclusive<u32> = 65..=75;
/// Whatever was granted.
const SOONEST_REFRESH: Duration = Duration::from_secs(5);
/// RFC 5626 §4.5: base-time, max-time, and which part of the time so reckoned is waited.
const BASE_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1_800);
const WAIT_PERCENT: RangeInclusive<u32> = 50..=100;
/// How long a stream that is gone is borne with, or somebody who is back is spared, and which part of it.
const FLOW_WAIT: Duration = Duration::from_secs(20);
const RETURN_WAIT: Duration = Duration::from_secs(5);
const FLOW_PERCENT: RangeInclusive<u32> = 10..=100;
/// The most that a Retry-After can say.
const LONGEST_TOLD_S: u32 = 3_600;
/// The longest binding.
const LONGEST_S: u32 = 604_800;
/// Questions of one address that are answered: two challenges, an expiry, and a nonce that went stale
/// meanwhile.
const MAX_QUESTIONS: u8 = 4;
/// More addresses of one registrar than this are not tried.
const MAX_ADDRESSES: usize = 8;

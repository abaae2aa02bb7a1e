//! Reaching the callee: targets in order, the addresses of each, and when to go on to the next.
//!
//! A target is given up on a transport error, on silence, or on 408, 500, 502, 503 and 504 before any 18x; on
//! nothing else, because a callee that declined must not be rung through a second gateway. The abandoned
//! INVITE is cancelled and watched until its transaction ends.

use std::sync::Arc;

use crate::id::{LegId, PeerId};
use crate::routing::Kind;
use crate::routing::config::DigitsBy;
use crate::routing::limits::Verdict;
use crate::rtp::leg::{ReserveError, Reserved, Side, Way};
use crate::sdp::build::Local;
use crate::sdp::codec::{Codec, Payload};
use crate::sdp::crypto::{Policy, Protection};
use crate::sdp::exchange::Exchange;
use crate::sdp::negotiate;
use crate::sip::reason::Reason;
use crate::sip::uri::Host;

use super::attempt::{Attempt, DTMF_PAYLOAD_TYPE, Extra, Identity, Progress};
use super::auth::Answers;
use super::contract::{Action, Cx, Hop};
use super::failure::Failure;
use super::interwork::{self, late_offer::codecs_from};
use super::{Call, State};

impl Call {
    /// Goes on, or waits and tells the caller so: a 182 keeps it from giving up (RFC 3261 §21.1.4).
    pub(super) fn on_admission(&mut self, verdict: Verdict, cx: &mut Cx<'_>) {
        if self.state != State::Resolving {
            return;
        }
        match verdict {
            Verdict::Admitted => self.next_target(cx),
            Verdict::Queued if self.is_caller_answered() => {}
            Verdict::Queued => {
                let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, None, cx);
                self.provisional(182, headers, None, cx);
            }
            Verdict::Refused(full) => self.callee_failed(Failure::full(&full), cx),
        }
    }

    /// Asks for the addresses of the next target, or tells the caller that none is left.
    pub(super) fn next_target(&mut self, cx: &mut Cx<'_>) {
        if let Some(hop) = self.hops.pop_front() {
            return self.reach(hop, cx);
        }
        match self.targets.pop_front() {
            Some(target) => {
                cx.out.push(Action::Resolve(target.next_hop.clone()));
                self.target = Some(Arc::new(target));
                self.state = State::Resolving;
            }
            None => self.next_resting(cx),
        }
    }

    /// Tries what failed lately, since nothing else is left: it may be well again, and
    /// nobody else will say so.
    fn next_resting(&mut self, cx: &mut Cx<'_>) {
        if let Some((target, hop)) = self.resting.pop_front() {
            self.target = Some(target);
            return self.reach(hop, cx);
        }
        let failure = self.failure.take().unwrap_or_else(Failure::unreachable);
        self.callee_failed(failure, cx);
    }

    /// Takes the addresses of the target asked for last.
    pub(super) fn on_targets(&mut self, hops: Vec<Hop>, resting: Vec<Hop>, cx: &mut Cx<'_>) {
        if self.state == State::Resolving {
            self.hops = hops.into_iter().take(MAX_ADDRESSES).collect();
            let resting = resting.into_iter().take(MAX_ADDRESSES);
            self.resting.extend(resting.filter_map(|hop| Some((self.target.clone()?, hop))));
            self.next_target(cx);
        }
    }

    /// Tries one address; media ports come first, since the INVITE names them. A caller that was told its own
    /// keeps them, and so does its callee, unless that is reached by another address of ours than the last.
    fn reach(&mut self, hop: Hop, cx: &mut Cx<'_>) {
        let callee = Way { interface: hop.interface, peer: hop.remote.ip() };
        let is_told = self.caller.exchange.local.last().is_some();
        let family = |way: Way| way.peer.to_canonical().is_ipv4();
        let is_alike = |way: Way| (way.interface, family(way)) == (callee.interface, family(callee));
        if self.reserved.is_some_and(|(way, _)| way == callee || is_told && is_alike(way)) {
            return self.invite(hop, cx);
        }
        self.state = State::Resolving;
        let caller = (!is_told).then(|| self.caller.media_way());
        cx.out.push(Action::ReserveMedia { caller, callee });
        self.hops.push_front(hop);
    }

    /// Takes the ports that [`Self::reach`] asked for.
    pub(super) fn on_media(&mut self, media: Result<Reserved, ReserveError>, cx: &mut Cx<'_>) {
        if self.state == State::Over {
            return;
        }
        let Some(hop) = self.hops.pop_front() else { return };
        match media {
            Ok(reserved) => {
                let way = Way { interface: hop.interface, peer: hop.remote.ip() };
                self.reserved = Some((way, reserved));
                self.caller.exchange.local.rtp = reserved.caller;
                self.invite(hop, cx);
            }
            Err(error @ ReserveError::NoFamily { side: Side::Callee }) => {
                self.failure.get_or_insert_with(|| Failure::no_media(&error));
                self.next_target(cx);
            }
            Err(error) => self.fail(Failure::no_media(&error), cx),
        }
    }

    /// Sends the INVITE of a fresh attempt to `hop`, unless keys that its peer requires
    /// could be read on the way.
    fn invite(&mut self, hop: Hop, cx: &mut Cx<'_>) {
        match cx.routes.peer(self.plan.callee).media.srtp_over(hop.transport) {
            Some(policy) => self.invite_under(policy, hop, cx),
            None => self.next_target(cx),
        }
    }

    /// Asks the callee of attempt `index` again without encryption, when it refused with `code` what had been
    /// offered to it with; false when that is not what it may have meant.
    pub(super) fn invite_without_srtp(&mut self, index: usize, code: u16, cx: &mut Cx<'_>) -> bool {
        let attempt = &self.attempts[index];
        if attempt.exchange.policy() != Policy::Offer || !matches!(code, 400 | 415 | 488) {
            return false;
        }
        let hop = attempt.hop.clone();
        self.clear_callee(cx);
        self.invite_under(Policy::Off, hop, cx);
        true
    }

    fn invite_under(&mut self, policy: Policy, hop: Hop, cx: &mut Cx<'_>) {
        let (Some((_, reserved)), Some(target)) = (self.reserved, self.target.clone()) else { return };
        let leg = LegId(u16::try_from(self.attempts.len() + 1).unwrap_or(u16::MAX));
        let peer = self.plan.callee;
        let codecs = self.still_possible(self.codecs_for_callee(cx));
        let local = Local::new(cx.ids.random() >> 1, reserved.callee);
        let mut exchange = Exchange::new(local, Protection::new(policy, |suite| cx.ids.master_key(suite)));
        exchange.takes_events = cx.routes.peer(peer).profile.dtmf == DigitsBy::Events;
        exchange.offer(codecs, Some(DTMF_PAYLOAD_TYPE));
        let tag = cx.ids.tag(self.id, leg);
        let identity =
            Identity { call_id: cx.ids.call_id(), from: self.caller_identity(&hop, &tag), cseq: 1 };
        let mut attempt = Attempt {
            leg,
            peer,
            target,
            hop,
            identity,
            tx: cx.ids.client_tx(),
            invite: None,
            progress: Progress::Pending { alerted: false },
            early: Vec::new(),
            dialog: None,
            flow: None,
            exchange,
            work: interwork::Leg::default(),
            answers: Answers::default(),
            authorization: Vec::new(),
            ack: None,
            forks: Vec::new(),
            goodbyes: Vec::new(),
            open: Vec::new(),
            code: 0,
        };
        self.send_invite(&mut attempt, cx);
        let silent_until = Some(Attempt::silent_until(self.is_last_target(), cx));
        self.answer_by = cx.routes.peer(peer).answer_timeout.map(|timeout| cx.now + timeout);
        self.attempts.push(attempt);
        self.state = State::Calling { attempt: self.attempts.len() - 1, silent_until };
    }

    /// The codecs that the callee is offered: what the caller has; both if it did not say yet. What the
    /// callee wants first goes before what the caller does.
    pub(super) fn codecs_for_callee(&self, cx: &Cx<'_>) -> Vec<Payload> {
        let [callee, from] = [self.plan.callee, self.caller.peer].map(|peer| cx.routes.peer(peer));
        let first = callee.media.first_codec.or(from.media.first_codec);
        let caller = &self.caller.exchange;
        let offered = caller.offered().and_then(|offer| negotiate::offered(offer).ok());
        let known = offered.or(caller.agreed().map(|agreed| &agreed.audio));
        let unsaid = first.unwrap_or(Codec::Pcmu);
        match (known, callee.kind) {
            (Some(audio), Kind::Retell) => negotiate::codecs_for_retell(audio, first),
            (Some(audio), Kind::Trunk) => negotiate::codecs_for_trunk(audio, first),
            (None, Kind::Retell) => vec![unsaid.offered()],
            (None, Kind::Trunk) => codecs_from(unsaid),
        }
    }

    /// Sends the INVITE of `attempt` as its identity stands, with credentials when it was challenged.
    pub(super) fn send_invite(&self, attempt: &mut Attempt, cx: &mut Cx<'_>) {
        let headers = self.headers_toward(attempt.peer, &attempt.hop.sent_by, Some(&self.caller.invite), cx);
        let sdp = attempt.exchange.local.last().unwrap_or_default();
        let received = self.caller.invite.max_forwards().ok().flatten();
        let extra = Extra {
            max_forwards: received.map_or(70, |hops| hops.saturating_sub(1)),
            headers: &headers,
            sdp: &sdp,
        };
        attempt.send_invite(&extra, cx);
    }

    /// The headers of `source` that pass toward `peer`, and those that rules add.
    pub(super) fn headers_toward(
        &self,
        peer: PeerId,
        sent_by: &str,
        source: Option<&crate::sip::message::Message>,
        cx: &Cx<'_>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        cx.routes.headers(peer, source, &self.caller.invite, &self.plan, self.id, host_of(sent_by))
    }

    /// Gives the current attempt up because of `failure` and goes on to the next target.
    pub(super) fn give_up_target(&mut self, index: usize, failure: Option<Failure>, cx: &mut Cx<'_>) {
        self.abandon(index, None, cx);
        if failure.is_some() {
            self.failure = failure;
        }
        self.clear_callee(cx);
        self.next_target(cx);
    }

    /// The relay forgets who was last heard on the callee's side.
    pub(super) fn clear_callee(&self, cx: &mut Cx<'_>) {
        cx.out.push(Action::ClearCallee { leg: self.last_heard() });
    }

    /// Whether nobody is left to be tried after the current attempt.
    pub(super) fn is_last_target(&self) -> bool {
        let has_address = !self.hops.is_empty() || !self.resting.is_empty();
        !has_address && self.targets.is_empty() && self.fallbacks.is_empty()
    }

    /// Cancels an attempt that has no final response yet and leaves it to its transaction.
    pub(super) fn abandon(&mut self, index: usize, reason: Option<Reason>, cx: &mut Cx<'_>) {
        let attempt = &mut self.attempts[index];
        if matches!(attempt.progress, Progress::Pending { .. }) {
            attempt.progress = Progress::Abandoned;
            if attempt.open.contains(&attempt.tx) {
                cx.out.push(Action::Cancel { tx: attempt.tx, reason });
            }
        }
    }

    /// From toward the callee, at our own address: the other leg's must not show, and
    /// peers match trunks by it.
    fn caller_identity(&self, hop: &Hop, tag: &str) -> String {
        let host = host_of(&hop.sent_by).trim_matches(['[', ']']);
        let host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Ip);
        let mut from = self.plan.from_header(host, None);
        from.params.push(("tag".into(), Some(tag.into())));
        from.to_string()
    }
}

/// `host` of `host:port`, brackets kept.
pub(super) fn host_of(sent_by: &str) -> &str {
    match sent_by.rfind(':') {
        Some(colon) if !sent_by[colon..].contains(']') => &sent_by[..colon],
        _ => sent_by,
    }
}

/// More addresses of one target than this are not tried: the caller would wait for minutes.
const MAX_ADDRESSES: usize = 8;

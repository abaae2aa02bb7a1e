//! Session timers (RFC 4028), in both roles, each leg for itself.
//!
//! We refresh where the choice is ours, by UPDATE where the peer's Allow has it, else by a re-INVITE that
//! changes nothing. A refresh that gets 408, 481 or no answer ends the call on both legs, with a Reason; so
//! does a peer that was to refresh and did not. 422 in either direction raises the interval. Profile
//! `session_timer`: `terminate`, we take part where the peer asks; `force`, we ask for one
//! (`session_expires_s`), and refresh even for a peer that knows none; `strip`, none is taken part in, as
//! toward Retell, whose endpoint knows none.

use std::time::{Duration, Instant};

use super::reinvite::glare_delay;
use super::{Headers, supported};
use crate::call::Call;
use crate::call::admit::Refused;
use crate::call::caller::SDP;
use crate::call::contract::Cx;
use crate::call::party::{Asked, Outcome, Purpose, Question};
use crate::id::LegId;
use crate::routing::config::{Profile, Treatment};
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::session_timer::{
    Due, OPTION_TAG, Policy, Refresher, SessionExpires, SessionTimer, granted, min_se_of,
};

/// What a leg remembers.
#[derive(Debug, Default)]
pub(in crate::call) struct State {
    timer: Option<SessionTimer>,
    /// What the last 422 asked for, as Min-SE of what we send.
    min_se: Option<u32>,
    /// How often it was raised.
    raised: u8,
    /// What our INVITE asked for.
    asked: Option<u32>,
}

impl State {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timer.as_ref().map(SessionTimer::next_deadline)
    }

    pub(super) fn stop(&mut self) {
        self.timer = None;
    }

    /// What our INVITE says of it.
    pub(in crate::call) fn asks(&mut self, profile: Profile) -> Headers {
        let forced = profile.session_timer == Treatment::Force;
        let least = self.min_se.filter(|_| profile.session_timer != Treatment::Strip);
        self.asked = forced.then_some(profile.session_expires_s).max(least);
        self.headers(self.asked, None)
    }

    /// A 422 to our INVITE: true when it goes again with the interval that it asks for.
    pub(in crate::call) fn raise(&mut self, response: &Message) -> bool {
        let wanted = min_se_of(response);
        let higher = self.raised < MAX_RAISES && self.min_se.is_none_or(|before| before < wanted);
        if higher {
            self.raised += 1;
            self.min_se = Some(wanted);
        }
        higher
    }

    fn headers(&self, seconds: Option<u32>, refresher: Option<Refresher>) -> Headers {
        let expires =
            seconds.map(|seconds| (Name::SessionExpires, SessionExpires { seconds, refresher }.to_string()));
        let least = self.min_se.map(|least| (Name::MinSe, least.to_string()));
        expires.into_iter().chain(least).collect()
    }
}

impl Call {
    /// What our 200 to the caller's INVITE says of its session timer, which begins with it.
    pub(in crate::call) fn grant_to_caller(&mut self, cx: &Cx<'_>) -> Headers {
        let Some(policy) = policy(self.profile(LegId::CALLER, cx)) else { return Vec::new() };
        let grant = granted(&self.caller.invite, policy, None).ok().flatten();
        self.caller.work.session_timer.timer = grant.map(|grant| SessionTimer::of_uas(grant, cx.now));
        said(grant)
    }

    /// The callee's 2xx to our INVITE.
    pub(in crate::call) fn start_timer_of_callee(&mut self, leg: LegId, response: &Message, cx: &Cx<'_>) {
        let taken = policy(self.profile(leg, cx)).is_some();
        if let Some(party) = self.party(leg).filter(|_| taken) {
            let state = &mut party.work.session_timer;
            state.timer = SessionTimer::of_uac(response, state.asked, cx.now);
        }
    }

    /// What our 200 to a re-INVITE or UPDATE of `leg` says of its session timer.
    ///
    /// # Errors
    ///
    /// When the peer asks for too short an interval.
    pub(super) fn grant_refresh(
        &mut self,
        leg: LegId,
        request: &Message,
        cx: &Cx<'_>,
    ) -> Result<Headers, Refused> {
        let Some(policy) = policy(self.profile(leg, cx)) else { return Ok(Vec::new()) };
        let Some(party) = self.party(leg) else { return Ok(Vec::new()) };
        let grant = granted(request, policy, party.work.session_timer.timer.as_ref());
        Ok(said(grant.map_err(|_| Refused::Interval(policy.min_se_s))?))
    }

    /// The same request was answered with 200: its session begins anew.
    pub(super) fn renew(&mut self, leg: LegId, request: &Message, cx: &Cx<'_>) {
        let Some(policy) = policy(self.profile(leg, cx)) else { return };
        let Some(party) = self.party(leg) else { return };
        let timer = &mut party.work.session_timer.timer;
        let grant = granted(request, policy, timer.as_ref()).ok().flatten();
        *timer = grant.map(|grant| SessionTimer::of_uas(grant, cx.now));
    }

    pub(super) fn session_timer_due(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        let Some(party) = self.party(leg) else { return };
        match party.work.session_timer.timer.as_mut().and_then(|timer| timer.on_deadline(cx.now)) {
            None => {}
            Some(Due::Refresh) => self.refresh(leg, cx),
            Some(Due::Ended) => self.end_dead_leg(leg, "Session expired", "let its session expire", cx),
        }
    }

    /// Refreshes the session of `leg`, or tries again soon when another offer is being answered.
    fn refresh(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        let profile = self.profile(leg, cx);
        let Some(mut party) = self.party(leg) else { return };
        let by_update = party.work.takes_update && profile.update != Treatment::Strip;
        let busy = party.work.is_asking(Method::Invite) || party.exchange.awaits_answer();
        let body = if by_update || busy { None } else { party.exchange.offer_again() };
        let state = &mut party.work.session_timer;
        let Some(timer) = &mut state.timer else { return };
        if !by_update && body.is_none() {
            return timer.retry_at(cx.now + SOON);
        }
        let seconds = timer.seconds().max(state.min_se.unwrap_or_default());
        let mut headers = state.headers(Some(seconds), Some(Refresher::Uac));
        headers.extend(supported(profile).map(|tags| (Name::Supported, tags)));
        headers.push((Name::Allow, super::allow(profile)));
        let method = if by_update { Method::Update } else { Method::Invite };
        let body = body.map(|body| (SDP, body));
        party.ask(Question { method, purpose: Purpose::Refresh, headers, body }, cx);
    }

    /// A refresh of ours ended.
    pub(in crate::call) fn on_refreshed(
        &mut self,
        leg: LegId,
        asked: &Asked,
        outcome: Outcome<'_>,
        cx: &mut Cx<'_>,
    ) {
        if asked.question.method == Method::Invite {
            self.on_reinvite_outcome(leg, outcome, cx);
        }
        if outcome.ends_dialog() {
            return self.end_dead_leg(
                leg,
                "Session refresh failed",
                "did not answer our session refresh",
                cx,
            );
        }
        let Outcome::Answered(response) = outcome else { return };
        let glare = cx.now + glare_delay(leg, cx.ids);
        let Some(party) = self.party(leg) else { return };
        let work = party.work;
        let Some(timer) = &mut work.session_timer.timer else { return };
        match response.status() {
            Some(200..=299) => {
                party.dialog.refresh_target(response);
                let seconds = Some(timer.seconds());
                work.session_timer.timer = SessionTimer::of_uac(response, seconds, cx.now);
                work.learn(response);
            }
            Some(422) => {
                let raised = work.session_timer.raise(response);
                let wait = if raised { Duration::ZERO } else { LATER };
                if let Some(timer) = &mut work.session_timer.timer {
                    timer.retry_at(cx.now + wait);
                }
            }
            Some(405 | 501) if asked.question.method == Method::Update => {
                timer.retry_at(cx.now);
                work.takes_update = false;
            }
            Some(491) => timer.retry_at(glare),
            Some(_) | None => {
                let wait =
                    response.retry_after().map_or(LATER, |seconds| Duration::from_secs(seconds.into()));
                timer.retry_at(cx.now + wait);
            }
        }
    }
}

/// How session timers are dealt with; `None` is not at all.
pub(in crate::call) fn policy(profile: Profile) -> Option<Policy> {
    let forced = match profile.session_timer {
        Treatment::Strip => return None,
        Treatment::Force => true,
        Treatment::Pass | Treatment::Terminate => false,
    };
    Some(Policy { expires_s: profile.session_expires_s, min_se_s: profile.min_se_s, forced })
}

/// The headers of a 2xx that grants it: a UAC that is to refresh must know that it is.
fn said(grant: Option<SessionExpires>) -> Headers {
    let Some(grant) = grant else { return Vec::new() };
    let mut headers = vec![(Name::SessionExpires, grant.to_string())];
    if grant.refresher == Some(Refresher::Uac) {
        headers.push((Name::Require, OPTION_TAG.to_owned()));
    }
    headers
}

/// When a refresh is tried again that another offer stood in the way of.
const SOON: Duration = Duration::from_secs(1);
/// When one is that was refused for now.
const LATER: Duration = Duration::from_secs(10);
/// A peer that asks for a longer interval once more than this is not followed.
const MAX_RAISES: u8 = 3;

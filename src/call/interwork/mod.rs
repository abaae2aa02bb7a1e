//! One file for each thing that a peer may do inside a call and that is absorbed on its
//! leg, never passed across.
//!
//! A feature's whole behaviour stands in its file, and every file has the same shape, so that
//! the next one is obvious:
//!
//! 1. the head: its RFC, and what each word of the peer's profile (`[….profile]`) makes of it;
//! 2. `State`: what one leg remembers of it, a field of [`Leg`], if there is anything to remember;
//! 3. `impl Call`: `on_…` for what arrives, `…_due` for what is due (called by [`Call::interwork_due`]), and
//!    what others call to have it done;
//! 4. what is no part of a call, and the constants.
//!
//! A new feature is a file, a field of [`Leg`], a key of the profile, and a line in [`Call::interwork_due`]
//! if it waits for anything. What is pure protocol (who refreshes a session, which RSeq is next, what an
//! answer agrees to) stands in `sip` and `sdp`.
//!
//! What concerns both legs is no feature of one and stands elsewhere in `call`: forks in `callee`, CANCEL in
//! `cancel`, Reason in `reason`, failure codes and carriers' hints in `failure` and `hints`, the next callee
//! in `fallback`. A session description among other parts of a body is found by `sip::multipart`.

pub(super) mod aside;
pub(super) mod dtmf;
pub(super) mod early_media;
pub(super) mod hold;
pub(super) mod keepalive;
pub(super) mod late_offer;
pub(super) mod prack;
pub(super) mod reinvite;
pub(super) mod ringback;
pub(super) mod session_timer;
pub(super) mod update;

use std::time::Instant;

use crate::id::LegId;
use crate::routing::config::{Profile, Treatment};
use crate::sip::build::ResponseBuilder;
use crate::sip::flow::Flow;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};
use crate::sip::reason::Reason;

use super::contract::Cx;
use super::party::Asked;
use super::{Call, State};

/// What one leg remembers.
#[derive(Debug, Default)]
pub(super) struct Leg {
    /// Our requests inside its dialog that wait for their final response.
    pub(super) asked: Vec<Asked>,
    /// Whether its last Allow had UPDATE.
    pub(super) takes_update: bool,
    pub(super) reinvite: reinvite::State,
    pub(super) prack: prack::State,
    pub(super) ringback: ringback::State,
    pub(super) session_timer: session_timer::State,
    pub(super) keepalive: keepalive::State,
}

impl Leg {
    /// Reads off a message of the peer what it takes.
    pub(super) fn learn(&mut self, message: &Message) {
        if message.value(Name::Allow).is_some() {
            self.takes_update = message.has_token(Name::Allow, "UPDATE");
        }
    }

    /// Whether a request of ours with `method` is out.
    pub(super) fn is_asking(&self, method: Method<'_>) -> bool {
        self.asked.iter().any(|asked| asked.question.method == method)
    }

    fn next_deadline(&self) -> Option<Instant> {
        [
            self.reinvite.next_deadline(),
            self.prack.next_deadline(),
            self.session_timer.next_deadline(),
            self.keepalive.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The call is over: nothing is repeated or begun any more.
    pub(super) fn stop(&mut self) {
        let Self { asked: _, takes_update: _, ringback: _, reinvite, prack, session_timer, keepalive } = self;
        reinvite.stop();
        prack.stop();
        session_timer.stop();
        keepalive.stop();
    }
}

impl Call {
    /// When something of this is due on either leg.
    pub(super) fn interwork_deadline(&self) -> Option<Instant> {
        let callee = match self.state {
            State::Answered { attempt } => self.attempts[attempt].work.next_deadline(),
            State::Resolving | State::Calling { .. } | State::Over => None,
        };
        [self.caller.work.next_deadline(), callee].into_iter().flatten().min()
    }

    /// Does what is due on either leg.
    pub(super) fn interwork_due(&mut self, cx: &mut Cx<'_>) {
        self.prack_due(cx);
        for leg in [Some(LegId::CALLER), self.answered_leg()].into_iter().flatten() {
            if self.party(leg).is_none() {
                self.stop_dialog_timers(leg);
            }
            self.reinvite_due(leg, cx);
            self.session_timer_due(leg, cx);
            self.keepalive_due(leg, cx);
        }
    }

    /// The dialog of `leg` is gone: what is left of its deadlines would be due for ever.
    fn stop_dialog_timers(&mut self, leg: LegId) {
        let work = match self.attempt_mut(leg) {
            Some(callee) => &mut callee.work,
            None => &mut self.caller.work,
        };
        work.reinvite.stop();
        work.session_timer.stop();
        work.keepalive.stop();
    }

    /// What this peer may do.
    pub(super) fn profile(&self, leg: LegId, cx: &Cx<'_>) -> Profile {
        cx.routes.peer(self.peer(leg).unwrap_or(self.plan.callee)).profile
    }

    /// Nobody is there at `leg` any more: whoever is next takes the place of an agent, else the call ends,
    /// and `text` goes with the BYEs.
    pub(super) fn end_dead_leg(&mut self, leg: LegId, text: &str, why: &str, cx: &mut Cx<'_>) {
        let name = self.peer(leg).map_or("the peer", |peer| &cx.routes.peer(peer).name);
        let sentence = format!("{name} {why}");
        match self.state {
            State::Answered { attempt } if leg != LegId::CALLER && !self.fallbacks.is_empty() => {
                self.agent_lost(attempt, &sentence, cx);
            }
            _ => self.end_answered_with(&sentence, Reason::sip(408, text), cx),
        }
    }

    /// A request of `leg` is answered with 2xx: its Contact and its Allow count from here on.
    pub(super) fn refresh_target(&mut self, leg: LegId, request: &Message) {
        if let Some(dialog) = self.dialog_mut(leg, request) {
            dialog.refresh_target(request);
        }
        match self.attempt_mut(leg) {
            Some(callee) => callee.work.learn(request),
            None => self.caller.work.learn(request),
        }
    }

    /// Begins a 200 to a request inside the dialog of `leg` that may refresh its target.
    pub(super) fn ok(&self, leg: LegId, request: &Message, flow: Flow, cx: &Cx<'_>) -> ResponseBuilder {
        let profile = self.profile(leg, cx);
        let contact = match self.attempt(leg) {
            Some(callee) => callee.contact(),
            None => self.caller.contact.clone(),
        };
        let ok = ResponseBuilder::new(request, 200, "", None, flow.remote)
            .header(Name::Contact, contact)
            .header(Name::Allow, allow(profile));
        supported(profile).into_iter().fold(ok, |ok, tags| ok.header(Name::Supported, tags))
    }

    /// The leg of whoever answered and is still there.
    pub(super) fn answered_leg(&self) -> Option<LegId> {
        match self.state {
            State::Answered { attempt } => Some(self.attempts[attempt].leg),
            State::Resolving | State::Calling { .. } | State::Over => None,
        }
    }
}

/// Headers of ours.
pub(super) type Headers = Vec<(Name, String)>;

pub(super) fn with(response: ResponseBuilder, headers: &Headers) -> ResponseBuilder {
    headers.iter().fold(response, |response, (name, value)| response.header(*name, value))
}

/// Value of Allow toward a peer with this profile.
pub(super) fn allow(profile: Profile) -> String {
    let mut allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO".to_owned();
    for (treatment, method) in [(profile.update, ", UPDATE"), (profile.prack, ", PRACK")] {
        if treatment != Treatment::Strip {
            allow += method;
        }
    }
    allow
}

/// The extensions that we have toward a peer with this profile.
pub(super) fn extensions(profile: Profile) -> impl Iterator<Item = &'static str> {
    let known = [
        (profile.prack, crate::sip::prack::OPTION_TAG),
        (profile.session_timer, crate::sip::session_timer::OPTION_TAG),
    ];
    known.into_iter().filter(|(treatment, _)| *treatment != Treatment::Strip).map(|(_, tag)| tag)
}

/// Value of Supported, if there is anything to be said.
pub(super) fn supported(profile: Profile) -> Option<String> {
    let tags: Vec<_> = extensions(profile).collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

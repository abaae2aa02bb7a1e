//! Ringback: what the caller hears while the other side rings (RFC 3960 §3.2, ITU-T E.180).
//!
//! A 180 is passed once, without a session description, so that the caller's own exchange rings. A caller
//! that has a description of ours listens to us: then the tone is ours to make, that of the country it
//! dialled, in place of silence, until real audio comes or somebody answers. It goes on from one callee to
//! the next, and begins when an agent is lost. Profile `ringback` of the caller's peer: `relay`, as told
//! here; `generate`, a 183 with our description takes the place of the 180, as far as one can be had: an
//! offer of ours only goes to a caller that acknowledges 18x.

use bytes::Bytes;

use crate::call::caller::Progress;
use crate::call::contract::{Action, Cx};
use crate::call::{Call, State as CallState};
use crate::id::LegId;
use crate::routing::config::Ringing;
use crate::rtp::leg::Side;
use crate::rtp::ringback::Ringback;
use crate::sdp::codec::Codec;
use crate::sip::message::Message;

/// What the caller's leg remembers.
#[derive(Debug, Default)]
pub(in crate::call) struct State {
    /// The tone was begun and not stopped since.
    sounds: bool,
}

impl Call {
    /// Somebody rings, as the 180 in `response` says, or soon will: the caller is told so once, and hears it.
    pub(in crate::call) fn on_ringing(&mut self, response: Option<&Message>, cx: &mut Cx<'_>) {
        if matches!(self.caller.progress, Progress::Pending) && !self.caller.alerted {
            self.caller.alerted = true;
            let headers = self.headers_toward(self.caller.peer, &self.caller.sent_by, response, cx);
            let generates = self.profile(LegId::CALLER, cx).ringback == Ringing::Generate;
            let is_described = self.caller.exchange.local.last().is_some();
            match generates.then(|| self.describe_for_ringing(cx)).flatten() {
                Some(sdp) => self.provisional(183, headers, Some(sdp), cx),
                None if generates && is_described => {}
                None => self.provisional(180, headers, None, cx),
            }
            cx.out.push(Action::Show(self.view()));
        }
        self.sound_ringback(cx);
    }

    /// Somebody answered.
    pub(in crate::call) fn stop_ringback(&mut self, cx: &mut Cx<'_>) {
        if std::mem::take(&mut self.caller.work.ringback.sounds) {
            cx.out.push(Action::Ring(Side::Caller, None));
        }
    }

    /// Our first session description for the caller, if it can have one before anybody answers.
    fn describe_for_ringing(&mut self, cx: &mut Cx<'_>) -> Option<Bytes> {
        let is_first = self.caller.exchange.local.last().is_none();
        if !is_first || self.reserved.is_none() || !self.may_describe_early(cx) {
            return None;
        }
        let codec = self.codec_to_expect(cx);
        let sdp = self.describe_to_caller(codec).ok()?;
        self.relay_as_agreed(LegId::CALLER, cx);
        Some(sdp)
    }

    /// What the callee described along with its ringing, else what it was offered first. If it takes another
    /// one in the end, the relay goes between the two.
    fn codec_to_expect(&self, cx: &Cx<'_>) -> Codec {
        let described = match self.state {
            CallState::Calling { attempt, .. } => self.attempts[attempt].agreed(),
            CallState::Resolving | CallState::Answered { .. } | CallState::Over => None,
        };
        let offered = || self.codecs_for_callee(cx).first().copied();
        described.map(|agreed| agreed.codec).or_else(offered).map_or(Codec::Pcmu, |payload| payload.codec)
    }

    fn sound_ringback(&mut self, cx: &mut Cx<'_>) {
        if self.caller.exchange.local.last().is_none() {
            return;
        }
        let country = cx.routes.country_of(&self.names.to, self.plan.trunk).unwrap_or_default();
        self.caller.work.ringback.sounds = true;
        cx.out.push(Action::Ring(Side::Caller, Some(Ringback::of_country(&country))));
    }
}

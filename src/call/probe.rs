//! Is a leg still there? OPTIONS inside its dialog (RFC 3261 §11, §12.2.1.2), every `options_s` and when its stream ended.
//!
//! A 481 or no answer ends the leg. A 200 proves nothing, least of all from what stands behind Retell, which answers every
//! OPTIONS so: silence of the audio is what tells there. So the regular probe is for the proxies and NATs on the way, which
//! forget who says nothing. A peer that cannot be reached anew may be behind a NAT and still be talking: of a trunk that is
//! left to the audio, too.

use std::time::{Duration, Instant};

use crate::id::{ClientTx, LegId};
use crate::routing::Kind;
use crate::sip::flow::ConnectionId;
use crate::sip::headers::Name;
use crate::sip::message::{Message, Method};

use super::attempt::Attempt;
use super::callee::Lost;
use super::caller::{self, SDP};
use super::contract::{Action, Cx, Destination};
use super::{Call, State, attempt};

/// The legs that are watched: those of the call in progress, two at most.
#[derive(Debug, Default)]
pub(super) struct Probes {
    legs: Vec<Probe>,
}

#[derive(Debug)]
struct Probe {
    leg: LegId,
    every: Option<Duration>,
    next: Option<Instant>,
    /// The OPTIONS that is out.
    out: Option<ClientTx>,
}

/// What came of an OPTIONS.
#[derive(Clone, Copy)]
pub(super) enum Probed {
    /// A final response with this code.
    Answered(u16),
    /// None.
    Lost(Lost),
}

impl Probes {
    /// Watches `leg` from `now` on.
    pub(super) fn watch(&mut self, leg: LegId, every: Option<Duration>, now: Instant) {
        self.drop(leg);
        self.legs.push(Probe { leg, every, next: every.map(|every| now + every), out: None });
    }

    /// The leg is gone.
    pub(super) fn drop(&mut self, leg: LegId) {
        self.legs.retain(|probe| probe.leg != leg);
    }

    /// The call is over.
    pub(super) fn clear(&mut self) {
        self.legs.clear();
    }

    /// When the next OPTIONS is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.legs.iter().filter_map(|probe| probe.next).min()
    }

    /// The leg whose OPTIONS `tx` was; it is not out any more.
    pub(super) fn take(&mut self, tx: ClientTx) -> Option<LegId> {
        let probe = self.legs.iter_mut().find(|probe| probe.out == Some(tx))?;
        probe.out = None;
        Some(probe.leg)
    }

    fn due(&mut self, now: Instant) -> Option<LegId> {
        let probe = self.legs.iter_mut().find(|probe| probe.next.is_some_and(|next| next <= now))?;
        probe.next = probe.every.map(|every| now + every);
        Some(probe.leg)
    }

    /// Notes that `tx` asks `leg`; false when it is not watched or was asked already.
    fn asks(&mut self, leg: LegId, tx: ClientTx) -> bool {
        let idle = self.legs.iter_mut().find(|probe| probe.leg == leg && probe.out.is_none());
        idle.is_some_and(|probe| {
            probe.out = Some(tx);
            true
        })
    }
}

impl Call {
    /// Watches both legs of a call that was answered by `attempt`.
    pub(super) fn watch_legs(&mut self, attempt: usize, cx: &Cx<'_>) {
        let callee = &self.attempts[attempt];
        let every = |peer| cx.routes.peer(peer).options;
        self.probes.clear();
        self.probes.watch(LegId::CALLER, every(self.caller.peer), cx.now);
        self.probes.watch(callee.leg, every(callee.peer), cx.now);
    }

    /// Asks whoever is due.
    pub(super) fn on_probe_deadline(&mut self, cx: &mut Cx<'_>) {
        while let Some(leg) = self.probes.due(cx.now) {
            self.probe(leg, cx);
        }
    }

    /// A stream ended: the leg that used it is asked whether it is still there.
    pub(super) fn on_stream_lost(&mut self, connection: ConnectionId, cx: &mut Cx<'_>) {
        let State::Answered { attempt } = self.state else { return };
        let callee = &self.attempts[attempt];
        let flows = [(LegId::CALLER, Some(self.caller.flow)), (callee.leg, callee.flow)];
        for (leg, flow) in flows {
            if flow.is_some_and(|flow| flow.connection == Some(connection)) {
                self.probe(leg, cx);
            }
        }
    }

    /// What became of the OPTIONS on `leg`.
    pub(super) fn on_probed(&mut self, leg: LegId, probed: Probed, cx: &mut Cx<'_>) {
        let (State::Answered { attempt }, Some(peer)) = (self.state, self.peer(leg)) else { return };
        let peer = cx.routes.peer(peer);
        let what = match probed {
            Probed::Answered(481) => "does not know the call any more (481)",
            Probed::Answered(408) | Probed::Lost(Lost::TimedOut) => {
                "does not answer inside the call any more"
            }
            Probed::Lost(Lost::Transport) if peer.kind == Kind::Retell => "cannot be reached any more",
            Probed::Answered(_) | Probed::Lost(Lost::Transport) => return,
        };
        let reason = format!("{} {what}", peer.name);
        if matches!(probed, Probed::Answered(481)) {
            self.forget_dialog(leg);
        }
        if leg == LegId::CALLER {
            self.end_answered(&reason, cx)
        } else {
            self.agent_lost(attempt, &reason, cx)
        }
    }

    fn probe(&mut self, leg: LegId, cx: &mut Cx<'_>) {
        let tx = cx.ids.client_tx();
        let (Some(peer), true) = (self.peer(leg), self.probes.asks(leg, tx)) else { return };
        let asked = if leg == LegId::CALLER {
            let uri = self.caller.dialog.next_hop().clone();
            let to = Destination::Dialog { uri, flow: self.caller.flow };
            Some((self.caller.dialog.request(Method::Options), to))
        } else {
            self.attempt_mut(leg).and_then(Attempt::options)
        };
        let Some((request, to)) = asked else { return };
        let draft = request.header(Name::Accept, SDP).no_body();
        cx.out.push(Action::Request { tx, leg, peer, draft, to });
    }

    /// The peer has no such dialog: a BYE would get 481, too.
    fn forget_dialog(&mut self, leg: LegId) {
        if leg == LegId::CALLER {
            self.caller.progress = caller::Progress::Closed;
        } else if let Some(callee) = self.attempt_mut(leg) {
            callee.progress = attempt::Progress::Closed;
        }
    }
}

impl Probed {
    /// The final response to an OPTIONS; `None` for a provisional one.
    pub(super) fn by(response: &Message) -> Option<Self> {
        response.status().filter(|&code| code >= 200).map(Self::Answered)
    }
}

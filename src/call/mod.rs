//! One call through the bridge: two legs, every attempt to reach the callee, and what each
//! event does to the other side.
//!
//! ```text
//!            targets          2xx             BYE, CANCEL, time-out …
//! Resolving ────────► Calling ────► Answered ─────────────────────────► Over ──► gone
//!     ▲                  │             │                                  ▲
//!     ├── next target ───┴─────────────┼─ refused, cancelled ─────────────┘
//!     └── fallback ── dead agent ──────┘
//! ```
//!
//! These are the callee's states. The caller's own are in `caller`: once answered it stays so while
//! another callee is tried.
//!
//! Pure: inputs come by [`Call::on`], what must happen is pushed to [`Cx::out`] in order, and what the call
//! needs to know (addresses, ports, counters) it asks for by an [`Action`] and gets as a later [`Input`]. A
//! call that is over has written its record but stays while anything of it is on the wire: an abandoned
//! INVITE may still be answered with 200, and that callee must get its ACK and BYE.

pub mod admit;
mod attempt;
mod auth;
mod callee;
mod caller;
mod cancel;
mod contract;
mod failover;
mod failure;
mod fallback;
mod finish;
mod goodbye;
mod hints;
mod in_dialog;
mod interwork;
mod leg_media;
mod party;
mod reason;
pub mod record;
mod timers;
pub mod timestamp;

pub use caller::{ALLOW, SDP};
pub use contract::{Action, Cx, Destination, Hop, Input, Offered, Settings};

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::id::{CallId, ClientTx, LegId, PeerId};
use crate::routing::config::DigitsBy;
use crate::routing::{Plan, Target};
use crate::rtp::leg::{Reserved, Way};
use crate::sdp::build::Local;
use crate::sdp::crypto::Protection;
use crate::sdp::exchange::Exchange;
use crate::sdp::session::Session;
use crate::sip::dialog::Dialog;
use crate::sip::flow::ConnectionId;
use crate::sip::headers::HeaderError;
use crate::sip::message::Message;

use attempt::Attempt;
use callee::Lost;
use caller::{Caller, contact, scheme_for};
use failure::Failure;
use record::{Direction, View};

/// One call; see the module for its states.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    direction: Direction,
    state: State,
    caller: Caller,
    attempts: Vec<Attempt>,
    plan: Plan,
    /// What is tried when the plan in force fails.
    fallbacks: VecDeque<Plan>,
    /// What became of the agent that answered, while another callee is tried in its place.
    lost_agent: Option<String>,
    targets: VecDeque<Target>,
    /// The target whose addresses were asked for, or are being tried.
    target: Option<Arc<Target>>,
    hops: VecDeque<Hop>,
    /// Addresses that failed lately, with their targets: tried last.
    resting: VecDeque<(Arc<Target>, Hop)>,
    reserved: Option<(Way, Reserved)>,
    failure: Option<Failure>,
    /// What peers said beside their codes about why the call failed or ended.
    hints: Vec<String>,
    answer_by: Option<Instant>,
    started_ms: i64,
    answered_ms: Option<i64>,
    names: Names,
}

/// What records and views call the two peers and the two parties, whoever takes the call in the end.
#[derive(Clone, Debug)]
struct Names {
    from: String,
    to: String,
    trunk: String,
    retell: String,
}

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Waiting for the addresses of the next target.
    Resolving,
    /// An INVITE is out, and this attempt may still win.
    Calling {
        /// Place in `attempts`.
        attempt: usize,
        /// When silence without any response makes us try the next target; `None` once something came.
        silent_until: Option<Instant>,
    },
    /// The callee answered and the caller was told so.
    Answered {
        /// Place in `attempts` of whoever answered.
        attempt: usize,
    },
    /// Ended for both sides.
    Over,
}

impl Call {
    /// Begins a call from an admitted INVITE with `offer`, if it made one: 100 at once, then the
    /// callee's turn is asked for.
    ///
    /// # Errors
    ///
    /// Names the header that no dialog can be formed with; nothing was sent.
    pub fn start(
        id: CallId,
        offered: Offered,
        offer: Option<Session>,
        cx: &mut Cx<'_>,
    ) -> Result<Self, HeaderError> {
        let call = Self::new(id, offered, offer, cx)?;
        call.caller.trying(cx);
        cx.out.push(Action::Show(call.view()));
        cx.out.push(Action::Admit(call.plan.callee));
        Ok(call)
    }

    /// Carries out what `input` does to the call.
    pub fn on(&mut self, input: Input, cx: &mut Cx<'_>) {
        match input {
            Input::Admission(verdict) => self.on_admission(verdict, cx),
            Input::Targets { hops, resting } => self.on_targets(hops, resting, cx),
            Input::Media(media) => self.on_media(media, cx),
            Input::Response { tx, message, flow } => self.on_response(tx, message, flow, cx),
            Input::TimedOut(tx) => self.on_client_failed(tx, Lost::TimedOut, cx),
            Input::TransportFailed(tx) => self.on_client_failed(tx, Lost::Transport, cx),
            Input::ClientGone(tx) => self.forget(tx),
            Input::Cancelled(cancel) => self.on_cancelled(&cancel, cx),
            Input::Request { leg, tx, message, flow } => self.on_request(leg, tx, &message, flow, cx),
            Input::Ack { leg, message } => self.on_ack(leg, &message, cx),
            Input::MediaCount(packets) => self.on_media_count(packets, cx),
            Input::OneWay(side, likely) => self.on_one_way(side, likely, cx),
            Input::MediaSilent(side) => self.on_media_silent(side, cx),
            Input::Digit { side, digit, duration } => self.on_digit(side, digit, duration, cx),
            Input::HangUp { reason, code } => self.hang_up(reason, code, cx),
            Input::StreamLost(connection) => self.on_stream_lost(connection, cx),
            Input::AckGivenUp => self.confirm_caller(cx),
            Input::Deadline => self.on_deadline(cx),
        }
    }

    /// The call's identity.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The configured peer that is called.
    #[must_use]
    pub fn callee(&self) -> PeerId {
        self.plan.callee
    }

    /// The INVITE that is out to `remote` by a stream and that nobody rang for yet.
    #[must_use]
    pub fn waits_by_stream(&self, remote: SocketAddr) -> Option<ClientTx> {
        let State::Calling { attempt, .. } = self.state else { return None };
        let attempt = &self.attempts[attempt];
        let waits = attempt.progress == attempt::Progress::Pending { alerted: false };
        (waits && attempt.hop.transport.is_reliable() && attempt.hop.remote == remote).then_some(attempt.tx)
    }

    /// The To-tag of our responses to the caller's INVITE.
    #[must_use]
    pub fn caller_tag(&self) -> &str {
        self.caller.dialog.local_tag()
    }

    /// Whether nothing of the call is left, so that it can be dropped.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == State::Over && self.caller.is_gone() && self.attempts.iter().all(Attempt::is_gone)
    }

    /// Whether the caller's BYE waits for its ACK.
    #[must_use]
    pub fn owes_bye(&self) -> bool {
        matches!(self.caller.progress, caller::Progress::Answered { closing: Some(_), .. })
    }

    /// Whether the record was written: the call counts no longer as active.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The configured peer at the other end of `leg`.
    #[must_use]
    pub fn peer(&self, leg: LegId) -> Option<PeerId> {
        if leg == LegId::CALLER {
            Some(self.caller.peer)
        } else {
            self.attempt(leg).map(|attempt| attempt.peer)
        }
    }

    /// Whether a leg of the answered call speaks by `connection`.
    #[must_use]
    pub fn speaks_by(&self, connection: ConnectionId) -> bool {
        let State::Answered { attempt } = self.state else { return false };
        let flows = [Some(self.caller.flow), self.attempts[attempt].flow];
        flows.into_iter().flatten().any(|flow| flow.connection == Some(connection))
    }

    /// Whether it is in progress with a party at an address that `is_it`.
    #[must_use]
    pub fn is_with(&self, is_it: impl Fn(IpAddr) -> bool) -> bool {
        let of_caller = [self.caller.source, self.caller.flow.remote];
        let of_callees = self.attempts.iter().flat_map(|attempt| {
            [Some(attempt.hop.remote), attempt.flow.map(|flow| flow.remote)].into_iter().flatten()
        });
        self.state != State::Over && of_caller.into_iter().chain(of_callees).any(|at| is_it(at.ip()))
    }

    /// Whether `request` belongs to the dialog of `leg` (Call-ID and both tags, compared whole).
    #[must_use]
    pub fn matches(&self, leg: LegId, request: &Message) -> bool {
        if leg == LegId::CALLER {
            self.caller.dialog.matches(request)
        } else {
            self.attempt(leg).is_some_and(|attempt| attempt.matches(request))
        }
    }

    /// Whether `request` may come from `flow` as far as the call knows it: the leg's connection or address.
    #[must_use]
    pub fn came_from(&self, leg: LegId, flow: &crate::sip::flow::Flow) -> bool {
        let known = if leg == LegId::CALLER {
            Some(self.caller.flow)
        } else {
            self.attempt(leg).and_then(|a| a.flow)
        };
        known.is_some_and(|known| {
            known.remote.ip() == flow.remote.ip()
                || (known.connection.is_some() && known.connection == flow.connection)
        })
    }

    /// The call as the API shows it.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            id: self.id,
            direction: self.direction,
            state: match self.state {
                State::Over => "ending",
                _ if self.is_caller_answered() => "answered",
                State::Resolving | State::Calling { .. } if self.caller.alerted => "ringing",
                State::Resolving | State::Calling { .. } => "trying",
                State::Answered { .. } => "answered",
            },
            from: self.names.from.clone(),
            to: self.names.to.clone(),
            trunk: self.names.trunk.clone(),
            retell: self.names.retell.clone(),
            started_ms: self.started_ms,
            answered_ms: self.answered_ms,
        }
    }

    /// A call from an admitted INVITE whose `offer` was checked.
    fn new(
        id: CallId,
        offered: Offered,
        offer: Option<Session>,
        cx: &mut Cx<'_>,
    ) -> Result<Self, HeaderError> {
        let Offered { invite, tx, flow, peer, interface, sent_by, mut plan } = offered;
        let tag = cx.ids.tag(id, LegId::CALLER);
        let dialog = Dialog::uas(&invite, &tag)?;
        let direction = if plan.callee == plan.retell { Direction::ToRetell } else { Direction::ToTrunk };
        let names = Names {
            from: plan.from.clone(),
            to: plan.to.clone(),
            trunk: cx.routes.peer(plan.trunk).name.clone(),
            retell: cx.routes.peer(plan.retell).name.clone(),
        };
        let policy = cx.routes.peer(peer).media.srtp_over(flow.transport).unwrap_or_default();
        let protection = Protection::new(policy, |suite| cx.ids.master_key(suite));
        let mut exchange = Exchange::new(Local::new(cx.ids.random() >> 1, UNKNOWN), protection);
        exchange.takes_events = cx.routes.peer(peer).profile.dtmf == DigitsBy::Events;
        if let Some(offer) = offer {
            exchange.hear(offer);
        }
        let mut work = interwork::Leg::default();
        work.learn(&invite);
        let contact = contact(&sent_by, flow.transport, scheme_for(&invite));
        let caller = Caller {
            peer,
            invite,
            tx,
            contact,
            flow,
            source: flow.remote,
            dialog,
            interface,
            sent_by,
            exchange,
            work,
            alerted: false,
            progress: caller::Progress::Pending,
            code: 0,
            answers: auth::Answers::default(),
            goodbye: None,
            open: Vec::new(),
        };
        Ok(Self {
            id,
            direction,
            state: State::Resolving,
            caller,
            attempts: Vec::new(),
            lost_agent: None,
            fallbacks: std::mem::take(&mut plan.fallbacks).into(),
            targets: std::mem::take(&mut plan.targets).into(),
            target: None,
            hops: VecDeque::new(),
            resting: VecDeque::new(),
            reserved: None,
            failure: None,
            hints: Vec::new(),
            answer_by: None,
            started_ms: cx.unix_ms,
            answered_ms: None,
            names,
            plan,
        })
    }

    fn attempt(&self, leg: LegId) -> Option<&Attempt> {
        self.attempts.get(usize::from(leg.0).checked_sub(1)?)
    }

    /// What was offered and agreed at `leg`.
    fn exchange(&mut self, leg: LegId) -> &mut Exchange {
        match usize::from(leg.0).checked_sub(1).and_then(|index| self.attempts.get_mut(index)) {
            Some(callee) => &mut callee.exchange,
            None => &mut self.caller.exchange,
        }
    }

    fn attempt_mut(&mut self, leg: LegId) -> Option<&mut Attempt> {
        self.attempts.get_mut(usize::from(leg.0).checked_sub(1)?)
    }
}

/// Where we receive RTP before media ports were reserved: no session description says so.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

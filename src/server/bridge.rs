//! The bridge itself: every call, transaction and limit, and nothing of the operating system.
//!
//! It is driven from outside, like the machines below it: messages, failures and deadlines go in with the
//! time, and what must happen goes to its [`World`]. `serve` gives it sockets; tests and benches give it a
//! simulated network and a virtual clock, so that what they exercise is what runs. The actions of one input
//! are carried out before the next input, through `inbox`.

use std::collections::{HashMap, VecDeque};
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Call, Input, Settings};
use crate::id::{CallId, ClientTx, Ids, ServerTx};
use crate::routing::hourly::Hourly;
use crate::routing::limits::{Limit, Limits as CallLimits, Verdict};
use crate::routing::{Rotation, Routes};
use crate::rtp::dtmf::Digit;
use crate::rtp::leg::Side;
use crate::rtp::leg_stats::LegStats;
use crate::sip::auth::{Algorithm, Verifier};
use crate::sip::flow::Transport;
use crate::sip::message::Limits;
use crate::sip::transaction::{Action as TableAction, Table};

use super::bans::Bans;
use super::complaints::Complaints;
use super::counters::{self, Metrics};
use super::deadlines::Deadlines;
use super::errands::Errand;
use super::lapsing::Lapsing;
use super::overload::Overload;
use super::probes::Probes;
use super::refusals::Refusals;
use super::registrations::Registrations;
use super::requests::Detour;
use super::unproven::Unproven;
use super::world::World;

/// Everything that signalling owns; see the module.
pub struct Bridge<W> {
    /// What it acts on.
    pub world: W,
    pub(super) table: Table,
    pub(super) calls: HashMap<CallId, Entry>,
    /// Which call waits for which client transaction.
    pub(super) clients: HashMap<ClientTx, Client>,
    /// Who waits for client transactions that are of no call.
    pub(super) errands: HashMap<ClientTx, Errand>,
    pub(super) registrations: Registrations,
    pub(super) probes: Probes,
    /// Which call an INVITE server transaction belongs to, for its CANCEL.
    pub(super) invites: HashMap<ServerTx, CallId>,
    pub(super) deadlines: Deadlines,
    pub(super) routes: Arc<Routes>,
    pub(super) rotation: Rotation,
    pub(super) call_limits: CallLimits,
    pub(super) hourly: Hourly,
    pub(super) overload: Overload,
    /// The limit of all peers together.
    pub(super) total: Limit,
    pub(super) verifier: Verifier,
    pub(super) ids: Ids,
    /// Makes the tags of answers that nothing is kept of.
    pub(super) tags: RandomState,
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) metrics: &'static Metrics,
    pub(super) bans: Bans,
    /// Who may be anybody, and how much they were answered.
    pub(super) unproven: Unproven,
    /// Sources that no peer allows.
    pub(super) strangers: Complaints,
    /// Peers that send what cannot be read or used.
    pub(super) faulty: Complaints,
    /// Calls that were refused.
    pub(super) refusals: Refusals,
    /// Targets that took no TCP for a large request lately.
    pub(super) no_tcp: Lapsing<SocketAddr>,
    /// Targets that failed lately.
    pub(super) resting: Lapsing<(Transport, SocketAddr)>,
    /// What calls are still to be told, in order.
    pub(super) inbox: VecDeque<(CallId, Input)>,
    /// Whether `inbox` is being worked off further up the stack.
    pub(super) working: bool,
    pub(super) table_out: Vec<TableAction>,
    pub(super) call_out: Vec<crate::call::Action>,
    pub(super) started: Instant,
    /// The time of the batch that is being worked on.
    pub(super) now: Instant,
    pub(super) unix_ms: i64,
    pub(super) active: usize,
    pub(super) draining: bool,
}

/// A call and what the bridge keeps beside it.
pub(super) struct Entry {
    pub(super) call: Box<Call>,
    /// The tables that were in force when it began: a reload does not touch it.
    pub(super) routes: Arc<Routes>,
    pub(super) span: tracing::Span,
    /// Media figures of callees that were given up, by their place in the record's legs.
    pub(super) figures: Vec<(usize, LegStats)>,
    /// The entry in [`Deadlines`] that counts.
    pub(super) scheduled: Option<Instant>,
}

/// Who waits for a client transaction.
pub(super) struct Client {
    pub(super) call: CallId,
    /// Kept while it may have to go another way.
    pub(super) detour: Option<Box<Detour>>,
}

/// What a bridge is made with.
pub struct Parts<W> {
    /// What it acts on.
    pub world: W,
    /// The routing tables; replaced by [`Bridge::replace_routes`].
    pub routes: Arc<Routes>,
    /// Decides everything it mints.
    pub ids: Ids,
    /// Timers that belong to no peer.
    pub settings: Settings,
    /// What is too large to be read.
    pub limits: Limits,
    /// The time at the start.
    pub now: Instant,
}

/// How much of a bridge stands, for tests and metrics: all zero when nothing is left of any call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Calls whose record is not written yet.
    pub active: usize,
    /// Calls of which something is left on the wire.
    pub calls: usize,
    /// Transactions.
    pub transactions: usize,
    /// Entries that lead from a transaction to its call.
    pub links: usize,
}

impl<W: World> Bridge<W> {
    /// A bridge with no calls.
    #[must_use]
    pub fn new(parts: Parts<W>) -> Self {
        let Parts { world, routes, mut ids, settings, limits, now } = parts;
        let secret: [u64; 4] = std::array::from_fn(|_| ids.random());
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(secret) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut bridge = Self {
            world,
            table: Table::new(settings.timers),
            calls: HashMap::new(),
            clients: HashMap::new(),
            errands: HashMap::new(),
            registrations: Registrations::default(),
            probes: Probes::default(),
            invites: HashMap::new(),
            deadlines: Deadlines::default(),
            routes,
            rotation: Rotation::default(),
            call_limits: CallLimits::default(),
            hourly: Hourly::default(),
            overload: Overload::new(now),
            total: Limit::default(),
            verifier: Verifier::new(key, REALM, Algorithm::Md5),
            ids,
            tags: RandomState::new(),
            settings,
            limits,
            metrics: counters::metrics(),
            bans: Bans::default(),
            unproven: Unproven::default(),
            strangers: Complaints::default(),
            faulty: Complaints::default(),
            refusals: Refusals::default(),
            no_tcp: Lapsing::default(),
            resting: Lapsing::default(),
            inbox: VecDeque::new(),
            working: false,
            table_out: Vec::new(),
            call_out: Vec::new(),
            started: now,
            now,
            unix_ms: 0,
            active: 0,
            draining: false,
        };
        bridge.follow_routes();
        bridge
    }

    /// Sets the time for everything that follows.
    pub fn set_time(&mut self, now: Instant, unix_ms: i64) {
        self.now = now;
        self.unix_ms = unix_ms;
        self.rotation.set_time(u64::try_from(unix_ms / 1_000).unwrap_or(0));
    }

    /// When [`Self::on_deadlines`] is wanted; `None` is never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_calls = [self.deadlines.next(), self.call_limits.next_deadline()];
        let of_peers = [self.registrations.next_deadline(), self.probes.next_deadline()];
        of_calls.into_iter().chain(of_peers).chain([self.table.next_deadline()]).flatten().min()
    }

    /// Does what is due.
    pub fn on_deadlines(&mut self) {
        if self.table.next_deadline().is_some_and(|at| at <= self.now) {
            self.table.on_deadline(self.now, &mut self.table_out);
            self.carry_out_table(None);
        }
        self.on_registration_deadlines();
        self.on_probe_deadlines();
        while let Some(id) = self.call_limits.due(self.now) {
            self.inbox.push_back((id, Input::Admission(Verdict::Admitted)));
            self.work();
        }
        while let Some((at, id)) = self.deadlines.pop(self.now) {
            let Some(entry) = self.calls.get_mut(&id).filter(|entry| entry.scheduled == Some(at)) else {
                continue;
            };
            entry.scheduled = None;
            self.inbox.push_back((id, Input::Deadline));
            self.work();
        }
    }

    /// Ends one call on both legs; false when there is none to end.
    pub fn hang_up(&mut self, call: CallId, reason: &'static str, code: u16) -> bool {
        let lives = self.calls.get(&call).is_some_and(|entry| !entry.call.is_over());
        if lives {
            self.inbox.push_back((call, Input::HangUp { reason, code }));
            self.work();
        }
        lives
    }

    /// Sends every BYE that waits for an ACK, because nobody will be here to send it later;
    /// false when there is none.
    pub(super) fn say_owed_byes(&mut self) -> bool {
        let owing = self.calls.iter().filter(|(_, entry)| entry.call.owes_bye());
        let owing: Vec<_> = owing.map(|(&call, _)| (call, Input::AckGivenUp)).collect();
        let any = !owing.is_empty();
        self.inbox.extend(owing);
        self.work();
        any
    }

    /// Whether nothing of any call or registration is left on the wire.
    pub(super) fn has_said_all(&self) -> bool {
        self.calls.is_empty() && self.registrations.is_empty()
    }

    /// Ends every call on both legs.
    pub fn hang_up_all(&mut self, reason: &'static str) {
        let calls: Vec<_> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(call, reason, 503);
        }
    }

    /// One direction of a call carries nothing; `likely` says why.
    pub fn on_one_way(&mut self, call: CallId, side: Side, likely: &'static str) {
        self.metrics.media.one_way(side);
        self.inbox.push_back((call, Input::OneWay(side, likely)));
        self.work();
    }

    /// What the relay counted for the two legs of a live call, the caller's first.
    #[must_use]
    pub fn media_of(&self, call: CallId) -> Option<[LegStats; 2]> {
        self.calls.get(&call).filter(|entry| !entry.call.is_over()).and_then(|_| self.world.stats(call))
    }

    /// A side of a call was silent for the silence time-out.
    pub fn on_media_silent(&mut self, call: CallId, side: Side) {
        self.inbox.push_back((call, Input::MediaSilent(side)));
        self.work();
    }

    /// A side of a call pressed a key.
    pub fn on_digit(&mut self, call: CallId, side: Side, digit: Digit, duration: Duration) {
        self.inbox.push_back((call, Input::Digit { side, digit, duration }));
        self.work();
    }

    /// Takes no new calls from here on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Messages were read from the transports; `caught_up` when none was left waiting.
    pub fn on_read(&mut self, caught_up: bool) {
        self.overload.on_read(caught_up, self.now);
    }

    /// All peers together may have this much from here on.
    pub fn limit(&mut self, total: Limit) {
        self.total = total;
    }

    /// New calls go by `routes`; those in progress keep what they began with, and nobody is banned any more.
    pub fn replace_routes(&mut self, routes: Arc<Routes>) {
        self.bans.lift();
        self.tell_of_refusals();
        self.refusals.forget();
        self.routes = routes;
        self.follow_routes();
    }

    /// Registers and watches what the routes say.
    fn follow_routes(&mut self) {
        if !self.draining {
            self.follow_registrations();
            self.probes.follow(&self.routes, self.now);
        }
    }

    /// Forgets what has lapsed; to be called every second or so.
    pub fn upkeep(&mut self) {
        self.no_tcp.forget(self.now);
        self.resting.forget(self.now);
        self.bans.forget(self.now);
        self.tell_of_refusals();
    }

    pub(super) fn set_active(&mut self, active: usize) {
        self.active = active;
        self.metrics.counters.calls_active.set(counters::as_gauge(active));
    }

    /// What stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            active: self.active,
            calls: self.calls.len(),
            transactions: self.table.len(),
            links: self.clients.len()
                + self.errands.len()
                + self.invites.len()
                + self.call_limits.len()
                + self.hourly.len(),
        }
    }
}

/// The realm of our challenges.
const REALM: &str = "trunkline";

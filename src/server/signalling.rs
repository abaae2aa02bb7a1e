//! The signalling thread's state and its loop.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::{Notify, mpsc};

use crate::api::Command;
use crate::call::record::View;
use crate::call::{Call, Input, Settings};
use crate::clock;
use crate::config::Config;
use crate::id::{CallId, ClientTx, Ids, ServerTx};
use crate::media::Engine;
use crate::routing::{Rotation, Routes};
use crate::sip::auth::Verifier;
use crate::sip::message::Limits;
use crate::sip::transaction::{Action as TableAction, Table};
use crate::store::Records;
use crate::transport::{Event, Transports};

use super::deadlines::Deadlines;
use super::effects::{LargeRequest, Resolved, Unreachable};
use super::strangers::Strangers;
use super::telemetry::Metrics;

/// Everything the signalling thread owns.
pub(super) struct Server {
    pub(super) transports: Transports,
    pub(super) table: Table,
    pub(super) calls: HashMap<CallId, Entry>,
    /// Which call waits for which client transaction.
    pub(super) clients: HashMap<ClientTx, Client>,
    /// Which call an INVITE server transaction belongs to, for its CANCEL.
    pub(super) invites: HashMap<ServerTx, CallId>,
    pub(super) deadlines: Deadlines,
    pub(super) routes: Arc<Routes>,
    pub(super) rotation: Rotation,
    pub(super) verifier: Verifier,
    pub(super) engine: Engine,
    pub(super) ids: Ids,
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) records: Records,
    pub(super) views: Arc<DashMap<CallId, View>>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) metrics: &'static Metrics,
    pub(super) strangers: Strangers,
    /// Targets that took no TCP for a large request lately.
    pub(super) no_tcp: Unreachable,
    pub(super) resolved: mpsc::Sender<Resolved>,
    /// What calls are still to be told, in order.
    pub(super) inbox: VecDeque<(CallId, Input)>,
    /// Whether `inbox` is being worked off further up the stack.
    pub(super) working: bool,
    pub(super) table_out: Vec<TableAction>,
    pub(super) call_out: Vec<crate::call::Action>,
    /// What can be read again, and from where; `None` when the configuration came from no file.
    pub(super) source: Option<Source>,
    pub(super) config: Config,
    pub(super) started: Instant,
    /// The time of the batch that is being worked on.
    pub(super) now: Instant,
    pub(super) active: usize,
}

/// Where the configuration was read from.
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) environment: Vec<(String, String)>,
}

/// A call and what the server keeps beside it.
pub(super) struct Entry {
    pub(super) call: Box<Call>,
    /// The tables that were in force when it began: a reload does not touch it.
    pub(super) routes: Arc<Routes>,
    pub(super) span: tracing::Span,
    /// The entry in [`Deadlines`] that counts.
    pub(super) scheduled: Option<Instant>,
}

/// Who waits for a client transaction.
pub(super) struct Client {
    pub(super) call: CallId,
    /// Kept while a large request tries TCP first.
    pub(super) large: Option<Box<LargeRequest>>,
}

/// The receiving ends of the queues that lead to the signalling thread.
pub(super) struct Queues {
    pub(super) resolved: mpsc::Receiver<Resolved>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) control: mpsc::Receiver<Control>,
    pub(super) media: Arc<MediaEvents>,
}

/// What the operating system or the owner of the process asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// Take no new calls, let the others finish; a second time: end them.
    Drain,
    /// Read the configuration again.
    Reload,
}

/// Events of the media threads on their way to the signalling thread; bounded by the number of streams.
#[derive(Debug, Default)]
pub(super) struct MediaEvents {
    events: std::sync::Mutex<Vec<crate::media::Event>>,
    waiting: Notify,
}

impl MediaEvents {
    /// Called on media threads, once for each stream that fell silent.
    pub(super) fn push(&self, event: crate::media::Event) {
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
        self.waiting.notify_one();
    }

    fn take(&self) -> Vec<crate::media::Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Server {
    /// Runs until drained.
    pub(super) async fn run(mut self, mut queues: Queues) {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drain = super::lifecycle::Drain::default();
        self.ready.store(true, Ordering::Release);
        loop {
            let deadline = [self.table.next_deadline(), self.deadlines.next(), drain.deadline()];
            let wake = deadline.into_iter().flatten().min().unwrap_or_else(|| self.now + UPKEEP);
            tokio::select! {
                () = self.transports.next(&mut events) => {}
                Some(resolved) = queues.resolved.recv() => { self.tick(); self.on_resolved(resolved); }
                Some(command) = queues.commands.recv() => { self.tick(); self.on_command(command); }
                Some(control) = queues.control.recv() => { self.tick(); self.on_control(control, &mut drain); }
                () = queues.media.waiting.notified() => { self.tick(); self.on_media_events(queues.media.take()); }
                _ = upkeep.tick() => { self.tick(); self.upkeep(); }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.tick();
            for event in events.drain(..) {
                self.on_transport(event);
            }
            self.on_deadlines();
            if drain.is_finished(&mut self) {
                return;
            }
        }
    }

    fn tick(&mut self) {
        self.now = clock::now();
    }

    fn on_deadlines(&mut self) {
        if self.table.next_deadline().is_some_and(|at| at <= self.now) {
            self.table.on_deadline(self.now, &mut self.table_out);
            self.carry_out_table(None);
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

    fn on_command(&mut self, command: Command) {
        match command {
            Command::HangUp { call, reply } => {
                let lives = self.calls.get(&call).is_some_and(|entry| !entry.call.is_over());
                if lives {
                    self.inbox
                        .push_back((call, Input::HangUp { reason: "hung up through the API", code: 480 }));
                    self.work();
                }
                let _ = reply.send(lives);
            }
        }
    }

    fn on_media_events(&mut self, events: Vec<crate::media::Event>) {
        for event in events {
            match event {
                crate::media::Event::Silent { call, side } => {
                    self.inbox.push_back((call, Input::MediaSilent(side)));
                }
            }
        }
        self.work();
    }

    /// What is due every second: figures that others count, and tables that forget.
    fn upkeep(&mut self) {
        let counters = &self.metrics.counters;
        counters.calls_active.set(as_gauge(self.active));
        counters.media_streams_active.set(as_gauge(self.engine.streams_active()));
        self.metrics.run_upkeep();
        self.no_tcp.forget(self.now);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn as_gauge(count: usize) -> f64 {
    count as f64
}

const UPKEEP: Duration = Duration::from_secs(1);

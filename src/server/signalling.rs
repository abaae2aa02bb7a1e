//! The signalling thread: one loop that feeds the bridge with what the world brings.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::api::Command;
use crate::clock;
use crate::config::Config;
use crate::id::ClientTx;
use crate::transport::{self, Event};

use super::bridge::Bridge;
use super::certificate::Certificate;
use super::counters::as_gauge;
use super::lifecycle::Drain;
use super::live::Live;
use super::memory::Memory;
use super::requests::Resolved;

/// The bridge with its sockets, and what belongs to the process around it.
pub(super) struct Server {
    pub(super) bridge: Bridge<Live>,
    /// What `/readyz` says.
    pub(super) ready: Arc<AtomicBool>,
    /// What can be read again, and from where; `None` when the configuration came from no file.
    pub(super) source: Option<Source>,
    pub(super) config: Config,
    /// Ours; `None` without TLS.
    pub(super) certificate: Option<Certificate>,
    pub(super) memory: Memory,
}

/// Where the configuration was read from.
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) environment: Vec<(String, String)>,
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
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drain = Drain::default();
        self.ready.store(true, Ordering::Release);
        loop {
            let deadline = [self.bridge.next_deadline(), drain.deadline()].into_iter().flatten().min();
            let wake = deadline.unwrap_or_else(|| clock::now() + UPKEEP);
            tokio::select! {
                () = self.bridge.world.transports.next(&mut events) => {
                    self.tick();
                    self.bridge.on_read(events.len() < transport::BATCH);
                }
                Some(resolved) = queues.resolved.recv() => { self.tick(); self.bridge.on_resolved(resolved); }
                Some(command) = queues.commands.recv() => { self.tick(); self.on_command(command); }
                Some(control) = queues.control.recv() => {
                    self.tick();
                    self.on_control(control, &mut drain);
                }
                () = queues.media.waiting.notified() => {
                    self.tick();
                    self.on_media_events(queues.media.take());
                }
                _ = upkeep.tick() => { self.tick(); self.upkeep(); }
                () = tokio::time::sleep_until(wake.into()) => self.tick(),
            }
            for event in events.drain(..) {
                self.on_transport(event);
            }
            self.bridge.on_deadlines();
            if drain.is_finished(&mut self.bridge) {
                return self.memory.close(&self.bridge.known()).await;
            }
        }
    }

    fn tick(&mut self) {
        self.bridge.set_time(clock::now(), clock::unix_ms());
    }

    fn on_transport(&mut self, event: Event) {
        match event {
            Event::Received { bytes, flow } => self.bridge.on_message(bytes, flow),
            Event::SendFailed { token, flow, error, stale } => {
                self.bridge.on_send_failed(ClientTx(token), flow, &error, stale);
            }
            Event::Closed { connection, remote, of_peer: false, .. } => {
                tracing::debug!(?connection, %remote, "stream of a stranger closed");
            }
            Event::Closed { connection, remote, broken, heard, .. } => {
                tracing::debug!(?connection, %remote, broken, "stream closed");
                self.bridge.on_stream_gone(connection, remote, broken, heard);
                self.bridge.on_registrar_stream_closed(remote);
                self.bridge.on_stream_ended(connection);
            }
            Event::BadFraming { remote, error } => self.bridge.on_bad_framing(remote, &error),
            Event::TurnedAway { remote } => self.bridge.on_turned_away(remote),
            Event::Idle { remote } => self.bridge.on_idle(remote),
            Event::TlsRefused { remote, error } => self.bridge.on_tls_refused(remote, &error),
            Event::HandshakeFailed { remote, error } => self.bridge.on_handshake_failed(remote, &error),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::HangUp { call, reply } => {
                let _ = reply.send(self.bridge.hang_up(call, "hung up through the API", 480));
            }
            Command::Media { call, reply } => {
                let _ = reply.send(self.bridge.media_of(call));
            }
            Command::Bans { reply } => {
                let _ = reply.send(self.bridge.bans());
            }
            Command::Trunks { reply } => {
                let _ = reply.send(self.bridge.trunks());
            }
        }
    }

    fn on_media_events(&mut self, events: Vec<crate::media::Event>) {
        for event in events {
            match event {
                crate::media::Event::Silent { call, side } => self.bridge.on_media_silent(call, side),
                crate::media::Event::Digit { call, side, press } => {
                    self.bridge.on_digit(call, side, press.digit, press.duration);
                }
                crate::media::Event::Failed { call } => {
                    self.bridge.hang_up(call, "the media thread of the call failed", 500);
                }
                crate::media::Event::OneWay { call, side, cause } => {
                    self.bridge.on_one_way(call, side, cause.likely());
                }
            }
        }
    }

    /// What is due every second: figures that others count, and tables that forget.
    fn upkeep(&mut self) {
        let (counters, engine) = (&self.bridge.metrics.counters, &self.bridge.world.engine);
        counters.media_streams_active.set(as_gauge(engine.streams_active()));
        counters.packets(&engine.packet_totals());
        self.bridge.metrics.media.made(engine.packet_totals().made);
        if let Some(certificate) = &mut self.certificate {
            certificate.look(self.bridge.unix_ms);
        }
        let bridge = &mut self.bridge;
        self.memory.keep(bridge.now, || bridge.news());
        self.bridge.metrics.run_upkeep();
        self.bridge.upkeep();
    }
}

/// Events taken from the transports at once, about.
const BATCH: usize = 256;

const UPKEEP: Duration = Duration::from_secs(1);

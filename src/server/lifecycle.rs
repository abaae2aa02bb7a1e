//! From the first line of `serve` to exit code 0: start, signals, drain.
//!
//! Draining means no new calls and an honest 503 for OPTIONS, so that whoever probes us looks elsewhere;
//! calls in progress have `drain_s` to finish, then both legs get BYE.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{Loaded, process_environment};

use crate::media::raise_file_limit;
use crate::net;

use super::bridge::Bridge;
use super::running::{Assembled, assemble};
use super::signalling::{Control, Server, Source};
use super::telemetry;
use super::world::World;

/// Why `serve` could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener cannot be opened.
    #[error("[sip].listen: {0}; {remedy}", remedy = net::remedy(.0))]
    Listen(io::Error),
    /// TLS has no certificate, key or authorities.
    #[error("[tls]: {0}")]
    Tls(#[from] crate::transport::tls::TlsError),
    /// An address for media is not to be had, whatever its port.
    #[error("[media].listen: {address}: {error}; {remedy}", remedy = net::remedy(error))]
    MediaAddress {
        /// The configured address.
        address: IpAddr,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The media engine cannot be started.
    #[error("[media]: {0}")]
    Media(crate::media::StartError),
    /// The HTTP server cannot be started.
    #[error(transparent)]
    Http(#[from] crate::api::StartError),
    /// The record file cannot be opened.
    #[error(transparent)]
    Records(#[from] crate::store::OpenError),
    /// A secret that is needed is not there.
    #[error(transparent)]
    Routes(#[from] crate::routing::CompileError),
    /// The token of the HTTP server cannot be read.
    #[error("[http].token: {0}")]
    Token(crate::config::reader::SecretError),
    /// The log level is not a filter.
    #[error(transparent)]
    Log(#[from] telemetry::FilterError),
    /// The operating system has no randomness, threads or signals to give.
    #[error("the operating system refuses what every process needs: {0}")]
    System(String),
}

/// Runs the bridge until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// See [`RunError`]; each names the key to change.
pub fn run(loaded: Loaded, file: PathBuf) -> Result<(), RunError> {
    telemetry::start_logs(&loaded.config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.unmarked());
    }
    for line in &loaded.overrides {
        tracing::info!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System(error.to_string()))?;
    let files = raise_file_limit();
    tracing::debug!(before = files.soft_before, now = files.now, "limit of open files");
    runtime.block_on(async {
        let source = Source { file, environment: process_environment() };
        let Assembled { server, queues, control, api: _api } = assemble(loaded.config, Some(source)).await?;
        watch_signals(control).map_err(|error| RunError::System(error.to_string()))?;
        server.run(queues).await;
        Ok(())
    })
}

/// Turns signals of the operating system into controls.
fn watch_signals(control: mpsc::Sender<Control>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let asked = tokio::select! {
                _ = terminate.recv() => Control::Drain,
                _ = interrupt.recv() => Control::Drain,
                _ = hang_up.recv() => Control::Reload,
            };
            if control.send(asked).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// How far the process is on its way out.
#[derive(Debug, Default)]
pub(super) enum Drain {
    /// It is not.
    #[default]
    Serving,
    /// Calls in progress may finish; until then if a limit is set.
    Finishing(Option<Instant>),
    /// Every call was ended; what is left on the wire has until then. A BYE that waits for its caller's ACK
    /// goes then without it: the INVITE's transaction ends with us (RFC 3261 §15).
    Ending(Instant),
}

impl Drain {
    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Serving => None,
            Self::Finishing(until) => *until,
            Self::Ending(until) => Some(*until),
        }
    }

    /// Moves on; true when the process may end.
    pub(super) fn is_finished<W: World>(&mut self, bridge: &mut Bridge<W>) -> bool {
        match self {
            Self::Serving => false,
            Self::Finishing(until) => {
                let is_over = until.is_some_and(|until| until <= bridge.now);
                if bridge.active > 0 && !is_over {
                    return false;
                }
                bridge.hang_up_all(SHUTTING_DOWN);
                bridge.unregister();
                *self = Self::Ending(bridge.now + LAST_WORDS);
                bridge.has_said_all()
            }
            Self::Ending(until) => {
                if *until <= bridge.now && bridge.say_owed_byes() {
                    *until = bridge.now + LAST_WORDS;
                }
                bridge.has_said_all() || *until <= bridge.now
            }
        }
    }
}

impl Server {
    pub(super) fn on_control(&mut self, control: Control, drain: &mut Drain) {
        match (control, &drain) {
            (Control::Reload, _) => self.reload(),
            (Control::Drain, Drain::Serving) => {
                self.ready.store(false, std::sync::atomic::Ordering::Release);
                self.bridge.drain();
                let limit = self.config.server.drain_s;
                let until = (limit > 0).then(|| self.bridge.now + Duration::from_secs(limit.into()));
                tracing::info!(
                    calls = self.bridge.active,
                    limit_s = limit,
                    "draining: no new calls; a second signal ends them"
                );
                *drain = Drain::Finishing(until);
            }
            (Control::Drain, Drain::Finishing(_) | Drain::Ending(_)) => {
                self.bridge.hang_up_all(SHUTTING_DOWN);
                self.bridge.unregister();
                *drain = Drain::Ending(self.bridge.now + LAST_WORDS);
            }
        }
    }
}

const SHUTTING_DOWN: &str = "trunkline is shutting down";

/// How long BYEs and their answers have once every call was ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

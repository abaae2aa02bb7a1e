//! HTTP: health, metrics and the calls in progress, read from views and changed by commands
//! to the signalling thread.
//!
//! It runs on a thread of its own and holds no call: a request reads the map of [`View`]s or
//! sends a [`Command`] and waits for its answer, so nothing an HTTP client does, however
//! slow, can hold up signalling.

pub mod bans;
pub mod config;
mod connections;
mod guard;
mod routes;
pub mod trunks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{io, thread};

use dashmap::DashMap;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::call::record::View;
use crate::id::CallId;
use crate::net;
use crate::rtp::leg_stats::LegStats;

use bans::BanView;
use trunks::TrunkView;

/// What HTTP shares with the server; cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// The live calls, kept up to date by the signalling thread; entries are locked only while one is copied.
    pub views: Arc<DashMap<CallId, View>>,
    /// Whether new calls are taken: false until the listeners stand and while draining.
    pub ready: Arc<AtomicBool>,
    /// To the signalling thread.
    pub commands: mpsc::Sender<Command>,
    /// Renders every metric in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// What an HTTP request asks of the signalling thread.
#[derive(Debug)]
pub enum Command {
    /// End this call on both legs; the reply is whether it was there to be ended.
    HangUp {
        /// The call to end.
        call: CallId,
        /// Where the answer goes; nobody may be waiting any more.
        reply: oneshot::Sender<bool>,
    },
    /// Tell the figures of a live call's two legs, the caller's first.
    Media {
        /// The call.
        call: CallId,
        /// Where the answer goes; `None` when it has no media.
        reply: oneshot::Sender<Option<[LegStats; 2]>>,
    },
    /// Tell who is banned.
    Bans {
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<BanView>>,
    },
    /// Tell how every peer fares.
    Trunks {
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<TrunkView>>,
    },
}

/// Why HTTP could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, not ours, or not permitted.
    #[error("[http].listen {listen}: {source}; {remedy}", remedy = net::remedy(source))]
    Bind {
        /// The configured address.
        listen: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Anyone who reaches the port could hang up calls.
    #[error(
        "[http].listen {listen} is reachable from other machines; set [http].token or listen on 127.0.0.1"
    )]
    Unprotected {
        /// The configured address.
        listen: SocketAddr,
    },
    /// An empty token would let everybody in who sends none.
    #[error(
        "[http].token is empty; set it to a long random text, or take the key out to serve this machine alone"
    )]
    EmptyToken,
    /// No thread or no event loop to serve on.
    #[error("starting the HTTP thread: {0}")]
    Thread(io::Error),
}

/// The running HTTP server; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Api {
    local: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Binds `listen` and serves from a thread of its own.
///
/// With a `token` every route but `/healthz`, `/readyz` and `/metrics` requires it; without one only a
/// loopback address is served.
///
/// # Errors
///
/// See [`StartError`]; nothing is left running.
pub fn start(listen: SocketAddr, token: Option<String>, shared: Shared) -> Result<Api, StartError> {
    if token.as_ref().is_some_and(String::is_empty) {
        return Err(StartError::EmptyToken);
    }
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(StartError::Unprotected { listen });
    }
    let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    let (local, listener) = bound.map_err(|source| StartError::Bind { listen, source })?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let router = routes::router(shared, guard::Access::new(token));
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            if let Err(reason) = runtime.block_on(connections::serve(listener, router, stopped)) {
                error!(%reason, "HTTP is no longer served");
            }
        })
        .map_err(StartError::Thread)?;
    Ok(Api { local, stop: Some(stop), thread: Some(thread) })
}

impl Api {
    /// The address in use, its port resolved.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the HTTP thread panicked");
        }
    }
}

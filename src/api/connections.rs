//! Accepts HTTP connections, so many at once, and gives each so much time.
//!
//! `axum::serve` bounds neither, and a client that sends its request a byte at a time would hold
//! its connection for ever.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// The other end of an HTTP connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves until `stopped` completes or its sender is gone.
///
/// Connections beyond [`CONNECTIONS`] wait in the kernel's queue until one ends, which each
/// does within [`LIFETIME`].
pub(super) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&free).acquire_owned();
        let accepted = tokio::select! {
            _ = &mut stopped => return Ok(()),
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        match accepted {
            (place, Ok((stream, peer))) => {
                let router = router.clone().layer(Extension(Peer(peer)));
                tokio::spawn(async move {
                    serve_one(stream, router).await;
                    drop(place);
                });
            }
            (_, Err(reason)) => {
                warn!(%reason, "an HTTP connection could not be accepted");
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Errors of one connection (reset, malformed request, time-out) are answered by hyper where possible
/// and concern nobody else.
async fn serve_one(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
}

const CONNECTIONS: usize = 256;
/// To send a request's head, and how long a kept connection may stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 32 * 1024;
const LIFETIME: Duration = Duration::from_secs(300);
const GRACE: Duration = Duration::from_secs(10);
/// Out of descriptors, mostly: without a pause the loop would spin until one is free.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

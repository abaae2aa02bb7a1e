//! Handshakes, on a thread of their own: a signature takes longer than a hundred SIP messages, and whoever
//! connects decides how many are made.
//!
//! A socket belongs to the runtime that watches it, so it is taken out of one and put into the other on both
//! ways.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Connection, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::stream::Stream;

/// The way to that thread, which ends with the last of its copies.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Handshakes {
    runtime: Handle,
    _runs: Arc<oneshot::Sender<()>>,
}

impl Handshakes {
    pub(in crate::transport) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (runs, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("tls".into()).spawn(move || runtime.block_on(ended))?;
        Ok(Self { runtime: handle, _runs: Arc::new(runs) })
    }

    /// The server's side.
    pub(in crate::transport) async fn accept(
        &self,
        config: Arc<ServerConfig>,
        tcp: TcpStream,
    ) -> io::Result<Stream> {
        let tcp = tcp.into_std()?;
        self.away(async move {
            let (tcp, session) =
                TlsAcceptor::from(config).accept(TcpStream::from_std(tcp)?).await?.into_inner();
            Ok((tcp.into_std()?, session.into()))
        })
        .await
    }

    /// The client's side, with the name in SNI unless it is an address.
    pub(in crate::transport) async fn connect(
        &self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        tcp: TcpStream,
    ) -> io::Result<Stream> {
        let tcp = tcp.into_std()?;
        self.away(async move {
            let (tcp, session) =
                TlsConnector::from(config).connect(name, TcpStream::from_std(tcp)?).await?.into_inner();
            Ok((tcp.into_std()?, session.into()))
        })
        .await
    }

    async fn away(&self, handshake: impl Future<Output = Shaken> + Send + 'static) -> io::Result<Stream> {
        let mut shaking = Shaking(self.runtime.spawn(handshake));
        let (tcp, session) = (&mut shaking.0).await.map_err(io::Error::other)??;
        Ok(Stream::secure(TcpStream::from_std(tcp)?, session))
    }
}

type Shaken = io::Result<(std::net::TcpStream, Connection)>;

/// A handshake that ends when nobody waits for it any more.
struct Shaking(JoinHandle<Shaken>);

impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

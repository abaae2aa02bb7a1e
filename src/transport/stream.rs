//! The bytes of one connection, bare or inside TLS, read and written without waiting from behind a shared
//! reference.
//!
//! The handshake is over when a stream exists (see [`super::tls`]). What TLS has encrypted and the kernel has
//! not taken yet stays in the session: a write counts as done only when [`Stream::try_flush`] says that
//! nothing is left there.

use std::io::{self, BufRead as _, ErrorKind, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::rustls::Connection;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use super::tls::proves;

/// A connection that stands.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<Secure>),
}

/// A TLS session and the socket below it.
#[derive(Debug)]
pub(super) struct Secure {
    tcp: TcpStream,
    session: Mutex<Connection>,
    /// The certificate that the other side presented, verified in the handshake.
    peer: Option<CertificateDer<'static>>,
}

impl Stream {
    pub(super) fn secure(tcp: TcpStream, session: Connection) -> Self {
        let peer = session.peer_certificates().and_then(|chain| chain.first()).cloned();
        let peer = peer.map(CertificateDer::into_owned);
        Self::Secure(Box::new(Secure { tcp, session: Mutex::new(session), peer }))
    }

    /// Appends what has come, at least one byte; 0 at the end.
    pub(super) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Plain(tcp) => read_plain(tcp, buffer),
                Self::Secure(secure) => secure.read(buffer),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.tcp().readable().await?,
                result => return result,
            }
        }
    }

    /// Takes the beginning of `bytes`; fails with `WouldBlock` when it can take nothing.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write(bytes),
            Self::Secure(secure) => secure.write(bytes),
        }
    }

    /// Whether the kernel has everything that was written.
    pub(super) fn try_flush(&self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Secure(secure) => secure.drain(&mut secure.session()),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.tcp().writable().await
    }

    /// Whether the other side's certificate belongs to `name`.
    pub(super) fn proves(&self, name: &ServerName<'_>) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Secure(secure) => secure.peer.as_ref().is_some_and(|peer| proves(peer, name).is_ok()),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(secure) => &secure.tcp,
        }
    }
}

/// A short read says as much as the `WouldBlock` of one more system call would: readiness is forgotten after
/// it.
fn read_plain(tcp: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    let room = buffer.capacity() - buffer.len();
    let length = tcp.try_read_buf(buffer)?;
    if length > 0 && length < room {
        let _ = tcp.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    }
    Ok(length)
}

impl Secure {
    /// An end without `close_notify` is taken as an end: messages carry their own length.
    fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut session = self.session();
        loop {
            let mut reader = session.reader();
            match reader.fill_buf() {
                Ok(decrypted) => {
                    let length = decrypted.len();
                    buffer.extend_from_slice(decrypted);
                    reader.consume(length);
                    return Ok(length);
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            session.read_tls(&mut Nonblocking(&self.tcp))?;
            let processed = session.process_new_packets();
            // An alert, or the answer to a change of keys; what is left of it goes with the next message.
            self.drain(&mut session)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session();
        if !self.drain(&mut session)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = session.writer().write(bytes)?;
        self.drain(&mut session)?;
        Ok(taken)
    }

    /// Hands the kernel what is encrypted; false when it does not take all of it.
    fn drain(&self, session: &mut Connection) -> io::Result<bool> {
        while session.wants_write() {
            match session.write_tls(&mut Nonblocking(&self.tcp)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Held for one record at a time; a panic in between leaves a session that fails its next record.
    fn session(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Secure {
    /// Says goodbye as far as the kernel takes it.
    fn drop(&mut self) {
        let mut session = self.session();
        session.send_close_notify();
        let _ = self.drain(&mut session);
    }
}

/// A socket as rustls wants it.
struct Nonblocking<'a>(&'a TcpStream);

impl Read for Nonblocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Nonblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use socket2::SockRef;
    use tokio::net::TcpListener;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    #[tokio::test]
    async fn what_is_encrypted_and_not_taken_by_the_kernel_is_not_flushed() {
        let (ours, theirs) = pair().await;
        let mut written = 0;
        loop {
            match ours.try_write(&[7; 10_000]) {
                Ok(length) => written += length,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }

        let is_flushed = ours.try_flush().unwrap();
        let mut read = BytesMut::new();
        let flush = async {
            while !ours.try_flush().unwrap() {
                ours.writable().await.unwrap();
            }
        };
        let read_all = async {
            while read.len() < written {
                theirs.read(&mut read).await.unwrap();
            }
        };
        assert!(!is_flushed);
        tokio::join!(flush, read_all);

        assert!(read.iter().all(|&byte| byte == 7));
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_ends_in_order() {
        let (ours, theirs) = pair().await;
        ours.try_write(b"last words").unwrap();

        drop(ours);

        let mut read = BytesMut::new();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 10);
        assert_eq!(theirs.read(&mut read).await.unwrap(), 0);
        assert_eq!(read, "last words");
    }

    /// Two ends of a connection whose sockets hold little.
    async fn pair() -> (Stream, Stream) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["a.example".into()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_send_buffer_size(4_096).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let name = ServerName::try_from("a.example").unwrap();
        let (ours, theirs) = tokio::join!(
            TlsAcceptor::from(Arc::new(server)).accept(accepted),
            TlsConnector::from(Arc::new(client)).connect(name, dialled)
        );
        let ((ours, server), (theirs, client)) = (ours.unwrap().into_inner(), theirs.unwrap().into_inner());
        (Stream::secure(ours, server.into()), Stream::secure(theirs, client.into()))
    }
}

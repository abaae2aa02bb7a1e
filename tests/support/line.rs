//! One connection of a far end, with TLS or without: whole SIP messages as plain text, over a socket that
//! waits.
//!
//! Neither side shares code with the product but the TLS library itself.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use super::certificates::{Authority, Issued};

/// A connection, by TLS after its handshake.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    /// What the other side presented, if it was asked.
    pub(crate) peer: Option<CertificateDer<'static>>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Line {
    /// Connects from `from` to `to`, believes `authority`, and shows no certificate.
    pub(crate) fn dial(from: impl Into<IpAddr>, to: SocketAddr, authority: &Authority) -> Self {
        let mut tcp = connect(from, to);
        let mut session = session(to, authority);
        while session.is_handshaking() {
            session.complete_io(&mut tcp).unwrap();
        }
        let peer = session.peer_certificates().map(|chain| chain[0].clone().into_owned());
        Self { stream: Box::new(StreamOwned::new(session, tcp)), read: Vec::new(), peer }
    }

    /// Without TLS.
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        tcp.set_nonblocking(false).unwrap();
        Self { stream: Box::new(patient(tcp)), read: Vec::new(), peer: None }
    }

    pub(crate) fn send(&mut self, message: impl AsRef<[u8]>) {
        self.stream.write_all(message.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message whose first line begins with `start`; others are skipped.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        loop {
            let message = self.receive();
            if message.starts_with(start) {
                return message;
            }
        }
    }

    fn receive(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                let length: usize = length.parse().unwrap();
                if rest.len() >= length {
                    let whole = head.len() + 4 + length;
                    return String::from_utf8(self.read.drain(..whole).collect()).unwrap();
                }
            }
            let mut buffer = [0; 4_096];
            let length = self.stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the connection ended after {text:?}");
            self.read.extend_from_slice(&buffer[..length]);
        }
    }
}

/// Where a far end takes TLS connections.
pub(crate) struct Socketed {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl Socketed {
    /// At port 5061 of `ip`, showing `issued`.
    pub(crate) fn bind(ip: Ipv4Addr, issued: &Issued) -> Self {
        Self::bind_to(ip, issued, WebPkiClientVerifier::no_client_auth())
    }

    /// ... to those alone whose certificates `authority` vouches for.
    pub(crate) fn bind_for(ip: Ipv4Addr, issued: &Issued, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Self::bind_to(ip, issued, verifier.unwrap())
    }

    fn bind_to(ip: Ipv4Addr, issued: &Issued, verifier: Arc<dyn ClientCertVerifier>) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        Self { listener: TcpListener::bind((ip, 5061)).unwrap(), config: Arc::new(config) }
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Line {
        let mut tcp = patient(self.listener.accept().unwrap().0);
        let mut session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut tcp).unwrap();
        }
        Line { stream: Box::new(StreamOwned::new(session, tcp)), read: Vec::new(), peer: None }
    }

    /// Takes one connection and lets it fail in the handshake.
    pub(crate) fn is_refused(&self) {
        let mut tcp = patient(self.listener.accept().unwrap().0);
        let mut session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        let shaken = loop {
            match session.complete_io(&mut tcp) {
                Ok(_) if session.is_handshaking() => {}
                other => break other,
            }
        };
        assert!(shaken.is_err(), "the other side was satisfied");
    }
}

/// What a TLS client says first.
pub(crate) fn client_hello(authority: &Authority) -> Vec<u8> {
    let mut hello = Vec::new();
    session(([127, 0, 0, 1], 5061).into(), authority).write_tls(&mut hello).unwrap();
    hello
}

fn session(to: SocketAddr, authority: &Authority) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::from(to.ip())).unwrap()
}

/// A TCP connection from `from` to `to`.
pub(crate) fn connect(from: impl Into<IpAddr>, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.into(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    patient(socket.into())
}

fn patient(tcp: TcpStream) -> TcpStream {
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

//! TLS over real sockets on loopback: who is believed, who is turned away, and which connection a message
//! takes.
//!
//! Nothing sleeps: each test waits for events, with a time-out that only a defect reaches; the one about
//! slowness runs on a paused clock.
#![allow(clippy::unwrap_used)]

#[path = "support/certificates.rs"]
mod certificates;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certificates::{Authority, Issued};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use trunkline::sip::flow::{Flow, ListenerId, Transport};
use trunkline::sip::uri::Host;
use trunkline::transport::config::Listen;
use trunkline::transport::config::tls::{Config as TlsConfig, Mtls};
use trunkline::transport::tls::Tls;
use trunkline::transport::{Config, Event, Transports, UNTRACKED};

#[tokio::test]
async fn messages_and_answers_travel_by_the_same_connection() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;

    client.send_to(&server, "server.example", message("OPTIONS", 1), 1);
    let (bytes, flow) = received(server.event_beside(&mut client).await);
    server.recognise(flow);
    server.transports.send(&flow, message("SIP/2.0 200 OK", 1), UNTRACKED, None);
    let (answer, _) = received(client.event_beside(&mut server).await);

    assert_eq!((bytes, flow.transport), (message("OPTIONS", 1), Transport::Tls));
    assert_eq!(answer, message("SIP/2.0 200 OK", 1));
}

#[tokio::test]
async fn both_versions_and_any_application_protocol_are_spoken() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;

    let mut standing = Vec::new();
    for version in [&TLS12, &TLS13] {
        for protocols in [&[][..], &[b"sip".to_vec()], &[b"h2".to_vec(), b"sip".to_vec()]] {
            let mut config = raw(&authority, version);
            config.alpn_protocols = protocols.to_vec();
            let mut stream = dial(config, &mut server).await;
            stream.write_all(&message("OPTIONS", 1)).await.unwrap();

            assert_eq!(received(server.event().await).0, message("OPTIONS", 1), "{version:?}");
            standing.push(stream);
        }
    }
}

#[tokio::test]
async fn a_server_must_prove_the_name_that_is_called() {
    let authority = Authority::new("Test");
    let other = Authority::new("Other");
    for (issued, called, believed) in [
        (authority.issue(&["server.example"]), "server.example", true),
        (authority.issue(&["server.example"]), "SERVER.example", true),
        (authority.issue(&["a.example", "*.server.example"]), "sbc.server.example", true),
        (authority.issue(&["127.0.0.1"]), "127.0.0.1", true),
        (authority.issue(&["sip:server.example", "machine.example"]), "server.example", true),
        (authority.issue(&["sip:server.example", "machine.example"]), "machine.example", false),
        (authority.issue(&["sip:alice@server.example"]), "server.example", false),
        (authority.issue(&["other.example"]), "server.example", false),
        (authority.issue(&["server.example"]), "127.0.0.1", false),
        (authority.issue_expired(&["server.example"]), "server.example", false),
        (other.issue(&["server.example"]), "server.example", false),
        (Issued::by_itself(&["server.example"]), "server.example", false),
    ] {
        let mut server = Side::bind(&authority, issued).await;
        let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;

        client.send_to(&server, called, message("OPTIONS", 1), 1);

        if believed {
            assert_eq!(received(server.event_beside(&mut client).await).0, message("OPTIONS", 1), "{called}");
        } else {
            let (token, error) = failed(client.event_beside(&mut server).await);
            assert!(token == 1 && error.starts_with("TLS handshake: invalid peer certificate"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_certificate_in_the_file_of_authorities_is_believed_as_it_is() {
    let authority = Authority::new("Test");
    let itself = Issued::by_itself(&["server.example"]);
    let expired = authority.issue_expired(&["server.example"]);
    for (issued, called, believed) in [
        (itself.clone(), "server.example", true),
        (itself, "other.example", false),
        (expired, "server.example", false),
    ] {
        let mut server = Side::bind(&authority, issued.clone()).await;
        let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;
        let ca = certificates::write(client.folder.path(), "peer.pem", &issued.certificate);
        client.set_tls(TlsConfig { ca: Some(ca), ..client.tls.clone() });

        client.send_to(&server, called, message("OPTIONS", 1), 1);

        if believed {
            received(server.event_beside(&mut client).await);
        } else {
            failed(client.event_beside(&mut server).await);
        }
    }
}

#[tokio::test]
async fn a_peer_with_authorities_of_its_own_is_verified_by_them_alone() {
    let (authority, own) = (Authority::new("Test"), Authority::new("Own"));
    let mut server = Side::bind(&authority, own.issue(&["server.example"])).await;
    let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;
    let ca = certificates::write(client.folder.path(), "authority.pem", &own.pem());
    let tls = Tls::load(&client.tls, [&*ca].into_iter()).unwrap();
    client.transports.set_tls(tls);
    let domain = client.transports.domain(&host("server.example"), Some(&ca));
    let by_own = Flow { domain, ..flow_to(&server) };

    client.send_to(&server, "server.example", message("OPTIONS", 1), 1);
    let (token, _) = failed(client.event_beside(&mut server).await);
    client.transports.send(&by_own, message("OPTIONS", 2), 2, None);

    assert_eq!(token, 1);
    assert!(matches!(server.event_beside(&mut client).await, Event::HandshakeFailed { .. }));
    assert_eq!(received(server.event_beside(&mut client).await).0, message("OPTIONS", 2));
    client.send_to(&server, "server.example", message("OPTIONS", 3), 3);
    let (token, _) = failed(client.event_beside(&mut server).await);
    assert_eq!(token, 3, "what one authority says does not count for the others");
}

#[tokio::test]
async fn with_mtls_whoever_connects_shows_a_certificate_that_an_authority_vouches_for() {
    let (authority, other) = (Authority::new("Test"), Authority::new("Other"));
    for (mtls, shown, admitted) in [
        (Mtls::Off, Some(&other), true),
        (Mtls::Request, None, true),
        (Mtls::Request, Some(&authority), true),
        (Mtls::Request, Some(&other), false),
        (Mtls::Require, Some(&authority), true),
        (Mtls::Require, Some(&other), false),
        (Mtls::Require, None, false),
    ] {
        let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
        server.set_tls(TlsConfig { mtls, ..server.tls.clone() });

        match shown {
            Some(shown) => {
                let mut client = Side::bind(&authority, shown.issue(&["client.example"])).await;
                client.send_to(&server, "server.example", message("OPTIONS", 1), 1);
                let event = server.event_beside(&mut client).await;
                assert_eq!(matches!(event, Event::Received { .. }), admitted, "{mtls:?} {event:?}");
                if !admitted {
                    let mut event = client.event_beside(&mut server).await;
                    if matches!(event, Event::TlsRefused { .. }) {
                        event = client.event_beside(&mut server).await;
                    }
                    let is_told =
                        matches!(event, Event::SendFailed { .. } | Event::Closed { broken: true, .. });
                    assert!(is_told, "whoever sent by it knows at once: {event:?}");
                }
            }
            None => {
                let mut stream = dial(raw(&authority, &TLS13), &mut server).await;
                let _ = stream.write_all(&message("OPTIONS", 1)).await;
                let event = server.event().await;
                assert_eq!(matches!(event, Event::Received { .. }), admitted, "{mtls:?} {event:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_is_closed_at_once() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    for junk in
        [message("OPTIONS", 1), Bytes::from_static(&[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]), vec![0; 9_000].into()]
    {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(&junk).await;

        let event = server.event().await;

        assert!(matches!(event, Event::HandshakeFailed { .. }), "{event:?}");
        let mut rest = Vec::new();
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(rest.len() < 10, "no more than an alert: {rest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_dropped_after_5_s() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let start = tokio::time::Instant::now();

    let event = server.event().await;

    assert!(matches!(event, Event::HandshakeFailed { .. }), "{event:?}");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn of_too_many_handshakes_of_one_source_the_slowest_makes_room_for_whoever_can_agree() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    let mut stalled = Vec::new();
    for _ in 0..16 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    let tcp = TcpStream::connect(server.address).await.unwrap();

    let idle = server.event().await;
    let mut another = shake(raw(&authority, &TLS13), tcp, &mut server).await;

    assert!(matches!(idle, Event::Idle { remote } if remote == stalled[0].local_addr().unwrap()), "{idle:?}");
    assert_eq!(within(stalled[0].read(&mut [0])).await.unwrap(), 0);
    another.write_all(&message("OPTIONS", 1)).await.unwrap();
    received(server.event().await);
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_ends_no_other() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    let mut old = dial(raw(&authority, &TLS13), &mut server).await;
    let renewed = authority.issue(&["server.example"]);

    renewed.write(server.folder.path(), "own");
    server.set_tls(server.tls.clone());
    let new = dial(raw(&authority, &TLS13), &mut server).await;
    old.write_all(&message("OPTIONS", 1)).await.unwrap();

    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let renewed = CertificateDer::from_pem_slice(renewed.certificate.as_bytes()).unwrap();
    assert_eq!(received(server.event().await).0, message("OPTIONS", 1));
    assert_eq!((shown(&new) == renewed, shown(&old) == renewed), (true, false));
}

#[tokio::test]
async fn a_connection_carries_what_is_for_a_name_that_its_certificate_proves_and_nothing_else() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["one.example", "two.example"])).await;
    let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;
    client.send_to(&server, "one.example", message("OPTIONS", 1), 1);
    let (_, first) = received(server.event_beside(&mut client).await);

    client.send_to(&server, "two.example", message("OPTIONS", 2), 2);
    let (_, second) = received(server.event_beside(&mut client).await);
    client.send_to(&server, "three.example", message("OPTIONS", 3), 3);
    let (token, error) = failed(client.event_beside(&mut server).await);

    assert_eq!(second.connection, first.connection);
    assert!(token == 3 && error.contains("three.example"), "{error}");
}

#[tokio::test]
async fn a_connection_that_came_in_is_used_for_its_peer_only_if_its_certificate_was_asked_for() {
    let authority = Authority::new("Test");
    for (mtls, called, is_used) in [
        (Mtls::Request, "client.example", true),
        (Mtls::Request, "other.example", false),
        (Mtls::Off, "client.example", false),
    ] {
        let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
        server.set_tls(TlsConfig { mtls, ..server.tls.clone() });
        let mut client = Side::bind(&authority, authority.issue(&["client.example"])).await;
        client.send_to(&server, "server.example", message("OPTIONS", 1), 1);
        let (_, flow) = received(server.event_beside(&mut client).await);
        server.recognise(flow);

        let domain = server.transports.domain(&host(called), None);
        let back = Flow { connection: None, domain, ..flow };
        server.transports.send(&back, message("OPTIONS", 2), 2, None);

        if is_used {
            assert_eq!(received(client.event_beside(&mut server).await).0, message("OPTIONS", 2));
        } else {
            failed(server.event_beside(&mut client).await);
        }
    }
}

#[tokio::test]
async fn what_a_slow_reader_leaves_behind_follows_whole_and_in_order() {
    let authority = Authority::new("Test");
    let mut server = Side::bind(&authority, authority.issue(&["server.example"])).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let tcp = socket.connect(server.address).await.unwrap();
    let mut stream = shake(raw(&authority, &TLS13), tcp, &mut server).await;
    stream.write_all(&message("OPTIONS", 1)).await.unwrap();
    let (_, flow) = received(server.event().await);
    server.recognise(flow);
    let large: Vec<Bytes> = (0..15_u8).map(|index| vec![b'a' + index; 60_000].into()).collect();
    let expected = large.concat();

    for bytes in large {
        server.transports.send(&flow, bytes, 7, None);
    }
    let mut read = vec![0; expected.len()];
    within(stream.read_exact(&mut read)).await.unwrap();

    assert!(read == expected);
}

/// Transports with a TLS listener, whose events come one at a time, and their files.
struct Side {
    transports: Transports,
    address: SocketAddr,
    folder: TempDir,
    tls: TlsConfig,
    read: VecDeque<Event>,
}

impl Side {
    /// Shows `issued`, and believes `authority`.
    async fn bind(authority: &Authority, issued: Issued) -> Self {
        let listen = Listen { transport: Transport::Tls, address: ([127, 0, 0, 1], 0).into() };
        let config = Config { listen: vec![listen], ..Config::default() };
        let transports = Transports::bind(&config).await.unwrap();
        let address = transports.listeners()[0].address;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = issued.write(folder.path(), "own");
        let ca = certificates::write(folder.path(), "ca.pem", &authority.pem());
        let tls = TlsConfig {
            certificate: Some(certificate),
            key: Some(key),
            ca: Some(ca),
            ..TlsConfig::default()
        };
        let mut side = Self { transports, address, folder, tls, read: VecDeque::new() };
        side.set_tls(side.tls.clone());
        side
    }

    fn set_tls(&mut self, tls: TlsConfig) {
        self.transports.set_tls(Tls::load(&tls, std::iter::empty::<&Path>()).unwrap());
        self.tls = tls;
    }

    fn send_to(&mut self, other: &Self, called: &str, bytes: Bytes, token: u64) {
        let domain = self.transports.domain(&host(called), None);
        self.transports.send(&Flow { domain, ..flow_to(other) }, bytes, token, None);
    }

    fn recognise(&mut self, flow: Flow) {
        self.transports.recognise(flow.connection.unwrap());
    }

    async fn event(&mut self) -> Event {
        within(self.next()).await
    }

    /// The next event, while `other` works too.
    async fn event_beside(&mut self, other: &mut Self) -> Event {
        within(async {
            loop {
                let mut theirs = Vec::new();
                tokio::select! {
                    event = self.next() => return event,
                    () = other.transports.next(&mut theirs) => other.read.extend(theirs),
                }
            }
        })
        .await
    }

    async fn next(&mut self) -> Event {
        while self.read.is_empty() {
            let mut events = Vec::new();
            self.transports.next(&mut events).await;
            self.read.extend(events);
        }
        self.read.pop_front().expect("it is not empty")
    }
}

fn flow_to(side: &Side) -> Flow {
    Flow {
        transport: Transport::Tls,
        listener: ListenerId(0),
        remote: side.address,
        connection: None,
        domain: None,
    }
}

fn host(name: &str) -> Host {
    Host::parse(name.as_bytes()).unwrap()
}

/// A client that is not ours, believes `authority` and has no certificate.
fn raw(authority: &Authority, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects to `server`, which works meanwhile.
async fn dial(config: ClientConfig, server: &mut Side) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    shake(config, tcp, server).await
}

async fn shake(config: ClientConfig, tcp: TcpStream, server: &mut Side) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("server.example").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    tokio::select! {
        stream = connecting => stream.unwrap(),
        event = server.event() => panic!("{event:?}"),
    }
}

fn received(event: Event) -> (Bytes, Flow) {
    match event {
        Event::Received { bytes, flow } => (bytes, flow),
        other => panic!("{other:?}"),
    }
}

fn failed(event: Event) -> (u64, String) {
    match event {
        Event::SendFailed { token, error, .. } => (token, error),
        other => panic!("{other:?}"),
    }
}

fn message(start: &str, index: u64) -> Bytes {
    format!("{start} x\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK{index}\r\nContent-Length: 4\r\n\r\nbody").into()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it happens within 10 s")
}

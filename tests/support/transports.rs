//! Transports on loopback for the tests of transports: events one at a time, messages, and far ends.
//!
//! Nothing sleeps: each wait ends with an event, or with a time-out that only a defect reaches.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use trunkline::sip::message::Limits;
use trunkline::transport::config::Listen;
use trunkline::transport::{Config, Event, Transports};

/// Transports whose events come one at a time.
pub(crate) struct Bridge {
    transports: Transports,
    pub(crate) read: VecDeque<Event>,
}

impl Bridge {
    pub(crate) async fn next_event(&mut self) -> Event {
        if self.read.is_empty() {
            let mut events = Vec::new();
            self.transports.next(&mut events).await;
            self.read = events.into();
        }
        self.read.pop_front().expect("next returns with an event")
    }
}

impl Deref for Bridge {
    type Target = Transports;

    fn deref(&self) -> &Transports {
        &self.transports
    }
}

impl DerefMut for Bridge {
    fn deref_mut(&mut self) -> &mut Transports {
        &mut self.transports
    }
}

pub(crate) async fn bind(listen: &[&str]) -> Bridge {
    bind_with(listen, Limits::default()).await
}

pub(crate) async fn bind_with(listen: &[&str], limits: Limits) -> Bridge {
    let transports = Transports::bind(&config(listen, limits)).await.unwrap();
    Bridge { transports, read: VecDeque::new() }
}

pub(crate) fn config(listen: &[&str], limits: Limits) -> Config {
    let listen = listen.iter().map(|listen| {
        let (transport, address) = listen.split_once(':').unwrap();
        let transport = if transport == "udp" { Transport::Udp } else { Transport::Tcp };
        Listen { transport, address: address.parse().unwrap() }
    });
    Config { listen: listen.collect(), limits, ..Config::default() }
}

pub(crate) async fn next(bridge: &mut Bridge) -> Event {
    within(bridge.next_event()).await
}

/// Gives every task a chance, and the kernel 50 ms.
pub(crate) async fn nothing_happens(bridge: &mut Bridge) -> bool {
    timeout(Duration::from_millis(50), bridge.next_event()).await.is_err()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it happens within 10 s")
}

pub(crate) fn received(event: Event) -> (Bytes, Flow) {
    match event {
        Event::Received { bytes, flow } => (bytes, flow),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn failed(event: Event) -> (u64, Flow, String) {
    match event {
        Event::SendFailed { token, flow, error, .. } => (token, flow, error),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn message(start: &str, index: u64) -> Bytes {
    Bytes::from(format!(
        "{start} x\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{index}\r\nContent-Length: 4\r\n\r\nbody"
    ))
}

pub(crate) fn udp(remote: SocketAddr) -> Flow {
    Flow { transport: Transport::Udp, listener: ListenerId(0), remote, connection: None, domain: None }
}

pub(crate) fn tcp(listener: u16, remote: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(listener),
        remote,
        connection: None::<ConnectionId>,
        domain: None,
    }
}

pub(crate) async fn connect(bridge: &Bridge, listener: usize) -> TcpStream {
    within(TcpStream::connect(bridge.listeners()[listener].address)).await.unwrap()
}

pub(crate) async fn datagram(socket: &UdpSocket) -> (Bytes, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    (Bytes::copy_from_slice(&buffer[..length]), from)
}

pub(crate) async fn read_exactly(stream: &mut TcpStream, expected: &[u8]) -> Bytes {
    let mut buffer = vec![0; expected.len()];
    within(stream.read_exact(&mut buffer)).await.unwrap();
    buffer.into()
}

/// How many bytes come before the end or reset of the stream, while the bridge runs.
pub(crate) async fn bytes_until_end(stream: &mut TcpStream, bridge: &mut Bridge) -> usize {
    let mut bytes = Vec::new();
    let read = async {
        match stream.read_to_end(&mut bytes).await {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            Ok(_) | Err(_) => {}
        }
    };
    let run = async {
        let event = bridge.next_event().await;
        panic!("{event:?}");
    };
    within(async {
        tokio::select! { () = read => {}, () = run => {} }
    })
    .await;
    bytes.len()
}

pub(crate) async fn unused_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) async fn unused_tcp() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Accepts nobody, and its queue is full: whoever connects hears nothing.
pub(crate) struct DeafListener {
    pub(crate) address: SocketAddr,
    _socket: Socket,
    _queued: Vec<TcpStream>,
}

impl DeafListener {
    pub(crate) async fn bind() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream.unwrap_or_else(|error: io::Error| panic!("{error}")));
        }
        Self { address, _socket: socket, _queued: queued }
    }
}

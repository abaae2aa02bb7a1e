//! The sockets of one far end: UDP and TCP on the same port, streams cut into messages by
//! Content-Length (RFC 3261 §18).
//!
//! A TCP connection is known by its remote address. As LiveKit does, a request uses a connection only if it
//! leads to the very address in the peer's Contact, and opens one otherwise.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::sim::log::{Log, Side};
use crate::sim::message::Message;

/// How a message travels: the transport and the other end's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A datagram.
    Udp(SocketAddr),
    /// The connection whose other end is there.
    Tcp(SocketAddr),
}

impl Path {
    /// The other end.
    #[must_use]
    pub fn remote(self) -> SocketAddr {
        match self {
            Self::Udp(remote) | Self::Tcp(remote) => remote,
        }
    }

    /// Whether nothing needs to be sent twice.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// The transport as Via names it.
    pub(super) fn via(self) -> &'static str {
        match self {
            Self::Udp(_) => "UDP",
            Self::Tcp(_) => "TCP",
        }
    }

    /// The transport as a URI parameter names it.
    pub(super) fn param(self) -> &'static str {
        match self {
            Self::Udp(_) => "udp",
            Self::Tcp(_) => "tcp",
        }
    }
}

/// A message and where it came from, which is where its response goes.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) message: Message,
    pub(super) path: Path,
}

/// One far end's sockets.
pub(super) struct Wire {
    side: Side,
    log: Log,
    address: SocketAddr,
    udp: std::net::UdpSocket,
    connections: Mutex<HashMap<SocketAddr, UnboundedSender<Vec<u8>>>>,
    inbound: UnboundedSender<Received>,
}

impl Wire {
    /// Binds a port of `ip` that is free for both transports; what comes in goes to the receiver.
    pub(super) async fn bind(
        ip: IpAddr,
        side: Side,
        log: Log,
    ) -> io::Result<(Arc<Self>, UnboundedReceiver<Received>)> {
        let (listener, udp) = bind_both(ip).await?;
        let (inbound, inbox) = mpsc::unbounded_channel();
        let wire = Arc::new(Self {
            side,
            log,
            address: listener.local_addr()?,
            udp: udp.try_clone()?,
            connections: Mutex::default(),
            inbound,
        });
        tokio::spawn(wire.clone().listen_udp(UdpSocket::from_std(udp)?));
        tokio::spawn(wire.clone().listen_tcp(listener));
        Ok((wire, inbox))
    }

    /// The address of both transports.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The common notebook.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Sends a whole message; what cannot be sent is lost, as on any network.
    pub(super) fn send(self: &Arc<Self>, path: Path, bytes: Vec<u8>) {
        match Message::parse(&bytes) {
            Ok(message) => self.log.note(self.side, true, &message),
            Err(error) => {
                self.log.complain(self.side, &format!("sent a message of its own that is wrong: {error}"))
            }
        }
        match path {
            Path::Udp(remote) => {
                if let Err(error) = self.udp.send_to(&bytes, remote) {
                    self.log.complain(self.side, &format!("could not send to {remote}: {error}"));
                }
            }
            Path::Tcp(remote) => {
                // A closed connection takes its messages along.
                let _ = self.connection(remote).send(bytes);
            }
        }
    }

    fn connection(self: &Arc<Self>, remote: SocketAddr) -> UnboundedSender<Vec<u8>> {
        let mut connections = self.connections();
        if let Some(connection) = connections.get(&remote).filter(|connection| !connection.is_closed()) {
            return connection.clone();
        }
        let (queue, outbox) = mpsc::unbounded_channel();
        connections.insert(remote, queue.clone());
        tokio::spawn(self.clone().connect(remote, outbox));
        queue
    }

    async fn connect(self: Arc<Self>, remote: SocketAddr, outbox: UnboundedReceiver<Vec<u8>>) {
        match connect_from(self.address.ip(), remote).await {
            Ok(stream) => self.serve(stream, remote, outbox).await,
            Err(error) => self.log.complain(self.side, &format!("could not connect to {remote}: {error}")),
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        outbox: UnboundedReceiver<Vec<u8>>,
    ) {
        // Without it two messages in a row wait for each other's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let writing = tokio::spawn(write_all(writer, outbox));
        if let Err(error) = self.read_all(reader, remote).await {
            self.log.complain(self.side, &format!("connection from {remote}: {error}"));
        }
        writing.abort();
    }

    async fn read_all(&self, mut reader: OwnedReadHalf, remote: SocketAddr) -> io::Result<()> {
        let mut buffer = Vec::new();
        while reader.read_buf(&mut buffer).await? > 0 {
            while let Some(message) = take_message(&mut buffer)? {
                self.deliver(&message, Path::Tcp(remote));
            }
        }
        Ok(())
    }

    async fn listen_udp(self: Arc<Self>, socket: UdpSocket) {
        let mut buffer = vec![0; MESSAGE_BYTES];
        loop {
            // ICMP errors of earlier datagrams come back here; the next datagram may be fine.
            if let Ok((length, remote)) = socket.recv_from(&mut buffer).await {
                self.deliver(&buffer[..length], Path::Udp(remote));
            }
        }
    }

    async fn listen_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, remote)) = listener.accept().await {
                let (queue, outbox) = mpsc::unbounded_channel();
                self.connections().insert(remote, queue);
                tokio::spawn(self.clone().serve(stream, remote, outbox));
            }
        }
    }

    fn deliver(&self, bytes: &[u8], path: Path) {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match Message::parse(bytes) {
            Ok(message) => {
                self.log.note(self.side, false, &message);
                // The endpoint may be gone already.
                let _ = self.inbound.send(Received { message, path });
            }
            Err(error) => {
                let line = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
                self.log.complain(self.side, &format!("received a message it cannot use ({error}): {line}"));
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, UnboundedSender<Vec<u8>>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bind_both(ip: IpAddr) -> io::Result<(TcpListener, std::net::UdpSocket)> {
    let mut attempts = 0;
    loop {
        let listener = TcpListener::bind((ip, 0)).await?;
        match std::net::UdpSocket::bind(listener.local_addr()?) {
            Ok(udp) => {
                udp.set_nonblocking(true)?;
                return Ok((listener, udp));
            }
            Err(error) if attempts == ATTEMPTS => return Err(error),
            Err(_) => attempts += 1,
        }
    }
}

async fn connect_from(ip: IpAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(ip, 0))?;
    socket.connect(remote).await
}

async fn write_all(mut writer: OwnedWriteHalf, mut outbox: UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = outbox.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Cuts the first whole message off `buffer`, and any CRLF before it.
fn take_message(buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    buffer.drain(..blank);
    let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4) else {
        return if buffer.len() > MESSAGE_BYTES { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
    };
    let length = head + content_length(&buffer[..head])?;
    Ok((buffer.len() >= length).then(|| buffer.drain(..length).collect()))
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "a message without a usable Content-Length");
    let head = std::str::from_utf8(head).map_err(|_| missing())?;
    let value = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| matches!(name.trim().to_ascii_lowercase().as_str(), "content-length" | "l"));
    let length = value.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(missing)?;
    if length > MESSAGE_BYTES { Err(missing()) } else { Ok(length) }
}

const MESSAGE_BYTES: usize = 65_535;
const ATTEMPTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_content_length_says() {
        let first = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
        let second = "BYE sip:a SIP/2.0\r\nl: 0\r\n\r\n";
        let mut buffer = format!("\r\n\r\n{first}\r\n{second}BYE").into_bytes();

        assert_eq!(take_message(&mut buffer).unwrap().unwrap(), first.as_bytes());
        assert_eq!(take_message(&mut buffer).unwrap().unwrap(), second.as_bytes());
        assert_eq!(take_message(&mut buffer).unwrap(), None);
        assert_eq!(buffer, b"BYE");
    }

    #[test]
    fn a_stream_without_content_length_is_broken() {
        assert!(take_message(&mut b"BYE sip:a SIP/2.0\r\n\r\n".to_vec()).is_err());
        assert!(
            take_message(&mut b"BYE sip:a SIP/2.0\r\nContent-Length: 99999999\r\n\r\n".to_vec()).is_err()
        );
    }
}

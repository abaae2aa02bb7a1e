//! A call in the media engine between two far ends on loopback, for tests of the relay.
//!
//! Each test has a loopback address of its own for the engine, so that all can use the same ports at once.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::id::CallId;
use trunkline::media::{Config, Engine, Event, LegMedia, LegStats, Reserved, Side};

pub(crate) const CALL: CallId = CallId(1);

/// A call between two peers.
pub(crate) struct Call {
    pub(crate) engine: Engine,
    pub(crate) reserved: Reserved,
    pub(crate) caller: Peer,
    pub(crate) callee: Peer,
}

/// A far end that numbers its packets.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

impl Call {
    /// Reserved, with nobody described.
    pub(crate) fn on(mut engine: Engine) -> Self {
        let reserved = engine.reserve(CALL, ip("127.0.0.1"), ip("127.0.0.1")).unwrap();
        Self { engine, reserved, caller: Peer::at("127.0.0.1"), callee: Peer::at("127.0.0.1") }
    }

    pub(crate) fn reserved(address: &str) -> Self {
        Self::on(engine(address, [30_000, 30_199], 0).0)
    }

    /// Described on both sides, by what `media` makes of a plain description.
    pub(crate) fn connected(address: &str, media: impl Fn(Side, LegMedia) -> LegMedia) -> Self {
        let mut call = Self::reserved(address);
        for side in [Side::Caller, Side::Callee] {
            let described = media(side, call.media(side));
            call.engine.set_leg(CALL, side, described);
        }
        call
    }

    pub(crate) fn peer(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// The description of a peer with PCMU and nothing else.
    pub(crate) fn media(&self, side: Side) -> LegMedia {
        let peer = if side == Side::Caller { &self.caller } else { &self.callee };
        LegMedia::new(peer.address(), 0)
    }

    pub(crate) fn relay(&self, side: Side) -> SocketAddr {
        match side {
            Side::Caller => self.reserved.caller,
            Side::Callee => self.reserved.callee,
        }
    }

    /// Lets `side` send packets; returns what the other one received.
    pub(crate) fn say(&mut self, side: Side, said: &[(u8, &str)]) -> Vec<Vec<u8>> {
        let relay = self.relay(side);
        for &(payload_type, text) in said {
            self.peer(side).send(relay, payload_type, text.as_bytes());
        }
        self.peer(other(side)).receive(said.len())
    }

    /// The counters, once `done` or at the latest a second later: a packet is counted after it was sent.
    pub(crate) fn stats_when(&self, done: impl Fn(&[LegStats; 2]) -> bool) -> [LegStats; 2] {
        for _ in 0..100 {
            let stats = self.engine.stats(CALL).unwrap();
            if done(&stats) {
                return stats;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.engine.stats(CALL).unwrap()
    }
}

impl Peer {
    pub(crate) fn at(address: &str) -> Self {
        let socket = UdpSocket::bind((ip(address), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { socket, ssrc: u32::from(port), sequence: port, timestamp: u32::from(port) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// One packet, 20 ms after the last one by its timestamp.
    pub(crate) fn send(&mut self, to: SocketAddr, payload_type: u8, payload: &[u8]) {
        let packet = self.packet(payload_type, payload);
        self.socket.send_to(&packet, to).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    pub(crate) fn packet(&self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(payload_type)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(payload)
            .build()
            .unwrap()
    }

    /// What arrives, until `expected` packets did or nothing more comes.
    pub(crate) fn receive(&self, expected: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = [0; 2_048];
        while packets.len() < expected {
            match self.socket.recv(&mut buffer) {
                Ok(length) => packets.push(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        packets
    }

    pub(crate) fn receive_all(&self) -> Vec<Vec<u8>> {
        self.receive(usize::MAX)
    }
}

pub(crate) fn engine(address: &str, ports: [u16; 2], silence_timeout_s: u32) -> (Engine, Receiver<Event>) {
    let config = Config { listen: vec![ip(address)], ports, silence_timeout_s, ..Config::default() };
    engine_with(&config)
}

pub(crate) fn engine_with(config: &Config) -> (Engine, Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let report = move |event| sender.lock().unwrap().send(event).unwrap_or_default();
    (Engine::start(config, Arc::new(report)).unwrap(), events)
}

pub(crate) fn other(side: Side) -> Side {
    match side {
        Side::Caller => Side::Callee,
        Side::Callee => Side::Caller,
    }
}

/// Payload types and payloads.
pub(crate) fn heard(packets: &[Vec<u8>]) -> Vec<(u8, &str)> {
    packets
        .iter()
        .map(|packet| RtpReader::new(packet).unwrap())
        .map(|reader| (reader.payload_type(), std::str::from_utf8(reader.payload()).unwrap()))
        .collect()
}

pub(crate) fn sequence_of(packet: &[u8]) -> u16 {
    RtpReader::new(packet).unwrap().sequence_number().into()
}

pub(crate) fn above(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

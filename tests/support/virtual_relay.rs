//! Two legs of a call in virtual time: what is said to them arrives when the test says, and
//! what they are sent is kept.
//!
//! It is the media thread without its sockets: each millisecond it forwards what arrived
//! and then makes what is due.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::media::Press;
use trunkline::media::forward::{Leg, Outbox, Peer, Reason, Verdict, forward};
use trunkline::media::latch::{Latch, Signalled};
use trunkline::rtp::continuity::Position;
use trunkline::rtp::dtmf::Digit;
use trunkline::rtp::filler::Filler;
use trunkline::rtp::g711::Law;
use trunkline::rtp::payload::PayloadTypes;

/// The relay of one call, and everything on its way there.
pub(crate) struct Relay {
    pub(crate) legs: [Leg; 2],
    pub(crate) dropped: Vec<Reason>,
    pub(crate) answered: bool,
    start: Instant,
    ms: u64,
    coming: Vec<Coming>,
    sent: [Vec<Heard>; 2],
    told: [Vec<String>; 2],
}

/// A packet as a far end gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    pub(crate) at_ms: u64,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

/// A packet as a far end sends it.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

struct Coming {
    at_ms: u64,
    to: usize,
    datagram: Vec<u8>,
}

#[derive(Default)]
struct Made(Vec<Vec<u8>>);

impl Relay {
    /// An answered call whose callers have these laws and are both filled for after `fill_ms`.
    pub(crate) fn new(laws: [Law; 2], fill_ms: u32) -> Self {
        let mut number = 0;
        let legs = laws.map(|law| {
            number += 1;
            let mut leg = Leg::new(Position { ssrc: number, sequence: 65_500, timestamp: 0xFFFF_F000 });
            let address = address(number as usize - 1);
            let latch = Latch::new(Signalled::new(address, true));
            let payload_types = PayloadTypes { audio: law.payload_type(), event: Some(101), our_event: None };
            leg.peer = Some(Peer { latch, payload_types, law, ptime_ms: 20, sends: true, receives: true });
            leg.filler = Filler::new(fill_ms);
            leg
        });
        let (dropped, coming) = (Vec::new(), Vec::new());
        let (sent, told) = Default::default();
        Self { legs, dropped, answered: true, start: Instant::now(), ms: 0, coming, sent, told }
    }

    /// Has `said` arrive at the relay from the far end of leg `from` at `at_ms`.
    pub(crate) fn says(&mut self, from: usize, at_ms: u64, said: &Said) {
        self.coming.push(Coming { at_ms, to: from, datagram: said.datagram() });
    }

    /// Lets time pass until `ms`, in order of arrival.
    pub(crate) fn run_until(&mut self, ms: u64) {
        self.coming.sort_by_key(|coming| coming.at_ms);
        while self.ms < ms {
            while self.coming.first().is_some_and(|coming| coming.at_ms <= self.ms) {
                let coming = self.coming.remove(0);
                self.relay(coming);
            }
            self.make();
            self.ms += 1;
        }
    }

    /// What the far end of leg `to` was sent since it was last asked.
    pub(crate) fn heard(&mut self, to: usize) -> Vec<Heard> {
        std::mem::take(&mut self.sent[to])
    }

    /// Has `key` pressed for the far end of leg `to`.
    pub(crate) fn press(&mut self, to: usize, key: char, ms: u64) {
        let digit = Digit::try_from(key).unwrap();
        assert!(self.legs[to].press(Press { digit, duration: Duration::from_millis(ms) }));
    }

    /// Has tones of the far end of leg `from` heard as digits.
    pub(crate) fn hears_tones(&mut self, from: usize, law: Law) {
        self.legs[from].listen_for_tones(Some(law));
    }

    /// Has digits for the far end of leg `to` played to it, which takes no events.
    pub(crate) fn plays_digits(&mut self, to: usize) {
        self.legs[to].peer.as_mut().unwrap().payload_types.event = None;
        self.legs[to].play_digits(true);
    }

    /// The digits that the far end of leg `from` pressed.
    pub(crate) fn told(&mut self, from: usize) -> Vec<String> {
        std::mem::take(&mut self.told[from])
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn relay(&mut self, mut coming: Coming) {
        let (now, source) = (self.now(), address(coming.to));
        let [first, second] = &mut self.legs;
        let (from, to) = if coming.to == 0 { (first, second) } else { (second, first) };
        let mut made = Made::default();
        let verdict = forward(&mut coming.datagram, source, now, from, to, &mut made);
        let pressed = std::iter::from_fn(|| from.next_press(to)).map(|press| press.digit.to_string());
        self.told[coming.to].extend(pressed);
        made.0.iter().for_each(|datagram| self.deliver(1 - coming.to, datagram));
        match verdict {
            Verdict::Send(length) => self.deliver(1 - coming.to, &coming.datagram[..length]),
            Verdict::Recut => {}
            Verdict::Drop(reason) => self.dropped.push(reason),
        }
    }

    fn make(&mut self) {
        for to in [0, 1] {
            let mut made = Made::default();
            let now = self.now();
            self.legs[to].make(self.answered, now, &mut made);
            made.0.iter().for_each(|datagram| self.deliver(to, datagram));
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let reader = RtpReader::new(datagram).unwrap();
        self.sent[to].push(Heard {
            at_ms: self.ms,
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            ssrc: reader.ssrc(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            payload: reader.payload().to_vec(),
        });
    }
}

impl Said {
    pub(crate) fn audio(law: Law, sequence: u16, timestamp: u32, payload: Vec<u8>) -> Self {
        Self { payload_type: law.payload_type(), marker: false, ssrc: 7, sequence, timestamp, payload }
    }

    fn datagram(&self) -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(self.payload_type)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(&self.payload)
            .build()
            .unwrap()
    }
}

impl Outbox for Made {
    fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        let mut bytes = vec![0; 1_500];
        let length = write(&mut bytes);
        bytes.truncate(length);
        self.0.push(bytes);
        length > 0
    }
}

/// Of the far end of a leg.
pub(crate) fn address(leg: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 4_000 + 2 * leg as u16))
}

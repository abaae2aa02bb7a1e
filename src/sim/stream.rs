//! One far end's audio of one call: what it sends, packet by packet, and what it hears (RFC 3550, RFC 3551).
//!
//! A tone repeats only after [`Tone::packets_per_cycle`] packets and every stream has a phase of its own, so the 160
//! bytes of a payload say whose packet it is and which one: no marker has to ride along, and audio of another call is
//! noticed even though it has the right frequency.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtp_rs::{RtpPacketBuilder, RtpReader};

use crate::sim::g711::Law;
use crate::sim::rtp_socket::{RtpSocket, wall_ns};
use crate::sim::tone::{PACKET, Tone};

/// A stream's number, unique within its [`Media`](crate::sim::media::Media).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub usize);

/// The 160 octets of one packet.
pub(super) type Payload = [u8; PACKET];

/// Whose packet a payload is, and its place in the cycle.
pub(super) type Book = HashMap<Payload, (StreamId, usize)>;

/// How a far end numbers its packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    /// Synchronisation source.
    pub(super) ssrc: u32,
    /// First sequence number.
    pub(super) sequence: u16,
    /// First timestamp.
    pub(super) timestamp: u32,
    /// Whether the first packet bears the marker bit.
    pub(super) marks_first: bool,
}

/// A packet that came and was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub source: StreamId,
    /// Which packet of its tone it is, counted from 0.
    pub number: u64,
    /// From before its send call to the kernel's stamp at our socket, in µs.
    pub latency_us: u32,
}

/// All that one stream heard and sent.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The law that was agreed.
    pub law: Option<Law>,
    /// Packets sent.
    pub sent: u64,
    /// Packets received with the agreed payload type.
    pub received: u64,
    /// Of these, such as no far end ever sent: silence, or audio that was changed on the way.
    pub unrecognised: u64,
    /// Datagrams that were no RTP, or of a payload type that was not agreed.
    pub strange: u64,
    /// telephone-event packets.
    pub events: u64,
    /// The recognised ones, in order of arrival.
    pub arrivals: Vec<Arrival>,
    /// When the first and the last packet came and when the first one was sent, in ns since the epoch.
    pub first_ns: Option<u64>,
    /// See `first_ns`.
    pub last_ns: Option<u64>,
    /// See `first_ns`.
    pub first_sent_ns: Option<u64>,
    /// One second of what was heard, from 200 ms after the first packet; holes are packets that never came.
    pub window: Vec<Option<Payload>>,
}

/// The sending and the listening half.
pub(super) struct Stream {
    socket: RtpSocket,
    numbering: Numbering,
    tone: Tone,
    aim: Option<Aim>,
    cycle: Vec<Payload>,
    /// When the packet at each place of the cycle was last sent.
    sent_ns: Vec<u64>,
    /// Packets of the tone sent.
    tone_packets: u64,
    talks: bool,
    window_start: Option<u32>,
    recording: Recording,
    /// Shared with the call, which hangs up when it stands still.
    heard: Arc<AtomicU64>,
}

/// Where to send, and in which form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) remote: SocketAddr,
    pub(super) law: Law,
    /// The payload type of `telephone-event`, when agreed.
    pub(super) events: Option<u8>,
}

impl Stream {
    pub(super) fn new(socket: RtpSocket, numbering: Numbering, tone: Tone, heard: Arc<AtomicU64>) -> Self {
        let recording = Recording { window: vec![None; WINDOW], ..Recording::default() };
        Self {
            socket,
            numbering,
            tone,
            aim: None,
            cycle: Vec::new(),
            sent_ns: Vec::new(),
            tone_packets: 0,
            talks: true,
            window_start: None,
            recording,
            heard,
        }
    }

    /// Takes a (new) destination; the first one fixes the law, and with it the packets, which go into `book`.
    pub(super) fn aim(&mut self, id: StreamId, aim: Aim, book: &mut Book) {
        if self.recording.law.is_none() {
            let octet = |packet, n| aim.law.encode(self.tone.sample(packet * PACKET + n));
            self.cycle = (0..self.tone.packets_per_cycle())
                .map(|packet| std::array::from_fn(|n| octet(packet, n)))
                .collect();
            self.sent_ns = vec![0; self.cycle.len()];
            self.recording.law = Some(aim.law);
            book.extend(self.cycle.iter().enumerate().map(|(place, payload)| (*payload, (id, place))));
        }
        self.aim = Some(aim);
    }

    /// Takes its packets out of the book.
    pub(super) fn leave(&self, book: &mut Book) {
        for payload in &self.cycle {
            book.remove(payload);
        }
    }

    /// Tone, or silence.
    pub(super) fn talk(&mut self, talks: bool) {
        self.talks = talks;
    }

    /// Sends the packet that is due.
    pub(super) fn send(&mut self, scratch: &mut [u8]) {
        let (Some(aim), false) = (self.aim, self.cycle.is_empty()) else { return };
        let place = (self.tone_packets % self.cycle.len() as u64) as usize;
        let silence = [aim.law.silence(); PACKET];
        let payload = if self.talks { &self.cycle[place] } else { &silence };
        let first = self.recording.sent == 0;
        let built = RtpPacketBuilder::new()
            .payload_type(aim.law.payload_type())
            .marked(first && self.numbering.marks_first)
            .sequence(self.numbering.sequence.into())
            .timestamp(self.numbering.timestamp)
            .ssrc(self.numbering.ssrc)
            .payload(payload)
            .build_into(scratch);
        let Ok(length) = built else { return };
        let now = wall_ns();
        if self.talks {
            self.sent_ns[place] = now;
            self.tone_packets += 1;
        }
        self.numbering.sequence = self.numbering.sequence.wrapping_add(1);
        self.numbering.timestamp = self.numbering.timestamp.wrapping_add(PACKET as u32);
        self.recording.sent += 1;
        self.recording.first_sent_ns.get_or_insert(now);
        // An ICMP error of an earlier packet comes back here; what is lost shows at the other end.
        let _ = self.socket.send(&scratch[..length], aim.remote);
    }

    /// Takes one datagram, if there is one, as (payload, when it came); `None` when the socket is empty.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Option<Option<(Payload, u64)>> {
        let (length, came_ns) = self.socket.receive(scratch)?;
        Some(self.hear(&scratch[..length], came_ns).map(|payload| (payload, came_ns)))
    }

    fn hear(&mut self, datagram: &[u8], came_ns: u64) -> Option<Payload> {
        let (Some(aim), Ok(packet)) = (self.aim, RtpReader::new(datagram)) else {
            self.recording.strange += 1;
            return None;
        };
        self.heard.fetch_add(1, Ordering::Relaxed);
        if Some(packet.payload_type()) == aim.events {
            self.recording.events += 1;
            return None;
        }
        let payload = Payload::try_from(packet.payload()).ok();
        let Some(payload) = payload.filter(|_| packet.payload_type() == aim.law.payload_type()) else {
            self.recording.strange += 1;
            return None;
        };
        self.recording.received += 1;
        self.recording.first_ns.get_or_insert(came_ns);
        self.recording.last_ns = Some(came_ns);
        self.record(packet.timestamp(), payload);
        Some(payload)
    }

    /// Puts `payload` where its timestamp belongs in the window.
    fn record(&mut self, timestamp: u32, payload: Payload) {
        let start = *self.window_start.get_or_insert(timestamp.wrapping_add((SETTLE * PACKET) as u32));
        let offset = timestamp.wrapping_sub(start) as usize;
        if let (0, Some(slot)) = (offset % PACKET, self.recording.window.get_mut(offset / PACKET)) {
            *slot = Some(payload);
        }
    }

    /// Notes a payload that came as packet `place` of `source`, or as nobody's.
    pub(super) fn note(&mut self, recognised: Option<Arrival>) {
        match recognised {
            Some(arrival) => self.recording.arrivals.push(arrival),
            None => self.recording.unrecognised += 1,
        }
    }

    /// Which packet at `place` of the cycle was the last to leave, and when.
    pub(super) fn last_sent(&self, place: usize) -> Option<(u64, u64)> {
        let cycle = self.cycle.len() as u64;
        let last = self.tone_packets.checked_sub(1)?;
        let number = last.checked_sub((last + cycle - place as u64) % cycle)?;
        Some((number, *self.sent_ns.get(place)?))
    }

    /// What was heard up to now.
    pub(super) fn recording(&self) -> Recording {
        self.recording.clone()
    }
}

/// Packets of the window: one second.
pub(super) const WINDOW: usize = 50;
/// Packets before the window.
const SETTLE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_packet_is_known_by_its_bytes_and_numbered_past_the_cycle() {
        let (mut sender, mut listener, mut book) = pair();
        let mut scratch = [0; 512];
        for _ in 0..60 {
            sender.send(&mut scratch);
        }

        let mut last = None;
        while let Some(heard) = listener.receive(&mut scratch) {
            last = heard;
        }

        let (source, place) = book.remove(&last.unwrap().0).unwrap();
        assert_eq!((source, place), (StreamId(7), 9));
        assert_eq!(sender.last_sent(place).map(|(number, _)| number), Some(59));
        assert_eq!(sender.last_sent(10).map(|(number, _)| number), Some(10));
        assert_eq!(listener.recording().received, 60);
        assert!(listener.recording().window.iter().all(Option::is_some));
    }

    #[test]
    fn another_payload_type_is_strange() {
        let (mut sender, mut listener, _) = pair();
        let mut scratch = [0; 512];
        listener.aim = listener.aim.map(|aim| Aim { law: Law::A, ..aim });
        sender.send(&mut scratch);

        listener.receive(&mut scratch);

        assert_eq!(listener.recording().received, 0);
        assert_eq!(listener.recording().strange, 1);
    }

    fn pair() -> (Stream, Stream, Book) {
        let open = |hertz| {
            let socket = RtpSocket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();
            let numbering =
                Numbering { ssrc: 1, sequence: u16::MAX, timestamp: u32::MAX - 500, marks_first: true };
            Stream::new(socket, numbering, Tone { hertz, dbov: -13.0, phase: 0.25 }, Arc::default())
        };
        let (mut sender, mut listener, mut book) = (open(1009), open(443), Book::new());
        let toward =
            |stream: &Stream| Aim { remote: stream.socket.address().unwrap(), law: Law::Mu, events: None };
        let (there, back) = (toward(&listener), toward(&sender));
        sender.aim(StreamId(7), there, &mut book);
        listener.aim(StreamId(8), back, &mut book);
        (sender, listener, book)
    }
}

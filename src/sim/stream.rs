//! One far end's audio of one call: what it sends, packet by packet, and what it hears (RFC 3550, RFC 3551).
//!
//! Every packet of a tone bears a mark, so it is known wherever it comes out, even in another call, and its
//! octets can be compared with those that were sent. Sequence numbers and timestamps are not relied upon: a
//! bridge may write its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtp_rs::{RtpPacketBuilder, RtpReader};

use crate::sim::g711::Law;
use crate::sim::mark::{Mark, Payload};
use crate::sim::rtp_socket::{RtpSocket, wall_ns};
use crate::sim::tone::{PACKET, Tone};

/// A stream's number, unique within its [`Media`](crate::sim::media::Media).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub usize);

/// A tone, encoded in both laws for as many packets as it takes to repeat; all streams of an end share it.
#[derive(Debug)]
pub(super) struct Voice {
    mu: Vec<Payload>,
    a: Vec<Payload>,
}

impl Voice {
    pub(super) fn new(tone: &Tone) -> Self {
        let encode = |law: Law| {
            let octet = |packet, n| law.encode(tone.sample(packet * PACKET + n));
            (0..tone.packets_per_cycle()).map(|packet| std::array::from_fn(|n| octet(packet, n))).collect()
        };
        Self { mu: encode(Law::Mu), a: encode(Law::A) }
    }

    /// Packet `number` of stream `id`, with its mark.
    fn packet(&self, law: Law, id: StreamId, number: u64) -> Payload {
        let cycle = match law {
            Law::Mu => &self.mu,
            Law::A => &self.a,
        };
        let mut payload = cycle[(number % cycle.len() as u64) as usize];
        Mark { stream: id.0 as u16, number: number as u16 }.put(&mut payload);
        payload
    }
}

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

/// Where a packet came from, and whether all of it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) arrival: Arrival,
    pub(super) intact: bool,
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
    /// Of these, those without a mark: silence, or audio that was made anew on the way.
    pub unrecognised: u64,
    /// Of these, those whose mark is right but not all their octets.
    pub altered: u64,
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
    /// When this was taken.
    pub taken_ns: u64,
    /// One second of what was heard, from 200 ms after the first packet; holes are packets that never came.
    pub window: Vec<Option<Payload>>,
}

/// The sending and the listening half.
pub(super) struct Stream {
    id: StreamId,
    socket: RtpSocket,
    numbering: Numbering,
    voice: Arc<Voice>,
    aim: Option<Aim>,
    /// When the last packets of the tone were sent, by their number modulo [`REMEMBERED`].
    sent_ns: [u64; REMEMBERED],
    /// Packets of the tone sent.
    tone_packets: u64,
    talks: bool,
    stopped: bool,
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
    pub(super) fn new(
        id: StreamId,
        socket: RtpSocket,
        numbering: Numbering,
        voice: Arc<Voice>,
        heard: Arc<AtomicU64>,
    ) -> Self {
        let recording = Recording { window: vec![None; PAYLOADS_PER_WINDOW], ..Recording::default() };
        Self {
            id,
            socket,
            numbering,
            voice,
            aim: None,
            sent_ns: [0; REMEMBERED],
            tone_packets: 0,
            talks: true,
            stopped: false,
            window_start: None,
            recording,
            heard,
        }
    }

    /// Takes a (new) destination; the first one fixes the law.
    pub(super) fn aim(&mut self, aim: Aim) {
        let law = *self.recording.law.get_or_insert(aim.law);
        self.aim = Some(Aim { law, ..aim });
    }

    /// Ends sending and listening for good.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Tone, or silence.
    pub(super) fn talk(&mut self, talks: bool) {
        self.talks = talks;
    }

    /// Sends the packet that is due.
    pub(super) fn send(&mut self, scratch: &mut [u8]) {
        let (Some(aim), false) = (self.aim, self.stopped) else { return };
        let payload = match self.talks {
            true => self.voice.packet(aim.law, self.id, self.tone_packets),
            false => [aim.law.silence(); PACKET],
        };
        let first = self.recording.sent == 0;
        let built = RtpPacketBuilder::new()
            .payload_type(aim.law.payload_type())
            .marked(first && self.numbering.marks_first)
            .sequence(self.numbering.sequence.into())
            .timestamp(self.numbering.timestamp)
            .ssrc(self.numbering.ssrc)
            .payload(&payload)
            .build_into(scratch);
        let Ok(length) = built else { return };
        let now = wall_ns();
        if self.talks {
            self.sent_ns[self.tone_packets as usize % REMEMBERED] = now;
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
        if self.stopped {
            return Some(None);
        }
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

    /// Notes a payload that came, by what its sender knows of it.
    pub(super) fn note(&mut self, origin: Option<Origin>) {
        match origin {
            Some(Origin { arrival, intact }) => {
                self.recording.arrivals.push(arrival);
                self.recording.altered += u64::from(!intact);
            }
            None => self.recording.unrecognised += 1,
        }
    }

    /// What this stream knows of a payload that bears its mark with `number` and came
    /// out somewhere at `came_ns`.
    pub(super) fn origin(&self, number: u16, payload: &Payload, came_ns: u64) -> Option<Origin> {
        let last = self.tone_packets.checked_sub(1)?;
        let age = u64::from((last as u16).wrapping_sub(number));
        let number = last.checked_sub(age)?;
        let law = self.recording.law?;
        let latency_us = match age {
            age if age < REMEMBERED as u64 => {
                came_ns.saturating_sub(self.sent_ns[number as usize % REMEMBERED]) / 1_000
            }
            _ => u64::from(u32::MAX),
        };
        Some(Origin {
            arrival: Arrival {
                source: self.id,
                number,
                latency_us: u32::try_from(latency_us).unwrap_or(u32::MAX),
            },
            intact: self.voice.packet(law, self.id, number) == *payload,
        })
    }

    /// What was heard up to now.
    pub(super) fn recording(&self) -> Recording {
        Recording { taken_ns: wall_ns(), ..self.recording.clone() }
    }
}

/// Packets of the window: one second.
pub(super) const PAYLOADS_PER_WINDOW: usize = 50;
/// Packets before the window.
const SETTLE: usize = 10;
/// Five seconds: a packet that is older when it comes has no latency but "too long".
const REMEMBERED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_packet_is_known_by_its_mark_and_compared_with_what_was_sent() {
        let (mut sender, mut listener) = pair();
        let mut scratch = [0; 512];
        for _ in 0..60 {
            sender.send(&mut scratch);
        }

        let mut last = None;
        while let Some(heard) = listener.receive(&mut scratch) {
            last = heard;
        }

        let (payload, came_ns) = last.unwrap();
        let mark = Mark::of(&payload).unwrap();
        let origin = sender.origin(mark.number, &payload, came_ns).unwrap();
        assert_eq!((origin.arrival.source, origin.arrival.number, origin.intact), (StreamId(7), 59, true));
        assert!(origin.arrival.latency_us < 20_000);
        let mut altered = payload;
        altered[150] ^= 1;
        assert!(!sender.origin(mark.number, &altered, came_ns).unwrap().intact);
        assert_eq!(listener.recording().received, 60);
        assert!(listener.recording().window.iter().all(Option::is_some));
    }

    #[test]
    fn a_number_that_was_never_sent_is_nobodys() {
        let (mut sender, _) = pair();
        let payload = [0; PACKET];

        assert_eq!(sender.origin(0, &payload, 0), None);
        sender.aim(Aim { remote: sender.socket.address().unwrap(), law: Law::A, events: None });
        sender.send(&mut [0; 512]);
        assert_eq!(sender.origin(1, &payload, 0), None);
    }

    #[test]
    fn another_payload_type_is_strange() {
        let (mut sender, mut listener) = pair();
        let mut scratch = [0; 512];
        listener.aim = listener.aim.map(|aim| Aim { law: Law::A, ..aim });
        sender.send(&mut scratch);

        listener.receive(&mut scratch);

        assert_eq!(listener.recording().received, 0);
        assert_eq!(listener.recording().strange, 1);
    }

    fn pair() -> (Stream, Stream) {
        let open = |id, hertz| {
            let socket = RtpSocket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();
            let numbering =
                Numbering { ssrc: 1, sequence: u16::MAX, timestamp: u32::MAX - 500, marks_first: true };
            let voice = Arc::new(Voice::new(&Tone { hertz, dbov: -13.0 }));
            Stream::new(StreamId(id), socket, numbering, voice, Arc::default())
        };
        let (mut sender, mut listener) = (open(7, 1009), open(8, 443));
        let toward =
            |stream: &Stream| Aim { remote: stream.socket.address().unwrap(), law: Law::Mu, events: None };
        let (there, back) = (toward(&listener), toward(&sender));
        sender.aim(there);
        listener.aim(back);
        (sender, listener)
    }
}

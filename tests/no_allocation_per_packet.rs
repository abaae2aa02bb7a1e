//! Relaying a packet allocates nothing: neither the pure path, nor SRTP, nor the media thread around them.
//!
//! The allocator counts for the whole process, so the file is one test that runs without libtest, and the far
//! ends it drives allocate nothing either.

#![allow(clippy::unwrap_used, reason = "a test, though without libtest")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rtp_rs::{RtpPacketBuilder, Seq};
use trunkline::id::CallId;
use trunkline::id::srtp::{MasterKey, Suite};
use trunkline::media::forward::{Leg, Outbox, Peer, Verdict, forward};
use trunkline::media::latch::{Latch, Signalled};
use trunkline::media::{Config, Engine, LegMedia, Press, Side};
use trunkline::rtp::continuity::Position;
use trunkline::rtp::dtmf::{Detector, Digit, Event, EventRelay};
use trunkline::rtp::filler::Filler;
use trunkline::rtp::g711::Law;
use trunkline::rtp::payload::PayloadTypes;
use trunkline::rtp::ringback::Ringback;
use trunkline::rtp::rtcp::{Cname, MAX_BYTES, NtpClock, Session, View};
use trunkline::rtp::srtp::{Inbound, MAX_TRAILER, Outbound};
use trunkline::rtp::stats::{Arrival, Reception};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

const PACKETS: u16 = 2_000;
const CALLS: u64 = 48;

fn main() {
    assert_eq!(allocations_of_the_pure_path(), 0, "by the pure path, in {PACKETS} packets");
    assert_eq!(allocations_of_cutting_and_filling(), 0, "by packets that are made, in {PACKETS}");
    assert_eq!(allocations_of_playing_to_a_leg(), 0, "by tones that a leg hears, in {PACKETS} packets");
    assert_eq!(allocations_of_srtp(), 0, "by SRTP, in {PACKETS} packets");
    assert_eq!(allocations_of_digits_reports_and_tones(), 0, "by what legs ask for, in {PACKETS} packets");
    assert_eq!(allocations_of_a_media_thread(), 0, "around a media thread of {CALLS} calls");
}

fn allocations_of_the_pure_path() -> u64 {
    let [mut caller, mut callee] = ["127.0.0.1:4000", "127.0.0.1:4002"].map(leg);
    let source = "127.0.0.1:4000".parse().unwrap();
    let (mut datagram, start) = (packet(), Instant::now());
    let before = ALLOCATIONS.load(Ordering::SeqCst);

    for sequence in 0..PACKETS {
        number(&mut datagram, sequence);
        let now = start + Duration::from_millis(20 * u64::from(sequence));
        let verdict = forward(&mut datagram, source, now, &mut caller, &mut callee, &mut Never);
        assert_eq!(verdict, Verdict::Send(172));
    }

    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// Packets of 30 ms cut to 20 in the other law, with a pause after every second one that silence fills.
fn allocations_of_cutting_and_filling() -> u64 {
    let [mut caller, mut callee] = ["127.0.0.1:4000", "127.0.0.1:4002"].map(leg);
    callee.filler = Filler::new(20);
    callee.peer.as_mut().unwrap().law = Law::A;
    let (source, start) = ("127.0.0.1:4000".parse().unwrap(), Instant::now());
    let (template, mut out) = (packet_of(240), Into([0; 300], 0));
    let mut datagram = template.clone();
    let mut before = 0;

    for sequence in 0..PACKETS {
        // What a leg needs for cutting is made once, with its first packet.
        if sequence == 1 {
            before = ALLOCATIONS.load(Ordering::SeqCst);
        }
        datagram.copy_from_slice(&template);
        number(&mut datagram, sequence);
        let elapsed = 30 * u64::from(sequence) + 100 * u64::from(sequence / 2);
        let now = start + Duration::from_millis(elapsed);
        datagram[4..8].copy_from_slice(&(elapsed as u32 * 8).to_be_bytes());
        forward(&mut datagram, source, now, &mut caller, &mut callee, &mut out);
        (0..90).for_each(|ms| callee.make(true, now + Duration::from_millis(ms), &mut out));
    }

    let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
    assert!(out.1 > 2 * usize::from(PACKETS) && callee.filled > u64::from(PACKETS), "{} made", out.1);
    allocations
}

/// Digits over packets that are relayed, and over ringing in the pauses between those.
fn allocations_of_playing_to_a_leg() -> u64 {
    let [mut caller, mut callee] = ["127.0.0.1:4000", "127.0.0.1:4002"].map(leg);
    callee.peer.as_mut().unwrap().payload_types.event = None;
    callee.play_digits(true);
    let press = Press { digit: Digit::try_from('5').unwrap(), duration: Duration::from_millis(200) };
    assert!((0..64).all(|_| callee.press(press)));
    let (source, start) = ("127.0.0.1:4000".parse().unwrap(), Instant::now());
    let (mut datagram, mut out) = (packet(), Into([0; 300], 0));
    let before = ALLOCATIONS.load(Ordering::SeqCst);

    for sequence in 0..PACKETS {
        let now = start + Duration::from_millis(20 * u64::from(sequence));
        if sequence / 50 % 2 == 0 {
            number(&mut datagram, sequence);
            forward(&mut datagram, source, now, &mut caller, &mut callee, &mut out);
        } else {
            callee.ring(Some(Ringback::of_country("US")));
            callee.make(true, now, &mut out);
        }
    }

    let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
    assert!(callee.filled > u64::from(PACKETS / 3), "{} made", callee.filled);
    allocations
}

fn allocations_of_srtp() -> u64 {
    let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[7; 30]).unwrap();
    let (mut outbound, mut inbound) = (Outbound::new(&key), Inbound::new(&key));
    let plain = packet();
    let mut buffer = [0; 172 + MAX_TRAILER];
    let before = ALLOCATIONS.load(Ordering::SeqCst);

    for sequence in 0..PACKETS {
        buffer[..172].copy_from_slice(&plain);
        number(&mut buffer, sequence);
        let length = outbound.protect(&mut buffer, 172).unwrap();
        assert_eq!(inbound.unprotect(&mut buffer[..length]), Ok(172));
    }

    ALLOCATIONS.load(Ordering::SeqCst) - before
}

fn allocations_of_digits_reports_and_tones() -> u64 {
    let start = Instant::now();
    let mut ear = Detector::new(Law::Mu);
    let (mut events, mut reception, mut frame) = (EventRelay::default(), Reception::default(), [0; 160]);
    let clock = NtpClock::new(start, Duration::from_secs(1_700_000_000));
    let mut session = Session::new(1, Cname::from_random(1), clock);
    let before = ALLOCATIONS.load(Ordering::SeqCst);

    session.start(start, 0);
    let (mut digits, mut reports) = (0, 0);
    for sequence in 0..PACKETS {
        let now = start + Duration::from_millis(20 * u64::from(sequence));
        let position = Position { ssrc: 7, sequence, timestamp: 160 * u32::from(sequence) };
        reception.on_packet(Arrival { position, is_audio: true, bytes: 172, at: now });
        session.on_sent(1, 160);
        let view = View { now, timestamp: position.timestamp, reception: &reception };
        let mut bytes = [0; MAX_BYTES];
        let length = session.on_time(view, 0, &mut bytes);
        reports += u16::from(session.on_datagram(&bytes[..length], now).is_ok());
        let event = Event { code: 5, end: false, volume: 10, duration: 160 };
        let placing = events.on_packet(
            Position { timestamp: 1_000 * u32::from(sequence / 10), ..position },
            false,
            event,
            now,
        );
        digits += placing.map_or(0, |placing| u16::from(placing.place(position.timestamp).marker));
        Ringback::of_country("US").fill(Law::Mu, u64::from(sequence) * 160, &mut frame);
        ear.listen(&frame, |_| ());
    }

    let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
    assert!(digits > 100 && reports > 5, "{digits} digits, {reports} reports");
    allocations
}

/// With more calls than a pass of the thread has room for, between the same two far ends.
fn allocations_of_a_media_thread() -> u64 {
    let listen = vec!["127.0.11.1".parse().unwrap()];
    let ports = [30_000, 30_199];
    let config = Config { listen, ports, threads: 1, silence_timeout_s: 60, ..Config::default() };
    let mut engine = Engine::start(&config, Arc::new(|_| ())).unwrap();
    let ends = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = [0, 1].map(|end: usize| ends[end].local_addr().unwrap());
    let calls: Vec<_> = (0..CALLS)
        .map(|call| {
            let reserved = engine.reserve(CallId(call), addresses[0].ip(), addresses[1].ip()).unwrap();
            for (side, remote) in [Side::Caller, Side::Callee].into_iter().zip(addresses) {
                engine.set_leg(CallId(call), side, LegMedia::new(remote, 0));
            }
            engine.answered(CallId(call));
            reserved.caller
        })
        .collect();
    let (mut datagram, mut arrived) = (packet(), [0; 400]);
    let mut relay = |sequences: std::ops::Range<u16>| {
        for sequence in sequences {
            number(&mut datagram, sequence);
            for call in &calls {
                ends[0].send_to(&datagram, call).unwrap();
            }
            for _ in &calls {
                ends[1].recv(&mut arrived).unwrap();
            }
        }
    };

    relay(0..10);
    // For whatever else the process does as it begins.
    std::thread::sleep(Duration::from_millis(200));
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    relay(10..PACKETS / 10);

    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// For packets that all fit the buffers they came in.
struct Never;

impl Outbox for Never {
    fn put(&mut self, _write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        false
    }
}

/// One buffer for every packet, and how many there were.
struct Into([u8; 300], usize);

impl Outbox for Into {
    fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        self.1 += 1;
        write(&mut self.0) > 0
    }
}

fn leg(address: &str) -> Leg {
    let mut leg = Leg::new(Position { ssrc: 1, sequence: 1, timestamp: 1 });
    let address: std::net::SocketAddr = address.parse().unwrap();
    let latch = Latch::new(Signalled::new(address, true));
    let payload_types = PayloadTypes { audio: 0, event: Some(101), our_event: None };
    leg.peer = Some(Peer { latch, payload_types, law: Law::Mu, ptime_ms: 20, sends: true, receives: true });
    leg
}

fn packet() -> Vec<u8> {
    packet_of(160)
}

fn packet_of(octets: usize) -> Vec<u8> {
    RtpPacketBuilder::new()
        .payload_type(0)
        .sequence(Seq::from(0))
        .ssrc(7)
        .payload(&vec![0xFF; octets])
        .build()
        .unwrap()
}

/// Makes `datagram` the packet of that number, with its timestamp and the far end's own SSRC.
fn number(datagram: &mut [u8], sequence: u16) {
    datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
    datagram[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    datagram[8..12].copy_from_slice(&7_u32.to_be_bytes());
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

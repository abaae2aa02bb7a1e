//! What the pure packet path costs, beside rtp-rs reading the same packet as the yardstick.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::media::forward::{Leg, Outbox, Peer, Verdict, forward};
use trunkline::media::latch::{Latch, Signalled};
use trunkline::rtp::continuity::Position;
use trunkline::rtp::filler::Filler;
use trunkline::rtp::g711::Law;
use trunkline::rtp::payload::PayloadTypes;

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements(1));
    let datagram = datagram(0, &[0xFF; 160]);
    group.bench_function("rtp-rs parse, the yardstick", |bencher| {
        bencher.iter(|| {
            let reader = RtpReader::new(black_box(&datagram)).expect("valid");
            black_box((reader.payload_type(), reader.sequence_number(), reader.timestamp(), reader.ssrc()));
        });
    });
    fill(&mut group);
    path(&mut group, "relay", &datagram, [Law::Mu, Law::Mu]);
    path(&mut group, "transcode", &datagram, [Law::Mu, Law::A]);
    path(&mut group, "telephone-event", &self::datagram(EVENT, &[1, 10, 0, 160]), [Law::Mu, Law::Mu]);
}

/// A packet of silence, each 20 ms.
fn fill(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut callee = leg("198.51.100.8:5000".parse().expect("valid"), Law::A);
    callee.filler = Filler::new(100);
    let (mut now, mut made) = (Instant::now(), Made([0; 172]));
    group.bench_function("fill", |bencher| {
        bencher.iter(|| {
            now += Duration::from_millis(20);
            callee.make(true, now, black_box(&mut made));
        });
    });
}

/// A stream of `template`, from a leg of the first law to one of the second.
fn path(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, template: &[u8], laws: [Law; 2]) {
    let source: SocketAddr = "198.51.100.7:4000".parse().expect("valid");
    let (mut caller, mut callee) =
        (leg(source, laws[0]), leg("198.51.100.8:5000".parse().expect("valid"), laws[1]));
    let (mut sequence, mut timestamp, mut now) = (0_u16, 0_u32, Instant::now());
    let mut datagram = template.to_vec();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            sequence = sequence.wrapping_add(1);
            timestamp = timestamp.wrapping_add(160);
            now += Duration::from_millis(20);
            datagram.copy_from_slice(template);
            datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
            datagram[4..8].copy_from_slice(&timestamp.to_be_bytes());
            let verdict =
                forward(black_box(&mut datagram), source, now, &mut caller, &mut callee, &mut Never);
            assert_eq!(verdict, Verdict::Send(template.len()));
        });
    });
}

/// Room for one packet, made again and again.
struct Made([u8; 172]);

impl Outbox for Made {
    fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        write(&mut self.0) > 0
    }
}

/// For packets that all fit the buffers they came in.
struct Never;

impl Outbox for Never {
    fn put(&mut self, _write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        false
    }
}

fn leg(address: SocketAddr, law: Law) -> Leg {
    let mut leg = Leg::new(Position { ssrc: 1, sequence: 1, timestamp: 1 });
    let latch = Latch::new(Signalled::new(address, true));
    let payload_types = PayloadTypes { audio: 0, event: Some(EVENT), our_event: None };
    leg.peer = Some(Peer { latch, payload_types, law, ptime_ms: 20, sends: true, receives: true });
    leg
}

fn datagram(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    RtpPacketBuilder::new()
        .payload_type(payload_type)
        .sequence(Seq::from(0))
        .ssrc(7)
        .payload(payload)
        .build()
        .expect("it has a payload type, and fits")
}

const EVENT: u8 = 101;

criterion_group!(benches, packets);
criterion_main!(benches);

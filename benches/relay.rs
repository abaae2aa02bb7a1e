//! What the pure packet path costs, beside rtp-rs reading the same packet as the yardstick.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::media::forward::{Leg, Peer, Verdict, forward};
use trunkline::media::latch::{Latch, Signalled};
use trunkline::rtp::continuity::Position;
use trunkline::rtp::g711::Law;
use trunkline::rtp::payload::PayloadTypes;

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    group.throughput(Throughput::Elements(1));
    let mut datagram = RtpPacketBuilder::new()
        .payload_type(0)
        .sequence(Seq::from(0))
        .ssrc(7)
        .payload(&[0xFF; 160])
        .build()
        .expect("it has a payload type, and fits");

    group.bench_function("rtp-rs parse", |bencher| {
        bencher.iter(|| {
            let reader = RtpReader::new(black_box(&datagram)).expect("valid");
            black_box((reader.payload_type(), reader.sequence_number(), reader.timestamp(), reader.ssrc()));
        });
    });

    let source: SocketAddr = "198.51.100.7:4000".parse().expect("valid");
    let (mut caller, mut callee) = (leg(source, 96), leg("198.51.100.8:5000".parse().expect("valid"), 101));
    let (mut sequence, mut timestamp, mut now) = (0_u16, 0_u32, Instant::now());
    group.bench_function("forward", |bencher| {
        bencher.iter(|| {
            sequence = sequence.wrapping_add(1);
            timestamp = timestamp.wrapping_add(160);
            now += Duration::from_millis(20);
            datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
            datagram[4..8].copy_from_slice(&timestamp.to_be_bytes());
            datagram[8..12].copy_from_slice(&7_u32.to_be_bytes());
            let verdict = forward(black_box(&mut datagram), source, now, &mut caller, &mut callee);
            assert_eq!(verdict, Verdict::Send(172));
        });
    });
}

fn leg(address: SocketAddr, event: u8) -> Leg {
    let mut leg = Leg::new(Position { ssrc: 1, sequence: 1, timestamp: 1 });
    let latch = Latch::new(Signalled::new(address, address.ip()));
    let payload_types = PayloadTypes { audio: 0, event: Some(event) };
    leg.peer = Some(Peer { latch, payload_types, law: Law::Mu, sends: true, receives: true });
    leg
}

criterion_group!(benches, packets);
criterion_main!(benches);

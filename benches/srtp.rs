//! What SRTP costs per packet of 20 ms of G.711, beside rtp-rs reading the same packet as the yardstick.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::id::srtp::{MasterKey, Suite};
use trunkline::rtp::srtp::{Inbound, MAX_TRAILER, Outbound};

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp");
    group.throughput(Throughput::Elements(1));
    let plain = RtpPacketBuilder::new()
        .payload_type(0)
        .sequence(Seq::from(0))
        .ssrc(7)
        .payload(&[0xFF; 160])
        .build()
        .expect("it has a payload type, and fits");

    group.bench_function("rtp-rs parse", |bencher| {
        bencher.iter(|| {
            let reader = RtpReader::new(black_box(&plain)).expect("valid");
            black_box((reader.payload_type(), reader.sequence_number(), reader.timestamp(), reader.ssrc()));
        });
    });

    for suite in [Suite::AesCm128HmacSha1_80, Suite::Aes256CmHmacSha1_80] {
        let key = MasterKey::new(suite, &vec![0x5A; suite.master_bytes()]).expect("its own length");
        let packets = || {
            let (mut outbound, mut buffer) = (Outbound::new(&key), [0; 172 + MAX_TRAILER]);
            let (plain, mut sequence) = (&plain, 0_u16);
            move || {
                sequence = sequence.wrapping_add(1);
                buffer[..172].copy_from_slice(plain);
                buffer[2..4].copy_from_slice(&sequence.to_be_bytes());
                let length = outbound.protect(black_box(&mut buffer), 172).expect("the next number");
                (buffer, length)
            }
        };

        group.bench_function(format!("protect {suite:?}"), |bencher| bencher.iter(packets()));
        group.bench_function(format!("unprotect {suite:?}"), |bencher| {
            let mut inbound = Inbound::new(&key);
            bencher.iter_batched_ref(
                packets(),
                |(buffer, length)| inbound.unprotect(black_box(&mut buffer[..*length])).expect("authentic"),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("refuse another key's {suite:?}"), |bencher| {
            let other = MasterKey::new(suite, &vec![0xA5; suite.master_bytes()]).expect("its own length");
            let (mut inbound, (mut buffer, length)) = (Inbound::new(&other), packets()());
            bencher.iter(|| inbound.unprotect(black_box(&mut buffer[..length])).expect_err("another key"));
        });
    }
}

criterion_group!(benches, packets);
criterion_main!(benches);

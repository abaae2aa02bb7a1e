//! What each thing done with a packet costs by itself, beside rtp-rs reading one as the yardstick.
//!
//! A packet of 20 ms passes at most the first four; the others are for legs that ask for them, or for every 5
//! s.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use trunkline::rtp::FRAME_TICKS;
use trunkline::rtp::continuity::{Continuity, Position};
use trunkline::rtp::dtmf::{Detector, Digit, Event, EventRelay, Generator};
use trunkline::rtp::filler::Filler;
use trunkline::rtp::g711::{Law, Transcoder};
use trunkline::rtp::ringback::Ringback;
use trunkline::rtp::rtcp::{Cname, MAX_BYTES, NtpClock, Session, View};
use trunkline::rtp::stats::{Arrival, Reception};

fn each_packet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtp");
    group.throughput(Throughput::Elements(1));
    group.bench_function("rtp-rs parse, the yardstick", |bencher| {
        let datagram = RtpPacketBuilder::new()
            .payload_type(0)
            .sequence(Seq::from(0))
            .ssrc(SSRC)
            .payload(&[0xFF; 160])
            .build()
            .expect("it has a payload type, and fits");
        bencher.iter(|| {
            let reader = RtpReader::new(black_box(&datagram)).expect("valid");
            black_box((reader.payload_type(), reader.sequence_number(), reader.timestamp(), reader.ssrc()));
        });
    });
    group.bench_function("statistics", |bencher| {
        let (mut reception, mut arrival) = (Reception::default(), arrival(Instant::now()));
        bencher.iter(|| {
            reception.on_packet(black_box(arrival));
            arrival = next(arrival);
        });
    });
    group.bench_function("transcode 160 octets", |bencher| {
        let (transcoder, mut payload) = (Transcoder::new(Law::Mu, Law::A), [0x55; 160]);
        bencher.iter(|| transcoder.in_place(black_box(&mut payload)));
    });
    group.bench_function("decide on and number 20 ms of silence", |bencher| {
        let (mut filler, mut outbound) =
            (Filler::new(100), Continuity::new(Position { ssrc: SSRC, ..START }));
        let mut now = Instant::now();
        filler.start(now);
        bencher.iter(|| {
            now += FRAME;
            black_box(filler.on_time(now).map(|due| outbound.fill(due)))
        });
    });
    dtmf(&mut group);
    rtcp(&mut group);
    group.finish();
}

fn dtmf(group: &mut BenchmarkGroup<'_, WallTime>) {
    let digit = Digit::try_from('5').expect("it is one");
    group.bench_function("relay a telephone event", |bencher| {
        let (mut relay, mut source, mut now) = (EventRelay::default(), START, Instant::now());
        bencher.iter(|| {
            now += FRAME;
            source.sequence = source.sequence.wrapping_add(1);
            let event = Event::parse(black_box(&[5, 10, 1, 64])).expect("valid");
            let placing = relay.on_packet(source, false, event, now).expect("it goes on");
            black_box(placing.place(7).event.bytes())
        });
    });
    group.bench_function("make a telephone event", |bencher| {
        let start = Instant::now();
        let fresh = Generator::new(digit, Duration::from_secs(8), 20, start, 7);
        let (mut generator, mut now) = (fresh, start);
        bencher.iter(|| {
            if generator.next_deadline().is_none() {
                (generator, now) = (fresh, start);
            }
            now += FRAME;
            black_box(generator.on_time(now))
        });
    });
    for (name, octet) in [("silence", 0xFF), ("sound", 0x35)] {
        group.bench_function(format!("listen to 20 ms of {name} for digits"), |bencher| {
            let (mut detector, mut payload) = (Detector::new(Law::Mu), [0xFF; 160]);
            payload.iter_mut().step_by(7).for_each(|it| *it = octet);
            bencher.iter(|| detector.listen(black_box(&payload), |heard| _ = black_box(heard)));
        });
    }
    group.bench_function("20 ms of ringing", |bencher| {
        let (tone, mut frame) = (Ringback::of_country("US"), [0; 160]);
        bencher.iter(|| tone.fill(Law::Mu, black_box(1_600), &mut frame));
    });
}

fn rtcp(group: &mut BenchmarkGroup<'_, WallTime>) {
    let start = Instant::now();
    let clock = NtpClock::new(start, Duration::from_secs(1_700_000_000));
    let mut reception = Reception::default();
    reception.on_packet(arrival(start));
    let mut session = Session::new(SSRC, Cname::from_random(1), clock);
    let mut bytes = [0; MAX_BYTES];
    let mut report = |session: &mut Session, now| {
        let view = View { now, timestamp: 160, reception: &reception };
        session.on_sent(1, 160);
        let length = session.on_time(view, 0, &mut bytes);
        (bytes, length)
    };
    session.start(start, 0);
    let mut now = start + Duration::from_secs(10);
    let (datagram, length) = report(&mut session, now);

    group.bench_function("write a sender report", |bencher| {
        bencher.iter(|| {
            now += Duration::from_secs(10);
            black_box(report(&mut session, now))
        });
    });
    group.bench_function("read a sender report", |bencher| {
        let mut session = session.clone();
        bencher.iter(|| session.on_datagram(black_box(&datagram[..length]), now).expect("valid"));
    });
}

fn arrival(at: Instant) -> Arrival {
    Arrival { position: START, is_audio: true, bytes: 172, at }
}

fn next(arrival: Arrival) -> Arrival {
    let Position { ssrc, sequence, timestamp } = arrival.position;
    let position =
        Position { ssrc, sequence: sequence.wrapping_add(1), timestamp: timestamp.wrapping_add(FRAME_TICKS) };
    Arrival { position, at: arrival.at + FRAME, ..arrival }
}

const SSRC: u32 = 7;
const START: Position = Position { ssrc: SSRC, sequence: 0, timestamp: 0 };
const FRAME: Duration = Duration::from_millis(20);

criterion_group!(benches, each_packet);
criterion_main!(benches);

//! What a message costs: reading and writing an INVITE of 1.2 kB, beside rsip on the same input.
//!
//! `cargo bench --bench sip`. The figures of the README come from here.

use std::hint::black_box;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trunkline::sip::build::{RequestBuilder, ResponseBuilder};
use trunkline::sip::flow::Transport;
use trunkline::sip::framing::Framer;
use trunkline::sip::headers::{Name, NameAddr};
use trunkline::sip::message::{Limits, Message, Method};
use trunkline::sip::uri::Uri;

fn reading(criterion: &mut Criterion) {
    let (raw, limits) = (invite(), Limits::default());
    let message = Message::parse(raw.clone(), &limits).expect("the INVITE is well formed");
    let mut group = criterion.benchmark_group("read INVITE");
    group.throughput(Throughput::Bytes(raw.len() as u64));

    group.bench_function("index", |bencher| {
        bencher.iter(|| Message::parse(black_box(raw.clone()), &limits));
    });
    group.bench_function("validate", |bencher| bencher.iter(|| black_box(&message).validate()));
    group.bench_function("branch, Call-ID, tags", |bencher| {
        bencher.iter(|| {
            let message = black_box(&message);
            let branch = message.top_branch().map(<[u8]>::len);
            let call_id = message.call_id().map(<[u8]>::len);
            (branch, call_id, message.from_tag().map(<[u8]>::len), message.to_tag().map(<[u8]>::len))
        });
    });
    group.bench_function("frame in a stream", |bencher| {
        let mut framer = Framer::default();
        let mut buffer = BytesMut::new();
        bencher.iter(|| {
            buffer.extend_from_slice(black_box(&raw));
            framer.next(&mut buffer, &limits)
        });
    });
    group.bench_function("rsip", |bencher| bencher.iter(|| rsip::SipMessage::try_from(black_box(&raw[..]))));
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let request = Message::parse(invite(), &Limits::default()).expect("the INVITE is well formed");
    let source: SocketAddr = ([198, 51, 100, 7], 5060).into();
    let addresses = (request.from().expect("it has a From"), request.to().expect("it has a To"));
    let rsips = rsip::Request::try_from(&request.raw()[..]).expect("rsip reads this one");
    let body = request.body();
    let mut group = criterion.benchmark_group("write INVITE");

    group.bench_function("build", |bencher| bencher.iter(|| build(black_box(&addresses), &body)));
    group.bench_function("100", |bencher| {
        bencher.iter(|| ResponseBuilder::new(black_box(&request), 100, "", None, source).no_body());
    });
    group.bench_function("200", |bencher| {
        bencher.iter(|| {
            ResponseBuilder::new(black_box(&request), 200, "", Some("b2"), source)
                .header(Name::Contact, "<sip:192.0.2.9:5060>")
                .body("application/sdp", &body)
        });
    });
    group.bench_function("rsip", |bencher| bencher.iter(|| Bytes::from(black_box(&rsips).clone())));
    group.finish();
}

fn build((from, to): &(NameAddr, NameAddr), body: &[u8]) -> Bytes {
    let contact = "<sip:+14155550101@192.0.2.9:5060>";
    let route = Uri::parse(b"sip:p1.carrier.example;lr").map(NameAddr::new).expect("it is a URI");
    RequestBuilder::new(Method::Invite, &to.uri)
        .header(Name::MaxForwards, 69)
        .header(Name::Route, route)
        .header(Name::From, from)
        .header(Name::To, to)
        .header(Name::CallId, "6b1f0f3a9c2d4e5f8a7b6c5d4e3f2a1b")
        .header(Name::CSeq, "1 INVITE")
        .header(Name::Contact, contact)
        .header(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER")
        .header(Name::Supported, "replaces")
        .header(Name::UserAgent, "trunkline")
        .header_raw(b"X-Customer-Id", b"42")
        .body("application/sdp", body)
        .with_via(Transport::Udp, "192.0.2.9:5060", "z9hG4bK000123456789abcdef")
}

/// As a carrier sends it.
fn invite() -> Bytes {
    let body = "v=0\r\no=- 3890000000 3890000000 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\n\
                t=0 0\r\n\
        m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";
    let head = format!(
        "INVITE sip:+14155550100@192.0.2.9:5060;transport=udp SIP/2.0\r\n\
         Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bKmaf7d5b3c2a19e8\r\n\
         Via: SIP/2.0/UDP 198.51.100.20:5060;received=198.51.100.20;branch=z9hG4bK3e2b1c0d9f8a7\r\n\
         Record-Route: <sip:198.51.100.7;lr;ftag=gK0c9b8a7f>\r\n\
         Max-Forwards: 67\r\n\
         From: \"+14155550101\" <sip:+14155550101@carrier.example;user=phone>;tag=gK0c9b8a7f\r\n\
         To: <sip:+14155550100@192.0.2.9>\r\n\
         Call-ID: 1694508123_88271664@198.51.100.20\r\n\
         CSeq: 43221 INVITE\r\n\
         Contact: \"+14155550101\" <sip:+14155550101@198.51.100.20:5060>\r\n\
         Allow: INVITE,ACK,CANCEL,BYE,REGISTER,REFER,INFO,SUBSCRIBE,NOTIFY,PRACK,UPDATE,OPTIONS\r\n\
         Supported: timer,100rel,precondition\r\n\
         Session-Expires: 1800\r\n\
         Min-SE: 90\r\n\
         P-Asserted-Identity: \"+14155550101\" <sip:+14155550101@carrier.example>\r\n\
         User-Agent: Carrier SBC 9.2\r\n\
         X-Carrier-Call: 7f3c2a1b-0d9e-4c8f-b7a6-5d4c3b2a1908\r\n\
         Content-Disposition: session;handling=optional\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Bytes::from(head)
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);

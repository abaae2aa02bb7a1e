//! The transaction table under load: whole calls through it while up to 250,000 others linger.
//!
//! Each iteration is one answered and hung-up call of a bridge (both legs, 17 operations that look a
//! transaction up or start one) at a steady rate of virtual time, so that as many transactions expire as are
//! made. Messages are parsed and written beforehand: what is measured is the table.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trunkline::id::{ClientTx, Ids};
use trunkline::sip::flow::{Flow, ListenerId, Transport};
use trunkline::sip::message::{Limits, Message, Method};
use trunkline::sip::timers::Timers;
use trunkline::sip::transaction::{Action, Incoming, Table};

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("transactions");
    group.throughput(Throughput::Elements(OPERATIONS));
    for calls_per_second in [100, 2_500] {
        let mut bed = Bed::new(calls_per_second);
        bed.fill();
        group.bench_function(format!("one call beside {} standing", bed.table.len()), |b| {
            b.iter_custom(|iterations| bed.time(iterations));
        });
    }
    group.finish();
}

struct Bed {
    table: Table,
    ids: Ids,
    now: Instant,
    between_calls: Duration,
    out: Vec<Action>,
}

/// The messages of one call.
struct Call {
    invite: Message,
    ack: Message,
    bye: Message,
    our_invite: (ClientTx, Bytes, [Message; 3]),
    our_bye: (ClientTx, Bytes, Message),
    answers: [(u16, Bytes); 3],
}

impl Bed {
    fn new(calls_per_second: u32) -> Self {
        Self {
            table: Table::new(Timers::default()),
            ids: Ids::new([7; 32], 1),
            now: Instant::now(),
            between_calls: Duration::from_secs(1) / calls_per_second,
            out: Vec::new(),
        }
    }

    /// Runs until as many transactions end as begin.
    fn fill(&mut self) {
        let full = self.now + Duration::from_secs(33);
        while self.now < full {
            let call = self.prepare();
            self.run(&call);
        }
    }

    fn time(&mut self, iterations: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            let call = self.prepare();
            let start = Instant::now();
            self.run(black_box(&call));
            spent += start.elapsed();
        }
        spent
    }

    fn run(&mut self, call: &Call) {
        let Self { table, now, out, between_calls, .. } = self;
        let Incoming::New(invite) = table.on_request(&call.invite, FLOW, *now, out) else { unreachable!() };
        let (tx, bytes, responses) = &call.our_invite;
        for (code, bytes) in &call.answers[..1] {
            table.respond(invite, *code, bytes.clone(), *now, out);
        }
        table.request(*tx, Method::Invite, bytes.clone(), FLOW, *now, out);
        for response in responses {
            table.on_response(*tx, response, *now, out);
        }
        for (code, bytes) in &call.answers[1..] {
            table.respond(invite, *code, bytes.clone(), *now, out);
        }
        let _ = table.matches(&call.invite);
        table.on_request(&call.invite, FLOW, *now, out);
        table.on_request(&call.ack, FLOW, *now, out);
        let _ = table.matches(&call.bye);
        let Incoming::New(bye) = table.on_request(&call.bye, FLOW, *now, out) else { unreachable!() };
        let (tx, bytes, response) = &call.our_bye;
        table.respond(bye, 200, call.answers[2].1.clone(), *now, out);
        table.request(*tx, Method::Bye, bytes.clone(), FLOW, *now, out);
        table.on_response(*tx, response, *now, out);
        *now += *between_calls;
        if table.next_deadline().is_some_and(|due| due <= *now) {
            table.on_deadline(*now, out);
        }
        out.clear();
    }

    fn prepare(&mut self) -> Call {
        let [our_invite, our_bye] = [(); 2].map(|()| self.ids.client_tx());
        let id = self.ids.random();
        let answer = |code: u16| (code, Bytes::from(vec![b'x'; 400]));
        Call {
            invite: request("INVITE", &format!("z9hG4bKinvite{id:x}"), id),
            ack: request("ACK", &format!("z9hG4bKack{id:x}"), id),
            bye: request("BYE", &format!("z9hG4bKbye{id:x}"), id),
            our_invite: (
                our_invite,
                Bytes::from(vec![b'x'; 1_000]),
                [100, 180, 200].map(|code| response(code, "INVITE", &self.ids.branch(our_invite))),
            ),
            our_bye: (our_bye, Bytes::from(vec![b'x'; 400]), response(200, "BYE", &self.ids.branch(our_bye))),
            answers: [100, 180, 200].map(answer),
        }
    }
}

fn request(method: &str, branch: &str, call: u64) -> Message {
    parsed(format!(
        "{method} sip:+14155550101@192.0.2.9:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch={branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:+14155550100@192.0.2.1>;tag={call:x}\r\n\
         To: <sip:+14155550101@192.0.2.9>\r\n\
         Call-ID: {call:x}@192.0.2.1\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:192.0.2.1:5060>\r\n\
         Content-Length: 0\r\n\r\n"
    ))
}

fn response(code: u16, method: &str, branch: &str) -> Message {
    parsed(format!(
        "SIP/2.0 {code} Reason\r\n\
         Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch={branch}\r\n\
         From: <sip:+14155550100@192.0.2.9>;tag=ours\r\n\
         To: <sip:+14155550101@192.0.2.2>;tag=theirs\r\n\
         Call-ID: call\r\n\
         CSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    ))
}

fn parsed(text: String) -> Message {
    Message::parse(Bytes::from(text), &Limits::default()).expect("well formed")
}

const FLOW: Flow = Flow {
    transport: Transport::Udp,
    listener: ListenerId(0),
    remote: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 5060),
    connection: None,
    domain: None,
};

/// Calls of the table's methods in one [`Bed::run`].
const OPERATIONS: u64 = 17;

criterion_group!(benches, calls);
criterion_main!(benches);

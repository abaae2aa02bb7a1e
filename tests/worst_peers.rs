//! A recognised peer at its worst: every message of the torture table, what PROTOS does to an INVITE, and
//! thousands of mutated messages, while good calls run.
//!
//! The process lives, good calls succeed, what it keeps does not grow, and nothing malformed leaves: the
//! callee reads every message it gets line by line, and so does the attacker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;
#[path = "support/protos.rs"]
mod protos;
#[path = "torture/table.rs"]
#[allow(dead_code, reason = "the verdicts are for those who read the messages")]
mod table;
#[path = "support/wire.rs"]
mod wire;

use std::collections::{HashMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use phone::{Phone, follow_up, header};
use process::{Net, Process};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

#[test]
fn the_worst_of_peers_disturbs_no_good_call_and_nothing_malformed_leaves() {
    let net = Net::new();
    let mut bridge = Process::start(net, &config(net));
    let callees = [net.retell(), net.ip(OUTLET)].map(|ip| Callee::start(Phone::new(ip, net.sip())));
    let callers = [net.trunk(), net.ip(AGENT)].map(|ip| Phone::new(ip, net.sip()));
    let mut attackers = [BAD_TRUNK, BAD_RETELL].map(|host| Attacker::new(net.ip(host), net.sip()));
    let standing = callers.each_ref().map(|caller| good_call(caller, STANDING));
    let mut after_warm_up = 0;

    for round in 0..ROUNDS {
        for attacker in &mut attackers {
            attacker.attack(round);
        }
        for caller in &callers {
            let call = good_call(caller, "+14155550101");
            hang_up(caller, &call);
        }
        for attacker in &mut attackers {
            attacker.read_answers();
        }
        if round == WARM_UP {
            after_warm_up = bridge.resident();
        }
    }

    assert!(bridge.runs(), "{:#?}", bridge.log());
    let grown = bridge.resident().saturating_sub(after_warm_up);
    assert!(grown < MOST_GROWTH, "{grown} bytes more than after the warm-up");
    only_good_calls_are_left_once_the_others_are_ended(&bridge);
    for ((caller, callee), call) in callers.iter().zip(&callees).zip(&standing) {
        caller.send_audio(&call.1, 1);
        assert_eq!(callee.media.recv(&mut [0; 2_048]).unwrap(), 172);
        hang_up(caller, call);
    }
    let panicked: Vec<_> = bridge.log().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panicked.is_empty(), "{panicked:#?}");
    for heard in callees.map(Callee::stop) {
        assert_eq!(heard.faults, [""; 0]);
        assert!(heard.calls > 2 * ROUNDS, "the attack is too weak: {} INVITEs came through", heard.calls);
    }
    for attacker in attackers {
        assert_eq!(attacker.faults, [""; 0]);
        assert!(attacker.answers > 10 * ROUNDS, "the attack is too weak: {} answers", attacker.answers);
    }
}

#[test]
fn a_recognised_peer_is_told_what_is_wrong_with_its_message() {
    let net = Net::new();
    let _bridge = Process::start(net, &config(net));
    let phone = Phone::new(net.trunk(), net.sip());
    let many = "X-Account: seven\r\n".repeat(300);
    let long = format!("X-Account: {}\r\n", "7".repeat(9_000));
    for (headers, status) in [
        ("no header\r\n", "400 Line 9 is not a header"),
        ("X-Account: one\ntwo\r\n", "400 Line 9 has a CR or LF alone"),
        ("Content-Length: 9\r\n", "400 Content-Length stands twice with different values"),
        (many.as_str(), "513 More than 256 headers"),
        (long.as_str(), "513 Line 9 is longer than 8192 bytes"),
    ] {
        let invite = phone.invite("+14155550100", headers);

        phone.send(&invite);

        let answer = phone.expect("SIP/2.0 ");
        assert_eq!(answer.lines().next(), Some(format!("SIP/2.0 {status}").as_str()));
        assert_eq!(header(&answer, "Call-ID"), header(&invite, "Call-ID"));
    }
}

/// Two peers of each kind behind addresses of their own: those who are called, those who
/// call, and those who attack.
fn config(net: Net) -> String {
    let retell =
        net.retell_peer().replace("\"]", &format!("\", \"{}\", \"{}\"]", net.ip(AGENT), net.ip(BAD_RETELL)));
    let carrier = Net::trunk_peer("carrier", net.trunk());
    let carrier = carrier.replace("\"]", &format!("\", \"{}\"]", net.ip(BAD_TRUNK)));
    net.sockets() + &retell + &Net::trunk_peer("outlet", net.ip(OUTLET)) + &carrier
}

/// A trick that answers from a Contact far away leaves a call like any other, which ends like one.
fn only_good_calls_are_left_once_the_others_are_ended(bridge: &Process) {
    let is_good = |call: &Value| call["to"] == STANDING;
    bridge.eventually("the good calls alone are left", || {
        let calls = bridge.calls();
        for call in calls.iter().filter(|call| !is_good(call)) {
            bridge.http("DELETE", &format!("/v1/calls/{}", call["id"].as_str().unwrap()), "");
        }
        (calls.len() == 2 && calls.iter().all(is_good)).then_some(())
    });
}

/// An answered call from `caller`, as its INVITE and the 200.
fn good_call(caller: &Phone, number: &str) -> (String, String) {
    let invite = caller.invite(number, "X-Good: yes\r\n");
    caller.send(&invite);
    let ok = expect_ok(caller, &invite);
    assert_eq!(wire::fault_toward_callee(ok.as_bytes()), None);
    caller.send(follow_up(&invite, &ok, "ACK", 1));
    (invite, ok)
}

fn hang_up(caller: &Phone, (invite, ok): &(String, String)) {
    let bye = follow_up(invite, ok, "BYE", 2);
    caller.send(&bye);
    expect_ok(caller, &bye);
}

/// The 200 to `request`, whatever else comes before.
fn expect_ok(phone: &Phone, request: &str) -> String {
    loop {
        let ok = phone.expect("SIP/2.0 200 ");
        if ["Call-ID", "CSeq"].iter().all(|name| header(&ok, name) == header(request, name)) {
            return ok;
        }
    }
}

/// The other leg: answers good calls as they should be, and plays tricks of its own on the others.
struct Callee {
    media: UdpSocket,
    stops: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: thread::JoinHandle<()>,
}

/// What the callee got.
#[derive(Debug, Default)]
struct Heard {
    calls: usize,
    faults: Vec<String>,
}

impl Callee {
    fn start(phone: Phone) -> Self {
        let (media, stops) = (phone.media.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (notes, asked) = (Arc::clone(&heard), Arc::clone(&stops));
        let thread = thread::spawn(move || {
            let mut tricks = Tricks { mutator: Mutator::new(2), victims: HashMap::new() };
            while !asked.load(Ordering::Relaxed) {
                if let Some(message) = phone.receive_bytes(Duration::from_millis(50)) {
                    tricks.answer(&phone, &message, &mut notes.lock().unwrap());
                }
            }
        });
        Self { media, stops, heard, thread }
    }

    fn stop(self) -> Heard {
        self.stops.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// What the callee does with what it gets.
struct Tricks {
    mutator: Mutator,
    /// Contacts of the calls that it need not treat well, by Call-ID.
    victims: HashMap<String, String>,
}

impl Tricks {
    fn answer(&mut self, phone: &Phone, message: &[u8], heard: &mut Heard) {
        let text = String::from_utf8_lossy(message).into_owned();
        let method = text.split(' ').next().unwrap_or_default();
        // What follows a trick repeats its To or From as it was, to nobody but who played it.
        let repeats_trick = method != "INVITE" && self.victims.contains_key(header(&text, "Call-ID"));
        let fault = if repeats_trick { wire::fault } else { wire::fault_toward_callee };
        heard.faults.extend(fault(message));
        heard.calls += usize::from(method == "INVITE");
        match method {
            "INVITE" if text.contains("X-Good: yes") => {
                phone.answer(&text, "180 Ringing");
                phone.answer(&text, "200 OK");
            }
            "INVITE" => {
                let contact = header(&text, "Contact").trim_matches(['<', '>']);
                self.victims.insert(header(&text, "Call-ID").to_owned(), contact.to_owned());
                let status = TRICKS[heard.calls % TRICKS.len()];
                phone.send(self.mutator.mutate(phone.response(&text, status).as_bytes()));
                phone.answer(&text, "486 Busy Here");
            }
            "ACK" => self.hang_up(phone, &text),
            "SIP/2.0" => {}
            _ => phone.answer(&text, "200 OK"),
        }
    }

    /// Ends a call that a trick of ours has answered.
    fn hang_up(&self, phone: &Phone, ack: &str) {
        let Some(contact) = self.victims.get(header(ack, "Call-ID")) else { return };
        let (from, to, call_id) = (header(ack, "To"), header(ack, "From"), header(ack, "Call-ID"));
        phone.send(format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {}:5060;branch=z9hG4bK-bye-{call_id}\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n",
            phone.ip
        ));
    }
}

/// A recognised peer that sends what it likes; it reads the answers only to check them.
struct Attacker {
    phone: Phone,
    bridge: SocketAddr,
    /// A call of its own, whose dialog it abuses.
    victim: (String, String),
    /// Open a while, so that answers can come.
    streams: VecDeque<TcpStream>,
    protos: Vec<Vec<u8>>,
    mutator: Mutator,
    sent: usize,
    answers: usize,
    faults: Vec<String>,
}

impl Attacker {
    fn new(ip: Ipv4Addr, bridge: SocketAddr) -> Self {
        let phone = Phone::new(ip, bridge);
        let (streams, protos, mutator) = (VecDeque::new(), protos::cases(phone.ip, bridge), Mutator::new(1));
        let victim = good_call(&phone, "+14155550102");
        Self { phone, bridge, victim, streams, protos, mutator, sent: 0, answers: 0, faults: Vec::new() }
    }

    /// The whole table in the first round, a share of PROTOS and mutated messages in every one.
    fn attack(&mut self, round: usize) {
        self.victim = good_call(&self.phone, "+14155550102");
        for case in table::cases().into_iter().filter(|_| round == 0) {
            self.phone.send(&case.message);
            self.send_by_tcp(&case.message);
        }
        for case in self.protos.iter().skip(round).step_by(ROUNDS).cloned().collect::<Vec<_>>() {
            self.phone.send(&case);
            self.send_by_tcp(&case);
        }
        for _ in 0..UDP_A_ROUND {
            let message = self.mutated();
            self.phone.send(&message);
        }
        for _ in 0..TCP_A_ROUND {
            let message = self.mutated();
            self.send_by_tcp(&message);
        }
    }

    fn send_by_tcp(&mut self, message: &[u8]) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((self.phone.ip, 0)).into()).unwrap();
        socket.connect(&self.bridge.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        // Whatever it says on a stream, the bridge may close it at any byte.
        let _ = stream.write_all(message);
        stream.set_nonblocking(true).unwrap();
        self.streams.push_back(stream);
    }

    /// One of the valid messages, with identifiers of its own and a few things wrong.
    fn mutated(&mut self) -> Vec<u8> {
        self.sent += 1;
        let valid = match self.sent % 3 {
            0 => message_in_dialog(self.sent, &self.victim, &self.phone.sdp()),
            _ => valid_message(self.sent, self.phone.ip, self.bridge),
        };
        self.mutator.mutate(valid.as_bytes())
    }

    fn read_answers(&mut self) {
        while let Some(answer) = self.phone.receive_bytes(Duration::ZERO) {
            self.answers += 1;
            self.faults.extend(wire::fault(&answer));
        }
        while self.streams.len() > STREAMS {
            let mut answers = Vec::new();
            let _ = self.streams.pop_front().unwrap().read_to_end(&mut answers);
            for answer in wire::split(&answers) {
                self.answers += 1;
                self.faults.extend(wire::fault(answer));
            }
        }
    }
}

fn valid_message(number: usize, ip: IpAddr, bridge: SocketAddr) -> String {
    let method =
        ["INVITE", "INVITE", "INVITE", "OPTIONS", "BYE", "CANCEL", "ACK", "REGISTER", "INFO"][number % 9];
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    let body = if method == "INVITE" { sdp.as_str() } else { "" };
    let tag = if number.is_multiple_of(5) { ";tag=0123456789abcdef0123456789abcdef" } else { "" };
    let start = match number % 23 {
        0 => "SIP/2.0 200 OK".to_owned(),
        _ => format!("{method} sip:+14155550100@{bridge} SIP/2.0"),
    };
    let tag = if method == "INVITE" { "" } else { tag };
    format!(
        "{start}\r\n\
         Via: SIP/2.0/UDP {ip}:5060;branch=z9hG4bK-{number};rport, SIP/2.0/TCP \
         far.example;branch=z9hG4bKfar\r\n\
         Max-Forwards: 70\r\n\
         f: \"Doe, \\\"J\\\" John\" <sip:+14155550123@{ip};user=phone>;tag=t{number}\r\n\
         To: <sip:+14155550100@{bridge}>{tag}\r\n\
         i: {number}@{ip}\r\n\
         CSeq: {number} {method}\r\n\
         m: <sip:+14155550123@{ip}:5060;transport=udp>\r\n\
         Record-Route: <sip:{ip};lr>\r\n\
         Diversion: \"A, B\" <sip:+14155550124@far.example>;reason=unconditional;counter=1\r\n\
         History-Info: <sip:+14155550125@far.example?Reason=SIP%3Bcause%3D302>;index=1,\r\n\
         \u{20}<sip:+14155550126@far.example>;index=1.1\r\n\
         P-Asserted-Identity: \"J\" <sip:+14155550123@far.example>, <tel:+14155550123>\r\n\
         User-to-User: 56a390f3d2b7310023a2;encoding=hex\r\n\
         X-Account: seven; eight=\"nine\r\n\
         \u{20}ten\"\r\n\
         Supported: timer, replaces\r\n\
         Content-Type: application/sdp\r\n\
         l: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request within the dialog of `victim`.
fn message_in_dialog(number: usize, victim: &(String, String), sdp: &str) -> String {
    let methods = ["INVITE", "UPDATE", "INFO", "ACK", "PRACK", "OPTIONS", "REFER", "INVITE", "CANCEL", "BYE"];
    let method = methods[number % methods.len()];
    let sequence = u32::try_from(number).unwrap();
    let request = follow_up(&victim.0, &victim.1, method, sequence);
    let request = request.replace("branch=", &format!("branch=z9hG4bK{number}-"));
    let contact = header(&victim.0, "Contact");
    let body = if ["INVITE", "UPDATE"].contains(&method) { sdp } else { "" };
    let end = format!(
        "Contact: {contact}\r\nRefer-To: <sip:+14155550103@far.example>\r\nRAck: 1 1 INVITE\r\n\
         X-Account: seven\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    request.replace("Content-Length: 0\r\n\r\n", &end)
}

/// Does to valid messages what fuzzers do, the same for the same seed.
struct Mutator {
    random: StdRng,
}

impl Mutator {
    fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed) }
    }

    fn mutate(&mut self, valid: &[u8]) -> Vec<u8> {
        let mut message = valid.to_vec();
        for _ in 0..self.random.random_range(1..=3) {
            self.mutate_once(&mut message);
        }
        message.truncate(65_507);
        message
    }

    fn mutate_once(&mut self, message: &mut Vec<u8>) {
        if message.is_empty() {
            return;
        }
        let at = self.random.random_range(0..message.len());
        let length = self.random.random_range(0..=(message.len() - at).min(40));
        match self.random.random_range(0..10) {
            0 => message[at] = self.random.random(),
            1 => {
                let odd = ODD[self.random.random_range(0..ODD.len())];
                message.splice(at..at, odd.iter().copied());
            }
            2 => {
                let odd = ODD[self.random.random_range(0..ODD.len())];
                message.splice(at..at + length, odd.iter().copied());
            }
            3 => drop(message.drain(at..at + length)),
            4 => {
                let chunk = message[at..at + length].repeat(self.random.random_range(1..200));
                message.splice(at..at, chunk);
            }
            5 => message.truncate(at),
            6 => self.mutate_line(message, |lines, line| lines.insert(line, lines[line].clone())),
            7 => self.mutate_line(message, |lines, line| drop(lines.remove(line))),
            8 => self.mutate_line(message, |lines, line| {
                let last = lines.len() - 1;
                lines.swap(line, last.min(line + 3));
            }),
            _ => {
                let digit = message[at..].iter().position(u8::is_ascii_digit).map(|found| at + found);
                let huge = [&b"99999999999999999999"[..], b"-1", b"0", b"4294967296", b"", b"2147483648"];
                let huge = huge[self.random.random_range(0..huge.len())];
                if let Some(digit) = digit {
                    message.splice(digit..=digit, huge.iter().copied());
                }
            }
        }
    }

    fn mutate_line(&mut self, message: &mut Vec<u8>, change: impl FnOnce(&mut Vec<Vec<u8>>, usize)) {
        let mut lines: Vec<_> = message.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        let line = self.random.random_range(0..lines.len());
        change(&mut lines, line);
        *message = lines.concat();
    }
}

/// What has confused a parser before.
const ODD: [&[u8]; 24] = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"<>",
    b";",
    b";;",
    b",",
    b":",
    b"=",
    b"@",
    b"%",
    b"%00",
    b"%0d%0aX: 1",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\t \r\n ",
    b"[::1]",
    b"sip:",
];

/// What the callee says, mutated, before it refuses.
const TRICKS: [&str; 4] =
    ["200 OK", "183 Session Progress", "302 Moved Temporarily", "407 Proxy Authentication Required"];

/// The number of the calls that stand through it all; nobody else calls it.
const STANDING: &str = "+14155550150";

/// The other trunk, which calls from Retell go to; who calls from Retell; and the two who attack.
const OUTLET: u8 = 4;
const AGENT: u8 = 5;
const BAD_TRUNK: u8 = 6;
const BAD_RETELL: u8 = 7;

const ROUNDS: usize = 100;
/// Datagrams of a round: few enough for the bridge's socket to hold them all.
const UDP_A_ROUND: usize = 40;
const TCP_A_ROUND: usize = 20;
/// Rounds until the process has what it needs.
const WARM_UP: usize = 20;
/// Streams that stay open beyond their round.
const STREAMS: usize = 20;
/// What transactions of the last half minute may take; a leak of 3 kB a message is above it.
const MOST_GROWTH: usize = 32 << 20;

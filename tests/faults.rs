//! Failing networks around the running process, by the clock on the wall: targets that refuse, reset or say
//! nothing, and name servers that die while calls are up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/name_server.rs"]
mod name_server;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use name_server::{Manner, NameServer};
use phone::{Call, Phone, header};
use process::{Net, Process};

#[test]
fn a_target_that_refuses_or_resets_costs_its_caller_nothing() {
    for (rest, fault) in
        [("", Fault::Refusing), (";transport=tcp", Fault::Refusing), (";transport=tcp", Fault::Resetting)]
    {
        let site = Site::serve(rest);
        let failing = fault.begin(site.failing);

        let took = site.call();

        assert!(took < AT_ONCE, "{rest} {fault:?}: {took:?}");
        drop(failing);
    }
}

#[test]
fn a_target_that_says_nothing_is_left_after_4_s_and_costs_the_next_call_nothing() {
    for rest in ["", ";transport=tcp"] {
        let site = Site::serve(rest);
        let failing = Fault::Silent.begin(site.failing);

        let (first, second) = (site.call(), site.call());

        assert!((Duration::from_secs(4)..Duration::from_secs(5)).contains(&first), "{rest}: {first:?}");
        assert!(second < AT_ONCE, "{rest}: {second:?}");
        drop(failing);
    }
}

#[test]
fn with_dead_name_servers_calls_go_on_and_new_ones_go_where_the_last_went() {
    let net = Net::new();
    let names = name_server(&[format!("agents.example 1 A {}", net.retell())]);
    let bridge = serve_by_name(net, &names);
    let (trunk, retell) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()));
    let up = Call::place(&trunk, &retell, "+14155550100");
    names.behave(Manner::Silent);
    let asked = names.count("A agents.example");

    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while names.count("A agents.example") == asked || slowest.is_zero() {
        assert!(begun.elapsed() < process::SOON, "nobody asked again");
        let placed = Instant::now();
        end(&Call::place(&trunk, &retell, "+14155550100"));
        slowest = slowest.max(placed.elapsed());
    }

    assert!(slowest < AT_ONCE, "a caller waited {slowest:?}");
    up.exchange_audio(1);
    end(&up);
    bridge.eventually("the end of every call", || bridge.calls().is_empty().then_some(()));
}

#[test]
fn a_name_that_cannot_be_looked_up_delays_nobody_else() {
    let net = Net::new();
    let names = name_server(&[]);
    names.behave(Manner::Silent);
    let bridge = serve_by_name(net, &names);
    let trunk = Phone::new(net.trunk(), net.sip());

    let begun = Instant::now();
    let invite = trunk.invite("+14155550100", "");
    trunk.send(&invite);
    trunk.expect("SIP/2.0 100 ");
    trunk.send(trunk.options());
    trunk.expect("SIP/2.0 200 ");
    let meanwhile = begun.elapsed();
    let refused = trunk.expect("SIP/2.0 503 ");

    assert!(meanwhile < AT_ONCE, "{meanwhile:?}");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    assert_eq!(header(&refused, "CSeq"), "1 INVITE");
    bridge.eventually("its record", || bridge.records().pop());
}

/// A bridge whose first Retell target fails and whose second one answers.
struct Site {
    failing: Ipv4Addr,
    trunk: Phone,
    retell: Phone,
    _bridge: Process,
}

impl Site {
    /// The URI of the failing target ends in `rest`.
    fn serve(rest: &str) -> Self {
        let net = Net::new();
        let (failing, good) = (net.ip(9), format!("\"sip:{}:5060\"", net.retell()));
        let targets = format!("[\"sip:{failing}:5060{rest}\", {good}]");
        let bridge =
            Process::start(net, &net.config().replace(&format!("uri = {good}"), &format!("uri = {targets}")));
        let (trunk, retell) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()));
        Self { failing, trunk, retell, _bridge: bridge }
    }

    /// How long a call takes until it is answered.
    fn call(&self) -> Duration {
        let begun = Instant::now();
        let call = Call::place(&self.trunk, &self.retell, "+14155550100");
        let took = begun.elapsed();
        end(&call);
        took
    }
}

/// The caller hangs up; on a busy machine its 200 may have been repeated before.
fn end(call: &Call<'_>) {
    call.caller.send(call.bye());
    let bye = call.callee.expect("BYE ");
    call.callee.answer(&bye, "200 OK");
    while header(&call.caller.expect("SIP/2.0 200 "), "CSeq") != "2 BYE" {}
}

/// What a target does to an INVITE.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nobody listens: ICMP, or a reset of the first packet.
    Refusing,
    /// It takes the INVITE and resets the connection.
    Resetting,
    /// It takes the INVITE and nothing follows.
    Silent,
}

impl Fault {
    /// Until the value is dropped.
    fn begin(self, ip: Ipv4Addr) -> Option<(UdpSocket, TcpListener)> {
        if matches!(self, Self::Refusing) {
            return None;
        }
        let (udp, tcp) = (UdpSocket::bind((ip, 5060)).unwrap(), TcpListener::bind((ip, 5060)).unwrap());
        if matches!(self, Self::Resetting) {
            let tcp = tcp.try_clone().unwrap();
            thread::spawn(move || {
                let (mut stream, _) = tcp.accept().unwrap();
                stream.read_exact(&mut [0; 100]).unwrap();
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            });
        }
        Some((udp, tcp))
    }
}

/// A name server on a thread of its own, which ends with the test.
fn name_server(records: &[String]) -> NameServer {
    let records = records.to_vec();
    let (started, server) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            started.send(NameServer::start(&records).await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    server.recv().unwrap()
}

/// A bridge whose Retell is at `agents.example`.
fn serve_by_name(net: Net, names: &NameServer) -> Process {
    let dns = format!("[dns]\nservers = [\"{}\"]\n", names.address);
    let by_address = format!("sip:{}:5060", net.retell());
    Process::start(net, &(dns + &net.config().replace(&by_address, "sip:agents.example")))
}

/// Far more than a call takes on loopback, far less than any time-out.
const AT_ONCE: Duration = Duration::from_millis(2_500);

//! A source that no peer allows: whatever it sends, over UDP and TCP, not one byte comes back. It is counted,
//! and logged once a minute.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use phone::{Call, Phone, cancel, follow_up};
use process::{Net, Process, SOON};

#[test]
fn over_udp_a_stranger_gets_nothing_and_is_counted_and_logged_once() {
    let (bridge, known, retell) = serve();
    let call = Call::place(&known, &retell, "+14155550100");
    let stranger = Phone::new(bridge.net.stranger(), bridge.net.sip());
    let messages = [requests(&stranger), requests_about(&call), broken(&stranger)].concat();

    for message in &messages {
        stranger.send(message);
    }
    for keep_alive in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b" "] {
        stranger.send(keep_alive);
        known.send(keep_alive);
    }

    known.send(known.options());
    known.expect("SIP/2.0 200 ");
    assert_eq!(stranger.heard(), [""; 0]);
    assert_eq!(bridge.metric(STRANGERS), f64::from(u32::try_from(messages.len()).unwrap()));
    assert_eq!(bridge.metric(MALFORMED), 0.0, "a keep-alive is no malformed message");
    assert_eq!(lines_about(&bridge, stranger.ip), 1, "{:#?}", bridge.log());
    call.exchange_audio(1);
    call.hang_up();
}

#[test]
fn over_tcp_a_stranger_gets_nothing_but_the_end_of_the_connection() {
    let (bridge, known, retell) = serve();
    let call = Call::place(&known, &retell, "+14155550100");
    let stranger = Phone::new(bridge.net.stranger(), bridge.net.sip());
    let garbage = [
        b"garbage\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: bridge.example\r\n\r\n".to_vec(),
        vec![0; 65_000],
        vec![b'A'; 65_000],
        b"INVITE\nsip:x\n\n".to_vec(),
    ];
    let after_ping = [b"\r\n\r\n", &requests(&stranger)[0][..]].concat();
    let messages = [requests(&stranger), requests_about(&call), garbage.to_vec(), vec![after_ping]].concat();

    for message in &messages {
        let mut stream = connect(&bridge, stranger.ip);
        // A connection that is closed while it is written to fails the rest, and is what is wanted.
        let _ = stream.write_all(message);
        let got = read_to_the_end(&mut stream);
        assert_eq!(got, b"", "{:?}", String::from_utf8_lossy(message));
    }

    assert_eq!(bridge.metric(STRANGERS), f64::from(u32::try_from(messages.len()).unwrap()));
    assert_eq!(bridge.metric(FRAMING), 0.0, "only peers are told apart by what they do wrong");
    assert_eq!(lines_about(&bridge, stranger.ip), 1, "{:#?}", bridge.log());
    call.exchange_audio(1);
    call.hang_up();
}

#[test]
fn every_stranger_has_a_line_in_the_log_and_no_second_one_within_a_minute() {
    let (bridge, known, _retell) = serve();
    let strangers: Vec<_> =
        (100..120).map(|host| UdpSocket::bind((bridge.net.ip(host), 0)).unwrap()).collect();

    for _ in 0..50 {
        for stranger in &strangers {
            stranger.send_to(b"OPTIONS sip:bridge.example SIP/2.0\r\n\r\n", bridge.net.sip()).unwrap();
        }
    }

    known.send(known.options());
    known.expect("SIP/2.0 200 ");
    assert_eq!(bridge.metric(STRANGERS), 1_000.0);
    for host in 100..120 {
        assert_eq!(lines_about(&bridge, bridge.net.ip(host)), 1, "{:#?}", bridge.log());
    }
}

#[test]
fn what_a_recognised_peer_does_wrong_on_a_stream_is_counted_as_bad_framing() {
    let (bridge, known, _retell) = serve();
    let mut stream = connect(&bridge, known.ip);

    stream.write_all(b"OPTIONS sip:bridge.example SIP/2.0\r\n\r\n").unwrap();

    assert_eq!(read_to_the_end(&mut stream), b"");
    bridge.eventually("counted", || (bridge.metric(FRAMING) == 1.0).then_some(()));
    assert_eq!(bridge.metric(STRANGERS), 0.0);
}

#[test]
fn a_stream_that_carries_a_request_of_a_call_in_progress_is_no_strangers() {
    let (bridge, known, retell) = serve();
    let call = Call::place(&known, &retell, "+14155550100");
    let mut stream = connect(&bridge, known.ip);

    stream.write_all(call.bye().as_bytes()).unwrap();
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"SIP/2.0 200 "));
    stream.write_all(b"\r\n\r\n").unwrap();

    let length = stream.read(&mut answer).unwrap();
    assert_eq!(&answer[..length], b"\r\n", "the pong, which is for peers alone");
}

#[test]
fn who_may_show_credentials_is_no_stranger_for_acknowledging_that_it_was_asked_for_them() {
    let net = Net::new();
    let roaming = "[[trunks]]\nname = \"roaming\"\nuri = \"sip:roaming.example\"\ncountry = \"US\"\n\
                   username = \"acct\"\npassword = \"secret\"\nchallenge = true\n";
    let bridge = Process::start(net, &(net.config() + roaming));
    let roaming = Phone::new(net.ip(9), net.sip());
    let mut stream = connect(&bridge, roaming.ip);

    for _ in 0..3 {
        let invite = roaming.invite("+14155550100", "");
        stream.write_all(invite.as_bytes()).unwrap();
        let mut answer = vec![0; 4_096];
        let length = stream.read(&mut answer).unwrap();
        let answer = str::from_utf8(&answer[..length]).unwrap();
        assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
        stream.write_all(follow_up(&invite, answer, "ACK", 1).as_bytes()).unwrap();
    }

    assert_eq!(bridge.metric(STRANGERS), 0.0);
    assert_eq!(lines_about(&bridge, roaming.ip), 0);
}

#[test]
fn silent_connections_from_a_peers_address_do_not_keep_the_peer_out() {
    let (bridge, known, _retell) = serve();
    let _silent: Vec<_> = (0..200).map(|_| connect(&bridge, known.ip)).collect();
    let mut stream = connect(&bridge, known.ip);

    stream.write_all(known.options().replace("SIP/2.0/UDP", "SIP/2.0/TCP").as_bytes()).unwrap();

    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"SIP/2.0 200 "));
}

/// Whole requests outside of any dialog.
fn requests(phone: &Phone) -> Vec<Vec<u8>> {
    let uri = "sip:+14155550100@bridge.example";
    let methods = ["INVITE", "OPTIONS", "BYE", "CANCEL", "ACK", "REGISTER", "SUBSCRIBE", "FLOWERS"];
    methods.map(|method| phone.request(method, uri, "").into_bytes()).to_vec()
}

/// Requests that name a call in progress by all its identifiers.
fn requests_about(call: &Call<'_>) -> Vec<Vec<u8>> {
    let retransmitted = call.invite.replace(";branch=", ";x=1;branch=");
    let bye = call.bye();
    let other = |method: &str| bye.replace("BYE", method);
    [
        retransmitted,
        cancel(&call.invite),
        other("ACK"),
        other("INFO"),
        other("OPTIONS"),
        bye,
        call.bye_of_callee(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What is no message at all, and what is nearly one.
fn broken(phone: &Phone) -> Vec<Vec<u8>> {
    let invite = phone.invite("+14155550100", "").into_bytes();
    let largest = [&invite[..], &vec![b'x'; 65_507 - invite.len()]].concat();
    vec![
        b"garbage".to_vec(),
        vec![0xff; 1_400],
        [&[0; 100][..], b"\x01"].concat(),
        vec![b'A'; 65_507],
        largest,
        invite[..invite.len() / 2].to_vec(),
        b"INVITE sip:x SIP/2.0\r\n\r\n".to_vec(),
        b"SIP/2.0 200\r\nContent-Length: -1\r\n\r\n".to_vec(),
    ]
}

fn connect(bridge: &Process, from: IpAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&bridge.net.sip().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Everything that comes until the other side closes; a reset is an end too.
fn read_to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Ok(_) => got,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => got,
        Err(error) => panic!("the connection stays open: {error}"),
    }
}

/// How many lines of the log name `source`.
fn lines_about(bridge: &Process, source: impl std::fmt::Display) -> usize {
    let log = bridge.log();
    log.iter().filter(|line| line.contains(&format!("{source}:")) && line.contains("not answered")).count()
}

/// A bridge that bans nobody, a trunk that it knows, and its Retell.
fn serve() -> (Process, Phone, Phone) {
    let net = Net::new();
    let bridge = Process::start(net, &net.config().replacen("[sip]\n", "[sip]\nban_s = 0\n", 1));
    (bridge, Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()))
}

const STRANGERS: &str = "trunkline_sip_rejected_total{reason=\"stranger\"}";
const MALFORMED: &str = "trunkline_sip_rejected_total{reason=\"malformed\"}";
const FRAMING: &str = "trunkline_sip_rejected_total{reason=\"framing\"}";

//! The simulated carrier and the simulated Retell endpoint call each other, without a bridge between them.
//!
//! What `trunkline demo` blames on the bridge must be the bridge's: here the far ends prove that they
//! themselves set up, hear, measure and end calls as they should, over real sockets.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use trunkline::sim::call::{Call, Ended, Failure};
use trunkline::sim::carrier::{self, Script, Then};
use trunkline::sim::demo::{Bridge, FarEnds};
use trunkline::sim::digest::Credentials;
use trunkline::sim::endpoint::Endpoint;
use trunkline::sim::g711::Law;
use trunkline::sim::log::Log;
use trunkline::sim::media::Media;
use trunkline::sim::retell::{self, Agent};
use trunkline::sim::stream::Recording;
use trunkline::sim::tone::Tone;
use trunkline::sim::uac::Dial;
use trunkline::sim::verdict::judge;
use trunkline::sim::wire::Path;

#[tokio::test]
async fn a_call_to_retell_over_udp_carries_both_tones_and_is_hung_up_by_the_caller() {
    let ends = Ends::start(carrier(), retell()).await;

    let (caller, mut callee) = ends.to_retell(Path::Udp).await;
    ends.assert_audio(&caller, &callee).await;
    caller.hang_up().await.unwrap();

    assert_eq!(callee.ended().await, Ended::There);
    ends.assert_no_complaints();
}

#[tokio::test]
async fn a_call_from_retell_over_tcp_carries_both_tones_and_is_hung_up_by_the_callee() {
    let ends = Ends::start(carrier(), retell()).await;

    let (mut caller, callee) = ends.to_carrier(Path::Tcp).await;
    ends.assert_audio(&callee, &caller).await;
    callee.hang_up().await.unwrap();

    assert_eq!(caller.ended().await, Ended::There);
    ends.assert_no_complaints();
}

#[tokio::test]
async fn a_carrier_that_knows_only_a_law_is_heard_in_it() {
    let ends = Ends::start(carrier::Config { codecs: vec![Law::A], ..carrier() }, retell()).await;

    let (caller, callee) = ends.to_retell(Path::Tcp).await;

    assert_eq!((caller.law, callee.law), (Law::A, Law::A));
    ends.assert_audio(&caller, &callee).await;
}

#[tokio::test]
async fn the_first_call_shows_in_the_log_as_both_ends_saw_it() {
    let ends = Ends::start(carrier(), retell()).await;

    let (caller, mut callee) = ends.to_retell(Path::Tcp).await;
    caller.hang_up().await.unwrap();
    callee.ended().await;

    let sent: Vec<_> = ends.log.of(CALLED).into_iter().filter(|event| event.sent).collect();
    let titles: Vec<_> = sent.iter().map(|event| event.title.as_str()).collect();
    assert_eq!(titles, ["INVITE", "100 Processing", "180 Ringing", "200 OK", "ACK", "BYE", "200 OK"]);
    assert_eq!(ends.log.of(CALLED).len(), 2 * titles.len());
}

#[tokio::test]
async fn retell_rings_again_every_second() {
    let agent = Agent::After(Duration::from_millis(1_500));
    let ends = Ends::start(carrier(), retell::Config { agent, ..retell() }).await;

    let (caller, _callee) = ends.to_retell(Path::Tcp).await;

    let rings = ends.log.of(CALLED).into_iter().filter(|event| event.sent && event.title == "180 Ringing");
    assert_eq!(rings.count(), 2);
    assert!(caller.answered_ns - caller.invited_ns >= 1_500_000_000);
}

#[tokio::test]
async fn an_agent_that_never_comes_is_486_rejected() {
    let agent = Agent::NeverWithin(Duration::from_millis(50));
    let ends = Ends::start(carrier(), retell::Config { agent, ..retell() }).await;

    let refused = ends.carrier.dial(ends.dial(Path::Udp(ends.retell.address()))).answer().await;

    assert_eq!(refused.unwrap_err(), Failure::Refused { code: 486, reason: "Rejected".into() });
}

#[tokio::test]
async fn retell_challenges_by_407_and_takes_the_right_password_only() {
    let agreed = |password: &str| Some(Credentials { username: "retell".into(), password: password.into() });
    let strict = || retell::Config { challenge: agreed("right"), ..retell() };
    let right = Ends::start(carrier::Config { credentials: agreed("right"), ..carrier() }, strict()).await;
    let wrong = Ends::start(carrier::Config { credentials: agreed("wrong"), ..carrier() }, strict()).await;

    let accepted = right.carrier.dial(right.dial(Path::Udp(right.retell.address()))).answer().await;
    let refused = wrong.carrier.dial(wrong.dial(Path::Udp(wrong.retell.address()))).answer().await;

    assert!(accepted.is_ok(), "{accepted:?}");
    assert_eq!(refused.unwrap_err(), Failure::Credentials { code: 401 });
}

#[tokio::test]
async fn a_busy_number_of_the_carrier_says_so() {
    let busy =
        Script { progress: Some(183), ring: Duration::ZERO, then: Then::Refuse(486, "Busy Here".into()) };
    let ends =
        Ends::start(carrier::Config { scripts: vec![(CALLED.into(), busy)], ..carrier() }, retell()).await;

    let refused = ends.retell.dial(ends.dial(Path::Udp(ends.carrier.address()))).answer().await;

    assert_eq!(refused.unwrap_err(), Failure::Refused { code: 486, reason: "Busy Here".into() });
}

#[tokio::test]
async fn a_cancelled_call_ends_with_487_on_both_ends() {
    let agent = Agent::After(Duration::from_secs(20));
    let ends = Ends::start(carrier(), retell::Config { agent, ..retell() }).await;

    let mut dialing = ends.carrier.dial(ends.dial(Path::Udp(ends.retell.address())));
    tokio::time::sleep(Duration::from_millis(100)).await;
    dialing.cancel();

    assert_eq!(dialing.answer().await.unwrap_err(), Failure::Cancelled);
}

#[tokio::test]
async fn a_call_that_rings_for_too_long_is_cancelled_and_called_unanswered() {
    let agent = Agent::After(Duration::from_secs(20));
    let ends = Ends::start(carrier(), retell::Config { agent, ..retell() }).await;
    let dial = Dial { patience: Duration::from_secs(1), ..ends.dial(Path::Udp(ends.retell.address())) };

    let unanswered = ends.carrier.dial(dial).answer().await;

    assert_eq!(unanswered.unwrap_err(), Failure::NoAnswer { seconds: 1 });
    assert!(ends.log.of(CALLED).iter().any(|event| event.title == "CANCEL"));
}

#[tokio::test]
async fn retell_hangs_up_on_a_peer_that_falls_silent() {
    let media_timeouts = (Duration::from_secs(5), Duration::from_millis(500));
    let ends = Ends::start(carrier(), retell::Config { media_timeouts, ..retell() }).await;
    let (mut caller, mut callee) = ends.to_retell(Path::Udp).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    ends.media.stop(caller.stream);

    assert_eq!(callee.ended().await, Ended::Silence);
    assert_eq!(caller.ended().await, Ended::There);
}

#[tokio::test]
async fn an_agent_that_does_not_talk_sends_silence_without_end() {
    let ends = Ends::start(carrier(), retell()).await;
    let (caller, callee) = ends.to_retell(Path::Udp).await;

    ends.media.talk(callee.stream, false);
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    let heard = ends.media.recording(caller.stream).await;
    let verdict = judge(&heard, &retell::TONE, callee.stream);
    assert_eq!(verdict.faults, ["heard silence, expected 443 Hz"]);
    assert!(heard.received > 60, "{}", heard.received);
}

#[tokio::test]
async fn retell_answers_options_and_refuses_what_it_does_not_know() {
    let ends = Ends::start(carrier(), retell()).await;
    let caller = BareCaller::new(ends.retell.address());

    let answers = tokio::task::spawn_blocking(move || {
        ["OPTIONS", "INFO", "FROBNICATE", "NOTIFY"].map(|method| caller.ask(method))
    });

    assert_eq!(
        answers.await.unwrap(),
        ["200 OK", "405 Method Not Allowed", "405 Method Not Allowed", "481 Call/Transaction Does Not Exist"]
    );
}

#[tokio::test]
async fn without_ack_and_audio_retell_repeats_its_200_twice_and_hangs_up() {
    let ends = Ends::start(carrier(), retell()).await;
    let caller = BareCaller::new(ends.retell.address());

    let (repeats, bye) = tokio::task::spawn_blocking(move || {
        caller.call();
        ([caller.receive_title(), caller.receive_title()], caller.receive())
    })
    .await
    .unwrap();

    assert_eq!(repeats, ["200 OK", "200 OK"]);
    assert!(bye.starts_with("BYE sip:127.0.0.1:"), "{bye}");
    assert_eq!((header(&bye, "CSeq"), header(&bye, "User-Agent")), ("2 BYE", "LiveKit"));
    assert!(header(&bye, "Via").ends_with(";alias"), "{bye}");
}

#[tokio::test]
async fn a_re_invite_gets_the_same_sdp_and_an_info_405() {
    let ends = Ends::start(carrier(), retell()).await;
    let caller = BareCaller::new(ends.retell.address());

    let (first, second, info) = tokio::task::spawn_blocking(move || {
        let first = caller.call();
        let tag = header(&first, "To").split_once(";tag=").unwrap().1.to_owned();
        caller.send("ACK", 1, &format!(";tag={tag}"));
        caller.send("INVITE", 2, &format!(";tag={tag}"));
        let second = caller.receive();
        caller.send("INFO", 3, &format!(";tag={tag}"));
        (first, second, caller.receive_title())
    })
    .await
    .unwrap();

    assert!(header(&first, "To").contains(";tag=SCL_"), "{first}");
    assert!(second.starts_with("SIP/2.0 200 OK") && header(&second, "CSeq") == "2 INVITE", "{second}");
    assert_eq!(body(&first), body(&second));
    assert_eq!(info, "405 Method Not Allowed");
}

#[tokio::test]
async fn a_refused_caller_who_comes_again_is_refused_at_once() {
    let agent = Agent::NeverWithin(Duration::from_millis(50));
    let ends = Ends::start(carrier(), retell::Config { agent, ..retell() }).await;
    let caller = BareCaller::new(ends.retell.address());

    let (first, second) = tokio::task::spawn_blocking(move || {
        let first = caller.call();
        caller.send("INVITE", 2, "");
        (first, caller.receive_title())
    })
    .await
    .unwrap();

    assert!(first.starts_with("SIP/2.0 486 Rejected"), "{first}");
    assert_eq!(second, "486 Rejected");
}

/// The harness itself, with nothing between the ends: what it finds wrong in a
/// demonstration is then the bridge's.
#[test]
fn a_demonstration_without_a_bridge_is_good() {
    let ends = FarEnds::bind().unwrap();
    let direct = Bridge { udp: ends.retell_address(), tcp: ends.carrier_address() };

    let report = ends.run(6, direct, || {});

    assert!(report.is_good(), "{report}");
    assert_eq!((report.summary().calls, report.summary().ok), (6, 6));
    assert_eq!(report.summary().loss_percent, 0.0);
}

const CALLED: &str = "+14155551000";
const CALLER: &str = "+14155550100";

struct Ends {
    carrier: Endpoint,
    retell: Endpoint,
    media: Media,
    log: Log,
}

impl Ends {
    async fn start(carrier: carrier::Config, retell: retell::Config) -> Self {
        let (media, log) = (Media::start().unwrap(), Log::default());
        Self {
            carrier: carrier::start(carrier, media.clone(), log.clone()).await.unwrap(),
            retell: retell::start(retell, media.clone(), log.clone()).await.unwrap(),
            media,
            log,
        }
    }

    fn dial(&self, via: Path) -> Dial {
        let (called, caller) = (CALLED.to_owned(), CALLER.to_owned());
        Dial { via, called, caller, headers: vec![], patience: Duration::from_secs(10) }
    }

    async fn to_retell(&self, transport: fn(SocketAddr) -> Path) -> (Call, Call) {
        self.call(&self.carrier, &self.retell, transport).await
    }

    async fn to_carrier(&self, transport: fn(SocketAddr) -> Path) -> (Call, Call) {
        self.call(&self.retell, &self.carrier, transport).await
    }

    async fn call(&self, from: &Endpoint, to: &Endpoint, transport: fn(SocketAddr) -> Path) -> (Call, Call) {
        let expected = to.expect(CALLED);
        let caller = from.dial(self.dial(transport(to.address()))).answer().await.unwrap();
        let callee = expected.call(Duration::from_secs(5)).await.unwrap();
        (caller, callee)
    }

    /// After 1.5 s of audio, each end must have heard the other's tone and nothing else.
    async fn assert_audio(&self, at_carrier: &Call, at_retell: &Call) {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let heard = |stream| self.media.recording(stream);

        assert_tone(&heard(at_carrier.stream).await, &retell::TONE, at_retell);
        assert_tone(&heard(at_retell.stream).await, &carrier::TONE, at_carrier);
    }

    fn assert_no_complaints(&self) {
        assert_eq!(self.log.complaints(), Vec::<String>::new());
    }
}

fn assert_tone(recording: &Recording, tone: &Tone, from: &Call) {
    let verdict = judge(recording, tone, from.stream);

    assert_eq!(verdict.faults, Vec::<String>::new(), "{verdict:?}");
    assert_eq!((verdict.lost, recording.unrecognised, recording.strange), (0, 0, 0));
    assert!(verdict.expected_packets >= 70, "{}", verdict.expected_packets);
    assert!(verdict.latencies_us.iter().all(|latency| *latency < 20_000), "{:?}", verdict.latencies_us);
}

fn carrier() -> carrier::Config {
    carrier::Config::new(IpAddr::from([127, 0, 0, 2]))
}

fn retell() -> retell::Config {
    retell::Config {
        agent: Agent::After(Duration::from_millis(100)),
        ..retell::Config::new(IpAddr::from([127, 0, 0, 3]))
    }
}

/// A caller that sends what it is told and takes what comes, by UDP.
struct BareCaller {
    socket: UdpSocket,
    to: SocketAddr,
}

impl BareCaller {
    fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, to }
    }

    /// Sends a request of Call-ID 1 with SDP that names a port where nobody listens.
    fn send(&self, method: &str, cseq: u32, to_tag: &str) {
        let (us, to) = (self.socket.local_addr().unwrap(), self.to);
        let sdp = format!(
            "v=0\r\no=- 1 {cseq} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio 9 RTP/AVP 0\r\n"
        );
        let request = format!(
            "{method} sip:b@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:a@{us}>;tag=1\r\nTo: <sip:b@{to}>{to_tag}\r\nCall-ID: 1\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:{us}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.socket.send_to(request.as_bytes(), to).unwrap();
    }

    fn receive(&self) -> String {
        let mut message = [0; 2048];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The status or the method of the next message.
    fn receive_title(&self) -> String {
        let message = self.receive();
        let line = message.lines().next().unwrap();
        line.strip_prefix("SIP/2.0 ").unwrap_or_else(|| line.split(' ').next().unwrap()).to_owned()
    }

    fn ask(&self, method: &str) -> String {
        self.send(method, 1, "");
        self.receive_title()
    }

    /// An INVITE's way to its 200, which is returned.
    fn call(&self) -> String {
        self.send("INVITE", 1, "");
        assert_eq!([self.receive_title(), self.receive_title()], ["100 Processing", "180 Ringing"]);
        self.receive()
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}

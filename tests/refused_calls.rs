//! Calls that are refused, more of them than anybody places: each is answered and counted, but only so many
//! leave a transaction, a line in the log and a record, for what comes by UDP may be forged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::collections::HashSet;
use std::time::Duration;

use calls::{Network, RETELL, Request, TRUNK, Way, Weather, header, routes};
use phone::Phone;
use process::{Net, Process};
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};

#[test]
fn of_a_flood_each_is_refused_and_a_thousand_leave_a_transaction_and_a_record() {
    let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);

    for number in 0..3_000 {
        receive(&mut network, &refusable(number), Transport::Udp);
    }
    receive(&mut network, &refusable(3_000), Transport::Tcp);
    network.run(Duration::ZERO);

    assert_eq!(network.sent_at("SIP/2.0 420 ").len(), 3_001);
    assert_eq!(network.bridge.world.records.len(), 1_001, "a stream is nobody else's");
    assert_eq!(network.bridge.standing().transactions, 1_001);
    network.run(Duration::from_secs(40));
    receive(&mut network, &refusable(4_000), Transport::Udp);
    assert_eq!(network.bridge.world.records.len(), 1_002, "ordinary calls have theirs again");
}

#[test]
fn whoever_repeats_a_request_that_nothing_is_kept_of_gets_the_same_answer_with_the_same_tag() {
    let mut network = Network::new(Way::ToRetell.routes(), 1, Weather::FAIR);
    for number in 0..1_000 {
        receive(&mut network, &refusable(number), Transport::Udp);
    }
    network.run(Duration::ZERO);
    network.emitted.clear();

    for number in [1_000, 1_001, 1_000] {
        receive(&mut network, &refusable(number), Transport::Udp);
    }
    network.run(Duration::ZERO);

    let answers: Vec<_> = network.emitted.iter().map(|emitted| emitted.text()).collect();
    let tags: Vec<_> = answers.iter().map(|answer| header(answer, "To").unwrap()).collect();
    assert_eq!((answers.len(), answers[0] == answers[2], tags[0] == tags[1]), (3, true, false), "{tags:?}");
    assert_eq!(header(answers[0], "Unsupported"), Some("fresh-air"));
}

#[test]
fn what_is_refused_before_there_is_a_call_leaves_nothing() {
    let mut config = Way::ToTrunk.config();
    (config.retell[0].peer.challenge, config.retell[0].peer.trust_address) = (true, false);
    let mut network = Network::new(routes::compile(&config), 1, Weather::FAIR);
    let invented = "Authorization: Digest username=\"retell-user\", realm=\"trunkline\", nonce=\"1\", \
                    uri=\"sip:a@example.com\", response=\"00\"\r\n";

    for number in 0..100 {
        let (branch, call_id) = (number.to_string(), number.to_string());
        let invite = Request { branch, call_id, ..Request::invite(RETELL) };
        receive_from(RETELL, &mut network, &invite.with_headers(invented).to_string(), Transport::Udp);
    }
    receive_merged(&mut network);
    network.bridge.drain();
    receive(&mut network, &refusable(100), Transport::Udp);
    network.run(Duration::ZERO);

    let sent = ["SIP/2.0 403 ", "SIP/2.0 482 ", "SIP/2.0 503 "].map(|start| network.sent_at(start).len());
    assert_eq!(sent, [100, 1, 1]);
    assert_eq!(network.bridge.standing().transactions, 1, "the call that the merged request is of");
    assert_eq!(network.bridge.world.records.len(), 1);
}

#[test]
fn the_log_says_once_of_how_many_refused_calls_there_is_no_record() {
    let net = Net::new();
    let bridge = Process::start(net, &net.config());
    let carrier = Phone::new(net.trunk(), net.sip());

    let mut answered = HashSet::new();
    for _ in 0..1_200 {
        let invite = carrier.invite("+14155550100", "Require: fresh-air\r\n");
        carrier.send(&invite);
        let refused = carrier.expect("SIP/2.0 420 ");
        carrier.send(phone::follow_up(&invite, &refused, "ACK", 1));
        answered.insert(phone::header(&refused, "Call-ID").to_owned());
    }

    let told = |line: &&String| line.contains("calls refused without a record");
    bridge.eventually("the line", || bridge.log().iter().any(|line| told(&line)).then_some(()));
    assert_eq!(bridge.log().iter().filter(told).count(), 1);
    let counted = "trunkline_calls_total{direction=\"to_retell\",result=\"failed\"}";
    assert_eq!((answered.len(), bridge.metric(counted)), (1_200, 1_200.0));
    let kept = bridge.records().len();
    assert!((1_000..1_200).contains(&kept), "{kept}");
    assert_eq!(bridge.log().iter().filter(|line| line.contains("call refused ")).count(), kept);
}

/// An INVITE of the trunk that cannot be granted.
fn refusable(number: u32) -> String {
    let (branch, call_id) = (number.to_string(), number.to_string());
    let invite = Request { branch, call_id, ..Request::invite(TRUNK) };
    invite.with_headers("Require: fresh-air\r\n").to_string()
}

/// A refused call of the trunk, and the same request once more by another way (RFC 3261 §8.2.2.2).
fn receive_merged(network: &mut Network) {
    let once = refusable(200);
    receive(network, &once, Transport::Udp);
    receive(network, &once.replace("z9hG4bK200", "z9hG4bK201"), Transport::Udp);
}

fn receive(network: &mut Network, message: &str, transport: Transport) {
    receive_from(TRUNK, network, message, transport);
}

fn receive_from(source: &str, network: &mut Network, message: &str, transport: Transport) {
    let remote = source.parse().unwrap();
    let connection = transport.is_reliable().then_some(ConnectionId(7));
    let flow = Flow { transport, listener: ListenerId(0), remote, connection, domain: None };
    network.bridge.on_message(message.to_owned().into(), flow);
}

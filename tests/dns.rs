//! Where names lead (RFC 3263), asked of a real name server on loopback.
//!
//! Only TTLs and the patience with a silent server pass in real time; nothing else waits.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;
use trunkline::sip::flow::Transport;
use trunkline::sip::uri::Uri;
use trunkline::transport::config::{Listen, dns};
use trunkline::transport::resolve::{ResolveError, Resolver, Target};

#[path = "support/name_server.rs"]
mod name_server;

use name_server::{Manner, NameServer};

#[tokio::test]
async fn naptr_chooses_the_transports_and_srv_their_servers() {
    let server = NameServer::start(&[
        "carrier.example 60 NAPTR 10 20 s SIP+D2U _sip._udp.edge.example",
        "carrier.example 60 NAPTR 10 10 s SIP+D2T _sip._tcp.edge.example",
        "carrier.example 60 NAPTR 5 10 s SIPS+D2T _sips._tcp.edge.example",
        "carrier.example 60 A 192.0.2.99",
        "_sip._tcp.edge.example 60 SRV 20 0 5070 b.edge.example",
        "_sip._tcp.edge.example 60 SRV 10 0 5080 a.edge.example",
        "_sip._udp.edge.example 60 SRV 10 0 5090 a.edge.example",
        "_sip._udp.carrier.example 60 SRV 10 0 5060 b.edge.example",
        "a.edge.example 60 A 192.0.2.1",
        "b.edge.example 60 A 192.0.2.2",
    ])
    .await;

    let targets = look_up(&server, "sip:carrier.example").await.unwrap();

    assert_eq!(targets, ["tcp 192.0.2.1:5080", "tcp 192.0.2.2:5070", "udp 192.0.2.1:5090"]);
}

#[tokio::test]
async fn without_naptr_the_srv_records_of_our_transports_count_udp_first() {
    let server = NameServer::start(&[
        "_sip._udp.both.example 60 SRV 1 0 5070 a.example",
        "_sip._tcp.both.example 60 SRV 1 0 5080 a.example",
        "_sip._tcp.tcp.example 60 SRV 1 0 5080 a.example",
        "tcp.example 60 A 192.0.2.99",
        "a.example 60 A 192.0.2.1",
    ])
    .await;

    assert_eq!(look_up(&server, "sip:both.example").await.unwrap(), ["udp 192.0.2.1:5070"]);
    assert_eq!(look_up(&server, "sip:tcp.example").await.unwrap(), ["tcp 192.0.2.1:5080"]);
}

#[tokio::test]
async fn without_naptr_and_srv_it_is_udp_to_port_5060_of_every_address_in_the_order_given() {
    let server = NameServer::start(&[
        "carrier.example 60 AAAA 2001:db8::2",
        "carrier.example 60 A 192.0.2.7",
        "carrier.example 60 A 192.0.2.1",
        "carrier.example 60 AAAA 2001:db8::1",
        "carrier.example 60 A 192.0.2.1",
    ])
    .await;

    let targets = look_up(&server, "sip:Carrier.Example.").await.unwrap();

    let expected = ["192.0.2.7:5060", "192.0.2.1:5060", "[2001:db8::2]:5060", "[2001:db8::1]:5060"];
    assert_eq!(targets, expected.map(|address| format!("udp {address}")));
}

#[tokio::test]
async fn a_transport_in_the_uri_has_its_own_srv_records_and_needs_no_naptr() {
    let server = NameServer::start(&[
        "carrier.example 60 NAPTR 10 10 s SIP+D2U _sip._udp.carrier.example",
        "_sip._udp.carrier.example 60 SRV 1 0 5070 a.example",
        "_sip._tcp.carrier.example 60 SRV 1 0 5080 a.example",
        "a.example 60 A 192.0.2.1",
        "plain.example 60 A 192.0.2.2",
    ])
    .await;

    assert_eq!(look_up(&server, "sip:carrier.example;transport=tcp").await.unwrap(), ["tcp 192.0.2.1:5080"]);
    assert_eq!(look_up(&server, "sip:plain.example;transport=TCP").await.unwrap(), ["tcp 192.0.2.2:5060"]);
    assert_eq!(server.count("NAPTR carrier.example"), 0);
    assert_eq!(server.count("SRV _sip._udp.carrier.example"), 0);
}

#[tokio::test]
async fn a_port_in_the_uri_asks_for_addresses_alone() {
    let server = NameServer::start(&[
        "_sip._udp.carrier.example 60 SRV 1 0 5070 b.example",
        "carrier.example 60 A 192.0.2.1",
    ])
    .await;

    let targets = look_up(&server, "sip:carrier.example:5060").await.unwrap();

    assert_eq!(targets, ["udp 192.0.2.1:5060"]);
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["A carrier.example", "AAAA carrier.example"]);
}

#[tokio::test]
async fn what_no_listener_reaches_is_left_out() {
    let server = NameServer::start(&[
        "carrier.example 60 NAPTR 10 10 s SIP+D2U _sip._udp.carrier.example",
        "carrier.example 60 NAPTR 20 10 s SIP+D2T _sip._tcp.carrier.example",
        "_sip._udp.carrier.example 60 SRV 1 0 5070 a.example",
        "_sip._tcp.carrier.example 60 SRV 1 0 5080 a.example",
        "a.example 60 A 192.0.2.1",
        "a.example 60 AAAA 2001:db8::1",
        "v6.example 60 AAAA 2001:db8::1",
    ])
    .await;
    let resolver = resolver_with(server.address, &["tcp 127.0.0.1:5060"]);

    let targets = look_up_by(&resolver, "sip:carrier.example").await.unwrap();
    let v6 = look_up_by(&resolver, "sip:v6.example;transport=tcp").await;
    let mixed = resolver_with(server.address, &["tcp 127.0.0.1:5060", "udp [::1]:5060"]);

    assert_eq!(targets, ["tcp 192.0.2.1:5080"]);
    assert_eq!(look_up_by(&mixed, "sip:carrier.example").await.unwrap(), ["udp [2001:db8::1]:5070"]);
    assert_eq!(v6, Err(ResolveError::NoAddress("v6.example".to_owned())));
}

#[tokio::test]
async fn tls_has_services_of_its_own_and_port_5061() {
    let server = NameServer::start(&[
        "carrier.example 60 NAPTR 5 10 s SIPS+D2T _sips._tcp.edge.example",
        "carrier.example 60 NAPTR 10 10 s SIP+D2U _sip._udp.edge.example",
        "_sips._tcp.edge.example 60 SRV 10 0 5071 a.example",
        "_sips._tcp.carrier.example 60 SRV 10 0 5081 a.example",
        "_sip._udp.edge.example 60 SRV 10 0 5090 a.example",
        "_sips._tcp.last.example 60 SRV 10 0 5091 a.example",
        "a.example 60 A 192.0.2.1",
    ])
    .await;
    let resolver = resolver_with(server.address, &["udp 0.0.0.0:5060", "tls 0.0.0.0:5061"]);

    for (uri, target) in [
        ("sip:carrier.example", "tls 192.0.2.1:5071"),
        ("sips:carrier.example", "tls 192.0.2.1:5081"),
        ("sip:carrier.example;transport=tls", "tls 192.0.2.1:5081"),
        ("sip:last.example", "tls 192.0.2.1:5091"),
        ("sips:a.example", "tls 192.0.2.1:5061"),
        ("sips:a.example:5071", "tls 192.0.2.1:5071"),
        ("sip:a.example", "udp 192.0.2.1:5060"),
    ] {
        assert_eq!(look_up_by(&resolver, uri).await.unwrap(), [target], "{uri}");
    }
    let without = resolver_with(server.address, &["udp 0.0.0.0:5060"]);
    assert_eq!(look_up_by(&without, "sip:carrier.example").await.unwrap(), ["udp 192.0.2.1:5090"]);
    assert!(matches!(look_up_by(&without, "sips:a.example").await, Err(ResolveError::NoAddress(_))));
}

#[tokio::test]
async fn servers_of_equal_priority_are_drawn_by_weight_for_every_look_up() {
    let server = NameServer::start(&[
        "_sip._udp.carrier.example 60 SRV 1 75 5060 a.example",
        "_sip._udp.carrier.example 60 SRV 1 25 5060 b.example",
        "a.example 60 A 192.0.2.1",
        "b.example 60 A 192.0.2.2",
    ])
    .await;
    let resolver = resolver(server.address);

    let mut first = 0;
    for _ in 0..400 {
        let targets = look_up_by(&resolver, "sip:carrier.example").await.unwrap();
        assert_eq!(targets.len(), 2);
        first += usize::from(targets[0] == "udp 192.0.2.1:5060");
    }

    assert!((260..340).contains(&first), "{first} of 400 drew a weight of 75 against 25");
    assert_eq!(server.count("SRV _sip._udp.carrier.example"), 1);
}

#[tokio::test]
async fn a_service_that_says_it_is_not_there_is_believed() {
    let server =
        NameServer::start(&["_sip._udp.carrier.example 60 SRV 0 0 0 .", "carrier.example 60 A 192.0.2.1"])
            .await;

    for uri in ["sip:carrier.example", "sip:carrier.example;transport=udp"] {
        let found = look_up(&server, uri).await;

        assert_eq!(found, Err(ResolveError::NoAddress("carrier.example".to_owned())), "{uri}");
    }
}

#[tokio::test]
async fn an_alias_is_followed() {
    let server = NameServer::start(&[
        "carrier.example 60 CNAME edge.example",
        "edge.example 60 CNAME pop.example",
        "pop.example 60 A 192.0.2.1",
    ])
    .await;

    assert_eq!(look_up(&server, "sip:carrier.example").await.unwrap(), ["udp 192.0.2.1:5060"]);
}

#[tokio::test]
async fn a_name_that_is_not_there_has_no_address_and_is_not_asked_for_again() {
    let server = NameServer::start(&[]).await;
    let resolver = resolver(server.address);

    for _ in 0..3 {
        let found = look_up_by(&resolver, "sip:nobody.example").await;

        assert_eq!(found, Err(ResolveError::NoAddress("nobody.example".to_owned())));
    }
    assert_eq!(server.count("A nobody.example"), 1);
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_over_tcp() {
    let servers = (0..60).map(|index| {
        format!("_sip._udp.carrier.example 60 SRV {index} 0 5060 a-rather-long-name-{index}.carrier.example")
    });
    let addresses =
        (0..60).map(|index| format!("a-rather-long-name-{index}.carrier.example 60 A 192.0.2.{index}"));
    let records: Vec<_> = servers.chain(addresses).collect();
    let server = NameServer::start(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let targets = look_up(&server, "sip:carrier.example").await.unwrap();

    let expected: Vec<_> = (0..16).map(|index| format!("udp 192.0.2.{index}:5060")).collect();
    assert_eq!(targets, expected);
    assert_eq!(server.count("SRV _sip._udp.carrier.example/tcp"), 1);
}

#[tokio::test]
async fn all_who_want_to_know_the_same_wait_for_one_question() {
    let server = NameServer::start(&["carrier.example 60 A 192.0.2.1"]).await;
    let resolver = resolver(server.address);
    server.behave(Manner::Holding);

    let look_ups: Vec<_> = (0..50)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { look_up_by(&resolver, "sip:carrier.example:5060").await })
        })
        .collect();
    server.was_asked("A carrier.example", 1).await;
    tokio::task::yield_now().await;
    server.behave(Manner::Truthful);

    for look_up in look_ups {
        assert_eq!(look_up.await.unwrap().unwrap(), ["udp 192.0.2.1:5060"]);
    }
    assert_eq!(server.count("A carrier.example"), 1);
}

#[tokio::test]
async fn an_answer_is_used_for_its_ttl_and_then_asked_for_again() {
    let server = NameServer::start(&["carrier.example 2 A 192.0.2.1"]).await;
    let resolver = resolver(server.address);
    let learnt = Instant::now();
    look_up_by(&resolver, "sip:carrier.example:5060").await.unwrap();
    server.set(&["carrier.example 2 A 192.0.2.2"]);

    let mut look_ups = 0;
    while look_up_by(&resolver, "sip:carrier.example:5060").await.unwrap() == ["udp 192.0.2.1:5060"] {
        look_ups += 1;
        assert!(learnt.elapsed() < Duration::from_secs(10), "the old answer is still used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    assert!(learnt.elapsed() >= Duration::from_secs(2));
    assert!(look_ups > 10);
    assert_eq!(server.count("A carrier.example"), 2);
}

#[tokio::test]
async fn an_old_answer_serves_while_the_servers_are_silent() {
    assert_an_old_answer_serves(Manner::Silent).await;
}

#[tokio::test]
async fn an_old_answer_serves_while_the_servers_fail() {
    assert_an_old_answer_serves(Manner::Failing).await;
}

#[tokio::test]
async fn a_server_that_fails_at_anything_but_addresses_is_good_enough() {
    let server = NameServer::start(&["carrier.example 60 A 192.0.2.1"]).await;
    server.behave(Manner::AddressesAlone);

    for uri in ["sip:carrier.example", "sip:carrier.example;transport=udp"] {
        assert_eq!(look_up(&server, uri).await.unwrap(), ["udp 192.0.2.1:5060"], "{uri}");
    }
}

#[tokio::test]
async fn a_dead_server_beside_a_good_one_fails_no_look_up() {
    let server = NameServer::start(&["carrier.example 60 A 192.0.2.1"]).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = dns::Config { servers: vec![silent.local_addr().unwrap(), server.address] };
    let resolver = Resolver::new(&config, &listeners(&["udp 127.0.0.1:5060"]), [7; 32]).unwrap();

    assert_eq!(look_up_by(&resolver, "sip:carrier.example").await.unwrap(), ["udp 192.0.2.1:5060"]);
}

#[tokio::test]
async fn with_all_servers_dead_a_look_up_fails_in_time_and_the_next_one_at_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = resolver(silent.local_addr().unwrap());

    let began = Instant::now();
    let first = timeout(Duration::from_secs(5), look_up_by(&resolver, "sip:carrier.example")).await;
    let waited = began.elapsed();
    let second = look_up_by(&resolver, "sip:carrier.example").await;

    assert!(matches!(first, Ok(Err(ResolveError::Lookup(..)))), "{first:?} after {waited:?}");
    assert!(matches!(second, Err(ResolveError::Lookup(..))));
    assert!(began.elapsed() - waited < Duration::from_millis(100));
}

#[tokio::test]
async fn localhost_needs_no_server() {
    let server = NameServer::start(&[]).await;

    let targets = look_up(&server, "sip:localhost;transport=tcp").await.unwrap();

    assert_eq!(targets[0], "tcp 127.0.0.1:5060");
    assert_eq!(server.asked(), [""; 0]);
}

/// For 5 s: longer than the answer's TTL of 1 s and a look-up that fails by time-out.
async fn assert_an_old_answer_serves(manner: Manner) {
    let server = NameServer::start(&["carrier.example 1 A 192.0.2.1"]).await;
    let resolver = resolver(server.address);
    let learnt = Instant::now();
    look_up_by(&resolver, "sip:carrier.example").await.unwrap();
    server.behave(manner);

    let mut longest = Duration::ZERO;
    while learnt.elapsed() < Duration::from_secs(5) {
        let began = Instant::now();
        let targets = look_up_by(&resolver, "sip:carrier.example").await.unwrap();
        longest = longest.max(began.elapsed());

        assert_eq!(targets, ["udp 192.0.2.1:5060"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let asked = server.count("A carrier.example");
    assert!(asked > 1, "a stale answer was never asked for again");
    assert!(asked < 10, "a dead server was asked {asked} times");
    assert!(longest < Duration::from_millis(1_500), "somebody waited {longest:?}");
}

async fn look_up(server: &NameServer, uri: &str) -> Result<Vec<String>, ResolveError> {
    look_up_by(&resolver(server.address), uri).await
}

async fn look_up_by(resolver: &Resolver, uri: &str) -> Result<Vec<String>, ResolveError> {
    let found = resolver.resolve(&Uri::parse(uri.as_bytes()).unwrap()).await?;
    let line = |target: &Target| format!("{} {}", target.transport.param(), target.address);
    Ok(found.targets.iter().map(line).collect())
}

fn resolver(server: SocketAddr) -> Arc<Resolver> {
    resolver_with(server, &["udp 127.0.0.1:5060", "tcp 127.0.0.1:5060", "udp [::1]:5060", "tcp [::1]:5060"])
}

fn resolver_with(server: SocketAddr, listen: &[&str]) -> Arc<Resolver> {
    let config = dns::Config { servers: vec![server] };
    Resolver::new(&config, &listeners(listen), [7; 32]).unwrap().into()
}

fn listeners(listen: &[&str]) -> Vec<Listen> {
    let parse = |listen: &&str| {
        let (transport, address) = listen.split_once(' ').unwrap();
        let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let transport = transports.into_iter().find(|known| known.param() == transport).unwrap();
        Listen { transport, address: address.parse().unwrap() }
    };
    listen.iter().map(parse).collect()
}

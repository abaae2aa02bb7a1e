//! A UDP listener on a wildcard of a host with several addresses: answers leave by the one that the request
//! came to (RFC 3581 §4 asks for it), and it is the one that is shown.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use trunkline::id::InterfaceId;
use trunkline::sip::flow::Transport;
use trunkline::transport::config::Listen;
use trunkline::transport::{Config, Event, Transports, UNTRACKED};

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_the_datagram_came_to() {
    let listen = ["0.0.0.0:0", "127.0.0.8:0"]
        .map(|address| Listen { transport: Transport::Udp, address: address.parse().unwrap() });
    let config = Config { listen: listen.to_vec(), ..Config::default() };
    let mut bridge = Transports::bind(&config).await.unwrap();
    let peer = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let ports = [0, 1].map(|listener: usize| bridge.listeners()[listener].address.port());

    for (ip, listener) in [("127.0.0.6", 0), ("127.0.0.7", 0), ("127.0.0.8", 1), ("127.0.0.6", 0)] {
        let ours = SocketAddr::new(ip.parse().unwrap(), ports[listener]);
        peer.send_to(b"OPTIONS", ours).await.unwrap();
        let mut events = Vec::new();
        timeout(SOON, bridge.next(&mut events)).await.unwrap();
        let [Event::Received { flow, .. }] = events[..] else { panic!("{events:?}") };
        bridge.send(&flow, Bytes::from_static(b"SIP/2.0 200 OK"), UNTRACKED, None);

        let source = timeout(SOON, peer.recv_from(&mut [0; 100])).await.unwrap().unwrap().1;
        assert_eq!(source, ours);
        assert_eq!(bridge.local_of(&flow, InterfaceId::default()).unwrap().sent_by, ours.to_string());
    }
}

/// How long what happens at once may take.
const SOON: Duration = Duration::from_secs(20);

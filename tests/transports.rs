//! UDP and TCP over real sockets on loopback: what comes in, what goes out, and how
//! every failure is told once.
//!
//! Nothing sleeps: each test waits for events, with a time-out that only a defect reaches. Tests on the long
//! time-outs of a connection run on a paused clock, which jumps ahead whenever nothing is left to do.
#![allow(clippy::unwrap_used)]

#[path = "support/transports.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use trunkline::id::InterfaceId;
use trunkline::sip::flow::{Flow, ListenerId, Transport};
use trunkline::sip::message::Limits;
use trunkline::transport::{Event, Transports, UNTRACKED};

use support::{
    DeafListener, bind, bind_with, bytes_until_end, config, connect, datagram, failed, message, next,
    nothing_happens, read_exactly, received, tcp, udp, unused_tcp, unused_udp, within,
};

#[tokio::test]
async fn the_answer_to_a_datagram_leaves_from_the_socket_it_came_in_on() {
    let mut bridge = bind(&["udp:127.0.0.1:0", "udp:127.0.0.2:0"]).await;
    let peer = UdpSocket::bind("127.0.0.3:0").await.unwrap();

    for listener in [0, 1] {
        let ours = bridge.listeners()[listener].address;
        peer.send_to(&message("OPTIONS", 1), ours).await.unwrap();
        let (bytes, flow) = received(next(&mut bridge).await);
        bridge.send(&flow, message("SIP/2.0 200 OK", 1), UNTRACKED, None);

        assert_eq!(bytes, message("OPTIONS", 1));
        assert_eq!((flow.listener, flow.remote), (ListenerId(listener as u16), peer.local_addr().unwrap()));
        assert_eq!(datagram(&peer).await, (message("SIP/2.0 200 OK", 1), ours));
    }
}

#[tokio::test]
async fn keep_alives_and_datagrams_over_the_limit_are_dropped() {
    let limits = Limits { message_bytes: 2_000, ..Limits::default() };
    let mut bridge = bind_with(&["udp:127.0.0.1:0"], limits).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();

    for datagram in [&b""[..], b"\r\n\r\n", b"\0", &[b'x'; 2_001], &[b'y'; 2_000], b"z"] {
        peer.send_to(datagram, bridge.listeners()[0].address).await.unwrap();
    }

    assert_eq!(received(next(&mut bridge).await).0, [b'y'; 2_000].as_slice());
    assert_eq!(received(next(&mut bridge).await).0, "z");
}

#[tokio::test]
async fn a_burst_of_datagrams_arrives_whole_and_in_order() {
    let mut bridge = bind(&["udp:127.0.0.1:0"]).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for index in 0..100 {
        peer.send_to(&message("OPTIONS", index), bridge.listeners()[0].address).await.unwrap();
    }

    for index in 0..100 {
        assert_eq!(received(next(&mut bridge).await).0, message("OPTIONS", index));
    }
}

#[tokio::test]
async fn an_icmp_error_fails_what_was_sent_there_and_nothing_else() {
    let mut bridge = bind(&["udp:127.0.0.1:0"]).await;
    let alive = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dead = unused_udp().await;

    for index in [1, 2, 3] {
        bridge.send(&udp(dead), message("INVITE", index), index, None);
        bridge.send(&udp(alive.local_addr().unwrap()), message("INVITE", 10 + index), 10 + index, None);
    }

    let failed =
        [failed(next(&mut bridge).await), failed(next(&mut bridge).await), failed(next(&mut bridge).await)];
    assert_eq!(failed.iter().map(|(token, ..)| *token).collect::<BTreeSet<_>>(), [1, 2, 3].into());
    assert!(failed.iter().all(|(_, flow, _)| flow.remote == dead));
    for index in [11, 12, 13] {
        assert_eq!(datagram(&alive).await.0, message("INVITE", index));
    }
    assert!(nothing_happens(&mut bridge).await);
}

#[tokio::test]
async fn an_icmp_error_leaves_the_next_datagrams_alone() {
    let mut bridge = bind(&["udp:[::1]:0"]).await;
    let alive = UdpSocket::bind("[::1]:0").await.unwrap();
    let closed = UdpSocket::bind("[::1]:0").await.unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);

    bridge.send(&udp(dead), message("INVITE", 1), 1, None);
    bridge.send(&udp(alive.local_addr().unwrap()), message("INVITE", 2), 2, None);
    let ours = bridge.listeners()[0].address;
    alive.send_to(&message("OPTIONS", 3), ours).await.unwrap();

    assert_eq!(datagram(&alive).await.0, message("INVITE", 2));
    let mut events = vec![next(&mut bridge).await, next(&mut bridge).await];
    events.sort_by_key(|event| matches!(event, Event::Received { .. }));
    let received = received(events.pop().unwrap());
    let (token, flow, error) = failed(events.pop().unwrap());
    assert_eq!(received.0, message("OPTIONS", 3));
    assert_eq!((token, flow.remote), (1, dead));
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_message_that_no_listener_can_carry_fails_at_once() {
    let mut bridge = bind(&["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]).await;
    let v6: SocketAddr = "[::1]:5060".parse().unwrap();

    bridge.send(&udp(v6), message("INVITE", 1), 1, None);
    bridge.send(&tcp(1, v6), message("INVITE", 2), 2, None);
    bridge.send(&tcp(0, unused_udp().await), message("INVITE", 3), 3, None);
    bridge.send(&tcp(9, unused_udp().await), message("INVITE", 4), 4, None);
    bridge.send(&tcp(9, unused_udp().await), message("ACK", 5), UNTRACKED, None);

    for token in 1..=4 {
        assert_eq!(failed(next(&mut bridge).await).0, token);
    }
    assert!(nothing_happens(&mut bridge).await);
    assert_eq!(bridge.local(Transport::Udp, v6, InterfaceId::default()), None);
}

#[tokio::test]
async fn messages_of_a_stream_are_cut_apart_and_answered_on_it() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let mut peer = connect(&bridge, 0).await;

    let stream = [message("INVITE", 1), message("OPTIONS", 2), message("BYE", 3)].concat();
    let (head, tail) = stream.split_at(stream.len() - 7);
    peer.write_all(head).await.unwrap();
    let (first, flow) = received(next(&mut bridge).await);
    let second = received(next(&mut bridge).await).0;
    peer.write_all(tail).await.unwrap();
    let third = received(next(&mut bridge).await).0;
    bridge.send(&flow, message("SIP/2.0 200 OK", 1), 1, None);

    assert_eq!([first, second, third], [message("INVITE", 1), message("OPTIONS", 2), message("BYE", 3)]);
    assert_eq!(flow.remote, peer.local_addr().unwrap());
    assert_eq!(bridge.connection_to(Transport::Tcp, flow.remote), flow.connection);
    assert_eq!(read_exactly(&mut peer, &message("SIP/2.0 200 OK", 1)).await, message("SIP/2.0 200 OK", 1));
}

#[tokio::test]
async fn messages_to_one_address_share_a_connection_in_both_directions() {
    let mut bridge = bind(&["tcp:127.0.0.7:0"]).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = tcp(0, peer.local_addr().unwrap());

    bridge.send(&flow, message("INVITE", 1), 1, None);
    bridge.send(&flow, message("INVITE", 2), 2, None);
    let (mut stream, source) = within(async { peer.accept().await.unwrap() }).await;
    let both = [message("INVITE", 1), message("INVITE", 2)].concat();
    let arrived =
        within(async { tokio::join!(read_exactly(&mut stream, &both), nothing_happens(&mut bridge)) })
            .await
            .0;
    stream.write_all(&message("SIP/2.0 100 Trying", 1)).await.unwrap();
    let (answer, answered_on) = received(next(&mut bridge).await);
    bridge.send(&flow, message("ACK", 1), 3, None);

    assert_eq!(source.ip().to_string(), "127.0.0.7");
    assert_eq!(arrived, both);
    assert_eq!(answer, message("SIP/2.0 100 Trying", 1));
    assert_eq!(answered_on.remote, flow.remote);
    assert_eq!(answered_on.connection, bridge.connection_to(Transport::Tcp, flow.remote));
    assert_eq!(read_exactly(&mut stream, &message("ACK", 1)).await, message("ACK", 1));
}

#[tokio::test]
async fn a_refused_connection_fails_every_message_that_waited_for_it_once() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let dead = unused_tcp().await;

    for token in [1, 2, UNTRACKED] {
        bridge.send(&tcp(0, dead), message("INVITE", token), token, None);
    }

    let events = [failed(next(&mut bridge).await), failed(next(&mut bridge).await)];
    assert_eq!(events.each_ref().map(|(token, ..)| *token), [1, 2]);
    assert!(events[0].2.contains("refused"), "{}", events[0].2);
    assert!(nothing_happens(&mut bridge).await);
    assert_eq!(bridge.connection_to(Transport::Tcp, dead), None);
}

#[tokio::test]
async fn each_message_waits_for_a_connection_as_long_as_it_was_given() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let deaf = DeafListener::bind().await;

    bridge.send(&tcp(0, deaf.address), message("INVITE", 1), 1, Some(Duration::from_millis(400)));
    bridge.send(&tcp(0, deaf.address), message("INVITE", 2), 2, Some(Duration::from_millis(50)));
    let begun = std::time::Instant::now();
    let first = failed(next(&mut bridge).await);
    let first_after = begun.elapsed();
    let second = failed(next(&mut bridge).await);

    assert_eq!((first.0, second.0), (2, 1));
    assert!(first_after < Duration::from_millis(350), "{first_after:?}");
    assert!(begun.elapsed() >= Duration::from_millis(390), "{:?}", begun.elapsed());
    assert!(nothing_happens(&mut bridge).await);
}

#[tokio::test]
async fn a_reader_too_slow_for_what_it_is_sent_loses_its_connection() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = tcp(0, peer.local_addr().unwrap());
    bridge.send(&flow, message("INVITE", 1), 1, None);
    let (_stream, _) = within(async { peer.accept().await.unwrap() }).await;
    while bridge.connection_to(Transport::Tcp, flow.remote).is_none() {
        tokio::task::yield_now().await;
    }

    let large = Bytes::from(vec![b'x'; 64 * 1024]);
    let last = (2..2_000).find(|token| {
        bridge.send(&flow, large.clone(), *token, None);
        bridge.connection_to(Transport::Tcp, flow.remote).is_none()
    });

    let last = last.expect("the queue is bounded");
    let mut failures = Vec::new();
    loop {
        match next(&mut bridge).await {
            Event::SendFailed { token, .. } => failures.push(token),
            Event::Closed { remote, .. } => break assert_eq!(remote, flow.remote),
            other => panic!("{other:?}"),
        }
    }
    failures.sort_unstable();
    assert_eq!(failures, (last + 1 - failures.len() as u64..=last).collect::<Vec<_>>());
    assert!(failures.len() >= 16, "a mebibyte waited: {failures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_for_10_s_loses_its_connection() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = tcp(0, peer.local_addr().unwrap());
    bridge.send(&flow, message("INVITE", 1), 1, None);
    let (_stream, _) = peer.accept().await.unwrap();
    let begun = tokio::time::Instant::now();

    let mut token = 1;
    let event = loop {
        token += 1;
        bridge.send(&flow, Bytes::from(vec![b'x'; 64 * 1024]), token, None);
        if let Ok(event) = timeout(Duration::from_secs(1), bridge.next_event()).await {
            break event;
        }
    };

    let (_, _, error) = failed(event);
    assert!(error.contains("does not read"), "{error}");
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stranger_gets_no_byte_for_its_pings_and_messages() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let mut peer = connect(&bridge, 0).await;

    peer.write_all(b"\r\n\r\n").await.unwrap();
    peer.write_all(&[message("INVITE", 1), message("INVITE", 2)].concat()).await.unwrap();
    let (_, flow) = received(next(&mut bridge).await);
    bridge.close(flow.connection.unwrap());
    bridge.read.clear();

    assert_eq!(bytes_until_end(&mut peer, &mut bridge).await, 0);
    assert!(nothing_happens(&mut bridge).await);
}

#[tokio::test]
async fn a_recognised_connection_gets_a_line_end_for_its_ping() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let mut peer = connect(&bridge, 0).await;

    peer.write_all(&message("OPTIONS", 1)).await.unwrap();
    let (_, flow) = received(next(&mut bridge).await);
    bridge.recognise(flow.connection.unwrap());
    peer.write_all(b"\r\n\r\n").await.unwrap();

    let pong = within(async { tokio::join!(read_exactly(&mut peer, b"\r\n"), nothing_happens(&mut bridge)) })
        .await
        .0;
    assert_eq!(pong, "\r\n");
}

#[tokio::test]
async fn bad_framing_closes_that_connection_alone() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let (mut good, mut bad) = (connect(&bridge, 0).await, connect(&bridge, 0).await);

    bad.write_all(b"INVITE sip:a@b SIP/2.0\r\nContent-Length: x\r\n\r\n").await.unwrap();
    let events = [next(&mut bridge).await, next(&mut bridge).await];
    good.write_all(&message("OPTIONS", 1)).await.unwrap();

    let from = bad.local_addr().unwrap();
    assert!(matches!(&events[0], Event::BadFraming { remote, .. } if *remote == from), "{events:?}");
    assert!(matches!(&events[1], Event::Closed { remote, .. } if *remote == from), "{events:?}");
    assert_eq!(bytes_until_end(&mut bad, &mut bridge).await, 0);
    assert_eq!(received(next(&mut bridge).await).0, message("OPTIONS", 1));
}

#[tokio::test]
async fn a_connection_that_the_other_side_closed_is_gone_and_a_new_one_is_made() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = tcp(0, peer.local_addr().unwrap());
    bridge.send(&flow, message("INVITE", 1), 1, None);
    let (stream, _) = within(async { peer.accept().await.unwrap() }).await;

    drop(stream);
    let closed = next(&mut bridge).await;
    let Event::Closed { connection, remote, .. } = closed else { panic!("{closed:?}") };
    bridge.send(&Flow { connection: Some(connection), ..flow }, message("INVITE", 2), 2, None);
    let (mut stream, _) = within(async { peer.accept().await.unwrap() }).await;

    assert_eq!(remote, flow.remote);
    assert_eq!(read_exactly(&mut stream, &message("INVITE", 2)).await, message("INVITE", 2));
    assert_ne!(bridge.connection_to(Transport::Tcp, remote), Some(connection));
}

#[tokio::test]
async fn a_reset_is_told_and_whether_the_connection_was_ever_good() {
    for answers in [true, false] {
        let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        bridge.send(&tcp(0, peer.local_addr().unwrap()), message("INVITE", 1), 1, None);
        let (mut stream, _) = within(async { peer.accept().await.unwrap() }).await;
        read_exactly(&mut stream, &message("INVITE", 1)).await;
        if answers {
            stream.write_all(&message("SIP/2.0 100 Trying", 1)).await.unwrap();
            received(next(&mut bridge).await);
        }

        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);

        let Event::Closed { broken, of_peer, heard, .. } = next(&mut bridge).await else { panic!() };
        assert_eq!((broken, of_peer, heard), (true, true, answers));
    }
}

#[tokio::test]
async fn ipv6_carries_both_transports_both_ways_beside_ipv4_on_the_same_port() {
    let mut bridge = bind(&["udp:[::]:0", "tcp:[::]:0"]).await;
    let port = bridge.listeners()[0].address.port();
    let v4 = Transports::bind(&config(&[&format!("udp:0.0.0.0:{port}")], Limits::default())).await;
    let datagrams = UdpSocket::bind("[::1]:0").await.unwrap();
    let ours = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(("::1", bridge.listeners()[1].address.port())).await.unwrap();

    datagrams.send_to(&message("OPTIONS", 1), ours).await.unwrap();
    let (_, by_udp) = received(next(&mut bridge).await);
    bridge.send(&by_udp, message("SIP/2.0 200 OK", 1), 1, None);
    stream.write_all(&message("OPTIONS", 2)).await.unwrap();
    let (_, by_tcp) = received(next(&mut bridge).await);
    bridge.send(&by_tcp, message("SIP/2.0 200 OK", 2), 2, None);

    assert!(v4.is_ok(), "{:?}", v4.err());
    assert_eq!(datagram(&datagrams).await, (message("SIP/2.0 200 OK", 1), ours));
    assert_eq!(read_exactly(&mut stream, &message("SIP/2.0 200 OK", 2)).await, message("SIP/2.0 200 OK", 2));
    assert_eq!(bridge.local_of(&by_udp, InterfaceId::default()).unwrap().sent_by, format!("[::1]:{port}"));
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = format!("udp:{}", taken.local_addr().unwrap());

    let error = Transports::bind(&config(&[&address], Limits::default())).await.err().unwrap();

    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_completes_closes_its_connection() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let mut peer = connect(&bridge, 0).await;
    peer.write_all(&message("OPTIONS", 1)).await.unwrap();
    let (_, flow) = received(bridge.next_event().await);
    bridge.recognise(flow.connection.unwrap());
    let begun = tokio::time::Instant::now();

    peer.write_all(b"INVITE sip:a@b SIP/2.0\r\n").await.unwrap();
    let event = bridge.next_event().await;

    assert!(matches!(&event, Event::BadFraming { error, .. } if error.contains("10 s")), "{event:?}");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_recognised_in_10_s_is_turned_away() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let (known, stranger) = (connect(&bridge, 0).await, connect(&bridge, 0).await);
    known.try_write(&message("OPTIONS", 1)).unwrap();
    let (_, flow) = received(bridge.next_event().await);
    bridge.recognise(flow.connection.unwrap());
    let begun = tokio::time::Instant::now();

    let (idle, event) = (bridge.next_event().await, bridge.next_event().await);

    assert_eq!(begun.elapsed().as_secs(), 10);
    assert!(matches!(idle, Event::Idle { remote } if remote == stranger.local_addr().unwrap()), "{idle:?}");
    assert!(
        matches!(event, Event::Closed { connection, .. } if Some(connection) != flow.connection),
        "{event:?}"
    );
    assert!(timeout(Duration::from_secs(3_600), bridge.next_event()).await.is_err());
}

#[tokio::test]
async fn of_one_source_the_oldest_connection_makes_room_on_which_nobody_was_recognised() {
    let mut bridge = bind(&["tcp:127.0.0.1:0"]).await;
    let mut peers = vec![connect(&bridge, 0).await];
    peers[0].write_all(&message("OPTIONS", 1)).await.unwrap();
    let (_, flow) = received(next(&mut bridge).await);
    bridge.recognise(flow.connection.unwrap());
    for _ in 0..65 {
        peers.push(connect(&bridge, 0).await);
    }

    let idle = next(&mut bridge).await;
    let made_room = bytes_until_end(&mut peers[1], &mut bridge).await;
    for index in [0, 2, 65] {
        peers[index].write_all(&message("OPTIONS", index as u64)).await.unwrap();
        assert_eq!(received(next(&mut bridge).await).0, message("OPTIONS", index as u64));
    }

    assert_eq!(made_room, 0);
    assert!(matches!(idle, Event::Idle { remote } if remote == peers[1].local_addr().unwrap()), "{idle:?}");
}

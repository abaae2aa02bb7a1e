//! The system calls of the relay, on loopback sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn a_batch_brings_datagrams_with_their_sources_in_order_and_no_more_than_its_size() {
    let (sender, receiver) = pair("127.0.0.1");
    for n in 0..20_u8 {
        sender.send_to(&[n; 3], receiver.local_addr().unwrap()).unwrap();
    }
    let mut batch = Batch::default();

    let first: Vec<_> = received(&mut batch, &receiver);
    let second: Vec<_> = received(&mut batch, &receiver);
    batch.clear();

    let source = sender.local_addr().unwrap();
    assert_eq!(first, (0..16).map(|n| (source, vec![n; 3])).collect::<Vec<_>>());
    assert_eq!(second, (16..20).map(|n| (source, vec![n; 3])).collect::<Vec<_>>());
    assert_eq!(batch.receive(&receiver, BATCH).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(batch.datagram(0).is_none());
}

#[test]
fn only_what_was_kept_is_sent_as_it_stands_in_the_buffer() {
    let (sender, relay) = pair("127.0.0.1");
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..3_u8 {
        sender.send_to(&[n; 3], relay.local_addr().unwrap()).unwrap();
    }
    let mut batch = Batch::default();
    batch.receive(&relay, BATCH).unwrap();

    for place in [0, 2] {
        batch.datagram(place).unwrap().0.bytes[0] = 0xEE;
        batch.keep(place, 3);
    }
    let sent = batch.send(0..batch.kept(), &relay, Some(far.local_addr().unwrap()));

    assert_eq!(sent, Sent { sent: 2, bytes: 6, failed: 0 });
    let arrived: Vec<_> = received(&mut batch, &far).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(arrived, [[0xEE, 0, 0], [0xEE, 2, 2]]);
}

#[test]
fn packets_that_are_made_go_between_those_that_were_kept_and_no_more_of_them_than_there_is_room_for() {
    let (sender, relay) = pair("127.0.0.1");
    for n in 0..2_u8 {
        sender.send_to(&[n], relay.local_addr().unwrap()).unwrap();
    }
    let mut batch = Batch::default();
    batch.receive(&relay, BATCH).unwrap();
    let make = |bytes: &mut [u8]| {
        bytes[0] = 7;
        1
    };

    batch.keep(0, 1);
    assert!(batch.made().put(make) && !batch.made().put(|_| 0));
    batch.keep(1, 1);
    batch.send(0..batch.kept(), &relay, Some(sender.local_addr().unwrap()));
    batch.forget_kept();
    let arrived: Vec<_> = received(&mut batch, &sender).into_iter().map(|(_, bytes)| bytes[0]).collect();

    assert_eq!(arrived, [0, 7, 1]);
    assert_eq!((0..SPARE + 9).filter(|_| batch.made().put(make)).count(), SPARE);
}

#[test]
fn a_refused_datagram_is_counted_and_the_next_is_tried() {
    let (sender, relay) = pair("127.0.0.1");
    sender.send_to(&[1], relay.local_addr().unwrap()).unwrap();
    sender.send_to(&[2], relay.local_addr().unwrap()).unwrap();
    let mut batch = Batch::default();
    batch.receive(&relay, BATCH).unwrap();

    batch.keep(0, 1);
    batch.keep(1, 1);
    let sent = batch.send(0..batch.kept(), &relay, Some("[::1]:9".parse().unwrap()));

    assert_eq!(sent, Sent { sent: 0, bytes: 0, failed: 2 });
}

#[test]
fn a_datagram_longer_than_a_buffer_is_not_there() {
    let (sender, receiver) = pair("127.0.0.1");
    sender.send_to(&[7; LONGEST], receiver.local_addr().unwrap()).unwrap();
    sender.send_to(&[7; LONGEST + 1], receiver.local_addr().unwrap()).unwrap();
    let mut batch = Batch::default();

    assert_eq!(batch.receive(&receiver, BATCH).unwrap(), 0..2);
    assert_eq!(batch.datagram(0).unwrap().0.bytes.len(), LONGEST);
    assert!(batch.datagram(1).is_none());
}

#[test]
fn ipv6_sources_are_read() {
    let (sender, receiver) = pair("[::1]");
    sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
    let mut batch = Batch::default();

    assert_eq!(received(&mut batch, &receiver)[0].0, sender.local_addr().unwrap());
}

#[test]
fn datagrams_come_with_the_time_they_arrived_at() {
    let (sender, receiver) = pair("127.0.0.1");
    stamp_arrivals(&receiver).unwrap();
    let before = crate::clock::anchor();
    sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
    let mut batch = Batch::default();
    batch.receive(&receiver, BATCH).unwrap();
    let after = crate::clock::anchor();

    let arrived = batch.datagram(0).unwrap().0.arrived.unwrap();

    assert!((before.unix..=after.unix).contains(&arrived), "{before:?} {arrived:?} {after:?}");
}

#[test]
fn a_datagram_without_a_time_has_none_though_its_slot_had_one_before() {
    let (sender, stamped) = pair("127.0.0.1");
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    stamp_arrivals(&stamped).unwrap();
    let mut batch = Batch::default();

    let mut arrived = |receiver: &UdpSocket| {
        sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
        batch.clear();
        batch.receive(receiver, BATCH).unwrap();
        batch.datagram(0).unwrap().0.arrived.is_some()
    };

    assert_eq!((arrived(&stamped), arrived(&plain)), (true, false));
}

/// A port that was asked for by number stays; one that the system chose would be given up.
#[test]
fn a_connected_socket_hears_its_peer_alone_until_it_is_disconnected_and_keeps_its_port() {
    let (peer, stranger) = pair("127.0.0.1");
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (socket, mut batch) = (UdpSocket::bind(address).unwrap(), Batch::default());
    let mut heard = |socket: &UdpSocket| {
        stranger.send_to(b"stranger", address).unwrap();
        peer.send_to(b"peer", address).unwrap();
        received(&mut batch, socket).into_iter().map(|(source, _)| source).collect::<Vec<_>>()
    };
    let (peers, strangers) = (peer.local_addr().unwrap(), stranger.local_addr().unwrap());

    socket.connect(peers).unwrap();
    assert_eq!(heard(&socket), [peers]);
    disconnect(&socket).unwrap();

    assert_eq!((heard(&socket), socket.local_addr().unwrap()), (vec![strangers, peers], address));
}

#[test]
fn a_send_that_is_refused_for_what_an_earlier_one_met_is_tried_again() {
    let (far, relay) = pair("127.0.0.1");
    let far_address = far.local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    relay.connect(far_address).unwrap();
    drop(far);
    let mut batch = Batch::default();
    let mut send = || {
        let looped = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(&[1], looped.local_addr().unwrap()).unwrap();
        batch.clear();
        batch.receive(&looped, BATCH).unwrap();
        batch.keep(0, 1);
        batch.send(0..batch.kept(), &relay, None)
    };

    let (first, second) = (send(), send());

    assert_eq!([first, second].map(|sent| (sent.sent, sent.failed)), [(1, 0), (1, 0)]);
}

#[test]
fn a_thread_can_be_kept_on_one_of_its_cpus() {
    let kept = std::thread::spawn(|| {
        let last = *cpus().unwrap().last().unwrap();
        pin_to(last).unwrap();
        (last, cpus().unwrap())
    });

    let (last, now) = kept.join().unwrap();

    assert_eq!(now, [last]);
}

#[test]
fn epoll_reports_each_edge_once() {
    let (sender, receiver) = pair("127.0.0.1");
    let (epoll, waker, mut events) = (Epoll::new().unwrap(), Waker::new().unwrap(), Events::default());
    epoll.add(&receiver, 7).unwrap();
    epoll.add(&waker, 9).unwrap();
    let mut reported = || {
        epoll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        (0..events.len()).map(|place| events.token(place)).collect::<Vec<_>>()
    };

    assert!(reported().is_empty());
    sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
    assert_eq!(reported(), [7]);
    assert!(reported().is_empty());
    waker.wake();
    waker.wake();
    assert_eq!(reported(), [9]);
    waker.wake();
    assert_eq!(reported(), [9]);
}

fn pair(host: &str) -> (UdpSocket, UdpSocket) {
    let bound = || UdpSocket::bind(format!("{host}:0")).unwrap();
    (bound(), bound())
}

fn received(batch: &mut Batch, socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
    let received = batch.receive(socket, BATCH).unwrap();
    received
        .map(|place| {
            let (datagram, _) = batch.datagram(place).unwrap();
            (datagram.source, datagram.bytes.to_vec())
        })
        .collect()
}

//! Rounds of a media thread, turned by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use super::*;
use crate::id::CallId;
use crate::id::srtp::{MasterKey, Suite};
use crate::media::LegMedia;
use crate::media::forward::Reason;
use crate::media::latch::Signalled;
use crate::media::leg::Leg;
use crate::media::reports::Reports;
use crate::media::socket::{Waker, stamp_arrivals};
use crate::media::stream::Half;
use crate::rtp::continuity::Position;
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{Cname, NtpClock, Session};
use crate::rtp::srtp::{Context, LegKeys};

#[test]
fn packets_of_more_sockets_than_there_is_room_for_go_each_to_its_own_peer_in_order() {
    let mut worker = worker();
    let calls: Vec<_> = (0..CAPACITY as u32 + 9).map(|n| Call::open(&mut worker, n)).collect();
    for call in &calls {
        (0..5).for_each(|n| call.says(n));
    }

    turn(&mut worker);

    for call in &calls {
        assert_eq!(call.hears(), (0..5).map(|n| (call.id as u8, n)).collect::<Vec<_>>(), "call {}", call.id);
    }
    assert_eq!(worker.totals.relayed(), 5 * calls.len() as u64);
}

#[test]
fn a_round_that_makes_more_packets_than_there_is_room_for_sends_them_all() {
    let mut worker = worker();
    let calls: Vec<_> = (0..CAPACITY as u32).map(|n| Call::open(&mut worker, n)).collect();
    for call in &calls {
        (0..2).for_each(|n| call.speaks(n, 800));
    }

    turn(&mut worker);

    for call in &calls {
        let heard: Vec<_> = call.hears().into_iter().map(|(id, _)| id).collect();
        assert_eq!(heard, [call.id as u8; 6], "twice 100 ms in pieces of 20, but for those not due yet");
    }
}

#[test]
fn what_was_received_for_a_stream_that_leaves_goes_out_before_it() {
    let mut worker = worker();
    let [leaves, stays] = [0, 1].map(|n| Call::open(&mut worker, n));
    for call in [&leaves, &stays] {
        (0..2).for_each(|n| call.says(n));
    }

    let to = leave(&mut worker, 0);
    turn(&mut worker);

    assert_eq!([leaves.hears(), stays.hears()], [vec![(0, 0), (0, 1)], vec![(1, 0), (1, 1)]]);
    assert_eq!(worker.totals.dropped(Reason::Pooled), 0);
    let mut arrived = Vec::new();
    to.take(&mut arrived);
    assert!(matches!(&arrived[..], [Command::Arrive { sockets, .. }] if sockets.len() == 2));
}

#[test]
fn what_is_cut_for_a_peer_with_srtp_is_protected_in_the_order_in_which_it_is_sent() {
    let mut worker = worker();
    let calls: Vec<_> = (0..CAPACITY as u32).map(|n| Call::open(&mut worker, n)).collect();
    let [ours, theirs] = [7, 8].map(|byte| {
        MasterKey::new(Suite::AesCm128HmacSha1_80, &[byte; 30]).expect("as long as it has to be")
    });
    for call in &calls {
        let keys = LegKeys { local: ours.clone(), remote: theirs.clone() };
        worker.stream(call.id).unwrap().side(Side::Callee).leg.secure(Some(&keys));
        (0..3).for_each(|n| call.speaks(n, 800));
    }

    turn(&mut worker);

    for call in &calls {
        let mut far = Context::new(LegKeys { local: theirs.clone(), remote: ours.clone() });
        let (mut datagram, mut numbers) = ([0; 2_000], Vec::new());
        while let Ok(length) = call.callee.recv(&mut datagram) {
            assert_eq!(far.inbound.unprotect(&mut datagram[..length]).ok(), Some(172), "call {}", call.id);
            assert_eq!(datagram[12], call.id as u8);
            numbers.push(u16::from_be_bytes([datagram[2], datagram[3]]));
        }
        assert_eq!(numbers, (1..=11).collect::<Vec<_>>(), "call {}", call.id);
    }
}

#[test]
fn only_the_stream_that_leaves_goes_ahead_of_the_commands_behind_it() {
    let mut worker = worker();
    let [leaves, muted] = [0, 1].map(|n| Call::open(&mut worker, n));
    for call in [&leaves, &muted] {
        call.says(0);
    }
    let remote = muted.callee.local_addr().unwrap();
    let media = LegMedia { receives: false, ..LegMedia::new(remote, 0) };
    let (signalled, at) = (Signalled::new(remote, false), worker.anchor.now);

    leave(&mut worker, 0);
    worker.mailbox.push(Command::Describe { id: 1, side: Side::Callee, signalled, media, at });
    turn(&mut worker);

    assert_eq!([leaves.hears(), muted.hears()], [vec![(0, 0)], vec![]]);
}

#[test]
fn what_arrived_for_a_call_is_not_for_the_next_one_with_its_stream_and_sockets() {
    let mut worker = worker();
    let former = Call::open(&mut worker, 0);
    former.says(0);
    let heir = bound();
    let remotes = [&former.caller, &heir].map(|peer| peer.local_addr().unwrap());

    worker.mailbox.push(Command::Release { id: 0 });
    let stream = stream(CallId(77), [0, 1], remotes, clock::now() + LATER);
    worker.mailbox.push(Command::Open { id: 0, stream });
    turn(&mut worker);

    assert_eq!((former.hears(), heard(&heir)), (vec![], vec![]));
    assert_eq!(worker.totals.dropped(Reason::Pooled), 1);
}

#[test]
fn what_arrived_at_a_port_is_not_for_the_call_that_goes_on_there() {
    let mut worker = worker();
    let call = Call::open(&mut worker, 0);
    let [rested, former_peer] = [(); 2].map(|()| bound());
    let (at, remote) = (rested.local_addr().unwrap(), former_peer.local_addr().unwrap());
    adopt(&mut worker, 2, rested);
    let mut hears = |n, lent| {
        speak(&former_peer, at, 9, n, 160);
        let sockets = SideSockets { rtp: 2, rtcp: None };
        worker.mailbox.push(Command::Rebind { id: 0, side: Side::Callee, sockets, at: lent });
        let (signalled, media) = (Signalled::new(remote, false), LegMedia::new(remote, 0));
        worker.mailbox.push(Command::Describe { id: 0, side: Side::Callee, signalled, media, at: lent });
        turn(&mut worker);
        heard(&call.caller)
    };

    let before = clock::now();
    assert_eq!([hears(0, before + LATER), hears(1, before)], [vec![], vec![(9, 1)]]);
}

#[test]
fn a_stream_that_is_expected_is_not_overwritten_by_the_next_one_of_its_id() {
    let mut worker = worker();
    let peers = [(); 2].map(|()| bound().local_addr().unwrap());
    let [moved, next] = [1, 2].map(|n| stream(CallId(n), [0, 1], peers, worker.anchor.now));

    worker.on_command(Command::Expect { id: 0 });
    worker.on_command(Command::Release { id: 0 });
    worker.on_command(Command::Open { id: 0, stream: next });
    worker.on_command(Command::Arrive { id: 0, stream: moved, sockets: Vec::new() });

    assert_eq!(worker.stream(0).map(|stream| stream.call), Some(CallId(2)));
}

#[test]
fn a_socket_that_gets_the_id_of_another_has_nothing_of_it() {
    let mut worker = worker();
    let former = Call::open(&mut worker, 0);
    former.says(0);
    assert_eq!(worker.receive(2), 2);

    let heir = bound();
    let remotes = [&former.caller, &heir].map(|peer| peer.local_addr().unwrap());
    let stream = stream(CallId(77), [0, 1], remotes, worker.anchor.now);
    let sockets = [0, 1].map(|id| (id, bound())).into();
    worker.mailbox.push(Command::Arrive { id: 1, stream, sockets });
    worker.relay_received();

    assert_eq!((former.hears(), heard(&heir)), (vec![], vec![]));
    assert_eq!(worker.totals.dropped(Reason::Pooled), 1);
}

#[test]
fn a_stream_that_left_leaves_nothing_on_the_ready_list() {
    let mut worker = worker();
    let _leaves = Call::open(&mut worker, 0);

    leave(&mut worker, 0);
    worker.obey();

    assert!(worker.ready.is_empty(), "{:?}", worker.ready);
}

#[test]
fn after_a_panic_between_rewriting_and_sending_nothing_of_it_is_sent() {
    let mut worker = worker();
    let call = Call::open(&mut worker, 0);
    call.says(0);
    worker.receive(1);
    worker.relay(worker.received[0]);
    assert_eq!((worker.parcels.len(), worker.received.len()), (1, 1));

    worker.on_panic();
    let next = Call::open(&mut worker, 1);
    (0..2).for_each(|n| next.says(n));
    turn(&mut worker);

    assert_eq!((call.hears(), next.hears()), (vec![], vec![(1, 0), (1, 1)]));
    assert_eq!(worker.totals.dropped(Reason::Pooled), 0);
}

/// A call between two peers that are nobody but this test.
struct Call {
    id: StreamId,
    caller: UdpSocket,
    callee: UdpSocket,
    at: SocketAddr,
}

impl Call {
    /// Call `id`, at the sockets `2 * id` and `2 * id + 1`.
    fn open(worker: &mut Worker, id: StreamId) -> Self {
        let [caller, callee, at_caller, at_callee] = [(); 4].map(|()| bound());
        let at = at_caller.local_addr().unwrap();
        let sockets = [2 * id, 2 * id + 1];
        let remotes = [&caller, &callee].map(|peer| peer.local_addr().unwrap());
        let stream = stream(CallId(id.into()), sockets, remotes, worker.anchor.now);
        for (id, socket) in sockets.into_iter().zip([at_caller, at_callee]) {
            adopt(worker, id, socket);
        }
        worker.on_command(Command::Open { id, stream });
        Self { id, caller, callee, at }
    }

    /// Has the caller send its `n`th packet, with its own number and that of the call in it.
    fn says(&self, n: u8) {
        self.speaks(n, 160);
    }

    fn speaks(&self, n: u8, octets: usize) {
        speak(&self.caller, self.at, self.id as u8, n, octets);
    }

    /// Number of the call and of the packet of all that the callee was sent.
    fn hears(&self) -> Vec<(u8, u8)> {
        heard(&self.callee)
    }
}

/// A call between `remotes`, at the sockets `rtp`, which were lent to it at `lent`.
fn stream(call: CallId, rtp: [SocketId; 2], remotes: [SocketAddr; 2], lent: Instant) -> Box<Stream> {
    let half = |rtp| {
        let first = Position { ssrc: 9, sequence: 1, timestamp: 1 };
        let clock = NtpClock::new(lent, Duration::ZERO);
        let reports = Reports::new(Session::new(1, Cname::from_random(0), clock), 0);
        Half::new(Leg::new(first), reports, Arc::default(), SideSockets { rtp, rtcp: None }, lent)
    };
    let mut stream = Stream::new(call, rtp.map(half));
    for (side, remote) in [Side::Caller, Side::Callee].into_iter().zip(remotes) {
        stream.describe(side, Signalled::new(remote, false), &LegMedia::new(remote, 0), lent);
    }
    Box::new(stream)
}

/// A packet of `call`, the `n`th.
fn speak(from: &UdpSocket, to: SocketAddr, call: u8, n: u8, octets: usize) {
    let mut datagram = [0; 1_000];
    let position = Position { ssrc: 7, sequence: n.into(), timestamp: u32::from(n) * octets as u32 };
    let header = Header { payload_type: 0, marker: false, position };
    let length = packet::write(&mut datagram, header, octets, |payload| {
        payload.fill(call);
        payload[1] = n;
    });
    from.send_to(&datagram[..length], to).unwrap();
}

/// Number of the call and of the packet of all packets of 20 ms that came.
fn heard(socket: &UdpSocket) -> Vec<(u8, u8)> {
    let mut datagram = [0; 2_000];
    std::iter::from_fn(|| {
        let length = socket.recv(&mut datagram).ok()?;
        (length == 172).then_some((datagram[12], datagram[13]))
    })
    .collect()
}

fn worker() -> Worker {
    let (epoll, waker) = (Arc::new(Epoll::new().unwrap()), Waker::new().unwrap());
    let setup = Setup { silence_timeout: None, realtime: false, events: Arc::new(|_| {}) };
    Worker::new(Arc::new(Mailbox::new(waker)), epoll, Arc::default(), setup)
}

fn adopt(worker: &mut Worker, id: SocketId, socket: UdpSocket) {
    stamp_arrivals(&socket).unwrap();
    worker.epoll.add(&socket, id).unwrap();
    worker.on_command(Command::Adopt { id, socket });
}

/// Has stream `id` told to go to another thread; returns that one's mailbox.
fn leave(worker: &mut Worker, id: StreamId) -> Arc<Mailbox> {
    let to = Arc::new(Mailbox::new(Waker::new().unwrap()));
    let new_sockets = [0, 1].map(|rtp| SideSockets { rtp, rtcp: None });
    worker.mailbox.push(Command::Leave { id, to: Arc::clone(&to), new_id: 0, new_sockets });
    to
}

/// Every socket that was adopted is ready; rounds go on until none holds anything.
fn turn(worker: &mut Worker) {
    worker.anchor = clock::anchor();
    for id in 0..worker.sockets.len() as SocketId {
        worker.on_readable(id);
    }
    while !worker.ready.is_empty() {
        worker.relay_round();
    }
}

fn bound() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// When all that a test sent has long arrived.
const LATER: Duration = Duration::from_secs(60);

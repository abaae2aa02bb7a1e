//! SRTP through the relay's sockets: on either leg or both, with reports, re-keying and strangers (RFC 3711).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use std::time::Duration;

use trunkline::id::srtp::{MasterKey, Suite};
use trunkline::media::forward::Reason;
use trunkline::media::{LegMedia, Side};
use trunkline::rtp::rtcp::Compound;
use trunkline::rtp::srtp::{Context, LegKeys, MAX_TRAILER};

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, Peer, heard, other};

#[test]
fn either_leg_alone_or_both_may_be_encrypted() {
    for (place, encrypted) in
        [&[Side::Caller][..], &[Side::Callee], &[Side::Caller, Side::Callee]].into_iter().enumerate()
    {
        let mut call = Call::connected(&format!("127.0.16.{}", place + 1), |side, media| {
            let srtp = encrypted.contains(&side).then(|| Box::new(keys(side, 1)));
            LegMedia { srtp, ..media }
        });
        let mut ends =
            [Side::Caller, Side::Callee].map(|side| encrypted.contains(&side).then(|| far_context(side, 1)));

        for side in [Side::Caller, Side::Callee, Side::Caller] {
            for text in ["one", "two"] {
                send(&mut call, side, ends[side as usize].as_mut(), text);
            }
            let received = receive(&mut call, other(side), ends[other(side) as usize].as_mut(), 2);
            assert_eq!(heard(&received), [(0, "one"), (0, "two")], "{side:?} of {encrypted:?}");
        }
    }
}

#[test]
fn what_is_not_under_the_agreed_key_is_counted_and_moves_nothing() {
    let mut call = Call::connected("127.0.16.4", |side, media| {
        let srtp = (side == Side::Caller).then(|| Box::new(keys(side, 1)));
        LegMedia { srtp, ..media }
    });
    call.engine.answered(CALL);
    let (mut right, mut wrong) = (far_context(Side::Caller, 1), far_context(Side::Caller, 2));

    for _ in 0..4 {
        send(&mut call, Side::Caller, Some(&mut wrong), "wrong key");
        send(&mut call, Side::Caller, None, "not encrypted");
    }
    let mut elsewhere = Peer::at("127.0.0.66");
    for _ in 0..4 {
        elsewhere.send(call.reserved.caller, 0, b"not encrypted, from elsewhere");
    }
    send(&mut call, Side::Caller, Some(&mut right), "right key");
    let received = receive(&mut call, Side::Callee, None, 1);
    send(&mut call, Side::Callee, None, "answer");
    let answer = receive(&mut call, Side::Caller, Some(&mut right), 1);

    assert_eq!((heard(&received), heard(&answer)), (vec![(0, "right key")], vec![(0, "answer")]));
    let dropped = call.engine.packet_totals().dropped;
    let refused: u64 =
        dropped.iter().filter(|(reason, _)| *reason == Reason::NotAuthentic).map(|(_, n)| n).sum();
    assert_eq!(refused, 12);
    let stats = call.stats_when(|stats| stats[0].packets_received == 1);
    assert_eq!((stats[0].packets_received, stats[0].strangers), (1, 0));
}

#[test]
fn a_replay_is_relayed_once() {
    let call = Call::connected("127.0.16.5", |side, media| {
        let srtp = (side == Side::Caller).then(|| Box::new(keys(side, 1)));
        LegMedia { srtp, ..media }
    });
    let mut context = far_context(Side::Caller, 1);
    let packet = protected(&mut context, call.caller.packet(0, b"once"));

    for _ in 0..3 {
        call.caller.socket.send_to(&packet, call.reserved.caller).unwrap();
    }

    assert_eq!(heard(&call.callee.receive_all()), [(0, "once")]);
}

#[test]
fn a_new_key_in_a_new_description_is_followed_both_ways() {
    let mut call = Call::connected("127.0.16.6", |side, media| {
        let srtp = (side == Side::Callee).then(|| Box::new(keys(side, 1)));
        LegMedia { srtp, ..media }
    });
    let mut before = far_context(Side::Callee, 1);
    send(&mut call, Side::Callee, Some(&mut before), "old");
    assert_eq!(heard(&receive(&mut call, Side::Caller, None, 1)), [(0, "old")]);

    let media = LegMedia { srtp: Some(Box::new(keys(Side::Callee, 2))), ..call.media(Side::Callee) };
    call.engine.set_leg(CALL, Side::Callee, media);
    let mut after = far_context(Side::Callee, 2);
    send(&mut call, Side::Callee, Some(&mut before), "straggler");
    send(&mut call, Side::Callee, Some(&mut after), "new");
    let received = receive(&mut call, Side::Caller, None, 2);
    send(&mut call, Side::Caller, None, "answer");
    let answer = receive(&mut call, Side::Callee, Some(&mut after), 1);

    assert_eq!(heard(&received), [(0, "straggler"), (0, "new")]);
    assert_eq!(heard(&answer), [(0, "answer")]);
}

#[test]
fn reports_are_srtcp_and_count_the_payload_alone() {
    let reports = UdpSocket::bind("127.0.0.1:0").unwrap();
    reports.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut call = Call::connected("127.0.16.7", |side, media| match side {
        Side::Caller => media,
        Side::Callee => LegMedia {
            srtp: Some(Box::new(keys(side, 1))),
            remote_rtcp: reports.local_addr().unwrap(),
            ..media
        },
    });
    call.engine.answered(CALL);
    for text in ["one", "two"] {
        send(&mut call, Side::Caller, None, text);
    }
    let mut context = far_context(Side::Callee, 1);
    receive(&mut call, Side::Callee, Some(&mut context), 2);

    let mut bytes = [0; 300];
    let length = reports.recv(&mut bytes).unwrap();
    let length = context.inbound.unprotect_rtcp(&mut bytes[..length]).unwrap();

    let report = Compound::parse(&bytes[..length]).unwrap().packets().next();
    let Some(trunkline::rtp::rtcp::Packet::SenderReport { sender, .. }) = report else {
        panic!("{report:?}")
    };
    assert_eq!((sender.packets, sender.octets), (2, 6));
}

/// What the relay is told of `side`.
fn keys(side: Side, generation: u8) -> LegKeys {
    let (local, remote) = (key(side, 10 + generation), key(side, 20 + generation));
    LegKeys { local, remote }
}

/// The far end's own context: its local key is our remote one.
fn far_context(side: Side, generation: u8) -> Context {
    let LegKeys { local, remote } = keys(side, generation);
    Context::new(LegKeys { local: remote, remote: local })
}

fn key(side: Side, octet: u8) -> MasterKey {
    let suite = match side {
        Side::Caller => Suite::AesCm128HmacSha1_80,
        Side::Callee => Suite::Aes256CmHmacSha1_32,
    };
    MasterKey::new(suite, &vec![octet; suite.master_bytes()]).unwrap()
}

fn send(call: &mut Call, side: Side, context: Option<&mut Context>, text: &str) {
    let relay = call.relay(side);
    let peer = call.peer(side);
    let plain = peer.packet(0, text.as_bytes());
    let packet = context.map_or(plain.clone(), |context| protected(context, plain));
    peer.socket.send_to(&packet, relay).unwrap();
    peer.sequence = peer.sequence.wrapping_add(1);
    peer.timestamp = peer.timestamp.wrapping_add(160);
}

fn protected(context: &mut Context, mut packet: Vec<u8>) -> Vec<u8> {
    let length = packet.len();
    packet.resize(length + MAX_TRAILER, 0);
    let length = context.outbound.protect(&mut packet, length).unwrap();
    packet.truncate(length);
    packet
}

fn receive(call: &mut Call, side: Side, mut context: Option<&mut Context>, expected: usize) -> Vec<Vec<u8>> {
    let mut packets = call.peer(side).receive(expected);
    if let Some(context) = &mut context {
        for packet in &mut packets {
            let length = context.inbound.unprotect(packet).unwrap();
            packet.truncate(length);
        }
    }
    packets
}

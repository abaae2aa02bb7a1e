//! What far ends and signalling are told of a call: RTCP on the wire, and the statistics of each leg.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use trunkline::media::{LegMedia, LegStats, Rtcp, Side};
use trunkline::rtp::rtcp::{Compound, Packet};

#[path = "support/far_end.rs"]
mod far_end;

use far_end::{CALL, Call, Peer, above, ip};

#[test]
fn each_far_end_is_sent_reports_of_what_it_was_really_sent_and_a_farewell() {
    let ports = [(); 2].map(|()| report_port());
    let mut call = Call::connected("127.0.15.1", |side, media| {
        let remote_rtcp = ports[side as usize].local_addr().unwrap();
        LegMedia { remote_rtcp, ..media }
    });
    call.engine.answered(CALL);
    call.say(Side::Caller, &[(0, "one"), (0, "two"), (0, "three")]);

    let mut to_callee = [0; 200];
    let length = ports[1].recv(&mut to_callee).unwrap();
    call.engine.release(CALL);
    let mut farewell = [0; 200];
    let last = ports[1].recv(&mut farewell).unwrap();

    let packets: Vec<_> = Compound::parse(&to_callee[..length]).unwrap().packets().collect();
    let Packet::SenderReport { ssrc, sender, blocks } = packets[0] else { panic!("{packets:?}") };
    assert_eq!((sender.packets, sender.octets, blocks.iter().count()), (3, 11, 0));
    let goodbye = Compound::parse(&farewell[..last]).unwrap().packets().last().unwrap();
    assert!(matches!(goodbye, Packet::Goodbye(sources) if sources.iter().eq([ssrc])));
}

#[test]
fn reports_go_beside_the_audio_where_they_share_a_port_and_nowhere_where_there_are_to_be_none() {
    let mut call = Call::connected("127.0.15.2", |side, media| LegMedia {
        rtcp: if side == Side::Caller { Rtcp::Muxed } else { Rtcp::Never },
        ..media
    });
    call.engine.answered(CALL);
    call.say(Side::Callee, &[(0, "hello")]);
    call.caller.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();

    let report = call.caller.receive(1).remove(0);
    let rtcp_port = UdpSocket::bind(above(call.reserved.callee));

    assert!(Compound::parse(&report).is_ok());
    assert!(rtcp_port.is_ok(), "no port is open for RTCP where there is to be none");
    assert!(call.callee.receive(1).is_empty());
}

#[test]
fn what_a_far_end_reports_is_believed_from_its_own_address_only() {
    let own = report_port();
    let mut call = Call::connected("127.0.15.3", |side, media| match side {
        Side::Caller => LegMedia { remote_rtcp: own.local_addr().unwrap(), ..media },
        Side::Callee => media,
    });
    call.engine.answered(CALL);
    call.say(Side::Caller, &[(0, "hello")]);
    let heard = call.say(Side::Callee, &[(0, "hello")]).remove(0);
    let ssrc = [heard[8], heard[9], heard[10], heard[11]];
    let liar = UdpSocket::bind((ip("127.0.0.66"), 0)).unwrap();

    liar.send_to(&lost_of(ssrc, 128), above(call.reserved.caller)).unwrap();
    own.send_to(&lost_of(ssrc, 64), above(call.reserved.caller)).unwrap();
    let stats = call.stats_when(|stats| stats[0].peer_loss.is_some());

    assert_eq!(stats[0].peer_loss, Some(0.25));
    assert_eq!((stats[0].rtt_ms, stats[1].peer_loss), (None, None));
}

#[test]
fn a_legs_statistics_tell_bytes_duplicates_order_gaps_first_audio_and_a_score() {
    let mut call = Call::connected("127.0.15.4", |_, media| media);
    call.engine.answered(CALL);
    std::thread::sleep(Duration::from_millis(60));
    let relay = call.relay(Side::Caller);
    let packets: Vec<_> = (0..4)
        .map(|n| {
            (call.caller.sequence, call.caller.timestamp) = (10 + n, 160 * u32::from(n));
            call.caller.packet(0, &[0xFF; 160])
        })
        .collect();

    for n in [0, 2, 1, 1, 3] {
        call.caller.socket.send_to(&packets[n], relay).unwrap();
    }
    Peer::at("127.0.0.66").send(relay, 0, b"stranger");
    let stats = call.stats_when(|stats| stats[0].strangers == 1 && stats[1].packets_sent == 4);

    let LegStats { packets_received, bytes_received, packets_duplicate, packets_reordered, .. } = stats[0];
    assert_eq!((packets_received, bytes_received), (4, 4 * 172));
    assert_eq!((packets_duplicate, packets_reordered, stats[0].packets_lost), (1, 1, 0));
    assert_eq!((stats[1].packets_sent, stats[1].bytes_sent), (4, 4 * 172));
    assert!(stats[0].first_audio_ms.is_some_and(|ms| ms >= 60.0) && stats[1].first_audio_ms.is_none());
    assert!(stats[0].mos.is_some_and(|mos| mos > 4.0) && stats[1].mos.is_none());
}

fn report_port() -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// A receiver report that `fraction` in 256 packets of `ssrc` were lost.
fn lost_of(ssrc: [u8; 4], fraction: u8) -> Vec<u8> {
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 9];
    report.extend(ssrc);
    report.push(fraction);
    report.resize(32, 0);
    report
}

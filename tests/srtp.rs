//! SRTP between two ends (RFC 3711): what is refused, and that nothing refused leaves a trace.
//!
//! Both ends are trunkline's; that the octets are right is shown by `srtp_against_libsrtp.rs` and the
//! vectors beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use proptest::prelude::*;
use trunkline::id::srtp::{MasterKey, Mki, Suite};
use trunkline::rtp::srtp::{Context, Inbound, LegKeys, MAX_TRAILER, Outbound, ProtectError, UnprotectError};

#[test]
fn two_ends_read_each_other() {
    let [ours, theirs] = [key(1), key(2)];
    let mut here = Context::new(LegKeys { local: ours.clone(), remote: theirs.clone() });
    let mut there = Context::new(LegKeys { local: theirs, remote: ours });

    let mut question = protected(&mut here.outbound, 1);
    let mut answer = protected(&mut there.outbound, 1);

    assert_eq!(there.inbound.unprotect(&mut question), Ok(PLAIN_BYTES));
    assert_eq!(here.inbound.unprotect(&mut answer), Ok(PLAIN_BYTES));
    assert_eq!(question[..PLAIN_BYTES], rtp(SSRC, 1));
}

#[test]
fn every_flipped_bit_of_rtp_is_refused_and_leaves_no_trace() {
    for suite in Suite::ALL {
        let key = MasterKey::new(suite, &vec![7; suite.master_bytes()]).unwrap();
        let (mut outbound, mut inbound) = (Outbound::new(&key), Inbound::new(&key));
        inbound.unprotect(&mut protected(&mut outbound, 1)).unwrap();
        let good = protected(&mut outbound, 2);

        for bit in 0..good.len() * 8 {
            let mut altered = good.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let before = altered.clone();
            assert!(inbound.unprotect(&mut altered).is_err(), "{suite:?}, bit {bit}");
            assert_eq!(altered, before, "{suite:?}, bit {bit}");
        }

        assert_eq!(inbound.unprotect(&mut good.clone()), Ok(PLAIN_BYTES));
    }
}

#[test]
fn every_flipped_bit_of_rtcp_is_refused_and_leaves_no_trace() {
    let (mut outbound, mut inbound) = ends();
    let good = protected_rtcp(&mut outbound);

    for bit in 0..good.len() * 8 {
        let mut altered = good.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let before = altered.clone();
        assert!(inbound.unprotect_rtcp(&mut altered).is_err(), "bit {bit}");
        assert_eq!(altered, before, "bit {bit}");
    }

    assert_eq!(inbound.unprotect_rtcp(&mut good.clone()), Ok(RTCP_BYTES));
}

#[test]
fn another_key_is_a_wrong_tag_in_both_protocols() {
    let (mut outbound, mut stranger) = (Outbound::new(&key(1)), Inbound::new(&key(2)));

    assert_eq!(stranger.unprotect(&mut protected(&mut outbound, 1)), Err(UnprotectError::WrongTag));
    assert_eq!(stranger.unprotect_rtcp(&mut protected_rtcp(&mut outbound)), Err(UnprotectError::WrongTag));
}

#[test]
fn what_was_received_or_lies_behind_the_window_is_refused() {
    let (mut outbound, mut inbound) = ends();
    let packets: Vec<Vec<u8>> = (100..=200).map(|sequence| protected(&mut outbound, sequence)).collect();
    let mut receive = |sequence: usize| inbound.unprotect(&mut packets[sequence - 100].clone());

    assert_eq!(receive(150), Ok(PLAIN_BYTES));
    assert_eq!(receive(150), Err(UnprotectError::Replayed));
    assert_eq!(receive(200), Ok(PLAIN_BYTES));
    assert_eq!(receive(137), Ok(PLAIN_BYTES));
    assert_eq!(receive(137), Err(UnprotectError::Replayed));
    assert_eq!(receive(136), Err(UnprotectError::TooOld));
}

#[test]
fn rtcp_is_received_once_too() {
    let (mut outbound, mut inbound) = ends();
    let [first, second] = [(); 2].map(|()| protected_rtcp(&mut outbound));

    assert_eq!(inbound.unprotect_rtcp(&mut second.clone()), Ok(RTCP_BYTES));
    assert_eq!(inbound.unprotect_rtcp(&mut first.clone()), Ok(RTCP_BYTES));
    assert_eq!(inbound.unprotect_rtcp(&mut first.clone()), Err(UnprotectError::Replayed));
}

#[test]
fn packets_around_a_rollover_are_read_in_any_order() {
    let (mut outbound, mut inbound) = ends();
    let packets: Vec<_> =
        [65_534, 65_535, 0, 1].map(|sequence| protected(&mut outbound, sequence)).into_iter().collect();

    for arrived in [0, 2, 1, 3] {
        assert_eq!(inbound.unprotect(&mut packets[arrived].clone()), Ok(PLAIN_BYTES), "{arrived}");
    }
}

#[test]
fn a_stream_whose_first_rollover_was_missed_is_read() {
    let (mut outbound, mut inbound) = ends();
    let [_, second, third] = [65_535, 0, 1].map(|sequence| protected(&mut outbound, sequence));

    assert_eq!(inbound.unprotect(&mut second.clone()), Ok(PLAIN_BYTES));
    assert_eq!(inbound.unprotect(&mut third.clone()), Ok(PLAIN_BYTES));
}

#[test]
fn sources_are_numbered_apart_and_come_back_to_where_they_were() {
    let (mut outbound, mut inbound) = ends();
    let packets = [(1, 500), (2, 9), (1, 501), (2, 10)]
        .map(|(ssrc, sequence)| protected_from(&mut outbound, ssrc, sequence));

    for packet in &packets {
        assert_eq!(inbound.unprotect(&mut packet.clone()), Ok(PLAIN_BYTES));
    }
    for packet in &packets {
        assert_eq!(inbound.unprotect(&mut packet.clone()), Err(UnprotectError::Replayed));
    }
}

#[test]
fn only_authentic_sources_take_room_and_none_is_forgotten_for_another() {
    let (mut outbound, mut forger, mut inbound) =
        (Outbound::new(&key(1)), Outbound::new(&key(2)), Inbound::new(&key(1)));
    for ssrc in 1_000..1_060 {
        inbound.unprotect(&mut protected_from(&mut forger, ssrc, 1)).unwrap_err();
    }
    let packets: Vec<_> = (0..64).map(|ssrc| protected_from(&mut outbound, ssrc, 1)).collect();

    assert!(packets.iter().all(|packet| inbound.unprotect(&mut packet.clone()).is_ok()));

    let mut one_more = vec![0; PLAIN_BYTES + MAX_TRAILER];
    one_more[..PLAIN_BYTES].copy_from_slice(&rtp(64, 1));
    assert_eq!(outbound.protect(&mut one_more, PLAIN_BYTES), Err(ProtectError::TooManySources));
    let one_more = protected_from(&mut Outbound::new(&key(1)), 64, 1);
    let mut refused = one_more.clone();
    assert_eq!(inbound.unprotect(&mut refused), Err(UnprotectError::TooManySources));
    assert_eq!(refused, one_more);
    assert_eq!(inbound.unprotect(&mut packets[0].clone()), Err(UnprotectError::Replayed));
}

#[test]
fn a_number_is_never_protected_twice() {
    let mut outbound = Outbound::new(&key(1));
    protected(&mut outbound, 100);
    protected(&mut outbound, 99);
    let mut again = |sequence| {
        let mut buffer = rtp(SSRC, sequence);
        buffer.resize(PLAIN_BYTES + MAX_TRAILER, 0);
        let before = buffer.clone();
        let result = outbound.protect(&mut buffer, PLAIN_BYTES);
        assert_eq!(buffer, before);
        result
    };

    assert_eq!(again(100), Err(ProtectError::Reused));
    assert_eq!(again(99), Err(ProtectError::Reused));
    assert_eq!(again(36), Err(ProtectError::Reused));
    assert_eq!(again(65_500), Err(ProtectError::Reused));
}

#[test]
fn nothing_is_written_where_the_trailer_has_no_room() {
    let mut outbound = Outbound::new(&key(1));
    let plain = rtp(SSRC, 1);

    let mut buffer = plain.clone();
    buffer.resize(PLAIN_BYTES + 9, 0);
    assert_eq!(outbound.protect(&mut buffer, PLAIN_BYTES), Err(ProtectError::NoRoom));
    assert_eq!(buffer[..PLAIN_BYTES], plain);
    buffer.resize(PLAIN_BYTES + 10, 0);
    assert_eq!(outbound.protect(&mut buffer, PLAIN_BYTES + 11), Err(ProtectError::NoRoom));
    assert_eq!(outbound.protect(&mut buffer, PLAIN_BYTES), Ok(PLAIN_BYTES + 10));
    let mut buffer = rtcp();
    buffer.resize(RTCP_BYTES + 13, 0);
    assert_eq!(outbound.protect_rtcp(&mut buffer, RTCP_BYTES), Err(ProtectError::NoRoom));
}

#[test]
fn after_a_re_keying_stragglers_of_the_former_key_are_read_for_a_while() {
    let (mut outbound, mut inbound) = ends();
    let packets: Vec<_> = (1..=4).map(|sequence| protected(&mut outbound, sequence)).collect();
    inbound.unprotect(&mut packets[0].clone()).unwrap();
    inbound.rekey(&key(2));
    outbound.rekey(&key(2));
    let mut receive = |packet: &[u8]| inbound.unprotect(&mut packet.to_vec());

    assert_eq!(receive(&packets[1]), Ok(PLAIN_BYTES));
    assert!(receive(&packets[1]).is_err());
    for sequence in 5..5 + 63 {
        assert_eq!(receive(&protected(&mut outbound, sequence)), Ok(PLAIN_BYTES));
    }
    assert_eq!(receive(&packets[2]), Ok(PLAIN_BYTES));
    assert_eq!(receive(&protected(&mut outbound, 68)), Ok(PLAIN_BYTES));
    assert!(receive(&packets[3]).is_err());
}

#[test]
fn after_a_re_keying_rollovers_go_on_or_begin_anew_as_the_peer_has_it() {
    for begins_anew in [false, true] {
        let (mut outbound, mut inbound) = ends();
        for sequence in [65_535, 0, 30_000, 60_000] {
            inbound.unprotect(&mut protected(&mut outbound, sequence)).unwrap();
        }
        inbound.unprotect_rtcp(&mut protected_rtcp(&mut outbound)).unwrap();
        inbound.rekey(&key(2));
        outbound.rekey(&key(2));
        if begins_anew {
            outbound = Outbound::new(&key(2));
        }

        let [first, second] = [60_001, 60_002].map(|sequence| protected(&mut outbound, sequence));
        let report = protected_rtcp(&mut outbound);

        assert_eq!(inbound.unprotect(&mut first.clone()), Ok(PLAIN_BYTES), "{begins_anew}");
        assert_eq!(inbound.unprotect(&mut second.clone()), Ok(PLAIN_BYTES), "{begins_anew}");
        assert_eq!(inbound.unprotect(&mut first.clone()), Err(UnprotectError::Replayed));
        assert_eq!(inbound.unprotect_rtcp(&mut report.clone()), Ok(RTCP_BYTES), "{begins_anew}");
        assert_eq!(inbound.unprotect_rtcp(&mut report.clone()), Err(UnprotectError::Replayed));
    }
}

#[test]
fn a_description_with_the_same_keys_changes_nothing() {
    let keys = LegKeys { local: key(1), remote: key(1) };
    let mut context = Context::new(keys.clone());
    let mut packet = protected(&mut context.outbound, 7);
    let replay = packet.clone();
    context.inbound.unprotect(&mut packet).unwrap();

    context.rekey(keys);

    assert_eq!(context.inbound.unprotect(&mut replay.clone()), Err(UnprotectError::Replayed));
    let mut again = rtp(SSRC, 7);
    again.resize(PLAIN_BYTES + MAX_TRAILER, 0);
    assert_eq!(context.outbound.protect(&mut again, PLAIN_BYTES), Err(ProtectError::Reused));
}

#[test]
fn a_new_key_that_is_told_again_does_not_drop_the_former_one() {
    let mut context = Context::new(LegKeys { local: key(1), remote: key(2) });
    let mut straggler = protected(&mut Outbound::new(&key(2)), 1);

    for _ in 0..2 {
        context.rekey(LegKeys { local: key(1), remote: key(3) });
    }

    assert_eq!(context.inbound.unprotect(&mut straggler), Ok(PLAIN_BYTES));
}

#[test]
fn a_re_keying_of_one_direction_leaves_the_other_as_it_was() {
    let mut context = Context::new(LegKeys { local: key(1), remote: key(2) });

    context.rekey(LegKeys { local: key(1), remote: key(3) });

    let mut sent = protected(&mut context.outbound, 1);
    assert_eq!(Inbound::new(&key(1)).unprotect(&mut sent), Ok(PLAIN_BYTES));
    let mut received = protected(&mut Outbound::new(&key(3)), 1);
    assert_eq!(context.inbound.unprotect(&mut received), Ok(PLAIN_BYTES));
}

#[test]
fn a_key_that_has_a_name_is_named_in_every_packet() {
    let named = |value, bytes| key(1).named(Some(Mki { value, bytes }));
    for bytes in [1, 4, 8, 32] {
        let mut outbound = Outbound::new(&named(0x51, bytes));
        let mut buffer = rtp(SSRC, 1);
        buffer.resize(PLAIN_BYTES + 128 + MAX_TRAILER, 0);

        let length = outbound.protect(&mut buffer, PLAIN_BYTES).unwrap();

        let packet = &buffer[..length];
        assert_eq!((length, packet[length - 11]), (PLAIN_BYTES + usize::from(bytes) + 10, 0x51));
        let mut other = Inbound::new(&named(0x52, bytes));
        assert_eq!(other.unprotect(&mut packet.to_vec()), Err(UnprotectError::UnknownMki));
        let mut inbound = Inbound::new(&named(0x51, bytes));
        assert_eq!(inbound.unprotect(&mut packet.to_vec()), Ok(PLAIN_BYTES));
        let mut report = rtcp();
        report.resize(RTCP_BYTES + 128 + MAX_TRAILER, 0);
        let length = outbound.protect_rtcp(&mut report, RTCP_BYTES).unwrap();
        assert_eq!(inbound.unprotect_rtcp(&mut report[..length]), Ok(RTCP_BYTES));
    }
}

#[test]
fn what_is_cut_short_is_refused() {
    let (mut outbound, mut inbound) = ends();
    let (packet, report) = (protected(&mut outbound, 1), protected_rtcp(&mut outbound));

    for length in 0..packet.len() {
        assert!(inbound.unprotect(&mut packet[..length].to_vec()).is_err(), "{length}");
    }
    for length in 0..report.len() {
        assert!(inbound.unprotect_rtcp(&mut report[..length].to_vec()).is_err(), "{length}");
    }
    assert_eq!(inbound.unprotect(&mut packet[..21].to_vec()), Err(UnprotectError::TooShort));
    assert_eq!(inbound.unprotect_rtcp(&mut report[..21].to_vec()), Err(UnprotectError::TooShort));
    assert_eq!(inbound.unprotect(&mut [0; 40]), Err(UnprotectError::Malformed));
}

#[test]
fn no_context_shows_its_keys() {
    let context = Context::new(LegKeys { local: key(0xAB), remote: key(0xCD) });

    let shown = format!("{context:?}").to_lowercase();

    for octet in ["171", "205", "0xab", "0xcd", "abab", "cdcd"] {
        assert!(!shown.contains(octet), "{octet} in {shown}");
    }
}

proptest! {
    #[test]
    fn no_datagram_is_taken_or_panics(
        mut datagram in proptest::collection::vec(any::<u8>(), 0..300),
        looks_like_rtp in any::<bool>(),
        mki in 0_u8..20,
    ) {
        if let Some(first) = datagram.first_mut().filter(|_| looks_like_rtp) {
            *first = *first & 0x3F | 0x80;
        }
        let key = key(1).named((mki > 0).then_some(Mki { value: 0, bytes: mki }));
        let (mut inbound, before) = (Inbound::new(&key), datagram.clone());

        prop_assert!(inbound.unprotect(&mut datagram).is_err());
        prop_assert!(inbound.unprotect_rtcp(&mut datagram).is_err());
        prop_assert_eq!(&datagram, &before);

        let mut outbound = Outbound::new(&key);
        for length in [0, datagram.len() / 2, datagram.len()] {
            let _ = outbound.protect(&mut datagram, length);
            let _ = outbound.protect_rtcp(&mut datagram, length);
        }
    }

    #[test]
    fn whatever_is_protected_is_read_over_loss_reordering_and_rollovers(
        start in any::<u16>(),
        steps in proptest::collection::vec((1_u16..2_000, 0_usize..160, any::<bool>()), 1..60),
    ) {
        let (mut outbound, mut inbound) = ends();
        let mut sequence = start;
        let (mut sent, mut swaps) = (Vec::<(Vec<u8>, Vec<u8>)>::new(), Vec::new());
        for (step, payload, swap) in steps {
            sequence = sequence.wrapping_add(step);
            let plain = rtp(SSRC, sequence)[..12 + payload].to_vec();
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + MAX_TRAILER, 0);
            let length = outbound.protect(&mut buffer, plain.len()).unwrap();
            buffer.truncate(length);
            sent.push((plain, buffer));
            swaps.push(swap && step < 60);
        }
        for (pair, swaps) in sent.chunks_exact_mut(2).zip(swaps.chunks_exact(2)) {
            if swaps[1] {
                pair.swap(0, 1);
            }
        }

        for (plain, mut packet) in sent {
            prop_assert_eq!(inbound.unprotect(&mut packet), Ok(plain.len()));
            prop_assert_eq!(&packet[..plain.len()], &plain[..]);
        }
    }
}

fn ends() -> (Outbound, Inbound) {
    (Outbound::new(&key(1)), Inbound::new(&key(1)))
}

fn key(octet: u8) -> MasterKey {
    MasterKey::new(Suite::AesCm128HmacSha1_80, &[octet; 30]).unwrap()
}

fn protected(outbound: &mut Outbound, sequence: u16) -> Vec<u8> {
    protected_from(outbound, SSRC, sequence)
}

fn protected_from(outbound: &mut Outbound, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut buffer = rtp(ssrc, sequence);
    buffer.resize(PLAIN_BYTES + MAX_TRAILER, 0);
    let length = outbound.protect(&mut buffer, PLAIN_BYTES).unwrap();
    buffer.truncate(length);
    buffer
}

fn protected_rtcp(outbound: &mut Outbound) -> Vec<u8> {
    let mut buffer = rtcp();
    buffer.resize(RTCP_BYTES + MAX_TRAILER, 0);
    let length = outbound.protect_rtcp(&mut buffer, RTCP_BYTES).unwrap();
    buffer.truncate(length);
    buffer
}

/// 20 ms of G.711.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x55; PLAIN_BYTES];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

/// A receiver report.
fn rtcp() -> Vec<u8> {
    let mut packet = vec![0x11; RTCP_BYTES];
    packet[..4].copy_from_slice(&[0x81, 201, 0, 7]);
    packet[4..8].copy_from_slice(&SSRC.to_be_bytes());
    packet
}

const SSRC: u32 = 0xCAFE_BABE;
const PLAIN_BYTES: usize = 172;
const RTCP_BYTES: usize = 32;

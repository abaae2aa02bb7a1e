//! What is read from compounds of every kind, and that no bytes at all can do harm.

use proptest::prelude::*;

use super::*;

#[test]
fn a_sender_report_with_a_block_a_description_and_a_bye_is_read_field_by_field() {
    let datagram = compound();

    let packets: Vec<Packet<'_>> = Compound::parse(&datagram).unwrap().packets().collect();

    let [Packet::SenderReport { ssrc, sender, blocks }, Packet::Other, Packet::Goodbye(sources)] =
        packets[..]
    else {
        panic!("{packets:?}");
    };
    let expected = SenderInfo { ntp: Ntp(0xB44D_B705_2000_0000), timestamp: 160, packets: 7, octets: 1_120 };
    assert_eq!((ssrc, sender), (0x0A0B_0C0D, expected));
    let block = ReportBlock {
        ssrc: 0x0102_0304,
        fraction_lost: 64,
        lost: -2,
        highest: 0x0001_FFFF,
        jitter_ticks: 80,
        last_report: 0xB705_2000,
        delay: 0x0005_4000,
    };
    assert!(blocks.iter().eq([block]));
    assert!(sources.iter().eq([0x0A0B_0C0D, 0x0A0B_0C0E]));
}

#[test]
fn reduced_size_and_unknown_packets_are_read_past() {
    let feedback = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let application = [0x80, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'];
    let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 9];

    let datagram = [&feedback[..], &application, &receiver_report].concat();
    let packets: Vec<Packet<'_>> = Compound::parse(&datagram).unwrap().packets().collect();

    assert!(matches!(packets[..], [Packet::Other, Packet::Other, Packet::ReceiverReport { ssrc: 9, .. }]));
}

#[test]
fn the_last_packet_may_be_padded_and_no_other() {
    let report = [0xA0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 4];
    let described = [0x80, 201, 0, 1, 0, 0, 0, 9];

    assert!(Compound::parse(&report).is_ok());
    assert_eq!(refused(&[&report[..], &described].concat()), NotRtcp::Padding);
    for padding in [0, 3, 12] {
        let mut padded = report;
        padded[11] = padding;
        assert_eq!(refused(&padded), NotRtcp::Padding, "{padding}");
    }
    let mut eaten = report;
    eaten[11] = 8;
    assert_eq!(refused(&eaten), NotRtcp::Truncated);
}

#[test]
fn lengths_and_counts_beyond_the_end_and_other_versions_are_refused() {
    let mut two_blocks_of_one = compound();
    two_blocks_of_one[0] = 0x82;
    let mut other_version_behind = compound();
    other_version_behind[52] = 0x41;

    assert_eq!(refused(&[]), NotRtcp::Empty);
    assert_eq!(refused(&[0x80, 201, 0]), NotRtcp::Truncated);
    assert_eq!(refused(&[0x80, 201, 0, 2, 0, 0, 0, 9]), NotRtcp::Truncated);
    assert_eq!(refused(&[0x80, 201, 0, 0]), NotRtcp::Truncated);
    assert_eq!(refused(&[0x82, 203, 0, 1, 0, 0, 0, 9]), NotRtcp::Truncated);
    assert_eq!(refused(&two_blocks_of_one), NotRtcp::Truncated);
    assert_eq!(refused(&other_version_behind), NotRtcp::WrongVersion);
    assert_eq!(refused(&compound()[..compound().len() - 1]), NotRtcp::Truncated);
}

proptest! {
    #[test]
    fn whatever_is_valid_reads_to_its_end_and_nothing_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        mutations in proptest::collection::vec((0_usize..88, any::<u8>()), 0..6),
    ) {
        let mut mutated = compound();
        for (place, byte) in mutations {
            if let Some(place) = mutated.get_mut(place) {
                *place = byte;
            }
        }
        for datagram in [&bytes, &mutated] {
            let Ok(compound) = Compound::parse(datagram) else { continue };
            for packet in compound.packets() {
                match packet {
                    Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => {
                        prop_assert!(blocks.iter().count() < 32);
                    }
                    Packet::Goodbye(sources) => prop_assert!(sources.iter().count() < 32),
                    Packet::Other => {}
                }
            }
        }
    }
}

fn refused(datagram: &[u8]) -> NotRtcp {
    Compound::parse(datagram).unwrap_err()
}

/// SR with one block, SDES, BYE with two sources and a reason.
fn compound() -> Vec<u8> {
    let mut datagram = vec![0x81, 200, 0, 12, 0x0A, 0x0B, 0x0C, 0x0D];
    datagram.extend([0xB4, 0x4D, 0xB7, 0x05, 0x20, 0, 0, 0, 0, 0, 0, 160, 0, 0, 0, 7, 0, 0, 4, 0x60]);
    datagram.extend([1, 2, 3, 4, 64, 0xFF, 0xFF, 0xFE, 0, 1, 0xFF, 0xFF, 0, 0, 0, 80]);
    datagram.extend([0xB7, 0x05, 0x20, 0, 0, 5, 0x40, 0]);
    datagram.extend([0x81, 202, 0, 3, 0x0A, 0x0B, 0x0C, 0x0D, 1, 3, b'a', b'@', b'b', 0, 0, 0]);
    datagram.extend([0x82, 203, 0, 3, 0x0A, 0x0B, 0x0C, 0x0D, 0x0A, 0x0B, 0x0C, 0x0E, 3, b'e', b'n', b'd']);
    datagram
}

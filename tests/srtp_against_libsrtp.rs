//! What trunkline protects is byte for byte what libsrtp makes of it, and what libsrtp protected is read
//! (RFC 3711, RFC 6188).
//!
//! `tests/srtp/libsrtp.txt` is what libsrtp 2.5.0 wrote by `tests/srtp/record.c`: in every suite RTP over
//! three rollovers, with contributing sources and header extension, another source, and RTCP.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use trunkline::id::srtp::{MasterKey, Suite};
use trunkline::rtp::srtp::{Inbound, MAX_TRAILER, Outbound};

#[test]
fn what_libsrtp_protected_is_read() {
    for Recorded { key, rtp, rtcp } in recorded() {
        let mut inbound = Inbound::new(&key);

        for (plain, protected) in &rtp {
            let mut packet = protected.clone();
            let length = inbound.unprotect(&mut packet).unwrap();
            assert_eq!(&packet[..length], plain, "{key:?}");
        }
        for (plain, protected) in &rtcp {
            let mut packet = protected.clone();
            let length = inbound.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(&packet[..length], plain, "{key:?}");
        }
    }
}

#[test]
fn what_is_protected_equals_what_libsrtp_makes_of_it() {
    for Recorded { key, rtp, rtcp } in recorded() {
        let mut outbound = Outbound::new(&key);

        for (plain, protected) in &rtp {
            let (mut buffer, length) = with_room(plain);
            let length = outbound.protect(&mut buffer, length).unwrap();
            assert_eq!(&buffer[..length], protected, "{key:?}");
        }
        // Our first index is 0, as RFC 3711 §3.4 has it; libsrtp's is 1.
        let (mut first, length) = with_room(&rtcp[0].0);
        outbound.protect_rtcp(&mut first, length).unwrap();
        for (plain, protected) in &rtcp {
            let (mut buffer, length) = with_room(plain);
            let length = outbound.protect_rtcp(&mut buffer, length).unwrap();
            assert_eq!(&buffer[..length], protected, "{key:?}");
        }
    }
}

#[test]
fn the_recording_has_every_suite_and_three_rollovers() {
    let recorded = recorded();

    assert_eq!(recorded.iter().map(|one| one.key.suite()).collect::<Vec<_>>(), Suite::ALL);
    for Recorded { rtp, rtcp, .. } in recorded {
        let sequences = rtp.iter().map(|(plain, _)| u16::from_be_bytes([plain[2], plain[3]]));
        let sequences: Vec<u16> = sequences.collect();
        assert_eq!(sequences.windows(2).filter(|pair| pair[0] > pair[1]).count(), 3, "{sequences:?}");
        assert_eq!((rtp.len(), rtcp.len()), (17, 3));
    }
}

/// One suite's packets, each before and after.
struct Recorded {
    key: MasterKey,
    rtp: Vec<(Vec<u8>, Vec<u8>)>,
    rtcp: Vec<(Vec<u8>, Vec<u8>)>,
}

fn recorded() -> Vec<Recorded> {
    let mut recorded: Vec<Recorded> = Vec::new();
    for line in include_str!("srtp/libsrtp.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "suite" => {
                let key = MasterKey::new(suite(words[1]), &hex(words[2])).unwrap();
                recorded.push(Recorded { key, rtp: Vec::new(), rtcp: Vec::new() });
            }
            "rtp" => recorded.last_mut().unwrap().rtp.push((hex(words[1]), hex(words[2]))),
            "rtcp" => recorded.last_mut().unwrap().rtcp.push((hex(words[1]), hex(words[2]))),
            other => panic!("{other}"),
        }
    }
    recorded
}

fn suite(name: &str) -> Suite {
    match name {
        "AES_CM_128_HMAC_SHA1_80" => Suite::AesCm128HmacSha1_80,
        "AES_CM_128_HMAC_SHA1_32" => Suite::AesCm128HmacSha1_32,
        "AES_256_CM_HMAC_SHA1_80" => Suite::Aes256CmHmacSha1_80,
        "AES_256_CM_HMAC_SHA1_32" => Suite::Aes256CmHmacSha1_32,
        other => panic!("{other}"),
    }
}

fn with_room(plain: &[u8]) -> (Vec<u8>, usize) {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + MAX_TRAILER, 0);
    (buffer, plain.len())
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

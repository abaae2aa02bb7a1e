//! Which audio line is used when some are encrypted, and how keys stand in what we write (RFC 4568, RFC
//! 3264).

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::SocketAddr;

use trunkline::id::Ids;
use trunkline::id::srtp::Suite;
use trunkline::sdp::build::Local;
use trunkline::sdp::codec::Codec;
use trunkline::sdp::crypto::{Policy, Protection};
use trunkline::sdp::negotiate;
use trunkline::sdp::session::{Direction, Session};

#[test]
fn the_policy_decides_which_line_is_used() {
    for (policy, expected) in
        [(Policy::Off, Some(6002)), (Policy::Offer, Some(6004)), (Policy::Require, Some(6004))]
    {
        let session = Session::parse_under(EVERYTHING.as_bytes(), policy).unwrap();

        assert_eq!(session.audio.map(|(_, audio)| audio.rtp.port()), expected, "{policy}");
    }
}

#[test]
fn plain_audio_is_taken_unless_encryption_is_required() {
    for (policy, expected) in [(Policy::Off, true), (Policy::Offer, true), (Policy::Require, false)] {
        let session = Session::parse_under(PLAIN.as_bytes(), policy).unwrap();

        assert_eq!(session.audio.is_some(), expected, "{policy}");
        assert!(session.audio.is_none_or(|(_, audio)| audio.crypto.is_empty()));
    }
}

#[test]
fn lines_that_cannot_be_used_are_passed_over() {
    let session = Session::parse_under(LIVEKIT.as_bytes(), Policy::Require).unwrap();

    let read: Vec<_> =
        session.audio.unwrap().1.crypto.iter().map(|line| (line.tag, line.key.suite())).collect();

    assert_eq!(read, [(2, Suite::AesCm128HmacSha1_32), (4, Suite::Aes256CmHmacSha1_80)]);
}

#[test]
fn a_thousand_keys_are_not_kept() {
    let line = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    let body = format!("{}{}", SAVP_HEAD, line.repeat(600));

    let session = Session::parse_under(body.as_bytes(), Policy::Require).unwrap();

    assert_eq!(session.audio.unwrap().1.crypto.len(), 8);
}

#[test]
fn what_is_missing_is_said() {
    for (body, policy, warn_code, message) in [
        (
            PLAIN,
            Policy::Require,
            302,
            "audio only by RTP/AVP, but it has to be encrypted; offer RTP/SAVP with a=crypto",
        ),
        (
            SAVP_HEAD,
            Policy::Offer,
            302,
            "no usable a=crypto; supported AES_CM_128_HMAC_SHA1 and AES_256_CM_HMAC_SHA1, _80 and _32",
        ),
        (
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 18\r\n",
            Policy::Require,
            305,
            "no codec in common: offered G729, supported PCMU PCMA",
        ),
        (
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n",
            Policy::Offer,
            302,
            "audio only by UDP/TLS/RTP/SAVPF; offer RTP/AVP",
        ),
    ] {
        let session = Session::parse_under(body.as_bytes(), policy).unwrap();

        let error = negotiate::offered(&session).unwrap_err();

        assert_eq!((error.warn_code(), error.to_string().as_str()), (warn_code, message));
    }
}

#[test]
fn an_offer_with_keys_is_rtp_savp_and_says_them() {
    let mut ids = Ids::new([1; 32], 0);
    let mut local = Local::new(1, address());
    local.crypto = Protection::new(Policy::Offer, |suite| ids.master_key(suite)).offers();

    let body = local.offer(&[Codec::Pcmu.offered()], Some(101));

    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains("m=audio 20000 RTP/SAVP 0 101\r\n"), "{text}");
    let read = Session::parse_under(&body, Policy::Require).unwrap();
    assert_eq!(read.audio.unwrap().1.crypto, local.crypto);
}

#[test]
fn an_answer_stands_under_the_offered_profile_with_the_taken_tag_alone() {
    let mut ids = Ids::new([1; 32], 0);
    let offer = Session::parse_under(EVERYTHING.as_bytes(), Policy::Offer).unwrap();
    let (_, audio) = offer.audio.clone().unwrap();
    let mut local = Local::new(1, address());
    let protection = Protection::new(Policy::Offer, |suite| ids.master_key(suite));
    local.crypto = vec![protection.answer(&audio.crypto).unwrap().0];

    let body = local.answer(&offer, audio.codecs[0], None, Direction::SendRecv);

    let text = std::str::from_utf8(&body).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    let refused = "m=audio 0 RTP/AVP 0";
    assert_eq!(lines, [refused, "m=audio 0 RTP/SAVP 0", "m=audio 20000 RTP/SAVPF 0", refused]);
    assert_eq!(text.matches("a=crypto:").count(), 1);
    assert!(text.contains("a=crypto:3 AES_CM_256_HMAC_SHA1_80 inline:"), "{text}");
}

#[test]
fn the_version_grows_when_the_key_changes() {
    let mut ids = Ids::new([1; 32], 0);
    let mut local = Local::new(1, address());
    let codecs = [Codec::Pcmu.offered()];
    let mut versions = Vec::new();
    local.crypto = Protection::new(Policy::Offer, |suite| ids.master_key(suite)).offers();

    for _ in 0..2 {
        local.offer(&codecs, None);
        versions.push(local.version);
    }
    local.crypto = Protection::new(Policy::Offer, |suite| ids.master_key(suite)).offers();
    local.offer(&codecs, None);
    versions.push(local.version);

    assert_eq!(versions, [1, 1, 2]);
}

fn address() -> SocketAddr {
    "192.0.2.100:20000".parse().unwrap()
}

const PLAIN: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
     m=audio 6000 RTP/AVP 0\r\n\
     a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";

const SAVP_HEAD: &str = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 0 8\r\n";

/// Four lines, as one that refuses nothing may write them: refused, SRTP without a key, SRTP, plain.
const EVERYTHING: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
     m=audio 0 RTP/AVP 0\r\n\
     m=audio 6006 RTP/SAVP 0\r\n\
     m=audio 6004 RTP/SAVPF 0\r\n\
     a=crypto:3 AES_CM_256_HMAC_SHA1_80 inline:\
     MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZA==|2^31|1:1\r\n\
     m=audio 6002 RTP/AVP 0\r\n";

/// As LiveKit offers it, but for a parameter and a suite that are not done.
const LIVEKIT: &str = "v=0\r\no=- 9284718 9284718 IN IP4 192.0.2.7\r\ns=LiveKit\r\n\
     c=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 11544 RTP/SAVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\n\
     a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
     a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
     a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz UNENCRYPTED_SRTCP\r\n\
     a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n\
     a=crypto:3 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n\
     a=crypto:4 AES_256_CM_HMAC_SHA1_80 inline:\
     MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZA\r\n\
     a=ptime:20\r\na=sendrecv\r\n";

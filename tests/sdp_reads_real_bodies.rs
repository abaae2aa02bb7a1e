//! Session descriptions as real user agents write them: what is read from each, and what we
//! write is read back alike.
//!
//! The bodies are in the shape of the products named, with addresses of RFC 5737 and RFC 3849 in place of
//! real ones. The second reader is sdp-types, which comes with the feature `demo`.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use trunkline::sdp::build::Local;
use trunkline::sdp::codec::{Codec, Payload};
use trunkline::sdp::negotiate::{self, NegotiationError};
use trunkline::sdp::session::{Direction, SdpError, Session};

/// What a call needs of a body: RTP address, RTCP address, codecs, telephone-event, direction, ptime.
type Expected = (&'static str, &'static str, &'static [(Codec, u8)], Option<u8>, Direction, Option<u32>);

#[test]
fn bodies_of_many_products_are_read_as_meant() {
    for (name, body, expected) in BODIES {
        let session = Session::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let audio = negotiate::offered(&session).unwrap_or_else(|error| panic!("{name}: {error}"));

        let codecs: Vec<_> =
            audio.codecs.iter().map(|payload| (payload.codec, payload.payload_type)).collect();
        let (rtp, rtcp, codecs_expected, dtmf, direction, ptime) = *expected;
        assert_eq!(audio.rtp.to_string(), rtp, "{name}: rtp");
        assert_eq!(audio.rtcp.to_string(), rtcp, "{name}: rtcp");
        assert_eq!(codecs, codecs_expected, "{name}: codecs");
        assert_eq!(audio.dtmf, dtmf, "{name}: telephone-event");
        assert_eq!(audio.direction, direction, "{name}: direction");
        assert_eq!(audio.ptime, ptime, "{name}: ptime");
    }
}

#[test]
fn bodies_without_usable_audio_say_what_is_wrong_in_one_quotable_line() {
    for (name, body, code, text) in UNUSABLE {
        let session = Session::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));

        let error = negotiate::offered(&session).expect_err(name);

        assert_eq!((error.warn_code(), error.to_string().as_str()), (*code, *text), "{name}");
    }
}

#[test]
fn what_is_no_description_is_refused_by_name() {
    let many_lines = format!("v=0\r\n{}", "a=x\n".repeat(3_000));
    let many_streams = format!("v=0\r\n{}", "m=audio 4000 RTP/AVP 0\r\n".repeat(33));
    let many_formats = format!("v=0\r\nm=audio 4000 RTP/AVP{}\r\n", " 0".repeat(200));
    let cases: &[(&[u8], SdpError)] = &[
        (b"", SdpError::Empty),
        (b"\r\n\r\n", SdpError::Empty),
        (b"<?xml version=\"1.0\"?>", SdpError::NotSdp),
        (b"v=1\r\n", SdpError::NotSdp),
        (b"v=0\r\nm=audio\r\n", SdpError::MediaLine { line: 2 }),
        (b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n", SdpError::MediaLine { line: 2 }),
        (b"v=0\r\ns=-\r\nm=audio 4000 RTP/\"AVP 0\r\n", SdpError::MediaLine { line: 3 }),
        (b"v=0\r\nm=audio 4000 RTP/AVP \xff\r\n", SdpError::MediaLine { line: 2 }),
        (many_lines.as_bytes(), SdpError::TooMany { what: "lines", limit: 2_000 }),
        (many_streams.as_bytes(), SdpError::TooMany { what: "m= lines", limit: 32 }),
        (many_formats.as_bytes(), SdpError::TooMany { what: "formats on an m= line", limit: 128 }),
        (&[b' '; 65_537], SdpError::TooLong { bytes: 65_537 }),
    ];
    for (body, expected) in cases {
        assert_eq!(Session::parse(body).as_ref(), Err(expected));
    }
}

#[test]
fn origin_numbers_beyond_64_bits_saturate_and_words_are_zero() {
    for (origin, expected) in [
        ("- 18446744073709551615 18446744073709551614 IN IP4 192.0.2.1", (u64::MAX, u64::MAX - 1)),
        ("- 99999999999999999999999 2 IN IP4 192.0.2.1", (u64::MAX, 2)),
        ("- abc -1 IN IP4 192.0.2.1", (0, 0)),
        ("Some Gateway v2 7 8 IN IP4 192.0.2.1", (7, 8)),
        ("", (0, 0)),
    ] {
        let session = Session::parse(format!("v=0\r\no={origin}\r\n").as_bytes()).unwrap();

        assert_eq!((session.id, session.version), expected, "{origin}");
    }
}

#[test]
fn the_answer_refuses_every_other_stream_in_its_place() {
    let offer = Session::parse(body("Teams-like, ICE and video").as_bytes()).unwrap();
    let codec = Payload { codec: Codec::Pcma, payload_type: 8 };

    let answer = local("192.0.2.9:20000").answer(&offer, codec, Some(101), Direction::SendRecv);

    let text = std::str::from_utf8(&answer).unwrap();
    let streams: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(streams, ["m=audio 20000 RTP/AVP 8 101", "m=video 0 RTP/AVP 122"]);
    assert_read_back_alike(&answer);
}

#[test]
fn an_offer_is_written_in_full() {
    let codecs = [Codec::Pcma.offered(), Codec::Pcmu.offered()];

    let offer = local("[2001:db8::9]:20002").offer(&codecs, Some(101));

    let expected = "v=0\r\no=- 1000 1 IN IP6 2001:db8::9\r\ns=-\r\nc=IN IP6 2001:db8::9\r\nt=0 0\r\n\
        m=audio 20002 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(std::str::from_utf8(&offer).unwrap(), expected);
    assert_read_back_alike(&offer);
}

#[test]
fn the_version_grows_by_one_when_and_only_when_the_description_changes() {
    let mut ours = local("192.0.2.9:20000");
    let codecs = [Codec::Pcmu.offered()];

    let first = ours.offer(&codecs, Some(101));
    let same = ours.offer(&codecs, Some(101));
    let without_dtmf = ours.offer(&codecs, None);
    ours.rtp = "192.0.2.9:20004".parse().unwrap();
    let moved = ours.offer(&codecs, None);

    assert_eq!(first, same);
    let versions = [&first, &without_dtmf, &moved].map(|sdp| Session::parse(sdp).unwrap().version);
    assert_eq!(versions, [1, 2, 3]);
    assert_eq!(ours.last(), Some(moved));
}

#[test]
fn a_held_peer_is_answered_with_the_mirror_of_its_direction() {
    for (offered, answered) in [
        (Direction::SendRecv, Direction::SendRecv),
        (Direction::SendOnly, Direction::RecvOnly),
        (Direction::RecvOnly, Direction::SendOnly),
        (Direction::Inactive, Direction::Inactive),
    ] {
        assert_eq!(negotiate::mirrored(offered), answered);
    }
}

/// RFC 3264 §10.1: Alice offers PCMU and telephone events beside video; Bob refuses the video.
#[test]
fn the_example_of_rfc_3264_negotiates_as_printed() {
    let offer = Session::parse(RFC_3264_OFFER.as_bytes()).unwrap();
    let offered = negotiate::offered(&offer).unwrap();

    let toward_retell = negotiate::codecs_for_retell(offered, None);
    let callee =
        Session::parse(b"v=0\no=- 1 1 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\nm=audio 49920 RTP/AVP 0")
            .unwrap();
    let taken = negotiate::accepted(&callee, &toward_retell, Some(101)).unwrap();
    let ours = negotiate::chosen(&offer, Some(taken.codec.codec)).unwrap().codec;
    let answer = local("192.0.2.9:20000").answer(&offer, ours, None, Direction::SendRecv);

    assert_eq!(toward_retell, [Codec::Pcmu.offered()]);
    assert_eq!((taken.codec, taken.dtmf), (Codec::Pcmu.offered(), None));
    let text = std::str::from_utf8(&answer).unwrap();
    let streams: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(streams, ["m=audio 20000 RTP/AVP 0", "m=video 0 RTP/AVP 31", "m=video 0 RTP/AVP 32"]);
}

#[test]
fn payload_types_are_mapped_per_leg() {
    let offer = Session::parse(body("dynamic payload types").as_bytes()).unwrap();
    let offered = negotiate::offered(&offer).unwrap();

    let toward_trunk = negotiate::codecs_for_trunk(offered, None);
    let caller = negotiate::chosen(&offer, Some(Codec::Pcma)).unwrap().codec;

    assert_eq!(toward_trunk, [Codec::Pcmu.offered(), Codec::Pcma.offered()]);
    assert_eq!(caller, Payload { codec: Codec::Pcma, payload_type: 97 });
}

#[test]
fn an_answer_is_taken_by_what_was_offered_or_else_by_the_other_law() {
    let answer = Session::parse(body("Telnyx").as_bytes()).unwrap();
    let other_law =
        Session::parse(b"v=0\no=- 1 1 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\nm=audio 49920 RTP/AVP 8")
            .unwrap();
    let none = Session::parse(b"v=0\no=- 1 1 IN IP4 192.0.2.7\nc=IN IP4 192.0.2.7\nm=audio 49920 RTP/AVP 18")
        .unwrap();
    let taken = |answer, offered: Codec| {
        negotiate::accepted(answer, &[offered.offered()], None).map(|accepted| accepted.codec.codec)
    };

    assert_eq!(taken(&answer, Codec::Pcma), Ok(Codec::Pcma));
    assert_eq!(taken(&other_law, Codec::Pcmu), Ok(Codec::Pcma), "the relay transcodes");
    assert_eq!(
        taken(&none, Codec::Pcmu),
        Err(NegotiationError::NoCommonCodec { offered: vec!["G729".to_owned()] })
    );
}

proptest! {
    #[test]
    fn no_body_panics_or_leaves_its_bounds(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Session::parse(&bytes);
    }

    #[test]
    fn no_mutation_of_a_real_body_panics(
        index in 0..BODIES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = BODIES[index].1.as_bytes().to_vec();
        for (place, byte) in edits {
            let place = place.index(body.len());
            body[place] = byte;
        }
        body.truncate(cut.index(body.len()).max(body.len() / 2));

        if let Ok(session) = Session::parse(&body) {
            negotiates_to_a_subset(&session)?;
        }
    }

    #[test]
    fn negotiation_yields_a_subset_of_any_offer(
        formats in prop::collection::vec(0_u8..=127, 1..20),
        maps in prop::collection::vec((0_u8..=127, prop::sample::select(ENCODINGS)), 0..20),
    ) {
        let list: Vec<_> = formats.iter().map(u8::to_string).collect();
        let mut body = format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP {}\r\n", list.join(" "));
        for (payload_type, encoding) in maps {
            body.push_str(&format!("a=rtpmap:{payload_type} {encoding}\r\n"));
        }

        let session = Session::parse(body.as_bytes()).unwrap();

        negotiates_to_a_subset(&session)?;
    }
}

fn negotiates_to_a_subset(offer: &Session) -> Result<(), TestCaseError> {
    let audio = match negotiate::offered(offer) {
        Ok(audio) => audio,
        Err(error) => {
            let text = error.to_string();
            prop_assert!(
                text.len() < 800
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' || byte == b' ')
            );
            return Ok(());
        }
    };
    let toward_trunk = negotiate::codecs_for_trunk(audio, None);
    prop_assert!(toward_trunk.starts_with(&negotiate::codecs_for_retell(audio, None)));
    for ours in toward_trunk {
        let caller = negotiate::chosen(offer, Some(ours.codec)).expect("it was offered").codec;
        prop_assert_eq!(caller.codec, ours.codec);
        let index = offer.audio.as_ref().expect("offered").0;
        prop_assert!(offer.lines[index].formats.contains(&caller.payload_type.to_string()));

        let answer =
            local("192.0.2.9:20000").answer(offer, caller, audio.dtmf, negotiate::mirrored(audio.direction));
        let back = Session::parse(&answer).expect("we read what we write");
        prop_assert_eq!(back.lines.len(), offer.lines.len());
        prop_assert_eq!(&back.audio.as_ref().expect("one stream is used").1.codecs, &vec![caller]);
        prop_assert_eq!(back.audio.expect("one stream is used").0, index);
        sdp_types::Session::parse(&answer).expect("another reader reads what we write");
    }
    Ok(())
}

fn assert_read_back_alike(sdp: &[u8]) {
    let ours = Session::parse(sdp).unwrap();
    let theirs = sdp_types::Session::parse(sdp).unwrap();

    assert_eq!(theirs.origin.sess_version, ours.version);
    assert_eq!(theirs.medias.len(), ours.lines.len());
    for (theirs, ours) in theirs.medias.iter().zip(&ours.lines) {
        assert_eq!((&theirs.media, theirs.port, &theirs.proto), (&ours.media, ours.port, &ours.proto));
        assert_eq!(theirs.fmt, ours.formats.join(" "));
    }
    let mut rewritten = Vec::new();
    theirs.write(&mut rewritten).unwrap();
    assert_eq!(rewritten, sdp);
}

fn local(rtp: &str) -> Local {
    Local::new(4_000, rtp.parse().unwrap())
}

fn body(name: &str) -> &'static str {
    BODIES.iter().find(|(known, ..)| *known == name).expect("a body of that name").1
}

const ENCODINGS: &[&str] = &[
    "PCMU/8000",
    "pcma/8000/1",
    "telephone-event/8000",
    "telephone-event/48000",
    "PCMU/16000",
    "opus/48000/2",
    "G729",
    "\"",
];

use Codec::{Pcma, Pcmu};
use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

const BODIES: &[(&str, &str, Expected)] = &[
    (
        "Asterisk",
        "v=0\r\no=- 1846723459 1846723459 IN IP4 198.51.100.7\r\ns=Asterisk\r\nc=IN IP4 198.51.100.7\r\n\
         t=0 0\r\n\
         m=audio 17892 RTP/AVP 0 8 3 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:3 GSM/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\n\
         a=sendrecv\r\n",
        ("198.51.100.7:17892", "198.51.100.7:17893", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "FreeSWITCH",
        "v=0\r\no=FreeSWITCH 1700000001 1700000002 IN IP4 198.51.100.8\r\ns=FreeSWITCH\r\n\
         c=IN IP4 198.51.100.8\r\nt=0 0\r\nm=audio 22344 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=silenceSupp:off - - - -\r\na=ptime:20\r\n\
         a=rtcp:22345 IN IP4 198.51.100.8\r\n",
        ("198.51.100.8:22344", "198.51.100.8:22345", &[(Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "Twilio",
        "v=0\r\no=root 1573216042 1573216042 IN IP4 203.0.113.20\r\ns=Twilio Media Gateway\r\n\
         c=IN IP4 203.0.113.20\r\nt=0 0\r\nm=audio 14158 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n\
         a=maxptime:20\r\na=sendrecv\r\n",
        ("203.0.113.20:14158", "203.0.113.20:14159", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "Telnyx",
        "v=0\r\no=Telnyx 1690000000 1690000001 IN IP4 203.0.113.64\r\ns=Telnyx\r\nc=IN IP4 203.0.113.64\r\n\
         t=0 0\r\n\
         m=audio 31072 RTP/AVP 0 8 9 18 101 13\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtpmap:13 CN/8000\r\na=ptime:20\r\n",
        ("203.0.113.64:31072", "203.0.113.64:31073", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "LiveKit",
        "v=0\r\no=- 12345678901234567890 12345678901234567892 IN IP4 203.0.113.90\r\ns=LiveKit\r\n\
         c=IN IP4 203.0.113.90\r\nt=0 0\r\nm=audio 10020 RTP/AVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\n\
         a=ptime:20\r\na=sendrecv\r\n",
        ("203.0.113.90:10020", "203.0.113.90:10021", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "Cisco",
        "v=0\r\no=CiscoSystemsSIP-GW-UserAgent 1234 5678 IN IP4 192.0.2.33\r\ns=SIP Call\r\n\
         c=IN IP4 192.0.2.33\r\n\
         t=0 0\r\nm=audio 16402 RTP/AVP 18 0 101 19\r\nc=IN IP4 192.0.2.34\r\na=rtpmap:18 G729/8000\r\n\
         a=fmtp:18 annexb=no\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\n\
         a=rtpmap:19 CN/8000\r\na=ptime:20\r\n",
        ("192.0.2.34:16402", "192.0.2.34:16403", &[(Pcmu, 0)], Some(101), SendRecv, Some(20)),
    ),
    (
        "Teams-like, ICE and video",
        "v=0\r\no=- 2 1 IN IP4 192.0.2.70\r\ns=session\r\nc=IN IP4 192.0.2.70\r\nb=CT:10000000\r\nt=0 0\r\n\
         a=x-devicecaps:audio:send,recv;video:send,recv\r\na=group:BUNDLE 0 1\r\n\
         m=audio 49412 RTP/AVP 104 9 0 8 97 13 118 101\r\nc=IN IP4 203.0.113.71\r\na=rtcp:49413\r\n\
         a=rtcp-mux\r\n\
         a=ice-ufrag:AbCd\r\na=ice-pwd:0123456789abcdefghijkl\r\n\
         a=candidate:1 1 UDP 2130706431 192.0.2.70 49412 typ host\r\n\
         a=candidate:2 1 UDP 1694498815 203.0.113.71 49412 typ srflx raddr 192.0.2.70 rport 49412\r\n\
         a=rtpmap:104 SILK/16000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:97 RED/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:118 CN/16000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=mid:0\r\n\
         m=video 49414 RTP/AVP 122 107\r\na=rtpmap:122 X-H264UC/90000\r\na=rtpmap:107 H264/90000\r\n\
         a=sendonly\r\n",
        ("203.0.113.71:49412", "203.0.113.71:49413", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, Some(20)),
    ),
    (
        "browser profile, AVPF and telephone events of several clock rates",
        "v=0\r\no=mozilla 4611731400430051336 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=sendrecv\r\n\
         m=audio 9 RTP/AVPF 109 9 0 8 110 101\r\nc=IN IP4 192.0.2.80\r\na=rtpmap:109 opus/48000/2\r\n\
         a=rtpmap:9 G722/8000/1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000/1\r\na=rtcp-fb:* nack\r\n",
        ("192.0.2.80:9", "192.0.2.80:10", &[(Pcmu, 0), (Pcma, 8)], Some(101), SendRecv, None),
    ),
    (
        "static types alone, bare LF, no last line end",
        "v=0\no=user1 53655765 2353687637 IN IP4 192.0.2.12\ns=-\nc=IN IP4 192.0.2.12\nt=0 0\n\
         m=audio 6000 RTP/AVP 8 0",
        ("192.0.2.12:6000", "192.0.2.12:6001", &[(Pcma, 8), (Pcmu, 0)], None, SendRecv, None),
    ),
    (
        "dynamic payload types",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.13\r\ns=-\r\nc=IN IP4 192.0.2.13\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 96 97 0 98\r\n\
         a=rtpmap:96 pcmu/8000\r\na=rtpmap:97 PCMA/8000/1\r\na=rtpmap:98 TELEPHONE-EVENT/8000\r\n\
         a=ptime:30\r\n",
        (
            "192.0.2.13:6000",
            "192.0.2.13:6001",
            &[(Pcmu, 96), (Pcma, 97), (Pcmu, 0)],
            Some(98),
            SendRecv,
            Some(30),
        ),
    ),
    (
        "a static number bound to something else",
        "v=0\r\nc=IN IP4 192.0.2.13\r\nm=audio 6000 RTP/AVP 0 8\r\na=rtpmap:0 opus/48000/2\r\n",
        ("192.0.2.13:6000", "192.0.2.13:6001", &[(Pcma, 8)], None, SendRecv, None),
    ),
    (
        "hold by sendonly at media level over session level",
        "v=0\r\no=- 1 2 IN IP4 192.0.2.14\r\ns=-\r\nc=IN IP4 192.0.2.14\r\nt=0 0\r\na=sendrecv\r\n\
         m=audio 6000 RTP/AVP 0\r\na=sendonly\r\n",
        ("192.0.2.14:6000", "192.0.2.14:6001", &[(Pcmu, 0)], None, SendOnly, None),
    ),
    (
        "hold by inactive at session level",
        "v=0\r\no=- 1 2 IN IP4 192.0.2.14\r\ns=-\r\nc=IN IP4 192.0.2.14\r\nt=0 0\r\na=inactive\r\n\
         m=audio 6000 RTP/AVP 0\r\n",
        ("192.0.2.14:6000", "192.0.2.14:6001", &[(Pcmu, 0)], None, Inactive, None),
    ),
    (
        "hold by the unspecified address",
        "v=0\r\no=- 1 2 IN IP4 192.0.2.14\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n",
        ("0.0.0.0:6000", "0.0.0.0:6001", &[(Pcmu, 0)], None, SendOnly, None),
    ),
    (
        "hold by the unspecified IPv6 address and recvonly",
        "v=0\r\no=- 1 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 ::\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
         a=recvonly\r\n",
        ("[::]:6000", "[::]:6001", &[(Pcmu, 0)], None, Inactive, None),
    ),
    (
        "hold by a name under .invalid",
        "v=0\r\nc=IN IP6 black.hole.INVALID\r\nm=audio 6000 RTP/AVP 0\r\n",
        ("0.0.0.0:6000", "0.0.0.0:6001", &[(Pcmu, 0)], None, SendOnly, None),
    ),
    (
        "a name in c= waits for packets",
        "v=0\r\no=- 1 2 IN IP4 media.example\r\nc=IN IP4 media.example\r\nm=audio 6000 RTP/AVP 0\r\n\
         a=recvonly\r\n",
        ("0.0.0.0:6000", "0.0.0.0:6001", &[(Pcmu, 0)], None, RecvOnly, None),
    ),
    (
        "IPv6, written as IP4",
        "v=0\r\no=- 1 2 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP4 2001:db8::5\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0\r\n",
        ("[2001:db8::5]:6000", "[2001:db8::5]:6001", &[(Pcmu, 0)], None, SendRecv, None),
    ),
    (
        "T.38 as second stream",
        "v=0\r\no=- 20518 0 IN IP4 192.0.2.15\r\ns=-\r\nc=IN IP4 192.0.2.15\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\nm=image 6002 udptl t38\r\na=T38FaxVersion:0\r\n\
         a=T38MaxBitRate:14400\r\na=T38FaxUdpEC:t38UDPRedundancy\r\na=inactive\r\n",
        ("192.0.2.15:6000", "192.0.2.15:6001", &[(Pcma, 8), (Pcmu, 0)], None, SendRecv, None),
    ),
    (
        "first audio by SRTP, second plain",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.16\r\ns=-\r\nc=IN IP4 192.0.2.16\r\nt=0 0\r\n\
         m=audio 6000 RTP/SAVP 0\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n\
         m=audio 6002 RTP/AVP 0\r\n",
        ("192.0.2.16:6002", "192.0.2.16:6003", &[(Pcmu, 0)], None, SendRecv, None),
    ),
    (
        "several c= in a stream, ports and time to live with counts",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.17\r\ns=-\r\nt=0 0\r\nm=audio 6000/2 RTP/AVP 0\r\n\
         c=IN IP4 192.0.2.18/127\r\n\
         c=IN IP4 192.0.2.19/127\r\na=rtcp:6009 IN IP4 192.0.2.20\r\n",
        ("192.0.2.18:6000", "192.0.2.20:6009", &[(Pcmu, 0)], None, SendRecv, None),
    ),
    (
        "no c= at all, unknown lines, repeated formats, lower-case profile",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.21\r\ns=\r\nq=what\r\ngarbage\r\nt=0 0\r\n\
         r=99999999999999999999d 1 0\r\n\
         m=AUDIO 6000 rtp/avp 0 0 8 300\r\ni=title\r\nk=clear:x\r\na=\r\na=rtpmap\r\na=rtpmap:8\r\n\
         a=ptime:20.0\r\n",
        ("192.0.2.21:6000", "192.0.2.21:6001", &[(Pcmu, 0), (Pcma, 8)], None, SendRecv, Some(20)),
    ),
    (
        "a stream taken out of use before the one in use",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.22\r\ns=-\r\nc=IN IP4 192.0.2.22\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n\
         m=audio 65535 RTP/AVP 0\r\n",
        ("192.0.2.22:65535", "192.0.2.22:65535", &[(Pcmu, 0)], None, SendRecv, None),
    ),
];

const UNUSABLE: &[(&str, &str, u16, &str)] = &[
    ("nothing offered", "v=0\r\ns=-\r\n", 304, "no audio stream in the session description"),
    ("video alone", "v=0\r\nm=video 4000 RTP/AVP 31\r\n", 304, "no audio stream in the session description"),
    ("declined", "v=0\r\nm=audio 0 RTP/AVP\r\n", 304, "every audio stream has port 0"),
    (
        "SRTP alone",
        "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 0 8\r\n",
        302,
        "audio only by RTP/SAVP, which is not supported; offer RTP/AVP",
    ),
    (
        "WebRTC",
        "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=rtpmap:111 opus/48000/2\r\n",
        302,
        "audio only by UDP/TLS/RTP/SAVPF, which is not supported; offer RTP/AVP",
    ),
    ("TCP", "v=0\r\nm=audio 9 TCP/RTP/AVP 0\r\n", 302, "audio only by TCP/RTP/AVP; offer RTP/AVP"),
    (
        "other codecs",
        "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 18 96 97 101\r\na=rtpmap:96 opus/48000/2\r\n\
         a=rtpmap:101 telephone-event/8000\r\n",
        305,
        "no codec in common: offered G729 opus 97 telephone-event, supported PCMU PCMA",
    ),
];

const RFC_3264_OFFER: &str = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.3\r\ns=\r\n\
                              c=IN IP4 192.0.2.3\r\n\
    t=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 51372 RTP/AVP 31\r\n\
    a=rtpmap:31 H261/90000\r\n\
    m=video 53000 RTP/AVP 32\r\na=rtpmap:32 MPV/90000\r\n";

//! What holds for every SIP message, valid or not: nothing panics or hangs, nothing changes on its way
//! through, nothing from outside starts a line, and the framer of streams agrees with the parser.
//!
//! Mutations are seeded, so that a failure names the seed that brings it back.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use trunkline::sip::build::{Draft, RequestBuilder, ResponseBuilder, ack_for_failure, cancel};
use trunkline::sip::flow::Transport;
use trunkline::sip::framing::{Frame, Framer, FramingError};
use trunkline::sip::headers::{Name, NameAddr, Via};
use trunkline::sip::message::{LengthError, Limits, Message, Method, ParseError};
use trunkline::sip::uri::Uri;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_read_back_and_built_again_alike(request in a_request()) {
        let bytes = request.draft().with_via(Transport::Udp, "bridge.example:5060", "z9hG4bK0100");
        let message = Message::parse(bytes.clone(), &Limits::default()).unwrap();

        prop_assert_eq!(message.method().unwrap().as_str(), request.method.as_str());
        prop_assert_eq!(message.body(), &request.body[..]);
        let read = message.headers().map(|it| (it.raw_name.to_vec(), it.value.into_owned()));
        let read: Vec<_> = read.collect();
        let written = request.headers.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone()));
        prop_assert_eq!(&read[1..=request.headers.len()], written.collect::<Vec<_>>());
        prop_assert_eq!(rebuild(&message), bytes);
    }

    #[test]
    fn nothing_from_outside_starts_a_line(
        method in vec(any::<u8>(), 1..9),
        uri in ".{0,20}",
        name in vec(any::<u8>(), 0..9),
        value in vec(any::<u8>(), 0..40),
        text in "[\r\n\0 -~]{0,40}",
    ) {
        let builder = RequestBuilder::new(Method::Other(&method), &uri)
            .header_raw(&name, &value)
            .header_raw(b"X-Note", &value)
            .header(Name::Subject, &text);
        let names = ["Via", "Subject", "X-Note", "Content-Type", "Content-Length"].map(str::as_bytes);
        let bytes = builder.body(&text, b"").with_via(Transport::Tcp, "h.example", "z9hG4bKx");

        let lines = bytes.split(|&byte| byte == b'\n').count();
        let head = bytes.split(|&byte| byte == b'\n').skip(1);
        let ours = head.filter(|line| names.iter().any(|known| line.starts_with(known))).count();
        prop_assert!(ours >= names.len() && lines <= names.len() + 4);
        prop_assert!(bytes.ends_with(b"\r\nContent-Length: 0\r\n\r\n"));
        prop_assert_eq!(bytes.iter().filter(|&&byte| byte == b'\r').count(), lines - 1);
        prop_assert!(!bytes.contains(&0));
    }

    #[test]
    fn a_uri_that_can_be_read_is_written_so_that_it_reads_the_same(text in "(sips?|tel):[!-~é]{0,40}") {
        if let Ok(uri) = Uri::parse(text.as_bytes()) {
            let written = uri.to_string();
            let again = Uri::parse(written.as_bytes()).unwrap();
            prop_assert_eq!(again.to_string(), written);
            prop_assert_eq!((&again.user, &again.host, again.port), (&uri.user, &uri.host, uri.port));
            prop_assert!(uri.equivalent(&uri) && again.equivalent(&again));
        }
    }

    #[test]
    fn any_user_goes_through_a_uri(user in "\\PC{1,20}|[\0-\u{7f}]{1,20}", param in ".{0,12}") {
        let host = Uri::parse(b"sip:h.example").unwrap().host;
        let uri = Uri::sip(Some(&user), host, Some(5070)).with_param("x", Some(&param));

        let read = Uri::parse(uri.to_string().as_bytes()).unwrap();

        prop_assert_eq!(read.user.as_deref(), Some(user.as_str()));
        prop_assert_eq!((&read.host, read.port, read.params.len()), (&uri.host, uri.port, 1));
    }

    #[test]
    fn any_display_name_and_parameter_go_through_an_address(display in "\\PC{1,30}", param in "[ -~]{0,20}") {
        let uri = Uri::parse(b"sip:a@h.example;lr").unwrap();
        let address = NameAddr { display: Some(display), ..NameAddr::new(uri) }.with_param("x", Some(&param));

        prop_assert_eq!(NameAddr::parse(address.to_string().as_bytes()), Ok(address));
    }

    #[test]
    fn any_chunking_of_a_stream_gives_the_same_frames(
        pieces in vec(a_stream_piece(), 1..8),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let stream = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();

        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);

        prop_assert_eq!(frames(chunks), frames(std::iter::once(&stream[..])));
    }
}

#[test]
fn no_mutation_makes_anything_panic_hang_or_leave_malformed() {
    let (mut accepted, mut salvaged, mut refused) = (0, 0, 0);

    for seed in 0..MUTATIONS {
        let bytes = mutated(seed);
        match Message::parse(bytes, &Limits::default()) {
            Ok(message) => {
                accepted += 1;
                use_everything(&message);
            }
            Err(failure) => match failure.salvage {
                Some(message) => {
                    salvaged += 1;
                    use_everything(&message);
                }
                None => refused += 1,
            },
        }
    }

    assert!(accepted > 1_000 && salvaged > 1_000 && refused > 1_000, "{accepted} {salvaged} {refused}");
}

#[test]
fn the_framer_and_the_parser_agree_where_a_message_ends() {
    let (mut framed, mut failed) = (0, 0);

    for seed in 0..MUTATIONS {
        let stream = mutated(seed);
        let (taken, error) = frames(std::iter::once(&stream[..]));
        for frame in taken {
            let Frame::Message(bytes) = frame else { continue };
            framed += 1;
            match Message::parse(bytes.clone(), &Limits::default()) {
                Ok(message) => assert_eq!(message.raw(), &bytes, "seed {seed}"),
                Err(failure) => assert!(!is_about_the_end(&failure.error), "seed {seed}: {failure:?}"),
            }
        }
        failed += usize::from(error.is_some());
    }

    assert!(framed > 1_000 && failed > 1_000, "{framed} {failed}");
}

fn is_about_the_end(error: &ParseError) -> bool {
    match error {
        ParseError::NoEmptyLine
        | ParseError::BodyTooShort { .. }
        | ParseError::StrayLineEnd { .. }
        | ParseError::TooLarge { .. }
        | ParseError::LineTooLong { .. }
        | ParseError::NoStartLine
        | ParseError::ContentLength(
            LengthError::NotANumber | LengthError::Overflow | LengthError::Conflict,
        ) => true,
        ParseError::RequestLine(_)
        | ParseError::StatusLine(_)
        | ParseError::NotAHeader { .. }
        | ParseError::TooManyHeaders { .. } => false,
    }
}

/// Calls every getter, and builds all that can be built from the message.
fn use_everything(message: &Message) {
    let _ = (message.validate(), message.is_request(), message.status(), message.reason().len());
    let _ = (message.top_branch(), message.from_tag(), message.to_tag(), message.call_id().is_ok());
    let _ = (message.cseq().is_ok(), message.max_forwards(), message.expires(), message.retry_after());
    let _ = (message.content_type(), message.body(), message.head(), message.method().map(|it| it.label()));
    let _ = (message.record_routes(), message.contact(), message.has_token(Name::Require, "100rel"));
    let _ = (message.value_named("x-note"), message.vias().filter_map(Result::ok).count());
    let _ = rsip::SipMessage::try_from(message);
    for header in message.headers() {
        let (_, full_name) = (message.value(header.name), header.full_name());
        assert!(!full_name.is_empty());
        assert!(!header.value.contains(&b'\r') && !header.value.contains(&b'\n'));
        assert!(message.elements(header.name).all(|element| !element.is_empty()));
        let _ = Via::parse(&header.value);
        if let Ok(address) = NameAddr::parse(&header.value) {
            NameAddr::parse(address.to_string().as_bytes()).expect("an address that we read is written well");
        }
    }
    if let (Ok(from), Ok(to)) = (message.from(), message.to()) {
        let _ = from.uri.equivalent(&to.uri);
    }
    let source = "192.0.2.1:5060".parse().unwrap();
    let mut built = vec![ResponseBuilder::new(message, 200, "", Some("ours"), source).no_body()];
    if message.is_request() && message.validate().is_ok() {
        built.extend([ack_for_failure(message, message), cancel(message), rebuild(message)]);
    }
    for bytes in built {
        let again = Message::parse(bytes.clone(), &Limits::default()).expect("what we build can be read");
        assert_eq!(again.raw(), &bytes);
        let (taken, error) = frames(std::iter::once(&bytes[..]));
        assert_eq!((taken, error), (vec![Frame::Message(bytes)], None));
    }
}

/// The same request from its parts.
fn rebuild(message: &Message) -> Bytes {
    let uri = String::from_utf8_lossy(message.request_uri()).into_owned();
    let mut builder = RequestBuilder::new(message.method().unwrap_or(Method::Options), &uri);
    for header in message.headers() {
        builder = builder.header_raw(header.raw_name, &header.value);
    }
    let draft = match message.value(Name::ContentType) {
        Some(content_type) => builder.body(&String::from_utf8_lossy(&content_type), &message.body()),
        None => builder.no_body(),
    };
    draft.with_via(Transport::Udp, "bridge.example:5060", "z9hG4bK0100")
}

fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FramingError>) {
    let (mut framer, mut buffer, mut frames) = (Framer::default(), BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match framer.next(&mut buffer, &Limits::default()) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

#[derive(Debug, Clone)]
struct Request {
    method: String,
    uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn draft(&self) -> Draft {
        let mut builder = RequestBuilder::new(Method::parse(self.method.as_bytes()), &self.uri);
        for (name, value) in &self.headers {
            builder = builder.header_raw(name.as_bytes(), value);
        }
        builder.body("application/octet-stream", &self.body)
    }
}

fn a_request() -> impl Strategy<Value = Request> {
    let value = vec(prop_oneof![Just(b' '), Just(b','), b'!'..=b'~', 0x80..=0xff_u8], 0..40)
        .prop_map(|value| value.trim_ascii().to_vec());
    let header = ("X-[A-Za-z0-9.!%*_+`'~-]{1,12}|Subject|Route|User-Agent", value);
    let method = "[A-Z]{1,10}|[A-Za-z0-9.!%*_+`'~-]{1,12}";
    (method, "sip:[!#-;=?-~]{1,30}", vec(header, 0..12), vec(any::<u8>(), 0..60))
        .prop_map(|(method, uri, headers, body)| Request { method, uri, headers, body })
}

fn a_stream_piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => a_request().prop_map(|it| it.draft().with_via(Transport::Tcp, "h.example", "z9hG4bKx").to_vec()),
        2 => Just(b"\r\n\r\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => (0..MUTATIONS).prop_map(|seed| mutated(seed).to_vec()),
    ]
}

/// A message of the corpus with a few changes, all decided by `seed`.
fn mutated(seed: u64) -> Bytes {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = CORPUS[dice.below(CORPUS.len())].replace('\n', "\r\n").into_bytes();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(7) {
            0 => bytes[at] = u8::try_from(dice.below(256)).unwrap_or_default(),
            1 => bytes[at] ^= 1 << dice.below(8),
            2 => drop(bytes.drain(at..(at + dice.below(20)).min(bytes.len()))),
            3 => {
                let end = (at + dice.below(60)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
        if bytes.is_empty() {
            bytes.push(b' ');
        }
    }
    bytes.into()
}

/// xorshift: the same numbers everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % end
    }
}

const MUTATIONS: u64 = 20_000;

const PIECES: [&[u8]; 22] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"@",
    b"%",
    b"%zz",
    b"\xff\xfe",
    b"[::1]",
    b"Content-Length: 4\r\n",
    b"l: -1\r\n",
    b"4294967296",
    b"v: SIP/2.0/UDP h;branch=z9hG4bK2, x\r\n",
];

const CORPUS: [&str; 4] = [
    "INVITE sip:+14155550100@bridge.example;transport=tcp SIP/2.0\n\
     Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKone\n\
     Via: SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKtwo;received=192.0.2.3, SIP/2.0/TLS h.example\n\
     Max-Forwards: 70\n\
     From: \"Doe, \\\"J\\\"\" <sip:j.doe@carrier.example;user=phone>;tag=a1\n\
     To: <sip:+14155550100@bridge.example>\n\
     Call-ID: 1@carrier.example\nCSeq: 7 INVITE\n\
     Contact: <sip:j@192.0.2.1:5060;ob>;+sip.instance=\"<urn:uuid:1>\"\n\
     Record-Route: <sip:p1.example;lr>,<sip:p2.example;lr>\nSupported: timer, 100rel,\n replaces\n\
     X-Note: one\n two\n\
     Content-Type: application/sdp\nContent-Length: 14\n\nv=0\no=- 1 1\n",
    "SIP/2.0 200 OK\nv: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK01;received=192.0.2.8;rport=5\n\
     f: sip:a@h.example;tag=1\n\
     t: \"B\" <sip:b%40c@h.example>;tag=2\ni: x\nCSeq: 1 INVITE\nm: <sip:[2001:db8::9]:5062;transport=tcp>\n\
     Warning: 399 h.example \"a, b\"\nl: 4\n\nbody",
    "BYE tel:+1-415-555-0100;phone-context=+1 SIP/2.0\nVia : SIP / 2.0 / UDP h.example : 5060 ; branch = \
     z9hG4bKx\n\
     From:\n <sip:a@h.example>\n ;tag=1\nTo: sip:b@h.example;tag=2\nCall-ID: y\nCSeq: 2\n BYE\nExpires: 60\n\
     Retry-After: 5 (soon)\nContent-Length: 0\n\n",
    "OPTIONS sip:h.example SIP/2.0\nVia: SIP/2.0/TCP h.example;branch=z9hG4bKz\n\
     From: A <sip:a@h.example>;tag=1\n\
     To: <sip:h.example>\nCall-ID: z\nCSeq: 3 OPTIONS\nl: 0\n\nOPTIONS sip:h.example SIP/2.0\nl: 0\n\n",
];

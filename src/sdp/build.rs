//! Every session description we send (RFC 8866), on sdp-rs; the last one of a leg is kept byte for byte.
//!
//! The version in o= may grow only when the description changes, and must not grow when it does not
//! (RFC 3264 §8): a peer takes an unchanged version for "nothing to do". So a description is built,
//! compared, and numbered then.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sdp_rs::lines::attribute::{Attribute, Fmtp, Rtpmap};
use sdp_rs::lines::common::{Addrtype, Nettype};
use sdp_rs::lines::media::{Media, MediaType, ProtoType};
use sdp_rs::lines::{Active, Connection, Origin, SessionName, Version};
use sdp_rs::{MediaDescription, SessionDescription, Time};

use super::codec::{CLOCK_RATE, Payload, TELEPHONE_EVENT};
use super::crypto::Crypto;
use super::session::{Direction, MediaLine, Session};

/// Our side of one leg: constant id, version that only grows when the description changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `sess-id` of o=.
    pub id: u64,
    /// `sess-version` of o=, of the last description.
    pub version: u64,
    /// Where we receive RTP on this leg; RTCP one port above. May be changed between descriptions.
    pub rtp: SocketAddr,
    /// The keys we send under: those offered, or the one that was agreed on; none for plain RTP.
    pub crypto: Vec<Crypto>,
    /// RTCP comes and goes by the RTP port, as the peer offered (RFC 5761 §5.1.1); we never offer it.
    rtcp_mux: bool,
    /// The m-lines agreed on so far, in order: there never get fewer of them (RFC 3264 §8).
    lines: Vec<Line>,
    last: Option<Bytes>,
}

/// What stands in the place of one m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Our one audio stream, by this protocol.
    Audio(String),
    /// A stream of the peer's that we do not take.
    Refused(MediaLine),
}

impl Local {
    /// A side that said nothing yet. Of `id` 62 bits are used: some peers read o= as signed 64-bit numbers
    /// (RFC 3264 §5 permits no more).
    #[must_use]
    pub fn new(id: u64, rtp: SocketAddr) -> Self {
        let lines = vec![Line::Audio("RTP/AVP".to_owned())];
        Self { id: id >> 2, version: 1, rtp, crypto: Vec::new(), rtcp_mux: false, lines, last: None }
    }

    /// One m=audio with `codecs` in order, telephone-event under `dtmf`, ptime 20, sendrecv; over SRTP if
    /// there are keys. Streams that were refused before stay in their places.
    pub fn offer(&mut self, codecs: &[Payload], dtmf: Option<u8>) -> Bytes {
        self.rtcp_mux = false;
        let is_secure = !self.crypto.is_empty();
        for line in &mut self.lines {
            if let Line::Audio(proto) = line
                && proto.contains("SAVP") != is_secure
            {
                *proto = if is_secure { "RTP/SAVP" } else { "RTP/AVP" }.to_owned();
            }
        }
        self.describe(self.rtp.port(), codecs, dtmf, Direction::SendRecv)
    }

    /// Answers `offer`: its audio line with exactly `codec` (and `dtmf`) in `direction` from our view, every
    /// other m-line with port 0 (RFC 3264 §6). One that has no audio to use gets port 0 everywhere, and its
    /// first audio line is where we offer audio again.
    pub fn answer(
        &mut self,
        offer: &Session,
        codec: Payload,
        dtmf: Option<u8>,
        direction: Direction,
    ) -> Bytes {
        let used = offer.audio.as_ref().map(|(index, _)| *index);
        self.rtcp_mux = offer.audio.as_ref().is_some_and(|(_, audio)| audio.rtcp_mux);
        let ours = used.or_else(|| offer.lines.iter().position(|line| line.media == "audio"));
        let line = |(index, line): (usize, &MediaLine)| match ours == Some(index) {
            true => Line::Audio(line.proto.clone()),
            false => Line::Refused(line.clone()),
        };
        self.lines = offer.lines.iter().enumerate().map(line).collect();
        let port = if used.is_some() { self.rtp.port() } else { 0 };
        self.describe(port, &[codec], dtmf, direction)
    }

    /// The last description sent, byte for byte (for a repeated 18x or 200, or a session refresh).
    #[must_use]
    pub fn last(&self) -> Option<Bytes> {
        self.last.clone()
    }

    fn describe(&mut self, port: u16, codecs: &[Payload], dtmf: Option<u8>, direction: Direction) -> Bytes {
        let streams = self.lines.iter().map(|line| match line {
            Line::Audio(proto) => audio((port, proto), codecs, dtmf, direction, self.extras()),
            Line::Refused(line) => refused(line),
        });
        let mut description = self.session(streams.collect());
        let text = description.to_string();
        let text = match &self.last {
            Some(last) if *last == text => return last.clone(),
            Some(_) => {
                self.version += 1;
                description.origin.sess_version = self.version.to_string();
                description.to_string()
            }
            None => text,
        };
        let text = Bytes::from(text);
        self.last = Some(text.clone());
        text
    }

    /// What stands in an audio line beside codecs and direction.
    fn extras(&self) -> impl Iterator<Item = Attribute> {
        let keys = self.crypto.iter().map(|line| ("crypto", Some(line.reveal())));
        let mux = self.rtcp_mux.then_some(("rtcp-mux", None));
        keys.chain(mux).map(|(name, value)| Attribute::Other(name.to_owned(), value))
    }

    fn session(&self, media_descriptions: Vec<MediaDescription>) -> SessionDescription {
        let address = self.rtp.ip();
        let addrtype = match address {
            IpAddr::V4(_) => Addrtype::Ip4,
            IpAddr::V6(_) => Addrtype::Ip6,
        };
        let unbounded = Time { active: Active { start: 0, stop: 0 }, repeat: Vec::new(), zone: None };
        SessionDescription {
            version: Version::V0,
            origin: Origin {
                username: "-".to_owned(),
                sess_id: self.id.to_string(),
                sess_version: self.version.to_string(),
                nettype: Nettype::In,
                addrtype: addrtype.clone(),
                unicast_address: address,
            },
            session_name: SessionName::new("-".to_owned()),
            session_info: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: Some(Connection {
                nettype: Nettype::In,
                addrtype,
                connection_address: address.into(),
            }),
            bandwidths: Vec::new(),
            times: vec![unbounded].try_into().expect("the list has one time"),
            key: None,
            attributes: Vec::new(),
            media_descriptions,
        }
    }
}

fn audio(
    (port, proto): (u16, &str),
    codecs: &[Payload],
    dtmf: Option<u8>,
    direction: Direction,
    extras: impl Iterator<Item = Attribute>,
) -> MediaDescription {
    let formats = codecs.iter().map(|payload| payload.payload_type).chain(dtmf);
    let fmt = formats.map(|format| format.to_string()).collect::<Vec<_>>().join(" ");
    let mut attributes: Vec<_> =
        codecs.iter().map(|payload| rtpmap(payload.payload_type, payload.codec.name())).collect();
    if let Some(dtmf) = dtmf {
        attributes.push(rtpmap(dtmf, TELEPHONE_EVENT));
        let events = Fmtp { fmt: dtmf.to_string(), params: DTMF_EVENTS.to_owned() };
        attributes.push(Attribute::Other("fmtp".to_owned(), Some(events.to_string())));
    }
    attributes.extend(extras);
    attributes.push(Attribute::Ptime(PTIME_MS));
    attributes.push(match direction {
        Direction::SendRecv => Attribute::Sendrecv,
        Direction::SendOnly => Attribute::Sendonly,
        Direction::RecvOnly => Attribute::Recvonly,
        Direction::Inactive => Attribute::Inactive,
    });
    stream(MediaType::Audio, port, proto, fmt, attributes)
}

/// The line of a stream that we do not take; it must list a format though none is used.
fn refused(line: &MediaLine) -> MediaDescription {
    let format = line.formats.first().map_or("0", String::as_str);
    stream(MediaType::from(line.media.as_str()), 0, &line.proto, format.to_owned(), Vec::new())
}

fn stream(
    media: MediaType,
    port: u16,
    proto: &str,
    fmt: String,
    attributes: Vec<Attribute>,
) -> MediaDescription {
    let media = Media { media, port, num_of_ports: None, proto: ProtoType::from(proto), fmt };
    MediaDescription {
        media,
        info: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

fn rtpmap(payload_type: u8, encoding_name: &str) -> Attribute {
    Attribute::Rtpmap(Rtpmap {
        payload_type: payload_type.into(),
        encoding_name: encoding_name.to_owned(),
        clock_rate: CLOCK_RATE.into(),
        encoding_params: None,
    })
}

/// Milliseconds of audio per packet (RFC 8866 §6.4).
const PTIME_MS: f32 = 20.0;

/// The digits, star, pound, A to D and flash (RFC 4733 §3.2).
const DTMF_EVENTS: &str = "0-16";

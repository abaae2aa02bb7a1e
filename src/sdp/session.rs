//! Reading a peer's session description (RFC 8866, RFC 3605), tolerant of what peers really write.
//!
//! Two things are read in a way a newcomer would not expect. A `c=` that holds a name is not looked up but
//! read as the unspecified address, so that media waits for the peer's first packet. And a `c=` of
//! `0.0.0.0`, `::` or under `.invalid` is a hold (RFC 3264 §8.4), so it takes receiving out of
//! [`Audio::direction`], whatever `a=` says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec::{Codec, Encoding, Payload};
use super::crypto::{Crypto, Policy};

/// From the view of whoever wrote the SDP (RFC 3264 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both ways; what no attribute means.
    SendRecv,
    /// The writer only sends: we are on hold.
    SendOnly,
    /// The writer only listens.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the writer sends media.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer wants media.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same without receiving.
    fn deaf(self) -> Self {
        if self.sends() { Self::SendOnly } else { Self::Inactive }
    }
}

/// The audio stream of a peer that we use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audio {
    /// Where it wants RTP. `0.0.0.0` or `::` when on hold the old way (RFC 2543), or when `c=` names a host.
    pub rtp: SocketAddr,
    /// Where it wants RTCP: `a=rtcp` (RFC 3605), else the port above RTP's.
    pub rtcp: SocketAddr,
    /// It could take RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// G.711 codecs in its order (by `a=rtpmap` or static type), under its payload types.
    pub codecs: Vec<Payload>,
    /// Payload type of `telephone-event/8000`.
    pub dtmf: Option<u8>,
    /// From its view; never receiving while on hold the old way.
    pub direction: Direction,
    /// Milliseconds of audio per packet that it asks for.
    pub ptime: Option<u32>,
    /// The most milliseconds of audio per packet that it takes.
    pub maxptime: Option<u32>,
    /// The `a=crypto` lines that can be used, in its order; of RTP/SAVP, and never empty there.
    pub crypto: Vec<Crypto>,
}

/// One m= line, to be answered in its place (RFC 3264 §6). Every text consists of token characters only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaLine {
    /// `audio`, `video`, `image` …
    pub media: String,
    /// 0 when refused or taken out of use.
    pub port: u16,
    /// `RTP/AVP`, `udptl` …
    pub proto: String,
    /// Payload types, or what the protocol has in their place.
    pub formats: Vec<String>,
    /// What the formats of an audio line are, for messages to people: `G729`, `opus`;
    /// the bare format if unknown.
    pub encodings: Vec<String>,
}

/// A whole description, reduced to what a call needs of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// `sess-id` of o=; 0 if it is not a number, the largest `u64` if it is greater (RFC 8866 §5.2).
    pub id: u64,
    /// `sess-version` of o=, read like the id: unchanged means that nothing in the description changed.
    pub version: u64,
    /// Every m= line in order.
    pub lines: Vec<MediaLine>,
    /// Which of `lines` is the audio used, and what it says: the first with a port and a usable codec, over
    /// RTP/AVP, RTP/AVPF, or with a usable key RTP/SAVP or RTP/SAVPF, as the policy has it. `None` is
    /// explained by [`negotiate::offered`](super::negotiate::offered).
    pub audio: Option<(usize, Audio)>,
    /// What it was read under.
    pub policy: Policy,
}

/// Why a body cannot be read; Display is fit for a Warning text (RFC 3261 §20.43).
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum SdpError {
    /// Nothing but white space.
    #[error("the body is empty where a session description is needed")]
    Empty,
    /// Longer than any real description.
    #[error("the session description has {bytes} bytes, at most {MAX_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Something else under the content type of SDP.
    #[error("the body is no session description: its first line is not v=0")]
    NotSdp,
    /// An m= line without media, port and protocol, or with characters outside RFC 8866's tokens.
    #[error("line {line} of the session description is no valid m= line")]
    MediaLine {
        /// Counted from 1, empty lines left out.
        line: usize,
    },
    /// More than a peer with good intentions writes.
    #[error("the session description has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much is read.
        limit: usize,
    },
}

impl Session {
    /// Reads a body of type `application/sdp` from a peer whose media is never encrypted.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse_under`].
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        Self::parse_under(body, Policy::Off)
    }

    /// Reads a body of type `application/sdp` from a peer whose media is encrypted as `policy` has it.
    ///
    /// Unknown lines and attributes are passed over, as RFC 8866 §5 wants; so are CR and LF in any
    /// combination.
    ///
    /// # Errors
    ///
    /// When it is no description at all, an m= line cannot be understood, or a bound is exceeded. A readable
    /// description without usable audio is no error here.
    pub fn parse_under(body: &[u8], policy: Policy) -> Result<Self, SdpError> {
        if body.len() > MAX_BYTES {
            return Err(SdpError::TooLong { bytes: body.len() });
        }
        let text = String::from_utf8_lossy(body);
        let mut lines =
            text.split(['\r', '\n']).map(str::trim_end).filter(|line| !line.is_empty()).enumerate();
        match lines.next() {
            None => return Err(SdpError::Empty),
            Some((_, first)) if first.trim_start_matches('\u{feff}').trim() != "v=0" => {
                return Err(SdpError::NotSdp);
            }
            Some(_) => {}
        }

        let mut origin = Origin::default();
        let mut session = Level::default();
        let mut sections: Vec<Section<'_>> = Vec::new();
        for (index, line) in lines {
            if index >= MAX_LINES {
                return Err(SdpError::TooMany { what: "lines", limit: MAX_LINES });
            }
            let Some((kind, value)) = line.split_once('=') else { continue };
            if kind == "m" {
                if sections.len() == MAX_MEDIA {
                    return Err(SdpError::TooMany { what: "m= lines", limit: MAX_MEDIA });
                }
                sections.push(Section::parse(value, index + 1)?);
                continue;
            }
            match (kind, sections.last_mut()) {
                ("o", None) => origin = Origin::parse(value),
                ("c", None) => session.connection = session.connection.or_else(|| Connection::parse(value)),
                ("c", Some(section)) => {
                    section.level.connection = section.level.connection.or_else(|| Connection::parse(value));
                }
                ("a", None) => session.attribute(value.trim_start()),
                ("a", Some(section)) => section.attribute(value.trim_start()),
                _ => {}
            }
        }

        let audio = |is_usable: fn(&MediaLine) -> bool| {
            let sections = sections.iter().enumerate().filter(|(_, section)| is_usable(&section.line));
            sections.filter_map(|(index, section)| Some((index, section.audio(&session, &origin)?))).next()
        };
        let audio = match policy {
            Policy::Off => audio(MediaLine::is_plain_audio),
            Policy::Offer => audio(MediaLine::is_secure_audio).or_else(|| audio(MediaLine::is_plain_audio)),
            Policy::Require => audio(MediaLine::is_secure_audio),
        };
        let lines = sections.into_iter().map(Section::into_line).collect();
        Ok(Self { id: origin.id, version: origin.version, lines, audio, policy })
    }
}

impl MediaLine {
    /// Audio over plain RTP.
    pub(super) fn is_plain_audio(&self) -> bool {
        self.is_audio_over(&["RTP/AVP", "RTP/AVPF"])
    }

    /// Audio over SRTP with keys in the description.
    pub(super) fn is_secure_audio(&self) -> bool {
        self.is_audio_over(&["RTP/SAVP", "RTP/SAVPF"])
    }

    fn is_audio_over(&self, protos: &[&str]) -> bool {
        self.media == "audio" && protos.iter().any(|proto| self.proto.eq_ignore_ascii_case(proto))
    }
}

/// What stands at session level, and again at media level where it takes precedence.
#[derive(Default)]
struct Level {
    connection: Option<Connection>,
    direction: Option<Direction>,
    ptime: Option<u32>,
    maxptime: Option<u32>,
}

impl Level {
    fn attribute(&mut self, text: &str) {
        match text.split_once(':').unwrap_or((text, "")) {
            ("sendrecv", _) => self.direction = Some(Direction::SendRecv),
            ("sendonly", _) => self.direction = Some(Direction::SendOnly),
            ("recvonly", _) => self.direction = Some(Direction::RecvOnly),
            ("inactive", _) => self.direction = Some(Direction::Inactive),
            ("ptime", value) => self.ptime = milliseconds(value),
            ("maxptime", value) => self.maxptime = milliseconds(value),
            _ => {}
        }
    }
}

/// One m= line and what follows it.
struct Section<'a> {
    line: MediaLine,
    level: Level,
    /// By payload type.
    rtpmaps: [Option<&'a str>; 128],
    rtcp: Option<(u16, Option<IpAddr>)>,
    rtcp_mux: bool,
    crypto: Vec<Crypto>,
}

impl<'a> Section<'a> {
    fn parse(value: &'a str, line: usize) -> Result<Self, SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(media), Some(port), Some(proto)) = (words.next(), words.next(), words.next()) else {
            return Err(SdpError::MediaLine { line });
        };
        let port = port.split('/').next().and_then(|port| port.parse().ok());
        let formats: Vec<String> = words.take(MAX_FORMATS + 1).map(str::to_owned).collect();
        if formats.len() > MAX_FORMATS {
            return Err(SdpError::TooMany { what: "formats on an m= line", limit: MAX_FORMATS });
        }
        let well_formed =
            is_token(media, "") && is_token(proto, "/") && formats.iter().all(|format| is_token(format, ""));
        match port {
            Some(port) if well_formed => Ok(Self {
                line: MediaLine {
                    media: media.to_ascii_lowercase(),
                    port,
                    proto: proto.to_owned(),
                    formats,
                    encodings: Vec::new(),
                },
                level: Level::default(),
                rtpmaps: [None; 128],
                rtcp: None,
                rtcp_mux: false,
                crypto: Vec::new(),
            }),
            _ => Err(SdpError::MediaLine { line }),
        }
    }

    fn attribute(&mut self, text: &'a str) {
        match text.split_once(':').unwrap_or((text, "")) {
            ("rtpmap", value) => self.rtpmap(value.trim()),
            ("rtcp", value) => self.rtcp = rtcp(value),
            ("rtcp-mux", _) => self.rtcp_mux = true,
            ("crypto", value) if self.crypto.len() < MAX_CRYPTO => self.crypto.extend(Crypto::parse(value)),
            _ => self.level.attribute(text),
        }
    }

    fn rtpmap(&mut self, value: &'a str) {
        let Some((payload_type, encoding)) = value.split_once([' ', '\t']) else { return };
        if let Some(slot) = payload_type.parse().ok().and_then(|index: usize| self.rtpmaps.get_mut(index)) {
            *slot = Some(encoding);
        }
    }

    /// The formats that are payload types, each once, with what they mean.
    fn payloads(&self) -> impl Iterator<Item = (u8, Encoding<'a>)> {
        let mut seen = [false; 128];
        self.line.formats.iter().filter_map(move |format| {
            let payload_type: u8 = format.parse().ok()?;
            let seen = seen.get_mut(usize::from(payload_type))?;
            let encoding = self.encoding(payload_type)?;
            (!std::mem::replace(seen, true)).then_some((payload_type, encoding))
        })
    }

    fn encoding(&self, payload_type: u8) -> Option<Encoding<'a>> {
        let mapped = self.rtpmaps.get(usize::from(payload_type)).copied().flatten();
        mapped.map(Encoding::parse).or_else(|| Encoding::of_static(payload_type))
    }

    fn audio(&self, session: &Level, origin: &Origin) -> Option<Audio> {
        let codecs: Vec<Payload> = self
            .payloads()
            .filter_map(|(payload_type, encoding)| {
                Some(Payload { codec: Codec::from_encoding(&encoding)?, payload_type })
            })
            .collect();
        let is_keyless = self.line.is_secure_audio() && self.crypto.is_empty();
        if self.line.port == 0 || codecs.is_empty() || is_keyless {
            return None;
        }

        let connection = self.level.connection.or(session.connection).unwrap_or(origin.connection);
        let direction = self.level.direction.or(session.direction).unwrap_or(Direction::SendRecv);
        let rtp = SocketAddr::new(connection.address, self.line.port);
        let (rtcp_port, rtcp_address) = self.rtcp.unwrap_or((rtp.port().saturating_add(1), None));
        Some(Audio {
            rtp,
            rtcp: SocketAddr::new(rtcp_address.unwrap_or(rtp.ip()), rtcp_port),
            rtcp_mux: self.rtcp_mux,
            codecs,
            dtmf: self
                .payloads()
                .find(|(_, encoding)| encoding.is_dtmf())
                .map(|(payload_type, _)| payload_type),
            direction: if connection.is_hold { direction.deaf() } else { direction },
            ptime: self.level.ptime.or(session.ptime),
            maxptime: self.level.maxptime.or(session.maxptime),
            crypto: if self.line.is_secure_audio() { self.crypto.clone() } else { Vec::new() },
        })
    }

    fn into_line(self) -> MediaLine {
        if self.line.media != "audio" {
            return self.line;
        }
        let name = |format: &String| {
            let known = format.parse().ok().and_then(|payload_type| self.encoding(payload_type));
            known.map_or_else(|| format.clone(), |encoding| encoding.name.to_owned())
        };
        let encodings = self.line.formats.iter().map(name).filter(|name| is_token(name, "")).collect();
        MediaLine { encodings, ..self.line }
    }
}

/// The o= line (RFC 8866 §5.2).
#[derive(Default)]
struct Origin {
    id: u64,
    version: u64,
    /// Where media goes when no c= says (which RFC 8866 §5.7 forbids, and peers do).
    connection: Connection,
}

impl Origin {
    /// The user name may hold spaces in the wild, so the fields are counted from the end.
    fn parse(value: &str) -> Self {
        let mut words = value.split_ascii_whitespace().rev();
        let connection = words.next().map(Connection::at).unwrap_or_default();
        let mut words = words.skip(2);
        let version = words.next().map_or(0, saturating_number);
        let id = words.next().map_or(0, saturating_number);
        Self { id, version, connection }
    }
}

/// The c= line (RFC 8866 §5.7).
#[derive(Clone, Copy)]
struct Connection {
    address: IpAddr,
    /// Nothing is to be sent (RFC 3264 §8.4).
    is_hold: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self { address: UNSPECIFIED, is_hold: false }
    }
}

impl Connection {
    /// The address type is not looked at: peers write IP4 before IPv6 addresses, and
    /// the address itself tells.
    fn parse(value: &str) -> Option<Self> {
        value.split_ascii_whitespace().nth(2).map(Self::at)
    }

    fn at(host: &str) -> Self {
        let host = host.split('/').next().unwrap_or(host);
        match host.parse::<IpAddr>() {
            Ok(address) => Self { address: address.to_canonical(), is_hold: address.is_unspecified() },
            Err(_) => Self { address: UNSPECIFIED, is_hold: is_invalid_domain(host) },
        }
    }
}

fn is_invalid_domain(host: &str) -> bool {
    let host = host.trim_end_matches('.').as_bytes();
    host.len() >= 8 && host[host.len() - 8..].eq_ignore_ascii_case(b".invalid")
}

/// Digits of any length; anything else is 0.
fn saturating_number(digits: &str) -> u64 {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().unwrap_or(u64::MAX) } else { 0 }
}

/// `20`, `20.0`; nothing for 0, so that nobody divides by it.
fn milliseconds(value: &str) -> Option<u32> {
    value.trim().split('.').next()?.parse().ok().filter(|&value| value > 0)
}

/// `53020` or `53020 IN IP4 192.0.2.1` (RFC 3605 §2.1).
fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|&port: &u16| port > 0)?;
    let address = words.nth(2).and_then(|address| address.parse().ok());
    Some((port, address.filter(|address: &IpAddr| !address.is_unspecified())))
}

/// A token of RFC 8866 §9, of bounded length, where `also` is allowed too.
fn is_token(text: &str, also: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]".contains(c) || also.contains(c);
    (1..=MAX_TOKEN).contains(&text.len()) && text.chars().all(allowed)
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Longest body read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Most lines read; a browser's offer with video has some 300.
const MAX_LINES: usize = 2_000;

/// Most m= lines read.
const MAX_MEDIA: usize = 32;

/// Most formats read per m= line; there are 128 payload types.
const MAX_FORMATS: usize = 128;

/// Most usable `a=crypto` lines kept per m= line; there are six names of suites.
const MAX_CRYPTO: usize = 8;

/// Longest media, protocol, format or encoding name, in bytes.
const MAX_TOKEN: usize = 64;

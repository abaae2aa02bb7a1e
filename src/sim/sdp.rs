//! The far ends' SDP (RFC 4566, RFC 3264): written as plain text, read by sdp-types.
//!
//! Carrier and Retell differ in what they offer and in how they choose; both answer with exactly one codec.

use std::net::SocketAddr;

use sdp_types::{Media, RtpMap, Session};

use crate::sim::g711::Law;

/// What the other side said about its audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    /// Where to send.
    pub(super) remote: SocketAddr,
    /// Encodings in the order of the m-line.
    pub(super) codecs: Vec<Codec>,
    /// Payload type of `telephone-event/8000`.
    pub(super) events: Option<u8>,
}

/// An encoding the far ends know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Offered and preferred by Retell; a call that agrees on it cannot be measured here.
    G722,
    /// G.711.
    G711(Law),
}

/// Why an SDP body could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SdpError {
    #[error("sdp-types could not read it: {0}")]
    Parse(#[from] sdp_types::ParserError),
    #[error("it has no audio stream")]
    NoAudio,
    #[error("its connection address is missing or unusable")]
    NoAddress,
    #[error("it has no codec in common with what was offered")]
    NoCodec,
    #[error("it answers with {0} codecs; one was expected")]
    SeveralCodecs(usize),
}

impl Codec {
    fn payload_type(self) -> u8 {
        match self {
            Self::G722 => 9,
            Self::G711(law) => law.payload_type(),
        }
    }

    fn rtpmap(self) -> String {
        let name = match self {
            Self::G722 => "G722",
            Self::G711(law) => law.name(),
        };
        format!("a=rtpmap:{} {name}/8000\r\n", self.payload_type())
    }
}

impl Audio {
    /// Reads an offer or an answer.
    pub(super) fn read(body: &[u8]) -> Result<Self, SdpError> {
        let session = Session::parse(body)?;
        let media = session
            .medias
            .iter()
            .find(|media| media.media == "audio" && media.port != 0)
            .ok_or(SdpError::NoAudio)?;
        let connection =
            media.connections.first().or(session.connection.as_ref()).ok_or(SdpError::NoAddress)?;
        let address = connection.try_address().map_err(|_| SdpError::NoAddress)?;
        Ok(Self {
            remote: SocketAddr::new(address.ip, media.port),
            codecs: media.fmt.split_whitespace().filter_map(|format| codec(media, format)).collect(),
            events: maps(media)
                .find(|map| map.encoding_name == "telephone-event")
                .map(|map| map.payload_type),
        })
    }

    /// The one codec of an answer.
    pub(super) fn answered(&self) -> Result<Codec, SdpError> {
        match self.codecs.as_slice() {
            [] => Err(SdpError::NoCodec),
            [codec] => Ok(*codec),
            several => Err(SdpError::SeveralCodecs(several.len())),
        }
    }

    /// The first of `preference` that was offered.
    pub(super) fn choose(&self, preference: &[Codec]) -> Result<Codec, SdpError> {
        preference.iter().copied().find(|codec| self.codecs.contains(codec)).ok_or(SdpError::NoCodec)
    }
}

/// An offer of `codecs`, or an answer with one, and telephone-event as payload type `events`.
pub(super) fn write(
    name: &str,
    id: u64,
    address: SocketAddr,
    codecs: &[Codec],
    events: Option<u8>,
) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let formats: String = codecs
        .iter()
        .map(|codec| codec.payload_type())
        .chain(events)
        .map(|payload_type| format!(" {payload_type}"))
        .collect();
    let maps: String = codecs.iter().map(|codec| codec.rtpmap()).collect();
    let events = events
        .map_or_else(String::new, |pt| format!("a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-16\r\n"));
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=- {id} {id} IN {family} {ip}\r\ns={name}\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP{formats}\r\n{maps}{events}a=ptime:20\r\na=sendrecv\r\n"
    )
}

fn codec(media: &Media, format: &str) -> Option<Codec> {
    let payload_type: u8 = format.parse().ok()?;
    let mapped = maps(media).find(|map| map.payload_type == payload_type);
    match mapped.map(|map| map.encoding_name.to_ascii_uppercase()).as_deref() {
        Some("PCMU") => Some(Codec::G711(Law::Mu)),
        Some("PCMA") => Some(Codec::G711(Law::A)),
        Some("G722") => Some(Codec::G722),
        Some(_) => None,
        None => [Codec::G722, Codec::G711(Law::Mu), Codec::G711(Law::A)]
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type),
    }
}

fn maps(media: &Media) -> impl Iterator<Item = RtpMap> {
    media.attributes_typed::<RtpMap>().filter_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 3] = [Codec::G722, Codec::G711(Law::Mu), Codec::G711(Law::A)];

    #[test]
    fn what_is_written_is_read_back() {
        let address: SocketAddr = "127.0.0.3:4000".parse().unwrap();

        let audio = Audio::read(write("-", u64::MAX, address, &ALL, Some(101)).as_bytes()).unwrap();

        assert_eq!(audio, Audio { remote: address, codecs: ALL.to_vec(), events: Some(101) });
    }

    #[test]
    fn static_payload_types_need_no_rtpmap() {
        let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
                    m=audio 4000 RTP/AVP 18 8\r\n";

        let audio = Audio::read(body.as_bytes()).unwrap();

        assert_eq!(audio.codecs, [Codec::G711(Law::A)]);
        assert_eq!(audio.events, None);
    }

    #[test]
    fn an_answer_with_two_codecs_is_refused() {
        let body = write("-", 1, "127.0.0.3:4000".parse().unwrap(), &ALL[1..], None);

        assert!(matches!(Audio::read(body.as_bytes()).unwrap().answered(), Err(SdpError::SeveralCodecs(2))));
    }

    #[test]
    fn the_choice_follows_the_chooser_not_the_offerer() {
        let body = write("-", 1, "127.0.0.2:4000".parse().unwrap(), &[ALL[2], ALL[1]], None);

        assert_eq!(Audio::read(body.as_bytes()).unwrap().choose(&ALL).unwrap(), Codec::G711(Law::Mu));
    }
}

//! The codecs trunkline relays and their payload types (RFC 3551 §6, RFC 4733).
//!
//! Both G.711 laws have static payload types, yet a peer may bind them to a dynamic one with `a=rtpmap`: a
//! [`Payload`] keeps the two apart, and the number is only good on the leg whose description gave it.

/// A G.711 law, 8 kHz, one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The payload type that needs no `a=rtpmap` (RFC 3551 table 4).
    #[must_use]
    pub fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name, also the `codec` of the call record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// This codec under its static payload type, as we offer it.
    #[must_use]
    pub fn offered(self) -> Payload {
        Payload { codec: self, payload_type: self.static_payload_type() }
    }

    /// The codec that `rtpmap` encoding stands for: name (in any case), clock rate, optional channels.
    pub(super) fn from_encoding(encoding: &Encoding<'_>) -> Option<Self> {
        [Self::Pcmu, Self::Pcma].into_iter().find(|codec| encoding.is_8khz(codec.name()))
    }
}

/// A codec under the payload type a session description gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload {
    /// What the payload is.
    pub codec: Codec,
    /// Its number on this leg, 0 to 127.
    pub payload_type: u8,
}

/// The value of an `a=rtpmap` behind the payload type: `PCMU/8000/1` (RFC 8866 §6.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Encoding<'a> {
    /// Compared without regard to case.
    pub(super) name: &'a str,
    /// Clock rate in Hz and channels, as written.
    rate: &'a str,
    channels: Option<&'a str>,
}

impl<'a> Encoding<'a> {
    /// Splits the value; a missing clock rate is left empty and matches nothing.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut parts = text.trim().splitn(3, '/');
        Self {
            name: parts.next().unwrap_or_default(),
            rate: parts.next().unwrap_or_default(),
            channels: parts.next(),
        }
    }

    /// What a static payload type means where no `a=rtpmap` says otherwise (RFC 3551 §6).
    pub(super) fn of_static(payload_type: u8) -> Option<Self> {
        let name = match payload_type {
            0 => "PCMU",
            3 => "GSM",
            4 => "G723",
            8 => "PCMA",
            9 => "G722",
            13 => "CN",
            15 => "G728",
            18 => "G729",
            _ => return None,
        };
        Some(Self { name, rate: "8000", channels: None })
    }

    /// Named telephone events at the clock rate of G.711.
    pub(super) fn is_dtmf(&self) -> bool {
        self.is_8khz(TELEPHONE_EVENT)
    }

    fn is_8khz(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            && self.rate == "8000"
            && matches!(self.channels, None | Some("1"))
    }
}

/// The encoding name of RFC 4733.
pub(super) const TELEPHONE_EVENT: &str = "telephone-event";

/// Clock rate of everything relayed, in Hz.
pub(super) const CLOCK_RATE: u16 = 8000;

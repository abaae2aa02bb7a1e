//! Reading a peer's session description (RFC 8866), tolerant of what peers really write: STUB.
use super::codec::Payload;
use std::net::SocketAddr;

/// From the view of whoever wrote the SDP (RFC 3264 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// The audio stream of a peer that we use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audio {
    /// Where it wants RTP; `0.0.0.0`/`::` when on hold the old way (RFC 2543).
    pub rtp: SocketAddr,
    /// `a=rtcp:` (RFC 3605), else port + 1.
    pub rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// G.711 codecs in its order (rtpmap or static types), under its payload types.
    pub codecs: Vec<Payload>,
    /// telephone-event/8000.
    pub dtmf: Option<u8>,
    pub direction: Direction,
    pub ptime: Option<u32>,
}
/// One m= line, to be answered in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaLine {
    pub media: String,
    pub port: u16,
    pub proto: String,
    pub formats: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// `sess-id` and `sess-version` of o= (u64, RFC 8866 §5.2).
    pub id: u64,
    pub version: u64,
    pub lines: Vec<MediaLine>,
    /// Which of `lines` is the audio used (first RTP/AVP or AVPF audio with port != 0 and a usable codec), and what it says.
    pub audio: Option<(usize, Audio)>,
}
/// What is wrong; Display is fit for a Warning text.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum SdpError {
    #[error("stub")]
    Stub,
}
impl Session {
    pub fn parse(_body: &[u8]) -> Result<Self, SdpError> {
        todo!()
    }
}

//! A dialog (RFC 3261 §12): STUB.
use super::build::RequestBuilder;
use super::headers::{HeaderError, NameAddr};
use super::message::{Message, Method};
use super::uri::Uri;

/// Both roles. Call-ID, tags, CSeqs, route set, remote target.
#[derive(Clone, Debug)]
pub struct Dialog {}

#[derive(Debug, PartialEq, Eq, Clone)]
pub enum CSeqOrder {
    Next,
    /** lower than the last: answer 500 */
    Old,
}

impl Dialog {
    /// UAS (§12.1.1): from the INVITE and the tag we put in To.
    pub fn uas(_invite: &Message, _local_tag: &str) -> Result<Self, HeaderError> {
        todo!()
    }
    /// UAC (§12.1.2): from our INVITE as sent and the 1xx/2xx with a To-tag.
    pub fn uac(_invite: &Message, _response: &Message) -> Result<Self, HeaderError> {
        todo!()
    }
    pub fn local_tag(&self) -> &str {
        todo!()
    }
    pub fn remote_tag(&self) -> &str {
        todo!()
    }
    pub fn call_id(&self) -> &str {
        todo!()
    }
    /// Contact of the peer.
    pub fn remote_target(&self) -> &Uri {
        todo!()
    }
    /// Local and remote URI with display name and tag as they stand in From/To of a request we send.
    pub fn local(&self) -> &NameAddr {
        todo!()
    }
    pub fn remote(&self) -> &NameAddr {
        todo!()
    }
    /// The URI whose host the next request is sent to: first Route, else remote target (strict routers included, §12.2.1.1).
    pub fn next_hop(&self) -> &Uri {
        todo!()
    }
    /// Whether `request` belongs to this dialog (Call-ID and both tags).
    pub fn matches(&self, _request: &Message) -> bool {
        todo!()
    }
    /// Checks and advances the remote CSeq of a request inside the dialog (not for ACK and CANCEL).
    pub fn on_request(&mut self, _request: &Message) -> Result<CSeqOrder, HeaderError> {
        todo!()
    }
    /// Target refresh (re-INVITE, UPDATE and their 2xx): takes the Contact over, if there is one.
    pub fn refresh_target(&mut self, _message: &Message) {
        todo!()
    }
    /// A 2xx confirms: the route set is recomputed (§13.2.2.4).
    pub fn confirm(&mut self, _response: &Message) {
        todo!()
    }
    /// A request inside the dialog: Request-URI, Route, From, To, Call-ID, CSeq (+1; ACK keeps the INVITE's: use `ack`), Max-Forwards 70 are written.
    pub fn request(&mut self, _method: Method<'_>) -> RequestBuilder {
        todo!()
    }
    /// ACK to a 2xx of the INVITE with `cseq`.
    pub fn ack(&self, _cseq: u32) -> RequestBuilder {
        todo!()
    }
}

/// The UAS core's 200 (RFC 3261 §13.3.1.4): repeated from T1 doubling to T2 until the ACK, given up after 64*T1. On streams too.
#[derive(Clone, Debug)]
pub struct AnswerRepeat {}
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum RepeatEvent {
    SendAgain,
    GiveUp,
}
impl AnswerRepeat {
    pub fn start(_timers: super::timers::Timers, _now: std::time::Instant) -> Self {
        todo!()
    }
    pub fn next_deadline(&self) -> std::time::Instant {
        todo!()
    }
    pub fn on_deadline(&mut self, _now: std::time::Instant) -> Option<RepeatEvent> {
        todo!()
    }
}

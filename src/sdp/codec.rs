//! The codecs trunkline relays and their payload types (RFC 3551 §6): STUB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
}
impl Codec {
    /// 0 or 8.
    pub fn static_payload_type(self) -> u8 {
        todo!()
    }
    /// `PCMU`: encoding name, also the `codec` of the call record.
    pub fn name(self) -> &'static str {
        todo!()
    }
}
/// A codec under the payload type a session description gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload {
    pub codec: Codec,
    pub payload_type: u8,
}

//! Methods (RFC 3261 §7.1 and the RFCs that added theirs).
//!
//! Case-sensitive: `invite` is an unknown method, not INVITE.

use std::borrow::Cow;

/// The method of a request: one we know by name, or any other token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "each variant is the method of that name")]
pub enum Method<'a> {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    /// A token of the sender's own.
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    /// Reads a token; that it is one, the caller has checked.
    #[must_use]
    pub fn parse(token: &'a [u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"NOTIFY" => Self::Notify,
            b"SUBSCRIBE" => Self::Subscribe,
            b"MESSAGE" => Self::Message,
            b"PUBLISH" => Self::Publish,
            other => Self::Other(other),
        }
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Other(token) => token,
            known => known.label().as_bytes(),
        }
    }

    /// As it stands on the wire, for logs and for writing it; a token is always ASCII.
    #[must_use]
    pub fn as_str(&self) -> Cow<'a, str> {
        match self {
            Self::Other(token) => String::from_utf8_lossy(token),
            known => Cow::Borrowed(known.label()),
        }
    }

    /// For metrics: a peer's own methods are all `other`, so that it can't invent labels.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(_) => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::parse(b"INVITE"), Method::Invite);
        assert_eq!(Method::parse(b"invite"), Method::Other(b"invite"));
        assert_eq!(Method::parse(b"invite").as_bytes(), b"invite");
    }

    #[test]
    fn unknown_methods_share_one_label() {
        assert_eq!(Method::parse(b"NEWMETHOD").label(), "other");
        assert_eq!(Method::parse(b"BYE").label(), "BYE");
    }
}

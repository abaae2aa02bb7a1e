//! Values of header rules: text with `{from}`, `{to}`, `{trunk}`, `{username}`, `{call_id}`
//! and `{header:Name}` in it.
//!
//! Anything else in braces is plain text here: the configuration's check is what refuses it. Values taken
//! from messages are bytes, because a peer's header need not be UTF-8.

use crate::id::CallId;
use crate::sip::headers::Name;
use crate::sip::message::Message;

/// A value, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    From,
    To,
    Trunk,
    Username,
    CallId,
    /// A header of the incoming INVITE.
    Header(String),
}

/// What the placeholders stand for in one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    /// The caller as sent.
    pub(super) from: &'a str,
    /// The dialled number as sent.
    pub(super) to: &'a str,
    /// The trunk's name.
    pub(super) trunk: &'a str,
    /// What we are called there; empty where there are no credentials.
    pub(super) username: &'a str,
    /// The call in records and logs.
    pub(super) call: CallId,
    /// The INVITE that began the call.
    pub(super) invite: &'a Message,
}

impl Template {
    /// Compiles `written`.
    pub(super) fn compile(written: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, behind)) = after.split_once('}') else { break };
            let Some(part) = Part::named(inside) else {
                parts.push(Part::Text(format!("{before}{{")));
                rest = after;
                continue;
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(part);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Self(parts)
    }

    /// The value for one call; a header that is absent is empty.
    pub(super) fn fill(&self, values: Values<'_>) -> Vec<u8> {
        let mut filled = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Part::From => filled.extend_from_slice(values.from.as_bytes()),
                Part::To => filled.extend_from_slice(values.to.as_bytes()),
                Part::Trunk => filled.extend_from_slice(values.trunk.as_bytes()),
                Part::Username => filled.extend_from_slice(values.username.as_bytes()),
                Part::CallId => filled.extend_from_slice(values.call.to_string().as_bytes()),
                Part::Header(name) => filled.extend_from_slice(&header(values.invite, name)),
            }
        }
        filled
    }
}

impl Part {
    fn named(inside: &str) -> Option<Self> {
        Some(match inside {
            "from" => Self::From,
            "to" => Self::To,
            "trunk" => Self::Trunk,
            "username" => Self::Username,
            "call_id" => Self::CallId,
            _ => Self::Header(inside.strip_prefix("header:")?.trim().to_owned()),
        })
    }
}

fn header(invite: &Message, name: &str) -> Vec<u8> {
    let value = match Name::parse(name.as_bytes()) {
        Name::Other => invite.value_named(name),
        known => invite.value(known),
    };
    value.unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_at_its_placeholders_and_other_braces_are_text() {
        let parts = |written| Template::compile(written).0;
        let text = |text: &str| Part::Text(text.to_owned());

        assert_eq!(parts("acct"), [text("acct")]);
        assert_eq!(parts("{from}->{to}"), [Part::From, text("->"), Part::To]);
        assert_eq!(parts("a {header:X-Foo}"), [text("a "), Part::Header("X-Foo".to_owned())]);
        assert_eq!(parts("{trunk}{call_id}"), [Part::Trunk, Part::CallId]);
        assert_eq!(parts("{no} {from} {"), [text("{"), text("no} "), Part::From, text(" {")]);
        assert_eq!(parts(""), []);
    }
}

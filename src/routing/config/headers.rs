//! `[headers]`: which headers pass from one leg to the other, and what rules add and take away.
//!
//! Headers that SIP itself needs are written by us alone, so naming one here is refused, in its compact form
//! too; a prefix never covers them, whatever it begins with.

use super::Config;
use super::numbers::unknown_peer;
use crate::config::reader::{KeyPath, Mistake, Reader, Review, Section, nearest};
use crate::routing::is_reserved;
use crate::sip::headers::lex;

/// `[headers]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadersConfig {
    /// Names, or prefixes that end in `*`, of headers that reach the other leg. Default
    /// `["X-*", "User-to-User", "Diversion", "History-Info", "Privacy"]`.
    pub pass: Vec<String>,
    /// `[[headers.rules]]`, applied in order. Default none.
    pub rules: Vec<RuleConfig>,
}

/// One `[[headers.rules]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    /// The peers that it concerns.
    pub toward: Toward,
    /// Names and values; values are templates: `{from}`, `{to}`, `{trunk}`, `{username}`, `{call_id}`,
    /// `{header:X-Foo}`.
    pub set: Vec<(String, String)>,
    /// Names, or prefixes that end in `*`.
    pub remove: Vec<String>,
}

/// `set_headers` and `remove_headers` of a trunk: a rule of its own, before all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnHeaders {
    /// Names and values, as in a rule. Default none.
    pub set: Vec<(String, String)>,
    /// Names, or prefixes that end in `*`. Default none.
    pub remove: Vec<String>,
}

/// `toward`: the peers that a rule concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toward {
    /// The one of this name.
    Peer(String),
    /// `"all trunks"`.
    AllTrunks,
    /// `"all retell"`.
    AllRetell,
}

impl Default for HeadersConfig {
    fn default() -> Self {
        Self {
            pass: ["X-*", "User-to-User", "Diversion", "History-Info", "Privacy"].map(String::from).to_vec(),
            rules: vec![],
        }
    }
}

impl Section for HeadersConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            pass: table.list("pass", parse_pattern).unwrap_or(Self::default().pass),
            rules: table.sections("rules"),
        }
    }
}

impl Section for RuleConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        table.require("toward", "add toward = \"all trunks\", \"all retell\" or a peer's name");
        Self {
            toward: table.parsed("toward", |text| Ok(Toward::parse(text))).unwrap_or(Toward::AllTrunks),
            set: table.pairs("set", parse_set),
            remove: table.list("remove", parse_pattern).unwrap_or_default(),
        }
    }
}

impl OwnHeaders {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        Self {
            set: table.pairs("set_headers", parse_set),
            remove: table.list("remove_headers", parse_pattern).unwrap_or_default(),
        }
    }
}

impl HeadersConfig {
    pub(super) fn check(&self, config: &Config, here: &KeyPath, review: &mut Review<'_>) {
        let names: Vec<_> = config.retell_names().chain(config.trunk_names()).collect();
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check(&names, &here.key("rules").index(index), review);
        }
    }
}

impl RuleConfig {
    fn check(&self, peers: &[&str], here: &KeyPath, review: &mut Review<'_>) {
        let toward = here.key("toward");
        match &self.toward {
            Toward::Peer(name) if !peers.contains(&name.as_str()) => {
                let Mistake { what, instead } = unknown_peer(name, "peer", peers);
                let instead = format!("{instead}, or \"all trunks\" or \"all retell\"");
                review.mistake(&toward, Mistake { what, instead });
            }
            Toward::Peer(_) | Toward::AllTrunks | Toward::AllRetell => {}
        }
        let broken = review.is_broken(&here.key("set")) || review.is_broken(&here.key("remove"));
        if self.set.is_empty() && self.remove.is_empty() && !broken {
            review.warning(
                here,
                Mistake::new("this rule does nothing", "add `set` or `remove`, or take it out"),
            );
        }
        for (index, (name, _)) in self.set.iter().enumerate() {
            if self.set.iter().take(index).any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
                let what = format!("header {name} is set twice");
                review.mistake(&here.key("set").key(name), Mistake::new(what, "keep one of them"));
            }
        }
    }
}

impl Toward {
    fn parse(text: &str) -> Self {
        match text {
            "all trunks" => Self::AllTrunks,
            "all retell" => Self::AllRetell,
            name => Self::Peer(name.to_owned()),
        }
    }
}

/// A header name, or a prefix that ends in `*`; a prefix covers only what is not reserved.
fn parse_pattern(text: &str) -> Result<String, Mistake> {
    let literal = text.strip_suffix('*').unwrap_or(text);
    if !lex::is_token(literal.as_bytes()) && text != "*" {
        let instead = "write a name such as \"X-Foo\", or a prefix such as \"X-*\"";
        return Err(Mistake::new(format!("\"{text}\" is no header name"), instead));
    }
    if literal == text || is_reserved(literal) {
        check_free(literal)?;
    }
    Ok(text.to_owned())
}

fn parse_set(name: &str, value: &str) -> Result<String, Mistake> {
    if !lex::is_token(name.as_bytes()) {
        return Err(Mistake::new(format!("\"{name}\" is no header name"), "write a name such as X-Foo"));
    }
    check_free(name)?;
    if value.contains(char::is_control) {
        let what = format!("the value of {name} has a control character in it");
        return Err(Mistake::new(what, "write it in one line"));
    }
    check_template(value)?;
    Ok(value.to_owned())
}

fn check_template(value: &str) -> Result<(), Mistake> {
    let mut rest = value;
    while let Some((_, opened)) = rest.split_once('{') {
        let Some((placeholder, after)) = opened.split_once('}') else {
            return Err(Mistake::new("a { is not closed by a }", "write a placeholder such as {from}"));
        };
        rest = after;
        match placeholder.strip_prefix("header:") {
            Some(name) if lex::is_token(name.as_bytes()) => {}
            Some(name) => {
                let what = format!("\"{name}\" in {{{placeholder}}} is no header name");
                return Err(Mistake::new(what, "write it like {header:X-Foo}"));
            }
            None if PLACEHOLDERS.contains(&placeholder) => {}
            None => {
                let instead = match nearest(placeholder, PLACEHOLDERS) {
                    Some(meant) => format!("write {{{meant}}}"),
                    None => "write one of {from}, {to}, {trunk}, {username}, {call_id} and {header:X-Foo}"
                        .to_owned(),
                };
                return Err(Mistake::new(format!("there is no placeholder {{{placeholder}}}"), instead));
            }
        }
    }
    Ok(())
}

/// Refuses the headers that every leg gets from us; `name` may be a compact form.
fn check_free(name: &str) -> Result<(), Mistake> {
    if is_reserved(name) {
        let what = format!("{name} is a header that SIP itself needs, and trunkline writes it for each leg");
        return Err(Mistake::new(what, "take it out"));
    }
    if IDENTITIES.iter().any(|identity| identity.eq_ignore_ascii_case(name)) {
        let what = format!("{name} is never taken from elsewhere than the number in From");
        return Err(Mistake::new(what, "take it out, and choose the number with caller_id"));
    }
    Ok(())
}

const PLACEHOLDERS: [&str; 5] = ["from", "to", "trunk", "username", "call_id"];

/// Written from the caller's number where a peer wants one, never copied (RFC 3325 §5).
const IDENTITIES: [&str; 3] = ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"];

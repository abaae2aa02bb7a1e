//! `[headers]`: which headers pass from one leg to the other, and what rules add and take away.
//!
//! Headers that SIP itself needs are written by us alone; letting one pass, or removing it, would break the
//! call or leak one leg to the other, so each is refused by name, compact form and pattern.

use super::Config;
use super::numbers::unknown_peer;
use crate::config::reader::{KeyPath, Mistake, Reader, Review, Section, nearest};

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
    /// Names and values; values are templates: `{from}`, `{to}`, `{trunk}`, `{call_id}`, `{header:X-Foo}`.
    pub set: Vec<(String, String)>,
    /// Names, or prefixes that end in `*`.
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

/// A header name, or a prefix that ends in `*`.
fn parse_pattern(text: &str) -> Result<String, Mistake> {
    let prefix = text.strip_suffix('*');
    let literal = prefix.unwrap_or(text);
    if !is_token(literal) && !(literal.is_empty() && prefix.is_some()) {
        return Err(Mistake::new(
            format!("\"{text}\" is no header name"),
            "write a name such as \"X-Foo\", or a prefix such as \"X-*\"",
        ));
    }
    match (reserved(literal, prefix.is_some()), prefix) {
        (None, _) => Ok(text.to_owned()),
        (Some(reserved), None) => Err(needed(reserved)),
        (Some(reserved), Some(_)) => {
            let what = format!("\"{text}\" covers {reserved}, which trunkline itself must write");
            Err(Mistake::new(what, "write a longer prefix, such as \"X-*\""))
        }
    }
}

fn parse_set(name: &str, value: &str) -> Result<String, Mistake> {
    if !is_token(name) {
        return Err(Mistake::new(format!("\"{name}\" is no header name"), "write a name such as X-Foo"));
    }
    if let Some(reserved) = reserved(name, false) {
        return Err(needed(reserved));
    }
    if value.contains(char::is_control) {
        return Err(Mistake::new(
            format!("the value of {name} has a control character in it"),
            "write it in one line",
        ));
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
            Some(name) if is_token(name) => {}
            Some(name) => {
                let what = format!("\"{name}\" in {{{placeholder}}} is no header name");
                return Err(Mistake::new(what, "write it like {header:X-Foo}"));
            }
            None if PLACEHOLDERS.contains(&placeholder) => {}
            None => {
                let meant = nearest(placeholder, PLACEHOLDERS).unwrap_or_default();
                let instead = format!(
                    "write {{{meant}}}; known are {{from}}, {{to}}, {{trunk}}, {{call_id}} and {{header:X-Foo}}"
                );
                return Err(Mistake::new(format!("there is no placeholder {{{placeholder}}}"), instead));
            }
        }
    }
    Ok(())
}

fn needed(name: &str) -> Mistake {
    Mistake::new(format!("{name} is a header that trunkline itself must write"), "take it out")
}

/// Whether `name`, in long form, is a header that trunkline itself must write.
pub(in crate::routing) fn is_reserved(name: &str) -> bool {
    reserved(name, false).is_some()
}

/// The reserved header that `name` is, or that begins with it if it is a prefix.
fn reserved(name: &str, is_prefix: bool) -> Option<&'static str> {
    let covers = |reserved: &str| match is_prefix {
        true => reserved.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)),
        false => reserved.eq_ignore_ascii_case(name),
    };
    let compact = COMPACT.iter().find(|(compact, _)| !is_prefix && compact.eq_ignore_ascii_case(name));
    let content = name.get(..8).filter(|start| start.eq_ignore_ascii_case("content-")).map(|_| "Content-*");
    compact
        .map(|(_, long)| *long)
        .or_else(|| RESERVED.into_iter().find(|reserved| covers(reserved)))
        .or(content)
}

/// RFC 3261 §25.1 `token`.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

const PLACEHOLDERS: [&str; 4] = ["from", "to", "trunk", "call_id"];

/// What SIP, its extensions in use here and the identity rules need to write themselves.
const RESERVED: [&str; 50] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Path",
    "Service-Route",
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Content-ID",
    "MIME-Version",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Proxy-Authentication-Info",
    "Require",
    "Proxy-Require",
    "Supported",
    "Unsupported",
    "Allow",
    "Allow-Events",
    "Accept",
    "Accept-Encoding",
    "RSeq",
    "RAck",
    "Session-Expires",
    "Min-SE",
    "Expires",
    "Min-Expires",
    "Event",
    "Subscription-State",
    "SIP-ETag",
    "SIP-If-Match",
    "Refer-To",
    "Refer-Sub",
    "Replaces",
    "Join",
    "Target-Dialog",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
];

/// Compact forms (RFC 3261 §7.3.3 and the extensions' own) of reserved headers.
const COMPACT: [(&str, &str); 12] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("k", "Supported"),
    ("r", "Refer-To"),
    ("x", "Session-Expires"),
    ("o", "Event"),
];

//! Which headers go on to the other leg: the `pass` list, then the rules in order.
//!
//! Listing a header is not enough for all of them. What SIP itself needs on a leg is never copied, not even
//! by `*`; asserted identities never cross (RFC 3325 §5: they hold within one trust domain);
//! `X-Original-CLID` and `X-Trunkline-*` are words to us; Identity (RFC 8224) is a signature over numbers
//! that must not have changed. A rule removes first and sets then, so that one rule can clear a family of
//! headers and set one of it anew.

use std::fmt;

use super::caller::ORIGINAL_CLID;
use super::config::{HeadersConfig, OwnHeaders, RuleConfig, Toward};
use super::reserved::is_sip;
use super::steps::{Step, Trace};
use super::template::{Template, Values};
use super::uri_headers;
use super::{Kind, Peer, Plan, Routes, header_values};
use crate::id::{CallId, PeerId};
use crate::sip::headers::{Name, lex};
use crate::sip::message::{Header, Message, Method};
use crate::sip::uri::{Host, Uri};

/// A header to be written: name and value, neither with a CR or LF in it.
pub type Line = (Vec<u8>, Vec<u8>);

/// `[headers]`, compiled.
#[derive(Debug, Default)]
pub(super) struct HeaderRules {
    pass: Vec<Pattern>,
    /// For every peer, by its id: the rules toward it in order.
    toward: Vec<Vec<Rule>>,
}

/// A header name, or with `*` behind it the beginning of one; any case.
#[derive(Clone, Debug)]
struct Pattern {
    literal: String,
    is_prefix: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    origin: Origin,
    remove: Vec<Pattern>,
    set: Vec<(String, Template)>,
}

/// Where a rule stands, for explanations.
#[derive(Clone, Debug)]
enum Origin {
    /// At this place among `[[headers.rules]]`, from 1.
    Listed(usize),
    /// In the table of this trunk.
    Trunk(String),
}

/// What becomes of a header of the other leg.
#[derive(Clone, Copy, Debug)]
enum Fate<'a> {
    /// Copied, because of this pattern.
    Passed(&'a Pattern),
    /// No pattern covers it.
    NotListed,
    /// Covered, or not to be covered by any pattern; and why it is not copied.
    Dropped(&'static str),
}

impl HeaderRules {
    pub(super) fn compile(config: &HeadersConfig, peers: &[Peer]) -> Self {
        let rules = config
            .rules
            .iter()
            .zip(1..)
            .map(|(rule, number)| (Rule::compile(rule, Origin::Listed(number)), &rule.toward));
        let rules: Vec<_> = rules.collect();
        let toward = |peer: &Peer| {
            let applies = |toward: &Toward| match toward {
                Toward::Peer(name) => *name == peer.name,
                Toward::AllTrunks => peer.kind == Kind::Trunk,
                Toward::AllRetell => peer.kind == Kind::Retell,
            };
            let listed = rules.iter().filter(|(_, toward)| applies(toward)).map(|(rule, _)| rule.clone());
            Rule::own(peer).into_iter().chain(listed).collect()
        };
        Self {
            pass: config.pass.iter().map(|pattern| Pattern::compile(pattern)).collect(),
            toward: peers.iter().map(toward).collect(),
        }
    }

    fn fate<'a>(&'a self, header: &Header<'_>, message: &Message, toward: Kind, plan: &Plan) -> Fate<'a> {
        let name = name_of(header);
        if name.eq_ignore_ascii_case(ORIGINAL_CLID.as_bytes()) {
            return Fate::Dropped("a word to trunkline: the caller ID to show");
        }
        if begins_with(name, TRUNKLINE_PREFIX) {
            return Fate::Dropped(match toward {
                Kind::Trunk => "a word to trunkline",
                Kind::Retell => "X-Trunkline-* counts only from Retell",
            });
        }
        if matches!(header.name, Name::PAssertedIdentity | Name::PPreferredIdentity | Name::RemotePartyId) {
            return Fate::Dropped("asserted identities are never copied");
        }
        let is_dated_identity = header.name == Name::Date && message.value(Name::Identity).is_some();
        let asked = if is_dated_identity { Name::Identity.as_str().as_bytes() } else { name };
        let listed = self.pass.iter().find(|pattern| pattern.matches(asked) || pattern.matches(name));
        match listed {
            None => Fate::NotListed,
            Some(_) if is_sip(header.name, name) => Fate::NotListed,
            Some(_) if (is_dated_identity || header.name == Name::Identity) && !plan.numbers_unchanged => {
                Fate::Dropped("a number changed, so the signature would not hold")
            }
            Some(pattern) => Fate::Passed(pattern),
        }
    }
}

impl Routes {
    /// Headers to put on a message toward `toward`, made of `source` (the message of the other leg that
    /// causes it): passed ones in their order, then set and removed by the rules.
    ///
    /// `our_host` replaces the host in URIs of Diversion and History-Info. `invite` is the call's first
    /// INVITE, for `{header:X}`. On what becomes an INVITE (`source` is an INVITE or REFER) Privacy and
    /// Diversion of the plan are here too.
    #[must_use]
    pub fn headers(
        &self,
        toward: PeerId,
        source: Option<&Message>,
        invite: &Message,
        plan: &Plan,
        call: CallId,
        our_host: &str,
    ) -> Vec<Line> {
        let passage = Passage { toward, source, invite, plan, call, our_host };
        self.compose(&passage, &mut Trace::off())
    }

    /// The headers of the first INVITE to the callee, with the rule that decided for each.
    pub fn explain_headers(
        &self,
        invite: &Message,
        plan: &Plan,
        our_host: &str,
        steps: &mut Vec<Step>,
    ) -> Vec<Line> {
        let toward = plan.callee;
        let passage = Passage { toward, source: Some(invite), invite, plan, call: CallId(0), our_host };
        self.compose(&passage, &mut Trace::into(Some(steps)))
    }

    fn compose(&self, passage: &Passage<'_>, trace: &mut Trace<'_>) -> Vec<Line> {
        let Passage { toward, source, plan, our_host, .. } = *passage;
        let is_toward_callee = toward == plan.callee;
        let mut lines = Lines { lines: Vec::new(), trace };
        if is_toward_callee && source.is_some_and(becomes_invite) {
            lines.of_plan(plan, self.peer(plan.trunk), our_host);
        }
        if let Some(message) = source {
            for header in message.headers() {
                let fate = match self.header_rules.fate(&header, message, self.peer(toward).kind, plan) {
                    Fate::Passed(_) if header.name == Name::Privacy && plan.withheld && is_toward_callee => {
                        Fate::Dropped("Privacy: id stands for it")
                    }
                    fate => fate,
                };
                lines.add(&header, fate, our_host);
            }
        }
        let trunk = self.peer(plan.trunk);
        let values = Values {
            from: &plan.written.caller,
            to: &plan.written.dialled,
            trunk: &trunk.name,
            username: trunk.username().unwrap_or_default(),
            call: passage.call,
            invite: passage.invite,
        };
        for rule in self.header_rules.toward.get(usize::from(toward.0)).into_iter().flatten() {
            lines.apply(rule, values);
        }
        lines.lines
    }
}

/// A message on its way to the other leg: what [`Routes::headers`] is given.
#[derive(Clone, Copy)]
struct Passage<'a> {
    toward: PeerId,
    source: Option<&'a Message>,
    invite: &'a Message,
    plan: &'a Plan,
    call: CallId,
    our_host: &'a str,
}

/// The lines so far, and their story.
struct Lines<'a, 'b> {
    lines: Vec<Line>,
    trace: &'a mut Trace<'b>,
}

impl Lines<'_, '_> {
    /// What the plan itself asks for on an INVITE.
    fn of_plan(&mut self, plan: &Plan, trunk: &Peer, our_host: &str) {
        if let Some(ours) = &plan.diverting {
            let uri = Uri::sip(Some(ours), host(our_host), None);
            let value = format!("<{uri}>;reason=unconditional");
            let rule = "foreign_caller = \"diversion\"";
            self.set("Diversion", value.into_bytes(), rule, Some(&|| trunk.key("foreign_caller")));
        }
        if plan.callee == trunk.id {
            for (name, value) in plan.identities(trunk, &host(our_host)) {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.set(&name, value, "caller_in", Some(&|| trunk.key("caller_in")));
            }
        }
        if plan.withheld {
            self.set("Privacy", b"id".to_vec(), "the caller is withheld", None);
        }
    }

    fn add(&mut self, header: &Header<'_>, fate: Fate<'_>, our_host: &str) {
        let name = name_of(header);
        match fate {
            Fate::NotListed => {
                if !is_sip(header.name, name) {
                    self.trace
                        .note("header dropped", || (shown(name, b""), "not in [headers].pass".to_owned()))
                        .by(|| PASS.to_owned());
                }
            }
            Fate::Dropped(why) => {
                self.trace.note("header dropped", || (shown(name, b""), why.to_owned()));
            }
            Fate::Passed(_) if !lex::is_token(name) => {}
            Fate::Passed(pattern) => {
                if let Some(fault) = header_values::fault(header.name, name, &header.value) {
                    return self.leave_out(name, fault);
                }
                let rule = || format!("[headers].pass \"{}\"", pattern);
                if uri_headers::is_made_of_uris(header.name) {
                    for address in uri_headers::rehost(&header.value, &host(our_host)) {
                        let value = clean(address.to_string().as_bytes());
                        self.trace
                            .note("header", || (shown(name, &value), rule() + ", with our host"))
                            .by(|| PASS.to_owned());
                        self.lines.push((name.to_vec(), value));
                    }
                } else {
                    let value = clean(&header.value);
                    self.trace.note("header", || (shown(name, &value), rule())).by(|| PASS.to_owned());
                    self.lines.push((name.to_vec(), value));
                }
            }
        }
    }

    /// A value that whoever reads the message after us would stumble over.
    fn leave_out(&mut self, name: &[u8], fault: &'static str) {
        let shown = shown(name, b"");
        tracing::info!(header = shown, fault, "header not passed");
        self.trace.note("header dropped", || (shown, fault.to_owned()));
    }

    fn apply(&mut self, rule: &Rule, values: Values<'_>) {
        self.lines.retain(|(name, value)| {
            let by = rule.remove.iter().find(|pattern| pattern.matches(name));
            if let Some(pattern) = by {
                let why = || format!("{}: remove \"{}\"", rule.origin, pattern);
                self.trace.note("header removed", || (shown(name, value), why())).by(|| rule.key("remove"));
            }
            by.is_none()
        });
        for (name, template) in &rule.set {
            self.replace(name, rule);
            let value = template.fill(values);
            if let Some(fault) = header_values::fault(Name::parse(name.as_bytes()), name.as_bytes(), &value)
                && !value.is_empty()
            {
                self.leave_out(name.as_bytes(), fault);
                continue;
            }
            let why = format!("{}: set", rule.origin);
            self.set(name, clean(&value), &why, Some(&|| rule.key("set")));
        }
    }

    /// Takes out the lines called `name`, for what `rule` sets.
    fn replace(&mut self, name: &str, rule: &Rule) {
        self.lines.retain(|(other, value)| {
            let is_replaced = other.eq_ignore_ascii_case(name.as_bytes());
            if is_replaced {
                let why = || format!("{}: set puts its own in this place", rule.origin);
                self.trace.note("header removed", || (shown(other, value), why())).by(|| rule.key("set"));
            }
            !is_replaced
        });
    }

    /// A value that came out empty says nothing and is left out.
    fn set(&mut self, name: &str, value: Vec<u8>, rule: &str, key: Option<&dyn Fn() -> String>) {
        let noted = if value.is_empty() {
            let why = || format!("{rule}, but its value is empty");
            self.trace.note("header left out", || (name.to_owned(), why()))
        } else {
            self.trace.note("header", || (shown(name.as_bytes(), &value), rule.to_owned()))
        };
        if let Some(key) = key {
            noted.by(key);
        }
        if value.is_empty() {
            return;
        }
        self.lines.push((name.as_bytes().to_vec(), value));
    }
}

impl Pattern {
    fn compile(written: &str) -> Self {
        match written.strip_suffix('*') {
            Some(literal) => Self { literal: literal.to_owned(), is_prefix: true },
            None => Self { literal: written.to_owned(), is_prefix: false },
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        if self.is_prefix {
            begins_with(name, self.literal.as_bytes())
        } else {
            name.eq_ignore_ascii_case(self.literal.as_bytes())
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.literal, if self.is_prefix { "*" } else { "" })
    }
}

impl Rule {
    /// How steps call its `key`.
    fn key(&self, key: &str) -> String {
        match &self.origin {
            Origin::Listed(number) => format!("headers.rules[{number}].{key}"),
            Origin::Trunk(name) => format!("trunks[{name}].{key}_headers"),
        }
    }

    fn compile(config: &RuleConfig, origin: Origin) -> Self {
        Self::of(&config.set, &config.remove, origin)
    }

    /// What the table of `peer` itself says.
    fn own(peer: &Peer) -> Option<Self> {
        let OwnHeaders { set, remove } = &peer.own_headers;
        let is_there = !set.is_empty() || !remove.is_empty();
        is_there.then(|| Self::of(set, remove, Origin::Trunk(peer.name.clone())))
    }

    fn of(set: &[(String, String)], remove: &[String], origin: Origin) -> Self {
        Self {
            origin,
            remove: remove.iter().map(|pattern| Pattern::compile(pattern)).collect(),
            set: set.iter().map(|(name, value)| (name.clone(), Template::compile(value))).collect(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(number) => write!(f, "[[headers.rules]] {number}"),
            Self::Trunk(name) => write!(f, "headers of {name}"),
        }
    }
}

/// Canonical name of a known header, as written of any other.
fn name_of<'a>(header: &Header<'a>) -> &'a [u8] {
    match header.name {
        Name::Other => header.raw_name,
        known => known.as_str().as_bytes(),
    }
}

fn becomes_invite(source: &Message) -> bool {
    matches!(source.method(), Some(Method::Invite | Method::Refer))
}

fn host(our_host: &str) -> Host {
    let bare = our_host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map_or_else(|_| Host::Name(our_host.to_owned()), Host::Ip)
}

fn begins_with(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Without what could end the line.
fn clean(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
}

fn shown(name: &[u8], value: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    if value.is_empty() { name.into_owned() } else { format!("{name}: {}", String::from_utf8_lossy(value)) }
}

/// How steps call the list of what passes.
const PASS: &str = "headers.pass";

const TRUNKLINE_PREFIX: &[u8] = b"X-Trunkline-";

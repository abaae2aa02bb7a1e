//! Scripted user agents for virtual-time tests: a caller and a callee that speak SIP as text, with the retransmissions of
//! RFC 3261 §17 and nothing else.
//!
//! They share no code with the product on purpose: they read lines and split at spaces.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::BRIDGE;

/// Somebody at the other end of a leg. Times are since the start.
pub(crate) trait Agent {
    fn address(&self) -> SocketAddr;
    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration);
    fn on_deadline(&mut self, now: Duration);
    fn next_deadline(&self, start: Instant) -> Option<Instant>;
    fn take_sent(&mut self) -> Vec<(SocketAddr, SocketAddr, String)>;
    /// How each of its calls ended, by Call-ID.
    fn ends(&self) -> Vec<End>;
    /// First lines of the messages it received.
    fn received(&self) -> &[String];
    /// Whole messages it received.
    fn messages(&self) -> &[String];
}

/// How a call ended as an agent saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answered, then BYE by either side was confirmed.
    Released,
    /// Final response other than 2xx.
    Refused(u16),
    /// It never ended.
    Open(&'static str),
}

/// Messages repeated until something stops them.
#[derive(Clone, Debug)]
struct Repeat {
    text: String,
    to: SocketAddr,
    next: Duration,
    interval: Duration,
    until: Duration,
}

impl Repeat {
    fn new(text: String, to: SocketAddr, now: Duration) -> Self {
        let interval = Duration::from_millis(500);
        Self { text, to, next: now + interval, interval, until: now + Duration::from_secs(32) }
    }

    fn due(&mut self, now: Duration) -> Option<(SocketAddr, String)> {
        if now < self.next {
            return None;
        }
        self.interval = (self.interval * 2).min(Duration::from_secs(4));
        self.next = now + self.interval;
        Some((self.to, self.text.clone()))
    }

    fn is_over(&self) -> bool {
        self.next > self.until
    }
}

/// What a caller does.
#[derive(Clone, Debug)]
pub(crate) struct CallerScript {
    /// Calls to place, this far apart.
    pub(crate) calls: u32,
    pub(crate) apart: Duration,
    /// BYE this long after the answer; `None` waits for the other side.
    pub(crate) hang_up_after: Option<Duration>,
    /// CANCEL this long after the INVITE.
    pub(crate) cancel_after: Option<Duration>,
    /// Acknowledges no 200.
    pub(crate) never_acks: bool,
    /// Extra header lines of the INVITE.
    pub(crate) headers: String,
    pub(crate) dialled: String,
    pub(crate) sdp: String,
}

impl Default for CallerScript {
    fn default() -> Self {
        Self {
            calls: 1,
            apart: Duration::from_millis(10),
            hang_up_after: Some(Duration::from_secs(2)),
            cancel_after: None,
            never_acks: false,
            headers: String::new(),
            dialled: "+14155550100".into(),
            sdp: SDP.into(),
        }
    }
}

/// Places calls.
pub(crate) struct Caller {
    address: SocketAddr,
    script: CallerScript,
    placed: u32,
    legs: BTreeMap<String, CallerLeg>,
    sent: Vec<(SocketAddr, SocketAddr, String)>,
    received: Vec<String>,
    messages: Vec<String>,
}

struct CallerLeg {
    invite: Option<Repeat>,
    branch: String,
    to: Option<String>,
    target: Option<String>,
    provisional: bool,
    cancel_at: Option<Duration>,
    cancel: Option<Repeat>,
    bye_at: Option<Duration>,
    bye: Option<Repeat>,
    end: Option<End>,
    give_up: Option<Duration>,
}

impl Caller {
    pub(crate) fn new(address: &str, script: CallerScript) -> Self {
        Self {
            address: address.parse().unwrap(),
            script,
            placed: 0,
            legs: BTreeMap::new(),
            sent: Vec::new(),
            received: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn request(
        &self,
        (method, uri): (&str, &str),
        branch: &str,
        call_id: &str,
        to: &str,
        cseq: u32,
        rest: &str,
    ) -> String {
        let here = self.address;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch={branch}\r\nMax-Forwards: 70\r\n\
             From: \"Ann\" <sip:+14155550123@{here}>;tag=f{call_id}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:ann@{here}>\r\n{rest}"
        )
    }

    fn place(&mut self, now: Duration) {
        let number = self.placed;
        self.placed += 1;
        let call_id = format!("{number}x{}", self.address.port());
        let branch = format!("z9hG4bKi{call_id}");
        let uri = format!("sip:{}@{BRIDGE}", self.script.dialled);
        let sdp = &self.script.sdp;
        let rest = format!(
            "{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            self.script.headers,
            sdp.len()
        );
        let invite = self.request(("INVITE", &uri), &branch, &call_id, &format!("<{uri}>"), 1, &rest);
        self.sent.push((self.address, BRIDGE, invite.clone()));
        let leg = CallerLeg {
            invite: Some(Repeat::new(invite, BRIDGE, now)),
            branch,
            to: None,
            target: None,
            provisional: false,
            cancel_at: self.script.cancel_after.map(|after| now + after),
            cancel: None,
            bye_at: None,
            bye: None,
            end: None,
            give_up: Some(now + Duration::from_secs(170)),
        };
        self.legs.insert(call_id, leg);
    }

    fn on_invite_response(&mut self, call_id: &str, code: u16, text: &str, now: Duration) {
        let uri = format!("sip:{}@{BRIDGE}", self.script.dialled);
        let to = header(text, "To").unwrap_or_default().to_owned();
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        if let Some(invite) = &mut leg.invite {
            invite.next = Duration::MAX;
        }
        match code {
            100..=199 => leg.provisional = true,
            200..=299 => {
                leg.invite = None;
                leg.cancel_at = None;
                let target = uri_in(header(text, "Contact").unwrap_or_default()).to_owned();
                leg.to = Some(to.clone());
                leg.target = Some(target.clone());
                if leg.bye_at.is_none() && leg.bye.is_none() && leg.end.is_none() {
                    leg.bye_at = self.script.hang_up_after.map(|after| now + after);
                }
                if !self.script.never_acks {
                    let branch = format!("z9hG4bKa{call_id}");
                    let ack =
                        self.request(("ACK", &target), &branch, call_id, &to, 1, "Content-Length: 0\r\n\r\n");
                    self.sent.push((self.address, BRIDGE, ack));
                }
            }
            _ => {
                leg.invite = None;
                leg.cancel_at = None;
                leg.end.get_or_insert(End::Refused(code));
                let branch = leg.branch.clone();
                let ack = self.request(("ACK", &uri), &branch, call_id, &to, 1, "Content-Length: 0\r\n\r\n");
                self.sent.push((self.address, BRIDGE, ack));
            }
        }
    }
}

impl Agent for Caller {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration) {
        self.received.push(text.lines().next().unwrap_or_default().to_owned());
        self.messages.push(text.to_owned());
        let call_id = header(text, "Call-ID").unwrap_or_default().to_owned();
        match status(text) {
            Some(code) => match header(text, "CSeq").unwrap_or_default().split(' ').nth(1) {
                Some("INVITE") => self.on_invite_response(&call_id, code, text, now),
                Some("BYE") if code >= 200 => {
                    if let Some(leg) = self.legs.get_mut(&call_id) {
                        leg.bye = None;
                        leg.end.get_or_insert(End::Released);
                    }
                }
                Some("CANCEL") => {
                    if let Some(leg) = self.legs.get_mut(&call_id) {
                        leg.cancel = None;
                    }
                }
                _ => {}
            },
            None if text.starts_with("BYE ") => {
                self.sent.push((self.address, from, answer(text, 200, "OK", "", "")));
                if let Some(leg) = self.legs.get_mut(&call_id) {
                    leg.bye_at = None;
                    leg.end.get_or_insert(End::Released);
                }
            }
            None => {}
        }
    }

    fn on_deadline(&mut self, now: Duration) {
        while self.placed < self.script.calls && now >= self.script.apart * self.placed {
            self.place(now);
        }
        let ids: Vec<String> = self.legs.keys().cloned().collect();
        for id in ids {
            let (mut bye, mut cancel) = (None, None);
            let here = self.address;
            let leg = self.legs.get_mut(&id).unwrap();
            for repeat in [&mut leg.invite, &mut leg.cancel, &mut leg.bye].into_iter().flatten() {
                if let Some((to, text)) = repeat.due(now) {
                    self.sent.push((here, to, text));
                }
            }
            if leg.bye.as_ref().is_some_and(Repeat::is_over) {
                leg.bye = None;
                leg.end.get_or_insert(End::Released);
            }
            if leg.cancel.as_ref().is_some_and(Repeat::is_over) {
                leg.cancel = None;
            }
            if leg.invite.as_ref().is_some_and(|invite| invite.next != Duration::MAX && invite.is_over()) {
                leg.invite = None;
                leg.end.get_or_insert(End::Refused(408));
            }
            if leg.give_up.is_some_and(|at| now >= at) {
                leg.give_up = None;
                leg.invite = None;
            }
            if leg.cancel_at.is_some_and(|at| now >= at) && leg.provisional {
                leg.cancel_at = None;
                cancel = Some(leg.branch.clone());
            }
            if leg.bye_at.is_some_and(|at| now >= at) {
                leg.bye_at = None;
                bye = leg.target.clone().zip(leg.to.clone());
            }
            if let Some(branch) = cancel {
                let uri = format!("sip:{}@{BRIDGE}", self.script.dialled);
                let text = self.request(
                    ("CANCEL", &uri),
                    &branch,
                    &id,
                    &format!("<{uri}>"),
                    1,
                    "Content-Length: 0\r\n\r\n",
                );
                self.sent.push((self.address, BRIDGE, text.clone()));
                self.legs.get_mut(&id).unwrap().cancel = Some(Repeat::new(text, BRIDGE, now));
            }
            if let Some((target, to)) = bye {
                let branch = format!("z9hG4bKb{id}");
                let text = self.request(("BYE", &target), &branch, &id, &to, 2, "Content-Length: 0\r\n\r\n");
                self.sent.push((self.address, BRIDGE, text.clone()));
                self.legs.get_mut(&id).unwrap().bye = Some(Repeat::new(text, BRIDGE, now));
            }
        }
    }

    fn next_deadline(&self, start: Instant) -> Option<Instant> {
        let next_call = (self.placed < self.script.calls).then(|| self.script.apart * self.placed);
        let legs = self.legs.values().flat_map(|leg| {
            let repeats =
                [&leg.invite, &leg.cancel, &leg.bye].into_iter().flatten().map(|repeat| repeat.next);
            let cancel_at = leg.cancel_at.filter(|_| leg.provisional);
            repeats
                .filter(|at| *at != Duration::MAX)
                .chain(cancel_at)
                .chain(leg.bye_at)
                .chain(leg.give_up.filter(|_| leg.invite.is_some()))
        });
        legs.chain(next_call).min().map(|at| start + at)
    }

    fn take_sent(&mut self) -> Vec<(SocketAddr, SocketAddr, String)> {
        std::mem::take(&mut self.sent)
    }

    fn ends(&self) -> Vec<End> {
        self.legs.values().map(|leg| leg.end.clone().unwrap_or(End::Open("caller"))).collect()
    }

    fn received(&self) -> &[String] {
        &self.received
    }

    fn messages(&self) -> &[String] {
        &self.messages
    }
}

/// What a callee does with every call.
#[derive(Clone, Debug)]
pub(crate) struct CalleeScript {
    /// 100 this long after the INVITE; `None` is never.
    pub(crate) trying_after: Option<Duration>,
    /// Code and time of a further provisional response.
    pub(crate) rings: Option<(u16, Duration)>,
    /// Code, phrase and time of the final response; `None` is never.
    pub(crate) final_after: Option<(u16, &'static str, Duration)>,
    /// BYE this long after the ACK.
    pub(crate) hang_up_after: Option<Duration>,
    /// Extra header lines of the final response.
    pub(crate) headers: String,
    /// Challenges first: code of the challenge.
    pub(crate) challenges: Option<u16>,
    /// A second answer, from another fork.
    pub(crate) forks: bool,
    pub(crate) sdp: String,
}

impl Default for CalleeScript {
    fn default() -> Self {
        Self {
            trying_after: Some(Duration::ZERO),
            rings: Some((180, Duration::from_millis(100))),
            final_after: Some((200, "OK", Duration::from_millis(600))),
            hang_up_after: None,
            headers: String::new(),
            challenges: None,
            forks: false,
            sdp: SDP.into(),
        }
    }
}

/// Answers calls.
pub(crate) struct Callee {
    address: SocketAddr,
    script: CalleeScript,
    legs: BTreeMap<String, CalleeLeg>,
    sent: Vec<(SocketAddr, SocketAddr, String)>,
    received: Vec<String>,
    messages: Vec<String>,
}

struct CalleeLeg {
    invite: String,
    branch: String,
    from: SocketAddr,
    todo: Vec<(Duration, u16, &'static str)>,
    last: Option<String>,
    final_response: Option<Repeat>,
    answered: bool,
    bye_at: Option<Duration>,
    bye: Option<Repeat>,
    end: Option<End>,
}

impl Callee {
    pub(crate) fn new(address: &str, script: CalleeScript) -> Self {
        Self {
            address: address.parse().unwrap(),
            script,
            legs: BTreeMap::new(),
            sent: Vec::new(),
            received: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn on_invite(&mut self, text: &str, from: SocketAddr, call_id: String, now: Duration) {
        let branch = param(header(text, "Via").unwrap_or_default(), "branch").to_owned();
        if let Some(leg) = self.legs.get(&call_id).filter(|leg| leg.branch == branch) {
            if let Some(last) = &leg.last {
                self.sent.push((self.address, from, last.clone()));
            }
            return;
        }
        let script = &self.script;
        let mut todo: Vec<_> =
            script.trying_after.map(|after| (now + after, 100, "Trying")).into_iter().collect();
        todo.extend(script.rings.map(|(code, after)| (now + after, code, "Ringing")));
        todo.extend(script.final_after.map(|(code, phrase, after)| (now + after, code, phrase)));
        let authorized = header(text, "Authorization").or(header(text, "Proxy-Authorization")).is_some();
        if let Some(code) = script.challenges.filter(|_| !authorized) {
            todo = vec![(now, code, "Unauthorized")];
        }
        let leg = CalleeLeg {
            invite: text.to_owned(),
            branch,
            from,
            todo,
            last: None,
            final_response: None,
            answered: false,
            bye_at: None,
            bye: None,
            end: None,
        };
        self.legs.insert(call_id, leg);
    }

    fn respond(&mut self, call_id: &str, code: u16, phrase: &str, now: Duration) {
        let here = self.address;
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let tag = if code == 100 { String::new() } else { format!("t{}", here.port()) };
        let sdp = if (200..300).contains(&code) { self.script.sdp.as_str() } else { "" };
        let mut headers = if code >= 200 { self.script.headers.clone() } else { String::new() };
        if (200..300).contains(&code) {
            headers += &format!("Contact: <sip:bob@{here}>\r\n");
        }
        match code {
            401 => {
                headers +=
                    "WWW-Authenticate: Digest realm=\"callee\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n"
            }
            407 => headers += "Proxy-Authenticate: Digest realm=\"callee\", nonce=\"n1\", algorithm=MD5\r\n",
            _ => {}
        }
        let response = answer(&leg.invite, code, phrase, &tag, &with_body(&headers, sdp));
        self.sent.push((here, leg.from, response.clone()));
        leg.last = Some(response.clone());
        if code >= 200 {
            leg.final_response = Some(Repeat::new(response, leg.from, now));
            leg.answered = code < 300;
            if code >= 300 {
                leg.end = Some(End::Refused(code));
            }
        }
        if leg.answered && self.script.forks {
            let fork = answer(&leg.invite, code, phrase, "otherfork", &with_body(&headers, sdp));
            self.sent.push((here, leg.from, fork));
        }
    }
}

impl Agent for Callee {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration) {
        self.received.push(text.lines().next().unwrap_or_default().to_owned());
        self.messages.push(text.to_owned());
        let call_id = header(text, "Call-ID").unwrap_or_default().to_owned();
        let method = text.split(' ').next().unwrap_or_default();
        match method {
            "INVITE" => self.on_invite(text, from, call_id, now),
            "ACK" => {
                let after = self.script.hang_up_after;
                if let Some(leg) = self.legs.get_mut(&call_id) {
                    let first = leg.final_response.take().is_some();
                    if first && leg.answered && leg.end.is_none() {
                        leg.bye_at = after.map(|after| now + after);
                    }
                }
            }
            "CANCEL" => {
                self.sent.push((
                    self.address,
                    from,
                    answer(text, 200, "OK", "", "Content-Length: 0\r\n\r\n"),
                ));
                let pending = self
                    .legs
                    .get(&call_id)
                    .is_some_and(|leg| leg.final_response.is_none() && !leg.answered && leg.end.is_none());
                if pending {
                    self.legs.get_mut(&call_id).unwrap().todo.clear();
                    self.respond(&call_id, 487, "Request Terminated", now);
                }
            }
            "BYE" => {
                self.sent.push((
                    self.address,
                    from,
                    answer(text, 200, "OK", "", "Content-Length: 0\r\n\r\n"),
                ));
                if let Some(leg) = self.legs.get_mut(&call_id) {
                    leg.bye_at = None;
                    leg.final_response = None;
                    leg.end.get_or_insert(End::Released);
                }
            }
            _ if status(text).is_some_and(|code| code >= 200) => {
                if let Some(leg) = self.legs.get_mut(&call_id) {
                    leg.bye = None;
                    leg.end.get_or_insert(End::Released);
                }
            }
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Duration) {
        let ids: Vec<String> = self.legs.keys().cloned().collect();
        for id in ids {
            let leg = self.legs.get_mut(&id).unwrap();
            let (due, rest) = leg.todo.drain(..).partition(|(at, ..)| *at <= now);
            leg.todo = rest;
            let due: Vec<_> = due;
            for (_, code, phrase) in due {
                self.respond(&id, code, phrase, now);
            }
            let here = self.address;
            let leg = self.legs.get_mut(&id).unwrap();
            for repeat in [&mut leg.final_response, &mut leg.bye].into_iter().flatten() {
                if let Some((to, text)) = repeat.due(now) {
                    self.sent.push((here, to, text));
                }
            }
            if leg.final_response.as_ref().is_some_and(Repeat::is_over) {
                leg.final_response = None;
                if leg.answered {
                    leg.bye_at = Some(now);
                }
            }
            if leg.bye.as_ref().is_some_and(Repeat::is_over) {
                leg.bye = None;
                leg.end.get_or_insert(End::Released);
            }
            if leg.bye_at.is_some_and(|at| now >= at) {
                leg.bye_at = None;
                let target = uri_in(header(&leg.invite, "Contact").unwrap_or_default());
                let from = header(&leg.invite, "To").unwrap_or_default();
                let to = header(&leg.invite, "From").unwrap_or_default();
                let bye = format!(
                    "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKc{id}\r\nMax-Forwards: 70\r\n\
                     From: {from};tag=t{}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
                    here.port()
                );
                self.sent.push((here, leg.from, bye.clone()));
                leg.bye = Some(Repeat::new(bye, leg.from, now));
            }
        }
    }

    fn next_deadline(&self, start: Instant) -> Option<Instant> {
        let legs = self.legs.values().flat_map(|leg| {
            let repeats = [&leg.final_response, &leg.bye].into_iter().flatten().map(|repeat| repeat.next);
            repeats.chain(leg.todo.iter().map(|(at, ..)| *at)).chain(leg.bye_at)
        });
        legs.min().map(|at| start + at)
    }

    fn take_sent(&mut self) -> Vec<(SocketAddr, SocketAddr, String)> {
        std::mem::take(&mut self.sent)
    }

    fn ends(&self) -> Vec<End> {
        self.legs.values().map(|leg| leg.end.clone().unwrap_or(End::Open("callee"))).collect()
    }

    fn received(&self) -> &[String] {
        &self.received
    }

    fn messages(&self) -> &[String] {
        &self.messages
    }
}

/// The value of the first header `name`.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn status(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

fn uri_in(value: &str) -> &str {
    value.split(['<', '>']).nth(1).unwrap_or(value)
}

fn param<'a>(value: &'a str, name: &str) -> &'a str {
    value.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// A response to the request `text`; `rest` are its further lines and body.
fn answer(text: &str, code: u16, phrase: &str, tag: &str, rest: &str) -> String {
    let copied: String = text
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|kept| name.eq_ignore_ascii_case(kept))
        })
        .map(|line| {
            let is_to = line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("To"));
            if is_to && !tag.is_empty() && !line.contains(";tag=") {
                format!("{line};tag={tag}\r\n")
            } else {
                format!("{line}\r\n")
            }
        })
        .collect();
    let rest = if rest.is_empty() { "Content-Length: 0\r\n\r\n" } else { rest };
    format!("SIP/2.0 {code} {phrase}\r\n{copied}{rest}")
}

fn with_body(headers: &str, sdp: &str) -> String {
    if sdp.is_empty() {
        format!("{headers}Content-Length: 0\r\n\r\n")
    } else {
        format!("{headers}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
    }
}

/// PCMU, PCMA and telephone events.
pub(crate) const SDP: &str = "v=0\r\no=- 7 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

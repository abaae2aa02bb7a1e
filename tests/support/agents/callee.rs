//! A user agent that answers calls, response by response as its script says, under as many
//! To-tags as it has forks.
//!
//! A 2xx is repeated until its own ACK comes; one that never comes ends in BYE (RFC 3261 §13.3.1.4).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::repeat::Repeat;
use super::text::{NO_BODY, SDP, answer, header, param, status, tag, uri_in, with_body};
use super::{Agent, End, Outgoing, Phone};

/// One response to an INVITE.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// After the INVITE.
    pub(crate) after: Duration,
    pub(crate) code: u16,
    pub(crate) phrase: &'static str,
    /// Extra header lines.
    pub(crate) headers: String,
    pub(crate) sdp: String,
    /// Whose response it is, when several forks answer; part of its To-tag.
    pub(crate) fork: &'static str,
}

impl Step {
    /// A 2xx has a session description, other responses have none.
    pub(crate) fn new(after_ms: u64, code: u16, phrase: &'static str) -> Self {
        let sdp = if (200..300).contains(&code) { SDP } else { "" };
        let after = Duration::from_millis(after_ms);
        Self { after, code, phrase, headers: String::new(), sdp: sdp.into(), fork: "" }
    }

    pub(crate) fn of(self, fork: &'static str) -> Self {
        Self { fork, ..self }
    }

    pub(crate) fn with_sdp(self, sdp: &str) -> Self {
        Self { sdp: sdp.into(), ..self }
    }

    pub(crate) fn with_headers(self, headers: &str) -> Self {
        Self { headers: headers.into(), ..self }
    }
}

/// What a callee does with every call.
#[derive(Clone, Debug)]
pub(crate) struct CalleeScript {
    pub(crate) steps: Vec<Step>,
    /// The first INVITEs of a Call-ID get these, one each, at once.
    pub(crate) challenges: Vec<Step>,
    /// The first BYEs get these, one each.
    pub(crate) bye_challenges: Vec<Step>,
    /// BYE this long after the ACK.
    pub(crate) hang_up_after: Option<Duration>,
    /// Extra header lines of the BYE.
    pub(crate) bye_headers: String,
    /// Its Contact; `None` is its address.
    pub(crate) contact: Option<String>,
}

impl Default for CalleeScript {
    fn default() -> Self {
        Self::saying([Step::new(0, 100, "Trying"), Step::new(100, 180, "Ringing"), Step::new(600, 200, "OK")])
    }
}

impl CalleeScript {
    pub(crate) fn saying(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            challenges: Vec::new(),
            bye_challenges: Vec::new(),
            hang_up_after: None,
            bye_headers: String::new(),
            contact: None,
        }
    }

    /// 100, and this final response after 200 ms, without ringing.
    pub(crate) fn refusing(code: u16) -> Self {
        Self::saying([Step::new(0, 100, "Trying"), Step::new(200, code, "No")])
    }
}

/// Answers calls.
pub(crate) struct Callee {
    phone: Phone,
    script: CalleeScript,
    legs: BTreeMap<String, Leg>,
}

struct Leg {
    invite: String,
    from: SocketAddr,
    todo: Vec<(Duration, Step)>,
    /// Challenges that are still to come, for INVITE and for BYE.
    challenges: [VecDeque<Step>; 2],
    last: Option<String>,
    /// Final responses that wait for their ACK, by To-tag.
    finals: BTreeMap<String, Repeat>,
    answered: bool,
    bye_at: Option<Duration>,
    bye: Option<Repeat>,
    end: Option<End>,
}

impl Leg {
    fn is_pending(&self) -> bool {
        self.finals.is_empty() && !self.answered && self.end.is_none()
    }

    fn repeats(&mut self) -> impl Iterator<Item = &mut Repeat> {
        self.finals.values_mut().chain(&mut self.bye)
    }

    /// Drops what was repeated often enough; an answer that nobody acknowledged is followed by BYE.
    fn give_up(&mut self, now: Duration) {
        let before = self.finals.len();
        self.finals.retain(|_, repeat| !repeat.is_over());
        if self.finals.len() < before && self.answered {
            self.bye_at = Some(now);
        }
        if self.bye.as_ref().is_some_and(Repeat::is_over) {
            self.bye = None;
            self.end.get_or_insert(End::Released);
        }
    }

    fn take_due(&mut self, now: Duration) -> Vec<Step> {
        let (due, rest) = self.todo.drain(..).partition(|(at, _)| *at <= now);
        self.todo = rest;
        let due: Vec<(Duration, Step)> = due;
        due.into_iter().map(|(_, step)| step).collect()
    }

    fn wants_bye(&mut self, now: Duration) -> bool {
        let wants = self.bye_at.is_some_and(|at| at <= now);
        if wants {
            self.bye_at = None;
        }
        wants
    }

    fn next_deadline(&self) -> Option<Duration> {
        let repeats = self.finals.values().chain(&self.bye).filter_map(Repeat::next);
        repeats.chain(self.todo.iter().map(|(at, _)| *at)).chain(self.bye_at).min()
    }
}

impl Callee {
    pub(crate) fn new(address: &str, script: CalleeScript) -> Self {
        Self { phone: Phone::new(address), script, legs: BTreeMap::new() }
    }

    fn on_invite(&mut self, text: &str, from: SocketAddr, call_id: &str, now: Duration) {
        let branch = |text: &str| param(header(text, "Via").unwrap_or_default(), "branch").to_owned();
        let before = self.legs.remove(call_id);
        let mut challenges =
            [self.script.challenges.clone().into(), self.script.bye_challenges.clone().into()];
        if let Some(before) = before {
            if branch(&before.invite) == branch(text) {
                if let Some(last) = &before.last {
                    self.phone.send(from, last.clone());
                }
                self.legs.insert(call_id.to_owned(), before);
                return;
            }
            challenges = before.challenges;
        }
        let todo = match challenges[0].pop_front() {
            Some(challenge) => vec![(now, challenge)],
            None => self.script.steps.iter().map(|step| (now + step.after, step.clone())).collect(),
        };
        let leg = Leg {
            invite: text.to_owned(),
            from,
            todo,
            challenges,
            last: None,
            finals: BTreeMap::new(),
            answered: false,
            bye_at: None,
            bye: None,
            end: None,
        };
        self.legs.insert(call_id.to_owned(), leg);
    }

    fn respond(&mut self, call_id: &str, step: &Step, now: Duration) {
        let here = self.phone.address;
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let tag = if step.code == 100 { String::new() } else { format!("t{}{}", here.port(), step.fork) };
        let mut lines = step.headers.clone();
        if (101..300).contains(&step.code) {
            let contact = self.script.contact.clone().unwrap_or_else(|| format!("<sip:bob@{here}>"));
            lines += &format!("Contact: {contact}\r\n");
        }
        let response = answer(&leg.invite, step.code, step.phrase, &tag, &with_body(&lines, &step.sdp));
        leg.last = Some(response.clone());
        if step.code >= 200 {
            leg.finals.insert(tag, Repeat::new(response.clone(), leg.from, now));
            leg.answered = step.code < 300;
            if step.code >= 300 {
                leg.end = Some(End::Refused(step.code));
            }
        }
        let to = leg.from;
        self.phone.send(to, response);
    }

    fn on_ack(&mut self, text: &str, call_id: &str, now: Duration) {
        let after = self.script.hang_up_after;
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let first = leg.finals.remove(tag(text, "To")).is_some();
        if first && leg.answered && leg.end.is_none() {
            leg.bye_at = after.map(|after| now + after);
        }
    }

    fn on_cancel(&mut self, text: &str, from: SocketAddr, call_id: &str, now: Duration) {
        self.phone.send(from, answer(text, 200, "OK", "", NO_BODY));
        let Some(leg) = self.legs.get_mut(call_id).filter(|leg| leg.is_pending()) else { return };
        leg.todo.clear();
        self.respond(call_id, &Step::new(0, 487, "Request Terminated"), now);
    }

    fn on_bye(&mut self, text: &str, from: SocketAddr, call_id: &str) {
        let leg = self.legs.get_mut(call_id);
        if let Some(challenge) = leg.and_then(|leg| leg.challenges[1].pop_front()) {
            let rest = with_body(&challenge.headers, "");
            return self.phone.send(from, answer(text, challenge.code, challenge.phrase, "", &rest));
        }
        self.phone.send(from, answer(text, 200, "OK", "", NO_BODY));
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        leg.finals.remove(tag(text, "To"));
        leg.bye_at = None;
        leg.end.get_or_insert(End::Released);
    }

    fn hang_up(&mut self, call_id: &str, now: Duration) {
        let here = self.phone.address;
        let leg = &self.legs[call_id];
        let value = |name| header(&leg.invite, name).unwrap_or_default();
        let bye = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKc{call_id}\r\nMax-Forwards: 70\r\n\
             From: {};tag=t{}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: 2 BYE\r\n{}",
            uri_in(value("Contact")),
            value("To"),
            here.port(),
            value("From"),
            with_body(&self.script.bye_headers, "")
        );
        let to = leg.from;
        self.phone.send(to, bye.clone());
        self.legs.get_mut(call_id).expect("a leg").bye = Some(Repeat::new(bye, to, now));
    }
}

impl Agent for Callee {
    fn address(&self) -> SocketAddr {
        self.phone.address
    }

    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration) {
        self.phone.messages.push(text.to_owned());
        let call_id = header(text, "Call-ID").unwrap_or_default();
        match text.split(' ').next() {
            Some("INVITE") => self.on_invite(text, from, call_id, now),
            Some("ACK") => self.on_ack(text, call_id, now),
            Some("CANCEL") => self.on_cancel(text, from, call_id, now),
            Some("BYE") => self.on_bye(text, from, call_id),
            Some("OPTIONS") => self.phone.send(from, answer(text, 200, "OK", "", NO_BODY)),
            _ if header(text, "CSeq") == Some("2 BYE") && status(text).is_some_and(|code| code >= 200) => {
                if let Some(leg) = self.legs.get_mut(call_id) {
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
            for step in self.legs.get_mut(&id).expect("a leg").take_due(now) {
                self.respond(&id, &step, now);
            }
            let leg = self.legs.get_mut(&id).expect("a leg");
            let due: Vec<_> = leg.repeats().filter_map(|repeat| repeat.due(now)).collect();
            leg.give_up(now);
            let hangs_up = leg.wants_bye(now);
            for (to, text) in due {
                self.phone.send(to, text);
            }
            if hangs_up {
                self.hang_up(&id, now);
            }
        }
    }

    fn next_deadline(&self, start: Instant) -> Option<Instant> {
        self.legs.values().filter_map(Leg::next_deadline).min().map(|at| start + at)
    }

    fn take_sent(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.phone.sent)
    }

    fn ends(&self) -> Vec<End> {
        self.legs.values().map(|leg| leg.end.clone().unwrap_or(End::Open("callee"))).collect()
    }

    fn messages(&self) -> &[String] {
        &self.phone.messages
    }
}

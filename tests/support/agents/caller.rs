//! A user agent that places calls: INVITE, ACK, CANCEL and BYE, each repeated as RFC 3261 wants it.
//!
//! CANCEL waits for a provisional response (§9.1), as the bridge's own does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::repeat::Repeat;
use super::text::{NO_BODY, SDP, answer, header, status, uri_in, with_body};
use super::{Agent, BRIDGE, End, Outgoing, Phone};

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
    /// Acknowledges a 200 only from this copy of it on; 1 is the first.
    pub(crate) acks_from: usize,
    /// Extra header lines of the INVITE.
    pub(crate) headers: String,
    /// Extra header lines of the BYE.
    pub(crate) bye_headers: String,
    /// The first BYEs it gets are answered with these: code, and header lines.
    pub(crate) bye_challenges: Vec<(u16, String)>,
    pub(crate) max_forwards: String,
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
            acks_from: 1,
            headers: String::new(),
            bye_headers: String::new(),
            bye_challenges: Vec::new(),
            max_forwards: "Max-Forwards: 70\r\n".into(),
            dialled: "+14155550100".into(),
            sdp: SDP.into(),
        }
    }
}

impl CallerScript {
    /// It never acknowledges an answer.
    pub(crate) const NEVER: usize = usize::MAX;
}

/// Places calls.
pub(crate) struct Caller {
    phone: Phone,
    script: CallerScript,
    placed: u32,
    legs: BTreeMap<String, Leg>,
}

struct Leg {
    invite: Option<Repeat>,
    branch: String,
    to: Option<String>,
    target: Option<String>,
    /// Copies of the 200 that came.
    answers: usize,
    provisional: bool,
    cancel_at: Option<Duration>,
    cancel: Option<Repeat>,
    bye_at: Option<Duration>,
    bye: Option<Repeat>,
    end: Option<End>,
    give_up: Option<Duration>,
}

impl Leg {
    fn new(branch: String, invite: String, script: &CallerScript, now: Duration) -> Self {
        Self {
            invite: Some(Repeat::new(invite, BRIDGE, now)),
            branch,
            to: None,
            target: None,
            answers: 0,
            provisional: false,
            cancel_at: script.cancel_after.map(|after| now + after),
            cancel: None,
            bye_at: None,
            bye: None,
            end: None,
            give_up: Some(now + Duration::from_secs(170)),
        }
    }

    /// Drops what was repeated often enough, or waited for long enough.
    fn give_up(&mut self, now: Duration) {
        if self.bye.as_ref().is_some_and(Repeat::is_over) {
            self.bye = None;
            self.end.get_or_insert(End::Released);
        }
        if self.cancel.as_ref().is_some_and(Repeat::is_over) {
            self.cancel = None;
        }
        if self.invite.as_ref().is_some_and(Repeat::is_over) {
            self.invite = None;
            self.end.get_or_insert(End::Refused(408));
        }
        if self.give_up.is_some_and(|at| at <= now) {
            self.give_up = None;
            self.invite = None;
        }
    }

    /// Whether it is time for CANCEL.
    fn wants_cancel(&mut self, now: Duration) -> bool {
        let wants = self.provisional && self.cancel_at.is_some_and(|at| at <= now);
        if wants {
            self.cancel_at = None;
        }
        wants
    }

    /// Request-URI and To of the BYE that is due.
    fn wants_bye(&mut self, now: Duration) -> Option<(String, String)> {
        self.bye_at.filter(|&at| at <= now)?;
        self.bye_at = None;
        self.target.clone().zip(self.to.clone())
    }

    fn next_deadline(&self) -> Option<Duration> {
        let repeats = [&self.invite, &self.cancel, &self.bye].into_iter().flatten().filter_map(Repeat::next);
        let cancel_at = self.cancel_at.filter(|_| self.provisional);
        let give_up = self.give_up.filter(|_| self.invite.is_some());
        repeats.chain(cancel_at).chain(self.bye_at).chain(give_up).min()
    }
}

impl Caller {
    pub(crate) fn new(address: &str, script: CallerScript) -> Self {
        Self { phone: Phone::new(address), script, placed: 0, legs: BTreeMap::new() }
    }

    fn request(&self, line: (&str, &str), branch: &str, (call_id, to): (&str, &str), rest: &str) -> String {
        let (here, (method, uri)) = (self.phone.address, line);
        let cseq = if method == "BYE" { 2 } else { 1 };
        let max_forwards =
            if method == "INVITE" { &self.script.max_forwards } else { "Max-Forwards: 70\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch={branch}\r\n{max_forwards}\
             From: \"Ann\" <sip:+14155550123@{here}>;tag=f{call_id}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:ann@{here}>\r\n{rest}"
        )
    }

    /// The Request-URI of the INVITE.
    fn uri(&self) -> String {
        format!("sip:{}@{BRIDGE}", self.script.dialled)
    }

    fn place(&mut self, now: Duration) {
        let call_id = format!("{}x{}", self.placed, self.phone.address.port());
        self.placed += 1;
        let branch = format!("z9hG4bKi{call_id}");
        let uri = self.uri();
        let rest = with_body(&self.script.headers, &self.script.sdp);
        let invite = self.request(("INVITE", &uri), &branch, (&call_id, &format!("<{uri}>")), &rest);
        self.phone.send(BRIDGE, invite.clone());
        self.legs.insert(call_id, Leg::new(branch, invite, &self.script, now));
    }

    fn on_invite_response(&mut self, call_id: &str, code: u16, text: &str, now: Duration) {
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        if let Some(invite) = &mut leg.invite {
            invite.pause();
        }
        match code {
            100..=199 => leg.provisional = true,
            200..=299 => self.on_answer(call_id, text, now),
            _ => self.on_refusal(call_id, code, text),
        }
    }

    fn on_answer(&mut self, call_id: &str, text: &str, now: Duration) {
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let to = header(text, "To").unwrap_or_default().to_owned();
        let target = uri_in(header(text, "Contact").unwrap_or_default()).to_owned();
        leg.invite = None;
        leg.cancel_at = None;
        leg.answers += 1;
        leg.to = Some(to.clone());
        leg.target = Some(target.clone());
        if leg.bye_at.is_none() && leg.bye.is_none() && leg.end.is_none() {
            leg.bye_at = self.script.hang_up_after.map(|after| now + after);
        }
        if leg.answers >= self.script.acks_from {
            let branch = format!("z9hG4bKa{call_id}");
            let ack = self.request(("ACK", &target), &branch, (call_id, &to), NO_BODY);
            self.phone.send(BRIDGE, ack);
        }
    }

    fn on_refusal(&mut self, call_id: &str, code: u16, text: &str) {
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        leg.invite = None;
        leg.cancel_at = None;
        leg.end.get_or_insert(End::Refused(code));
        let branch = leg.branch.clone();
        let to = header(text, "To").unwrap_or_default();
        let ack = self.request(("ACK", &self.uri()), &branch, (call_id, to), NO_BODY);
        self.phone.send(BRIDGE, ack);
    }

    fn on_response(&mut self, call_id: &str, code: u16, text: &str, now: Duration) {
        match header(text, "CSeq") {
            Some("1 INVITE") => self.on_invite_response(call_id, code, text, now),
            Some("2 BYE") if code >= 200 => {
                if let Some(leg) = self.legs.get_mut(call_id) {
                    leg.bye = None;
                    leg.end.get_or_insert(End::Released);
                }
            }
            Some("1 CANCEL") => {
                if let Some(leg) = self.legs.get_mut(call_id) {
                    leg.cancel = None;
                }
            }
            _ => {}
        }
    }

    fn on_bye(&mut self, call_id: &str, text: &str, from: SocketAddr) {
        if !self.script.bye_challenges.is_empty() {
            let (code, lines) = self.script.bye_challenges.remove(0);
            return self.phone.send(from, answer(text, code, "Prove It", "", &with_body(&lines, "")));
        }
        self.phone.send(from, answer(text, 200, "OK", "", NO_BODY));
        if let Some(leg) = self.legs.get_mut(call_id) {
            leg.bye_at = None;
            leg.end.get_or_insert(End::Released);
        }
    }

    fn cancel(&mut self, call_id: &str, now: Duration) {
        let (uri, leg) = (self.uri(), &self.legs[call_id]);
        let text = self.request(("CANCEL", &uri), &leg.branch, (call_id, &format!("<{uri}>")), NO_BODY);
        self.phone.send(BRIDGE, text.clone());
        self.legs.get_mut(call_id).expect("a leg").cancel = Some(Repeat::new(text, BRIDGE, now));
    }

    fn hang_up(&mut self, call_id: &str, target: &str, to: &str, now: Duration) {
        let branch = format!("z9hG4bKb{call_id}");
        let rest = with_body(&self.script.bye_headers, "");
        let text = self.request(("BYE", target), &branch, (call_id, to), &rest);
        self.phone.send(BRIDGE, text.clone());
        self.legs.get_mut(call_id).expect("a leg").bye = Some(Repeat::new(text, BRIDGE, now));
    }
}

impl Agent for Caller {
    fn address(&self) -> SocketAddr {
        self.phone.address
    }

    fn on_message(&mut self, text: &str, from: SocketAddr, now: Duration) {
        self.phone.messages.push(text.to_owned());
        let call_id = header(text, "Call-ID").unwrap_or_default();
        match status(text) {
            Some(code) => self.on_response(call_id, code, text, now),
            None if text.starts_with("BYE ") => self.on_bye(call_id, text, from),
            None => {}
        }
    }

    fn on_deadline(&mut self, now: Duration) {
        while self.placed < self.script.calls && now >= self.script.apart * self.placed {
            self.place(now);
        }
        let ids: Vec<String> = self.legs.keys().cloned().collect();
        for id in ids {
            let leg = self.legs.get_mut(&id).expect("a leg");
            for repeat in [&mut leg.invite, &mut leg.cancel, &mut leg.bye].into_iter().flatten() {
                if let Some((to, text)) = repeat.due(now) {
                    self.phone.send(to, text);
                }
            }
            leg.give_up(now);
            let (cancels, bye) = (leg.wants_cancel(now), leg.wants_bye(now));
            if cancels {
                self.cancel(&id, now);
            }
            if let Some((target, to)) = bye {
                self.hang_up(&id, &target, &to, now);
            }
        }
    }

    fn next_deadline(&self, start: Instant) -> Option<Instant> {
        let next_call = (self.placed < self.script.calls).then(|| self.script.apart * self.placed);
        let legs = self.legs.values().filter_map(Leg::next_deadline);
        legs.chain(next_call).min().map(|at| start + at)
    }

    fn take_sent(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.phone.sent)
    }

    fn ends(&self) -> Vec<End> {
        self.legs.values().map(|leg| leg.end.clone().unwrap_or(End::Open("caller"))).collect()
    }

    fn messages(&self) -> &[String] {
        &self.phone.messages
    }
}

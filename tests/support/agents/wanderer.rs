//! A user agent that does what a seed tells it to: it rings, answers, cancels, holds, moves and hangs up at
//! random, by the rules of a user agent, and knows in the end what it agreed on. Behind some a second
//! telephone answers too.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::dialog::DialogSide;
use super::fork::Fork;
use super::repeat::Repeat;
use super::request::Request;
use super::text::{NO_BODY, SDP, answer, header, param, status, tag, with_body};
use super::{Agent, BRIDGE, End, Outgoing, Phone};

/// One end of one call.
pub(crate) struct Wanderer {
    phone: Phone,
    calls: bool,
    rng: StdRng,
    /// The first INVITE, sent or received.
    invite: Option<String>,
    side: Option<DialogSide>,
    confirmed: bool,
    ended: bool,
    /// What it would do, and when.
    deeds: BTreeMap<(Duration, u32), Deed>,
    /// Requests that wait for their final response, by branch.
    asked: BTreeMap<String, Asked>,
    /// Final responses to INVITEs that wait for their ACK, by CSeq number.
    answered: BTreeMap<String, Repeat>,
    /// The last response to each request.
    replies: HashMap<String, String>,
    /// The ACK to each final response.
    acks: HashMap<String, String>,
    /// The reliable response that waits for its PRACK.
    reliable: Option<Repeat>,
    /// Port of the description in it; 0 for none.
    rung: u16,
    /// A reliable response had its PRACK.
    acknowledged: bool,
    /// Whoever answered beside it.
    fork: Option<Fork>,
    rseq: u32,
    /// Port of its last description that was agreed on; 0 before the first.
    agreed: u16,
    port: u16,
}

struct Asked {
    repeat: Repeat,
    text: String,
    /// The port that it offers; 0 for none.
    offers: u16,
}

/// What may be done.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Call,
    Cancel,
    Ring {
        code: u16,
        describes: bool,
        reliable: bool,
    },
    Answer,
    Refuse,
    Reinvite {
        offers: bool,
    },
    /// A re-INVITE that must be refused.
    Misoffer,
    Update {
        offers: bool,
    },
    Info,
    Options,
    Fork,
    Bye,
}

impl Wanderer {
    /// One that calls, or is called, at `address`.
    pub(crate) fn new(address: &str, seed: u64, calls: bool) -> Self {
        let mut wanderer = Self {
            phone: Phone::new(address),
            calls,
            rng: StdRng::seed_from_u64(seed),
            invite: None,
            side: None,
            confirmed: false,
            ended: false,
            deeds: BTreeMap::new(),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            replies: HashMap::new(),
            acks: HashMap::new(),
            reliable: None,
            rung: 0,
            acknowledged: false,
            fork: None,
            rseq: 0,
            agreed: 0,
            port: 6_000,
        };
        wanderer.deeds.insert((LAST, u32::MAX), Deed::Bye);
        if calls {
            wanderer.deeds.insert((Duration::ZERO, 0), Deed::Call);
            let cancels = wanderer.rng.random_range(0..4) == 0;
            wanderer.plan(if cancels { 1 } else { 0 }, |_| Deed::Cancel);
            wanderer.deeds.insert((LAST, 0), Deed::Cancel);
        }
        let wanders = wanderer.rng.random_range(0..6);
        wanderer.plan(wanders, |rng| match rng.random_range(0..12) {
            0..=2 => Deed::Reinvite { offers: true },
            3 => Deed::Reinvite { offers: false },
            4 => Deed::Misoffer,
            5..=6 => Deed::Update { offers: true },
            7 => Deed::Update { offers: false },
            8 => Deed::Info,
            9 => Deed::Options,
            10 => Deed::Fork,
            _ => Deed::Bye,
        });
        wanderer
    }

    fn plan(&mut self, count: u32, deed: impl Fn(&mut StdRng) -> Deed) {
        for _ in 0..count {
            let at = Duration::from_millis(self.rng.random_range(0..6_000));
            let key = (at, self.rng.random());
            let deed = deed(&mut self.rng);
            self.deeds.insert(key, deed);
        }
    }

    fn sdp(&self) -> String {
        SDP.replace("m=audio 6000", &format!("m=audio {}", self.port))
    }

    fn moved(&mut self) -> String {
        self.port += 2;
        match self.rng.random_range(0..6) {
            0 => self.sdp() + "a=sendonly\r\n",
            1 => self.sdp() + "a=inactive\r\n",
            2 => self.sdp() + "a=recvonly\r\n",
            3 => self.sdp().replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0"),
            _ => self.sdp(),
        }
    }

    /// Whether an offer waits for its answer; that of the first INVITE may have it before the 200.
    fn is_offering(&self) -> bool {
        self.asked.values().any(|asked| match self.invite.as_deref() == Some(&*asked.text) {
            true => self.agreed == 0,
            false => asked.offers > 0 || asked.text.starts_with("INVITE "),
        })
    }

    fn ask(&mut self, text: String, offers: u16, now: Duration) {
        let asked = Asked { repeat: Repeat::new(text.clone(), BRIDGE, now), text: text.clone(), offers };
        self.asked.insert(branch(&text), asked);
        self.phone.send(BRIDGE, text);
    }

    fn ask_inside(&mut self, method: &str, rest: &str, offers: u16, now: Duration) {
        let Some(side) = &mut self.side else { return };
        let text = side.request(method, rest);
        self.ask(text, offers, now);
    }

    fn reply(&mut self, request: &str, code: u16, rest: &str) -> String {
        let response = answer(request, code, "Said", "wanderer", rest);
        self.replies.insert(transaction(request), response.clone());
        self.phone.send(BRIDGE, response.clone());
        response
    }

    fn act(&mut self, deed: Deed, now: Duration) {
        // Of a callee's early dialog the caller is sure to know only once it acknowledged it.
        let may_ask = self.confirmed || (self.side.is_some() && (self.calls || self.acknowledged));
        match deed {
            _ if self.ended => {}
            Deed::Fork if self.confirmed => self.fork(now),
            // Nothing may overtake its own answer (RFC 3261 §14.1, §15).
            _ if self.confirmed && !self.answered.is_empty() && now < LAST => {}
            Deed::Call => self.call(now),
            Deed::Cancel => self.cancel(now),
            Deed::Ring { code, describes, reliable } if !self.confirmed => {
                self.ring(code, describes, reliable, now)
            }
            Deed::Answer if !self.confirmed => self.take_call(now),
            Deed::Refuse if !self.confirmed => self.refuse(486, now),
            Deed::Bye if self.confirmed => self.ask_inside("BYE", NO_BODY, 0, now),
            Deed::Info if may_ask => self.ask_inside("INFO", NO_BODY, 0, now),
            Deed::Options if may_ask => self.ask_inside("OPTIONS", NO_BODY, 0, now),
            Deed::Misoffer if self.confirmed && !self.is_offering() => {
                let sdp = self.sdp().replace("RTP/AVP 0 8 101", "RTP/AVP 18");
                self.ask_inside("INVITE", &with_body("", &sdp), 0, now);
            }
            Deed::Update { offers: false } if may_ask => self.ask_inside("UPDATE", NO_BODY, 0, now),
            Deed::Update { offers: true } if !self.is_offering() && may_ask => {
                let sdp = self.moved();
                self.ask_inside("UPDATE", &with_body("", &sdp), self.port, now);
            }
            Deed::Reinvite { offers } if self.confirmed && !self.is_offering() => {
                let sdp = if offers { self.moved() } else { String::new() };
                let port = if offers { self.port } else { 0 };
                self.ask_inside("INVITE", &with_body("", &sdp), port, now);
            }
            _ => {}
        }
    }

    fn call(&mut self, now: Duration) {
        let headers = HEADERS[self.rng.random_range(0..HEADERS.len())];
        let request = Request::invite(&self.phone.address.to_string()).with_headers(headers);
        let late = self.rng.random_range(0..6) == 0;
        let request = if late { Request { sdp: String::new(), ..request } } else { request };
        let invite = request.to_string();
        self.invite = Some(invite.clone());
        self.ask(invite, if late { 0 } else { self.port }, now);
    }

    fn cancel(&mut self, now: Duration) {
        let Some(invite) = self.invite.clone().filter(|_| !self.confirmed) else { return };
        let rings = self.asked.get(&branch(&invite)).is_some_and(|asked| asked.repeat.next().is_none());
        if rings {
            let (head, _) = invite.split_once("Content-").unwrap_or((&invite, ""));
            let kept =
                |line: &&str| HEADERS.iter().all(|headers| !headers.contains(*line) || line.is_empty());
            let head: Vec<_> = head.split("\r\n").filter(kept).collect();
            let text = head.join("\r\n").replace("INVITE", "CANCEL");
            let text = format!("{}\r\n{NO_BODY}", text.trim_end());
            let repeat = Repeat::new(text.clone(), BRIDGE, now);
            self.asked.insert("CANCEL".into(), Asked { repeat, text: text.clone(), offers: 0 });
            self.phone.send(BRIDGE, text);
        }
    }

    fn ring(&mut self, code: u16, describes: bool, reliable: bool, now: Duration) {
        let Some(invite) = self.invite.clone() else { return };
        let may = header(&invite, "Supported").is_some_and(|tags| tags.contains("100rel"));
        if self.reliable.is_some() {
            return;
        }
        let mut lines = format!("Contact: <sip:wanderer@{}>\r\n", self.phone.address);
        if may && reliable {
            self.rseq += 1;
            lines += &format!("Require: 100rel\r\nRSeq: {}\r\n", self.rseq);
        }
        let sdp = if describes { self.sdp() } else { String::new() };
        let response = self.reply(&invite, code, &with_body(&lines, &sdp));
        if may && reliable {
            self.reliable = Some(Repeat::new(response.clone(), BRIDGE, now));
            self.rung = if describes { self.port } else { 0 };
        }
        self.side.get_or_insert_with(|| DialogSide::of_callee(self.phone.address, &invite, &response));
    }

    fn take_call(&mut self, now: Duration) {
        let Some(invite) = self.invite.clone().filter(|_| self.reliable.is_none()) else { return };
        let headers = ANSWERS[self.rng.random_range(0..ANSWERS.len())];
        let headers = format!("Contact: <sip:wanderer@{}>\r\n{headers}", self.phone.address);
        self.port = if self.agreed == 0 { self.port } else { self.agreed };
        let ok = self.reply(&invite, 200, &with_body(&headers, &self.sdp()));
        self.side.get_or_insert_with(|| DialogSide::of_callee(self.phone.address, &invite, &ok));
        self.answered.insert(number(&invite), Repeat::new(ok, BRIDGE, now));
        self.confirmed = true;
        if self.agreed == 0 {
            self.agreed = self.port;
        }
    }

    fn fork(&mut self, now: Duration) {
        let Some(invite) = self.invite.as_ref().filter(|_| self.fork.is_none() && !self.calls) else {
            return;
        };
        let (fork, ok) = Fork::answering(self.phone.address, invite, now);
        self.fork = Some(fork);
        self.phone.send(BRIDGE, ok);
    }

    fn refuse(&mut self, code: u16, now: Duration) {
        let Some(invite) = self.invite.clone() else { return };
        let refusal = self.reply(&invite, code, NO_BODY);
        self.answered.insert(number(&invite), Repeat::new(refusal, BRIDGE, now));
        self.reliable = None;
        self.ended = true;
    }

    fn on_request(&mut self, text: &str, now: Duration) {
        if let Some(before) = self.replies.get(&transaction(text)).filter(|_| !text.starts_with("ACK ")) {
            return self.phone.send(BRIDGE, before.clone());
        }
        if tag(text, "To") == Fork::TAG {
            if let Some(reply) = self.fork.as_mut().and_then(|fork| fork.on_request(text)) {
                self.phone.send(BRIDGE, reply);
            }
            return;
        }
        let is_inside = header(text, "To").is_some_and(|to| to.contains(";tag="));
        match text.split(' ').next().unwrap_or_default() {
            "INVITE" if !is_inside => self.on_invite(text, now),
            "INVITE" if self.is_offering() || !self.answered.is_empty() => {
                let refusal = self.reply(text, 491, NO_BODY);
                self.answered.insert(number(text), Repeat::new(refusal, BRIDGE, now));
            }
            "INVITE" => {
                let contact = format!("Contact: <sip:wanderer@{}>\r\n", self.phone.address);
                let ok = self.reply(text, 200, &with_body(&contact, &self.sdp()));
                self.answered.insert(number(text), Repeat::new(ok, BRIDGE, now));
                self.agreed = self.port;
            }
            "ACK" => drop(self.answered.remove(&number(text))),
            "PRACK" => {
                (self.reliable, self.acknowledged) = (None, true);
                self.agreed = if self.agreed == 0 { self.rung } else { self.agreed };
                self.reply(text, 200, NO_BODY);
            }
            "CANCEL" => {
                self.reply(text, 200, NO_BODY);
                if !self.confirmed && !self.ended {
                    self.refuse(487, now);
                }
            }
            "BYE" => {
                self.reply(text, 200, NO_BODY);
                self.end();
            }
            "UPDATE" if self.rng.random_range(0..6) == 0 => drop(self.reply(text, 501, NO_BODY)),
            _ => drop(self.reply(text, 200, NO_BODY)),
        }
    }

    fn on_invite(&mut self, text: &str, now: Duration) {
        self.invite = Some(text.to_owned());
        self.reply(text, 100, NO_BODY);
        let rings: u64 = self.rng.random_range(0..3);
        for at in 1..=rings {
            let code = [180, 183, 182][self.rng.random_range(0..3)];
            let (describes, reliable) = (code == 183 && self.rng.random(), self.rng.random());
            let after = now + Duration::from_millis(self.rng.random_range(0..900) * at);
            self.deeds.insert((after, self.rng.random()), Deed::Ring { code, describes, reliable });
        }
        let last = if self.rng.random_range(0..8) == 0 { Deed::Refuse } else { Deed::Answer };
        for after in [self.rng.random_range(0..3_000), 4_000, 50_000] {
            self.deeds.insert((now + Duration::from_millis(after), self.rng.random()), last);
        }
    }

    fn on_response(&mut self, code: u16, text: &str, now: Duration) {
        let cseq = header(text, "CSeq").unwrap_or_default().to_owned();
        let key = if cseq.ends_with("CANCEL") { "CANCEL".to_owned() } else { branch(text) };
        if code < 200 {
            return self.on_provisional(&key, text, now);
        }
        if let Some(ack) = self.acks.get(&key) {
            return self.phone.send(BRIDGE, ack.clone());
        }
        let Some(asked) = self.asked.remove(&key) else { return };
        let is_first = self.invite.as_deref() == Some(&*asked.text);
        if asked.text.starts_with("INVITE ") {
            self.acknowledge(&asked, code, text);
        }
        match code {
            200..=299 if asked.text.starts_with("BYE ") => self.end(),
            200..=299 if asked.offers > 0 && !(is_first && self.agreed > 0) => self.agreed = asked.offers,
            300.. if is_first => self.end(),
            481 | 408 => self.end(),
            _ => {}
        }
    }

    fn on_provisional(&mut self, key: &str, text: &str, now: Duration) {
        let Some(asked) = self.asked.get_mut(key) else { return };
        asked.repeat.pause();
        let invite = asked.text.clone();
        if !header(text, "To").is_some_and(|to| to.contains(";tag=")) || status(text) == Some(100) {
            return;
        }
        let offered = asked.offers;
        self.side.get_or_insert_with(|| DialogSide::of_caller(self.phone.address, &invite, text));
        let Some(rseq) = header(text, "RSeq").and_then(|rseq| rseq.parse().ok()) else { return };
        if self.rseq > 0 && rseq != self.rseq + 1 {
            return;
        }
        self.rseq = rseq;
        let is_settled = self.agreed > 0;
        let mut sdp = String::new();
        if describes(text) && !is_settled {
            sdp = if offered == 0 { self.sdp() } else { sdp };
            self.agreed = self.port;
        } else if is_settled && !self.is_offering() && self.rng.random_range(0..3) == 0 {
            sdp = self.moved();
        }
        let offers = if is_settled && !sdp.is_empty() { self.port } else { 0 };
        self.ask_inside("PRACK", &with_body(&format!("RAck: {rseq} 1 INVITE\r\n"), &sdp), offers, now);
    }

    fn acknowledge(&mut self, asked: &Asked, code: u16, text: &str) {
        let number: u32 = number(&asked.text).parse().unwrap_or(1);
        let ack = if code < 300 {
            let side = DialogSide::of_caller(self.phone.address, &asked.text, text);
            let side = self.side.get_or_insert(side);
            let offerless = !describes(&asked.text) && describes(text);
            let port = self.port;
            let sdp = SDP.replace("m=audio 6000", &format!("m=audio {port}"));
            let rest = if offerless { with_body("", &sdp) } else { NO_BODY.to_owned() };
            if offerless {
                self.agreed = port;
            }
            self.confirmed = true;
            side.numbered("ACK", number, &rest)
        } else {
            let head: Vec<_> =
                asked.text.split("\r\n").take_while(|line| !line.starts_with("Content-")).collect();
            let to = header(text, "To").unwrap_or_default();
            let to =
                |line: &&str| if line.starts_with("To: ") { format!("To: {to}") } else { (*line).to_owned() };
            let head: Vec<_> = head.iter().map(to).collect();
            format!("{}\r\n{NO_BODY}", head.join("\r\n").replace("INVITE", "ACK"))
        };
        self.acks.insert(branch(&asked.text), ack.clone());
        self.phone.send(BRIDGE, ack);
    }

    fn end(&mut self) {
        self.ended = true;
        self.reliable = None;
        self.answered.clear();
        self.asked.retain(|_, asked| asked.text.starts_with("BYE "));
    }
}

impl Agent for Wanderer {
    fn address(&self) -> SocketAddr {
        self.phone.address
    }

    fn on_message(&mut self, text: &str, _from: SocketAddr, now: Duration) {
        self.phone.messages.push(text.to_owned());
        match status(text) {
            Some(code) => self.on_response(code, text, now),
            None => self.on_request(text, now),
        }
    }

    fn on_deadline(&mut self, now: Duration) {
        while let Some(entry) = self.deeds.first_entry().filter(|entry| entry.key().0 <= now) {
            let deed = entry.remove();
            self.act(deed, now);
        }
        let asked = self.asked.values_mut().map(|asked| &mut asked.repeat);
        let due: Vec<_> = asked
            .chain(self.answered.values_mut())
            .chain(&mut self.reliable)
            .chain(self.fork.as_mut().and_then(Fork::repeat))
            .filter_map(|repeat| repeat.due(now))
            .collect();
        for (to, text) in due {
            self.phone.send(to, text);
        }
        let unanswered = self.asked.values().any(|asked| asked.repeat.is_over());
        let unacknowledged = self.answered.values().any(Repeat::is_over);
        self.asked.retain(|_, asked| !asked.repeat.is_over());
        self.answered.retain(|_, repeat| !repeat.is_over());
        if self.reliable.as_ref().is_some_and(Repeat::is_over) {
            self.refuse(504, now);
        }
        if unanswered || unacknowledged {
            if self.confirmed && !self.ended {
                self.ask_inside("BYE", NO_BODY, 0, now);
            }
            self.end();
        }
    }

    fn next_deadline(&self, start: Instant) -> Option<Instant> {
        let asked = self.asked.values().map(|asked| &asked.repeat);
        let repeats = asked.chain(self.answered.values()).chain(&self.reliable).filter_map(Repeat::next);
        let repeats = repeats.chain(self.fork.as_ref().and_then(Fork::next_deadline));
        repeats.chain(self.deeds.keys().map(|(at, _)| *at)).min().map(|at| start + at)
    }

    fn take_sent(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.phone.sent)
    }

    fn ends(&self) -> Vec<End> {
        let is_over = (self.ended || self.invite.is_none()) && !self.fork.as_ref().is_some_and(Fork::stands);
        vec![if is_over { End::Released } else { End::Open("wanderer") }]
    }

    fn messages(&self) -> &[String] {
        &self.phone.messages
    }

    fn agreed(&self) -> Option<u16> {
        let fork = self.fork.as_ref().is_some_and(Fork::stands).then_some(Fork::PORT);
        (self.confirmed && !self.ended).then_some(self.agreed).or(fork)
    }
}

fn describes(text: &str) -> bool {
    text.contains("\r\n\r\nv=0")
}

fn branch(text: &str) -> String {
    param(header(text, "Via").unwrap_or_default(), "branch").to_owned()
}

fn transaction(text: &str) -> String {
    format!("{} {}", branch(text), header(text, "CSeq").unwrap_or_default())
}

/// Of the CSeq.
fn number(text: &str) -> String {
    header(text, "CSeq").and_then(|cseq| cseq.split(' ').next()).unwrap_or_default().to_owned()
}

/// What its INVITE may ask for.
const HEADERS: [&str; 5] = [
    "",
    "Supported: 100rel\r\n",
    "Require: 100rel\r\n",
    "Supported: timer\r\nSession-Expires: 90\r\nAllow: INVITE\r\n",
    "Supported: 100rel, timer\r\nSession-Expires: 90\r\nAllow: INVITE, UPDATE\r\n",
];

/// What its answer says beside its description.
const ANSWERS: [&str; 5] = [
    "Allow: INVITE, UPDATE\r\n",
    "Allow: INVITE\r\n",
    "Allow: INVITE, UPDATE\r\nSession-Expires: 90\r\n",
    "Allow: INVITE\r\nRequire: timer\r\nSession-Expires: 90;refresher=uac\r\n",
    "Allow: INVITE\r\nRequire: timer\r\nSession-Expires: 90;refresher=uas\r\n",
];

/// When it hangs up at last; no session of 90 s that nobody refreshes ends just then.
pub(crate) const LAST: Duration = Duration::from_secs(100);

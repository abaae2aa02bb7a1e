//! Two transaction tables, a network that loses, doubles, delays and reorders, and one virtual clock: every
//! call ends the same way on both sides, and afterwards nothing is left.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline::id::{ClientTx, Ids, ServerTx};
use trunkline::sip::build::{RequestBuilder, ResponseBuilder};
use trunkline::sip::dialog::{AnswerRepeat, RepeatEvent};
use trunkline::sip::flow::{Flow, ListenerId, Transport};
use trunkline::sip::headers::Name;
use trunkline::sip::message::{Limits, Message, Method};
use trunkline::sip::timers::Timers;
use trunkline::sip::transaction::{Action, Incoming, Table};

#[test]
fn answered_calls_are_set_up_and_torn_down_once() {
    for seed in 0..SEEDS {
        let world =
            World::run(seed, |_| Plan { final_code: 200, final_after_ms: 1_500, cancel_after_ms: None });

        for call in &world.calls {
            assert_eq!(
                (call.offered, call.outcome(), call.answered_bye),
                (1, Outcome::Final(200), true),
                "{seed}"
            );
        }
    }
}

#[test]
fn refused_calls_are_refused_once() {
    for seed in 0..SEEDS {
        let world =
            World::run(seed, |_| Plan { final_code: 486, final_after_ms: 700, cancel_after_ms: None });

        for call in &world.calls {
            assert_eq!((call.offered, call.outcome()), (1, Outcome::Final(486)), "{seed}");
        }
    }
}

#[test]
fn calls_cancelled_at_any_moment_end_with_487_or_with_the_answer_that_crossed() {
    for seed in 0..SEEDS {
        let world = World::run(seed, |call| Plan {
            final_code: 200,
            final_after_ms: 1_500,
            cancel_after_ms: Some(u64::from(call) * 80),
        });

        let outcomes: Vec<_> = world.calls.iter().map(Call::outcome).collect();
        assert!(outcomes.contains(&Outcome::Final(487)) && outcomes.contains(&Outcome::Final(200)), "{seed}");
        for call in &world.calls {
            assert_eq!(call.offered, 1, "{seed}");
            assert!(matches!(call.outcome(), Outcome::Final(487 | 200)), "{seed}: {:?}", call.outcome());
        }
    }
}

#[test]
fn a_callee_that_is_not_there_times_out_every_call() {
    let world =
        World::run_with_loss(1, 100, |_| Plan { final_code: 200, final_after_ms: 0, cancel_after_ms: None });

    for call in &world.calls {
        assert_eq!((call.offered, call.outcome()), (0, Outcome::TimedOut));
    }
    assert_eq!(world.now - world.start, Duration::from_secs(32));
}

/// What shall happen to a call.
#[derive(Clone, Copy)]
struct Plan {
    final_code: u16,
    final_after_ms: u64,
    cancel_after_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Final(u16),
    TimedOut,
}

/// Both ends of one call.
struct Call {
    plan: Plan,
    invite: ClientTx,
    caller_outcomes: Vec<Outcome>,
    /// How often the callee's user was offered the call.
    offered: u32,
    callee_invite: Option<(ServerTx, Message)>,
    final_sent: bool,
    repeat: Option<AnswerRepeat>,
    hung_up: bool,
    answered_bye: bool,
}

impl Call {
    /// What the caller was told; repeated 2xx are one.
    fn outcome(&self) -> Outcome {
        let mut outcomes = self.caller_outcomes.clone();
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "one outcome, not {outcomes:?}");
        outcomes[0]
    }
}

enum Event {
    ToCaller(Bytes),
    ToCallee(Bytes),
    Cancel(usize),
    Decide(usize),
}

struct World {
    start: Instant,
    now: Instant,
    random: Ids,
    loss_percent: u64,
    caller: Table,
    callee: Table,
    events: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    calls: Vec<Call>,
}

impl World {
    fn run(seed: u64, plan: impl Fn(u8) -> Plan) -> Self {
        Self::run_with_loss(seed, 25, plan)
    }

    /// All calls at once, from the first INVITE to the last timer.
    fn run_with_loss(seed: u64, loss_percent: u64, plan: impl Fn(u8) -> Plan) -> Self {
        let start = Instant::now();
        let mut random = Ids::new([seed as u8; 32], 1);
        let calls = (0..CALLS).map(|call| Call::new(plan(call), random.client_tx())).collect();
        let mut world = Self {
            start,
            now: start,
            random,
            loss_percent,
            caller: Table::new(Timers::default()),
            callee: Table::new(Timers::default()),
            events: BTreeMap::new(),
            scheduled: 0,
            calls,
        };
        for call in 0..world.calls.len() {
            world.place(call);
        }
        while world.step() {}
        assert!(world.caller.is_empty() && world.callee.is_empty(), "transactions are left");
        world
    }

    fn place(&mut self, call: usize) {
        let tx = self.calls[call].invite;
        self.request(call, tx, Method::Invite);
        if let Some(ms) = self.calls[call].plan.cancel_after_ms {
            self.schedule(Duration::from_millis(ms), Event::Cancel(call));
        }
    }

    /// Goes to whatever is next; false when nothing is.
    fn step(&mut self) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let repeats = self.calls.iter().filter_map(|call| Some(call.repeat.as_ref()?.next_deadline())).min();
        let timers = [self.caller.next_deadline(), self.callee.next_deadline(), repeats, event];
        let Some(next) = timers.into_iter().flatten().min() else { return false };
        assert!(next >= self.now, "time runs backwards");
        self.now = next;

        let mut out = Vec::new();
        self.caller.on_deadline(next, &mut out);
        self.carry_out_for_caller(out);
        let mut out = Vec::new();
        self.callee.on_deadline(next, &mut out);
        self.carry_out_for_callee(out);
        self.repeat_answers();
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= next) {
            match entry.remove() {
                Event::ToCaller(bytes) => self.caller_receives(bytes),
                Event::ToCallee(bytes) => self.callee_receives(bytes),
                Event::Cancel(call) => self.cancel(call),
                Event::Decide(call) => self.decide(call),
            }
        }
        true
    }

    fn request(&mut self, call: usize, tx: ClientTx, method: Method<'_>) {
        let bytes = self.outgoing(call, tx, method);
        let mut out = Vec::new();
        self.caller.request(tx, method, bytes, flow(), self.now, &mut out);
        self.carry_out_for_caller(out);
    }

    fn outgoing(&self, call: usize, tx: ClientTx, method: Method<'_>) -> Bytes {
        let to_tag = if method == Method::Invite { "" } else { ";tag=callee" };
        let cseq = if method == Method::Bye { 2 } else { 1 };
        RequestBuilder::new(method, &"sip:+14155550101@callee.example")
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("<sip:+14155550100@caller.example>;tag=caller-{call}"))
            .header(Name::To, format_args!("<sip:+14155550101@callee.example>{to_tag}"))
            .header(Name::CallId, call)
            .header(Name::CSeq, format_args!("{cseq} {}", method.as_str()))
            .no_body()
            .with_via(Transport::Udp, "192.0.2.1:5060", &self.random.branch(tx))
    }

    fn carry_out_for_caller(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { bytes, .. } => self.transmit(bytes, Event::ToCallee),
                Action::Response { tx, message } => self.caller_is_told(tx, &message),
                Action::TimedOut { tx } => {
                    if let Some(call) = self.calls.iter_mut().find(|call| call.invite == tx) {
                        call.caller_outcomes.push(Outcome::TimedOut);
                    }
                }
                Action::ClientGone { .. } | Action::NoAck { .. } | Action::ServerGone { .. } => {}
            }
        }
    }

    fn caller_is_told(&mut self, tx: ClientTx, response: &Message) {
        let code = response.status().expect("a response has a status");
        let Some(call) = self.calls.iter().position(|call| call.invite == tx) else {
            self.calls[number(response)].answered_bye |= code == 200;
            return;
        };
        if code < 200 {
            return;
        }
        self.calls[call].caller_outcomes.push(Outcome::Final(code));
        if code == 200 {
            let ack = self.random.client_tx();
            self.transmit(self.outgoing(call, ack, Method::Ack), Event::ToCallee);
            if !std::mem::replace(&mut self.calls[call].hung_up, true) {
                let bye = self.random.client_tx();
                self.request(call, bye, Method::Bye);
            }
        }
    }

    fn caller_receives(&mut self, bytes: Bytes) {
        let response = parsed(bytes);
        let branch = response.top_branch().expect("a branch");
        let tx = self.random.parse_branch(branch).expect("a branch of ours");
        let mut out = Vec::new();
        self.caller.on_response(tx, &response, self.now, &mut out);
        self.carry_out_for_caller(out);
    }

    fn cancel(&mut self, call: usize) {
        let mut out = Vec::new();
        self.caller.cancel(self.calls[call].invite, None, self.now, &mut out);
        self.carry_out_for_caller(out);
    }

    fn carry_out_for_callee(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::Send { bytes, .. } = action {
                self.transmit(bytes, Event::ToCaller);
            }
        }
    }

    fn callee_receives(&mut self, bytes: Bytes) {
        let request = parsed(bytes);
        let call = number(&request);
        let mut out = Vec::new();
        let incoming = self.callee.on_request(&request, flow(), self.now, &mut out);
        self.carry_out_for_callee(out);
        match incoming {
            Incoming::New(tx) if request.method() == Some(Method::Invite) => {
                self.calls[call].offered += 1;
                self.respond(tx, &request, 100);
                self.respond(tx, &request, 180);
                self.calls[call].callee_invite = Some((tx, request));
                let after = Duration::from_millis(self.calls[call].plan.final_after_ms);
                self.schedule(after, Event::Decide(call));
            }
            Incoming::New(tx) => {
                self.calls[call].repeat = None;
                self.respond(tx, &request, 200);
            }
            Incoming::Cancel { cancel, .. } => {
                self.respond(cancel, &request, 200);
                self.finish(call, 487);
            }
            Incoming::CancelUnknown(tx) => self.respond(tx, &request, 481),
            Incoming::Ack => self.calls[call].repeat = None,
            Incoming::Absorbed => {}
            Incoming::Merged(_) => panic!("no request goes two ways here"),
        }
    }

    fn decide(&mut self, call: usize) {
        self.finish(call, self.calls[call].plan.final_code);
    }

    fn finish(&mut self, call: usize, code: u16) {
        if std::mem::replace(&mut self.calls[call].final_sent, true) {
            return;
        }
        let (tx, invite) = self.calls[call].callee_invite.clone().expect("the INVITE came");
        self.respond(tx, &invite, code);
        if code == 200 {
            self.calls[call].repeat = Some(AnswerRepeat::start(Timers::default(), self.now));
        }
    }

    fn repeat_answers(&mut self) {
        for call in 0..self.calls.len() {
            let now = self.now;
            match self.calls[call].repeat.as_mut().and_then(|repeat| repeat.on_deadline(now)) {
                Some(RepeatEvent::SendAgain) => {
                    let (tx, invite) = self.calls[call].callee_invite.clone().expect("it was answered");
                    self.respond(tx, &invite, 200);
                }
                Some(RepeatEvent::GiveUp) => self.calls[call].repeat = None,
                None => {}
            }
        }
    }

    fn respond(&mut self, tx: ServerTx, request: &Message, code: u16) {
        let tag = (code > 100).then_some("callee");
        let bytes = ResponseBuilder::new(request, code, "", tag, flow().remote).no_body();
        let mut out = Vec::new();
        self.callee.respond(tx, code, bytes, self.now, &mut out);
        self.carry_out_for_callee(out);
    }

    /// Loses, doubles and delays.
    fn transmit(&mut self, bytes: Bytes, direction: fn(Bytes) -> Event) {
        let copies = if self.random.random() % 100 < 10 { 2 } else { 1 };
        for _ in 0..copies {
            if self.random.random() % 100 >= self.loss_percent {
                let delay = Duration::from_millis(1 + self.random.random() % 300);
                self.schedule(delay, direction(bytes.clone()));
            }
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + after, self.scheduled), event);
    }
}

impl Call {
    fn new(plan: Plan, invite: ClientTx) -> Self {
        Self {
            plan,
            invite,
            caller_outcomes: Vec::new(),
            offered: 0,
            callee_invite: None,
            final_sent: false,
            repeat: None,
            hung_up: false,
            answered_bye: false,
        }
    }
}

/// The Call-ID is the place of the call.
fn number(message: &Message) -> usize {
    let call_id = message.call_id().expect("a Call-ID");
    str::from_utf8(call_id).expect("digits").parse().expect("a number")
}

fn flow() -> Flow {
    let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
    Flow { transport: Transport::Udp, listener: ListenerId(0), remote, connection: None, domain: None }
}

fn parsed(bytes: Bytes) -> Message {
    Message::parse(bytes, &Limits::default()).expect("what we send is well formed")
}

const SEEDS: u64 = 20;
const CALLS: u8 = 40;

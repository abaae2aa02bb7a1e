//! What the transaction table makes of messages: matching, absorbing, repeating, cancelling (RFC
//! 3261 §17, §9; RFC 6026).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline::id::{ClientTx, Ids, ServerTx};
use trunkline::sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use trunkline::sip::message::{Limits, Message, Method};
use trunkline::sip::timers::Timers;
use trunkline::sip::transaction::{Action, Incoming, Table};

#[test]
fn a_repeated_request_is_absorbed_and_gets_the_last_response_again() {
    let mut bed = Bed::new(Transport::Udp);
    let bye = request("BYE", "z9hG4bKbye", "192.0.2.1:5060", ";tag=ours");
    let tx = new(bed.receive(&bye));

    assert_eq!(bed.receive(&bye), Incoming::Absorbed);
    assert_eq!(bed.sent(), NOTHING);
    bed.respond(tx, 200);
    bed.sent();

    assert_eq!(bed.receive(&bye), Incoming::Absorbed);
    assert_eq!(bed.sent(), ["SIP/2.0 200"]);
}

#[test]
fn an_answered_invite_absorbs_repeats_in_silence_and_its_user_repeats_the_answer() {
    let mut bed = Bed::new(Transport::Udp);
    let invite = request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "");
    let tx = new(bed.receive(&invite));
    bed.respond(tx, 180);
    bed.respond(tx, 200);
    bed.sent();

    assert_eq!(bed.receive(&invite), Incoming::Absorbed);
    assert_eq!(bed.sent(), NOTHING);
    bed.respond(tx, 200);
    assert_eq!(bed.sent(), ["SIP/2.0 200"]);
    bed.run_to_end();

    assert_eq!(bed.gone_after_ms(), [32_000]);
}

#[test]
fn the_ack_to_a_refusal_is_absorbed_and_that_to_an_answer_is_not() {
    let mut bed = Bed::new(Transport::Udp);
    let refused = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));
    let answered = new(bed.receive(&other_call("INVITE", "z9hG4bKb")));
    bed.respond(refused, 486);
    bed.respond(answered, 200);

    let ack = request("ACK", "z9hG4bKa", "192.0.2.1:5060", ";tag=ours");
    assert_eq!(bed.receive(&ack), Incoming::Absorbed);
    assert_eq!(bed.receive(&other_call("ACK", "z9hG4bKb")), Incoming::Ack);
    assert_eq!(bed.receive(&other_call("ACK", "z9hG4bKnew")), Incoming::Ack);
    assert_eq!(bed.table.len(), 2, "an ACK has no transaction of its own");
}

#[test]
fn a_refusal_without_ack_is_repeated_and_reported() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));
    bed.respond(tx, 486);

    bed.run_to_end();

    assert_eq!(bed.sent(), ["SIP/2.0 486"; 11]);
    assert!(matches!(bed.actions[..], [Action::NoAck { .. }, Action::ServerGone { .. }]));
}

#[test]
fn a_cancel_finds_its_invite_by_branch_and_is_answered_again_when_repeated() {
    let mut bed = Bed::new(Transport::Udp);
    let invite = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));
    let cancel = request("CANCEL", "z9hG4bKa", "192.0.2.1:5060", "");

    let Incoming::Cancel { cancel: tx, invite: found } = bed.receive(&cancel) else { panic!("no cancel") };
    bed.respond(tx, 200);
    bed.respond(invite, 487);

    assert_eq!(found, invite);
    assert_eq!(bed.sent(), ["SIP/2.0 200", "SIP/2.0 487"]);
    assert_eq!(bed.receive(&cancel), Incoming::Absorbed);
    assert_eq!(bed.sent(), ["SIP/2.0 200"]);
}

#[test]
fn a_cancel_of_nothing_is_told_apart() {
    let mut bed = Bed::new(Transport::Udp);
    bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", ""));

    let elsewhere = bed.receive(&request("CANCEL", "z9hG4bKb", "192.0.2.1:5060", ""));

    assert!(matches!(elsewhere, Incoming::CancelUnknown(_)));
}

#[test]
fn the_same_branch_of_another_sender_is_another_transaction() {
    let mut bed = Bed::new(Transport::Udp);
    new(bed.receive(&request("OPTIONS", "z9hG4bKa", "192.0.2.1:5060", ";tag=x")));

    for sent_by in ["192.0.2.1:5062", "192.0.2.1", "192.0.2.2:5060", "[2001:db8::1]:5060"] {
        new(bed.receive(&request("OPTIONS", "z9hG4bKa", sent_by, ";tag=x")));
    }
    new(bed.receive(&request("INFO", "z9hG4bKa", "192.0.2.1:5060", ";tag=x")));

    assert_eq!(bed.table.len(), 6);
}

#[test]
fn a_host_name_is_the_same_sender_in_any_case() {
    let mut bed = Bed::new(Transport::Udp);
    new(bed.receive(&request("OPTIONS", "z9hG4bKa", "pbx.example:5060", ";tag=x")));

    let again = bed.receive(&request("OPTIONS", "z9hG4bKa", "PBX.Example:5060", ";tag=x"));

    assert_eq!(again, Incoming::Absorbed);
}

#[test]
fn the_same_request_by_another_path_is_merged() {
    let mut bed = Bed::new(Transport::Udp);
    let first = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));

    let second = bed.receive(&request("INVITE", "z9hG4bKb", "192.0.2.1:5060", ""));
    let within = bed.receive(&request("INVITE", "z9hG4bKc", "192.0.2.1:5060", ";tag=ours"));

    assert!(matches!(second, Incoming::Merged(tx) if tx != first));
    assert!(matches!(within, Incoming::New(_)), "a request inside a dialog is never merged");
}

#[test]
fn a_request_is_not_merged_with_one_that_is_over() {
    let mut bed = Bed::new(Transport::Udp);
    let first = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));
    bed.respond(first, 401);
    bed.receive(&request("ACK", "z9hG4bKa", "192.0.2.1:5060", ";tag=ours"));
    bed.run_to_end();

    new(bed.receive(&request("INVITE", "z9hG4bKb", "192.0.2.1:5060", "")));
}

#[test]
fn a_request_that_comes_again_after_its_transaction_is_new() {
    let mut bed = Bed::new(Transport::Udp);
    let bye = request("BYE", "z9hG4bKbye", "192.0.2.1:5060", ";tag=ours");
    let tx = new(bed.receive(&bye));
    bed.respond(tx, 200);
    bed.run_to_end();

    let again = new(bed.receive(&bye));

    assert_ne!(again, tx);
}

#[test]
fn without_the_magic_cookie_requests_match_as_in_rfc_2543() {
    for via in ["192.0.2.1:5060", "192.0.2.1:5060;branch=1"] {
        let mut bed = Bed::new(Transport::Udp);
        let invite = new(bed.receive(&old_request("INVITE", via, "1", "")));
        bed.respond(invite, 486);

        assert_eq!(bed.receive(&old_request("INVITE", via, "1", "")), Incoming::Absorbed);
        assert_eq!(bed.receive(&old_request("ACK", via, "1", ";tag=ours")), Incoming::Absorbed);
        let cancel = bed.receive(&old_request("CANCEL", via, "1", ""));
        assert!(matches!(cancel, Incoming::Cancel { invite: found, .. } if found == invite));
        assert!(matches!(bed.receive(&old_request("INVITE", via, "2", "")), Incoming::New(_)));
    }
}

#[test]
fn looking_a_request_up_creates_nothing() {
    let mut bed = Bed::new(Transport::Udp);
    let invite = request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "");
    let ack = request("ACK", "z9hG4bKa", "192.0.2.1:5060", ";tag=ours");
    let cancel = request("CANCEL", "z9hG4bKa", "192.0.2.1:5060", "");

    assert!(![&invite, &ack, &cancel].into_iter().any(|request| bed.table.matches(request)));
    assert!(bed.table.is_empty());
    bed.receive(&invite);

    assert!([&invite, &ack, &cancel].into_iter().all(|request| bed.table.matches(request)));
    assert_eq!(bed.table.flow_of(&cancel), Some(flow(Transport::Udp)));
    assert!(!bed.table.matches(&other_call("INVITE", "z9hG4bKb")));
    assert_eq!(bed.table.len(), 1);
}

#[test]
fn every_provisional_and_every_2xx_of_a_fork_is_delivered() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();

    for (code, tag) in [(100, ""), (180, "one"), (180, "two"), (200, "one"), (200, "two"), (200, "one")] {
        assert!(bed.answer(tx, code, "INVITE", tag));
    }

    assert_eq!(bed.delivered(), [100, 180, 180, 200, 200, 200]);
    bed.sent();
    bed.run_to_end();
    assert_eq!(bed.sent(), NOTHING, "an answered INVITE sends nothing by itself");
    assert_eq!(bed.gone_after_ms(), [32_000]);
}

#[test]
fn a_refusal_is_delivered_once_and_acknowledged_every_time() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    bed.sent();

    bed.answer(tx, 486, "INVITE", "theirs");
    bed.answer(tx, 486, "INVITE", "theirs");

    assert_eq!(bed.delivered(), [486]);
    let acks = bed.sent_messages();
    assert_eq!(acks.len(), 2);
    for ack in &acks {
        assert_eq!(ack.method(), Some(Method::Ack));
        assert_eq!(ack.to_tag(), Some(&b"theirs"[..]));
        assert_eq!(ack.top_branch(), Some(bed.ids.branch(tx).as_bytes()));
        assert_eq!(ack.cseq().expect("CSeq").number, 1);
    }
}

#[test]
fn cancel_before_any_provisional_waits_for_it() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    bed.sent();

    bed.table.cancel(tx, Some("SIP;cause=200"), bed.now, &mut bed.actions);
    assert_eq!(bed.sent(), NOTHING);
    bed.answer(tx, 100, "INVITE", "");

    let cancels = bed.sent_messages();
    assert_eq!(cancels.len(), 1);
    assert_eq!(cancels[0].method(), Some(Method::Cancel));
    assert_eq!(cancels[0].top_branch(), Some(bed.ids.branch(tx).as_bytes()));
    assert_eq!(cancels[0].value_named("Reason").as_deref(), Some(&b"SIP;cause=200"[..]));
}

#[test]
fn the_answer_to_our_cancel_is_ours_alone_and_the_refusal_is_the_user_s() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    bed.answer(tx, 180, "INVITE", "theirs");
    bed.table.cancel(tx, None, bed.now, &mut bed.actions);
    bed.sent();

    assert!(bed.answer(tx, 200, "CANCEL", "theirs"));
    assert!(bed.answer(tx, 487, "INVITE", "theirs"));

    assert_eq!(bed.delivered(), [180, 487]);
    assert_eq!(bed.sent(), ["ACK"]);
    bed.run_to_end();
    assert_eq!(bed.gone_after_ms(), [32_000]);
    assert!(bed.table.is_empty());
}

#[test]
fn our_cancel_is_repeated_until_given_up_and_so_is_its_invite_then() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    bed.answer(tx, 180, "INVITE", "theirs");
    bed.delivered();
    bed.sent();
    bed.table.cancel(tx, None, bed.now, &mut bed.actions);

    bed.run_to_end();

    assert_eq!(bed.sent(), ["CANCEL"; 11]);
    assert!(matches!(bed.actions[..], [Action::TimedOut { .. }, Action::ClientGone { .. }]));
    assert_eq!(bed.gone_after_ms(), [32_000]);
    assert!(bed.table.is_empty());
}

#[test]
fn nothing_is_cancelled_after_a_final_response() {
    for code in [200, 486] {
        let mut bed = Bed::new(Transport::Udp);
        let tx = bed.invite();
        bed.answer(tx, 180, "INVITE", "theirs");
        bed.answer(tx, code, "INVITE", "theirs");
        bed.sent();

        bed.table.cancel(tx, None, bed.now, &mut bed.actions);

        assert_eq!(bed.sent(), NOTHING);
    }
}

#[test]
fn the_bytes_of_a_request_go_as_soon_as_it_has_its_final_response() {
    for code in [200, 486] {
        let mut bed = Bed::new(Transport::Udp);
        let tx = bed.ids.client_tx();
        let invite = bed.outgoing("INVITE", tx);
        let at = (flow(Transport::Udp), bed.now);
        bed.table.request(tx, Method::Invite, invite.clone(), at.0, at.1, &mut bed.actions);
        bed.answer(tx, 180, "INVITE", "theirs");
        bed.actions.clear();
        assert!(!invite.is_unique(), "a CANCEL may need it");

        bed.answer(tx, code, "INVITE", "theirs");
        bed.actions.clear();

        assert!(invite.is_unique(), "{code}");
        assert_eq!(bed.table.len(), 1);
    }
}

#[test]
fn a_response_to_another_method_or_branch_matches_nothing() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    let stranger = bed.ids.client_tx();

    assert!(!bed.answer(tx, 200, "BYE", "theirs"));
    assert!(!bed.answer(tx, 200, "CANCEL", "theirs"));
    assert!(!bed.answer(stranger, 200, "INVITE", "theirs"));

    assert_eq!(bed.delivered(), [0_u16; 0]);
}

#[test]
fn a_failed_send_ends_the_client_transaction_and_its_user_hears_it_from_the_driver() {
    let mut bed = Bed::new(Transport::Tcp);
    let tx = bed.invite();
    bed.actions.clear();

    bed.table.on_transport_failed(tx, bed.now, &mut bed.actions);

    assert!(matches!(bed.actions[..], [Action::ClientGone { tx: gone }] if gone == tx));
    assert!(bed.table.is_empty());
}

#[test]
fn only_the_request_itself_is_owned_not_the_cancel_and_the_ack() {
    let mut bed = Bed::new(Transport::Udp);
    let tx = bed.invite();
    bed.answer(tx, 180, "INVITE", "theirs");
    bed.table.cancel(tx, None, bed.now, &mut bed.actions);
    bed.answer(tx, 487, "INVITE", "theirs");

    let owners = bed.actions.iter().filter_map(|action| match action {
        Action::Send { of, .. } => Some(*of),
        _ => None,
    });

    assert_eq!(owners.collect::<Vec<_>>(), [Some(tx), None, None]);
}

#[test]
fn a_request_that_could_not_go_by_tcp_goes_by_udp_with_fresh_timers() {
    let mut bed = Bed::new(Transport::Tcp);
    let tx = bed.invite();
    bed.sent();
    bed.now += Duration::from_secs(1);
    let again = bed.outgoing("INVITE", tx);

    bed.table.resend(tx, again, flow(Transport::Udp), bed.now, &mut bed.actions);

    let Some(Action::Send { flow: by, .. }) = bed.actions.first() else { panic!("nothing sent") };
    assert_eq!(by.transport, Transport::Udp);
    bed.run_to_end();
    assert_eq!(bed.sent(), ["INVITE"; 7], "the first and six retransmissions");
    assert_eq!(bed.gone_after_ms(), [33_000]);
}

#[test]
fn a_request_whose_connection_is_gone_goes_once_more_as_it_is_by_a_new_one() {
    let mut bed = Bed::new(Transport::Tcp);
    let (tx, by) = (bed.ids.client_tx(), Flow { connection: Some(ConnectionId(1)), ..flow(Transport::Tcp) });
    let (first, remote) = (bed.outgoing("INVITE", tx), "192.0.2.9:5060".parse().unwrap());
    bed.table.request(tx, Method::Invite, first.clone(), by, bed.now, &mut bed.actions);
    bed.actions.clear();
    let lost = bed.table.unanswered_by(ConnectionId(1), remote);

    let again = bed.table.send_again(tx, bed.now, &mut bed.actions);
    let Some(Action::Send { bytes, flow: by, of }) = bed.actions.pop() else { panic!("nothing sent") };
    let once_more = bed.table.send_again(tx, bed.now, &mut bed.actions);

    assert_eq!((lost, again, once_more), (vec![tx], true, false));
    assert_eq!((bytes, by.connection, of), (first, None, Some(tx)));
    assert!(bed.actions.is_empty());
}

#[test]
fn nothing_goes_again_that_was_answered_or_cancelled_or_went_another_way() {
    let (own, other) = (flow(Transport::Tcp).remote, "192.0.2.9:5060".parse().unwrap());
    for (transport, remote, cancelled, answer) in [
        (Transport::Udp, own, false, None),
        (Transport::Tcp, other, false, None),
        (Transport::Tcp, own, true, None),
        (Transport::Tcp, own, false, Some(100)),
        (Transport::Tcp, own, false, Some(200)),
    ] {
        let mut bed = Bed::new(transport);
        let tx = bed.invite();
        if cancelled {
            bed.table.cancel(tx, None, bed.now, &mut bed.actions);
        }
        if let Some(code) = answer {
            bed.answer(tx, code, "INVITE", "theirs");
        }

        let lost = bed.table.unanswered_by(ConnectionId(1), remote);
        let is_waited_for = !cancelled && answer.is_none();
        let again = bed.table.send_again(tx, bed.now, &mut bed.actions);

        assert_eq!(lost, [], "{transport:?} {remote} {cancelled} {answer:?}");
        assert_eq!(again, is_waited_for, "{transport:?} {remote} {cancelled} {answer:?}");
    }
}

#[test]
fn on_a_stream_what_is_answered_is_gone_except_answered_invites() {
    let mut bed = Bed::new(Transport::Tcp);
    let bye = new(bed.receive(&request("BYE", "z9hG4bKbye", "192.0.2.1:5060", ";tag=ours")));
    let refused = new(bed.receive(&request("INVITE", "z9hG4bKa", "192.0.2.1:5060", "")));
    bed.respond(bye, 200);
    bed.respond(refused, 486);
    bed.receive(&request("ACK", "z9hG4bKa", "192.0.2.1:5060", ";tag=ours"));
    let ours = bed.invite();
    bed.answer(ours, 486, "INVITE", "theirs");
    assert!(bed.table.is_empty());
    assert_eq!(bed.table.next_deadline(), None);

    let answered = new(bed.receive(&other_call("INVITE", "z9hG4bKb")));
    bed.respond(answered, 200);

    assert_eq!(bed.table.len(), 1);
}

/// A table under a virtual clock, and what it has asked for.
struct Bed {
    table: Table,
    ids: Ids,
    transport: Transport,
    start: Instant,
    now: Instant,
    actions: Vec<Action>,
    gone: Vec<Instant>,
}

impl Bed {
    fn new(transport: Transport) -> Self {
        let start = Instant::now();
        Self {
            table: Table::new(Timers::default()),
            ids: Ids::new([7; 32], 1),
            transport,
            start,
            now: start,
            actions: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn receive(&mut self, request: &Message) -> Incoming {
        self.table.on_request(request, flow(self.transport), self.now, &mut self.actions)
    }

    fn respond(&mut self, tx: ServerTx, code: u16) {
        let bytes = Bytes::from(format!("SIP/2.0 {code} Reason\r\nContent-Length: 0\r\n\r\n"));
        self.table.respond(tx, code, bytes, self.now, &mut self.actions);
    }

    fn invite(&mut self) -> ClientTx {
        let tx = self.ids.client_tx();
        let bytes = self.outgoing("INVITE", tx);
        self.table.request(tx, Method::Invite, bytes, flow(self.transport), self.now, &mut self.actions);
        tx
    }

    fn outgoing(&self, method: &str, tx: ClientTx) -> Bytes {
        request(method, &self.ids.branch(tx), "192.0.2.9:5060", "").raw().clone()
    }

    fn answer(&mut self, tx: ClientTx, code: u16, method: &str, tag: &str) -> bool {
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let response = parsed(&format!(
            "SIP/2.0 {code} Reason\r\n\
             Via: SIP/2.0/UDP 192.0.2.9:5060;branch={}\r\n\
             From: <sip:+14155550100@caller.example>;tag=caller\r\n\
             To: <sip:+14155550101@callee.example>{tag}\r\n\
             Call-ID: call-1\r\n\
             CSeq: 1 {method}\r\n\
             Content-Length: 0\r\n\r\n",
            self.ids.branch(tx)
        ));
        self.table.on_response(tx, &response, self.now, &mut self.actions)
    }

    /// Fires every timer there is.
    fn run_to_end(&mut self) {
        while let Some(now) = self.table.next_deadline() {
            assert!(now >= self.now, "time runs backwards");
            self.now = now;
            let before = self.actions.len();
            self.table.on_deadline(now, &mut self.actions);
            let gone = self.actions[before..]
                .iter()
                .filter(|action| matches!(action, Action::ServerGone { .. } | Action::ClientGone { .. }));
            self.gone.extend(gone.map(|_| now));
        }
    }

    fn gone_after_ms(&self) -> Vec<u128> {
        self.gone.iter().map(|at| (*at - self.start).as_millis()).collect()
    }

    /// What was sent since the last look: each method, or version and code.
    fn sent(&mut self) -> Vec<String> {
        self.take_sent().iter().map(summary).collect()
    }

    fn sent_messages(&mut self) -> Vec<Message> {
        let parse = |bytes| Message::parse(bytes, &Limits::default()).expect("what we send is well formed");
        self.take_sent().into_iter().map(parse).collect()
    }

    fn take_sent(&mut self) -> Vec<Bytes> {
        let mut sent = Vec::new();
        self.actions.retain(|action| match action {
            Action::Send { bytes, .. } => {
                sent.push(bytes.clone());
                false
            }
            _ => true,
        });
        sent
    }

    fn delivered(&mut self) -> Vec<u16> {
        let mut codes = Vec::new();
        self.actions.retain(|action| match action {
            Action::Response { message, .. } => {
                codes.push(message.status().expect("a response has a status"));
                false
            }
            _ => true,
        });
        codes
    }
}

fn summary(bytes: &Bytes) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<_> = text.split(' ').take(2).collect();
    if words[0] == "SIP/2.0" { words.join(" ") } else { words[0].to_owned() }
}

fn new(incoming: Incoming) -> ServerTx {
    match incoming {
        Incoming::New(tx) => tx,
        other => panic!("{other:?} in place of a new transaction"),
    }
}

fn flow(transport: Transport) -> Flow {
    let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
    Flow { transport, listener: ListenerId(0), remote, connection: None, domain: None }
}

fn request(method: &str, branch: &str, sent_by: &str, to_tag: &str) -> Message {
    written(method, &format!("{sent_by};branch={branch}"), "call-1", "1", to_tag)
}

fn other_call(method: &str, branch: &str) -> Message {
    written(method, &format!("192.0.2.1:5060;branch={branch}"), "call-2", "1", "")
}

fn old_request(method: &str, via: &str, cseq: &str, to_tag: &str) -> Message {
    written(method, via, "call-1", cseq, to_tag)
}

fn written(method: &str, via: &str, call_id: &str, cseq: &str, to_tag: &str) -> Message {
    parsed(&format!(
        "{method} sip:+14155550101@callee.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP {via}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:+14155550100@caller.example>;tag=caller\r\n\
         To: <sip:+14155550101@callee.example>{to_tag}\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: {cseq} {method}\r\n\
         Content-Length: 0\r\n\r\n"
    ))
}

fn parsed(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
        .expect("a well-formed message")
}

const NOTHING: [&str; 0] = [];

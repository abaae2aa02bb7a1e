//! The connection that a caller opened is lost in the middle of its call (RFC 3261 §12.2.1.1, §18): the BYE
//! goes by a new one to where its Contact says that it listens, never to the port of the lost one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/line.rs"]
mod line;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::net::TcpListener;

use line::Line;
use phone::{Phone, follow_up, header};
use process::{Net, Process};

#[test]
fn after_its_connection_was_closed_the_caller_is_told_by_a_new_one_at_its_contact() {
    let call = Call::place(|net| format!("sip:{}:5070;transport=tcp", net.trunk()));

    drop(call.line);
    call.callee.send(&call.bye_of_callee);

    let mut anew = Line::plain(call.bridge.eventually("a connection", || call.listener.accept().ok()).0);
    let bye = anew.expect("BYE ");
    anew.send(call.caller.response(&bye, "200 OK"));
    call.bridge.eventually("the end", || call.bridge.calls().is_empty().then_some(()));
}

#[test]
fn a_bye_that_was_lost_with_the_connection_goes_again_by_a_new_one_to_the_contact() {
    let mut call = Call::place(|net| format!("sip:{}:5070;transport=tcp", net.trunk()));

    call.callee.send(&call.bye_of_callee);
    let lost = call.line.expect("BYE ");
    drop(call.line);

    let mut anew = Line::plain(call.bridge.eventually("a connection", || call.listener.accept().ok()).0);
    let bye = anew.expect("BYE ");
    assert_eq!(header(&bye, "Via"), header(&lost, "Via"), "it is the same request");
    anew.send(call.caller.response(&bye, "200 OK"));
    call.bridge.eventually("the end", || call.bridge.calls().is_empty().then_some(()));
}

#[test]
fn a_contact_that_cannot_be_reached_still_says_at_which_port_of_its_address_the_caller_listens() {
    let call = Call::place(|_| "sip:0.0.0.0:5070".to_owned());

    drop(call.line);
    call.callee.send(&call.bye_of_callee);

    let mut anew = Line::plain(call.bridge.eventually("a connection", || call.listener.accept().ok()).0);
    anew.expect("BYE ");
}

/// An answered call of a trunk that came by TCP.
struct Call {
    bridge: Process,
    caller: Phone,
    callee: Phone,
    /// The caller's connection.
    line: Line,
    /// Where the caller listens.
    listener: TcpListener,
    bye_of_callee: String,
}

impl Call {
    fn place(contact: impl Fn(Net) -> String) -> Self {
        let net = Net::new();
        let bridge = Process::start(net, &net.config());
        let [caller, callee] = [net.trunk(), net.retell()].map(|ip| Phone::new(ip, net.sip()));
        let listener = TcpListener::bind((net.trunk(), 5070)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut line = Line::plain(line::connect(net.trunk(), net.sip()));
        let invite = caller.invite("+14155550100", "").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        let invite = invite.replace(header(&invite, "Contact"), &format!("<{}>", contact(net)));
        line.send(&invite);
        let offered = callee.expect("INVITE ");
        callee.answer(&offered, "200 OK");
        callee.expect("ACK ");
        let ok = line.expect("SIP/2.0 200 ");
        line.send(follow_up(&invite, &ok, "ACK", 1));
        let bye_of_callee =
            phone::Call { caller: &caller, callee: &callee, invite, ok, offered }.bye_of_callee();
        bridge.eventually("answered", || (bridge.calls()[0]["state"] == "answered").then_some(()));
        Self { bridge, caller, callee, line, listener, bye_of_callee }
    }
}

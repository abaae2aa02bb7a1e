//! `[[interfaces]]` on real sockets: a PBX on the LAN beside Retell on the Internet, IPv4 on one leg and IPv6
//! on the other, and what a reload may change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use phone::{Call, Phone, header};
use process::{Net, Process};

#[test]
fn each_leg_shows_its_own_interface_and_leaves_by_it() {
    let net = Net::new();
    let outside = net.ip(11);
    let interfaces = interface("internet", outside, "advertise = \"203.0.113.10\"")
        + &interface("lan", net.bridge(), &format!("networks = [\"{}\"]", net.trunk()));
    let _bridge = Process::start(net, &config(net, &interfaces));
    let pbx = Phone::new(net.trunk(), net.sip());
    let retell = Phone::new(net.retell(), (outside, 5060).into());

    let to_retell = Call::place(&pbx, &retell, "+14155550100");

    shows(&to_retell.ok, net.bridge(), &[PUBLIC, outside, net.retell()]);
    shows(&to_retell.offered, PUBLIC, &[net.bridge(), outside, net.trunk()]);
    hear_each_other(&to_retell, [net.bridge(), outside]);
    to_retell.hang_up();
    assert_eq!(retell.heard_from.get(), Some((outside, 5060).into()));
    assert_eq!(pbx.heard_from.get(), Some((net.bridge(), 5060).into()));

    let to_the_pbx = Call::place(&retell, &pbx, "+14155550123");

    shows(&to_the_pbx.ok, PUBLIC, &[net.bridge(), outside, net.trunk()]);
    shows(&to_the_pbx.offered, net.bridge(), &[PUBLIC, outside, net.retell()]);
    hear_each_other(&to_the_pbx, [outside, net.bridge()]);
    pbx.send(to_the_pbx.bye_of_callee());
    pbx.expect("SIP/2.0 200 ");
    let bye = retell.expect("BYE ");
    assert!(header(&bye, "Via").contains("203.0.113.10:5060"), "{bye}");
    retell.answer(&bye, "200 OK");
}

#[test]
fn interfaces_on_one_address_show_each_peer_the_one_that_is_for_it() {
    let net = Net::new();
    let interfaces = interface("internet", net.bridge(), "advertise = \"203.0.113.10\"")
        + &interface("lan", net.bridge(), "");
    let by_info = "interface = \"lan\"\n[trunks.profile]\ndtmf = \"info\"\n";
    let lan = format!("{}{by_info}", config(net, &interfaces));
    let _bridge = Process::start(net, &lan);
    let (pbx, retell) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()));

    let to_retell = Call::place(&pbx, &retell, "+14155550100");
    shows(&to_retell.ok, net.bridge(), &[PUBLIC, net.retell()]);
    shows(&to_retell.offered, PUBLIC, &[net.bridge(), net.trunk()]);
    press_five(&retell, (net.bridge(), port_in(&to_retell.offered)).into());
    let info = pbx.expect("INFO ");
    pbx.answer(&info, "200 OK");
    retell.send(to_retell.bye_of_callee());
    let bye = pbx.expect("BYE ");
    pbx.answer(&bye, "200 OK");
    let to_the_pbx = Call::place(&retell, &pbx, "+14155550123");
    shows(&to_the_pbx.ok, PUBLIC, &[net.bridge(), net.trunk()]);
    shows(&to_the_pbx.offered, net.bridge(), &[PUBLIC, net.retell()]);
    pbx.send(to_the_pbx.bye_of_callee());
    let told = retell.expect("BYE ");

    for own in [&info, &bye] {
        assert!(header(own, "Via").contains(&format!("{}:5060", net.bridge())), "{own}");
    }
    assert!(header(&told, "Via").contains("203.0.113.10:5060"), "{told}");
}

#[test]
fn a_trunk_over_ipv4_talks_to_retell_over_ipv6() {
    let net = Net::new();
    let mut retell = Phone::at_free_ports(Ipv6Addr::LOCALHOST.into(), net.sip());
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let interfaces = interface("v4", net.bridge(), "") + &interface("v6", v6, "");
    let config = config(net, &interfaces)
        .replace(&format!("sip:{}:5060", net.retell()), &format!("sip:{}", retell.at))
        .replace(&format!("[\"{}\"]", net.retell()), "[\"::1\"]");
    let listen = "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"udp:[::]:0\"]\n";
    let bridge = Process::start(net, &format!("{listen}{config}"));
    retell.bridge = listener(&bridge, "[::1]:");
    let trunk = Phone::new(net.trunk(), net.sip());

    let call = Call::place(&trunk, &retell, "+14155550100");

    shows(&call.ok, net.bridge(), &["::1"]);
    let (via, contact) = (header(&call.offered, "Via"), header(&call.offered, "Contact"));
    assert!(via.contains(&retell.bridge.to_string()), "{via}");
    assert_eq!(contact, format!("<sip:{}>", retell.bridge));
    assert!(call.offered.contains("\r\nc=IN IP6 ::1\r\n"), "{}", call.offered);
    assert!(!call.offered.contains(&format!("{}", net.bridge())), "{}", call.offered);
    call.exchange_audio(1);
    call.hang_up();
}

#[test]
fn a_desk_on_the_lan_takes_over_from_a_dead_agent_on_the_internet_at_an_address_of_the_lan() {
    let net = Net::new();
    let (outside, desk) = (net.ip(11), net.ip(4));
    let interfaces = interface("internet", outside, "advertise = \"203.0.113.10\"")
        + &interface("lan", net.bridge(), &format!("networks = [\"{}\", \"{desk}\"]", net.trunk()));
    let dies = format!("trust_address = true\nagent_silence_s = 1\nfallback = \"sip:desk@{desk}:5060\"\n");
    let config = config(net, &interfaces).replace("trust_address = true\n", &dies);
    let _bridge = Process::start(net, &config);
    let [pbx, desk] = [net.trunk(), desk].map(|ip| Phone::new(ip, net.sip()));
    let agent = Phone::new(net.retell(), (outside, 5060).into());
    let call = Call::place(&pbx, &agent, "+14155550100");
    hear_each_other(&call, [net.bridge(), outside]);

    agent.answer(&agent.expect("BYE "), "200 OK");
    let offered = desk.expect("INVITE ");
    desk.answer(&offered, "200 OK");
    desk.expect("ACK ");

    shows(&offered, net.bridge(), &[PUBLIC, outside, net.retell()]);
    let taken_over = Call { callee: &desk, offered, ..call };
    hear_each_other(&taken_over, [net.bridge(), net.bridge()]);
    taken_over.hang_up();
}

#[test]
fn an_offer_of_ipv6_alone_to_an_ipv4_interface_is_told_488_with_a_warning() {
    let net = Net::new();
    let bridge = Process::start(net, &net.config());
    let trunk = Phone::new(net.trunk(), net.sip());

    trunk.send(in_ipv6(&trunk.invite("+14155550100", "")));

    let refusal = trunk.expect("SIP/2.0 488 ");
    let warning = format!("301 {} \"Incompatible network address formats\"", net.bridge());
    assert_eq!(header(&refusal, "Warning"), warning);
    let record = bridge.eventually("a record", || bridge.records().pop());
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.starts_with("no media address of the address family of the caller"), "{reason}");
}

#[test]
fn a_reload_moves_networks_and_refuses_addresses_by_name() {
    let net = Net::new();
    let inside = "networks = [\"192.168.0.0/16\"]";
    let config = |lan: &str| {
        let first = interface("internet", net.bridge(), "advertise = \"203.0.113.10\"");
        config(net, &(first + &interface("lan", net.bridge(), lan)))
    };
    let bridge = Process::start(net, &config(inside));
    let (pbx, retell) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.retell(), net.sip()));
    let before = Call::place(&pbx, &retell, "+14155550100");

    let advertised = config(&format!("{inside}\nadvertise = \"203.0.113.11\""));
    let refused = bridge.reload(&advertised, "reload refused");
    bridge.reload(&config(&format!("networks = [\"{}\"]", net.trunk())), "configuration reloaded");

    assert!(refused.iter().any(|line| line.contains("interfaces.advertise")), "{refused:#?}");
    shows(&before.ok, PUBLIC, &[net.bridge()]);
    before.hang_up();
    let after = Call::place(&pbx, &retell, "+14155550100");
    shows(&after.ok, net.bridge(), &[PUBLIC]);
    shows(&after.offered, PUBLIC, &[net.bridge()]);
}

/// `message` names `own` as ours in Via (if it is a request), Contact and SDP, and none of `others` anywhere.
fn shows(message: &str, own: impl Into<IpAddr>, others: &[impl ToString]) {
    let own = own.into();
    if !message.starts_with("SIP/2.0") {
        assert!(header(message, "Via").starts_with(&format!("SIP/2.0/UDP {own}:5060;")), "{message}");
        assert!(header(message, "From").contains(&format!("@{own}>")), "{message}");
    }
    assert_eq!(header(message, "Contact"), format!("<sip:{own}:5060>"));
    assert!(message.contains(&format!("\r\nc=IN IP4 {own}\r\n")), "{message}");
    for other in others.iter().map(ToString::to_string) {
        assert!(!ours(message).contains(&other), "{other} in {message}");
    }
}

/// `message` without what a response has to give back of its request.
fn ours(message: &str) -> String {
    let echoed = ["Via: ", "From: ", "To: ", "Call-ID: "];
    let is_ours =
        |line: &&str| !message.starts_with("SIP/2.0") || !echoed.iter().any(|name| line.starts_with(name));
    message.lines().filter(is_ours).skip(usize::from(!message.starts_with("SIP/2.0"))).collect()
}

/// Both ends send a packet to our address of theirs in `bridge`, caller's first, and hear it from there.
fn hear_each_other(call: &Call<'_>, bridge: [Ipv4Addr; 2]) {
    let reached = |description: &str, own: Ipv4Addr| description.replace("203.0.113.10", &own.to_string());
    let [toward_caller, toward_callee] = bridge;
    call.caller.send_audio(&reached(&call.ok, toward_caller), 1);
    assert_eq!(call.callee.hear_audio_from().ip(), IpAddr::from(toward_callee));
    call.callee.send_audio(&reached(&call.offered, toward_callee), 1);
    assert_eq!(call.caller.hear_audio_from().ip(), IpAddr::from(toward_caller));
}

/// Presses a key as a telephone event (RFC 4733): its end, three times over.
fn press_five(phone: &Phone, relay: SocketAddr) {
    for sequence in 1..=3 {
        let event = [5, 0x80 | 10, 3, 0x20];
        let head = [0x80, 101, 0, sequence, 0, 0, 0, 1, 9, 9, 9, 9];
        phone.media.send_to(&[&head[..], &event[..]].concat(), relay).unwrap();
    }
}

fn port_in(description: &str) -> u16 {
    let line = description.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

/// The listener of `bridge` at an address that begins with `start`, as the log tells it.
fn listener(bridge: &Process, start: &str) -> SocketAddr {
    bridge.eventually("a listener in the log", || {
        let log = bridge.log();
        let line = log.iter().find(|line| line.contains("listening for SIP") && line.contains(start))?;
        let address = line.split_once("address=")?.1;
        address.split(' ').next()?.parse().ok()
    })
}

fn in_ipv6(invite: &str) -> String {
    let (head, body) = invite.split_once("\r\n\r\n").unwrap();
    let v4 = body.split("c=IN ").nth(1).unwrap().split("\r\n").next().unwrap();
    let new = body.replace(v4, "IP6 2001:db8::7");
    let lengths = [body, &new].map(|body| format!("Content-Length: {}", body.len()));
    format!("{}\r\n\r\n{new}", head.replace(&lengths[0], &lengths[1]))
}

fn interface(name: &str, address: impl Into<IpAddr>, keys: &str) -> String {
    format!("[[interfaces]]\nname = \"{name}\"\naddress = \"{}\"\n{keys}\n", address.into())
}

/// One peer of each kind, which the keys of a trunk may follow.
fn config(net: Net, interfaces: &str) -> String {
    let sockets = format!("[http]\nlisten = \"{}:8080\"\n[records]\nfile = \"calls.jsonl\"\n", net.bridge());
    sockets + interfaces + &net.retell_peer() + &Net::trunk_peer("pbx", net.trunk())
}

/// What the world sees of us.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

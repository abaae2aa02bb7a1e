//! Whole calls over TLS through the running process: what its messages say, where they go when a peer cannot
//! be believed, and what a reload changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/line.rs"]
mod line;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use certificates::{Authority, Issued};
use line::{Line, Socketed};
use phone::{Phone, follow_up, header};
use process::{Net, Process, Signal};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

#[test]
fn calls_go_over_tls_in_both_directions_and_say_so() {
    let site = Site::serve(";transport=tls", "sip");
    for (caller, callee, socket) in
        [(&site.trunk, &site.retell, &site.retell_socket), (&site.retell, &site.trunk, &site.trunk_socket)]
    {
        let mut call = site.call(caller, callee, socket, "sip");
        let contact = format!("<sip:{}:5061;transport=tls>", site.bridge.net.bridge());

        let via = format!("SIP/2.0/TLS {}:5061;", site.bridge.net.bridge());
        assert!(header(&call.offered, "Via").starts_with(&via), "{}", call.offered);
        assert_eq!((header(&call.offered, "Contact"), header(&call.ok, "Contact")), (&*contact, &*contact));
        assert!(!call.offered.contains("sips:"), "{}", call.offered);
        caller.send_audio(&call.ok, 1);
        assert_eq!(callee.hear_audio(), 172);
        callee.send_audio(&call.offered, 1);
        assert_eq!(caller.hear_audio(), 172);
        call.is_ended_by_callee(callee);
    }
    for (method, direction) in [("INVITE", "in"), ("INVITE", "out"), ("BYE", "in"), ("BYE", "out")] {
        let labels = format!("transport=\"tls\",method=\"{method}\",direction=\"{direction}\"");
        assert!(site.bridge.metric(&format!("trunkline_sip_messages_total{{{labels}}}")) > 0.0, "{labels}");
    }
    assert!(site.bridge.metric("trunkline_tls_certificate_expiry_seconds") > 0.0);
}

#[test]
fn sips_is_answered_by_sips_and_called_by_sips() {
    let site = Site::serve("", "sips");

    let mut call = site.call(&site.trunk, &site.retell, &site.retell_socket, "sips");

    let contact = format!("<sips:{}:5061>", site.bridge.net.bridge());
    assert!(call.offered.starts_with("INVITE sips:+14155550100@"), "{}", call.offered);
    assert_eq!((header(&call.offered, "Contact"), header(&call.ok, "Contact")), (&*contact, &*contact));
    call.is_ended_by_callee(&site.retell);
}

#[test]
fn a_target_that_cannot_prove_its_name_is_passed_over_and_the_log_says_why() {
    let net = Net::new();
    let impostor = net.ip(9);
    let site = Site::serve_with(net, Authority::new("Test"), &config_before(net, impostor));
    let socket = Socketed::bind(impostor, &Authority::new("Other").issue(&[&impostor.to_string()]));

    let mut line = Line::dial(site.trunk.ip, tls_of(net), &site.authority);
    line.send(over_tls(&site.trunk.invite("+14155550100", "")));
    socket.is_refused();
    let mut callee = site.retell_socket.accept();
    let offered = callee.expect("INVITE ");
    callee.send(site.retell.response(&offered, "486 Busy Here"));

    line.expect("SIP/2.0 480 ");
    site.eventually_logs("call ended");
    let log = site.bridge.log();
    let told = |line: &&String| line.contains("has signed it") && line.contains(&impostor.to_string());
    assert_eq!(log.iter().filter(told).count(), 1, "{log:#?}");
}

#[test]
fn a_target_that_refuses_our_certificate_is_passed_over_and_the_log_says_why() {
    let net = Net::new();
    let choosy = net.ip(9);
    let site = Site::serve_with(net, Authority::new("Test"), &config_before(net, choosy));
    let issued = site.authority.issue(&[&choosy.to_string()]);
    let socket = Socketed::bind_for(choosy, &issued, &Authority::new("Other"));

    let mut line = Line::dial(site.trunk.ip, tls_of(net), &site.authority);
    line.send(over_tls(&site.trunk.invite("+14155550100", "")));
    socket.is_refused();
    site.retell_socket.accept().expect("INVITE ");

    site.eventually_logs("the peer refuses our part in TLS");
    let told = |line: &String| line.contains("UnknownCA") && line.contains(&choosy.to_string());
    assert!(site.bridge.log().iter().any(told), "{:#?}", site.bridge.log());
}

#[test]
fn a_target_that_stalls_in_the_handshake_is_passed_over_after_4_s() {
    let net = Net::new();
    let stalling = TcpListener::bind((net.ip(9), 5061)).unwrap();
    let site = Site::serve_with(net, Authority::new("Test"), &config_before(net, net.ip(9)));

    let mut line = Line::dial(site.trunk.ip, tls_of(net), &site.authority);
    line.send(over_tls(&site.trunk.invite("+14155550100", "")));
    let begun = Instant::now();
    let _stalled = stalling.accept().unwrap();
    let mut callee = site.retell_socket.accept();
    callee.expect("INVITE ");

    let took = begun.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn sighup_shows_a_new_certificate_and_ends_no_call_and_a_bad_one_changes_nothing() {
    let mut site = Site::serve(";transport=tls", "sip");
    let mut call = site.call(&site.trunk, &site.retell, &site.retell_socket, "sip");
    let renewed = site.authority.issue(&[&site.bridge.net.bridge().to_string()]);
    let shown =
        |site: &Site| Line::dial(site.trunk.ip, tls_of(site.bridge.net), &site.authority).peer.unwrap();
    let first = shown(&site);

    site.bridge.write("own.key", &renewed.key);
    site.bridge.signal(Signal::HangUp);
    site.eventually_logs("does not belong to the certificate");
    assert_eq!(shown(&site), first);
    site.bridge.write("own.pem", &renewed.certificate);
    site.bridge.signal(Signal::HangUp);
    site.eventually_logs("configuration reloaded");

    assert_eq!(shown(&site), CertificateDer::from_pem_slice(renewed.certificate.as_bytes()).unwrap());
    call.is_ended_by_callee(&site.retell);
    assert!(site.bridge.runs());
}

#[test]
fn a_peer_without_the_certificate_that_is_required_is_named_in_the_log() {
    let net = Net::new();
    let config = config(net, ";transport=tls", "sip").replace("[tls]\n", "[tls]\nmtls = \"require\"\n");
    let site = Site::serve_with(net, Authority::new("Test"), &config);

    Line::dial(site.trunk.ip, tls_of(net), &site.authority);

    site.eventually_logs("no agreement on TLS");
    let count = "trunkline_sip_rejected_total{reason=\"handshake\"}";
    assert_eq!(site.bridge.metric(count), 1.0);
}

#[test]
fn a_stranger_is_not_even_shown_the_certificate() {
    let site = Site::serve(";transport=tls", "sip");
    let net = site.bridge.net;
    let mut stream = line::connect(net.stranger(), tls_of(net));

    let mut got = Vec::new();
    let _ = stream.write_all(&line::client_hello(&site.authority));
    let _ = stream.read_to_end(&mut got);

    assert_eq!(got, b"");
    site.eventually_logs(&format!("source={}:", net.stranger()));
    assert_eq!(site.bridge.metric("trunkline_sip_rejected_total{reason=\"stranger\"}"), 1.0);
    assert_eq!(site.bridge.metric("trunkline_sip_rejected_total{reason=\"handshake\"}"), 0.0);
}

#[test]
fn a_target_outside_of_allow_may_open_a_connection_of_its_own_for_its_call() {
    let net = Net::new();
    let elsewhere = format!("allow = [\"{}\"]", net.ip(200));
    let config =
        config(net, ";transport=tls", "sip").replace(&format!("allow = [\"{}\"]", net.trunk()), &elsewhere);
    let site = Site::serve_with(net, Authority::new("Test"), &config);
    let mut call = site.call(&site.retell, &site.trunk, &site.trunk_socket, "sip");

    call.to = Line::dial(site.trunk.ip, tls_of(net), &site.authority);

    call.is_ended_by_callee(&site.trunk);
}

#[test]
fn who_writes_a_name_that_leads_nowhere_into_its_contact_has_to_prove_what_it_proved_before() {
    let net = Net::new();
    let nowhere = format!("[dns]\nservers = [\"{}:53\"]\n", net.ip(9));
    let site =
        Site::serve_with(net, Authority::new("Test"), &(config(net, ";transport=tls", "sip") + &nowhere));
    let (mut from, invite) = site.invite(&site.trunk, "sip");
    let mut to = site.retell_socket.accept();
    let offered = to.expect("INVITE ");
    let ok = over_tls(&site.retell.response(&offered, "200 OK"));
    let contact = format!("<sip:{}:5061;transport=tls>", net.retell());
    to.send(ok.replace(&contact, "<sip:agent@edge.example;transport=tls>"));
    to.expect("ACK ");
    let ok = from.expect("SIP/2.0 200 ");
    from.send(follow_up(&invite, &ok, "ACK", 1));

    drop(to);

    let mut anew = site.retell_socket.accept();
    let asked = anew.expect("OPTIONS sip:agent@edge.example");
    anew.send(over_tls(&site.retell.response(&asked, "200 OK")));
    from.send(follow_up(&invite, &ok, "BYE", 2));
    anew.expect("BYE ");
}

/// A bridge with nothing but TLS, and its two peers.
struct Site {
    bridge: Process,
    authority: Authority,
    trunk: Phone,
    trunk_socket: Socketed,
    retell: Phone,
    retell_socket: Socketed,
}

impl Site {
    /// Both peers' URIs begin with `scheme` and end in `rest`.
    fn serve(rest: &str, scheme: &str) -> Self {
        let net = Net::new();
        Self::serve_with(net, Authority::new("Test"), &config(net, rest, scheme))
    }

    fn serve_with(net: Net, authority: Authority, config: &str) -> Self {
        let own = authority.issue(&[&net.bridge().to_string()]);
        let files = [("ca.pem", &*authority.pem()), ("own.pem", &own.certificate), ("own.key", &own.key)];
        let bridge = Process::start_in(net, config, &files, &[]);
        let issued = |names: &[&str]| -> Issued { authority.issue(names) };
        Self {
            trunk: Phone::new(net.trunk(), tls_of(net)),
            trunk_socket: Socketed::bind(net.trunk(), &issued(&["trunk.example"])),
            retell: Phone::new(net.retell(), tls_of(net)),
            retell_socket: Socketed::bind(net.retell(), &issued(&[&net.retell().to_string()])),
            bridge,
            authority,
        }
    }

    /// An answered call.
    fn call(&self, caller: &Phone, callee: &Phone, socket: &Socketed, scheme: &str) -> TlsCall {
        let (mut from, invite) = self.invite(caller, scheme);
        let mut to = socket.accept();
        let offered = to.expect("INVITE ");
        to.send(over_tls(&callee.response(&offered, "200 OK")));
        to.expect("ACK ");
        let ok = from.expect("SIP/2.0 200 ");
        from.send(follow_up(&invite, &ok, "ACK", 1));
        TlsCall { from, to, offered, ok }
    }

    /// A call that begins.
    fn invite(&self, caller: &Phone, scheme: &str) -> (Line, String) {
        let mut from = Line::dial(caller.ip, tls_of(self.bridge.net), &self.authority);
        let invite = over_tls(&caller.invite("+14155550100", ""));
        let invite = invite.replacen("INVITE sip:", &format!("INVITE {scheme}:"), 1);
        from.send(&invite);
        (from, invite)
    }

    fn eventually_logs(&self, text: &str) {
        let logged = || self.bridge.log().iter().any(|line| line.contains(text)).then_some(());
        self.bridge.eventually(text, logged);
    }
}

/// A call as both its ends know it.
struct TlsCall {
    from: Line,
    to: Line,
    /// What reached the callee.
    offered: String,
    ok: String,
}

impl TlsCall {
    /// The callee hangs up by its connection, and the caller hears of it by its own.
    fn is_ended_by_callee(&mut self, callee: &Phone) {
        let (offered, ip) = (&self.offered, callee.ip);
        let contact = header(offered, "Contact").trim_matches(['<', '>']);
        self.to.send(format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/TLS {ip}:5061;branch=z9hG4bK-bye-{ip}\r\n\
             Max-Forwards: 70\r\n\
             From: {};tag=to\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            header(offered, "To"),
            header(offered, "From"),
            header(offered, "Call-ID")
        ));
        self.to.expect("SIP/2.0 200 ");
        let bye = self.from.expect("BYE ");
        self.from.send(callee.response(&bye, "200 OK"));
    }
}

/// A message of a phone as it stands on a TLS connection.
fn over_tls(message: &str) -> String {
    message.replace("SIP/2.0/UDP", "SIP/2.0/TLS").replace(":5060>", ":5061;transport=tls>")
}

fn config(net: Net, rest: &str, scheme: &str) -> String {
    let (bridge, retell, trunk) = (net.bridge(), net.retell(), net.trunk());
    let sockets = net
        .sockets()
        .replace(&format!("\"udp:{bridge}:5060\", \"tcp:{bridge}:5060\""), &format!("\"tls:{bridge}:5061\""));
    let port = if rest.is_empty() { "" } else { ":5061" };
    format!(
        "{sockets}[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\nca = \"ca.pem\"\n\
         [[retell]]\nname = \"retell\"\nuri = \"{scheme}:{retell}{port}{rest}\"\nallow = [\"{retell}\"]\n\
         trust_address = true\n\
         [[trunks]]\nname = \"carrier\"\nuri = \"{scheme}:{trunk}{port}{rest}\"\nallow = [\"{trunk}\"]\n\
         tls_name = \"trunk.example\"\ncountry = \"US\"\n"
    )
}

/// With a target in front of Retell's.
fn config_before(net: Net, first: Ipv4Addr) -> String {
    let retell = format!("\"sip:{}:5061;transport=tls\"", net.retell());
    let targets = format!("[\"sip:{first}:5061;transport=tls\", {retell}]");
    config(net, ";transport=tls", "sip").replace(&format!("uri = {retell}"), &format!("uri = {targets}"))
}

fn tls_of(net: Net) -> SocketAddr {
    (net.bridge(), 5061).into()
}

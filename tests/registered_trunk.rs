//! A trunk that we register at: who calls the registered Contact is that trunk, its Service-Route is taken,
//! and a new configuration moves the registration.
#![allow(clippy::unwrap_used)]

#[path = "support/calls.rs"]
mod calls;

use std::sync::Arc;
use std::time::Duration;

use calls::{
    BRIDGE, ByHand, Network, Request, STRANGER, TRUNK, Way, Weather, answer, ask, header, routes, status,
    uri_in,
};
use trunkline::config::reader::{Secret, SecretSource};
use trunkline::routing::config::{CalledNumber, Config};
use trunkline::sip::uri::Uri;

#[test]
fn an_invite_to_the_registered_contact_is_the_trunks_whatever_its_source() {
    let (mut network, contact) = registered(&config(Way::ToRetell));
    let stranger = network.add(ByHand::new(STRANGER));
    let invite = Request {
        uri: contact,
        to: "<sip:+14155550177@carrier.example>".into(),
        ..Request::invite(STRANGER)
    };

    let told = ask(&mut network, stranger, &invite.to_string());

    assert_eq!(status(&told[0]), Some(100), "{told:#?}");
    let offered = network.received(RETELL_AGENT, "INVITE ")[0];
    assert!(offered.starts_with("INVITE sip:+14155550177@"), "{offered}");
    assert_eq!(network.bridge.trunks()[0].calls, 1);
}

#[test]
fn a_contact_that_is_almost_right_gets_nothing() {
    let (mut network, contact) = registered(&config(Way::ToRetell));
    let stranger = network.add(ByHand::new(STRANGER));
    let user = contact.strip_prefix("sip:").unwrap().split('@').next().unwrap().to_owned();
    let last = if user.ends_with('0') { "1" } else { "0" };

    for wrong in [format!("{}{last}", &user[..user.len() - 1]), user[1..].to_owned(), format!("{user}0")] {
        for method in ["INVITE", "OPTIONS", "REGISTER"] {
            let request = Request { uri: format!("sip:{wrong}@{BRIDGE}"), ..Request::invite(STRANGER) };
            let told = ask(&mut network, stranger, &request.of_method(method).to_string());
            assert_eq!(told, [""; 0], "{method} {wrong}");
        }
    }
}

#[test]
fn the_number_behind_the_contact_is_the_called_party_then_to_then_the_account() {
    for (headers, to, place, expected) in [
        (
            "P-Called-Party-ID: <sip:+14155550111@h>\r\n",
            "+14155550122",
            CalledNumber::RequestUri,
            "+14155550111",
        ),
        ("", "+14155550122", CalledNumber::RequestUri, "+14155550122"),
        ("", "contact", CalledNumber::RequestUri, "+14155550144"),
        ("", "contact", CalledNumber::To, "+14155550144"),
        ("P-Called-Party-ID: <sip:+14155550111@h>\r\n", "+14155550122", CalledNumber::To, "+14155550122"),
    ] {
        let mut config = config(Way::ToRetell);
        config.trunks[0].peer.called_number = place;
        config.extensions = vec![("acct".to_owned(), "+14155550144".to_owned())];
        let (mut network, contact) = registered(&config);
        let stranger = network.add(ByHand::new(STRANGER));
        let to = if to == "contact" { contact.clone() } else { format!("sip:{to}@carrier.example") };
        let invite = Request { uri: contact, to: format!("<{to}>"), ..Request::invite(STRANGER) };

        ask(&mut network, stranger, &invite.with_headers(headers).to_string());

        let offered = network.received(RETELL_AGENT, "INVITE ")[0];
        assert!(offered.starts_with(&format!("INVITE sip:{expected}@")), "{headers} {to}: {offered}");
    }
}

#[test]
fn the_contact_stands_in_no_record() {
    let (mut network, contact) = registered(&config(Way::ToRetell));
    let stranger = network.add(ByHand::new(STRANGER));
    let user = contact.strip_prefix("sip:").unwrap().split('@').next().unwrap().to_owned();
    let refused = Request { uri: contact, max_forwards: "0".into(), ..Request::invite(STRANGER) };

    let told = ask(&mut network, stranger, &refused.to_string());

    assert_eq!(status(&told[0]), Some(483), "{told:#?}");
    let record = format!("{:?}", network.bridge.world.records);
    assert!(record.contains("+14155550100") && !record.contains(&user), "{record}");
}

#[test]
fn options_to_the_contact_are_answered_and_register_is_still_refused() {
    let (mut network, contact) = registered(&config(Way::ToRetell));
    let stranger = network.add(ByHand::new(STRANGER));
    let request = Request { uri: contact, ..Request::invite(STRANGER) };

    let told = ask(&mut network, stranger, &request.clone().of_method("OPTIONS").to_string());
    assert_eq!(status(&told[0]), Some(200));
    let other = Request { branch: "other".into(), call_id: "other".into(), ..request };
    let told = ask(&mut network, stranger, &other.of_method("REGISTER").to_string());
    assert_eq!(status(&told[0]), Some(405));
}

#[test]
fn a_registered_trunk_that_challenges_challenges_its_contact_too() {
    let mut config = config(Way::ToRetell);
    config.trunks[0].peer.challenge = true;
    let (mut network, contact) = registered(&config);
    let stranger = network.add(ByHand::new(STRANGER));
    let invite = Request { uri: contact, ..Request::invite(STRANGER) };

    let told = ask(&mut network, stranger, &invite.to_string());

    assert_eq!(status(&told[0]), Some(401));
}

#[test]
fn calls_to_the_trunk_take_the_service_route_and_so_do_their_cancel_and_ack() {
    let mut network = begun(&config(Way::ToTrunk));
    let router = network.add(ByHand::new("198.51.100.99:5080"));
    let service = "Service-Route: <sip:198.51.100.99:5080;lr;cookie=a.B>, <sip:inner.example;lr>\r\n";
    accept(&mut network, service, 3_600);
    let caller = network.add(ByHand::new(calls::RETELL));
    let invite = Request::invite(calls::RETELL);
    ask(&mut network, caller, &invite.to_string());
    let offered = network.received(router, "INVITE ")[0].to_owned();
    assert!(offered.starts_with("INVITE sip:+14155550100@198.51.100.7 SIP/2.0"), "{offered}");
    let way = ["<sip:198.51.100.99:5080;lr;cookie=a.B>", "<sip:inner.example;lr>"];
    assert_eq!(routes_of(&offered), way);

    ask(&mut network, router, &answer(&offered, 180, "Ringing", "far", calls::NO_BODY));
    ask(&mut network, caller, &Request { headers: String::new(), ..invite.of_method("CANCEL") }.to_string());
    let cancel = network.received(router, "CANCEL ")[0].to_owned();
    ask(&mut network, router, &answer(&cancel, 200, "OK", "far", calls::NO_BODY));
    ask(&mut network, router, &answer(&offered, 487, "Request Terminated", "far", calls::NO_BODY));

    assert_eq!(routes_of(&cancel), way);
    assert_eq!(routes_of(network.received(router, "ACK ")[0]), way);
    assert!(network.received(TRUNK_AGENT, "INVITE ").is_empty(), "nothing goes past the router");
}

#[test]
fn an_outbound_proxy_comes_before_the_service_route_and_is_where_calls_go() {
    let mut config = config(Way::ToTrunk);
    let proxy = format!("sip:{TRUNK};lr");
    config.trunks[0].spelling.outbound_proxy = Some(Uri::parse(proxy.as_bytes()).unwrap());
    let mut network = begun(&config);
    let router = network.add(ByHand::new("198.51.100.99:5080"));
    accept(&mut network, "Service-Route: <sip:198.51.100.99:5080;lr>, <sip:inner.example;lr>\r\n", 3_600);

    ask(&mut network, RETELL_AGENT, &Request::invite(calls::RETELL).to_string());

    let offered = network.received(TRUNK_AGENT, "INVITE ")[0];
    let way = [format!("<{proxy}>"), "<sip:198.51.100.99:5080;lr>".into(), "<sip:inner.example;lr>".into()];
    assert_eq!(routes_of(offered), way);
    assert!(network.received(router, "INVITE ").is_empty());
}

#[test]
fn a_binding_is_renewed_in_time_and_lost_when_nobody_renews_it() {
    let mut network = begun(&config(Way::ToRetell));
    accept(&mut network, "", 100);
    network.wait(Duration::from_secs(76));
    assert_eq!(cseqs(&network), ["1 REGISTER", "2 REGISTER"]);
    accept(&mut network, "", 100);

    network.wait(Duration::from_secs(101));

    let shown = network.bridge.trunks()[0].registration.clone().unwrap();
    assert_eq!((shown.state, shown.reason.as_deref()), ("failed", Some("no registrar answers")));
    assert_eq!((shown.registrar, shown.expires), (None, None));
}

#[test]
fn a_registrar_that_never_answers_is_asked_again_after_the_back_off() {
    let mut network = begun(&config(Way::ToRetell));

    network.wait(Duration::from_secs(32 + 60));

    assert_eq!(cseqs(&network), ["1 REGISTER", "2 REGISTER"]);
    assert_eq!(network.received(TRUNK_AGENT, "REGISTER ")[1], network.received(TRUNK_AGENT, "REGISTER ")[0]);
    accept(&mut network, "", 100);
    assert_eq!(network.bridge.trunks()[0].registration.as_ref().unwrap().state, "registered");
}

#[test]
fn a_trunk_that_did_not_answer_options_for_a_while_is_registered_at_again() {
    let mut config = config(Way::ToRetell);
    config.trunks[0].peer.options_s = 10;
    let (mut network, _) = registered(&config);
    network.wait(Duration::from_secs(45));
    assert_eq!(network.bridge.trunks()[0].targets[0].state, "down");
    assert_eq!(cseqs(&network), ["1 REGISTER"]);

    let options = network.received(TRUNK_AGENT, "OPTIONS ").last().unwrap().to_string();
    ask(&mut network, TRUNK_AGENT, &answer(&options, 200, "OK", "far", calls::NO_BODY));
    network.wait(Duration::from_secs(5));

    assert_eq!(cseqs(&network), ["1 REGISTER", "2 REGISTER"]);
}

#[test]
fn a_reload_that_changes_nothing_leaves_the_binding_alone() {
    let config = config(Way::ToRetell);
    let (mut network, _) = registered(&config);

    network.bridge.replace_routes(Arc::new(routes::compile(&config)));
    network.run(Duration::from_secs(1));

    assert_eq!(network.received(TRUNK_AGENT, "REGISTER ").len(), 1);
    assert_eq!(network.bridge.trunks()[0].registration.as_ref().unwrap().state, "registered");
}

#[test]
fn a_reload_takes_the_binding_of_an_account_that_is_gone_back_and_no_other() {
    for (change, expected) in [
        ((|config| config.trunks[0].register.register = false) as fn(&mut Config), &["0"][..]),
        (|config| config.trunks[0].register.expires_s = 600, &["600"]),
        (|config| config.trunks[0].peer.username = Some("another".into()), &["0", "3600"]),
    ] {
        let mut config = config(Way::ToRetell);
        let (mut network, _) = registered(&config);

        change(&mut config);
        network.bridge.replace_routes(Arc::new(routes::compile(&config)));
        network.run(Duration::from_secs(1));

        let since = network.received(TRUNK_AGENT, "REGISTER ");
        let mut asked: Vec<_> = since[1..].iter().filter_map(|text| header(text, "Expires")).collect();
        asked.dedup();
        assert!(asked.starts_with(expected), "{asked:?}, not {expected:?}");
    }
}

/// Retell's and the trunk's agents.
const RETELL_AGENT: usize = 0;
const TRUNK_AGENT: usize = 1;

/// The trunk at 198.51.100.7, known by nothing but its registration.
fn config(way: Way) -> Config {
    let mut config = way.config();
    let trunk = &mut config.trunks[0];
    trunk.peer.username = Some("acct".to_owned());
    trunk.peer.password = Some(Secret { source: SecretSource::Literal("secret".to_owned()) });
    trunk.peer.allow.clear();
    trunk.register.register = true;
    config
}

/// A bridge whose first REGISTER has reached the trunk.
fn begun(config: &Config) -> Network {
    let mut network = Network::new(routes::compile(config), 1, Weather::FAIR);
    network.add(ByHand::new(calls::RETELL));
    network.add(ByHand::new(TRUNK));
    network.run(Duration::from_millis(100));
    network
}

/// The registrar answers 200 with further header lines; returns the URI of our Contact.
fn accept(network: &mut Network, headers: &str, expires: u32) -> String {
    let register = network.received(TRUNK_AGENT, "REGISTER ").last().unwrap().to_string();
    let contact = uri_in(header(&register, "Contact").unwrap()).to_owned();
    let rest = format!("Contact: <{contact}>;expires={expires}\r\n{headers}{}", calls::NO_BODY);
    ask(network, TRUNK_AGENT, &answer(&register, 200, "OK", "registrar", &rest));
    contact
}

/// The CSeqs of all REGISTERs, each once.
fn cseqs(network: &Network) -> Vec<&str> {
    let registers = network.received(TRUNK_AGENT, "REGISTER ");
    let mut cseqs: Vec<_> = registers.into_iter().filter_map(|text| header(text, "CSeq")).collect();
    cseqs.dedup();
    cseqs
}

fn registered(config: &Config) -> (Network, String) {
    let mut network = begun(config);
    let contact = accept(&mut network, "", 3_600);
    assert_eq!(network.bridge.trunks()[0].registration.as_ref().unwrap().state, "registered");
    (network, contact)
}

fn routes_of(text: &str) -> Vec<&str> {
    calls::headers(text).filter(|(name, _)| *name == "Route").map(|(_, value)| value).collect()
}

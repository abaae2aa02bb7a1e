//! Routes and INVITEs for the tests of routing: a small configuration to start from, and messages with just
//! what matters.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use bytes::Bytes;
use trunkline::config::reader::{Secret, SecretSource};
use trunkline::id::PeerId;
use trunkline::routing::Routes;
use trunkline::routing::config::{
    CalledNumber, CallerId, Config, Country, Dialling, ForeignCaller, NumberConfig, OwnHeaders, PeerConfig,
    PeerMedia, PoolConfig, Preset, Profile, RegisterConfig, RetellConfig, RuleConfig, Spelling, Toward,
    TrunkConfig,
};
use trunkline::sip::message::{Limits, Message};
use trunkline::sip::uri::{Host, Uri};

/// One `[[retell]]` with a password at 192.0.2.0/24 and one trunk at 198.51.100.0/24 in the US.
pub(crate) fn config() -> Config {
    Config {
        retell: vec![retell("retell")],
        trunks: vec![trunk("carrier", "198.51.100.0/24")],
        ..Config::default()
    }
}

pub(crate) fn retell(name: &str) -> RetellConfig {
    let peer = PeerConfig {
        challenge: true,
        username: Some(format!("{name}-user")),
        password: Some(Secret { source: SecretSource::Literal("secret".to_owned()) }),
        profile: Profile::of(Preset::Retell),
        ..peer(name, &["192.0.2.0/24"])
    };
    RetellConfig {
        peer,
        allow_emergency: false,
        dialling: Dialling::default(),
        agent_silence_s: 10,
        fallback: Vec::new(),
    }
}

pub(crate) fn trunk(name: &str, allow: &str) -> TrunkConfig {
    TrunkConfig {
        peer: peer(name, if allow.is_empty() { &[] } else { std::slice::from_ref(&allow) }),
        country: Some(Country("US".to_owned())),
        caller_id: CallerId::FromCall,
        foreign_caller: ForeignCaller::Replace,
        register: RegisterConfig::default(),
        provider: None,
        pool: PoolConfig::default(),
        spelling: Spelling::default(),
        headers: OwnHeaders::default(),
    }
}

pub(crate) fn number(number: &str, retell: Option<&str>, trunk: Option<&str>) -> NumberConfig {
    NumberConfig {
        number: number.to_owned(),
        retell: retell.map(str::to_owned),
        trunk: trunk.map(str::to_owned),
        fallback: None,
    }
}

pub(crate) fn rule(toward: Toward, set: &[(&str, &str)], remove: &[&str]) -> RuleConfig {
    RuleConfig {
        toward,
        set: set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        remove: remove.iter().map(|&pattern| pattern.to_owned()).collect(),
    }
}

pub(crate) fn compile(config: &Config) -> Routes {
    Routes::compile(config, &|_| Ok("secret".to_owned())).unwrap()
}

pub(crate) fn named(routes: &Routes, name: &str) -> PeerId {
    routes.peer_named(name).unwrap().id
}

/// `sip:<host>;transport=tcp`
pub(crate) fn uri(host: &str) -> Uri {
    Uri::sip(None, Host::Name(host.to_owned()), None).with_param("transport", Some("tcp"))
}

/// `sip:<host>`
pub(crate) fn address(host: &str) -> Uri {
    Uri::sip(None, host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Ip), None)
}

/// An INVITE with this From value, Request-URI and further header lines.
pub(crate) fn invite(from: &str, request_uri: &str, lines: &[&str]) -> Message {
    message(&format!("INVITE {request_uri} SIP/2.0"), from, lines)
}

/// Any message with this start line.
pub(crate) fn message(start: &str, from: &str, lines: &[&str]) -> Message {
    let cseq = match start.split(' ').next() {
        Some("BYE") => "2 BYE",
        Some("REFER") => "2 REFER",
        _ => "1 INVITE",
    };
    let mut text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: {from};tag=1\r\n\
         To: <sip:+14155550199@203.0.113.10>\r\nCall-ID: a@198.51.100.7\r\nCSeq: {cseq}\r\n\
         Contact: <sip:198.51.100.7:5060>\r\nUser-Agent: far\r\n"
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    Message::parse(Bytes::from(text), &Limits::default()).unwrap()
}

fn peer(name: &str, allow: &[&str]) -> PeerConfig {
    PeerConfig {
        media: PeerMedia::default(),
        max_calls: 0,
        calls_per_second: 0,
        calls_per_hour: 0,
        minutes_per_hour: 0,
        queue_s: 5,
        options_s: 0,
        interface: None,
        name: name.to_owned(),
        uris: vec![uri(&format!("{name}.example"))],
        allow: allow.iter().map(|range| range.parse().unwrap()).collect(),
        username: None,
        password: None,
        challenge: false,
        answer_timeout_s: 90,
        trust_address: false,
        force_rport: false,
        tcp_for_large: true,
        tls_name: None,
        tls_ca: None,
        called_number: CalledNumber::RequestUri,
        profile: Profile::of(Preset::Standard),
    }
}

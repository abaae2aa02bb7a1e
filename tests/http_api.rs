//! The HTTP side as a client meets it: routes, token, loopback rule, errors in JSON, bounds.
//!
//! A server with real sockets and no signalling behind it: the test plays the signalling thread.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use trunkline::api::bans::BanView;
use trunkline::api::trunks::{RegistrationView, TargetView, TrunkView};
use trunkline::api::{self, Api, Command, Shared, StartError};
use trunkline::call::record::{Direction, View};
use trunkline::id::CallId;
use trunkline::rtp::leg_stats::LegStats;

#[test]
fn health_readiness_and_metrics_are_open_even_with_a_token() {
    let bridge = Bridge::start(Some(TOKEN));

    assert_eq!(bridge.get("/healthz", &[]).status, 200);
    assert_eq!(bridge.get("/readyz", &[]).status, 200);
    let metrics = bridge.get("/metrics", &[]);
    assert_eq!((metrics.status, metrics.body.as_str()), (200, "trunkline_calls_active 0\n"));
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
}

#[test]
fn a_draining_bridge_lives_but_is_not_ready() {
    let bridge = Bridge::start(None);
    bridge.shared.ready.store(false, Ordering::Release);

    assert_eq!(bridge.get("/healthz", &[]).status, 200);
    let answer = bridge.get("/readyz", &[]);
    assert_eq!(answer.status, 503);
    assert!(answer.error().contains("draining"));
}

#[test]
fn live_calls_are_listed_in_the_order_they_began_with_every_key() {
    let bridge = Bridge::start(None);
    bridge.shared.views.insert(CallId(2), View { started_ms: 5, ..call(2) });
    bridge.shared.views.insert(CallId(1), View { started_ms: 9, answered_ms: Some(1_009), ..call(1) });

    let listed: Value = serde_json::from_str(&bridge.get("/v1/calls", &[]).body).unwrap();

    assert_eq!(listed[0]["id"], "0000000000000002");
    assert_eq!(listed[0]["answered"], Value::Null);
    assert_eq!(
        listed[1],
        json!({
            "id": "0000000000000001", "direction": "to_retell", "state": "answered", "from": "+14155550100",
            "to": "+14155550101", "trunk": "carrier", "retell": "retell",
            "started": "1970-01-01T00:00:00.009Z", "answered": "1970-01-01T00:00:01.009Z",
        })
    );
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[test]
fn one_call_is_shown_while_it_lives_and_404_afterwards() {
    let bridge = Bridge::start(None);
    bridge.shared.views.insert(CallId(7), call(7));

    let shown = bridge.get("/v1/calls/0000000000000007", &[]);
    bridge.shared.views.remove(&CallId(7));
    let gone = bridge.get("/v1/calls/0000000000000007", &[]);

    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(shown["id"], "0000000000000007");
    assert_eq!(
        [&shown["legs"]["caller"]["packets_received"], &shown["legs"]["callee"]["packets_received"]],
        [150, 0]
    );
    assert_eq!(gone.status, 404);
    assert!(gone.error().contains("no such call"));
}

#[test]
fn trunks_are_shown_with_every_key() {
    let bridge = Bridge::start(None);

    let shown: Value = serde_json::from_str(&bridge.get("/v1/trunks", &[]).body).unwrap();

    assert_eq!(
        shown,
        json!([{
            "name": "carrier", "kind": "trunk", "calls": 2, "calls_last_hour": 3, "minutes_last_hour": 4,
            "registration": {
                "state": "registered", "registrar": "udp:198.51.100.7:5060",
                "expires": "2026-11-21T10:30:00.000Z",
                "last_code": 200, "reason": null, "last_change": "2026-11-21T09:30:00.000Z",
            },
            "targets": [{
                "target": "udp:198.51.100.7:5060", "state": "down", "last_code": null, "latency_ms": 12.5,
                "last_change": null,
            }],
        }])
    );
    assert_eq!(bridge.send("DELETE", "/v1/trunks", &[]).status, 405);
    assert_eq!(Bridge::without_signalling().get("/v1/trunks", &[]).status, 503);
}

#[test]
fn bans_are_shown_with_what_they_are_for_and_when_they_end() {
    let bridge = Bridge::start(None);

    let shown: Value = serde_json::from_str(&bridge.get("/v1/bans", &[]).body).unwrap();

    let (source, until) = ("2001:db8::/64", "2026-11-21T10:30:00.000Z");
    assert_eq!(shown, json!([{ "source": source, "reason": "wrong credentials", "until": until }]));
    assert_eq!(Bridge::without_signalling().get("/v1/bans", &[]).status, 503);
}

#[test]
fn hanging_up_asks_the_signalling_thread_and_tells_whether_there_was_a_call() {
    let bridge = Bridge::start(None);
    bridge.shared.views.insert(CallId(7), call(7));

    assert_eq!(bridge.send("DELETE", "/v1/calls/0000000000000007", &[]).status, 204);
    assert_eq!(bridge.send("DELETE", "/v1/calls/0000000000000008", &[]).status, 404);
    assert_eq!(bridge.send("DELETE", "/v1/calls/no-call", &[]).status, 404);
    assert_eq!(bridge.send("DELETE", "/v1/calls/%ff", &[]).status, 404);
}

#[test]
fn hanging_up_through_a_signalling_thread_that_is_gone_is_503() {
    let bridge = Bridge::without_signalling();

    let answer = bridge.send("DELETE", "/v1/calls/0000000000000007", &[]);

    assert_eq!(answer.status, 503);
    assert!(!answer.error().is_empty());
}

#[test]
fn with_a_token_everything_else_requires_it_and_says_how_to_send_it() {
    let bridge = Bridge::start(Some(TOKEN));
    let good = format!("Authorization: Bearer {TOKEN}");

    for wrong in [
        &[][..],
        &["Authorization: Bearer wrong"],
        &["Authorization: Basic czNjcmV0"],
        &["Authorization: Bearer "],
    ] {
        for path in ["/v1/calls", "/v1/calls/0000000000000007", "/v1/trunks", "/v1/bans", "/nowhere"] {
            let refused = bridge.get(path, wrong);
            assert_eq!(refused.status, 401, "{path} {wrong:?}");
            assert!(refused.error().contains("Authorization: Bearer <token>"));
            assert!(refused.head.contains("www-authenticate: Bearer"));
        }
        assert_eq!(bridge.send("DELETE", "/v1/calls/0000000000000007", wrong).status, 401);
    }
    assert_eq!(bridge.get("/v1/calls", &[&good]).status, 200);
    assert_eq!(bridge.get("/v1/calls", &[&good, "Host: bridge.example"]).status, 200);
    assert_eq!(bridge.get("/nowhere", &[&good]).status, 404);
}

#[test]
fn without_a_token_only_a_loopback_host_header_is_served() {
    let bridge = Bridge::start(None);

    for host in ["localhost", "localhost:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080"] {
        assert_eq!(bridge.get("/v1/calls", &[&format!("Host: {host}")]).status, 200, "{host}");
    }
    for host in
        ["attacker.example", "127.0.0.1.attacker.example", "192.0.2.1", "", "localhost@attacker.example"]
    {
        let refused = bridge.get("/v1/calls", &[&format!("Host: {host}")]);
        assert_eq!(refused.status, 403, "{host}");
        assert!(refused.error().contains("Host header"));
    }
    assert_eq!(bridge.get("/v1/calls", &["Host: localhost", "Host: attacker.example"]).status, 403);
    assert_eq!(bridge.get("http://attacker.example/v1/calls", &["Host: localhost"]).status, 403);
}

#[test]
fn without_a_token_a_change_with_a_body_must_be_json() {
    let bridge = Bridge::start(None);
    bridge.shared.views.insert(CallId(7), call(7));
    let delete = |headers: &[&str]| bridge.send_body("DELETE", "/v1/calls/0000000000000007", headers, "{}");

    let form = delete(&["Content-Type: text/plain"]);

    assert_eq!(form.status, 415);
    assert!(form.error().contains("application/json"));
    assert_eq!(delete(&[]).status, 415);
    assert_eq!(delete(&["Content-Type: application/json; charset=utf-8"]).status, 204);
}

#[test]
fn unknown_routes_and_methods_are_errors_in_json() {
    let bridge = Bridge::start(None);

    let route = bridge.get("/v1/nothing", &[]);
    let method = bridge.send("POST", "/v1/calls", &[]);

    assert_eq!(route.status, 404);
    assert!(route.error().contains("no such route"));
    assert_eq!(method.status, 405);
    assert!(method.error().contains("Allow"));
    assert!(method.head.to_ascii_lowercase().contains("allow: get"), "{}", method.head);
}

#[test]
fn a_body_beyond_the_limit_is_refused_unread() {
    let bridge = Bridge::start(None);

    let answer = bridge.get("/v1/calls", &["Content-Length: 70000"]);

    assert_eq!(answer.status, 413);
}

#[test]
fn idle_connections_in_the_hundreds_leave_room_for_a_request_once_they_end() {
    let bridge = Bridge::start(None);

    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(bridge.address()).unwrap()).collect();
    let mut late = TcpStream::connect(bridge.address()).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let beyond_the_bound = late.read(&mut [0; 16]);
    drop(idle);

    assert!(beyond_the_bound.is_err(), "served beyond the bound");
    late.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_client_that_never_ends_its_head_is_dropped() {
    let bridge = Bridge::start(None);
    let mut slow = TcpStream::connect(bridge.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localh").unwrap();

    let began = Instant::now();
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);

    assert!(ended.is_ok() && began.elapsed() < Duration::from_secs(15), "{ended:?} {:?}", began.elapsed());
    assert_eq!(bridge.get("/healthz", &[]).status, 200);
}

#[test]
fn beyond_loopback_nothing_is_served_without_a_token() {
    let (shared, _commands) = shared();

    let refused = api::start("0.0.0.0:0".parse().unwrap(), None, shared);

    let Err(error @ StartError::Unprotected { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("set [http].token"), "{error}");
}

#[test]
fn an_empty_token_is_no_token() {
    let (shared, _commands) = shared();

    let error = api::start("127.0.0.1:0".parse().unwrap(), Some(String::new()), shared).unwrap_err();

    assert!(matches!(error, StartError::EmptyToken) && error.to_string().contains("random"), "{error}");
}

#[test]
fn a_taken_port_is_named() {
    let bridge = Bridge::start(None);
    let (shared, _commands) = shared();

    let error = api::start(bridge.address(), None, shared).unwrap_err();

    assert!(error.to_string().contains(&bridge.address().to_string()), "{error}");
}

#[test]
fn stopping_frees_the_port_and_closes_connections() {
    let address_of_its_own = "127.0.0.9:0".parse().unwrap();
    let api = api::start(address_of_its_own, None, shared().0).unwrap();
    let address = api.local_addr();
    let mut open = TcpStream::connect(address).unwrap();
    open.set_read_timeout(Some(Duration::from_secs(5))).unwrap();

    drop(api);

    assert!(matches!(open.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

fn trunk() -> TrunkView {
    let registration = RegistrationView {
        state: "registered",
        registrar: Some("udp:198.51.100.7:5060".into()),
        expires: Some("2026-11-21T10:30:00.000Z".into()),
        last_code: Some(200),
        reason: None,
        last_change: "2026-11-21T09:30:00.000Z".into(),
    };
    let target = TargetView {
        target: "udp:198.51.100.7:5060".into(),
        state: "down",
        last_code: None,
        latency_ms: Some(12.5),
        last_change: None,
    };
    let name = "carrier".into();
    let (registration, targets) = (Some(registration), vec![target]);
    let (calls_last_hour, minutes_last_hour) = (3, 4);
    TrunkView { name, kind: "trunk", calls: 2, calls_last_hour, minutes_last_hour, registration, targets }
}

/// A served API; where there is signalling, it is a thread that ends the calls in the views.
struct Bridge {
    api: Api,
    shared: Shared,
}

impl Bridge {
    fn start(token: Option<&str>) -> Self {
        let (shared, mut commands) = shared();
        let views = Arc::clone(&shared.views);
        thread::spawn(move || {
            while let Some(command) = commands.blocking_recv() {
                match command {
                    Command::HangUp { call, reply } => {
                        let _ = reply.send(views.remove(&call).is_some());
                    }
                    Command::Media { reply, .. } => {
                        let heard = LegStats { packets_received: 150, ..LegStats::default() };
                        let _ = reply.send(Some([heard, LegStats::default()]));
                    }
                    Command::Bans { reply } => {
                        let source = "2001:db8::/64".into();
                        let until = "2026-11-21T10:30:00.000Z".into();
                        let _ = reply.send(vec![BanView { source, reason: "wrong credentials", until }]);
                    }
                    Command::Trunks { reply } => {
                        let _ = reply.send(vec![trunk()]);
                    }
                }
            }
        });
        Self::serve(token, shared)
    }

    fn without_signalling() -> Self {
        Self::serve(None, shared().0)
    }

    fn serve(token: Option<&str>, shared: Shared) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { api: api::start(listen, token.map(str::to_owned), shared.clone()).unwrap(), shared }
    }

    fn address(&self) -> SocketAddr {
        self.api.local_addr()
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.send("GET", path, headers)
    }

    fn send(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        self.send_body(method, path, headers, "")
    }

    /// Written by hand: no client library sends what some of these tests need.
    fn send_body(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            request.push_str("Host: localhost\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        headers.iter().for_each(|header| request.push_str(&format!("{header}\r\n")));
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::read(&answer)
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn error(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str::<Value>(&self.body).unwrap()["error"].as_str().unwrap().to_owned()
    }
}

fn shared() -> (Shared, mpsc::Receiver<Command>) {
    let (commands, received) = mpsc::channel(16);
    let shared = Shared {
        views: Arc::new(DashMap::new()),
        ready: Arc::new(AtomicBool::new(true)),
        commands,
        metrics: Arc::new(|| "trunkline_calls_active 0\n".to_owned()),
    };
    (shared, received)
}

fn call(id: u64) -> View {
    View {
        id: CallId(id),
        direction: Direction::ToRetell,
        state: "answered",
        from: "+14155550100".to_owned(),
        to: "+14155550101".to_owned(),
        trunk: "carrier".to_owned(),
        retell: "retell".to_owned(),
        started_ms: 0,
        answered_ms: None,
    }
}

const TOKEN: &str = "s3cret-of-the-api";

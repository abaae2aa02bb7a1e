//! The rules of a registration, under a virtual clock.

use bytes::Bytes;

use super::*;
use crate::id::InterfaceId;
use crate::sip::message::Limits;

/// A registration under a virtual clock, with what it asked for and did not get yet.
struct Rig {
    machine: Registration,
    ids: Ids,
    start: Instant,
    now: Instant,
    out: Vec<Action>,
    /// Every REGISTER so far: milliseconds since the start, where to, the text.
    sent: Vec<(u128, String, String)>,
    changes: Vec<(u64, Status)>,
    tx: ClientTx,
    addresses: &'static [&'static str],
}

impl Rig {
    fn new(addresses: &'static [&'static str]) -> Self {
        Self::seeded(addresses, 7)
    }

    fn seeded(addresses: &'static [&'static str], seed: u8) -> Self {
        let (now, mut ids) = (Instant::now(), Ids::new([seed; 32], 0));
        let machine = Registration::new(account(&["sip:carrier.example"]), now, &mut ids);
        let (out, sent, changes) = Default::default();
        Self { machine, ids, start: now, now, out, sent, changes, tx: ClientTx(0), addresses }
    }

    /// Resolves and sends what was asked for.
    fn carry_out(&mut self) {
        let elapsed = self.now - self.start;
        while !self.out.is_empty() {
            match self.out.remove(0) {
                Action::Resolve(uri) => {
                    let hops = match uri.host.to_string().as_str() {
                        "nowhere.example" => Vec::new(),
                        _ => self.addresses.iter().map(|address| hop(address)).collect(),
                    };
                    self.machine.on_hops(hops, self.now, &mut self.ids, &mut self.out);
                }
                Action::Send { tx, hop, draft } => {
                    self.tx = tx;
                    let bytes = draft.with_via(Transport::Udp, "192.0.2.1:5060", "z9hG4bK0");
                    let text = String::from_utf8(bytes.to_vec()).unwrap();
                    self.sent.push((elapsed.as_millis(), hop.remote.to_string(), text));
                }
                Action::Changed(status) => self.changes.push((elapsed.as_secs(), status)),
            }
        }
    }

    /// Lets time run to the next deadline.
    fn next(&mut self) -> Duration {
        let before = self.now;
        self.now = self.machine.next_deadline().expect("a deadline");
        self.machine.on_deadline(self.now, &mut self.ids, &mut self.out);
        self.carry_out();
        self.now - before
    }

    fn answer(&mut self, code: u16, headers: &str) {
        self.answer_as(self.tx, code, headers);
    }

    fn answer_as(&mut self, tx: ClientTx, code: u16, headers: &str) {
        let text = format!("SIP/2.0 {code} Reason\r\n{headers}\r\n");
        let response = Message::parse(Bytes::from(text), &Limits::default()).expect("well formed");
        self.machine.on_response(tx, &response, self.now, &mut self.ids, &mut self.out);
        self.carry_out();
    }

    fn lose(&mut self) {
        self.machine.on_lost(self.tx, self.now, &mut self.ids, &mut self.out);
        self.carry_out();
    }

    fn end(&mut self) {
        self.machine.end(self.now, &mut self.ids, &mut self.out);
        self.carry_out();
    }

    fn last(&self) -> &str {
        &self.sent.last().expect("a REGISTER").2
    }

    fn last_header(&self, name: &str) -> Option<&str> {
        self.last().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn targets(&self) -> Vec<(u128, &str)> {
        self.sent.iter().map(|(at, to, _)| (*at, to.as_str())).collect()
    }

    fn registered(addresses: &'static [&'static str], expires: u32) -> Self {
        let mut rig = Self::new(addresses);
        rig.next();
        rig.answer(200, &bound(expires));
        assert_eq!(rig.machine.status(), Status::Registered);
        rig
    }
}

#[test]
fn the_first_register_says_who_and_where_we_are() {
    let mut rig = Rig::new(ONE);

    rig.next();

    let text = rig.last();
    assert!(text.starts_with("REGISTER sip:carrier.example SIP/2.0\r\n"), "{text}");
    for line in [
        "To: <sip:acct@carrier.example>\r\n",
        "From: <sip:acct@carrier.example>;tag=",
        "CSeq: 1 REGISTER\r\n",
        "Contact: <sip:token@192.0.2.1:5060>;expires=3600\r\n",
        "Expires: 3600\r\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("Authorization"), "nobody asked for it");
}

#[test]
fn a_binding_is_renewed_when_about_two_thirds_of_its_time_have_passed() {
    for seed in 0..20 {
        let mut rig = Rig::seeded(ONE, seed);
        rig.next();
        rig.answer(200, &bound(1_000));

        let waited = rig.next().as_secs();

        assert!((650..=750).contains(&waited), "{waited}");
        assert_eq!(rig.sent.len(), 2);
        assert_eq!(rig.last_header("CSeq"), Some("2 REGISTER"));
        assert_eq!(call_id(&rig.sent[0].2), call_id(&rig.sent[1].2));
    }
}

#[test]
fn what_was_granted_is_read_from_our_own_contact_then_from_expires() {
    for (headers, expected) in [
        ("Contact: <sip:other@h>;expires=9999, <sip:token@9.9.9.9:1024>;expires=100\r\nExpires: 7\r\n", 100),
        ("Contact: <sip:a@h>;expires=900, <sip:rewritten@h>;expires=200\r\nExpires: 7\r\n", 200),
        ("Contact: <sip:token@h>\r\nExpires: 300\r\n", 300),
        ("Expires: 400\r\n", 400),
        ("Contact: <sip:token@h>;expires=soon\r\n", 3_600),
        ("", 3_600),
    ] {
        let mut rig = Rig::new(ONE);
        rig.next();

        rig.answer(200, headers);

        let (until, _) = rig.machine.binding().expect("a binding");
        assert_eq!((until - rig.now).as_secs(), expected, "{headers}");
    }
}

#[test]
fn a_challenge_is_answered_and_its_nonce_used_again_for_the_refresh() {
    let mut rig = Rig::new(ONE);
    rig.next();

    rig.answer(401, &challenge("one", ""));
    let answered = rig.last_header("Authorization").expect("credentials").to_owned();
    rig.answer(200, &bound(1_000));
    rig.next();

    assert!(answered.contains("nonce=\"one\"") && answered.contains("nc=00000001"), "{answered}");
    assert!(answered.contains("uri=\"sip:carrier.example\""), "{answered}");
    let refresh = rig.last_header("Authorization").expect("credentials");
    assert!(refresh.contains("nonce=\"one\"") && refresh.contains("nc=00000002"), "{refresh}");
    assert_eq!(rig.sent.len(), 3);
}

#[test]
fn a_nonce_that_went_stale_is_replaced_whether_the_registrar_says_stale_or_not() {
    for stale in [", stale=true", ""] {
        let mut rig = Rig::new(ONE);
        rig.next();
        rig.answer(401, &challenge("one", ""));
        rig.answer(200, &bound(1_000));
        rig.next();

        rig.answer(401, &challenge("two", stale));

        assert!(rig.last_header("Authorization").is_some_and(|value| value.contains("nonce=\"two\"")));
        rig.answer(200, &bound(1_000));
        assert_eq!(rig.changes, [(0, Status::Registered)]);
    }
}

#[test]
fn credentials_that_are_refused_are_not_sent_again_in_the_same_round() {
    let mut rig = Rig::new(ONE);
    rig.next();
    rig.answer(401, &challenge("one", ""));

    rig.answer(401, &challenge("two", ""));

    assert_eq!(rig.sent.len(), 2);
    assert_eq!(rig.machine.status(), Status::Failed);
    assert_eq!(rig.machine.trouble(), Some(Trouble::Credentials(401)));
    assert!(rig.next() >= Duration::from_secs(30), "no hammering: registrars ban who does");
}

#[test]
fn a_challenge_of_another_realm_than_agreed_is_not_answered() {
    for (realm, sent) in [("carrier", 2), ("elsewhere", 1)] {
        let mut rig = Rig::new(ONE);
        rig.machine.account.realm = Some(realm.to_owned());
        rig.next();

        rig.answer(401, &challenge("one", ""));

        assert_eq!(rig.sent.len(), sent, "{realm}");
    }
}

#[test]
fn an_outbound_proxy_is_looked_up_in_place_of_the_registrar_and_stands_in_route_if_it_is_loose() {
    for (proxy, route) in
        [("sip:proxy.example", None), ("sip:proxy.example;lr", Some("<sip:proxy.example;lr>"))]
    {
        let mut rig = Rig::new(ONE);
        rig.machine.account.proxy = Uri::parse(proxy.as_bytes()).ok();
        rig.machine.account.registrars = account(&["sip:nowhere.example"]).registrars;

        rig.next();

        assert!(rig.last().starts_with("REGISTER sip:nowhere.example SIP/2.0\r\n"), "{}", rig.last());
        assert_eq!(rig.last_header("Route"), route);
    }
}

#[test]
fn a_registrar_that_challenges_for_ever_is_given_up() {
    let mut rig = Rig::new(ONE);
    rig.next();

    for round in 0..20 {
        if rig.machine.status() == Status::Registering {
            rig.answer(401, &challenge(&round.to_string(), ", stale=true"));
        }
    }

    assert_eq!(rig.machine.status(), Status::Failed);
    assert!(rig.sent.len() <= 5, "{}", rig.sent.len());
}

#[test]
fn a_423_is_answered_with_what_it_demands_unless_that_is_no_more_or_absurd() {
    let mut rig = Rig::new(ONE);
    rig.next();

    rig.answer(423, "Min-Expires: 7200\r\n");

    assert_eq!(rig.last_header("Expires"), Some("7200"));
    assert_eq!(rig.last_header("Contact"), Some("<sip:token@192.0.2.1:5060>;expires=7200"));
    for demanded in ["Min-Expires: 7200\r\n", "Min-Expires: 4294967295\r\n", "Min-Expires: x\r\n", ""] {
        let mut rig = Rig::new(ONE);
        rig.next();
        rig.answer(423, "Min-Expires: 7200\r\n");
        rig.answer(423, demanded);
        assert_eq!((rig.machine.status(), rig.sent.len()), (Status::Failed, 2), "{demanded}");
    }
}

#[test]
fn a_423_shows_that_the_credentials_are_good_and_the_next_challenge_is_about_the_nonce() {
    let mut rig = Rig::new(ONE);
    rig.next();

    rig.answer(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"one\"\r\n");
    rig.answer(423, "Min-Expires: 7200\r\n");
    rig.answer(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"two\"\r\n");

    let shown = rig.last_header("Authorization").expect("credentials");
    assert!(shown.contains("nonce=\"two\""), "{shown}");
}

#[test]
fn a_registrar_that_demands_ever_more_is_given_up() {
    let mut rig = Rig::new(ONE);
    rig.next();

    for least in 3_601..3_700 {
        rig.answer(423, &format!("Min-Expires: {least}\r\n"));
    }

    assert_eq!((rig.machine.status(), rig.sent.len()), (Status::Failed, 5));
}

#[test]
fn every_address_of_every_registrar_is_tried_in_order_before_the_round_has_failed() {
    let mut rig = Rig::new(TWO);
    rig.machine.account.registrars =
        account(&["sip:nowhere.example", "sip:carrier.example", "sip:backup.example"]).registrars;
    rig.next();

    rig.next();
    rig.lose();
    rig.answer(503, "Retry-After: 120\r\n");
    assert_eq!(rig.changes, [], "the last address has not answered yet");
    rig.lose();

    let first = [(0, "198.51.100.1:5060"), (4_000, "198.51.100.2:5060")];
    let backup = [(4_000, "198.51.100.1:5060"), (4_000, "198.51.100.2:5060")];
    assert_eq!(rig.targets(), [first, backup].concat());
    assert_eq!(rig.changes, [(4, Status::Failed)]);
    assert_eq!(rig.machine.trouble(), Some(Trouble::Silent));
}

#[test]
fn the_last_address_is_waited_for_as_long_as_its_transaction_lasts() {
    let mut rig = Rig::new(ONE);

    rig.next();

    assert_eq!(rig.machine.next_deadline(), None);
    rig.lose();
    assert_eq!(rig.machine.status(), Status::Failed);
}

#[test]
fn a_provisional_response_ends_the_silence() {
    let mut rig = Rig::new(TWO);
    rig.next();

    rig.answer(100, "");

    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn an_answer_to_a_register_that_was_given_up_counts_for_nothing() {
    let mut rig = Rig::new(TWO);
    rig.next();
    let given_up = rig.tx;
    rig.next();

    rig.answer_as(given_up, 403, "");
    assert_eq!((rig.machine.status(), rig.machine.last_code()), (Status::Registering, None));

    rig.answer(200, &bound(100));
    assert_eq!(
        rig.machine.binding().map(|(_, hop)| hop.remote.to_string()).as_deref(),
        Some("198.51.100.2:5060")
    );
}

#[test]
fn failed_rounds_come_ever_later_within_the_bounds_of_rfc_5626() {
    for seed in 0..10 {
        let mut rig = Rig::seeded(ONE, seed);
        rig.next();
        for upper in [60, 120, 240, 480, 960, 1_800, 1_800, 1_800] {
            rig.lose();

            let waited = rig.next().as_millis();

            assert!((upper * 500..=upper * 1_000).contains(&waited), "{waited} ms of {upper} s");
        }
        rig.answer(200, &bound(100));
        rig.next();
        rig.lose();
        assert!(rig.next() <= Duration::from_secs(60), "a round that went well begins the count anew");
    }
}

#[test]
fn two_bridges_that_failed_together_do_not_come_back_together() {
    let waits: Vec<_> = (0..10)
        .map(|seed| {
            let mut rig = Rig::seeded(ONE, seed);
            rig.next();
            rig.lose();
            rig.next()
        })
        .collect();

    assert!(waits.iter().any(|wait| wait.abs_diff(waits[0]) > Duration::from_secs(5)), "{waits:?}");
}

#[test]
fn retry_after_is_waited_for_up_to_an_hour() {
    for (told, at_least) in [("600", 600), ("99999999", 3_600), ("x", 30)] {
        let mut rig = Rig::new(ONE);
        rig.next();
        rig.answer(503, &format!("Retry-After: {told}\r\n"));

        let waited = rig.next().as_secs();

        assert!((at_least..=3_600).contains(&waited), "{told}: {waited}");
    }
}

#[test]
fn a_binding_outlives_failed_refreshes_until_it_expires() {
    let mut rig = Rig::registered(ONE, 100);
    rig.next();

    rig.lose();
    assert_eq!(rig.machine.status(), Status::Registered);
    rig.now = rig.start + Duration::from_secs(99);
    rig.machine.on_deadline(rig.now, &mut rig.ids, &mut rig.out);
    assert_eq!(rig.machine.status(), Status::Registered);
    rig.now = rig.start + Duration::from_secs(100);
    rig.machine.on_deadline(rig.now, &mut rig.ids, &mut rig.out);
    rig.carry_out();

    assert_eq!(rig.changes, [(0, Status::Registered), (100, Status::Failed)]);
    assert!(rig.machine.binding().is_none() && rig.machine.service_routes().is_empty());
}

#[test]
fn a_200_that_grants_no_time_binds_nothing() {
    let mut rig = Rig::new(ONE);
    rig.next();

    rig.answer(200, &bound(0));

    assert_eq!((rig.machine.status(), rig.machine.trouble()), (Status::Failed, Some(Trouble::NotBound)));
    assert!(rig.next() >= Duration::from_secs(30));
}

#[test]
fn a_tiny_grant_does_not_make_us_hammer_the_registrar() {
    let mut rig = Rig::registered(ONE, 1);

    let until_next = std::iter::repeat_with(|| rig.next()).take(2).sum::<Duration>();

    assert_eq!(until_next, Duration::from_secs(5));
}

#[test]
fn service_routes_are_kept_in_order_as_they_came_or_not_at_all() {
    let mut rig = Rig::new(ONE);
    rig.next();
    let routes = "Service-Route: <sip:p1.example;lr;cookie=a.B>,<sip:p2.example;lr>\r\n";
    rig.answer(200, &(bound(100) + routes));
    let values: Vec<_> = rig.machine.service_routes().iter().map(|route| route.value.to_vec()).collect();
    assert_eq!(values, [&b"<sip:p1.example;lr;cookie=a.B>"[..], b"<sip:p2.example;lr>"]);

    rig.next();
    rig.answer(200, &(bound(100) + "Service-Route: <sip:p1.example;lr>, <sip:strict.example>\r\n"));

    assert_eq!(rig.machine.service_routes(), []);
}

#[test]
fn ending_takes_the_binding_back_where_it_is_and_answers_one_more_challenge() {
    let mut rig = Rig::new(TWO);
    rig.next();
    rig.next();
    rig.answer(401, &challenge("one", ""));
    rig.answer(200, &bound(1_000));

    rig.end();
    assert_eq!(rig.targets().last().map(|(_, to)| *to), Some("198.51.100.2:5060"));
    assert_eq!(rig.last_header("Contact"), Some("<sip:token@192.0.2.1:5060>;expires=0"));
    assert_eq!(rig.last_header("Expires"), Some("0"));
    rig.answer(401, &challenge("two", ", stale=true"));
    assert_eq!(rig.last_header("CSeq"), Some("5 REGISTER"));
    assert!(!rig.machine.is_gone());
    rig.answer(200, "");

    assert!(rig.machine.is_gone());
    assert_eq!(rig.changes.last().map(|change| change.1), Some(Status::Unregistered));
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn ending_is_done_at_once_where_nothing_is_bound_and_when_nobody_answers() {
    let mut never = Rig::new(ONE);
    never.end();
    assert!(never.machine.is_gone() && never.sent.is_empty());

    let mut failed = Rig::new(ONE);
    failed.next();
    failed.answer(403, "");
    failed.end();
    assert!(failed.machine.is_gone());

    let mut silent = Rig::registered(ONE, 100);
    silent.end();
    silent.lose();
    assert!(silent.machine.is_gone());
}

#[test]
fn ending_while_the_first_register_is_out_takes_back_what_it_may_have_bound() {
    let mut rig = Rig::new(ONE);
    rig.next();

    rig.end();

    assert_eq!(rig.last_header("Expires"), Some("0"));
    assert_eq!(rig.last_header("CSeq"), Some("2 REGISTER"));
}

#[test]
fn a_stream_that_is_gone_is_made_anew_within_seconds() {
    let mut rig = Rig::registered(&["tcp 198.51.100.1:5060"], 3_600);
    assert_eq!(rig.last_header("Contact"), Some("<sip:token@192.0.2.1:5060;transport=tcp>;expires=3600"));

    rig.machine.on_flow_lost("198.51.100.9:5060".parse().unwrap(), rig.now, &mut rig.ids);
    assert!(rig.machine.next_deadline().unwrap() > rig.now + Duration::from_secs(2_000));
    rig.machine.on_flow_lost("198.51.100.1:5060".parse().unwrap(), rig.now, &mut rig.ids);

    let waited = rig.next().as_secs();
    assert!((2..=20).contains(&waited), "{waited}");
    assert_eq!(rig.sent.len(), 2);
}

#[test]
fn a_registrar_that_was_away_is_asked_again_soon_unless_it_has_refused() {
    let mut bound = Rig::registered(ONE, 3_600);
    bound.machine.on_return(bound.now, &mut bound.ids);
    assert!(bound.next() <= Duration::from_secs(5));
    assert_eq!(bound.last_header("CSeq"), Some("2 REGISTER"));

    let mut unheard = Rig::new(ONE);
    unheard.next();
    unheard.lose();
    unheard.machine.on_return(unheard.now, &mut unheard.ids);
    assert!(unheard.next() <= Duration::from_secs(5));

    let mut refused = Rig::new(ONE);
    refused.next();
    refused.answer(403, "");
    refused.machine.on_return(refused.now, &mut refused.ids);
    assert!(refused.next() >= Duration::from_secs(30));
}

fn account(registrars: &[&str]) -> Account {
    let uri = |text: &str| Uri::parse(text.as_bytes()).expect("a URI");
    Account {
        registrars: registrars.iter().map(|text| uri(text)).collect(),
        address: uri("sip:acct@carrier.example"),
        credentials: Credentials { username: "acct".into(), password: "secret".into() },
        realm: None,
        proxy: None,
        contact_user: "token".into(),
        expires_s: 3_600,
    }
}

fn hop(address: &str) -> Hop {
    let (transport, address) = match address.strip_prefix("tcp ") {
        Some(address) => (Transport::Tcp, address),
        None => (Transport::Udp, address),
    };
    let sent_by = "192.0.2.1:5060".to_owned();
    Hop {
        remote: address.parse().expect("an address"),
        transport,
        interface: InterfaceId::default(),
        domain: None,
        sent_by,
    }
}

fn bound(expires: u32) -> String {
    format!("Contact: <sip:token@192.0.2.1:5060>;expires={expires}\r\n")
}

fn challenge(nonce: &str, rest: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"carrier\", nonce=\"{nonce}\", qop=\"auth\"{rest}\r\n")
}

fn call_id(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("Call-ID: "))
}

const ONE: &[&str] = &["198.51.100.1:5060"];
const TWO: &[&str] = &["198.51.100.1:5060", "198.51.100.2:5060"];

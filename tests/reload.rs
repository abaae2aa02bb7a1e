//! SIGHUP: the configuration is read again, takes effect for new calls whole or not at
//! all, and touches no other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/digest.rs"]
mod digest;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use digest::Login;
use phone::{Call, Phone, cancel, follow_up, header, ring};
use process::{Net, Process};

#[test]
fn a_trunk_that_was_added_is_answered_from_then_on() {
    let net = Net::new();
    let bridge = Process::start(net, &net.config());
    let (known, added) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.ip(4), net.sip()));
    added.send(added.options());
    hears_the_bridge(&known);
    assert_eq!(added.heard(), [""; 0], "a stranger until it is configured");

    bridge.reload(&(net.config() + &Net::trunk_peer("second", net.ip(4))), RELOADED);

    hears_the_bridge(&added);
    hears_the_bridge(&known);
}

#[test]
fn a_trunk_that_was_removed_is_a_stranger_but_its_calls_end_well() {
    let net = Net::new();
    let second = Net::trunk_peer("second", net.ip(4)).replace("\"]", &format!("\", \"{}\"]", net.ip(5)));
    let bridge = Process::start(net, &(net.config() + &second));
    let (kept, removed) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.ip(4), net.sip()));
    let elsewhere = Phone::new(net.ip(5), net.sip());
    let retell = Phone::new(net.retell(), net.sip());
    let call = Call::place(&removed, &retell, "+14155550100");
    let (ringing, offered) = ring(&removed, &retell, "+14155550101");

    bridge.reload(&net.config(), RELOADED);

    removed.send(removed.options());
    removed.send(removed.invite("+14155550102", ""));
    hears_the_bridge(&kept);
    assert_eq!(removed.heard(), [""; 0], "it is a stranger to whatever is new");
    call.exchange_audio(1);
    elsewhere.send(call.bye());
    elsewhere.expect("SIP/2.0 200 ");
    retell.answer(&retell.expect("BYE "), "200 OK");
    removed.send(cancel(&ringing));
    assert!(header(&removed.expect("SIP/2.0 200 "), "CSeq").ends_with(" CANCEL"));
    removed.send(follow_up(&ringing, &removed.expect("SIP/2.0 487 "), "ACK", 1));
    retell.answer(&retell.expect("CANCEL "), "200 OK");
    retell.answer(&offered, "487 Request Terminated");
    let records =
        bridge.eventually("two records", || Some(bridge.records()).filter(|records| records.len() == 2));
    for record in &records {
        assert_eq!((&record["trunk"], &record["ended_by"]), (&"second".into(), &"caller".into()));
    }
}

#[test]
fn a_configuration_with_mistakes_is_refused_whole_and_each_is_logged_with_its_place() {
    let net = Net::new();
    let bridge = Process::start(net, &net.config());
    let (known, added) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.ip(4), net.sip()));
    let mistaken = net.config().replace("ports = [", "prots = [").replace("\"US\"", "\"XX\"")
        + &Net::trunk_peer("second", net.ip(4));
    let place = |text: &str| 1 + mistaken.lines().position(|line| line.starts_with(text)).unwrap();

    let said = bridge.reload(&mistaken, STAYS);

    for (line, column, what) in
        [(place("prots"), 1, "unknown key `prots`; write `ports`"), (place("country"), 11, "is no country")]
    {
        let place = format!("config.toml:{line}:{column}: ");
        let found = said.iter().any(|logged| logged.contains(&place) && logged.contains(what));
        assert!(found, "no {place}… {what} in {said:#?}");
    }
    added.send(added.options());
    hears_the_bridge(&known);
    assert_eq!(added.heard(), [""; 0], "nothing of the refused file is in force");

    let without_file = bridge.path("config.toml");
    std::fs::remove_file(&without_file).unwrap();
    bridge.signal(process::Signal::HangUp);
    bridge.eventually("the missing file is named", || {
        bridge.log().iter().any(|line| line.contains("config.toml: there is no such file")).then_some(())
    });
    hears_the_bridge(&known);
}

#[test]
fn a_key_that_needs_a_restart_is_refused_by_name_with_everything_else_in_the_file() {
    let net = Net::new();
    let bridge = Process::start(net, &net.config());
    let (known, added) = (Phone::new(net.trunk(), net.sip()), Phone::new(net.ip(4), net.sip()));
    let tcp = format!(", \"tcp:{}:5060\"", net.bridge());
    let media = format!("[media]\nlisten = [\"{}\"]", net.bridge());
    for (from, to, keys) in [
        (tcp.as_str(), "", "sip.listen"),
        ("[sip]\n", "[sip]\nadvertise = [\"203.0.113.10\"]\n", "sip.advertise, media.advertise"),
        ("[sip]\n", "[sip]\nmax_headers = 100\n", "sip.max_headers"),
        (&media, "[media]", "media.listen"),
        ("[20000, 29999]", "[20000, 20999]", "media.ports"),
        (":8080", ":8081", "http.listen"),
        ("[records]", "token = \"s3cret\"\n[records]", "http.token"),
        ("calls.jsonl", "others.jsonl", "records.file"),
        ("[sip]", "[log]\nlevel = \"debug\"\nformat = \"json\"\n[sip]", "log.level, log.format"),
    ] {
        let config = net.config();
        assert!(config.contains(from), "{from:?} is not in {config}");
        let changed = config.replace(from, to) + &Net::trunk_peer("second", net.ip(4));

        let said = bridge.reload(&changed, STAYS);

        assert!(said.iter().any(|line| line.ends_with(&format!("keys={keys}"))), "no {keys} in {said:#?}");
        added.send(added.options());
        hears_the_bridge(&known);
        assert_eq!(added.heard(), [""; 0], "nothing of the file with another {keys} is in force");
    }
}

#[test]
fn a_secret_in_a_file_or_in_dotenv_is_read_again() {
    let net = Net::new();
    let retell = net
        .retell_peer()
        .replace("trust_address = true", "username = \"agent\"\npassword = \"file:retell.password\"");
    let second = "[[retell]]\nname = \"second\"\nuri = \"sip:second.example\"\nallow = []\n\
        username = \"other\"\npassword = \"env:OTHER_PASSWORD\"\n";
    let config = net.sockets() + &retell + second + &Net::trunk_peer("carrier", net.trunk());
    let files = [("retell.password", "old in file\n"), (".env", "OTHER_PASSWORD='old in dotenv'\n")];
    let bridge = Process::start_in(net, &config, &files, &[]);
    let phone = Phone::new(net.retell(), net.sip());
    assert_eq!(login(&phone, "agent", "old in file"), GOOD);
    assert_eq!(login(&phone, "other", "old in dotenv"), GOOD);

    bridge.write("retell.password", "new in file\n");
    bridge.write(".env", "OTHER_PASSWORD='new in dotenv'\n");
    assert_eq!(login(&phone, "agent", "old in file"), GOOD, "nothing is read before the signal");
    bridge.reload(&config, RELOADED);

    assert_eq!(login(&phone, "agent", "new in file"), GOOD);
    assert_eq!(login(&phone, "other", "new in dotenv"), GOOD);
    assert_eq!(login(&phone, "agent", "old in file"), "403");
    assert_eq!(login(&phone, "other", "old in dotenv"), "403");

    std::fs::remove_file(bridge.path("retell.password")).unwrap();
    let said = bridge.reload(&config, STAYS);
    assert!(said.iter().any(|line| line.contains("retell.password can't be read: ")), "{said:#?}");
    assert_eq!(login(&phone, "agent", "new in file"), GOOD, "the old configuration stays");
}

#[test]
fn a_token_whose_file_changed_needs_a_restart_and_is_named() {
    let net = Net::new();
    let config = net.config().replace("[http]\n", "[http]\ntoken = \"file:http.token\"\n");
    let bridge = Process::start_in(net, &config, &[("http.token", "old\n")], &[]);

    bridge.write("http.token", "old");
    bridge.reload(&config, RELOADED);
    bridge.write("http.token", "new\n");
    let said = bridge.reload(&config, STAYS);

    assert!(said.iter().any(|line| line.ends_with("keys=http.token")), "{said:#?}");
}

/// What an INVITE without a session description gets once `username` and `password`
/// were asked for: 488, or 403.
fn login(phone: &Phone, username: &str, password: &str) -> String {
    let invite = |authorization: &str| {
        let invite = phone.invite("+14155550100", authorization);
        let (head, _) = invite.split_once("Content-Type").unwrap();
        format!("{head}Content-Length: 0\r\n\r\n")
    };
    let first = invite("");
    phone.send(&first);
    let challenge = phone.expect("SIP/2.0 401 ");
    phone.send(follow_up(&first, &challenge, "ACK", 1));
    let uri = first.split(' ').nth(1).unwrap();
    let login = Login { username, password, method: "INVITE", uri, count: 1 };
    let credentials = login.answer(header(&challenge, "WWW-Authenticate"));
    let second = invite(&format!("Authorization: {credentials}\r\n"));
    phone.send(&second);
    let refused = phone.expect("SIP/2.0 4");
    phone.send(follow_up(&second, &refused, "ACK", 1));
    assert_eq!(header(&refused, "Call-ID"), header(&second, "Call-ID"));
    refused.split(' ').nth(1).unwrap().to_owned()
}

/// An OPTIONS is answered, and with it everything that was sent to the bridge before has been dealt with.
fn hears_the_bridge(phone: &Phone) {
    let options = phone.options();
    phone.send(&options);
    assert_eq!(header(&phone.expect("SIP/2.0 200 "), "Call-ID"), header(&options, "Call-ID"));
}

const RELOADED: &str = "configuration reloaded";
const STAYS: &str = "the running configuration stays";
/// No session description, which is said to those alone who may call.
const GOOD: &str = "488";

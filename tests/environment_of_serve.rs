//! A running `serve` and its environment: `.env` and the process's variables reach it,
//! and no secret leaves it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/digest.rs"]
mod digest;
#[path = "support/phone.rs"]
mod phone;
#[path = "support/process.rs"]
mod process;

use digest::{Login, field};
use phone::{Phone, follow_up, header};
use process::{Net, Process, Signal};

#[test]
fn dotenv_and_the_process_reach_a_running_bridge_and_are_logged_once() {
    let net = Net::new();
    let config = net.config().replace("trust_address = true\n", "").replace(":8080", ":1");
    let dotenv = "SIP_USERNAME=agent\nSIP_PASSWORD='in dotenv'\nHTTP_PORT=1\nLOGLEVEL=info\n";
    let environment =
        [("SIP_PASSWORD", "in the process"), ("HTTP_PORT", "8080"), ("OVERRIDE_CALLER_ID", "+14155550199")];
    let bridge = Process::start_in(net, &config, &[(".env", dotenv)], &environment);
    let (retell, trunk) = (Phone::new(net.retell(), net.sip()), Phone::new(net.trunk(), net.sip()));

    let invite = retell.invite("+14155550100", "");
    retell.send(&invite);
    let challenge = retell.expect("SIP/2.0 401 ");
    retell.send(authorized(&retell, &invite, &challenge, "agent", "in the process"));
    let offered = trunk.expect("INVITE ");
    trunk.answer(&offered, "486 Busy Here");
    retell.expect("SIP/2.0 486 ");

    assert!(header(&offered, "From").contains("sip:+14155550199@"), "{offered}");
    bridge.reload(&config, "configuration reloaded");
    let log = bridge.log();
    for line in [
        "SIP_USERNAME (.env): username of [[retell]] is agent",
        "SIP_PASSWORD (environment): password of [[retell]] is ***",
        "OVERRIDE_CALLER_ID (environment): caller_id of the trunk is +14155550199",
        "LOGLEVEL (.env): log level is info",
        "HTTP_PORT (environment): port of [http].listen is 8080",
    ] {
        assert_eq!(log.iter().filter(|logged| logged.contains(line)).count(), 1, "{line} in {log:#?}");
    }
}

#[test]
fn no_secret_stands_in_a_log_line_at_any_level_nor_in_anything_that_is_sent_or_written() {
    let net = Net::new();
    let config = secretive_config(net);
    let dotenv =
        format!("TOKEN={TOKEN}\nLOGLEVEL=trace\nSIP_PASSWORD={RETELL_PASSWORD}\nSIP_USERNAME=agent\n");
    let files = [("trunk.password", TRUNK_PASSWORD), (".env", dotenv.as_str())];
    let mut bridge = Process::start_in(net, &config, &files, &[]);
    let (retell, trunk) = (Phone::new(net.retell(), net.sip()), Phone::new(net.trunk(), net.sip()));
    let mut seen = Vec::new();

    let unauthorized = retell.invite("+14155550100", "");
    retell.send(&unauthorized);
    seen.push(retell.expect("SIP/2.0 401 "));
    retell.send(authorized(&retell, &unauthorized, &seen[0], "agent", "wrong"));
    seen.push(retell.expect("SIP/2.0 403 "));
    let invite = authorized(&retell, &unauthorized, &seen[0], "agent", RETELL_PASSWORD);
    retell.send(&invite);
    let offered = trunk.expect("INVITE ");
    let challenge = trunk.response(&offered, "407 Proxy Authentication Required");
    trunk.send(challenge.replace("Content-Length", &format!("{TRUNK_CHALLENGE}\r\nContent-Length")));
    let offered = trunk.expect("INVITE ");
    let credentials = header(&offered, "Proxy-Authorization");
    let [username, uri] = ["username", "uri"].map(|name| field(credentials, name));
    let login = Login { username, password: TRUNK_PASSWORD, method: "INVITE", uri, count: 1 };
    assert!(login.is_answered_by(credentials), "{offered}");
    trunk.answer(&offered, "200 OK");
    let ok = retell.expect("SIP/2.0 200 ");
    retell.send(follow_up(&invite, &ok, "ACK", 1));
    seen.extend([offered, trunk.expect("ACK "), ok]);
    for token in ["", "Authorization: Bearer wrong\r\n", &format!("Authorization: Bearer {TOKEN}\r\n")] {
        for path in ["/metrics", "/healthz", "/readyz", "/v1/calls", "/v1/calls/0", "/nowhere"] {
            seen.push(bridge.http("GET", path, token).unwrap());
        }
    }
    assert!(seen.iter().any(|response| response.contains("\"answered\"")), "the call is seen in progress");
    bridge.write(".env", &format!("{dotenv}SIP_PASSWORD='{RETELL_PASSWORD}\n"));
    bridge.reload(&config, "the running configuration stays");
    bridge.write(".env", &dotenv.replace(TOKEN, OTHER_TOKEN));
    bridge.reload(&config, "http.token");
    bridge.signal(Signal::Terminate);
    bridge.eventually("draining", || (bridge.status_of("/readyz") == Some(503)).then_some(()));
    bridge.signal(Signal::Terminate);
    assert_eq!(bridge.exit().code(), Some(0));

    let records = std::fs::read_to_string(bridge.path("calls.jsonl")).unwrap();
    assert!(records.contains("\"answered\""), "{records}");
    seen.extend(bridge.log());
    assert!(seen.iter().any(|line| line.contains("TRACE")), "at every level");
    seen.push(records);
    for secret in [RETELL_PASSWORD, TRUNK_PASSWORD, TOKEN, OTHER_TOKEN] {
        let shown: Vec<_> = seen.iter().filter(|text| text.contains(secret)).collect();
        assert!(shown.is_empty(), "{secret} in {shown:#?}");
    }
}

/// Every key that holds a secret, from every source that one can have.
fn secretive_config(net: Net) -> String {
    let retell = net.retell_peer().replace("trust_address = true\n", "");
    let with_token = net.sockets().replace("[records]", "token = \"env:TOKEN\"\n[records]");
    let trunk = Net::trunk_peer("carrier", net.trunk());
    format!(
        "{with_token}{retell}\
         [[retell]]\nname = \"second\"\nuri = \"sip:second.example\"\nusername = \"other\"\n\
         password = \"{TRUNK_PASSWORD}\"\n\
         {trunk}username = \"acct\"\npassword = \"file:trunk.password\"\n"
    )
}

/// `invite` of `phone` again, with credentials.
fn authorized(phone: &Phone, invite: &str, challenge: &str, username: &str, password: &str) -> String {
    let uri = invite.split(' ').nth(1).unwrap();
    let login = Login { username, password, method: "INVITE", uri, count: 1 };
    let credentials = login.answer(header(challenge, "WWW-Authenticate"));
    phone.invite("+14155550100", &format!("Authorization: {credentials}\r\n"))
}

const RETELL_PASSWORD: &str = "s3cret-of-retell";
const TRUNK_PASSWORD: &str = "s3cret-of-the-trunk";
const TOKEN: &str = "s3cret-token";
const OTHER_TOKEN: &str = "0ther-token";
const TRUNK_CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"carrier.example\", qop=\"auth\", \
    nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", algorithm=MD5";

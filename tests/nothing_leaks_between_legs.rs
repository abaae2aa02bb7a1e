//! Nothing of one leg shows on the other but the numbers, the caller's name and the headers that are passed.
//!
//! One end fills every header, every line of its session and every address with a marked word; the other
//! end's messages are searched for the mark, and for any header that no rule put there. What passes bears
//! another mark, which must arrive.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/calls.rs"]
mod calls;

use std::net::SocketAddr;
use std::time::Duration;

use calls::{
    ByHand, CALLEE, CALLER, DialogSide, NO_BODY, Network, Way, Weather, answer, ask, finish, header, headers,
    routes,
};

#[test]
fn of_the_callers_invite_only_numbers_and_passed_headers_reach_the_callee() {
    for way in Way::BOTH {
        let call = Marked::invited(way);

        let got = call.network.received(CALLEE, "INVITE ")[0];

        assert_clean(got, way, CALLER);
        assert_passed(got);
    }
}

#[test]
fn of_the_callees_responses_only_codes_and_passed_headers_reach_the_caller() {
    for way in Way::BOTH {
        for (code, phrase) in
            [(180, "Ringing"), (183, "Session Progress"), (200, "OK"), (503, "Service Unavailable")]
        {
            let mut call = Marked::invited(way);
            let before = call.network.messages(CALLER).len();

            call.respond(code, phrase);

            let got = &call.network.messages(CALLER)[before];
            assert!(got.starts_with(&format!("SIP/2.0 {code} ")), "{got}");
            assert_clean(got, way, CALLEE);
            assert_passed(got);
        }
    }
}

#[test]
fn of_a_bye_only_passed_headers_reach_the_other_leg() {
    for way in Way::BOTH {
        for (who, other) in [(CALLER, CALLEE), (CALLEE, CALLER)] {
            let mut call = Marked::answered(way);

            let bye = call.sides[who].request("BYE", &ending(way, who));
            let told = ask(&mut call.network, who, &bye);

            assert!(told[0].starts_with("SIP/2.0 200 "), "{told:?}");
            let got = call.network.received(other, "BYE ")[0];
            assert_clean(got, way, who);
            assert_passed(got);
            finish(&mut call.network);
        }
    }
}

#[test]
fn of_an_ack_or_a_request_that_is_answered_here_nothing_reaches_the_other_leg() {
    for way in Way::BOTH {
        for (who, other) in [(CALLER, CALLEE), (CALLEE, CALLER)] {
            let mut call = Marked::answered(way);
            let before = call.network.messages(other).len();

            for (method, code) in [
                ("INFO", Some(469)),
                ("UPDATE", Some(200)),
                ("OPTIONS", Some(200)),
                ("REFER", Some(405)),
                ("ACK", None),
            ] {
                let text = call.sides[who].request(method, &ending(way, who));
                let told = ask(&mut call.network, who, &text);

                assert_eq!(told.first().and_then(|text| calls::status(text)), code, "{method}");
            }

            assert_eq!(call.network.messages(other).len(), before);
        }
    }
}

#[test]
fn of_a_cancel_nothing_but_the_end_reaches_the_callee() {
    for way in Way::BOTH {
        let mut call = Marked::invited(way);
        call.respond(180, "Ringing");
        let cancel = call.invite.replace("INVITE ", "CANCEL ").replace(" INVITE\r\n", " CANCEL\r\n");
        let head = cancel.split("Content-Type").next().unwrap().to_owned();
        ask(&mut call.network, CALLER, &format!("{head}{NO_BODY}"));

        let got = call.network.received(CALLEE, "CANCEL ")[0];
        assert_clean(got, way, CALLER);
        assert_eq!(header(got, "X-Note"), None);
        assert_eq!(header(got, "Reason"), Some("SIP;cause=487;text=\"ORIGINATOR_CANCEL\""));
    }
}

#[test]
fn the_ack_to_the_callee_bears_nothing_of_the_caller() {
    for way in Way::BOTH {
        let call = Marked::answered(way);

        let got = call.network.received(CALLEE, "ACK ")[0];

        assert_clean(got, way, CALLER);
        assert_eq!(header(got, "X-Note"), None);
    }
}

/// The end of a request of agent `who`: every header, and no body.
fn ending(way: Way, who: usize) -> String {
    let (here, there) = way.ends();
    marked_headers(who, if who == CALLER { here } else { there }) + NO_BODY
}

/// A call whose two ends mark everything they say.
struct Marked {
    network: Network,
    way: Way,
    invite: String,
    sides: Vec<DialogSide>,
}

impl Marked {
    fn invited(way: Way) -> Self {
        let (here, there) = way.ends();
        let mut network = Network::new(routes::compile(&way.config()), 1, Weather::FAIR);
        network.add(ByHand::new(here));
        network.add(ByHand::new(there));
        let invite = marked_invite(here);
        network.say(here.parse().unwrap(), &invite);
        network.run(Duration::from_millis(100));
        Self { network, way, invite, sides: Vec::new() }
    }

    fn answered(way: Way) -> Self {
        let mut call = Self::invited(way);
        let ok = call.respond(200, "OK");
        let received = call.network.received(CALLEE, "INVITE ")[0].to_owned();
        let told = call.network.received(CALLER, "SIP/2.0 200 ")[0].to_owned();
        let (here, there) = way.ends();
        let mut caller = DialogSide::of_caller(here.parse().unwrap(), &call.invite, &told);
        ask(&mut call.network, CALLER, &caller.ack());
        call.sides = vec![caller, DialogSide::of_callee(there.parse().unwrap(), &received, &ok)];
        call
    }

    fn respond(&mut self, code: u16, phrase: &str) -> String {
        let (_, there) = self.way.ends();
        let received = self.network.received(CALLEE, "INVITE ")[0].to_owned();
        let leak = MARKS[CALLEE];
        let sdp = if matches!(code, 183 | 200) { marked_sdp(CALLEE, there) } else { String::new() };
        let contact = format!("Contact: \"{leak}\" <sip:{leak}@{there};{leak}=1>\r\n");
        let lines = marked_headers(CALLEE, there) + &contact;
        let response = answer(&received, code, phrase, leak, &calls::with_body(&lines, &sdp));
        ask(&mut self.network, CALLEE, &response);
        response
    }
}

fn marked_invite(here: &str) -> String {
    let (leak, n, sdp) = (MARKS[CALLER], FIGURES[CALLER], marked_sdp(CALLER, here));
    let lines = marked_headers(CALLER, here);
    format!(
        "INVITE sip:+14155550100@203.0.113.10:5060;{leak}=1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {here};branch=z9hG4bK{leak};{leak}=1\r\n\
         Via: SIP/2.0/UDP {leak}.example;branch=z9hG4bK{leak}2\r\n\
         Max-Forwards: 70\r\n\
         From: \"Ann\" <sip:+14155550123@{leak}.example:{n};{leak}=1>;tag={leak};{leak}=2\r\n\
         To: \"{leak}\" <sip:+14155550100@{leak}.example;{leak}=1>;{leak}=2\r\n\
         Call-ID: {leak}@{here}\r\nCSeq: {n} INVITE\r\n\
         Contact: \"{leak}\" <sip:{leak}@{here};{leak}=1?{leak}=1>;{leak}=2\r\n\
         {lines}Content-Type: application/sdp;{leak}=1\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// Every header there is that may stand in any message, and some that nobody knows.
fn marked_headers(who: usize, here: &str) -> String {
    let (leak, n) = (MARKS[who], FIGURES[who]);
    let credentials =
        format!("Digest username=\"{leak}\", realm=\"{leak}\", nonce=\"{leak}\", uri=\"sip:{leak}\"");
    let mut lines = format!(
        "Record-Route: <sip:{here};lr;{leak}=1>\r\n\
         Authorization: {credentials}, response=\"{leak}\"\r\n\
         Proxy-Authorization: {credentials}, response=\"{leak}\"\r\n\
         P-Asserted-Identity: \"{leak}\" <sip:{leak}@{leak}.example>\r\n\
         Remote-Party-ID: <sip:{leak}@{leak}.example>;party=calling\r\n\
         Identity: {leak}.{leak}.{leak};info=<https://{leak}.example>\r\nDate: Sat, 21 Nov {n} 07:07:07 \
         GMT\r\n\
         Referred-By: <sip:{leak}@{leak}.example>\r\nX-Trunkline-Leak: {leak}\r\nRetry-After: 9 ({leak})\r\n\
         {leak}: {leak}\r\n"
    );
    for name in NAMES {
        lines += &format!("{name}: {leak}\r\n");
    }
    lines + &passed_headers(leak)
}

/// What passes; hosts in it do not.
fn passed_headers(leak: &str) -> String {
    format!(
        "X-Note: {PASSES}-x\r\nx-lower-7: {PASSES}-lower\r\nUser-to-User: {PASSES}-uui;encoding=hex\r\n\
         Diversion: \"{PASSES}\" <sip:+14155550177@{leak}.example:7777>;reason=no-answer\r\n\
         History-Info: <sip:{PASSES}@{leak}.example>;index=1\r\nPrivacy: none\r\n"
    )
}

/// Every line of RFC 8866, and attributes of all kinds.
fn marked_sdp(who: usize, here: &str) -> String {
    let (leak, n, ip) = (MARKS[who], FIGURES[who], address(here).ip());
    format!(
        "v=0\r\no={leak} {n}001 {n}002 IN IP4 {ip}\r\ns={leak}\r\ni={leak}\r\nu=http://{leak}.example\r\n\
         e={leak}@{leak}.example\r\np=+1 {leak}\r\nc=IN IP4 {ip}\r\nb=AS:{n}\r\nt={n}003 {n}004\r\n\
         a={leak}\r\n\
         a=tool:{leak}\r\nm=audio {n} RTP/AVP 0 8 101\r\ni={leak}\r\na=rtcp:{n} IN IP4 {ip}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ssrc:{n}005 cname:{leak}\r\na=mid:{leak}\r\na=ice-ufrag:{leak}\r\n\
         a=candidate:1 1 UDP {n} {ip} {n} typ host\r\na=ptime:20\r\na=maxptime:{n}\r\n"
    )
}

/// Nothing of agent `from` is in a message to the other one, and no header that neither
/// we nor a rule put there.
fn assert_clean(text: &str, way: Way, from: usize) {
    let (here, there) = way.ends();
    let ip = address(if from == CALLER { here } else { there }).ip().to_string();
    for mark in [MARKS[from], FIGURES[from], &ip] {
        assert!(!text.contains(mark), "{mark} of {way:?}'s agent {from} is in\n{text}");
    }
    let unexpected: Vec<_> = headers(text).filter(|(name, _)| !EXPECTED.contains(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} in\n{text}");
}

/// Everything that is passed has arrived, with our host where it had one.
fn assert_passed(text: &str) {
    let value = |name| header(text, name).unwrap_or_default().to_owned();
    assert_eq!(value("X-Note"), format!("{PASSES}-x"));
    assert_eq!(value("x-lower-7"), format!("{PASSES}-lower"));
    assert_eq!(value("User-to-User"), format!("{PASSES}-uui;encoding=hex"));
    assert_eq!(value("Diversion"), format!("\"{PASSES}\" <sip:+14155550177@203.0.113.10>;reason=no-answer"));
    assert_eq!(value("History-Info"), format!("<sip:{PASSES}@203.0.113.10>;index=1"));
    assert_eq!(value("Privacy"), "none");
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What the caller and the callee mark their words with.
const MARKS: [&str; 2] = ["leaka", "leakb"];

/// The same for numbers.
const FIGURES: [&str; 2] = ["7771", "7772"];

/// The mark of what passes.
const PASSES: &str = "passes";

/// What may stand in a message of ours.
const EXPECTED: &[&str] = &[
    "Via",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Allow",
    "Content-Type",
    "Content-Length",
    "Reason",
    "Retry-After",
    "Supported",
    "X-Note",
    "x-lower-7",
    "User-to-User",
    "Diversion",
    "History-Info",
    "Privacy",
];

/// Headers that any value does in.
const NAMES: &[&str] = &[
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Resource-Priority",
    "Alert-Info",
    "Allow-Events",
    "Answer-Mode",
    "Authentication-Info",
    "Call-Info",
    "Content-Disposition",
    "Content-Language",
    "Encryption",
    "Error-Info",
    "Event",
    "Expires",
    "Feature-Caps",
    "Flow-Timer",
    "Geolocation",
    "Hide",
    "Identity-Info",
    "In-Reply-To",
    "Info-Package",
    "Join",
    "Max-Breadth",
    "MIME-Version",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Answer-State",
    "P-Associated-URI",
    "P-Called-Party-ID",
    "P-Charge-Info",
    "P-Charging-Function-Addresses",
    "P-Charging-Vector",
    "P-Early-Media",
    "P-Preferred-Identity",
    "P-Profile-Key",
    "P-Visited-Network-ID",
    "Path",
    "Priority",
    "Proxy-Require",
    "RAck",
    "Reason",
    "Recv-Info",
    "Refer-Sub",
    "Refer-To",
    "Reject-Contact",
    "Replaces",
    "Reply-To",
    "Request-Disposition",
    "Resource-Priority",
    "Response-Key",
    "RSeq",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Session-ID",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Subscription-State",
    "Supported",
    "Target-Dialog",
    "Timestamp",
    "Trigger-Consent",
    "Unsupported",
    "User-Agent",
    "Warning",
    "WWW-Authenticate",
    "Foo",
    "XNote",
    "leak",
];

//! Whether what the bridge sent is right, line by line, and as rsip reads it.
//!
//! The check knows nothing of the product's own builders or parsers: it splits at CRLF and colons, and holds
//! each response against the request that the bridge heard.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use super::agents::{header, headers, param, status, tag, uri_in};
use super::network::{BRIDGE, Emitted, Network};
use super::reread::reread;

/// Asserts that every message of the bridge is as RFC 3261 wants it, and that rsip reads it as meant.
pub(crate) fn assert_well_formed(network: &Network) {
    if let Some(fault) = first_fault(network) {
        panic!("{fault}");
    }
}

/// What is wrong with the first message of the bridge that is not right.
pub(crate) fn first_fault(network: &Network) -> Option<String> {
    let requests = requests_heard(network);
    let tags = tags_heard(network);
    let mut seen = HashSet::new();
    let mut numbers = BTreeMap::new();
    let distinct = network.emitted.iter().filter(|emitted| seen.insert((emitted.to, &emitted.bytes)));
    distinct.map(|emitted| (emitted, faults(emitted, &requests, &tags, &mut numbers))).find_map(
        |(emitted, mut wrong)| {
            if wrong.is_empty() {
                wrong.extend(
                    reread(&emitted.bytes).0.into_iter().map(|difference| format!("rsip: {difference:?}")),
                );
            }
            let shown = || format!("{wrong:#?} in what went to {}:\n{}", emitted.to, emitted.text());
            (!wrong.is_empty()).then(shown)
        },
    )
}

/// Everything wrong with one message.
fn faults(
    emitted: &Emitted,
    requests: &HashMap<String, String>,
    tags: &HashSet<String>,
    numbers: &mut BTreeMap<Side, u32>,
) -> Vec<String> {
    let text = emitted.text();
    let mut faults = Faults { text, found: Vec::new() };
    faults.lines();
    faults.body();
    if status(text).is_some() {
        faults.response(requests.get(&transaction(text)), emitted.to);
    } else {
        let to = tag(text, "To");
        faults.note(to.is_empty() || tags.contains(to), format!("To-tag {to}, which no peer gave"));
        faults.request(numbers);
    }
    faults.found
}

/// Requests that the bridge heard, by the transaction that their responses name.
fn requests_heard(network: &Network) -> HashMap<String, String> {
    let heard = network.heard.iter().map(|heard| String::from_utf8_lossy(&heard.bytes).into_owned());
    heard.filter(|text| status(text).is_none()).map(|text| (transaction(&text), text)).collect()
}

/// The tags that peers wrote.
fn tags_heard(network: &Network) -> HashSet<String> {
    let heard = network.heard.iter().map(|heard| String::from_utf8_lossy(&heard.bytes).into_owned());
    heard.flat_map(|text| ["From", "To"].map(|name| tag(&text, name).to_owned())).collect()
}

/// Top branch and CSeq.
fn transaction(text: &str) -> String {
    let via = header(text, "Via").unwrap_or_default();
    format!("{} {}", param(via, "branch"), header(text, "CSeq").unwrap_or_default())
}

/// One direction of a dialog: Call-ID and both tags.
type Side = (String, String, String);

struct Faults<'a> {
    text: &'a str,
    found: Vec<String>,
}

impl Faults<'_> {
    fn note(&mut self, is_right: bool, what: impl Into<String>) {
        if !is_right {
            self.found.push(what.into());
        }
    }

    fn value(&self, name: &str) -> String {
        header(self.text, name).unwrap_or_default().to_owned()
    }

    fn count(&self, name: &str) -> usize {
        headers(self.text).filter(|(other, _)| other.eq_ignore_ascii_case(name)).count()
    }

    fn once(&mut self, names: &[&str]) {
        for name in names {
            let count = self.count(name);
            self.note(count == 1, format!("{name} stands {count} times"));
        }
    }

    fn method(&self) -> String {
        self.value("CSeq").split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Start line, CRLF everywhere, `name: value`, and what stands once.
    fn lines(&mut self) {
        let (head, _) = self.text.split_once("\r\n\r\n").unwrap_or((self.text, ""));
        self.note(self.text.contains("\r\n\r\n"), "the head does not end");
        for line in head.split("\r\n").skip(1) {
            let is_printable = line.chars().all(|letter| !letter.is_control());
            let name = line.split_once(": ").map_or("", |(name, _)| name);
            let is_token =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            self.note(is_printable && is_token, format!("not a header line: {line:?}"));
        }
        self.once(&["From", "To", "Call-ID", "CSeq", "Content-Length"]);
        self.note(!tag(self.text, "From").is_empty(), "From has no tag");
    }

    /// Content-Length, Content-Type, and our own address in every session description.
    fn body(&mut self) {
        let body = self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let length = self.value("Content-Length");
        self.note(
            length == body.len().to_string(),
            format!("Content-Length {length} for {} bytes", body.len()),
        );
        let kind = header(self.text, "Content-Type");
        let is_info = self.text.starts_with("INFO ");
        let expected = if is_info { "application/dtmf-relay" } else { "application/sdp" };
        self.note(kind == (!body.is_empty()).then_some(expected), format!("Content-Type {kind:?}"));
        if !body.is_empty() && !is_info {
            self.session(body);
        }
    }

    fn session(&mut self, body: &str) {
        let line = |start: &str| body.split("\r\n").find(|line| line.starts_with(start)).unwrap_or_default();
        let ours = format!("IN IP4 {}", BRIDGE.ip());
        self.note(
            body.starts_with("v=0\r\no=- ") && body.ends_with("\r\n"),
            "a session begins with v= and o=",
        );
        for start in ["o=", "c="] {
            self.note(line(start).ends_with(&ours), format!("not our address: {}", line(start)));
        }
        let port = line("m=audio ").split(' ').nth(1).and_then(|port| port.parse::<u16>().ok());
        let is_ours = |port: u16| port == 0 || (port >= 20_000 && port.is_multiple_of(2));
        self.note(port.is_some_and(is_ours), format!("RTP at {port:?}"));
    }

    fn request(&mut self, numbers: &mut BTreeMap<Side, u32>) {
        let mut words = self.text.split("\r\n").next().unwrap_or_default().split(' ');
        let (method, uri, version) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next());
        self.note(version == Some("SIP/2.0") && words.next().is_none(), "the request line is wrong");
        self.note(uri.starts_with("sip:") && !uri.contains(['<', '>', '"']), format!("Request-URI {uri}"));
        self.note(self.method() == method, "CSeq names another method");
        self.once(&["Via", "Max-Forwards"]);
        let hops = self.value("Max-Forwards").parse::<u8>();
        self.note(hops.is_ok_and(|hops| hops <= 70), "Max-Forwards is out of range");
        let via = self.value("Via");
        let start = format!("SIP/2.0/UDP {BRIDGE};rport;branch=z9hG4bK");
        self.note(via.starts_with(&start) && via.len() > start.len() + 8, format!("Via {via}"));
        let has_to_tag = !tag(self.text, "To").is_empty();
        self.note(!self.value("Authorization").contains("secret"), "the password is shown");
        match method {
            "INVITE" if has_to_tag => {
                self.note(self.text.contains("\r\n\r\nv=0"), "a re-INVITE of ours makes an offer");
                self.contact();
                self.inside_dialog(has_to_tag, numbers);
            }
            "INVITE" => self.invite(uri),
            "CANCEL" => self.note(!has_to_tag, "To of a CANCEL has a tag"),
            "ACK" => self.note(has_to_tag, "To of an ACK has no tag"),
            _ => self.inside_dialog(has_to_tag, numbers),
        }
    }

    fn invite(&mut self, uri: &str) {
        let to = self.value("To");
        self.note(uri_in(&to) == uri, format!("To {to} is not the Request-URI"));
        self.note(self.text.contains("\r\n\r\nv=0"), "an INVITE of ours makes an offer");
        self.contact();
        self.once(&["Allow"]);
        self.our_from();
    }

    fn inside_dialog(&mut self, has_to_tag: bool, numbers: &mut BTreeMap<Side, u32>) {
        self.note(has_to_tag, "a request inside a dialog has a To-tag");
        let side =
            (self.value("Call-ID"), tag(self.text, "From").to_owned(), tag(self.text, "To").to_owned());
        let number = self.value("CSeq").split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let before = numbers.insert(side, number);
        self.note(before.is_none_or(|before| before < number), format!("CSeq {number} after {before:?}"));
    }

    /// From names our address, unless the caller is withheld.
    fn our_from(&mut self) {
        let from = self.value("From");
        let host = uri_in(&from).rsplit('@').next().unwrap_or_default().to_owned();
        let is_ours = host == BRIDGE.ip().to_string() || host == "anonymous.invalid";
        self.note(is_ours, format!("From is at {host}"));
    }

    fn contact(&mut self) {
        self.once(&["Contact"]);
        let contact = self.value("Contact");
        self.note(contact == format!("<sip:{BRIDGE}>"), format!("Contact {contact}"));
    }

    /// A response repeats its request, and says whom it came from.
    fn response(&mut self, request: Option<&String>, to: SocketAddr) {
        let code = status(self.text).unwrap_or_default();
        self.note((100..700).contains(&code), format!("status {code}"));
        let Some(request) = request else { return self.note(false, "it answers no request that was heard") };
        for name in ["From", "Call-ID", "CSeq"] {
            self.note(
                header(request, name) == header(self.text, name),
                format!("{name} differs from the request's"),
            );
        }
        self.check_to(request, code);
        self.check_vias(request, to);
        let opens_dialog = self.method() == "INVITE" && (101..300).contains(&code);
        if opens_dialog {
            self.contact();
        }
        let asks_to_be_described = !request.contains("\r\nContent-Length: 0\r\n");
        if self.method() == "INVITE" && (200..300).contains(&code) && asks_to_be_described {
            self.note(self.text.contains("\r\n\r\nv=0"), "a 2xx to INVITE without our session description");
        }
    }

    fn check_to(&mut self, request: &str, code: u16) {
        let (asked, told) = (header(request, "To").unwrap_or_default(), self.value("To"));
        let added = told.strip_prefix(asked);
        let is_right = match added {
            Some("") => code == 100 || !tag(request, "To").is_empty(),
            Some(tag) => code > 100 && tag.starts_with(";tag=") && tag.len() >= ";tag=".len() + 16,
            None => false,
        };
        self.note(is_right, format!("To {told} for {asked}"));
    }

    fn check_vias(&mut self, request: &str, to: SocketAddr) {
        let vias = |text| headers(text).filter(|(name, _)| *name == "Via").map(|(_, value)| value);
        let (asked, told): (Vec<_>, Vec<_>) = (vias(request).collect(), vias(self.text).collect());
        self.note(asked.get(1..) == told.get(1..), "the lower Vias are not the request's");
        let top = told.first().copied().unwrap_or_default();
        let bare = |via: &str| via.split(';').next().unwrap_or_default().to_owned();
        self.note(asked.first().map(|via| bare(via)) == Some(bare(top)), format!("Via {top}"));
        if asked.first().is_some_and(|via| via.ends_with(";rport")) {
            let port = format!("rport={}", to.port());
            self.note(top.contains(&port), format!("{top} has no {port}"));
        }
    }
}

//! What PROTOS c07-sip does to an INVITE: in each field of it in turn, every anomaly of its classes.
//!
//! The classes are those of the suite (overflows, format strings, numbers, addresses, versions, encodings,
//! escape sequences, separators, line ends, missing and repeated headers); the values are chosen anew.

use std::net::{IpAddr, SocketAddr};

/// Every case, as a recognised peer at `ip` sends it to `bridge`.
pub(crate) fn cases(ip: IpAddr, bridge: SocketAddr) -> Vec<Vec<u8>> {
    let (template, anomalies) = (Template::new(ip, bridge), anomalies());
    let in_fields = (0..template.fields()).flat_map(|field| anomalies.iter().map(move |it| (field, it)));
    let mut cases: Vec<_> = in_fields
        .enumerate()
        .map(|(number, (field, anomaly))| template.with(field, anomaly, number))
        .collect();
    for change in
        [Line::Missing, Line::Empty, Line::Twice, Line::AHundredTimes, Line::LongName, Line::NoColon]
    {
        for line in 0..HEAD.lines().count() {
            cases.push(template.with_line(line, change, cases.len()));
        }
    }
    cases
}

/// An INVITE as text and fields in turn, its fields in odd places.
struct Template {
    head: Vec<String>,
    body: Vec<String>,
}

/// What becomes of a line of the head.
#[derive(Clone, Copy)]
enum Line {
    Missing,
    Empty,
    Twice,
    AHundredTimes,
    LongName,
    NoColon,
}

impl Template {
    fn new(ip: IpAddr, bridge: SocketAddr) -> Self {
        let parts = |text: &str| {
            let text = text.replace('\n', "\r\n").replace("HERE", &ip.to_string());
            text.replace("BRIDGE", &bridge.ip().to_string()).split('|').map(str::to_owned).collect()
        };
        Self { head: parts(HEAD), body: parts(BODY) }
    }

    fn fields(&self) -> usize {
        (self.head.len() + self.body.len()) / 2
    }

    /// The message in which `field` is `anomaly`, with identifiers of its own wherever that leaves them.
    fn with(&self, field: usize, anomaly: &[u8], number: usize) -> Vec<u8> {
        let of_head = self.head.len() / 2;
        let body = fill(&self.body, field.checked_sub(of_head), anomaly);
        let head = fill(&self.head, Some(field).filter(|field| *field < of_head), anomaly);
        finish(&head, &body, number)
    }

    /// The message whose head has its line `line` changed.
    fn with_line(&self, line: usize, change: Line, number: usize) -> Vec<u8> {
        let head = String::from_utf8(fill(&self.head, None, b"")).unwrap();
        let mut lines: Vec<_> = head.split_inclusive("\r\n").map(str::to_owned).collect();
        let (name, value) = lines[line].split_once(':').unwrap_or(("", ""));
        lines[line] = match change {
            Line::Missing => String::new(),
            Line::Empty => format!("{name}:\r\n"),
            Line::Twice => lines[line].repeat(2),
            Line::AHundredTimes => lines[line].repeat(100),
            Line::LongName => format!("{}:{value}", "a".repeat(7_000)),
            Line::NoColon => lines[line].replace(':', ""),
        };
        finish(lines.concat().as_bytes(), &fill(&self.body, None, b""), number)
    }
}

/// The parts, with `anomaly` in place of the field of that number.
fn fill(parts: &[String], field: Option<usize>, anomaly: &[u8]) -> Vec<u8> {
    let is_field = |place: usize| field.is_some_and(|field| place == 2 * field + 1);
    let texts = parts.iter().enumerate();
    texts.flat_map(|(place, text)| if is_field(place) { anomaly } else { text.as_bytes() }.to_vec()).collect()
}

/// Puts in the length of the body and the number of the message.
fn finish(head: &[u8], body: &[u8], number: usize) -> Vec<u8> {
    let head = replace(head, b"LENGTH", body.len());
    [&replace(&head, b"NUMBER", number)[..], b"\r\n", body].concat()
}

fn replace(text: &[u8], what: &[u8], with: usize) -> Vec<u8> {
    let (mut made, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.windows(what.len()).position(|bytes| bytes == what) {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(with.to_string().as_bytes());
        rest = &rest[at + what.len()..];
    }
    [&made, rest].concat()
}

fn anomalies() -> Vec<Vec<u8>> {
    let overflows = [64, 1_024, 8_180, 30_000].map(|length| vec![b'a'; length]);
    let separators = b"<>;,@:\"\\/()%=?&[] \t+-.\0".map(|byte| vec![byte; 300]);
    let literal = LITERAL.iter().map(|text| text.to_vec());
    literal.chain(overflows).chain(separators).collect()
}

/// Each between bars is a field.
const HEAD: &str = "\
|INVITE| |sip|:|+14155550100|@|BRIDGE|:|5060| |SIP/2.0|
Via: |SIP|/|2.0|/|UDP| |HERE|:|5060|;branch=|z9hG4bKprotosNUMBER|;rport
Max-Forwards: |70|
From: |\"Bob\"| <|sip|:|+14155550123|@|HERE|;user=|phone|>;tag=|protosNUMBER|
To: |\"Ann\"| <|sip:+14155550100@BRIDGE|>
Call-ID: |protosNUMBER|@|HERE|
CSeq: |1| |INVITE|
Contact: |<sip:+14155550123@HERE:5060>|;expires=|60|
Supported: |timer|
Diversion: <|sip:+14155550124@far.example|>;reason=|unconditional|
X-Account: |seven|
Content-Type: |application/sdp|
Content-Length: |LENGTH|
";

const BODY: &str = "\
v=|0|
o=|-| |1| |1| IN |IP4| |HERE|
s=|-|
c=|IN| |IP4| |HERE|
t=|0| |0|
m=|audio| |40000| |RTP/AVP| |0|
a=|rtpmap|:|0| |PCMU|/|8000|
a=ptime:|20|
";

const LITERAL: &[&[u8]] = &[
    b"",
    b" ",
    b"%s%s%s%s%s%s%n%n%n%n",
    b"%.5000d%08x",
    b"%00%0d%0aX-Evil: y",
    b"0",
    b"-1",
    b"+1",
    b"00000000000000000001",
    b"256",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"-2147483649",
    b"99999999999999999999999999",
    b"0x7fffffff",
    b"1e9",
    b"0.0.0.0",
    b"255.255.255.255",
    b"127.0.0.256",
    b"127.0.0",
    b"127.0.0.1.1",
    b"[::1",
    b"[2001:db8::ffff:g]",
    b"[1:2:3:4:5:6:7:8:9]",
    b"[::ffff:999.0.0.1]",
    b"[fe80::1%eth0]",
    b"SIP/1.0",
    b"SIP/2.0000000000001",
    b"sip/2.0",
    b"SIP/-1.-1",
    b"HTTP/1.1",
    b"\xc0\xaf\xe0\x80\xaf",
    b"\xf8\x88\x80\x80\x80\xfe\xff",
    b"\xed\xa0\x80\xed\xb0\x80",
    "\u{202e}\u{feff}\u{2028}é".as_bytes(),
    b"\x1b[2J\x1b[31m\x1b]0;title\x07",
    b"\x08\x7f\x85",
    b"\"",
    b"\\",
    b"\\\"",
    b"<sip:a@b>, <sip:c@d>",
    b"sip:",
    b"sip:@",
    b"tel:+1;phone-context=",
    b"a\r\n b",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\r\nX-Account: second",
    b"\r\nContent-Length: 7",
    b"AUTHENTICATE",
    b"ACK",
    b"BYE",
];

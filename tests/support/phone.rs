//! A far end on real sockets: SIP over UDP as plain text, and one RTP socket.
//!
//! It reads lines and splits at colons, and shares no code with the product on purpose. It repeats nothing:
//! loopback loses nothing, and what the bridge repeats is skipped by whoever waits for something else.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Somebody who calls or is called.
pub(crate) struct Phone {
    pub(crate) ip: IpAddr,
    /// Its own `host:port`.
    pub(crate) at: SocketAddr,
    /// Where its messages go.
    pub(crate) bridge: SocketAddr,
    /// Where the last message came from.
    pub(crate) heard_from: Cell<Option<SocketAddr>>,
    socket: UdpSocket,
    pub(crate) media: UdpSocket,
    placed: Cell<u32>,
}

impl Phone {
    /// At port 5060 of `ip`, talking to `bridge`.
    pub(crate) fn new(ip: Ipv4Addr, bridge: SocketAddr) -> Self {
        Self::bind((ip, 5060).into(), (ip, MEDIA_PORT).into(), bridge)
    }

    /// At free ports of `ip`, which others use too, talking to `bridge`.
    pub(crate) fn at_free_ports(ip: IpAddr, bridge: SocketAddr) -> Self {
        Self::bind((ip, 0).into(), (ip, 0).into(), bridge)
    }

    fn bind(signalling: SocketAddr, media: SocketAddr, bridge: SocketAddr) -> Self {
        let socket = UdpSocket::bind(signalling).unwrap();
        let media = UdpSocket::bind(media).unwrap();
        media.set_read_timeout(Some(PATIENCE)).unwrap();
        let at = socket.local_addr().unwrap();
        let (heard_from, placed) = (Cell::default(), Cell::default());
        Self { ip: at.ip(), at, bridge, heard_from, socket, media, placed }
    }

    pub(crate) fn send(&self, message: impl AsRef<[u8]>) {
        self.socket.send_to(message.as_ref(), self.bridge).unwrap();
    }

    /// The next message whose first line begins with `start`; others are skipped.
    pub(crate) fn expect(&self, start: &str) -> String {
        let (deadline, mut skipped) = (Instant::now() + PATIENCE, Vec::new());
        while let Some(message) = self.receive(deadline.saturating_duration_since(Instant::now())) {
            if message.starts_with(start) {
                return message;
            }
            skipped.push(message.lines().next().unwrap_or_default().to_owned());
        }
        panic!("{} got no {start:?}, but {skipped:?}", self.ip);
    }

    /// The next message that comes in time.
    pub(crate) fn receive(&self, within: Duration) -> Option<String> {
        self.receive_bytes(within).map(|message| String::from_utf8_lossy(&message).into_owned())
    }

    /// The same as it came.
    pub(crate) fn receive_bytes(&self, within: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let waits = self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1))));
        match waits.and_then(|()| self.socket.recv_from(&mut buffer)) {
            Ok((length, source)) => {
                self.heard_from.set(Some(source));
                Some(buffer[..length].to_vec())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// First lines of everything that has come so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        let messages = std::iter::from_fn(|| self.receive(Duration::ZERO));
        messages.map(|message| message.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// An OPTIONS outside of any dialog.
    pub(crate) fn options(&self) -> String {
        self.request("OPTIONS", &format!("sip:{}", self.bridge), "")
    }

    /// An INVITE to `number` with G.711 to offer; `headers` are further lines, each with its line end.
    pub(crate) fn invite(&self, number: &str, headers: &str) -> String {
        self.request("INVITE", &format!("sip:{number}@{}", self.bridge), headers)
    }

    /// A request outside of any dialog, with identifiers of its own.
    pub(crate) fn request(&self, method: &str, uri: &str, headers: &str) -> String {
        let (ip, at, place) = (self.host(), self.at, self.placed.get() + 1);
        let unique = self.ip.to_string().replace(':', "-");
        self.placed.set(place);
        let body = if method == "INVITE" { self.sdp() } else { String::new() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {at};branch=z9hG4bK-{place}-{unique}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+14155550123@{ip}>;tag=from-{place}\r\n\
             To: <{uri}>\r\n\
             Call-ID: {place}-of-this-test@{ip}\r\n\
             CSeq: 1 {method}\r\n\
             Contact: <sip:{at}>\r\n\
             {headers}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Its address as URIs have it.
    fn host(&self) -> String {
        if self.ip.is_ipv4() { self.ip.to_string() } else { format!("[{}]", self.ip) }
    }

    /// G.711 and telephone events at this phone's RTP socket.
    pub(crate) fn sdp(&self) -> String {
        let (ip, port) = (self.ip, self.media.local_addr().unwrap().port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
        )
    }

    /// Answers `request` with `status`; a 200 to an INVITE takes the call.
    pub(crate) fn answer(&self, request: &str, status: &str) {
        self.send(self.response(request, status));
    }

    pub(crate) fn response(&self, request: &str, status: &str) -> String {
        let takes_call = status.starts_with('2') && request.starts_with("INVITE");
        let body = if takes_call { self.sdp() } else { String::new() };
        let kind = if takes_call { "Content-Type: application/sdp\r\n" } else { "" };
        let to = header(request, "To").to_owned();
        let to = if to.contains(";tag=") || status == "100 Trying" { to } else { format!("{to};tag=to") };
        format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:{}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            header(request, "Via"),
            header(request, "From"),
            header(request, "Call-ID"),
            header(request, "CSeq"),
            self.at,
            body.len()
        )
    }

    /// Sends a packet of G.711 to where `description`, a message with SDP, wants it.
    pub(crate) fn send_audio(&self, description: &str, sequence: u8) {
        let line = |start: &str| description.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        let port: u16 = line("m=audio ").split(' ').next().unwrap().parse().unwrap();
        let ip: IpAddr = line("c=IN IP").split(' ').nth(1).unwrap().parse().unwrap();
        let mut packet = [0xff; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, sequence, 0, 0, sequence, 0, 1, 2, 3, 4]);
        self.media.send_to(&packet, (ip, port)).unwrap();
    }

    /// Waits for a packet of audio; returns its length.
    pub(crate) fn hear_audio(&self) -> usize {
        self.media.recv(&mut [0; 2_048]).expect("audio within the time")
    }

    /// Waits for a packet of audio; returns where it came from.
    pub(crate) fn hear_audio_from(&self) -> SocketAddr {
        self.media.recv_from(&mut [0; 2_048]).expect("audio within the time").1
    }
}

/// An answered call, as both its ends know it.
pub(crate) struct Call<'a> {
    pub(crate) caller: &'a Phone,
    pub(crate) callee: &'a Phone,
    pub(crate) invite: String,
    pub(crate) ok: String,
    /// What reached the callee.
    pub(crate) offered: String,
}

impl<'a> Call<'a> {
    /// Calls `number`, which rings at `callee` and is answered there.
    pub(crate) fn place(caller: &'a Phone, callee: &'a Phone, number: &str) -> Self {
        let (invite, offered) = ring(caller, callee, number);
        callee.answer(&offered, "200 OK");
        callee.expect("ACK ");
        let ok = caller.expect("SIP/2.0 200 ");
        caller.send(follow_up(&invite, &ok, "ACK", 1));
        Self { caller, callee, invite, ok, offered }
    }

    /// The caller's BYE.
    pub(crate) fn bye(&self) -> String {
        follow_up(&self.invite, &self.ok, "BYE", 2)
    }

    /// The callee's BYE.
    pub(crate) fn bye_of_callee(&self) -> String {
        let offered = &self.offered;
        let contact = header(offered, "Contact").trim_matches(['<', '>']);
        let at = self.callee.at;
        format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK-bye-{}\r\n\
             Max-Forwards: 70\r\n\
             From: {};tag=to\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            header(offered, "Call-ID").replace('@', "-"),
            header(offered, "To"),
            header(offered, "From"),
            header(offered, "Call-ID")
        )
    }

    /// The caller hangs up, and both ends see the call end.
    pub(crate) fn hang_up(&self) {
        self.caller.send(self.bye());
        let bye = self.callee.expect("BYE ");
        self.callee.answer(&bye, "200 OK");
        let ok = self.caller.expect("SIP/2.0 200 ");
        assert_eq!(header(&ok, "CSeq"), "2 BYE");
    }

    /// Both ends send a packet that the other one hears.
    pub(crate) fn exchange_audio(&self, sequence: u8) {
        self.caller.send_audio(&self.ok, sequence);
        assert_eq!(self.callee.hear_audio(), 172);
        self.callee.send_audio(&self.offered, sequence);
        assert_eq!(self.caller.hear_audio(), 172);
    }

    /// Both ends are told that the call is over, and agree.
    pub(crate) fn is_ended_by_bridge(&self) {
        for phone in [self.caller, self.callee] {
            let bye = phone.expect("BYE ");
            phone.answer(&bye, "200 OK");
        }
    }
}

/// Calls `number` until it rings at `callee`; returns the INVITE, and what reached the callee.
pub(crate) fn ring(caller: &Phone, callee: &Phone, number: &str) -> (String, String) {
    let invite = caller.invite(number, "");
    caller.send(&invite);
    let offered = callee.expect("INVITE ");
    callee.answer(&offered, "180 Ringing");
    caller.expect("SIP/2.0 180 ");
    (invite, offered)
}

/// A request of whoever sent `invite`: ACK to `response`, or what comes later in its dialog.
pub(crate) fn follow_up(invite: &str, response: &str, method: &str, number: u32) -> String {
    let is_ok = response.starts_with("SIP/2.0 2");
    let uri = match is_ok {
        true => header(response, "Contact").trim_matches(['<', '>']),
        false => invite.split(' ').nth(1).unwrap(),
    };
    let via = header(invite, "Via");
    let via = if is_ok { format!("{via}-{method}") } else { via.to_owned() };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
         CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
        header(invite, "From"),
        header(response, "To"),
        header(invite, "Call-ID")
    )
}

/// The CANCEL of `invite`.
pub(crate) fn cancel(invite: &str) -> String {
    let (head, _) = invite.split_once("Contact: ").unwrap();
    head.replace("INVITE", "CANCEL") + "Content-Length: 0\r\n\r\n"
}

/// The value of the first `name` line of `message`; panics when there is none.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let value = message.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// How long a far end waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where every phone has its RTP.
const MEDIA_PORT: u16 = 40_000;

//! Sets up calls in an rtpengine by its ng control protocol: a cookie, a space and a
//! bencoded dictionary over UDP.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

/// What `relay_blast ng` takes.
#[derive(clap::Parser)]
pub(crate) struct Arguments {
    /// rtpengine's `--listen-ng`
    #[arg(long)]
    control: SocketAddr,
    /// Calls to set up
    #[arg(long)]
    calls: u32,
    /// Where both far ends are
    #[arg(long)]
    local: IpAddr,
    /// The far ends' ports: A's, then B's
    #[arg(long, num_args = 2, default_values_t = [40_000, 45_000])]
    ports: Vec<u16>,
    /// Written for `paced` and `max`
    #[arg(long)]
    pairs: PathBuf,
}

/// Sets up the calls and writes the pairs file.
pub(crate) fn set_up(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let anywhere = if arguments.control.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(anywhere)?;
    socket.connect(arguments.control)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut pairs = String::new();
    for call in 0..arguments.calls {
        let body = |port| description(arguments.local, port);
        let (a, b) = (body(arguments.ports[0]), body(arguments.ports[1]));
        let ask = |command: &str, sdp: &str, to_tag: Option<&str>| {
            request(&socket, &dictionary(command, call, sdp, to_tag), &format!("{call}{command}"))
        };
        // The offer is what B is to see: the port in it is where B sends.
        let b_port = ask("offer", &a, None)?;
        let a_port = ask("answer", &b, Some("b"))?;
        writeln!(pairs, "{} {a_port} {b_port}", arguments.control.ip())?;
    }
    fs::write(&arguments.pairs, pairs)?;
    Ok(())
}

/// Asks once; returns the port in the session description of the answer.
fn request(socket: &UdpSocket, body: &str, cookie: &str) -> Result<u16, Box<dyn Error>> {
    socket.send(format!("{cookie} {body}").as_bytes())?;
    let mut buffer = [0; 65_536];
    loop {
        let length =
            socket.recv(&mut buffer).map_err(|error| format!("rtpengine does not answer: {error}"))?;
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !answer.starts_with(&format!("{cookie} ")) {
            continue;
        }
        let after = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next());
        return after.and_then(|port| port.parse().ok()).ok_or_else(|| format!("rtpengine: {answer}").into());
    }
}

fn dictionary(command: &str, call: u32, sdp: &str, to_tag: Option<&str>) -> String {
    let mut entries = vec![
        ("ICE", text("remove")),
        ("call-id", text(&format!("call{call}"))),
        ("command", text(command)),
        ("from-tag", text("a")),
        ("replace", format!("l{}{}e", text("origin"), text("session-connection"))),
        ("sdp", text(sdp)),
    ];
    entries.extend(to_tag.map(|tag| ("to-tag", text(tag))));
    entries.iter().fold("d".to_owned(), |all, (key, value)| all + &text(key) + value) + "e"
}

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

fn description(ip: IpAddr, port: u16) -> String {
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
    )
}

//! Whether a message that left the bridge is well formed: line by line, with a parser of its own.
//!
//! Stricter than RFC 3261 asks of receivers: what we send is of the plainest form there is, one header a
//! line, nothing folded, nothing compact.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may unwrap")]

/// What is wrong with how `message` is put together; nothing of this may ever leave the bridge.
pub(crate) fn fault(message: &[u8]) -> Option<String> {
    check(message).err().map(|fault| format!("{fault} in {:?}", String::from_utf8_lossy(message)))
}

/// The same for a message to whoever has done nothing wrong: what it is made of is checked too.
pub(crate) fn fault_toward_callee(message: &[u8]) -> Option<String> {
    let made = check(message).and_then(|(head, body)| check_contents(&head, body));
    made.err().map(|fault| format!("{fault} in {:?}", String::from_utf8_lossy(message)))
}

/// The messages of a stream, the last one with whatever is behind it.
pub(crate) fn split(stream: &[u8]) -> Vec<&[u8]> {
    let (mut messages, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let length = first_length(rest).filter(|length| *length <= rest.len()).unwrap_or(rest.len());
        messages.push(&rest[..length]);
        rest = &rest[length..];
    }
    messages
}

/// The length of the first message by its Content-Length.
fn first_length(stream: &[u8]) -> Option<usize> {
    let head = stream.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let lines = String::from_utf8_lossy(&stream[..head]).into_owned();
    let length = lines.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some(head + 4 + length.parse::<usize>().ok()?)
}

/// The start line and the headers.
struct Head<'a> {
    start: String,
    headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Head<'a> {
    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let same = |header: &&(&[u8], &[u8])| header.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(same).map(|(_, value)| *value).collect()
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        let value = self.values(name).first().copied().ok_or(format!("no {name}"))?;
        std::str::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))
    }
}

fn check(message: &[u8]) -> Result<(Head<'_>, &[u8]), String> {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("no empty line")?;
    let (head, body) = (&message[..end], &message[end + 4..]);
    let mut lines = split_lines(head);
    let start = String::from_utf8(lines.remove(0).to_vec()).map_err(|_| "the start line is not UTF-8")?;
    check_start(&start)?;
    let headers: Vec<_> = lines.into_iter().map(check_line).collect::<Result<_, _>>()?;
    let head = Head { start, headers };
    for name in ["From", "To", "Call-ID", "CSeq", "Content-Length"] {
        let count = head.values(name).len();
        // A request that lacks them is answered as well as can be.
        if count > 1 || (count == 0 && name == "Content-Length") {
            return Err(format!("{count} times {name}"));
        }
    }
    if head.text("Content-Length")?.parse() != Ok(body.len()) {
        return Err(format!("Content-Length of {} bytes", body.len()));
    }
    Ok((head, body))
}

fn split_lines(head: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest) = (Vec::new(), head);
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

fn check_start(line: &str) -> Result<(), String> {
    let wrong = || format!("start line {line:?}");
    if line.chars().any(char::is_control) {
        return Err(wrong());
    }
    if let Some(status) = line.strip_prefix("SIP/2.0 ") {
        let code = status.split(' ').next().and_then(|code| code.parse::<u16>().ok());
        return code.filter(|code| (100..700).contains(code)).map(|_| ()).ok_or_else(wrong);
    }
    let parts: Vec<_> = line.split(' ').collect();
    let [method, uri, "SIP/2.0"] = parts[..] else { return Err(wrong()) };
    let is_method = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"].contains(&method);
    let is_uri = uri.starts_with("sip:") && uri.is_ascii() && !uri.contains(['<', '>', '"', '\\']);
    if is_method && is_uri { Ok(()) } else { Err(wrong()) }
}

fn check_line(line: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let shown = || format!("line {:?}", String::from_utf8_lossy(line));
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(shown)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte);
    let is_text = |byte: &u8| !byte.is_ascii_control() || *byte == b'\t';
    let is_good = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_text);
    let value = value.strip_prefix(b" ").ok_or_else(shown)?;
    if is_good { Ok((name, value)) } else { Err(shown()) }
}

fn check_contents(head: &Head<'_>, body: &[u8]) -> Result<(), String> {
    let is_request = !head.start.starts_with("SIP/2.0 ");
    let mut once = vec!["Via", "From", "To", "Call-ID", "CSeq"];
    if is_request {
        once.push("Max-Forwards");
    }
    for name in once {
        if head.values(name).len() != 1 {
            return Err(format!("{} times {name}", head.values(name).len()));
        }
    }
    for name in ["From", "To", "Contact", "Diversion", "History-Info"] {
        for value in head.values(name) {
            let value = std::str::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))?;
            if !is_address(value) {
                return Err(format!("{name} {value:?}"));
            }
        }
    }
    let via = head.text("Via")?;
    if !via.starts_with("SIP/2.0/") || !via.contains(";branch=z9hG4bK") {
        return Err(format!("Via {via:?}"));
    }
    let cseq = head.text("CSeq")?.split_once(' ').ok_or("CSeq without a space")?;
    if cseq.0.parse::<u32>().is_err() || (is_request && !head.start.starts_with(cseq.1)) {
        return Err(format!("CSeq {cseq:?}"));
    }
    if body.is_empty() { Ok(()) } else { check_sdp(head, body) }
}

/// `"display" <uri>;parameters`, quotes and brackets closed; the display name is optional.
fn is_address(value: &str) -> bool {
    let (mut quoted, mut escaped, mut brackets) = (false, false, Vec::new());
    for (at, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' | '>' if !quoted => brackets.push(at),
            _ => {}
        }
    }
    let [open, close] = brackets[..] else { return false };
    let uri = value.get(open + 1..close).unwrap_or_default();
    let is_uri = ["sip:", "sips:", "tel:"].iter().any(|scheme| uri.starts_with(scheme));
    let rest = &value[close + 1..];
    !quoted && is_uri && uri.is_ascii() && !uri.contains(' ') && (rest.is_empty() || rest.starts_with(';'))
}

fn check_sdp(head: &Head<'_>, body: &[u8]) -> Result<(), String> {
    if head.text("Content-Type")? != "application/sdp" {
        return Err("a body that is no SDP".to_owned());
    }
    let text = std::str::from_utf8(body).map_err(|_| "SDP that is not UTF-8")?;
    let lines: Vec<_> =
        text.strip_suffix("\r\n").ok_or("SDP without a last line end")?.split("\r\n").collect();
    let is_line = |line: &&str| {
        line.get(1..2) == Some("=")
            && line.starts_with(|start: char| start.is_ascii_lowercase())
            && line.len() > 2
            && !line.contains(char::is_control)
    };
    if let Some(wrong) = lines.iter().find(|line| !is_line(line)) {
        return Err(format!("SDP line {wrong:?}"));
    }
    let starts: String = lines.iter().map(|line| &line[..1]).filter(|start| *start != "a").collect();
    if starts.starts_with("vosctm") { Ok(()) } else { Err(format!("SDP lines in the order {starts}")) }
}

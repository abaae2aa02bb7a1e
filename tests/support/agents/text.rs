//! SIP as lines of text: just enough for agents that write every message out themselves.

/// The value of the first header `name`.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    headers(text).find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// All header lines in order.
pub(crate) fn headers(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    head.split("\r\n").skip(1).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name, value.trim()))
    })
}

/// The code of a response.
pub(crate) fn status(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The URI between the angle brackets of `value`.
pub(crate) fn uri_in(value: &str) -> &str {
    value.split(['<', '>']).nth(1).unwrap_or(value)
}

/// The parameter `name` of a header's value.
pub(crate) fn param<'a>(value: &'a str, name: &str) -> &'a str {
    value.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// The tag of the From or To of `text`.
pub(crate) fn tag<'a>(text: &'a str, name: &str) -> &'a str {
    param(header(text, name).unwrap_or_default(), "tag")
}

/// A response to the request `text`, with `to_tag` when its To has none; `rest` are further lines,
/// the empty one and the body.
pub(crate) fn answer(text: &str, code: u16, phrase: &str, to_tag: &str, rest: &str) -> String {
    let copied: String = headers(text)
        .filter(|(name, _)| COPIED.iter().any(|kept| name.eq_ignore_ascii_case(kept)))
        .map(|(name, value)| {
            let needs_tag = name.eq_ignore_ascii_case("To") && !value.contains(";tag=");
            let tag = if needs_tag && !to_tag.is_empty() { format!(";tag={to_tag}") } else { String::new() };
            format!("{name}: {value}{tag}\r\n")
        })
        .collect();
    format!("SIP/2.0 {code} {phrase}\r\n{copied}{rest}")
}

/// Header lines `headers`, those of the body, and the body, if there is one.
pub(crate) fn with_body(headers: &str, sdp: &str) -> String {
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{headers}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// PCMU, PCMA and telephone events.
pub(crate) const SDP: &str = "v=0\r\no=- 7 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

/// The end of a message without a body.
pub(crate) const NO_BODY: &str = "Content-Length: 0\r\n\r\n";

/// What a response repeats of its request.
const COPIED: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];

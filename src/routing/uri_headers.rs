//! Headers made of URIs (Diversion, RFC 5806; History-Info, RFC 7044; Referred-By, RFC 3892): the host becomes ours.
//!
//! Only the URI between `<` and `>` is written anew; display names and header parameters (`reason`, `counter`,
//! `index`) stay as they are. A value whose URI cannot be read is left out, because it would carry the other side's address.

use crate::sip::headers::Name;
use crate::sip::uri::{Host, Scheme, Uri};

/// Whether the header's values are `name-addr`s whose host must not cross.
pub(super) fn is_made_of_uris(name: Name) -> bool {
    matches!(name, Name::Diversion | Name::HistoryInfo | Name::ReferredBy)
}

/// The elements of `value` in order, each with `host` in its URI; a tel URI has none and stays.
pub(super) fn rehost(value: &[u8], host: &Host) -> Vec<Vec<u8>> {
    elements(value).into_iter().filter_map(|element| rehost_one(element, host)).collect()
}

fn rehost_one(element: &[u8], host: &Host) -> Option<Vec<u8>> {
    let (before, uri, after) = split_uri(element)?;
    let uri = Uri::parse(uri).ok()?;
    let uri = match uri.scheme {
        Scheme::Tel => uri,
        Scheme::Sip | Scheme::Sips => {
            let params =
                uri.params.into_iter().filter(|(name, _)| !ADDRESSES.contains(&name.as_str())).collect();
            Uri { host: host.clone(), port: None, params, ..uri }
        }
    };
    let mut rewritten = before.to_vec();
    rewritten.extend_from_slice(format!("<{uri}>").as_bytes());
    rewritten.extend_from_slice(after);
    rewritten.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    Some(rewritten)
}

/// What stands before, in and behind the angle brackets; without them the URI ends at the first `;`.
fn split_uri(element: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let Some(open) = find_unquoted(element, b'<') else {
        let end = element.iter().position(|byte| *byte == b';').unwrap_or(element.len());
        let (uri, after) = element.split_at(end);
        return Some((b"", uri.trim_ascii(), after));
    };
    let (before, rest) = element.split_at(open);
    let rest = rest.get(1..)?;
    let close = rest.iter().position(|byte| *byte == b'>')?;
    Some((before, &rest[..close], rest.get(close + 1..)?))
}

/// Cuts at the commas outside quotes and angle brackets.
fn elements(value: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    let mut rest = value;
    while let Some(comma) = find_unquoted(rest, b',') {
        elements.push(rest[..comma].trim_ascii());
        rest = &rest[comma + 1..];
    }
    elements.push(rest.trim_ascii());
    elements.retain(|element| !element.is_empty());
    elements
}

/// The first `wanted` outside quoted strings and, unless it is `<` itself, outside angle brackets.
fn find_unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    text.iter().position(|&byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' if quoted => escaped = true,
            b'"' if !bracketed => quoted = !quoted,
            _ if quoted => {}
            _ if byte == wanted && !bracketed => return true,
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
        false
    })
}

/// URI parameters that name an address of the other side.
const ADDRESSES: &[&str] = &["maddr", "received"];

//! Percent escapes of URIs (RFC 3261 §25.1 `escaped`, RFC 2396 §2.4): reading them, and which
//! characters need them where.
//!
//! An escaped reserved character is not the same as the bare one: only escapes of unreserved characters may
//! be resolved and written back bare.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::UriError;

/// All `%HH` resolved to bytes.
pub(super) fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, UriError> {
    resolve(text, |_| true)
}

/// `%HH` of characters that need no escape anywhere resolved, the other escapes left and written in capitals.
pub(super) fn resolve_needless(text: &[u8]) -> Result<Cow<'_, [u8]>, UriError> {
    resolve(text, is_unreserved)
}

/// Escapes what `allowed` does not let through.
pub(super) fn escape(text: &[u8], allowed: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if let (true, Ok(text)) =
        (text.iter().all(|&byte| allowed(byte) && byte.is_ascii()), std::str::from_utf8(text))
    {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for &byte in text {
        push(&mut escaped, byte, &allowed);
    }
    Cow::Owned(escaped)
}

/// Like [`escape`], but what is an escape already is left as it is.
pub(super) fn keeping_escapes(text: &str, allowed: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| allowed(byte) && byte.is_ascii()) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'%' && escaped_byte(&text.as_bytes()[at..]).is_some() {
            escaped.push('%');
        } else {
            push(&mut escaped, byte, &allowed);
        }
    }
    Cow::Owned(escaped)
}

/// `user`, without `%`.
pub(super) fn in_user(byte: u8) -> bool {
    is_unreserved(byte) || b"&=+$,;?/".contains(&byte)
}

/// `password`.
pub(super) fn in_password(byte: u8) -> bool {
    is_unreserved(byte) || b"&=+$,".contains(&byte)
}

/// `paramchar`.
pub(super) fn in_param(byte: u8) -> bool {
    is_unreserved(byte) || b"[]/:&+$".contains(&byte)
}

/// `headers`, the separators included.
pub(super) fn in_headers(byte: u8) -> bool {
    is_unreserved(byte) || b"[]/?:+$&=".contains(&byte)
}

/// The digits of a tel URI (RFC 3966 §3).
pub(super) fn in_number(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || b"+*#".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

fn resolve(text: &[u8], wanted: impl Fn(u8) -> bool) -> Result<Cow<'_, [u8]>, UriError> {
    if !text.contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut resolved = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            resolved.push(byte);
            rest = tail;
            continue;
        }
        let meant = escaped_byte(rest).ok_or(UriError::Escape)?;
        if wanted(meant) {
            resolved.push(meant);
        } else {
            resolved.extend_from_slice(&[b'%', HEX[usize::from(meant >> 4)], HEX[usize::from(meant & 15)]]);
        }
        rest = &rest[3..];
    }
    Ok(Cow::Owned(resolved))
}

/// The byte meant by the `%HH` that `text` begins with.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn push(escaped: &mut String, byte: u8, allowed: impl Fn(u8) -> bool) {
    if byte.is_ascii() && allowed(byte) {
        escaped.push(char::from(byte));
    } else {
        write!(escaped, "%{byte:02X}").expect("writing to a String cannot fail");
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

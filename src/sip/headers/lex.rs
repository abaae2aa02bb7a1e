//! The lexical pieces of header values: white space, folding, quoted strings, lists and
//! parameters (RFC 3261 §25.1).
//!
//! A separator counts only outside quoted strings and angle brackets. A value may still hold its folds when
//! it comes here, so CR and LF count as white space.

use std::borrow::Cow;

/// Space, tab, or a piece of a fold.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether `byte` may stand in a `token`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether `text` is a `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Without white space at both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// Each fold, with the white space around it, becomes one space (RFC 3261 §7.3.1).
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\r', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(fold) = memchr::memchr(b'\r', rest) {
        let before = rest[..fold].trim_ascii_end();
        unfolded.extend_from_slice(before);
        unfolded.push(b' ');
        let after = rest[fold..].iter().position(|&byte| !is_space(byte));
        rest = after.map_or(&[][..], |at| &rest[fold + at..]);
    }
    unfolded.extend_from_slice(rest);
    Cow::Owned(unfolded)
}

/// The place of the first `wanted` outside quoted strings and angle brackets.
pub(crate) fn find(text: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == wanted {
            return Some(at);
        }
        at += match byte {
            b'"' => quoted_length(&text[at..]),
            b'<' => memchr::memchr(b'>', &text[at..]).map_or(text.len() - at, |end| end + 1),
            _ => 1,
        };
    }
    None
}

/// The pieces between separators, trimmed, empty ones included.
pub(crate) fn split(text: &[u8], separator: u8) -> Split<'_> {
    Split { rest: Some(text), separator }
}

/// See [`split`].
#[derive(Debug, Clone)]
pub(crate) struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let (piece, rest) = match find(text, self.separator) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        self.rest = rest;
        Some(trim(piece))
    }
}

/// The parameters of `text`, which is empty or begins with `;`. An empty name is a parameter without a name.
pub(crate) fn params(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    split(text, b';').skip(1).map(|param| match memchr::memchr(b'=', param) {
        Some(at) => (trim(&param[..at]), Some(trim(&param[at + 1..]))),
        None => (param, None),
    })
}

/// The header parameters of a `name-addr` or `addr-spec`, from the first `;` on.
pub(crate) fn params_of_address(value: &[u8]) -> &[u8] {
    find(value, b';').map_or(&[], |at| &value[at..])
}

/// The value of the parameter `name` among `params`.
pub(crate) fn param<'a>(text: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    params(text).find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// The length of the quoted string that `text` begins with, both quotes included; all of
/// `text` when it never ends.
pub(crate) fn quoted_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether there is something, and every quoted string and bracket in it ends: what is written behind one
/// that does not would be swallowed by it.
pub(crate) fn is_closed(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'"' => {
                let length = quoted_length(&text[at..]);
                if unquote(&text[at..at + length]).is_none() {
                    return false;
                }
                length
            }
            b'<' => match memchr::memchr(b'>', &text[at..]) {
                Some(end) => end + 1,
                None => return false,
            },
            _ => 1,
        };
    }
    !text.is_empty()
}

/// The inside of a quoted string with its escapes resolved, or the text itself. `None` for a quoted string
/// that does not end where the text does.
pub(crate) fn unquote(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [b'"', ..] = text else { return Some(Cow::Borrowed(text)) };
    let ends = text.len() >= 2 && quoted_length(text) == text.len() && text.ends_with(b"\"");
    let inside = ends.then(|| &text[1..text.len() - 1])?;
    if !inside.contains(&b'\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut bytes = inside.iter();
    let mut plain = Vec::with_capacity(inside.len());
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
        } else {
            plain.push(*bytes.next()?);
        }
    }
    Some(Cow::Owned(plain))
}

/// A number of digits alone; `None` also when it does not fit.
pub(crate) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_inside_quotes_or_brackets_does_not_count() {
        let pieces: Vec<_> = split(br#""a,\",b" <sip:x,y@h;p>;q="1,2", c ,,d"#, b',').collect();

        assert_eq!(pieces, [&br#""a,\",b" <sip:x,y@h;p>;q="1,2""#[..], b"c", b"", b"d"]);
    }

    #[test]
    fn what_never_ends_swallows_the_rest_and_no_more() {
        assert_eq!(split(b"a, \"b, c\\", b',').count(), 2);
        assert_eq!(split(b"a, <b, c", b',').count(), 2);
    }

    #[test]
    fn a_fold_becomes_one_space() {
        assert_eq!(*unfold(b"a  \r\n\t b\r\n c"), *b"a b c");
        assert_eq!(*unfold(b"a\r\n "), *b"a ");
    }

    #[test]
    fn a_quoted_string_must_end_where_the_text_does() {
        assert_eq!(unquote(br#""a \"b\" \\""#).as_deref(), Some(&br#"a "b" \"#[..]));
        for text in [&br#"""#[..], br#""a"#, br#""a\""#, br#""a" b"#, br#""a\"#] {
            assert_eq!(unquote(text), None);
        }
    }

    #[test]
    fn parameters_are_found_behind_the_address() {
        let value = b"\"x;tag=no\" <sip:a@h;tag=no> ; tag = yes;lr";

        assert_eq!(param(params_of_address(value), "TAG"), Some(Some(&b"yes"[..])));
        assert_eq!(param(params_of_address(value), "lr"), Some(None));
        assert_eq!(param(params_of_address(b"sip:a@h;tag=yes"), "tag"), Some(Some(&b"yes"[..])));
    }
}

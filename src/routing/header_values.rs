//! Whether the value of a header may pass to the other leg (RFC 3261 §25.1, RFC 3323 §4.2).
//!
//! An `X-` header is an extension-header whose value is any text, so that a lone quote in it (`5" pipe`)
//! is no fault; every other header has a grammar, in which what does not end swallows what a later
//! element writes behind it.

use crate::sip::headers::{Name, lex};

/// What is wrong with `value`, as a clause for logs and explanations; `None` when it may pass.
pub(super) fn fault(name: Name, spelling: &[u8], value: &[u8]) -> Option<&'static str> {
    if std::str::from_utf8(value).is_err() {
        return Some("it is not UTF-8");
    }
    let is_free_text =
        name == Name::Other && spelling.get(..2).is_some_and(|x| x.eq_ignore_ascii_case(b"x-"));
    if is_free_text {
        return None;
    }
    if name == Name::Privacy && !lex::split(value, b';').all(lex::is_token) {
        return Some("it is no list of privacy types");
    }
    if lex::trim(value).is_empty() {
        return Some("it is empty");
    }
    let is_closed = lex::is_closed(value) && lex::find(value, b'>').is_none();
    (!is_closed).then_some("a quoted string or a bracket in it has only one end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_grammar_must_end_what_it_begins() {
        for (header, passes) in [
            ("User-to-User: 616263;encoding=hex", true),
            ("User-to-User: \"a b\";x=\"<\"", true),
            ("User-to-User: \"a", false),
            ("User-to-User: <sip:a@h", false),
            ("User-to-User: a>", false),
            ("User-to-User: ", false),
            ("P-Charging-Vector: icid-value=\"a", false),
            ("X-Size: 5\" <pipe", true),
            ("x-empty:", true),
            ("Privacy: id", true),
            ("Privacy: header; critical", true),
            ("Privacy: ", false),
            ("Privacy: id;", false),
            ("Privacy: id, user", false),
            ("Privacy: \"id\"", false),
        ] {
            let (name, value) = header.split_once(':').unwrap();
            let name = name.as_bytes();

            let fault = fault(Name::parse(name), name, lex::trim(value.as_bytes()));

            assert_eq!(fault.is_none(), passes, "{header}: {fault:?}");
        }
    }

    #[test]
    fn no_value_passes_that_is_not_utf_8() {
        for name in [&b"X-Note"[..], b"User-to-User", b"Privacy"] {
            assert_eq!(fault(Name::parse(name), name, b"a\xff"), Some("it is not UTF-8"));
        }
    }
}

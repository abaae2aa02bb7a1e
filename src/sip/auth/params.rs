//! The parameters of a `Digest` challenge or of credentials (RFC 7235 §2.1, RFC 3261 §25.1).
//!
//! Commas separate both parameters and, in WWW-Authenticate, whole challenges; what begins a challenge is
//! a word followed by a space and no `=`. Parameter names are case-insensitive, and values may be quoted
//! or not whatever the grammar of the parameter says: peers write `qop=auth` and `qop="auth"`,
//! `nc=00000001` and `nc="00000001"`.

/// The parameters of one challenge or of one set of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Params {
    scheme: String,
    list: Vec<(String, String)>,
}

impl Params {
    /// Every challenge in a header value, in order; `None` if the value is malformed.
    pub(super) fn parse_all(value: &str) -> Option<Vec<Self>> {
        let mut all = Vec::new();
        let mut rest = value.trim_matches(SPACE);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start_matches(SPACE);
                continue;
            }
            let (word, after) = split_token(rest)?;
            let spaced = after.trim_start_matches(SPACE);
            if let Some(written) = spaced.strip_prefix('=') {
                let current: &mut Self = all.last_mut()?;
                let (text, after) = split_value(written.trim_start_matches(SPACE))?;
                current.list.push((word.to_ascii_lowercase(), text));
                rest = after.trim_start_matches(SPACE);
                if !rest.is_empty() && !rest.starts_with(',') {
                    return None;
                }
            } else {
                all.push(Self { scheme: word.to_owned(), list: Vec::new() });
                rest = spaced;
            }
        }
        Some(all)
    }

    /// Whether this is of the scheme `Digest`, in any case.
    pub(super) fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    /// The value of `name` (lower-case), unquoted and unescaped; the first of several.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }
}

/// `text` as a quoted-string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

fn split_token(text: &str) -> Option<(&str, &str)> {
    let end = text.find([',', '=', ' ', '\t', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A quoted-string, or all up to the next comma or space.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, inner.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            plain => value.push(plain),
        }
    }
    None
}

const SPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_any_case_and_values_quoted_or_not() {
        let all = Params::parse_all(r#"DIGEST Realm="a, b" ,NONCE = abc, qop=auth,nc="00000001""#);

        let params = &all.expect("well formed")[0];
        assert!(params.is_digest());
        assert_eq!(
            ["realm", "nonce", "qop", "nc", "opaque"].map(|name| params.value(name)),
            [Some("a, b"), Some("abc"), Some("auth"), Some("00000001"), None]
        );
    }

    #[test]
    fn escapes_in_quoted_strings_are_resolved_and_written_again() {
        let all = Params::parse_all(r#"Digest username="a\"b\\c", realm="""#).expect("well formed");

        assert_eq!(all[0].value("username"), Some(r#"a"b\c"#));
        assert_eq!(all[0].value("realm"), Some(""));
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn several_challenges_may_share_a_header() {
        let all = Params::parse_all(r#"Basic realm="x", Digest realm="y", nonce="1",, Digest realm="z""#);

        let all = all.expect("well formed");
        assert_eq!(all.iter().map(Params::is_digest).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(all[2].value("realm"), Some("z"));
    }

    #[test]
    fn malformed_values_are_refused() {
        for value in [
            r#"Digest realm="never closed"#,
            r#"Digest realm="x\"#,
            r#"Digest realm="x" nonce="y""#,
            r#"realm="no scheme""#,
            r#"Digest ="x""#,
            r#"Digest "x""#,
        ] {
            assert_eq!(Params::parse_all(value), None, "{value}");
        }
    }
}

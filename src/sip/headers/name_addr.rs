//! `"display" <uri>;params`: From, To, Contact, Route, Refer-To and their like (RFC 3261
//! §20.10, §25.1 `name-addr`).
//!
//! Without angle brackets everything behind the first `;` belongs to the header, not to the URI.

use std::fmt::{self, Write as _};

use super::{HeaderError, lex};
use crate::sip::uri::{Host, Uri};

/// A URI with a display name and header parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameAddr {
    /// Unquoted and unescaped, bytes that are not UTF-8 replaced; `None` when absent or empty.
    pub display: Option<String>,
    /// What stands between the angle brackets.
    pub uri: Uri,
    /// Header parameters after the `>`; names lower-cased, values unquoted.
    pub params: Vec<(String, Option<String>)>,
}

impl NameAddr {
    /// Reads a value; errors call the header `address`, since they can't know its
    /// name. See [`Self::parse_in`].
    ///
    /// # Errors
    /// [`HeaderError::Bad`] or [`HeaderError::Uri`].
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        Self::parse_in("address", value)
    }

    /// Reads a value of `header`, folded or not.
    ///
    /// An unquoted display name may hold more than tokens, as long as it is clear where it ends.
    ///
    /// # Errors
    /// [`HeaderError::Bad`] or [`HeaderError::Uri`], naming `header`.
    pub fn parse_in(header: &'static str, value: &[u8]) -> Result<Self, HeaderError> {
        let bad = |problem| HeaderError::Bad { header, problem };
        let value = lex::unfold(lex::trim(value));
        let (display, uri, params) = cut(&value).map_err(bad)?;
        let display = lex::unquote(display).ok_or(bad("quoted string is not closed"))?;
        let uri = Uri::parse(uri).map_err(|error| HeaderError::Uri { header, error })?;
        let params = lex::params(params).map(read_param).collect::<Result<_, _>>().map_err(bad)?;
        let display =
            Some(String::from_utf8_lossy(&display).into_owned()).filter(|display| !display.is_empty());
        Ok(Self { display, uri, params })
    }

    /// An address with neither display name nor parameters.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Vec::new() }
    }

    /// The `tag` parameter, without which From is of RFC 2543 and To outside a dialog.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").flatten()
    }

    /// The header parameter `name` (in lower case): `Some(None)` when it stands there without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_deref())
    }

    /// The same address with the parameter set; one of that name is replaced in its place.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        let value = value.map(str::to_owned);
        match self.params.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(param) => param.1 = value,
            None => self.params.push((name.to_ascii_lowercase(), value)),
        }
        self
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write_quoted(f, display)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>", self.uri)?;
        for (name, value) in &self.params {
            if !lex::is_token(name.as_bytes()) {
                continue;
            }
            write!(f, ";{name}")?;
            match value.as_deref() {
                None => {}
                Some(value) if is_bare(name, value) => write!(f, "={value}")?,
                Some(value) => {
                    f.write_str("=")?;
                    write_quoted(f, value)?;
                }
            }
        }
        Ok(())
    }
}

type Cut<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Display name (quoted as it was), URI and parameters.
fn cut(value: &[u8]) -> Result<Cut<'_>, &'static str> {
    let quoted = if value.starts_with(b"\"") { lex::quoted_length(value) } else { 0 };
    let Some(open) = memchr::memchr(b'<', &value[quoted..]).map(|at| quoted + at) else {
        return cut_bare(value);
    };
    let display = lex::trim(&value[..open]);
    if display.len() > quoted && (quoted > 0 || display.iter().any(|byte| b"\",;>\\".contains(byte))) {
        return Err("display name needs quotes");
    }
    let close = memchr::memchr(b'>', &value[open..]).ok_or("angle bracket is not closed")? + open;
    let params = lex::trim(&value[close + 1..]);
    if !params.is_empty() && !params.starts_with(b";") {
        return Err("something other than parameters behind the angle bracket");
    }
    Ok((display, &value[open + 1..close], params))
}

fn cut_bare(value: &[u8]) -> Result<Cut<'_>, &'static str> {
    if value.starts_with(b"\"") {
        return Err(match lex::unquote(value) {
            Some(_) => "no URI in angle brackets",
            None => "quoted string is not closed",
        });
    }
    let (uri, params) = value.split_at(memchr::memchr(b';', value).unwrap_or(value.len()));
    let uri = lex::trim(uri);
    if uri.iter().any(|byte| b"?,".contains(byte)) {
        return Err("a URI with ? or , needs angle brackets");
    }
    Ok((b"", uri, params))
}

fn read_param((name, value): (&[u8], Option<&[u8]>)) -> Result<(String, Option<String>), &'static str> {
    if !lex::is_token(name) {
        return Err("parameter without a name");
    }
    if name.eq_ignore_ascii_case(b"tag") && !value.is_some_and(is_tag) {
        return Err("tag is not a token");
    }
    let value = match value {
        None => None,
        Some(value) => {
            let plain = lex::unquote(value).ok_or("quoted string is not closed")?;
            if !value.starts_with(b"\"")
                && value.iter().any(|&byte| lex::is_space(byte) || b"\"<>".contains(&byte))
            {
                return Err("parameter value needs quotes");
            }
            Some(String::from_utf8_lossy(&plain).into_owned())
        }
    };
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

/// Whether a parameter value may stand without quotes: a token or an IPv6 reference. A tag is repeated as it
/// came, even where its peer's idea of a token is wider: in quotes it would be another tag.
fn is_bare(name: &str, value: &str) -> bool {
    lex::is_token(value.as_bytes())
        || (name == "tag" && is_tag(value.as_bytes()))
        || (value.starts_with('[') && Host::parse(value.as_bytes()).is_ok())
}

/// More than a token, since tags of base64 are about.
fn is_tag(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>;,".contains(byte))
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            control if control.is_ascii_control() => f.write_char(' ')?,
            letter => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> NameAddr {
        NameAddr::parse(value.as_bytes()).unwrap()
    }

    #[test]
    fn display_name_uri_and_parameters_are_told_apart() {
        let address = read("\"J \\\"R\\\" Doe\" <sip:j@h.example;lr>;Tag=1;note=\"a;b\"");

        assert_eq!(address.display.as_deref(), Some("J \"R\" Doe"));
        assert_eq!(address.uri.to_string(), "sip:j@h.example;lr");
        assert_eq!(address.tag(), Some("1"));
        assert_eq!(address.param("note"), Some(Some("a;b")));
        assert_eq!(address.to_string(), "\"J \\\"R\\\" Doe\" <sip:j@h.example;lr>;tag=1;note=\"a;b\"");
    }

    #[test]
    fn without_brackets_the_parameters_are_the_headers() {
        let address = read("sip:j@h.example ; tag=1");

        assert_eq!(address.uri.to_string(), "sip:j@h.example");
        assert_eq!(address.tag(), Some("1"));
    }

    #[test]
    fn a_display_name_without_quotes_may_touch_the_bracket() {
        assert_eq!(read("caller<sip:j@h.example>").display.as_deref(), Some("caller"));
        assert_eq!(read("Zoë 2. (desk) <sip:j@h.example>").display.as_deref(), Some("Zoë 2. (desk)"));
        assert_eq!(read("\"\" <sip:j@h.example>").display, None);
    }

    #[test]
    fn control_characters_do_not_leave_in_a_display_name() {
        let address = NameAddr { display: Some("a\r\nVia: x\0\"".into()), ..read("<sip:j@h.example>") };

        assert_eq!(address.to_string(), "\"a  Via: x \\\"\" <sip:j@h.example>");
    }

    #[test]
    fn a_tag_is_repeated_as_it_came_and_other_values_are_quoted_where_they_must_be() {
        let value = "<sip:j@h.example>;tag=a=/b@c;x=\"a/b\"";

        assert_eq!(read(value).to_string(), value);
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for value in [
            "",
            "*",
            "\"j",
            "\"j\" sip:j@h.example",
            "\"j <sip:j@h.example>",
            "\"j\" x <sip:j@h.example>",
            "Doe, J <sip:j@h.example>",
            "<sip:j@h.example",
            "< sip:j@h.example>",
            "<sip:j@h.example> x",
            "<sip:j@h.example>;;",
            "<sip:j@h.example>;tag",
            "<sip:j@h.example>;tag=\"a\"",
            "<sip:j@h.example>;a=b c",
            "sip:j@h.example?Route=x",
            "sip:j@h.example, sip:k@h.example",
            "sip:a;b@h.example",
        ] {
            assert!(NameAddr::parse(value.as_bytes()).is_err(), "{value}");
        }
    }
}

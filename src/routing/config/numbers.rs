//! `[[numbers]]` and `[extensions]`: own numbers, the peers they belong to, and short numbers for them.
//!
//! A number is compared in E.164, after the trunk's `country` was applied; an extension is compared as it was
//! dialled.

use super::Config;
use super::caller::{is_international, parse_user_part};
use super::fallback::{FallbackConfig, parse_fallback};
use crate::config::reader::{KeyPath, Mistake, Reader, Review, Section, any_quoted, nearest};

/// One `[[numbers]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberConfig {
    /// A number, or a prefix that ends in `*`; the longest literal part wins.
    pub number: String,
    /// Name of the `[[retell]]` that calls to it go to. Default: the first.
    pub retell: Option<String>,
    /// Name of the trunk where calls from Retell that bear it as caller leave. Default: the first.
    pub trunk: Option<String>,
    /// Where calls to it go when Retell cannot take them; `None` is what its
    /// `[[retell]]` says. Default `None`.
    pub fallback: Option<Vec<FallbackConfig>>,
}

impl Section for NumberConfig {
    fn read(table: &mut Reader<'_>) -> Self {
        table.require("number", "add number = \"+14155550100\", or a prefix such as \"+1415555*\"");
        Self {
            number: table.parsed("number", |text| parse_pattern("number", text)).unwrap_or_default(),
            retell: table.text("retell"),
            trunk: table.text("trunk"),
            fallback: table.one_or_list("fallback", parse_fallback),
        }
    }
}

/// Checks the entries against each other and against the peers.
pub(super) fn check(config: &Config, here: &KeyPath, review: &mut Review<'_>) {
    let retell: Vec<_> = config.retell_names().collect();
    let trunks: Vec<_> = config.trunk_names().collect();
    let international = config.trunks.iter().any(|trunk| trunk.country.is_some());
    for (index, entry) in config.numbers.iter().enumerate() {
        let here = here.index(index);
        check_twice(config, index, &here.key("number"), review);
        check_peer(entry.retell.as_deref(), "[[retell]]", &retell, &here.key("retell"), review);
        check_peer(entry.trunk.as_deref(), "trunk", &trunks, &here.key("trunk"), review);
        if international && is_national(&entry.number) {
            let what = format!("numbers are compared in E.164, and \"{}\" has no +", entry.number);
            let instead = "write it with + and the calling code, such as \"+14155550100\"";
            review.warning(&here.key("number"), Mistake::new(what, instead));
        }
    }
}

/// Reads the value of an extension; its key is what callers dial.
pub(super) fn parse_extension(dialled: &str, number: &str) -> Result<String, Mistake> {
    if dialled.is_empty() || dialled.contains(char::is_whitespace) {
        let what = format!("nobody can dial \"{dialled}\"");
        return Err(Mistake::new(
            what,
            "write what is dialled before the =, such as \"1001\" = \"+14155550100\"",
        ));
    }
    if number.contains('*') {
        let what = format!("extension \"{dialled}\" stands for a prefix");
        return Err(Mistake::new(what, "write one whole number, such as \"+14155550100\""));
    }
    parse_user_part(dialled, number)
}

fn check_twice(config: &Config, index: usize, here: &KeyPath, review: &mut Review<'_>) {
    let Some(entry) = config.numbers.get(index).filter(|entry| !entry.number.is_empty()) else { return };
    if config.numbers.iter().take(index).any(|earlier| earlier.number == entry.number) {
        let what = format!("\"{}\" stands in [[numbers]] twice", entry.number);
        review.mistake(here, Mistake::new(what, "keep one of them"));
    }
}

fn check_peer(name: Option<&str>, kind: &str, names: &[&str], here: &KeyPath, review: &mut Review<'_>) {
    let Some(name) = name.filter(|name| !names.contains(name)) else { return };
    review.mistake(here, unknown_peer(name, kind, names));
}

/// `name` was written where one of `names` must stand.
pub fn unknown_peer(name: &str, kind: &str, names: &[&str]) -> Mistake {
    let named: Vec<_> = names.iter().copied().filter(|name| !name.is_empty()).collect();
    let instead = match nearest(name, names.iter().copied()) {
        _ if named.is_empty() => "add one, or take this out".to_owned(),
        Some(nearest) if named.len() > 3 => format!("write \"{nearest}\""),
        _ => format!("write {}", any_quoted(named)),
    };
    Mistake::new(format!("there is no {kind} with the name \"{name}\""), instead)
}

/// A number, or a prefix with a `*` behind it, which stands at `key`.
pub(super) fn parse_pattern(key: &str, text: &str) -> Result<String, Mistake> {
    let literal = text.strip_suffix('*').unwrap_or(text);
    let digits = literal.strip_prefix('+').unwrap_or(literal);
    let only_digits = digits.len() <= 15 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let whole = !text.ends_with('*');
    if only_digits && !(whole && (digits.is_empty() || literal.starts_with('+') && !is_international(digits)))
    {
        return Ok(text.to_owned());
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let instead = if whole && is_international(&digits) && text.starts_with('+') {
        format!("write \"+{digits}\"")
    } else {
        "write a number such as \"+14155550100\", or a prefix such as \"+1415555*\"".to_owned()
    };
    Err(Mistake::new(format!("`{key}` is \"{text}\", which is no number and no prefix"), instead))
}

/// Digits enough for a telephone number, but without the `+` that normalised numbers have.
fn is_national(number: &str) -> bool {
    !number.starts_with('+') && number.bytes().filter(u8::is_ascii_digit).count() >= 7
}

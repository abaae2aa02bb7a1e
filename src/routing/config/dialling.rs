//! `allow_numbers`, `deny_numbers` and `allow_premium` of a `[[retell]]`: where its agents may call.
//!
//! Entries are compared with the number in E.164, however it was dialled. A country is where a number
//! really belongs: `"US"` is not all of +1, which Jamaica and others share.

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use crate::config::reader::{Mistake, Reader};

/// Where agents may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialling {
    /// Only these, if there are any entries; of several that fit, the one that says most counts. Default:
    /// everywhere.
    pub allow: Option<Vec<Range>>,
    /// Not these. Default none.
    pub deny: Vec<Range>,
    /// Premium-rate, personal and satellite numbers too. Default `false`.
    pub allow_premium: bool,
}

/// Numbers that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// `"US"`: an ISO 3166 code, in capitals.
    Country(String),
    /// `"+4420*"`, without the star.
    Prefix(String),
    /// `"+14155550100"`, or a short number as it is dialled.
    Number(String),
}

impl Dialling {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        Self {
            allow: table.list("allow_numbers", |text| parse_range("allow_numbers", text)),
            deny: table.list("deny_numbers", |text| parse_range("deny_numbers", text)).unwrap_or_default(),
            allow_premium: table.flag("allow_premium", false),
        }
    }
}

fn parse_range(key: &str, text: &str) -> Result<Range, Mistake> {
    let like =
        "write a country such as \"US\", a prefix such as \"+4420*\" or a number such as \"+14155550100\"";
    let refuse = |what: String| Err(Mistake::new(format!("`{key}`: {what}"), like));
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let iso = text.to_ascii_uppercase();
        let region = Region::try_from(iso.as_str()).ok();
        return match region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region)) {
            Some(_) => Ok(Range::Country(iso)),
            None => refuse(format!("there is no country \"{text}\"")),
        };
    }
    let (literal, is_prefix) = text.strip_suffix('*').map_or((text, false), |literal| (literal, true));
    let digits = literal.strip_prefix('+').unwrap_or(literal);
    let is_number =
        !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number, is_prefix) {
        (true, true) if literal.starts_with('+') => Ok(Range::Prefix(literal.to_owned())),
        (true, false) => Ok(Range::Number(literal.to_owned())),
        _ => refuse(format!("\"{text}\" is no country, prefix or number")),
    }
}

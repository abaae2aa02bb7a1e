//! The caller's number toward a trunk, and the country that national numbers belong to.
//!
//! A caller ID is a user part, not necessarily a telephone number: some carriers want an account name in
//! From.

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use super::pool::{PoolNumber, parse_pool_number};
use crate::config::reader::{KeyPath, Mistake, Reader, Review};

/// As written: "US", "DE" (in capitals) or a calling code "1", "49"; known to the phone-number library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country(pub String);

/// `caller_id` and `caller_ids`: the number shown toward a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerId {
    /// Neither key: the caller's own.
    FromCall,
    /// `caller_id`: always this user part.
    Fixed(String),
    /// `caller_ids`: one after the other, call by call; at least one.
    Rotating(Vec<PoolNumber>),
    /// `caller_id = "anonymous"`.
    Withheld,
}

/// `foreign_caller`: what becomes of a caller that is neither in `[[numbers]]` nor one of the trunk's caller
/// IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignCaller {
    /// `"replace"`: by the trunk's caller ID, if there is one.
    Replace,
    /// `"keep"`: sent as it is.
    Keep,
    /// `"refuse"`: the call is refused with 403.
    Refuse,
    /// `"diversion"`: kept, with the trunk's caller ID in Diversion (RFC 5806).
    Diversion,
}

impl CallerId {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        let fixed = table.parsed("caller_id", |text| parse_user_part("caller_id", text));
        let rotating = table.list("caller_ids", parse_pool_number);
        match (fixed, rotating) {
            (Some(_), Some(_)) => {
                let at = table.at("caller_ids");
                let what = "`caller_id` and `caller_ids` are both there";
                table.mistake(&at, Mistake::new(what, "keep one of them"));
                Self::FromCall
            }
            (Some(fixed), None) => Self::fixed(fixed),
            (None, Some(rotating)) if rotating.is_empty() => {
                let at = table.at("caller_ids");
                table.mistake(
                    &at,
                    Mistake::new("`caller_ids` is empty", "name at least one number, or take the key out"),
                );
                Self::FromCall
            }
            (None, Some(rotating)) => Self::Rotating(rotating),
            (None, None) => Self::FromCall,
        }
    }

    /// The key that holds them, and the user parts that it shows.
    pub(super) fn shown(&self) -> (&'static str, Vec<&str>) {
        match self {
            Self::FromCall | Self::Withheld => ("caller_id", Vec::new()),
            Self::Fixed(number) => ("caller_id", vec![number]),
            Self::Rotating(pool) => ("caller_ids", pool.iter().map(|own| own.number.as_str()).collect()),
        }
    }

    /// Warns of telephone numbers in another form than E.164, where E.164 is sent: nothing rewrites them.
    pub(super) fn check_format(&self, here: &KeyPath, review: &mut Review<'_>) {
        let (key, numbers) = self.shown();
        let at = here.key(key);
        let is_telephone =
            |text: &str| text.len() >= SHORTEST_DIALLED && text.bytes().all(|byte| byte.is_ascii_digit());
        for (index, number) in numbers.iter().enumerate().filter(|(_, number)| is_telephone(number)) {
            let at = if matches!(self, Self::Rotating(_)) { review.element(&at, index) } else { at.clone() };
            let what =
                format!("`{key}` has {number}, which is sent as it stands, without + and calling code");
            let instead =
                "write it like \"+14155550100\"; where the carrier wants it otherwise, set `caller_format`";
            review.warning(&at, Mistake::new(what, instead));
        }
    }

    /// What `caller_id = text` means.
    #[must_use]
    pub fn fixed(text: String) -> Self {
        if text == ANONYMOUS { Self::Withheld } else { Self::Fixed(text) }
    }
}

impl ForeignCaller {
    pub(super) const WORDS: [(&str, Self); 4] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("diversion", Self::Diversion),
        ("refuse", Self::Refuse),
    ];
}

/// An ISO 3166 code or a calling code.
///
/// # Errors
///
/// Nobody numbers telephones under that code.
pub fn parse_country(text: &str) -> Result<Country, Mistake> {
    let instead = "write an ISO 3166 code such as \"US\", or a calling code such as \"1\"";
    let known = if text.starts_with(|first: char| first.is_ascii_digit()) {
        let code = text.parse().ok();
        code.is_some_and(|code| PHONE_NUMBER_UTIL.get_region_for_country_code(code).is_some())
    } else {
        let region = Region::from_code(&text.to_ascii_uppercase()).ok();
        region.is_some_and(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region).is_some())
    };
    if known {
        return Ok(Country(text.to_ascii_uppercase()));
    }
    let plain = text.trim_start_matches(['+', '0']);
    let meant = (plain != text).then(|| parse_country(plain).ok()).flatten();
    Err(Mistake::new(
        format!("`country` is \"{text}\", which is no country"),
        meant.map_or_else(|| instead.to_owned(), |country| format!("write \"{}\"", country.0)),
    ))
}

/// The user part of a URI that `key` holds: a number, an extension or an account name.
///
/// # Errors
///
/// It is empty, a whole URI, or a number with something else than digits after its `+`.
pub fn parse_user_part(key: &str, text: &str) -> Result<String, Mistake> {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "@<>\"".contains(c);
    if text.is_empty() || text.starts_with("sip:") || text.contains(forbidden) {
        let what = format!("\"{text}\" is empty, a whole URI, or has spaces in it");
        return Err(Mistake::new(
            format!("`{key}`: {what}"),
            "write the number alone, such as \"+14155550100\"",
        ));
    }
    match text.strip_prefix('+') {
        Some(digits) if !is_international(digits) => {
            let only: String = digits.chars().filter(char::is_ascii_digit).collect();
            let instead =
                if is_international(&only) { format!("write \"+{only}\"") } else { E164.to_owned() };
            Err(Mistake::new(format!("`{key}`: \"{text}\" is no number in E.164"), instead))
        }
        _ => Ok(text.to_owned()),
    }
}

/// What follows the `+` of a whole number in E.164.
pub(super) fn is_international(digits: &str) -> bool {
    (3..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

/// One of `caller_ids`.
///
/// # Errors
///
/// As [`parse_user_part`]; and a number among others can't be withheld.
pub fn parse_rotating(text: &str) -> Result<String, Mistake> {
    if text == ANONYMOUS {
        return Err(Mistake::new(
            "\"anonymous\" stands among `caller_ids`",
            "write caller_id = \"anonymous\" to withhold the number",
        ));
    }
    parse_user_part("caller_ids", text)
}

/// The caller ID that withholds the number.
const ANONYMOUS: &str = "anonymous";

/// Digits of a telephone number with its area code; account names and extensions are shorter.
const SHORTEST_DIALLED: usize = 10;

const E164: &str = "write + and 3 to 15 digits, such as \"+14155550100\"";

//! Reading what peers dial and show as E.164 numbers (ITU-T E.164, RFC 3966 §5.1.1 for visual separators).
//!
//! The order of the readings matters: a number that is valid in the trunk's own country wins over the same
//! digits read as another country's full number, and what no reading accepts (an extension, `*98`,
//! `anonymous`) is no number at all and goes through unchanged. `+` and up to 15 digits is taken at its word,
//! without a look at the numbering plan: it is the form on the hot path, and a plan that changed must not
//! make calls fail.

use std::borrow::Cow;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, Region};

use super::config;

/// The country whose national numbers a peer dials; without one only `+` and `00` lead to E.164.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Country {
    region: Option<Region>,
}

/// A number in E.164 and how it had been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    /// `+` and 7 to 15 digits.
    pub(super) number: Cow<'a, str>,
    /// The form it had.
    pub(super) form: Form,
}

/// The forms a number is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With `+`.
    Plus,
    /// With `00` or the country's own international prefix (`011` from the US).
    InternationalPrefix,
    /// With the country code, but nothing in front of it.
    Full,
    /// As dialled within the country, with or without its trunk prefix.
    National,
}

impl Form {
    /// For explanations.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Plus => "already E.164",
            Self::InternationalPrefix => "international prefix replaced by +",
            Self::Full => "full number without +",
            Self::National => "national number of the trunk's country",
        }
    }
}

impl Country {
    /// Compiles `country = "DE"` or `"49"`; a calling code that several countries share stands for its main
    /// one.
    ///
    /// What the configuration's check would have refused reads as no country.
    pub(super) fn compile(written: Option<&config::Country>) -> Self {
        let region = written.and_then(|country| match country.0.trim_start_matches('+').parse::<i32>() {
            Ok(code) => PHONE_NUMBER_UTIL.get_region_for_country_code(code),
            Err(_) => Region::try_from(country.0.to_ascii_uppercase().as_str()).ok(),
        });
        let country = Self { region };
        country.warm_up();
        country
    }

    /// The country whose calling code `number` has, in E.164; the main one of those that share it.
    pub(super) fn of_number(number: &str) -> Self {
        let parsed = number.strip_prefix('+').and_then(parse_full);
        let region = parsed.and_then(|it| PHONE_NUMBER_UTIL.get_region_for_country_code(it.country_code));
        Self { region }
    }

    /// The ISO 3166 code, for explanations and the tables of emergency numbers and tones.
    pub(super) fn iso(self) -> Option<String> {
        self.region.map(|region| region.to_string())
    }

    /// The calling code: 49.
    pub(super) fn calling_code(self) -> Option<i32> {
        self.region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region))
    }

    /// Reads `written` as a number, or finds that it is none.
    pub(super) fn read(self, written: &str) -> Option<Reading<'_>> {
        let plain = strip_separators(written)?;
        if let Some(digits) = plain.strip_prefix('+') {
            if written.contains("(0)") {
                // "+49 (0)30 …": the national trunk prefix, shown for those who dial within the country.
                return Some(Reading::new(written.parse().ok()?, Form::Plus));
            }
            return is_e164(digits).then_some(Reading { number: plain, form: Form::Plus });
        }
        self.read_digits(&plain)
    }

    fn read_digits<'a>(self, digits: &str) -> Option<Reading<'a>> {
        let own = self.region.and_then(|region| PHONE_NUMBER_UTIL.parse(digits, Some(region)).ok());
        if let Some(number) = own.as_ref().filter(|number| number.is_valid()) {
            return Some(Reading::new(number.clone(), self.form_of(digits, number)));
        }
        let elsewhere = || digits.strip_prefix("00").and_then(parse_full).filter(is_possible);
        if let Some(number) = elsewhere() {
            return Some(Reading::new(number, Form::InternationalPrefix));
        }
        self.region?;
        if let Some(number) = parse_full(digits).filter(PhoneNumber::is_valid) {
            return Some(Reading::new(number, Form::Full));
        }
        let number = own.filter(is_possible)?;
        let form = self.form_of(digits, &number);
        let length = number.get_national_significant_number().len();
        let is_bare = form == Form::National && digits.len() == length;
        (length >= if is_bare { BARE_DIGITS } else { PREFIXED_DIGITS }).then(|| Reading::new(number, form))
    }

    /// Which form `digits` had, seen from what the library made of them.
    fn form_of(self, digits: &str, number: &PhoneNumber) -> Form {
        let e164 = number.to_string();
        if digits == &e164[1..] {
            return Form::Full;
        }
        let is_own = self.calling_code() == Some(number.country_code);
        let has_code = digits.ends_with(&e164[1..]);
        if is_own && !has_code { Form::National } else { Form::InternationalPrefix }
    }

    /// `number`, in E.164, as it is dialled within this country: a number of its own without its calling
    /// code, another's behind the international prefix.
    pub(super) fn dial(self, number: &str) -> String {
        let (Some(region), Ok(parsed)) = (self.region, PHONE_NUMBER_UTIL.parse(number, None)) else {
            return number.to_owned();
        };
        let written = match self.calling_code() == Some(parsed.country_code) {
            true => parsed.format_as(PhoneNumberFormat::National),
            false => parsed.format_out_of_country_calling_number(region),
        };
        strip_separators(&written).map_or_else(|| number.replacen('+', "00", 1), Cow::into_owned)
    }

    /// Compiles the library's tables for this country, so that the first call doesn't wait for it.
    fn warm_up(self) {
        if let Some(Ok(number)) = self.region.map(|region| PHONE_NUMBER_UTIL.get_example_number(region)) {
            let national = number.get_national_significant_number();
            let _ = self.read_digits(&national);
            let _ = self.read_digits(&format!("00{}", number.country_code));
            let _ = self.dial(&number.to_string());
        }
    }
}

impl<'a> Reading<'a> {
    fn new(number: PhoneNumber, form: Form) -> Self {
        Self { number: Cow::Owned(number.to_string()), form }
    }
}

/// `written` without visual separators: digits with at most one `+` in front; `None` if anything else is in
/// it.
pub(super) fn strip_separators(written: &str) -> Option<Cow<'_, str>> {
    if written.is_empty() || written.len() > LONGEST_WRITTEN {
        return None;
    }
    let (plus, rest) = match written.strip_prefix('+') {
        Some(rest) => ("+", rest),
        None => ("", written),
    };
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return (!rest.is_empty()).then_some(Cow::Borrowed(written));
    }
    if !rest.bytes().all(|byte| byte.is_ascii_digit() || SEPARATORS.contains(&byte)) {
        return None;
    }
    let digits = rest.chars().filter(char::is_ascii_digit);
    let stripped: String = plus.chars().chain(digits).collect();
    stripped.bytes().any(|byte| byte.is_ascii_digit()).then_some(Cow::Owned(stripped))
}

/// Whether `number`, with `+`, is one of its country's numbering plan.
pub(super) fn is_valid(number: &str) -> bool {
    number.strip_prefix('+').and_then(parse_full).is_some_and(|number| number.is_valid())
}

fn parse_full(digits: &str) -> Option<PhoneNumber> {
    is_e164(digits).then(|| PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()).flatten()
}

fn is_possible(number: &PhoneNumber) -> bool {
    matches!(number.is_possible_with_reason(), Ok(NumberLengthType::IsPossible))
}

/// What follows the `+` of a number.
pub(super) fn is_e164(digits: &str) -> bool {
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits that a number outside the numbering plan must have to count as one: enough not to be an extension
/// ...
const BARE_DIGITS: usize = 10;
/// ... and fewer when a prefix shows that a number was meant.
const PREFIXED_DIGITS: usize = 7;

/// RFC 3966 §3 visual separators, and those that people add.
const SEPARATORS: &[u8] = b"-.() /";
const LONGEST_WRITTEN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_in_every_form_it_is_dialled_in() {
        for (country, written, expected) in [
            ("US", "+14155550100", Some("+14155550100")),
            ("US", "4155550100", Some("+14155550100")),
            ("US", "14155550100", Some("+14155550100")),
            ("US", "(415) 555-0100", Some("+14155550100")),
            ("US", "1-415-555.0100", Some("+14155550100")),
            ("US", "011442079460958", Some("+442079460958")),
            ("US", "00442079460958", Some("+442079460958")),
            ("US", "442079460958", Some("+442079460958")),
            ("US", "5555550100", Some("+15555550100")),
            ("1", "4155550100", Some("+14155550100")),
            ("+1", "4155550100", Some("+14155550100")),
            ("us", "4155550100", Some("+14155550100")),
            ("DE", "030123456", Some("+4930123456")),
            ("DE", "30123456", Some("+4930123456")),
            ("DE", "4930123456", Some("+4930123456")),
            ("DE", "004930123456", Some("+4930123456")),
            ("DE", "+49 (0)30 123456", Some("+4930123456")),
            ("DE", "14155550100", Some("+14155550100")),
            ("49", "030123456", Some("+4930123456")),
            ("AU", "0011442079460958", Some("+442079460958")),
            ("AU", "00442079460958", Some("+442079460958")),
            ("GB", "02079460958", Some("+442079460958")),
            ("IT", "0612345678", Some("+390612345678")),
            ("US", "1001", None),
            ("DE", "1001", None),
            ("DE", "1234567", None),
            ("US", "5550100", None),
            ("US", "911", None),
            ("US", "*98", None),
            ("US", "anonymous", None),
            ("US", "+", None),
            ("US", "+911", None),
            ("US", "+0123456789", None),
            ("US", "+1415+5550100", None),
            ("US", "1-800-FLOWERS", None),
            ("US", "", None),
        ] {
            let country = Country::compile(Some(&config::Country(country.to_owned())));

            let read = country.read(written).map(|reading| reading.number.into_owned());

            assert_eq!(read.as_deref(), expected, "{written} in {:?}", country.iso());
        }
    }

    #[test]
    fn without_a_country_only_plus_and_double_zero_lead_to_e164() {
        let country = Country::compile(None);

        let read = |written| country.read(written).map(|reading| reading.number.into_owned());

        assert_eq!(read("+1 415 555 0100").as_deref(), Some("+14155550100"));
        assert_eq!(read("0014155550100").as_deref(), Some("+14155550100"));
        assert_eq!(read("14155550100"), None);
        assert_eq!(read("4155550100"), None);
        assert_eq!(read("001001"), None);
    }

    #[test]
    fn the_form_says_how_a_number_was_written() {
        let us = Country::compile(Some(&config::Country("US".to_owned())));

        let form = |written| us.read(written).map(|reading| reading.form);

        assert_eq!(form("+14155550100"), Some(Form::Plus));
        assert_eq!(form("14155550100"), Some(Form::Full));
        assert_eq!(form("4155550100"), Some(Form::National));
        assert_eq!(form("442079460958"), Some(Form::Full));
        assert_eq!(form("011442079460958"), Some(Form::InternationalPrefix));
        assert_eq!(form("01114155550100"), Some(Form::InternationalPrefix));
        assert_eq!(form("0014155550100"), Some(Form::InternationalPrefix));
    }

    #[test]
    fn an_e164_number_is_not_copied() {
        assert!(matches!(Country::default().read("+14155550100").unwrap().number, Cow::Borrowed(_)));
    }
}

//! Which numbers the agents of a `[[retell]]` may call: what stands between a stolen password and a
//! telephone bill.
//!
//! The entry that says most about a number decides: the number itself before a prefix, a longer prefix
//! before a shorter, any of these before a country, and `deny_numbers` where both say the same. Numbers
//! that cost extra are refused unless an entry names them by more than their country. A number without `+`
//! is also judged by what a carrier may make of its digits: neither reading may be refused. A number that is
//! too long is judged as the one that a carrier reaches by it, which takes the digits that it needs; and what
//! is dialled in front of a number hides none.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType};

use super::config::{Dialling, Range};
use super::normalise::{Country, is_e164, strip_separators};

/// The compiled keys of one `[[retell]]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tolls {
    entries: Vec<Entry>,
    /// `allow_numbers` is there.
    is_closed: bool,
    allow_premium: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    range: Range,
    allows: bool,
}

/// Why a number may not be called. It is not repeated: the text is logged, and the number is somebody's.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum TollError {
    /// An entry says so.
    #[error("number refused by \"{entry}\" in deny_numbers")]
    Denied {
        /// As in the configuration.
        entry: String,
    },
    /// No entry allows it.
    #[error("number refused: it is not in allow_numbers")]
    NotAllowed,
    /// It costs extra.
    #[error("premium-rate number refused: allow_premium is off")]
    Premium,
}

impl Tolls {
    pub(super) fn compile(config: &Dialling) -> Self {
        let entry = |allows| move |range: &Range| Entry { range: range.clone(), allows };
        let allowed = config.allow.iter().flatten().map(entry(true));
        let mut entries: Vec<_> = config.deny.iter().map(entry(false)).chain(allowed).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.weight()));
        Self { entries, is_closed: config.allow.is_some(), allow_premium: config.allow_premium }
    }

    /// Whether `number`, as it would be sent, may be called; the entry that allows it, if it takes one.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn check(&self, number: &str) -> Result<Option<String>, TollError> {
        let plain = strip_separators(number);
        let plain = plain.as_deref().unwrap_or(number);
        let digits = plain.strip_prefix("00").or_else(|| plain.strip_prefix("011")).unwrap_or(plain);
        let digits = digits.get(..MOST_DIGITS).unwrap_or(digits);
        let global = is_e164(digits).then(|| format!("+{digits}"));
        let mut allowed = None;
        for reading in [Some(plain), global.as_deref()].into_iter().flatten() {
            allowed = allowed.or(self.check_reading(reading)?);
        }
        if self.is_closed && allowed.is_none() { Err(TollError::NotAllowed) } else { Ok(allowed) }
    }

    /// Whether `rest`, which a carrier in `country` may call instead of all that was dialled, may be called.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn check_behind(&self, rest: &str, country: Country) -> Result<(), TollError> {
        let digits = rest.trim_start_matches('+');
        let digits = digits.get(..MOST_DIGITS).unwrap_or(digits);
        let global = is_e164(digits).then(|| format!("+{digits}"));
        let national = country.read(rest).map(|reading| reading.number.into_owned());
        if global.is_none() && national.is_none() {
            return Ok(());
        }
        let mut allowed = None;
        for reading in [global, national].into_iter().flatten() {
            allowed = allowed.or(self.check_reading(&reading)?);
        }
        if self.is_closed && allowed.is_none() { Err(TollError::NotAllowed) } else { Ok(()) }
    }

    fn check_reading(&self, number: &str) -> Result<Option<String>, TollError> {
        let parsed = number.starts_with('+').then(|| reached(number)).flatten();
        let entry = self.entries.iter().find(|entry| entry.fits(number, parsed.as_ref()));
        match entry {
            Some(entry) if !entry.allows => Err(TollError::Denied { entry: entry.to_string() }),
            Some(Entry { range: Range::Prefix(_) | Range::Number(_), .. }) => Ok(entry.map(Entry::to_string)),
            _ if !self.allow_premium && is_premium(number, parsed.as_ref()) => Err(TollError::Premium),
            entry => Ok(entry.map(Entry::to_string)),
        }
    }
}

/// Has the phone-number library load its tables, some megabytes, which it would else do in the middle of the
/// first call.
pub(super) fn load_tables() {
    let parsed = PHONE_NUMBER_UTIL.parse("+14155550100", None).ok();
    is_premium("+14155550100", parsed.as_ref());
}

impl Entry {
    /// How much it says.
    fn weight(&self) -> usize {
        match &self.range {
            Range::Country(_) => 0,
            Range::Prefix(prefix) => prefix.len(),
            Range::Number(_) => usize::MAX,
        }
    }

    fn fits(&self, number: &str, parsed: Option<&PhoneNumber>) -> bool {
        match &self.range {
            Range::Country(iso) => {
                let region = parsed.and_then(PhoneNumber::get_region_code);
                region.is_some_and(|region| region.to_string() == *iso)
            }
            Range::Prefix(prefix) => number.starts_with(prefix.as_str()),
            Range::Number(whole) => number == whole,
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.range {
            Range::Country(text) | Range::Number(text) => f.write_str(text),
            Range::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The telephone number that `number` begins with, if it does not end with it.
fn reached(number: &str) -> Option<PhoneNumber> {
    let dialled = PHONE_NUMBER_UTIL.parse(number.get(..=MOST_DIGITS).unwrap_or(number), None).ok()?;
    let mut cut = dialled.clone();
    Some(if PHONE_NUMBER_UTIL.truncate_too_long_number(&mut cut) { cut } else { dialled })
}

fn is_premium(number: &str, parsed: Option<&PhoneNumber>) -> bool {
    let costs_extra = |number: &PhoneNumber| {
        matches!(number.get_type(), PhoneNumberType::PremiumRate | PhoneNumberType::PersonalNumber)
    };
    parsed.is_some_and(costs_extra) || BEYOND_COUNTRIES.iter().any(|code| number.starts_with(code))
}

/// Of a number, the calling code included (ITU-T E.164).
const MOST_DIGITS: usize = 15;
/// Calling codes of satellites, networks without a country, personal numbers and premium rate (ITU-T E.164).
const BEYOND_COUNTRIES: [&str; 6] = ["+870", "+878", "+881", "+882", "+883", "+979"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_allowed_but_where_it_costs_extra() {
        let tolls = Tolls::compile(&Dialling::default());

        for number in ["+14155550100", "+442079460958", "+4930123456", "1001", "*98", "+18765550100"] {
            assert_eq!(tolls.check(number), Ok(None), "{number}");
        }
        for number in [
            "+19002345678",
            "19002345678",
            "0019002345678",
            "01119002345678",
            "+1 900 234 5678",
            "+449098790000",
            "+190023456781",
            "+1900234567811111111111",
            "19002345678111111111",
            "+44909879000012345678",
        ] {
            assert_eq!(tolls.check(number), Err(TollError::Premium), "{number}");
        }
        for number in ["+881612345678", "00881612345678", "+88213000000", "+979123456789", "+447012345678"] {
            assert_eq!(tolls.check(number), Err(TollError::Premium), "{number}");
        }
    }

    #[test]
    fn the_entry_that_says_most_decides() {
        let tolls = Tolls::compile(&Dialling {
            allow: Some(ranges(&["US", "+4420*", "+442079460000", "1001", "+1900234*"])),
            deny: ranges(&["+1415*", "+44207*", "+14155550199"]),
            allow_premium: false,
        });
        let by = |entry: &str| Ok(Some(entry.to_owned()));
        let denied = |entry: &str| Err(TollError::Denied { entry: entry.to_owned() });

        for (number, expected) in [
            ("+12125550100", by("US")),
            ("12125550100", by("US")),
            ("+14155550100", denied("+1415*")),
            ("0014155550100", denied("+1415*")),
            ("+442012345678", by("+4420*")),
            ("+442079460958", denied("+44207*")),
            ("+442079460000", by("+442079460000")),
            ("+18765550100", Err(TollError::NotAllowed)),
            ("+4930123456", Err(TollError::NotAllowed)),
            ("+141555501001111111111", denied("+1415*")),
            ("+1212555010011111", by("US")),
            ("1001", by("1001")),
            ("1002", Err(TollError::NotAllowed)),
            ("*98", Err(TollError::NotAllowed)),
            ("+19002345678", by("+1900234*")),
            ("+19009345678", Err(TollError::Premium)),
        ] {
            assert_eq!(tolls.check(number), expected, "{number}");
        }
    }

    #[test]
    fn an_equal_entry_on_both_lists_denies() {
        let both = ranges(&["+1415*"]);
        let tolls = Tolls::compile(&Dialling { allow: Some(both.clone()), deny: both, allow_premium: true });

        assert_eq!(tolls.check("+14155550100"), Err(TollError::Denied { entry: "+1415*".to_owned() }));
    }

    #[test]
    fn extra_cost_may_be_allowed() {
        let tolls = Tolls::compile(&Dialling { allow_premium: true, ..Dialling::default() });

        assert_eq!(tolls.check("+19002345678"), Ok(None));
    }

    fn ranges(entries: &[&str]) -> Vec<Range> {
        entries
            .iter()
            .map(|entry| match entry.strip_suffix('*') {
                Some(prefix) => Range::Prefix(prefix.to_owned()),
                None if entry.len() == 2 => Range::Country((*entry).to_owned()),
                None => Range::Number((*entry).to_owned()),
            })
            .collect()
    }
}

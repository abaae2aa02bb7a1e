//! Which dialled numbers reach an emergency service.
//!
//! The phone-number library has no short numbers, so this is a table: by country where the trunk has one, and
//! always 112 and 911, which networks everywhere lead to their own service. Without a country it is the list
//! that a phone without a SIM card uses (3GPP TS 22.101 §10.1.1).
//!
//! A number counts also with the country code in front and with or without `+`: that is how an E.164-minded
//! caller writes 911. Longer numbers that begin like one are ordinary numbers (9110...).

use super::normalise::{Country, strip_separators};

/// Whether `number`, as dialled or as sent, is an emergency number in `country`.
pub(super) fn is_emergency(number: &str, country: Country) -> bool {
    let Some(plain) = strip_separators(number) else { return false };
    let digits = plain.trim_start_matches('+');
    if digits.len() > LONGEST {
        return false;
    }
    let bare = digits.strip_prefix("00").or_else(|| digits.strip_prefix("011")).unwrap_or(digits);
    let after_code = country.calling_code().and_then(|code| bare.strip_prefix(code.to_string().as_str()));
    [Some(digits), Some(bare), after_code]
        .into_iter()
        .flatten()
        .any(|digits| EVERYWHERE.contains(&digits) || table(country).contains(&digits))
}

fn table(country: Country) -> &'static [&'static str] {
    let Some(iso) = country.iso() else { return WITHOUT_COUNTRY };
    BY_COUNTRY
        .iter()
        .find(|(countries, _)| countries.contains(&iso.as_str()))
        .map_or(WITHOUT_COUNTRY, |(_, numbers)| numbers)
}

/// `011`, a calling code of up to three digits, then the longest number of the table.
const LONGEST: usize = 11;

const EVERYWHERE: &[&str] = &["112", "911"];

const WITHOUT_COUNTRY: &[&str] = &["000", "08", "110", "118", "119", "999"];

/// Police, ambulance, fire and coast guard, beyond 112 and 911, by ISO 3166 code. Countries that have only
/// those two need no line.
#[rustfmt::skip]
const BY_COUNTRY: &[(&[&str], &[&str])] = &[
    (&["US", "CA", "PR", "MX", "PT", "NL", "SE", "FI", "DK", "RO", "BG", "EE", "IS", "CY", "UY", "PH"], &[]),
    (&["JM"], &["110", "119"]),
    (&["TT"], &["811", "990", "999"]),
    (&["BB"], &["211", "311", "511"]),
    (&["GB", "GG", "JE", "IM", "IE", "KE", "ZW", "BD"], &["999"]),
    (&["SG"], &["995", "999"]),
    (&["DE"], &["110"]),
    (&["AT"], &["122", "133", "144"]),
    (&["CH", "LI"], &["117", "118", "144", "1414"]),
    (&["FR", "MC", "RE", "GP", "MQ", "GF"], &["15", "17", "18", "114", "115", "191", "196"]),
    (&["BE"], &["100", "101"]),
    (&["LU"], &["113"]),
    (&["IT", "SM", "VA"], &["113", "115", "118"]),
    (&["ES"], &["061", "062", "080", "085", "091", "092"]),
    (&["PL"], &["997", "998", "999"]),
    (&["CZ", "SK"], &["150", "155", "156", "158"]),
    (&["HU"], &["104", "105", "107"]),
    (&["GR"], &["100", "108", "166", "199"]),
    (&["NO"], &["110", "113"]),
    (&["SI"], &["113"]),
    (&["HR", "RS", "BA", "ME", "MK"], &["192", "193", "194"]),
    (&["LV"], &["110", "113"]),
    (&["UA", "RU", "BY", "KZ"], &["101", "102", "103", "104"]),
    (&["TR"], &["110", "155", "156"]),
    (&["IL"], &["100", "101", "102"]),
    (&["AE", "SA", "QA", "KW", "BH", "OM"], &["997", "998", "999", "9999"]),
    (&["EG"], &["122", "123", "180"]),
    (&["ZA"], &["10111", "10177"]),
    (&["AU"], &["000", "106"]),
    (&["NZ"], &["111"]),
    (&["JP"], &["110", "118", "119"]),
    (&["KR"], &["119"]),
    (&["CN"], &["110", "119", "120", "122"]),
    (&["TW"], &["110", "118", "119"]),
    (&["HK", "MO", "MY"], &["992", "999"]),
    (&["TH"], &["191", "199", "1669"]),
    (&["VN"], &["113", "114", "115"]),
    (&["ID"], &["110", "113", "115", "118", "119"]),
    (&["IN"], &["100", "101", "102", "108"]),
    (&["PK"], &["15", "16", "115", "1122"]),
    (&["LK"], &["110", "118", "119"]),
    (&["BR"], &["190", "192", "193"]),
    (&["AR"], &["100", "101", "107"]),
    (&["CL"], &["131", "132", "133"]),
    (&["CO"], &["123"]),
    (&["PE"], &["105", "106", "116"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::config;

    #[test]
    fn an_emergency_number_is_known_however_it_is_dialled() {
        for (country, number, expected) in [
            (Some("US"), "911", true),
            (Some("US"), "9-1-1", true),
            (Some("US"), "+911", true),
            (Some("US"), "+1911", true),
            (Some("US"), "1911", true),
            (Some("US"), "112", true),
            (Some("US"), "011911", true),
            (Some("US"), "+0111911", true),
            (Some("US"), "999", false),
            (Some("US"), "+19115550100", false),
            (Some("US"), "9110", false),
            (Some("DE"), "110", true),
            (Some("DE"), "+49110", true),
            (Some("DE"), "0049112", true),
            (Some("DE"), "115", false),
            (Some("GB"), "999", true),
            (Some("GB"), "101", false),
            (Some("AU"), "000", true),
            (Some("49"), "112", true),
            (Some("FR"), "15", true),
            (None, "112", true),
            (None, "000", true),
            (None, "00112", true),
            (None, "1001", false),
            (None, "police", false),
        ] {
            let written = country.map(|iso| config::Country(iso.to_owned()));

            let found = is_emergency(number, Country::compile(written.as_ref()));

            assert_eq!(found, expected, "{number} in {country:?}");
        }
    }
}

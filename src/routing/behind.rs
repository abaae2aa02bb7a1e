//! Numbers behind what may be dialled in front of them: a service code (`*67`, `#31#`), a digit for an
//! outside line, an international prefix that stands there twice (`0011…`, `+011…`, `+1011…`); and those
//! between signs that stand in no number (`+44_20…`).
//!
//! Such a string is no number and leaves as it was dialled; but a carrier that is lenient, or a PBX, takes
//! such things off and calls what is left. Whoever guards numbers has to judge that too. What is found here
//! is only ever judged, never called.

use super::normalise::{is_valid, strip_separators};

/// What may be left of `number` once its front is taken off, as dialled from there on; nothing for a valid
/// number, or for a name.
pub(super) fn behind(number: &str) -> Vec<String> {
    let plain = dialable(number);
    let is_plain = strip_separators(number).is_some();
    let between = (!is_plain).then_some(&*plain);
    let after_prefix = (0..=LONGEST_FRONT).filter_map(|at| after_international_prefix(plain.get(at..)?));
    let found = between.into_iter().chain(after_code(&plain)).chain(after_prefix);
    let found: Vec<_> = found.filter(|rest| rest.len() >= SHORTEST).collect();
    if found.is_empty() || number.contains(char::is_alphabetic) || is_plain && is_valid(&plain) {
        return Vec::new();
    }
    found.into_iter().map(str::to_owned).collect()
}

/// What a keypad has of `number`.
fn dialable(number: &str) -> String {
    number.chars().filter(|it| it.is_ascii_digit() || matches!(it, '+' | '*' | '#')).collect()
}

/// Behind a service code: `*` and two digits, or what ends with a second `*` or `#`.
pub(super) fn after_code(plain: &str) -> Option<&str> {
    let code = plain.strip_prefix(['*', '#'])?;
    match code.find(['*', '#']) {
        Some(end) if end < LONGEST_FRONT => code.get(end + 1..),
        _ => code.get(2..),
    }
}

fn after_international_prefix(rest: &str) -> Option<&str> {
    let prefix = ["+", "00", "011"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    Some(rest[prefix.len()..].trim_start_matches('0'))
}

/// Fewer digits are no number that anything has to stand in front of.
const SHORTEST: usize = 7;
/// As many characters in front of an international prefix, or within a service code, are looked past.
const LONGEST_FRONT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lenient_carrier_would_call_is_found_behind_the_front() {
        for front in [
            "+0", "+00", "+011", "+1011", "1011", "9011", "0011", "011011", "00 00", "000", "*67011", "*67",
            "#31#+",
        ] {
            let found = behind(&format!("{front}442079460958"));

            assert!(found.iter().any(|rest| rest == "442079460958"), "{front}: {found:?}");
        }
    }

    #[test]
    fn signs_that_stand_in_no_number_hide_none() {
        for number in ["+44_2079460958", "442079460958;", "0044~20~79460958", "011=442079460958"] {
            let found = behind(number);

            assert!(found.iter().any(|rest| rest == "442079460958"), "{number}: {found:?}");
        }
    }

    #[test]
    fn a_valid_number_and_a_short_one_have_no_front() {
        for number in ["+14155550100", "+18002345678", "1001", "*98", "*", "", "desk", "é00"] {
            assert_eq!(behind(number), Vec::<String>::new(), "{number}");
        }
    }
}

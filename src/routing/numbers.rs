//! `[[numbers]]`: which `[[retell]]` serves a number and which trunk calls that bear it leave by.
//!
//! The longest literal part wins for each of the two separately: an exact entry that only names a trunk
//! leaves the choice of the `[[retell]]` to the prefix around it.

use std::collections::HashMap;

use super::config::NumberConfig;
use super::fallback::Fallback;
use super::normalise::strip_separators;
use crate::id::PeerId;

/// The compiled table.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    exact: HashMap<String, Entry>,
    /// Longest first.
    prefixes: Vec<(String, Entry)>,
}

/// One entry: what the number says of either side.
#[derive(Clone, Debug)]
struct Entry {
    /// As written in the configuration, for explanations.
    written: String,
    retell: Option<PeerId>,
    trunk: Option<PeerId>,
    fallback: Option<Vec<Fallback>>,
}

/// A peer and the entry that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The peer.
    pub(super) peer: PeerId,
    /// The entry's number as written.
    pub(super) entry: &'a str,
}

impl Numbers {
    /// `retell` and `trunk` find a peer of their kind by its name.
    pub(super) fn compile(
        configs: &[NumberConfig],
        retell: impl Fn(&str) -> Option<PeerId>,
        trunk: impl Fn(&str) -> Option<PeerId>,
    ) -> Self {
        let mut numbers = Self::default();
        for config in configs {
            let entry = Entry {
                written: config.number.clone(),
                retell: config.retell.as_deref().and_then(&retell),
                trunk: config.trunk.as_deref().and_then(&trunk),
                fallback: config.fallback.as_deref().map(|list| Fallback::compile(list, &retell)),
            };
            match config.number.strip_suffix('*') {
                Some(prefix) => numbers.prefixes.push((plain(prefix), entry)),
                None => {
                    numbers.exact.entry(plain(&config.number)).or_insert(entry);
                }
            }
        }
        numbers.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        numbers
    }

    /// The `[[retell]]` that calls to `number` go to.
    pub(super) fn retell(&self, number: &str) -> Option<Found<'_>> {
        self.matching(number).find_map(|entry| Some(Found { peer: entry.retell?, entry: &entry.written }))
    }

    /// The trunk that calls bearing `number` leave by.
    pub(super) fn trunk(&self, number: &str) -> Option<Found<'_>> {
        self.matching(number).find_map(|entry| Some(Found { peer: entry.trunk?, entry: &entry.written }))
    }

    /// Where calls to `number` go when Retell cannot take them, and the entry that says so.
    pub(super) fn fallback(&self, number: &str) -> Option<(&[Fallback], &str)> {
        self.matching(number).find_map(|entry| Some((entry.fallback.as_deref()?, &*entry.written)))
    }

    /// Whether `number` is one of ours.
    pub(super) fn owns(&self, number: &str) -> bool {
        self.matching(number).next().is_some()
    }

    /// Longest literal part first.
    fn matching(&self, number: &str) -> impl Iterator<Item = &Entry> {
        let exact = self.exact.get(number);
        let prefixes = self.prefixes.iter().filter(move |(prefix, _)| number.starts_with(prefix.as_str()));
        exact.into_iter().chain(prefixes.map(|(_, entry)| entry))
    }
}

/// Numbers are compared without visual separators.
fn plain(written: &str) -> String {
    strip_separators(written).map_or_else(|| written.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_literal_part_wins_for_each_side() {
        let numbers = table(&[
            ("+1*", Some("far"), Some("b")),
            ("+1415555*", Some("near"), None),
            ("+14155550100", None, Some("a")),
        ]);

        let retell = |number| numbers.retell(number).map(|found| (found.peer.0, found.entry));
        let trunk = |number| numbers.trunk(number).map(|found| (found.peer.0, found.entry));

        assert_eq!(retell("+14155550100"), Some((1, "+1415555*")));
        assert_eq!(trunk("+14155550100"), Some((2, "+14155550100")));
        assert_eq!(retell("+12125550100"), Some((0, "+1*")));
        assert_eq!(trunk("+14155550101"), Some((3, "+1*")));
        assert_eq!(retell("+442079460958"), None);
        assert!(numbers.owns("+14155550199") && !numbers.owns("+442079460958"));
    }

    #[test]
    fn an_exact_entry_beats_a_prefix_of_the_same_length_and_separators_do_not_count() {
        let numbers =
            table(&[("+14155550100*", Some("far"), None), ("+1 (415) 555-0100", Some("near"), None)]);

        assert_eq!(numbers.retell("+14155550100").map(|found| found.peer), Some(PeerId(1)));
        assert_eq!(numbers.retell("+141555501001").map(|found| found.peer), Some(PeerId(0)));
    }

    fn table(rows: &[(&str, Option<&str>, Option<&str>)]) -> Numbers {
        let configs: Vec<_> = rows
            .iter()
            .map(|&(number, retell, trunk)| NumberConfig {
                number: number.to_owned(),
                retell: retell.map(str::to_owned),
                trunk: trunk.map(str::to_owned),
                fallback: None,
            })
            .collect();
        let peer = |name: &str| {
            ["far", "near", "a", "b"].iter().position(|known| *known == name).map(|at| PeerId(at as u16))
        };
        Numbers::compile(&configs, peer, peer)
    }
}

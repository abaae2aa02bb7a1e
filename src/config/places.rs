//! Where the keys that steps of `trunkline explain` name stand: file and line, or the
//! variable that overrides them.
//!
//! Peers and numbers are named by what they are called, not by their place: the environment may have moved
//! the default ones to the front.

use std::collections::BTreeMap;

use super::Config;
use super::reader::{KeyPath, Review};
use crate::routing::config::TrunkConfig;

/// By key, such as `trunks[carrier].country`: `config.toml:12`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// Notes every key in `known` that `config`, as it stands in the file, holds.
    pub(super) fn read(config: &Config, known: &[String], review: &Review<'_>) -> Self {
        let mut places = Self::default();
        let root = KeyPath::root();
        for (path, peer) in config.routing.peers() {
            places.note_entry(path.last(), &peer.name, &path, known, review);
        }
        for (index, trunk) in config.routing.trunks.iter().enumerate() {
            places.note_preset(trunk, &root.key("trunks").index(index), known, review);
        }
        for (index, interface) in config.routing.interfaces.iter().enumerate() {
            let path = root.key("interfaces").index(index);
            places.note_entry("interfaces", &interface.name, &path, known, review);
        }
        for (index, entry) in config.routing.numbers.iter().enumerate() {
            let path = root.key("numbers").index(index);
            places.note_entry("numbers", &entry.number, &path, known, review);
        }
        for index in 0..config.routing.headers.rules.len() {
            let path = root.key("headers").key("rules").index(index);
            places.note_entry("headers.rules", &(index + 1).to_string(), &path, known, review);
        }
        for (dialled, _) in &config.routing.extensions {
            places.note(format!("extensions.{dialled}"), &root.key("extensions").key(dialled), review);
        }
        places.note("headers.pass".to_owned(), &root.key("headers").key("pass"), review);
        places
    }

    /// Where `key` stands; `None` if it is at its default.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn note_entry(
        &mut self,
        section: &str,
        name: &str,
        path: &KeyPath,
        known: &[String],
        review: &Review<'_>,
    ) {
        let keys = known.iter().filter_map(|known| known.strip_prefix(section)?.strip_prefix('.'));
        for key in keys.filter(|key| !key.contains('.')) {
            self.note(format!("{section}[{name}].{key}"), &path.key(key), review);
        }
    }

    /// What its provider's preset gives stands where the provider is named.
    fn note_preset(&mut self, trunk: &TrunkConfig, path: &KeyPath, known: &[String], review: &Review<'_>) {
        let Some(provider) = &trunk.provider else { return };
        let place = format!("provider \"{provider}\", {}", review.place_of(&path.key("provider")));
        let keys = known.iter().filter_map(|known| known.strip_prefix("trunks."));
        for key in keys.filter(|key| !review.is_set(&path.key(key)) && review.preset_holds(provider, key)) {
            self.0.insert(format!("trunks[{}].{key}", trunk.peer.name), place.clone());
        }
    }

    fn note(&mut self, key: String, path: &KeyPath, review: &Review<'_>) {
        if review.is_set(path) {
            self.0.insert(key, review.place_of(path));
        }
    }
}

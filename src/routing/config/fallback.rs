//! `fallback`: where a call goes when Retell cannot take it, in `[[retell]]` and `[[numbers]]`.
//!
//! A word is the name of another `[[retell]]` if there is one of that name, else a number. What a
//! `[[retell]]` that is named falls back to is tried after it, so a chain that leads back to its beginning is
//! a mistake; so is a number of our own, which the trunk brings back to us.

use super::caller::parse_user_part;
use super::numbers::unknown_peer;
use super::uri::parse_uri;
use super::{Config, NumberConfig};
use crate::config::reader::{KeyPath, Mistake, Review};
use crate::sip::uri::{Scheme, Uri};

/// One element of `fallback`.
#[derive(Clone, Debug, PartialEq)]
pub enum FallbackConfig {
    /// A name of a `[[retell]]`, or a number for the trunk.
    Word(String),
    /// A SIP URI, called as it stands.
    Address(Uri),
}

/// Reads one element.
pub(super) fn parse_fallback(text: &str) -> Result<FallbackConfig, Mistake> {
    if text.trim().is_empty() {
        return Err(Mistake::new("`fallback` is empty", INSTEAD));
    }
    if !text.contains(':') {
        return Ok(FallbackConfig::Word(text.trim().to_owned()));
    }
    let Ok(uri) = Uri::parse(text.as_bytes()) else {
        return parse_uri("fallback", text).map(FallbackConfig::Address);
    };
    if uri.scheme == Scheme::Tel {
        let number = uri.user.unwrap_or_default();
        return Err(Mistake::new(
            "`fallback` is a tel: URI",
            format!("write the number alone: \"{number}\""),
        ));
    }
    if uri.password.is_some() {
        return Err(Mistake::new("`fallback` has a password in its URI", INSTEAD));
    }
    let bare = Uri { user: None, user_as_written: None, ..uri.clone() };
    parse_uri("fallback", &bare.to_string())?;
    Ok(FallbackConfig::Address(uri))
}

/// Checks every word, and that no chain of `[[retell]]` leads back to where it began.
pub(super) fn check(config: &Config, review: &mut Review<'_>) {
    let names: Vec<_> = config.retell_names().collect();
    let root = KeyPath::root();
    for (index, retell) in config.retell.iter().enumerate() {
        let here = root.key("retell").index(index).key("fallback");
        check_words(&retell.fallback, &names, &here, review);
        check_own(&retell.fallback, config, &here, review);
        if let Some(chain) = chain_back(config, &retell.peer.name, &mut vec![retell.peer.name.as_str()]) {
            let what = format!("`fallback` leads back to where it began: {}", chain.join(" -> "));
            review.mistake(&here, Mistake::new(what, "take one of these names out of its `fallback`"));
        }
    }
    for (index, number) in config.numbers.iter().enumerate() {
        let here = root.key("numbers").index(index).key("fallback");
        let list = number.fallback.as_deref().unwrap_or_default();
        check_words(list, &names, &here, review);
        check_own(list, config, &here, review);
        if let Some(own) = own_retell(config, number).filter(|&own| list.contains(&word(own))) {
            let what = format!("calls to {} go to \"{own}\" already", number.number);
            review.mistake(&here, Mistake::new(what, "name another [[retell]], a number or a SIP URI"));
        }
    }
}

fn check_words(list: &[FallbackConfig], names: &[&str], here: &KeyPath, review: &mut Review<'_>) {
    for (index, element) in list.iter().enumerate() {
        let FallbackConfig::Word(word) = element else { continue };
        let is_number = word.trim_start_matches('+').starts_with(|first: char| first.is_ascii_digit())
            && parse_user_part("fallback", word).is_ok();
        if names.contains(&word.as_str()) || is_number {
            continue;
        }
        let mistake = unknown_peer(word, "[[retell]]", names);
        let instead = format!("{}, or a number or SIP URI", mistake.instead);
        review.mistake(&review.element(here, index), Mistake::new(mistake.what, instead));
    }
}

/// A call to a number of our own comes back to us.
fn check_own(list: &[FallbackConfig], config: &Config, here: &KeyPath, review: &mut Review<'_>) {
    for (index, element) in list.iter().enumerate() {
        let FallbackConfig::Word(word) = element else { continue };
        let covers = |number: &&NumberConfig| match number.number.strip_suffix('*') {
            Some(prefix) => word.starts_with(prefix) && prefix.len() > 1,
            None => number.number == *word,
        };
        let Some(own) = config.numbers.iter().find(covers) else { continue };
        let at = review.element(here, index);
        let what =
            format!("\"{word}\" is in [[numbers]] \"{}\", so the trunk may bring the call back", own.number);
        let mistake = Mistake::new(what, "name a number that does not lead here");
        if own.number.ends_with('*') { review.warning(&at, mistake) } else { review.mistake(&at, mistake) }
    }
}

/// The names from `first` on that lead back to it.
fn chain_back<'a>(config: &'a Config, first: &str, path: &mut Vec<&'a str>) -> Option<Vec<&'a str>> {
    let last = *path.last()?;
    let fallback = &config.retell.iter().find(|retell| retell.peer.name == last)?.fallback;
    for element in fallback {
        let FallbackConfig::Word(name) = element else { continue };
        if name == first {
            path.push(name);
            return Some(path.clone());
        }
        if !path.contains(&name.as_str()) {
            path.push(name);
            if let Some(chain) = chain_back(config, first, path) {
                return Some(chain);
            }
            path.pop();
        }
    }
    None
}

/// The `[[retell]]` that calls to `number` go to.
fn own_retell<'a>(config: &'a Config, number: &'a NumberConfig) -> Option<&'a str> {
    number.retell.as_deref().or_else(|| config.retell_names().next())
}

fn word(name: &str) -> FallbackConfig {
    FallbackConfig::Word(name.to_owned())
}

const INSTEAD: &str =
    "write a number such as \"+14155550199\", \"sip:desk@pbx.example\", or the name of a [[retell]]";

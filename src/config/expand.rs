//! `trunkline check --expand`: the file as it stands, with every key written out that a
//! provider's preset gives it, and what is known of the provider as comments.
//!
//! Comments and order stay. Secrets that are named (`env:`, `file:`) stay as they are; one that stands
//! in the file itself is never printed, so its value has to be put back by whoever makes a
//! configuration of what is printed.

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, Value, value};

use super::reader::Problem;
use super::{asked_for, load, read_text};
use crate::routing::config::{Provider, provider};

/// Reads `file` as [`load`] does, and prints it after presets; the warnings come with it.
///
/// # Errors
///
/// What is wrong with the file, as [`load`] says it.
pub fn expand(file: &Path, environment: &[(String, String)]) -> Result<(String, Vec<Problem>), Vec<Problem>> {
    let loaded = load(file, environment)?;
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let mut document: DocumentMut = text.parse().unwrap_or_default();
    let asked_for = asked_for();
    let trunks = document.get_mut("trunks");
    let holds_comments = trunks.as_deref().is_some_and(Item::is_array_of_tables);
    for trunk in tables(trunks) {
        let provider = trunk.get("provider").and_then(Item::as_str).and_then(provider);
        let Some(provider) = provider else { continue };
        let added = lay_under(trunk, provider.keys, asked_for.known());
        if holds_comments {
            comment(trunk, provider, &added);
        }
    }
    hide(document.as_table_mut(), "", asked_for.secrets());
    Ok((document.to_string(), loaded.warnings))
}

/// The elements of `[[key]]`, or of an array of inline tables.
fn tables(item: Option<&mut Item>) -> Vec<&mut dyn TableLike> {
    match item {
        Some(Item::ArrayOfTables(tables)) => tables.iter_mut().map(|table| table as _).collect(),
        Some(Item::Value(Value::Array(array))) => {
            array.iter_mut().filter_map(Value::as_inline_table_mut).map(|table| table as _).collect()
        }
        _ => Vec::new(),
    }
}

/// Adds what `preset` gives and `trunk` lacks; each key that it added stands beside the comment on it.
///
/// A table of `known` keys gets those that it lacks; one whose keys are the user's own wins as a whole.
fn lay_under(trunk: &mut dyn TableLike, preset: &str, known: &BTreeSet<String>) -> Vec<(String, String)> {
    let preset: DocumentMut = preset.parse().unwrap_or_default();
    let has_known_keys = |key: &str| known.iter().any(|known| known.starts_with(&format!("trunks.{key}.")));
    let mut added = Vec::new();
    for (key, given) in preset.iter() {
        let own = trunk.get_mut(key).filter(|_| has_known_keys(key));
        if let Some(own) = own.and_then(Item::as_table_like_mut) {
            for (key, given) in given.as_table_like().iter().flat_map(|given| given.iter()) {
                add(own, key, given);
            }
        } else if add(trunk, key, given) {
            added.push((key.to_owned(), comment_on(&preset, key)));
        }
    }
    added
}

/// Whether `table` lacked `key`.
fn add(table: &mut dyn TableLike, key: &str, given: &Item) -> bool {
    let lacking = given.as_value().filter(|_| table.get(key).is_none());
    if let Some(given) = lacking {
        table.insert(key, value(on_one_line(given.clone())));
    }
    lacking.is_some()
}

/// The comment lines before `key`.
fn comment_on(preset: &DocumentMut, key: &str) -> String {
    let before = preset.key(key).and_then(|key| key.leaf_decor().prefix()?.as_str()).unwrap_or_default();
    before.lines().map(str::trim).filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// Puts the facts about `provider` above its name, and the comments of its preset above the keys it `added`.
fn comment(trunk: &mut dyn TableLike, provider: &Provider, added: &[(String, String)]) {
    let facts: Vec<_> = provider.facts().flat_map(|fact| comment_lines(&fact)).collect();
    write_above(trunk, "provider", &facts.join("\n"));
    for (key, comment) in added {
        write_above(trunk, key, comment);
    }
}

/// `text` as comment lines; what does not fit into one goes on in the next, indented.
fn comment_lines(text: &str) -> Vec<String> {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < COLUMNS => *line = format!("{line} {word}"),
            _ => lines.push(format!("#   {word}")),
        }
    }
    lines
}

/// Puts `lines` between `key` and what stands before it, indented alike.
fn write_above(table: &mut dyn TableLike, key: &str, lines: &str) {
    let Some(mut key) = table.key_mut(key) else { return };
    let decor = key.leaf_decor_mut();
    let before = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let indented: String = lines.lines().map(|line| format!("{line}\n{indent}")).collect();
    decor.set_prefix(format!("{before}{indented}"));
}

/// Without the line ends and indents that it has in the table of providers.
fn on_one_line(mut given: Value) -> Value {
    if let Value::Array(array) = &mut given {
        for (place, element) in array.iter_mut().enumerate() {
            element.decor_mut().set_prefix(if place == 0 { "" } else { " " });
            element.decor_mut().set_suffix("");
        }
        array.set_trailing_comma(false);
        array.set_trailing("");
    }
    given.decor_mut().clear();
    given
}

/// Puts dots in the place of secrets that stand in the file itself.
fn hide(table: &mut dyn TableLike, path: &str, secrets: &BTreeSet<String>) {
    for (key, item) in table.iter_mut() {
        let path = format!("{path}{}", key.get());
        let is_named = |text: &str| text.starts_with("env:") || text.starts_with("file:");
        if secrets.contains(&path) {
            if !item.as_str().is_some_and(is_named) {
                *item = value("…");
            }
        } else if let Some(table) = item.as_table_like_mut() {
            hide(table, &format!("{path}."), secrets);
        } else {
            for table in tables(Some(item)) {
                hide(table, &format!("{path}."), secrets);
            }
        }
    }
}

/// Longer comments are broken, as in the `config.toml` that comes with trunkline.
const COLUMNS: usize = 110;

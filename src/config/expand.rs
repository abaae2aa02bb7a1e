//! `trunkline check --expand`: the file as it stands, with every key written out that a
//! provider's preset gives it.
//!
//! Comments and order stay. Secrets that are named (`env:`, `file:`) stay as they are; one that stands
//! in the file itself is never printed, so its value has to be put back by whoever makes a
//! configuration of what is printed.

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, Value, value};

use super::reader::{Notes, Problem, Reader, Section, Tree};
use super::{Config, load, read_text};
use crate::routing::config::provider;

/// Reads `file` as [`load`] does, and prints it after presets; the warnings come with it.
///
/// # Errors
///
/// What is wrong with the file, as [`load`] says it.
pub fn expand(file: &Path, environment: &[(String, String)]) -> Result<(String, Vec<Problem>), Vec<Problem>> {
    let loaded = load(file, environment)?;
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let mut document: DocumentMut = text.parse().unwrap_or_default();
    for table in tables(document.get_mut("trunks")) {
        lay_under(table);
    }
    hide(document.as_table_mut(), "", &secrets());
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

/// Adds what the preset of `trunk` gives and the file does not.
fn lay_under(trunk: &mut dyn TableLike) {
    let name = trunk.get("provider").and_then(Item::as_str).and_then(provider);
    let Some(provider) = name else { return };
    let preset: DocumentMut = provider.keys.parse().unwrap_or_default();
    for (key, given) in preset.iter() {
        match (trunk.get_mut(key).and_then(Item::as_table_like_mut), given.as_table_like()) {
            (Some(own), Some(given)) => {
                for (key, given) in given.iter() {
                    add(own, key, given);
                }
            }
            _ => add(trunk, key, given),
        }
    }
}

fn add(table: &mut dyn TableLike, key: &str, given: &Item) {
    if table.get(key).is_none()
        && let Some(given) = given.as_value()
    {
        table.insert(key, value(on_one_line(given.clone())));
    }
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

/// The keys that hold one, such as `trunks.password`.
fn secrets() -> BTreeSet<String> {
    let mut notes = Notes::default();
    let one_of_each = "[[retell]]\n[[trunks]]\n".to_owned();
    if let Ok(tree) = Tree::parse(Path::new("config.toml"), one_of_each, &|_| None) {
        let mut root = Reader::root(&tree, &mut notes);
        Config::read(&mut root);
    }
    notes.secrets().clone()
}

//! Where things stand in the file: the parsed tree, paths into it, and lines and columns.
//!
//! toml_edit gives byte spans; people want lines and columns counted from 1 in characters. The span of a
//! table is its header, so a problem about a missing key points at the header.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::duplicate;
use super::problem::{Mistake, Problem};

/// The parsed file and what surrounds it.
pub(in crate::config) struct Tree<'a> {
    file: String,
    folder: PathBuf,
    document: Document<String>,
    presets: Vec<(&'static str, Document<&'static str>)>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Tree<'a> {
    /// Parses `text`, the content of `file`; `variable` looks up what `env:NAME` names.
    pub(in crate::config) fn parse(
        file: &Path,
        text: String,
        variable: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let name = file.display().to_string();
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        match Document::parse(text.clone()) {
            Ok(document) => Ok(Self { file: name, folder, document, presets: Vec::new(), variable }),
            Err(error) => {
                let span = error.span().unwrap_or_default();
                let place = line_and_column(&text, span.start);
                let mistake = match error.message() {
                    "duplicate key" => duplicate::mistake(&text, span),
                    message => Mistake::new(format!("this is not TOML: {message}"), advice(&text, place.0)),
                };
                Err(Problem::at(name, place, mistake))
            }
        }
    }

    /// Knows these tables too, by name and in TOML, for [`super::Reader::preset`].
    pub(in crate::config) fn with_presets(
        mut self,
        presets: impl Iterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        let parsed = presets.filter_map(|(name, text)| Some((name, Document::parse(text).ok()?)));
        self.presets = parsed.collect();
        self
    }

    /// The names of all presets.
    pub(super) fn preset_names(&self) -> impl Iterator<Item = &'static str> {
        self.presets.iter().map(|(name, _)| *name)
    }

    /// The preset called `name`.
    pub(super) fn preset(&self, name: &str) -> Option<&dyn TableLike> {
        let (_, document) = self.presets.iter().find(|(known, _)| *known == name)?;
        Some(document.as_table())
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    pub(super) fn node(&self, path: &KeyPath) -> Option<Node<'_>> {
        path.0.iter().try_fold(Node::Table(self.document.as_table()), Node::child)
    }

    /// Line and column of what stands at `path`, or of the nearest thing around it.
    pub(super) fn place(&self, path: &KeyPath) -> (usize, usize) {
        let steps = (1..=path.0.len()).rev();
        let mut ancestors = steps.filter_map(|steps| self.node(&path.first(steps))?.span());
        ancestors.next().map_or((1, 1), |span| line_and_column(self.document.raw(), span.start))
    }

    /// Line and column of the last key of `path` itself, not of its value.
    pub(super) fn place_of_key(&self, path: &KeyPath) -> (usize, usize) {
        let parent = self.node(&path.first(path.0.len().saturating_sub(1))).and_then(Node::table);
        let span = parent.and_then(|table| table.key(path.last())?.span());
        span.map_or_else(|| self.place(path), |span| line_and_column(self.document.raw(), span.start))
    }
}

/// What to do about a `line` that is not TOML.
fn advice(text: &str, line: usize) -> &'static str {
    let written = text.lines().nth(line - 1).unwrap_or_default();
    let value = written.split_once('=').map_or("", |(_, value)| value.trim_start());
    if written.contains(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
        "write straight quotes, \", in place of the curly ones"
    } else if value.starts_with(|first: char| first.is_alphabetic()) {
        "write text in quotes, such as name = \"carrier\""
    } else {
        "see https://toml.io for how TOML is written"
    }
}

/// 1-based line and column, in characters, of the byte at `offset`.
pub(in crate::config) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The way from the root of the file to a key or an element: `trunks[0].allow[1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// The file itself.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// `key` in the table that this path leads to.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// Element `index` of the array that this path leads to.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The last key on the way, whatever element of it is meant; empty for the file itself.
    #[must_use]
    pub fn last(&self) -> &str {
        let key = |step: &'_ Step| matches!(step, Step::Key(_));
        match self.0.iter().rev().find(|step| key(step)) {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    /// The place of the last element on the way, counted from 1.
    #[must_use]
    pub fn ordinal(&self) -> Option<usize> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Index(index) => Some(index + 1),
            Step::Key(_) => None,
        })
    }

    /// Whether this path is `other` or leads into it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    fn first(&self, steps: usize) -> Self {
        Self(self.0.iter().take(steps).cloned().collect())
    }
}

impl fmt::Display for KeyPath {
    /// Without indices, as the key would stand in a header: `headers.rules`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        });
        f.write_str(&keys.collect::<Vec<_>>().join("."))
    }
}

/// Something in the tree; toml_edit has one type for what a key holds, one for array elements, one for
/// `[[tables]]`.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Item(&'a Item),
    Value(&'a Value),
    Table(&'a Table),
}

impl<'a> Node<'a> {
    pub(super) fn value(self) -> Option<&'a Value> {
        match self {
            Self::Item(item) => item.as_value(),
            Self::Value(value) => Some(value),
            Self::Table(_) => None,
        }
    }

    pub(super) fn table(self) -> Option<&'a dyn TableLike> {
        match self {
            Self::Item(item) => item.as_table_like(),
            Self::Value(value) => value.as_inline_table().map(|table| table as &dyn TableLike),
            Self::Table(table) => Some(table),
        }
    }

    /// The elements of `[[key]]`, or of an array that holds inline tables only.
    pub(super) fn tables(self) -> Option<Vec<&'a dyn TableLike>> {
        if let Self::Item(Item::ArrayOfTables(tables)) = self {
            return Some(tables.iter().map(|table| table as &dyn TableLike).collect());
        }
        self.value()?.as_array()?.iter().map(|value| Node::Value(value).table()).collect()
    }

    pub(super) fn span(self) -> Option<Range<usize>> {
        match self {
            Self::Item(item) => item.span(),
            Self::Value(value) => value.span(),
            Self::Table(table) => table.span(),
        }
    }

    /// With its article, to stand after "is".
    pub(super) fn type_name(self) -> &'static str {
        match self.value() {
            Some(Value::String(_)) => "a string",
            Some(Value::Integer(_)) => "a whole number",
            Some(Value::Float(_)) => "a number with a fraction",
            Some(Value::Boolean(_)) => "true or false",
            Some(Value::Datetime(_)) => "a date or time",
            Some(Value::Array(_)) => "an array",
            Some(Value::InlineTable(_)) => "a table",
            None if matches!(self, Self::Item(Item::ArrayOfTables(_))) => "an array of tables",
            None => "a table",
        }
    }

    fn child(self, step: &Step) -> Option<Self> {
        match (step, self) {
            (Step::Key(key), _) => self.table()?.get(key).map(Node::Item),
            (Step::Index(index), Self::Item(Item::ArrayOfTables(tables))) => {
                tables.get(*index).map(Node::Table)
            }
            (Step::Index(index), _) => self.value()?.as_array()?.get(*index).map(Node::Value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[sip]\nlisten = [\"a\", \"bé\", \"c\"]\n\n[[trunks]]\nname = \"one\"\n[[trunks]]\n";

    #[test]
    fn a_place_is_counted_from_one_and_in_characters() {
        assert_eq!(line_and_column("a\nbé = 1", 6), (2, 4));
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(
            line_and_column("é", 1),
            (1, 2),
            "an offset inside a character counts to the end of the text"
        );
    }

    #[test]
    fn a_path_leads_to_its_value_or_to_the_nearest_thing_around_it() {
        let tree = Tree::parse(Path::new("x.toml"), TEXT.to_owned(), &|_| None).unwrap();
        let trunks = KeyPath::root().key("trunks");

        assert_eq!(tree.place(&KeyPath::root().key("sip").key("listen").index(2)), (2, 22));
        assert_eq!(tree.place(&trunks.index(0).key("name")), (5, 8));
        assert_eq!(tree.place_of_key(&trunks.index(0).key("name")), (5, 1));
        assert_eq!(tree.place(&trunks.index(1).key("uri")), (6, 1), "an absent key is reported at its table");
        assert_eq!(tree.place(&KeyPath::root().key("http")), (1, 1));
    }
}

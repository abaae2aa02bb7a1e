//! Reads spanned TOML into the parts' own `Config` types, records every mistake with its place and goes on.
//!
//! This is a leaf: it knows no part and no key, so every part may use it to read its own section; the
//! aggregate in [`crate::config`] stands above all parts. A broken value is replaced by its default so that
//! reading can continue, which is why nothing read may be used before [`crate::config::load`] has said that
//! there was no mistake.

mod address;
mod duplicate;
mod place;
mod problem;
mod review;
mod secret;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml_edit::{TableLike, Value};

pub use address::{check_one_per_family, check_sockets, parse_advertised};
pub use place::KeyPath;
pub(in crate::config) use place::{Tree, line_and_column};
pub use problem::{Mistake, Problem, Severity};
pub use review::Review;
pub(in crate::config) use review::{Notes, Place};
pub use secret::{Secret, SecretError, SecretSource};

use place::Node;
use secret::looks_named;

/// A part of the configuration that knows how to read itself.
pub trait Section: Sized {
    /// Reads every key of this section; a missing or broken one gets its default.
    fn read(table: &mut Reader<'_>) -> Self;
}

/// One table of the file, or the absence of one; each key asked for becomes a known key.
pub struct Reader<'a> {
    review: Review<'a>,
    path: KeyPath,
    table: Option<&'a dyn TableLike>,
    /// What stands for keys that are absent from the table.
    preset: Option<&'a dyn TableLike>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// The root table of `tree`.
    pub(in crate::config) fn root(tree: &'a Tree<'a>, notes: &'a mut Notes) -> Self {
        let path = KeyPath::root();
        let table = tree.node(&path).and_then(Node::table);
        Self { review: Review::new(tree, notes), path, table, preset: None, known: Vec::new() }
    }

    /// Reports the keys that nobody asked for.
    pub(in crate::config) fn finish(self) {
        let Self { mut review, path, table, known, .. } = self;
        for (key, _) in table.into_iter().flat_map(TableLike::iter) {
            if !known.contains(&key) {
                review.unknown(path.key(key), &known);
            }
        }
        review.know(&path, known);
    }

    /// The path of `key` in this table, to report about it.
    #[must_use]
    pub fn at(&self, key: &str) -> KeyPath {
        self.path.key(key)
    }

    /// The path of this table itself.
    #[must_use]
    pub fn here(&self) -> &KeyPath {
        &self.path
    }

    /// Lays the preset that `key` names under this table: keys that are absent here are read from there.
    pub fn preset(&mut self, key: &'static str) -> Option<String> {
        let tree = self.review.tree();
        let name = self.parsed(key, |text| {
            if tree.preset(text).is_some() {
                return Ok(text.to_owned());
            }
            let instead = match nearest(text, tree.preset_names()) {
                Some(meant) => format!("write \"{meant}\""),
                None => format!("write {}, or take the key out", any_quoted(tree.preset_names())),
            };
            Err(Mistake::new(format!("there is no preset for {key} \"{text}\""), instead))
        })?;
        self.preset = tree.preset(&name);
        Some(name)
    }

    /// Records a mistake at a place of the caller's choice.
    pub fn mistake(&mut self, at: &KeyPath, mistake: Mistake) {
        self.review.mistake(at, mistake);
    }

    /// Records a mistake when `key` is absent.
    pub fn require(&mut self, key: &'static str, instead: impl fmt::Display) {
        if self.node(key).is_none() {
            let mistake = Mistake::new(format!("`{key}` is missing"), instead);
            self.review.mistake(&self.path.clone(), mistake);
            self.review.mark_broken(self.path.key(key));
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(node) = self.node(key) else { return default };
        match node.value().and_then(Value::as_bool) {
            Some(flag) => flag,
            None => self.wrong_type(key, node, "true or false").unwrap_or(default),
        }
    }

    /// A whole number within `range`.
    pub fn whole<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + fmt::Display + TryFrom<i64>,
    {
        let Some(node) = self.node(key) else { return default };
        let Some(found) = node.value().and_then(Value::as_integer) else {
            return self
                .wrong_type(key, node, &format!("a whole number, such as {default}"))
                .unwrap_or(default);
        };
        if let Some(number) = T::try_from(found).ok().filter(|number| range.contains(number)) {
            return number;
        }
        let (first, last) = (range.start(), range.end());
        let mistake =
            Mistake::new(format!("`{key}` is {found}"), format!("write a number from {first} to {last}"));
        self.review.mistake(&self.at(key), mistake);
        default
    }

    /// Seconds, up to a day; 0 switches the timer off.
    pub fn seconds(&mut self, key: &'static str, default: u32) -> u32 {
        self.whole(key, default, 0..=SECONDS_PER_DAY)
    }

    /// First and last port of a range, inclusive; what the range must be like is the caller's business.
    pub fn port_range(&mut self, key: &'static str, default: [u16; 2]) -> [u16; 2] {
        let Some(node) = self.node(key) else { return default };
        let shape = format!("the first and the last port, such as {default:?}");
        let Some(array) = node.value().and_then(Value::as_array) else {
            return self.wrong_type(key, node, &shape).unwrap_or(default);
        };
        let ports: Vec<_> =
            array.iter().map(|port| port.as_integer().and_then(|port| u16::try_from(port).ok())).collect();
        match *ports {
            [Some(first), Some(last)] => [first, last],
            [_, _] => {
                let what = format!("`{key}` holds something that is no port (a whole number below 65536)");
                self.review.mistake(&self.at(key), Mistake::new(what, format!("write {shape}")));
                default
            }
            _ => {
                let what = format!("`{key}` has not two elements but {}", ports.len());
                self.review.mistake(&self.at(key), Mistake::new(what, format!("write {shape}")));
                default
            }
        }
    }

    /// One of the words in `choices`.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        self.parsed(key, |text| choose(key, text, choices)).unwrap_or(default)
    }

    /// Any text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.parsed(key, |text| Ok(text.to_owned()))
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let node = self.node(key)?;
        self.parse_node(&self.at(key), node, "a string, in quotes", parse)
    }

    /// A list of texts, each understood by `parse`; `None` when the key is absent.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Vec<T>> {
        let node = self.node(key)?;
        self.parse_list(key, node, parse)
    }

    /// A text or a list of texts, each understood by `parse`.
    pub fn one_or_list<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Vec<T>> {
        let node = self.node(key)?;
        if node.value().is_some_and(Value::is_array) {
            return self.parse_list(key, node, parse);
        }
        self.parse_node(&self.at(key), node, "a string, or an array of strings", &mut parse)
            .map(|one| vec![one])
    }

    /// A table whose keys are the user's own, its values understood by `parse`; in file order.
    pub fn pairs<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str, &str) -> Result<T, Mistake>,
    ) -> Vec<(String, T)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Some(table) = node.table() else {
            self.wrong_type::<()>(key, node, "a table, such as { name = \"value\" }");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, item) in table.iter() {
            let path = self.at(key).key(name);
            let value =
                self.parse_node(&path, Node::Item(item), "a string, in quotes", |text| parse(name, text));
            pairs.extend(value.map(|value| (name.to_owned(), value)));
        }
        pairs
    }

    /// A literal, `env:NAME` or `file:path`.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let path = self.at(key);
        self.review.is_secret(&path);
        let node = self.node(key)?;
        let Some(text) = node.value().and_then(Value::as_str) else {
            return self.wrong_type(key, node, "a string: the value itself, \"env:NAME\" or \"file:path\"");
        };
        let secret = Secret::parse(key, text, self.review.tree());
        let secret = secret.map_err(|mistake| self.review.mistake(&path, mistake)).ok()?;
        if matches!(secret.source, SecretSource::Literal(_)) && looks_named(text) {
            let what =
                format!("`{key}` is taken as it stands, and looks like the name of a variable or file");
            self.review.warning(&path, Mistake::new(what, "write \"env:NAME\" or \"file:path\""));
        }
        Some(secret)
    }

    /// The path of a file, as written.
    pub fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        self.parsed(key, |text| match text {
            "" => Err(Mistake::new(format!("`{key}` is empty"), "name a file, or take the key out")),
            path => Ok(PathBuf::from(path)),
        })
    }

    /// The path of a file, from the folder of the configuration.
    pub fn file_beside(&mut self, key: &'static str) -> Option<PathBuf> {
        self.file(key).map(|path| self.review.tree().folder().join(path))
    }

    /// A table within this one; absent, every key of it gets its default.
    pub fn section<T: Section>(&mut self, key: &'static str) -> T {
        let node = self.node(key);
        let table = node.and_then(Node::table);
        if let (Some(node), None) = (node, table) {
            self.wrong_type::<()>(key, node, &format!("a table: [{}]", self.at(key)));
        }
        let preset = self.preset.and_then(|preset| preset.get(key)?.as_table_like());
        self.child(self.at(key), table, preset)
    }

    /// An array of tables within this one, in order.
    pub fn sections<T: Section>(&mut self, key: &'static str) -> Vec<T> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Some(tables) = node.tables() else {
            self.wrong_type::<()>(key, node, &format!("one table for each: [[{}]]", self.at(key)));
            return Vec::new();
        };
        let path = self.at(key);
        let read = |(index, table)| self.child(path.index(index), Some(table), None);
        tables.into_iter().enumerate().map(read).collect()
    }

    fn child<T: Section>(
        &mut self,
        path: KeyPath,
        table: Option<&dyn TableLike>,
        preset: Option<&dyn TableLike>,
    ) -> T {
        let mut child = Reader { review: self.review.reborrow(), path, table, preset, known: Vec::new() };
        let section = T::read(&mut child);
        child.finish();
        section
    }

    fn node(&mut self, key: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let own = self.table.and_then(|table| table.get(key));
        own.or_else(|| self.preset.and_then(|preset| preset.get(key))).map(Node::Item)
    }

    fn parse_list<T>(
        &mut self,
        key: &str,
        node: Node<'_>,
        mut parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Vec<T>> {
        let Some(array) = node.value().and_then(Value::as_array) else {
            return self.wrong_type(key, node, "an array of strings, in brackets");
        };
        let path = self.at(key);
        let read = |(index, value)| {
            self.parse_node(&path.index(index), Node::Value(value), "a string, in quotes", &mut parse)
        };
        Some(array.iter().enumerate().filter_map(read).collect())
    }

    fn parse_node<T>(
        &mut self,
        path: &KeyPath,
        node: Node<'_>,
        shape: &str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let parsed = match node.value().and_then(Value::as_str) {
            Some(text) => parse(text),
            None => Err(wrong_type(path, node, shape)),
        };
        parsed.map_err(|mistake| self.review.mistake(path, mistake)).ok()
    }

    fn wrong_type<T>(&mut self, key: &str, node: Node<'_>, shape: &str) -> Option<T> {
        let path = self.at(key);
        self.review.mistake(&path, wrong_type(&path, node, shape));
        None
    }
}

/// Names what was found, never its value: it may be a secret in the wrong place.
fn wrong_type(path: &KeyPath, node: Node<'_>, shape: &str) -> Mistake {
    Mistake::new(format!("`{}` is {}", path.last(), node.type_name()), format!("write {shape}"))
}

/// `a`, `a or b`, `a, b or c`.
#[must_use]
pub fn any_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// The same of `words` in quotes.
pub fn any_quoted<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    any_of(&words.into_iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>())
}

/// The meaning of `text`, which stands at `key`, among `choices`.
///
/// # Errors
///
/// It is none of the words.
pub fn choose<T: Copy>(key: &str, text: &str, choices: &[(&str, T)]) -> Result<T, Mistake> {
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let words = any_quoted(choices.iter().map(|(word, _)| *word));
        Mistake::new(format!("`{key}` is \"{text}\""), format!("write {words}"))
    })
}

/// The candidate that was probably meant by `word`: the nearest, if it is near.
///
/// Near is what begins with `word`, or differs from it in a third of its letters at most.
#[must_use]
pub fn nearest<'w>(word: &str, candidates: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    let far = |candidate: &&str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let nearest =
        candidates.into_iter().min_by_key(|candidate| (!begins(candidate, &word), far(candidate)))?;
    let longer = word.chars().count().max(nearest.chars().count());
    (begins(nearest, &word) || far(&nearest) * 3 <= longer).then_some(nearest)
}

/// Whether `candidate` is a longer form of `word`; of two letters nothing is.
fn begins(candidate: &str, word: &str) -> bool {
    word.len() > 2 && candidate.to_lowercase().starts_with(word)
}

const SECONDS_PER_DAY: u32 = 86_400;

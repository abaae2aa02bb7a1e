//! Where reading and checking note what they found: problems, broken places, overrides and known keys.
//!
//! A check across fields must stay silent about a value that was already reported as broken, and must point
//! at the environment variable when that is where the value came from; both are asked by path.

use std::collections::BTreeSet;

use super::nearest;
use super::place::{KeyPath, Tree};
use super::problem::{Mistake, Problem, Severity};

/// A file, line and column; the latter 0 where there is no line.
pub(in crate::config) type Place = (String, (usize, usize));

/// The notes taken so far.
#[derive(Default)]
pub(in crate::config) struct Notes {
    problems: Vec<Problem>,
    broken: Vec<KeyPath>,
    overridden: Vec<(KeyPath, Place)>,
    unknown: Vec<(KeyPath, Vec<&'static str>)>,
    known: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Notes {
    /// Everything found, by place; the environment's first.
    pub(in crate::config) fn into_problems(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| (problem.line, problem.column, problem.severity);
        self.problems.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.file.cmp(&b.file)));
        self.problems.dedup();
        self.problems
    }

    /// Every key that was asked for, without indices: `headers.rules.set`.
    pub(in crate::config) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Those of them that hold a secret.
    pub(in crate::config) fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }

    /// Adds a problem whose place is already known.
    pub(in crate::config) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// From here on the value at `path` is the one that the variable at `place` gave.
    pub(in crate::config) fn overridden(&mut self, path: KeyPath, place: Place) {
        self.broken.retain(|broken| !broken.is_within(&path));
        self.overridden.push((path, place));
    }
}

/// A view of the file for checks between fields: what stands where, and what to say about it.
pub struct Review<'a> {
    tree: &'a Tree<'a>,
    notes: &'a mut Notes,
}

impl<'a> Review<'a> {
    pub(in crate::config) fn new(tree: &'a Tree<'a>, notes: &'a mut Notes) -> Self {
        Self { tree, notes }
    }

    /// Whether the file or the environment gives a value for `path`.
    #[must_use]
    pub fn is_set(&self, path: &KeyPath) -> bool {
        self.tree.node(path).is_some() || self.variable_of(path).is_some()
    }

    /// File and line of `path`, or the variable that gave its value.
    pub(in crate::config) fn place_of(&self, path: &KeyPath) -> String {
        match self.place(path) {
            (file, (0, _)) => file,
            (file, (line, _)) => format!("{file}:{line}"),
        }
    }

    /// Every key that was asked for.
    pub(in crate::config) fn known(&self) -> Vec<String> {
        self.notes.known().iter().cloned().collect()
    }

    /// Whether the value at `path`, or a part of it, was already reported as a mistake.
    #[must_use]
    pub fn is_broken(&self, path: &KeyPath) -> bool {
        self.notes.broken.iter().any(|broken| broken.is_within(path))
    }

    /// The path of element `index` of the list at `path`; the path of the list itself when an element of it
    /// is broken, because then the indices are no longer those of the file.
    #[must_use]
    pub fn element(&self, path: &KeyPath, index: usize) -> KeyPath {
        if self.is_broken(path) { path.clone() } else { path.index(index) }
    }

    /// Records a mistake at `path`.
    pub fn mistake(&mut self, path: &KeyPath, mistake: Mistake) {
        self.note(path, Severity::Mistake, mistake);
        self.mark_broken(path.clone());
    }

    /// Records a warning at `path`.
    pub fn warning(&mut self, path: &KeyPath, warning: Mistake) {
        self.note(path, Severity::Warning, warning);
    }

    /// Records at `path` what keeps `serve` from starting on this machine.
    pub(in crate::config) fn obstacle(&mut self, path: &KeyPath, obstacle: Mistake) {
        self.note(path, Severity::Obstacle, obstacle);
    }

    /// Records a mistake about the key itself, not its value.
    pub(super) fn mistake_at_key(&mut self, path: &KeyPath, mistake: Mistake) {
        let place = self.tree.place_of_key(path);
        self.notes.problems.push(Problem::at(self.tree.file().to_owned(), place, mistake));
    }

    pub(super) fn mark_broken(&mut self, path: KeyPath) {
        self.notes.broken.push(path);
    }

    pub(super) fn tree(&self) -> &'a Tree<'a> {
        self.tree
    }

    pub(super) fn reborrow(&mut self) -> Review<'_> {
        Review { tree: self.tree, notes: self.notes }
    }

    /// Notes that nobody asked for the key at `path`; reported when all known keys have been seen.
    pub(super) fn unknown(&mut self, path: KeyPath, known_beside_it: &[&'static str]) {
        self.notes.unknown.push((path, known_beside_it.to_vec()));
    }

    pub(super) fn know(&mut self, table: &KeyPath, keys: Vec<&'static str>) {
        self.notes.known.extend(keys.into_iter().map(|key| table.key(key).to_string()));
    }

    pub(super) fn is_secret(&mut self, key: &KeyPath) {
        self.notes.secrets.insert(key.to_string());
    }

    /// Whether the preset called `name` gives a value for `key`.
    pub(in crate::config) fn preset_holds(&self, name: &str, key: &str) -> bool {
        self.tree.preset(name).is_some_and(|preset| preset.contains_key(key))
    }

    /// Reports the keys that nobody asked for, each with what was probably meant.
    pub(in crate::config) fn report_unknown_keys(&mut self) {
        for (path, beside) in std::mem::take(&mut self.notes.unknown) {
            let key = path.last();
            let mistake = Mistake::new(format!("unknown key `{key}`"), self.advice(key, &beside));
            self.mistake_at_key(&path, mistake);
        }
    }

    fn advice(&self, key: &str, beside: &[&'static str]) -> String {
        if let Some(nearest) = nearest(key, beside.iter().copied()) {
            return format!("write `{nearest}`");
        }
        let home =
            self.notes.known.iter().filter_map(|path| path.rsplit_once('.')).find(|(_, last)| *last == key);
        if let Some((table, _)) = home {
            return format!("move it to `{table}`, or take it out");
        }
        let known: Vec<_> = beside.iter().map(|known| format!("`{known}`")).collect();
        match known.as_slice() {
            [] => "take it out".to_owned(),
            known => format!("take it out (known here: {})", known.join(", ")),
        }
    }

    fn note(&mut self, path: &KeyPath, severity: Severity, Mistake { what, instead }: Mistake) {
        let (file, (line, column)) = self.place(path);
        self.notes.problems.push(Problem { severity, file, line, column, what, instead });
    }

    fn place(&self, path: &KeyPath) -> Place {
        match self.variable_of(path) {
            Some(place) => place.clone(),
            None => (self.tree.file().to_owned(), self.tree.place(path)),
        }
    }

    fn variable_of(&self, path: &KeyPath) -> Option<&Place> {
        let overridden = self.notes.overridden.iter().find(|(overridden, _)| path.is_within(overridden));
        overridden.map(|(_, place)| place)
    }
}

//! The README names files, tests and flows; each of them must exist.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 4] = ["src/", "tests/", "benches/", "sipp-scenarios/"];

#[test]
fn every_file_that_the_readme_names_exists() {
    let readme = readme();
    let linked = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let linked = linked.filter(|target| !target.contains("://"));
    let quoted = quoted(&readme).filter(|name| ROOMS.iter().any(|room| name.starts_with(room)));

    let missing: Vec<_> = linked
        .chain(quoted.filter_map(|name| name.split(' ').next()))
        .filter(|name| !root().join(name).exists())
        .collect();

    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = readme();
    let mut sources = String::new();
    for room in ["src", "tests"] {
        read_all(&root().join(room), &mut sources);
    }
    let is_sentence = |name: &&str| {
        name.matches('_').count() >= 3
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };

    let (there, missing): (Vec<_>, Vec<_>) =
        quoted(&readme).filter(is_sentence).partition(|name| sources.contains(&format!("fn {name}(")));

    assert!(missing.is_empty(), "{missing:?}");
    assert!(there.len() > 20, "the README names tests: {there:?}");
}

#[test]
fn every_flow_that_the_readme_names_exists() {
    let readme = readme();
    let mut flows = Vec::new();
    for after in ["flow `", "flows `"].iter().flat_map(|word| readme.split(word).skip(1)) {
        let list = after.split('|').next().unwrap_or(after);
        flows.extend(format!("`{list}").split('`').skip(1).step_by(2).map(str::to_owned));
    }

    let missing: Vec<_> =
        flows.iter().filter(|flow| !root().join("sipp-scenarios").join(flow).is_dir()).collect();

    assert!(missing.is_empty(), "{missing:?}");
    assert!(flows.len() > 5, "the README names flows: {flows:?}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// What stands between backquotes, outside code blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

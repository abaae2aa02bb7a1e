//! The layer map of the crate documentation, enforced on the sources: who may see whom, what is pure, which crate lives where.
//!
//! Unit-test modules are left out: a test of a pure room may read a clock, and re-reads with rsip what `sip` wrote. What stands
//! inside a macro call is searched as well, word by word, since syn sees only tokens there.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Who sees whom: a room, then every other room it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "sim",
            "server",
            "config",
            "clock",
            "api",
            "transport",
            "media",
            "store",
            "call",
            "routing",
            "sip",
            "sdp",
            "rtp",
            "id",
        ],
    ),
    (
        "server",
        &[
            "config",
            "clock",
            "api",
            "transport",
            "media",
            "store",
            "call",
            "routing",
            "sip",
            "sdp",
            "rtp",
            "id",
        ],
    ),
    ("config", &["server", "api", "transport", "media", "store", "call", "routing", "sip", "id"]),
    ("clock", &[]),
    ("api", PURE),
    ("transport", PURE),
    ("media", PURE),
    ("store", PURE),
    ("call", &["routing", "sip", "sdp", "rtp", "id"]),
    ("routing", &["sip", "sdp", "rtp", "id"]),
    ("sip", &["id"]),
    ("sdp", &["id"]),
    ("rtp", &["id"]),
    ("id", &[]),
    ("sim", &["clock"]),
];

/// No I/O, no clock, no async, no shared or global state.
const PURE: &[&str] = &["call", "routing", "sip", "sdp", "rtp", "id"];

/// What a pure room may not name, as the end of a path or the beginning of one.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "Mutex",
    "RwLock",
    "Condvar",
    "std::sync::atomic",
    "std::sync::mpsc",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "thread_local",
    "tokio",
    "socket2",
    "libc",
    "dashmap",
    "arc_swap",
    "getrandom",
    "metrics",
];

/// Where a crate is at home: a room, or a module of one. What is not listed may be used everywhere.
const HOMES: &[(&str, &[&str])] = &[
    ("arc_swap", &["server"]),
    ("axum", &["api"]),
    ("clap", &["cli", "main"]),
    ("dashmap", &["api", "server"]),
    ("dotenvy", &["config"]),
    ("getrandom", &["clock"]),
    ("hmac", &["sip::auth"]),
    ("hyper", &["api"]),
    ("hyper_util", &["api"]),
    ("indicatif", &["cli"]),
    ("ipnet", &["routing", "config"]),
    ("libc", &["media::socket"]),
    ("md5", &["sip::auth"]),
    ("metrics", &["server", "store"]),
    ("metrics_exporter_prometheus", &["server"]),
    ("rand", &["id", "sim"]),
    ("rlibphonenumber", &["routing"]),
    ("rsip", &["sip::interop", "sim"]),
    ("rtp_rs", &["rtp", "media", "sim"]),
    ("sdp_rs", &["sdp::build"]),
    ("sdp_types", &["sim"]),
    ("serde_json", &["api", "store", "cli"]),
    ("sha2", &["sip::auth"]),
    ("socket2", &["transport", "media"]),
    ("subtle", &["sip::auth", "api"]),
    ("time", &["call"]),
    ("tokio", &["transport", "api", "server", "cli", "sim"]),
    ("toml_edit", &["config"]),
    ("tracing_subscriber", &["server"]),
];

/// Crates that every room may use.
const EVERYWHERE: &[&str] = &["bytes", "serde", "thiserror", "tracing"];

/// The one module with `unsafe` in it.
const UNSAFE_HOME: &str = "media::socket";

/// The part of `config` at the bottom of the map: what a room's own `config.rs` reads itself with.
const READER: &str = "config::reader";

/// What others may name of [`READER`]: a secret is handed on unread until it is needed.
const SECRETS: &[&str] = &["Secret", "SecretSource", "SecretError"];

#[test]
fn the_sources_keep_to_the_layer_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 20, "only {} files found: looking in the wrong place?", files.len());

    let mut broken = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        broken.extend(violations(&name, &fs::read_to_string(file).unwrap()));
    }

    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_file_begins_with_its_head() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches"].map(|folder| root.join(folder));

    let headless: Vec<PathBuf> = folders
        .iter()
        .filter(|folder| folder.exists())
        .flat_map(|folder| rust_files(folder))
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();

    assert!(headless.is_empty(), "no `//! …` in the first line of {headless:?}");
}

#[test]
fn every_dependency_has_a_home() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let declared: BTreeSet<String> =
        manifest["dependencies"].as_table().unwrap().iter().map(|(name, _)| library(name)).collect();

    let housed: BTreeSet<String> =
        HOMES.iter().map(|&(name, _)| name).chain(EVERYWHERE.iter().copied()).map(str::to_owned).collect();

    assert_eq!(declared, housed, "Cargo.toml on the left, HOMES and EVERYWHERE on the right");
}

#[test]
fn an_arrow_that_points_up_is_found_however_it_is_written() {
    for source in [
        "use crate::server::Bridge;",
        "use crate::{id::CallId, server};",
        "pub use crate::server as upstairs;",
        "fn f() { crate::server::start(); }",
        "fn f(_: crate::server::Bridge) {}",
        "fn f() { println!(\"{}\", crate::server::NAME); }",
        "use super::super::server::Bridge;",
        "mod inner { use super::super::super::server; }",
        "#[derive(Debug)] struct S { bridge: Option<Box<crate::server::Bridge>> }",
    ] {
        assert_eq!(found("call/leg.rs", source), ["call may not see server"], "{source}");
    }
    assert_eq!(found("sip/uri.rs", "use crate::sdp::Session;"), ["sip may not see sdp"]);
    assert_eq!(found("api/routes.rs", "use crate::media::Engine;"), ["api may not see media"]);
    assert_eq!(found("media/mod.rs", "use crate::clock;"), ["media may not see clock"]);
    assert_eq!(found("sim/carrier.rs", "use crate::sip::message::Message;"), ["sim may not see sip"]);
    assert_eq!(found("server/mod.rs", "use crate::sim::Carrier;"), ["server may not see sim"]);
    assert_eq!(found("main.rs", "fn main() { trunkline::server::run() }"), ["main may not see server"]);
}

#[test]
fn going_around_the_map_by_the_crate_root_is_found() {
    assert_eq!(found("sip/uri.rs", "use crate::*;"), ["sip names the crate root; name a room"]);
    assert_eq!(found("sip/uri.rs", "use crate as all;"), ["sip names the crate root; name a room"]);
    assert_eq!(
        found("sip/uri.rs", "use crate::Engine;"),
        ["sip sees Engine at the crate root, which is no room"]
    );
}

#[test]
fn arrows_that_point_down_or_stay_inside_a_room_are_fine() {
    for (file, source) in [
        ("call/leg.rs", "use crate::sip::dialog::Dialog; use super::record::Record; use self::inner::X;"),
        ("server/mod.rs", "use crate::{api, call::record::View}; mod effects; use effects::Effects;"),
        ("media/config.rs", "use crate::config::reader::{Reader, Section};"),
        ("routing/mod.rs", "fn f(_: &crate::config::reader::Secret) {}"),
        ("cli/demo.rs", "use crate::sim::Carrier;"),
        ("main.rs", "use trunkline::cli;"),
        (
            "call/leg.rs",
            "#[cfg(test)] mod tests { use crate::server; use std::time::Instant; fn f() { Instant::now(); } }",
        ),
    ] {
        assert_eq!(found(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

#[test]
fn the_configuration_reader_is_for_config_files_and_only_secrets_go_further() {
    let problem = ["routing may not see config"];
    assert_eq!(found("routing/mod.rs", "use crate::config::Config;"), problem);
    assert_eq!(found("routing/config.rs", "use crate::config::Config;"), problem);
    assert_eq!(found("routing/mod.rs", "use crate::config::reader::Reader;"), problem);
    assert_eq!(
        found("config/reader.rs", "use crate::routing::config::Config;"),
        ["config::reader may not see routing"]
    );
}

#[test]
fn a_pure_room_that_waits_locks_or_reads_a_clock_is_found() {
    for (source, named) in [
        ("fn f() { let t = std::time::Instant::now(); }", "Instant::now"),
        ("use std::time::Instant; fn f() { let t = Instant::now(); }", "Instant::now"),
        ("fn f() { dbg!(Instant::now()); }", "Instant::now"),
        ("fn f() { let now = Instant::now; }", "Instant::now"),
        ("use std::time::SystemTime;", "SystemTime"),
        ("use std::sync::{Arc, Mutex};", "Mutex"),
        ("use std::sync::atomic::AtomicU64;", "std::sync::atomic"),
        ("use std::net::{IpAddr, UdpSocket};", "UdpSocket"),
        ("fn f() { std::env::var(\"X\"); }", "std::env"),
        ("use std::fs::File;", "std::fs"),
        ("thread_local! { static X: u8 = 0; }", "thread_local"),
    ] {
        assert_eq!(found("call/leg.rs", source), [format!("call is pure and names {named}")], "{source}");
    }
    for source in [
        "async fn f() {}",
        "fn f() { let g = async {}; }",
        "trait T { async fn f(); }",
        "fn f() { let g = async || {}; }",
    ] {
        assert_eq!(found("sip/uri.rs", source), ["sip is pure and has async code"], "{source}");
    }
    assert_eq!(found("sip/uri.rs", "static mut SEEN: u8 = 0;"), ["sip is pure and has a static mut"]);
}

#[test]
fn time_as_an_argument_and_addresses_as_values_are_pure() {
    let source =
        "use std::time::{Duration, Instant}; use std::net::SocketAddr; fn f(now: Instant, _: SocketAddr) {}";

    assert_eq!(found("call/leg.rs", source), Vec::<String>::new());
}

#[test]
fn a_crate_outside_its_home_is_found() {
    for (file, source, problem) in [
        (
            "sip/message.rs",
            "use rsip::Request;",
            "rsip is used in sip::message; its home is sip::interop, sim",
        ),
        (
            "call/leg.rs",
            "fn f(_: rtp_rs::Seq) {}",
            "rtp_rs is used in call::leg; its home is rtp, media, sim",
        ),
        (
            "sdp/session.rs",
            "pub use sdp_rs as parser;",
            "sdp_rs is used in sdp::session; its home is sdp::build",
        ),
        ("server/mod.rs", "fn f() { axum::Router::new(); }", "axum is used in server; its home is api"),
        ("server/mod.rs", "use ::toml_edit::Item;", "toml_edit is used in server; its home is config"),
        (
            "media/worker.rs",
            "fn f() { libc::close(0); }",
            "libc is used in media::worker; its home is media::socket",
        ),
    ] {
        assert_eq!(found(file, source), [problem], "{source}");
    }
    assert_eq!(found("sip/interop.rs", "use rsip::Request;"), Vec::<String>::new());
    assert_eq!(found("media/socket/batch.rs", "use libc::mmsghdr;"), Vec::<String>::new());
    assert_eq!(found("routing/mod.rs", "mod time; use crate::routing::time::X;"), Vec::<String>::new());
}

#[test]
fn unsafe_outside_its_home_is_found() {
    for source in
        ["fn f() { unsafe { g() } }", "unsafe fn f() {}", "unsafe impl Send for X {}", "unsafe trait T {}"]
    {
        assert_eq!(
            found("media/worker.rs", source),
            ["media::worker has unsafe code; its home is media::socket"],
            "{source}"
        );
        assert_eq!(found("media/socket.rs", source), Vec::<String>::new(), "{source}");
    }
}

/// The rules that `source`, standing in src/`file`, breaks, without their places and each once.
fn found(file: &str, source: &str) -> Vec<String> {
    let mut problems: Vec<String> =
        violations(file, source).iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect();
    problems.dedup();
    problems
}

/// One line for each rule broken: `src/call/leg.rs:7: call may not see server`.
fn violations(file: &str, source: &str) -> Vec<String> {
    let parsed = syn::parse_file(source).unwrap_or_else(|error| panic!("src/{file}: {error}"));
    let module = module_of(file);
    if module.last().is_some_and(|name| name == "tests") {
        return Vec::new();
    }
    let mut reader = SourceReader { file, room: module[0].clone(), module, broken: Vec::new() };
    reader.visit_file(&parsed);
    reader.broken
}

/// `sip/transaction/mod.rs` is `[sip, transaction]`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

struct SourceReader<'a> {
    file: &'a str,
    room: String,
    /// The module that is being read; grows in inline modules.
    module: Vec<String>,
    broken: Vec<String>,
}

impl SourceReader<'_> {
    /// Judges one path as written.
    fn path(&mut self, segments: &[String], at: Span) {
        let Some(path) = self.absolute(segments) else { return };
        match path.first().map(String::as_str) {
            Some("crate") => self.inner(&path[1..], at),
            Some(_) => self.outer(&path, at),
            None => {}
        }
        if PURE.contains(&self.room.as_str()) {
            self.purity(&path, at);
        }
    }

    /// Resolves `self` and `super`; `None` when the path leads nowhere.
    fn absolute(&self, segments: &[String]) -> Option<Vec<String>> {
        let ups = segments.iter().take_while(|&name| name == "super").count();
        let relative = ups > 0 || segments.first().is_some_and(|name| name == "self");
        if segments.first().is_some_and(|name| name == "trunkline") {
            return Some([&["crate".to_owned()], &segments[1..]].concat());
        }
        if !relative {
            return Some(segments.to_vec());
        }
        let base = &self.module[..self.module.len().checked_sub(ups)?];
        let rest = &segments[ups.max(1)..];
        Some([&["crate".to_owned()], base, rest].concat())
    }

    fn inner(&mut self, path: &[String], at: Span) {
        let from = self.here();
        let from_reader = from.starts_with(READER);
        let Some(to) = path.first().filter(|&name| name != "*") else {
            return self.broke(at, format!("{} names the crate root; name a room", self.room));
        };
        if *to == self.room && !from_reader {
            return;
        }
        let Some(&(_, seen)) = ARROWS.iter().find(|(room, _)| *room == self.room) else {
            return self.broke(at, format!("{} is no room of the map; add it to ARROWS", self.room));
        };
        if !ARROWS.iter().any(|(room, _)| room == to) {
            return self.broke(at, format!("{} sees {to} at the crate root, which is no room", self.room));
        }
        let permitted = if from_reader {
            *to == "config"
        } else {
            seen.contains(&to.as_str()) || self.may_read_config(path)
        };
        if !permitted {
            let from = if from_reader { READER } else { &self.room };
            self.broke(at, format!("{from} may not see {to}"));
        }
    }

    fn may_read_config(&self, path: &[String]) -> bool {
        let is_config_file = self.module.get(1).is_some_and(|name| name == "config");
        let is_secret = path.get(2).is_some_and(|name| SECRETS.contains(&name.as_str()));
        path.len() >= 2 && path[..2].join("::") == READER && (is_config_file || is_secret)
    }

    fn outer(&mut self, path: &[String], at: Span) {
        let Some(&(name, homes)) = HOMES.iter().find(|(name, _)| *name == path[0]) else { return };
        let here = self.here();
        if !homes.iter().any(|home| lies_in(&here, home)) {
            self.broke(at, format!("{name} is used in {here}; its home is {}", homes.join(", ")));
        }
    }

    fn purity(&mut self, path: &[String], at: Span) {
        let written = format!("::{}::", path.join("::"));
        let impure = IMPURE.iter().find(|&&name| {
            let whole = format!("::{name}::");
            if name.starts_with(char::is_uppercase) {
                written.contains(&whole)
            } else {
                written.starts_with(&whole)
            }
        });
        if let Some(name) = impure {
            self.broke(at, format!("{} is pure and names {name}", self.room));
        }
    }

    fn asynchronous(&mut self, at: Option<Span>) {
        if let (Some(at), true) = (at, PURE.contains(&self.room.as_str())) {
            self.broke(at, format!("{} is pure and has async code", self.room));
        }
    }

    fn unsafety(&mut self, at: Option<Span>) {
        let here = self.here();
        if let (Some(at), false) = (at, lies_in(&here, UNSAFE_HOME)) {
            self.broke(at, format!("{here} has unsafe code; its home is {UNSAFE_HOME}"));
        }
    }

    /// The paths in a macro's tokens: names joined by `::`, each token read once.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut joined = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if !joined {
                        self.token_path(&mut path, start);
                        start = name.span();
                    }
                    path.push(name.to_string());
                    joined = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => joined = true,
                TokenTree::Group(group) => {
                    self.token_path(&mut path, start);
                    joined = false;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.token_path(&mut path, start);
                    joined = false;
                }
            }
        }
        self.token_path(&mut path, start);
    }

    /// A single name is a variable or a field far more often than a crate.
    fn token_path(&mut self, path: &mut Vec<String>, at: Span) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.path(&path, at);
        }
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, prefix)),
            UseTree::Name(name) if name.ident == "self" => self.path(prefix, name.ident.span()),
            UseTree::Name(name) => self.path(&with(name.ident.to_string()), name.ident.span()),
            UseTree::Rename(name) => self.path(&with(name.ident.to_string()), name.ident.span()),
            UseTree::Glob(glob) => self.path(&with("*".to_owned()), glob.star_token.spans[0]),
        }
    }

    /// The module being read, without inline modules.
    fn here(&self) -> String {
        module_of(self.file).join("::")
    }

    fn broke(&mut self, at: Span, rule: String) {
        self.broken.push(format!("src/{}:{}: {rule}", self.file, at.start().line));
    }
}

impl<'ast> Visit<'ast> for SourceReader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let ([_, _, ..], Some(first)) = (segments.as_slice(), path.segments.first()) {
            self.path(&segments, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.get_ident() {
            self.path(&[name.to_string()], name.span());
        }
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous(signature.asyncness.map(|word| word.span));
        self.unsafety(signature.unsafety.map(|word| word.span));
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.asynchronous(Some(block.async_token.span));
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.asynchronous(closure.asyncness.map(|word| word.span));
        visit::visit_expr_closure(self, closure);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafety(Some(block.unsafe_token.span));
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.unsafety(item.unsafety.map(|word| word.span));
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.unsafety(item.unsafety.map(|word| word.span));
        visit::visit_item_trait(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if let (syn::StaticMutability::Mut(word), true) =
            (&item.mutability, PURE.contains(&self.room.as_str()))
        {
            self.broke(word.span, format!("{} is pure and has a static mut", self.room));
        }
        visit::visit_item_static(self, item);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, alone: what is compiled into the product as well is judged.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|what| what.is_ident("test"))
}

fn lies_in(module: &str, home: &str) -> bool {
    module.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The name a package's library has in the sources.
fn library(package: &str) -> String {
    match package {
        "md-5" => "md5".to_owned(),
        other => other.replace('-', "_"),
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

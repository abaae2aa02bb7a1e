//! The layer map of the crate documentation, enforced on the sources: who may see whom, what is pure,
//! which crate lives where.
//!
//! Unit-test modules are left out: a test of a pure room may read a clock, and re-reads with
//! rsip what `sip` wrote. What stands inside a macro call is searched as well, word by word,
//! since syn sees only tokens there.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/sources.rs"]
mod sources;

use sources::{for_tests_alone, violations};

/// Who sees whom: a room, then every other room it may name.
const ARROWS: &[(&str, &str)] = &[
    ("main", "cli"),
    ("lib", ""),
    ("cli", "sim server config clock net api transport media store call routing sip sdp rtp id"),
    ("server", "config clock net api transport media store call routing sip sdp rtp id"),
    ("config", "net server api transport media store call routing sip id"),
    ("api", "net call routing sip sdp rtp id"),
    ("transport", "net call routing sip sdp rtp id"),
    ("media", "clock net call routing sip sdp rtp id"),
    ("store", "call routing sip sdp rtp id"),
    ("call", "routing sip sdp rtp id"),
    ("routing", "sip sdp rtp id"),
    ("sip", "id"),
    ("sdp", "id"),
    ("rtp", "id"),
    ("id", ""),
    ("clock", ""),
    ("net", ""),
    ("sim", "clock"),
];

/// The rooms without I/O, clock, async, shared or global state.
const PURE: &str = "call routing sip sdp rtp id";

/// What a pure room may not name: a type wherever it stands in a path, a crate or module
/// at the beginning of one.
const IMPURE: &str = "Instant::now SystemTime UdpSocket TcpStream TcpListener ToSocketAddrs Mutex RwLock \
                      Condvar \
    std::sync::atomic std::sync::mpsc std::fs std::env std::thread std::process thread_local \
    tokio socket2 nix libc dashmap arc_swap getrandom metrics";

/// Where a crate is at home: rooms, or modules of one.
const HOMES: &[(&str, &str)] = &[
    ("aes", "rtp::srtp"),
    ("arc_swap", "server"),
    ("axum", "api"),
    ("base64", "sdp::crypto"),
    ("clap", "cli main"),
    ("dashmap", "api server"),
    ("dotenvy", "config"),
    ("getrandom", "clock"),
    ("hickory_resolver", "transport::resolve"),
    ("hmac", "sip::auth rtp::srtp"),
    ("hyper", "api"),
    ("hyper_util", "api"),
    ("indicatif", "cli"),
    ("ipnet", "routing config"),
    ("libc", "media::socket transport::udp"),
    ("md5", "sip::auth"),
    ("memchr", "sip server"),
    ("metrics", "server store transport"),
    ("metrics_exporter_prometheus", "server"),
    ("nix", "transport sim config::machine"),
    ("rand", "id media sim transport::resolve"),
    ("rlibphonenumber", "routing"),
    ("rsip", "sip::interop sim"),
    ("rtp_rs", "rtp media sim"),
    ("rustls_native_certs", "transport::tls"),
    ("sdp_rs", "sdp::build"),
    ("sdp_types", "sim"),
    ("serde_json", "api store cli"),
    ("sha1", "rtp::srtp"),
    ("sha2", "sip::auth"),
    ("smallvec", "sip"),
    ("socket2", "transport media"),
    ("strsim", "config"),
    ("subtle", "sip::auth api"),
    ("time", "call"),
    ("tokio", "transport api server cli sim"),
    ("tokio_rustls", "transport"),
    ("toml_edit", "config"),
    ("tracing_subscriber", "server"),
    ("x509_parser", "transport::tls"),
    ("zeroize", "id rtp::srtp sdp::crypto"),
];

/// As `rustfmt.toml` has it for code; comments and text too.
const COLUMNS: usize = 110;

/// A longer file is two ideas.
const LINES: usize = 600;

/// Crates that every room may use.
const EVERYWHERE: &str = "bytes serde thiserror tracing";

/// The one module with `unsafe` in it.
const UNSAFE_HOME: &str = "media::socket";

/// The part of `config` at the bottom of the map: what a room's own `config.rs` reads itself with.
const READER: &str = "config::reader";

/// What others may name of [`READER`]: a secret is handed on unread until it is needed.
const SECRETS: &str = "Secret SecretSource SecretError";

#[test]
fn the_sources_keep_to_the_layer_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 20, "only {} files found: looking in the wrong place?", files.len());

    let mut broken = Vec::new();
    let sources: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            (
                file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(file).unwrap(),
            )
        })
        .collect();
    let tests: BTreeSet<String> =
        sources.iter().flat_map(|(name, source)| for_tests_alone(name, source)).collect();
    for (name, source) in sources.iter().filter(|(name, _)| !tests.contains(name)) {
        broken.extend(violations(name, source));
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
fn no_line_is_wider_and_no_file_longer_than_a_reader_can_take_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "tests", "benches"].map(|folder| rust_files(&root.join(folder))).concat();
    let read = |file: &std::path::PathBuf| {
        (file.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(file).unwrap())
    };

    let too_large: Vec<_> =
        files.iter().map(read).flat_map(|(name, source)| outgrown(&name, &source)).collect();

    assert!(too_large.is_empty(), "{} of {} files:\n{}", too_large.len(), files.len(), too_large.join("\n"));
}

#[test]
fn a_wide_line_and_a_long_file_are_found() {
    let (wide, long) = ("é".repeat(COLUMNS) + "\n", "\n".repeat(LINES));
    let name = Path::new("src/call/leg.rs");

    assert_eq!(outgrown(name, &wide), Vec::<String>::new());
    assert_eq!(outgrown(name, &long), Vec::<String>::new());
    assert_eq!(outgrown(name, &format!("\n// {wide}")), ["src/call/leg.rs:2: 113 columns"]);
    assert_eq!(outgrown(name, &format!("\n{long}")), ["src/call/leg.rs: 601 lines"]);
}

#[test]
fn every_dependency_has_a_home() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let declared: BTreeSet<String> =
        manifest["dependencies"].as_table().unwrap().iter().map(|(name, _)| library(name)).collect();

    let housed: BTreeSet<String> =
        HOMES.iter().map(|&(name, _)| name).chain(EVERYWHERE.split(' ')).map(str::to_owned).collect();

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
    assert_eq!(found("store/mod.rs", "use crate::clock;"), ["store may not see clock"]);
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
            "#[cfg(test)] mod tests { use crate::server; use std::time::Instant; fn f() { Instant::now(); } \
             }",
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
            "libc is used in media::worker; its home is media::socket, transport::udp",
        ),
    ] {
        assert_eq!(found(file, source), [problem], "{source}");
    }
    assert_eq!(found("sip/interop.rs", "use rsip::Request;"), Vec::<String>::new());
    assert_eq!(found("media/socket/batch.rs", "use libc::mmsghdr;"), Vec::<String>::new());
    assert_eq!(found("routing/mod.rs", "mod time; use crate::routing::time::X;"), Vec::<String>::new());
}

#[test]
fn a_file_that_only_tests_compile_is_named_by_its_parent() {
    let source = "mod timers; #[cfg(test)] mod testing; #[cfg(test)] mod tests { use super::*; }";

    assert_eq!(for_tests_alone("sip/mod.rs", source), ["sip/testing.rs", "sip/testing/mod.rs"]);
    assert_eq!(for_tests_alone("sip/auth.rs", source), ["sip/auth/testing.rs", "sip/auth/testing/mod.rs"]);
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

/// The lines of `source` that are too wide, and `source` itself if it is too long.
fn outgrown(name: &Path, source: &str) -> Vec<String> {
    let name = name.display();
    let wide = source.lines().zip(1..).filter_map(|(line, number)| {
        let columns = line.chars().count();
        (columns > COLUMNS).then(|| format!("{name}:{number}: {columns} columns"))
    });
    let lines = source.lines().count();
    wide.chain((lines > LINES).then(|| format!("{name}: {lines} lines"))).collect()
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

//! The whole configuration: the parts' own `Config` types, read together, every mistake reported at once.
//!
//! This module stands above all parts; [`reader`] inside it is a leaf below them, which they use to read
//! themselves. The order is: read the file, lay the environment over it, fill in what depends on other
//! keys, check, ask this machine, and only then put the default peers first, because until then a peer's
//! index is its place in the file.

mod across;
mod environment;
mod expand;
mod interfaces;
mod machine;
mod places;
mod reach;
pub mod reader;
mod restart;

use std::fs;
use std::io;
use std::path::Path;

use crate::routing::config::PROVIDERS;
use environment::Environment;
pub use environment::process_environment;
pub use expand::expand;
pub use places::Places;
use reader::{KeyPath, Mistake, Notes, Problem, Reader, Review, Section, Severity, Tree, line_and_column};
pub use restart::needs_restart;

/// Everything in `config.toml`, one field for each part.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// `[sip]`.
    pub sip: crate::transport::config::Config,
    /// `[tls]`.
    pub tls: crate::transport::config::tls::Config,
    /// `[dns]`.
    pub dns: crate::transport::config::dns::Config,
    /// `[media]`.
    pub media: crate::media::Config,
    /// `[http]`.
    pub http: crate::api::config::Config,
    /// `[records]`.
    pub records: crate::store::config::Config,
    /// `[server]`.
    pub server: crate::server::config::Config,
    /// `[log]`.
    pub log: crate::server::config::LogConfig,
    /// `[[retell]]`, `[[trunks]]`, `[[interfaces]]`, `[[numbers]]`, `[extensions]` and `[headers]`.
    pub routing: crate::routing::config::Config,
}

/// What was read, and everything noteworthy about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Free of mistakes; the default peers stand first.
    pub config: Config,
    /// Displayed as `file:line:column: warning: what is wrong; what to write instead`.
    pub warnings: Vec<Problem>,
    /// Environment overrides in force, one line each, secrets masked; to be logged once.
    pub overrides: Vec<String>,
    /// Where the rules stand that routing goes by.
    pub places: Places,
}

/// Reads `file`, `.env` beside it and `environment` (pass [`process_environment`]).
///
/// # Errors
///
/// Every mistake and every warning, sorted by place; at least one is a mistake.
pub fn load(file: &Path, environment: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let mut notes = Notes::default();
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let environment = Environment::read(file, environment, &mut notes);
    let variable = |name: &str| environment.value(name).map(str::to_owned);
    let presets = PROVIDERS.iter().map(|provider| (provider.name, provider.keys));
    let tree = match Tree::parse(file, text, &variable) {
        Ok(tree) => tree.with_presets(presets),
        Err(problem) => {
            notes.push(problem);
            return Err(notes.into_problems());
        }
    };

    let mut root = Reader::root(&tree, &mut notes);
    let mut config = Config::read(&mut root);
    root.finish();
    let overrides = environment.apply(&mut config, &mut notes);
    let mut review = Review::new(&tree, &mut notes);
    review.report_unknown_keys();
    config.complete(&mut review);
    config.check(&mut review);
    machine::check(&config, file.parent().unwrap_or(Path::new("")), &mut review);
    let places = Places::read(&config, &review.known(), &review);
    config.routing.make_default(overrides.retell, overrides.trunk);

    let problems = notes.into_problems();
    if problems.iter().any(|problem| problem.severity == Severity::Mistake) {
        return Err(problems);
    }
    Ok(Loaded { config, warnings: problems, overrides: overrides.lines, places })
}

/// Every key that a configuration may have, such as `trunks.country`, in alphabetical order.
#[must_use]
pub fn known_keys() -> Vec<String> {
    asked_for().known().iter().cloned().collect()
}

/// What is noted when every key that there is has been asked for.
fn asked_for() -> Notes {
    let mut notes = Notes::default();
    let one_of_each = "[[retell]]\n[[trunks]]\n[[interfaces]]\n[[numbers]]\n[[headers.rules]]\n".to_owned();
    if let Ok(tree) = Tree::parse(Path::new("config.toml"), one_of_each, &|_| None) {
        let mut root = Reader::root(&tree, &mut notes);
        Config::read(&mut root);
        root.finish();
    }
    notes
}

impl Section for Config {
    fn read(table: &mut Reader<'_>) -> Self {
        Self {
            sip: table.section("sip"),
            tls: table.section("tls"),
            dns: table.section("dns"),
            media: table.section("media"),
            http: table.section("http"),
            records: table.section("records"),
            server: table.section("server"),
            log: table.section("log"),
            routing: Section::read(table),
        }
    }
}

impl Config {
    fn complete(&mut self, review: &mut Review<'_>) {
        if !review.is_set(&KeyPath::root().key("media").key("advertise")) {
            self.media.advertise.clone_from(&self.sip.advertise);
        }
        interfaces::complete(self, review);
        self.routing.complete(review);
    }

    fn check(&self, review: &mut Review<'_>) {
        let root = KeyPath::root();
        self.sip.check(&root.key("sip"), review);
        self.media.check(&root.key("media"), review);
        self.http.check(&root.key("http"), review);
        self.routing.check(review);
        interfaces::check(self, review);
        across::check(self, review);
        reach::check(self, review);
    }
}

fn read_text(file: &Path) -> Result<String, Problem> {
    let name = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| {
        let mistake = match error.kind() {
            io::ErrorKind::NotFound => Mistake::new(
                "there is no such file",
                "name yours with -c, or start from a copy of the config.toml that comes with trunkline",
            ),
            _ => Mistake::new(format!("it can't be read ({error})"), "name a readable file with -c"),
        };
        Problem::placeless(name.clone(), mistake)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let place = line_and_column(&String::from_utf8_lossy(error.as_bytes()), valid);
        Problem::at(name, place, Mistake::new("this is not UTF-8", "save the file as UTF-8"))
    })
}

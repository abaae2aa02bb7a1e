//! The environment variables of the connector that trunkline replaces: process over `.env` over file.
//!
//! They reach further than they look: the ones for a peer go to whichever peer is the default, so
//! `RETELL_CARRIER` and `PSTN_CARRIER` are read first. A variable that is set to nothing counts as not set.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use super::Config;
use super::reader::{KeyPath, Mistake, Notes, Place, Problem, Secret, line_and_column};
use crate::routing::config::{
    CallerId, parse_country, parse_pool_number, parse_user_part, parse_username, unknown_peer,
};
use crate::server::config::parse_level;

/// The variables of the process, as [`super::load`] takes them; one that is not UTF-8 can't be meant for us.
#[must_use]
pub fn process_environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// The variables of the process, and those of `.env`.
pub(super) struct Environment {
    process: Vec<(String, String)>,
    dotenv: Vec<(String, String)>,
    /// `.env` as it is named, and what stands in it.
    file: (String, String),
}

/// What the environment changed.
#[derive(Default)]
pub(super) struct Overrides {
    /// Index of the default `[[retell]]` in the file.
    pub(super) retell: usize,
    /// Index of the default trunk in the file.
    pub(super) trunk: usize,
    /// One line for each variable in force.
    pub(super) lines: Vec<String>,
}

impl Environment {
    /// Takes the variables of the process and reads `.env` beside `file`, if there is one.
    pub(super) fn read(file: &Path, process: &[(String, String)], notes: &mut Notes) -> Self {
        let path = file.with_file_name(".env");
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                let mistake =
                    Mistake::new(format!("it can't be read ({error})"), "make it readable, or take it away");
                notes.push(Problem::placeless(name.clone(), mistake));
            }
            String::new()
        });
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let dotenv = parse_dotenv(&name, &text, notes);
        Self { process: process.to_vec(), dotenv, file: (name, text) }
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(value, _)| value)
    }

    /// Lays the variables over `config`.
    pub(super) fn apply(&self, config: &mut Config, notes: &mut Notes) -> Overrides {
        let mut overlay = Overlay { environment: self, notes, overrides: Overrides::default() };
        overlay.choose_peers(config);
        overlay.set_retell(config);
        overlay.set_trunk(config);
        overlay.set_process(config);
        overlay.overrides
    }

    /// Where the value of `variable` stands.
    fn place(&self, variable: &str) -> Place {
        let (file, text) = &self.file;
        let assigns = |line: &str| {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            line.strip_prefix(variable).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        match (self.find(variable), text.lines().position(assigns)) {
            (Some((_, Origin::DotEnv)), Some(line)) => (file.clone(), (line + 1, 1)),
            _ => (format!("environment:{variable}"), (0, 0)),
        }
    }

    fn find(&self, name: &str) -> Option<(&str, Origin)> {
        let sources = [(&self.process, Origin::Process), (&self.dotenv, Origin::DotEnv)];
        sources.into_iter().find_map(|(variables, origin)| {
            let (_, value) = variables.iter().find(|(key, value)| key == name && !value.is_empty())?;
            Some((value.as_str(), origin))
        })
    }
}

struct Overlay<'a> {
    environment: &'a Environment,
    notes: &'a mut Notes,
    overrides: Overrides,
}

impl Overlay<'_> {
    fn choose_peers(&mut self, config: &Config) {
        let names: Vec<_> = config.routing.retell_names().collect();
        self.overrides.retell = self.choose("RETELL_CARRIER", "[[retell]]", &names);
        let names: Vec<_> = config.routing.trunk_names().collect();
        self.overrides.trunk = self.choose("PSTN_CARRIER", "trunk", &names);
    }

    fn choose(&mut self, variable: &'static str, kind: &str, names: &[&str]) -> usize {
        let index = |wanted: &str| {
            let wanted = wanted.trim();
            names.iter().position(|name| *name == wanted).ok_or_else(|| unknown_peer(wanted, kind, names))
        };
        self.take(variable, index, |name| format!("the default {kind} is {name}")).unwrap_or_default()
    }

    fn set_retell(&mut self, config: &mut Config) {
        let index = self.overrides.retell;
        let Some(retell) = config.routing.retell.get_mut(index) else { return };
        let (peer, path) = (&mut retell.peer, KeyPath::root().key("retell").index(index));
        if let Some(username) =
            self.take("SIP_USERNAME", parse_username, |name| format!("username of [[retell]] is {name}"))
        {
            peer.username = Some(username);
            self.overridden(path.key("username"), "SIP_USERNAME");
        }
        if let Some(password) =
            self.take("SIP_PASSWORD", accept, |_| "password of [[retell]] is ***".to_owned())
        {
            peer.password = Some(Secret::literal(password));
            self.overridden(path.key("password"), "SIP_PASSWORD");
        }
    }

    fn set_trunk(&mut self, config: &mut Config) {
        let index = self.overrides.trunk;
        let Some(trunk) = config.routing.trunks.get_mut(index) else { return };
        let path = KeyPath::root().key("trunks").index(index);
        if let Some(country) = self.take(
            "COUNTRY_CODE",
            |text| parse_country(text.trim()),
            |code| format!("country of the trunk is {code}"),
        ) {
            trunk.country = Some(country);
            self.overridden(path.key("country"), "COUNTRY_CODE");
        }
        let fixed = self.take(
            "OVERRIDE_CALLER_ID",
            |text| parse_user_part("caller_id", text.trim()).map(CallerId::fixed),
            |number| format!("caller_id of the trunk is {number}"),
        );
        let rotating = self
            .take("CALLER_ID_CAROUSEL", parse_carousel, |list| format!("caller_ids of the trunk are {list}"));
        if fixed.is_some() && rotating.is_some() {
            let mistake = Mistake::new("OVERRIDE_CALLER_ID is set too", "keep one of them");
            self.report("CALLER_ID_CAROUSEL", mistake);
        }
        for (key, variable, set) in [
            ("caller_id", "OVERRIDE_CALLER_ID", fixed.is_some()),
            ("caller_ids", "CALLER_ID_CAROUSEL", rotating.is_some()),
        ] {
            if set {
                self.overridden(path.key(key), variable);
            }
        }
        if let Some(caller_id) = fixed.or(rotating) {
            trunk.caller_id = caller_id;
        }
    }

    fn set_process(&mut self, config: &mut Config) {
        if let Some(level) = self.take("LOGLEVEL", parse_level, |level| format!("log level is {level}")) {
            config.log.level = level;
        }
        let port = |text: &str| {
            let no_port = |_| {
                Mistake::new(format!("\"{text}\" is no port"), "write a number below 65536, such as 8080")
            };
            text.trim().parse().map_err(no_port)
        };
        if let Some(port) = self.take("HTTP_PORT", port, |port| format!("port of [http].listen is {port}")) {
            config.http.listen.set_port(port);
        }
    }

    /// The value of `variable` as `parse` reads it; `effect` says in the log what it does.
    fn take<T>(
        &mut self,
        variable: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Mistake>,
        effect: impl FnOnce(&str) -> String,
    ) -> Option<T> {
        let (text, origin) = self.environment.find(variable)?;
        match parse(text) {
            Ok(value) => {
                self.overrides.lines.push(format!("{variable} ({origin}): {}", effect(text.trim())));
                Some(value)
            }
            Err(mistake) => {
                self.report(variable, mistake);
                None
            }
        }
    }

    fn report(&mut self, variable: &str, mistake: Mistake) {
        let (file, place) = self.environment.place(variable);
        self.notes.push(Problem::at(file, place, mistake));
    }

    fn overridden(&mut self, path: KeyPath, variable: &str) {
        self.notes.overridden(path, self.environment.place(variable));
    }
}

/// Where a variable was found.
#[derive(Clone, Copy)]
enum Origin {
    Process,
    DotEnv,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "environment",
            Self::DotEnv => ".env",
        })
    }
}

fn accept(text: &str) -> Result<String, Mistake> {
    Ok(text.to_owned())
}

fn parse_carousel(text: &str) -> Result<CallerId, Mistake> {
    let numbers = text.split(',').map(str::trim).filter(|number| !number.is_empty());
    let numbers: Vec<_> = numbers.map(parse_pool_number).collect::<Result<_, _>>()?;
    if numbers.is_empty() {
        return Err(Mistake::new(
            "there is no number in it",
            "write numbers with commas between, or unset it",
        ));
    }
    Ok(CallerId::Rotating(numbers))
}

/// A line that can't be read is named by its number alone: it may hold a password.
fn parse_dotenv(file: &str, text: &str, notes: &mut Notes) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for entry in dotenvy::from_read_iter(text.as_bytes()) {
        match entry {
            Ok(variable) => variables.push(variable),
            Err(error) => {
                let offset = match &error {
                    dotenvy::Error::LineParse(line, _) => text.find(line.as_str()),
                    _ => None,
                };
                let place = line_and_column(text, offset.unwrap_or_default());
                let mistake =
                    Mistake::new("this line can't be read", "write NAME=value, or NAME='value' with quotes");
                notes.push(Problem::at(file.to_owned(), place, mistake));
            }
        }
    }
    variables
}

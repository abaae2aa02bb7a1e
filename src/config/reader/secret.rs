//! Passwords and tokens: a literal, `env:NAME` or `file:path`, never shown.
//!
//! A variable is looked up and a file read once, when the configuration is read. So revealing a
//! secret touches nothing, and two readings of one configuration differ when a value does: that
//! is how a reload sees it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::place::Tree;
use super::problem::Mistake;

/// A literal, `env:NAME` or `file:path`; Debug and Display never show the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where the value comes from.
    pub source: SecretSource,
}

/// Where the value of a [`Secret`] comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Stands in the configuration itself.
    Literal(String),
    /// Stands in an environment variable.
    Env {
        /// The variable's name.
        name: String,
        /// Its value in the process environment, else in `.env`, when the configuration was read.
        value: Option<String>,
    },
    /// Stands in a file, whose last newline does not count.
    File {
        /// The file, in the folder of the configuration unless its path is absolute.
        path: PathBuf,
        /// What stood in it when the configuration was read, or why that can't be known.
        value: Result<String, String>,
    },
}

/// Why a secret has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum SecretError {
    /// The variable is absent or empty.
    #[error("environment variable {0} is not set, or empty")]
    Unset(String),
    /// The file can't be read; its path, and why.
    #[error("{0} can't be read: {1}")]
    File(String, String),
}

impl Secret {
    /// A secret whose value is known.
    pub fn literal(value: impl Into<String>) -> Self {
        Self { source: SecretSource::Literal(value.into()) }
    }

    /// The value (a file's without its last newline).
    ///
    /// # Errors
    ///
    /// The variable is not set, or the file can't be read or is empty.
    pub fn reveal(&self) -> Result<String, SecretError> {
        match &self.source {
            SecretSource::Literal(value) => Ok(value.clone()),
            SecretSource::Env { name, value } => {
                value.clone().ok_or_else(|| SecretError::Unset(name.clone()))
            }
            SecretSource::File { path, value } => {
                value.clone().map_err(|why| SecretError::File(path.display().to_string(), why))
            }
        }
    }

    pub(super) fn parse(key: &str, text: &str, tree: &Tree<'_>) -> Result<Self, Mistake> {
        let source = if let Some(name) = text.strip_prefix("env:") {
            if name.is_empty() || name.contains(['=', '\0', ' ', '$']) {
                return Err(Mistake::new(
                    format!("`{key}` names no environment variable"),
                    "write \"env:NAME\"",
                ));
            }
            let value = tree.variable(name).filter(|value| !value.is_empty());
            SecretSource::Env { name: name.to_owned(), value }
        } else if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() {
                return Err(Mistake::new(format!("`{key}` names no file"), "write \"file:path\""));
            }
            let path = tree.folder().join(path);
            SecretSource::File { value: read(&path), path }
        } else if text.is_empty() {
            let instead = "write the value, \"env:NAME\" or \"file:path\", or take the key out";
            return Err(Mistake::new(format!("`{key}` is empty"), instead));
        } else {
            SecretSource::Literal(text.to_owned())
        };
        Ok(Self { source })
    }
}

/// Whether a literal was probably meant to name its value: `$NAME`, `${NAME}` or `ENV:NAME`.
pub(super) fn looks_named(text: &str) -> bool {
    let is_variable = |name: &str| name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    let of_shell = text.strip_prefix('$').is_some_and(|name| {
        let bare = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        is_variable(bare.unwrap_or(name))
    });
    let prefix = text.split_once(':').map_or("", |(prefix, _)| prefix.trim());
    of_shell || ["env", "file"].iter().any(|known| prefix.eq_ignore_ascii_case(known))
}

/// What stands in the file at `path`, without its last line end.
fn read(path: &Path) -> Result<String, String> {
    let content = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value = content.strip_suffix('\n').unwrap_or(&content);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() { Err("it is empty".to_owned()) } else { Ok(value.to_owned()) }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("***"),
            Self::Env { name, .. } => write!(f, "env:{name}"),
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_its_value() {
        let tree = tree("");
        let shown = ["s3cret", "env:SET", "file:pass.txt"].map(|text| {
            let secret = Secret::parse("password", text, &tree).unwrap();
            format!("{secret} {secret:?}")
        });

        assert_eq!(
            shown,
            ["*** Secret(***)", "env:SET Secret(env:SET)", "file:pass.txt Secret(file:pass.txt)"]
        );
    }

    #[test]
    fn a_variable_that_is_unset_or_empty_is_an_error_only_when_revealed() {
        let tree = tree("");
        let reveal = |text| Secret::parse("password", text, &tree).unwrap().reveal();

        assert_eq!(reveal("env:SET"), Ok("s3cret".to_owned()));
        assert_eq!(reveal("env:EMPTY"), Err(SecretError::Unset("EMPTY".to_owned())));
        assert_eq!(reveal("env:UNSET"), Err(SecretError::Unset("UNSET".to_owned())));
    }

    #[test]
    fn a_file_is_found_beside_the_configuration_and_loses_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pass.txt"), "s3cret \r\n").unwrap();
        let tree = Tree::parse(&folder.path().join("config.toml"), String::new(), &|_| None).unwrap();

        let secret = Secret::parse("password", "file:pass.txt", &tree).unwrap();

        assert_eq!(secret.reveal(), Ok("s3cret ".to_owned()));
    }

    #[test]
    fn a_secret_that_names_nothing_is_a_mistake() {
        let tree = tree("");
        let what = ["", "env:", "env:A B", "env:$A", "file:"]
            .map(|text| Secret::parse("token", text, &tree).unwrap_err().what);

        let variable = "`token` names no environment variable";
        assert_eq!(what, ["`token` is empty", variable, variable, variable, "`token` names no file"]);
    }

    #[test]
    fn what_names_a_variable_in_another_dialect_is_told_from_a_password() {
        assert!(
            ["$RETELL_SIP_PASSWORD", "${PASS_2}", "ENV:PASS", " env:PASS", "File:pw"].map(looks_named)
                == [true; 5]
        );
        assert!(["$ecret", "pa$$", "a:b", "${a}", "s3cret"].map(looks_named) == [false; 5]);
    }

    fn tree(text: &str) -> Tree<'static> {
        let variable = |name: &str| match name {
            "SET" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Tree::parse(Path::new("config.toml"), text.to_owned(), Box::leak(Box::new(variable))).unwrap()
    }
}

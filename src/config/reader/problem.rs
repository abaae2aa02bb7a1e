//! One mistake or warning, as `check` prints it: place, what is wrong, what to write instead.

use std::fmt;

/// What is wrong with a value and what to write instead; who reads the value does not know its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Names the key or the value and what is wrong with it.
    pub what: String,
    /// What to write, or where to look.
    pub instead: String,
}

impl Mistake {
    /// Neither text ends in a full stop: both stand in one line, with a semicolon between.
    pub fn new(what: impl fmt::Display, instead: impl fmt::Display) -> Self {
        Self { what: what.to_string(), instead: instead.to_string() }
    }
}

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Mistake,
    /// Nothing is wrong with it, but `serve` would not start: something that it names is
    /// not there on this machine.
    Obstacle,
    /// It works, but probably not as meant.
    Warning,
}

/// One mistake or warning with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named, `.env` beside it, or `environment:NAME`.
    pub file: String,
    /// Counted from 1; 0 where there is no line: the environment, or a file that can't be opened.
    pub line: usize,
    /// Counted from 1, in characters; 0 where there is no line.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl Problem {
    /// A mistake in a whole file or in an environment variable.
    pub(in crate::config) fn placeless(file: String, mistake: Mistake) -> Self {
        Self::at(file, (0, 0), mistake)
    }

    /// A mistake at a line and column.
    pub(in crate::config) fn at(file: String, (line, column): (usize, usize), mistake: Mistake) -> Self {
        let Mistake { what, instead } = mistake;
        Self { severity: Severity::Mistake, file, line, column, what, instead }
    }

    /// As it is displayed, but for the word "warning": for a log, which has its own.
    #[must_use]
    pub fn unmarked(&self) -> String {
        format!("{}: {}; {}", self.place(), self.what, self.instead)
    }

    fn place(&self) -> String {
        let Self { file, line, column, .. } = self;
        if *line > 0 { format!("{file}:{line}:{column}") } else { file.clone() }
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: what is wrong; what to write instead`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Mistake => "",
            Severity::Obstacle | Severity::Warning => "warning: ",
        };
        write!(f, "{}: {mark}{}; {}", self.place(), self.what, self.instead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_its_place_and_says_when_it_is_a_warning() {
        let mistake = Mistake::new("unknown key `prots`", "write `ports`");
        let here = Problem::at("config.toml".to_owned(), (3, 7), mistake.clone());
        let warning = Problem { severity: Severity::Warning, ..here.clone() };
        let elsewhere = Problem::placeless("environment:HTTP_PORT".to_owned(), mistake);

        assert_eq!(here.to_string(), "config.toml:3:7: unknown key `prots`; write `ports`");
        assert_eq!(warning.to_string(), "config.toml:3:7: warning: unknown key `prots`; write `ports`");
        assert_eq!(warning.unmarked(), "config.toml:3:7: unknown key `prots`; write `ports`");
        assert_eq!(elsewhere.to_string(), "environment:HTTP_PORT: unknown key `prots`; write `ports`");
    }
}

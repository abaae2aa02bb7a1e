//! The command line: one file for each command, and how each ends.
//!
//! A command ends with 0 (done) or 1 (it failed, and said why and what to do); clap itself
//! ends with 2 on wrong usage.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod output;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};

use crate::config::reader::{Problem, Severity};

/// Parses the arguments of the process, carries out the command and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { command, serve } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return usage(&said),
    };
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}

/// Help or the version on standard output, or what is wrong with the arguments on standard error.
fn usage(said: &clap::Error) -> ExitCode {
    if said.use_stderr() {
        let _ = said.print();
        if let Some(file) = file_without_flag(said) {
            output::complain(format_args!("\n  tip: name the configuration with '-c {file}'"));
        }
        return ExitCode::from(WRONG_USAGE);
    }
    output::finish_with(|| said.print(), ExitCode::SUCCESS)
}

/// The argument that is no flag and no command, but looks like the name of a configuration.
fn file_without_flag(said: &clap::Error) -> Option<&str> {
    match said.get(ContextKind::InvalidArg).or_else(|| said.get(ContextKind::InvalidSubcommand))? {
        ContextValue::String(argument) if argument.ends_with(".toml") => Some(argument),
        _ => None,
    }
}

/// A SIP back-to-back user agent and RTP relay between SIP trunks and Retell AI's voice agents.
#[derive(Parser)]
#[command(name = "trunkline", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Without a command, trunkline serves.

Examples:
  trunkline demo
  trunkline check -c /etc/trunkline/config.toml
  trunkline -c /etc/trunkline/config.toml")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ConfigArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the bridge (the default)
    ///
    /// SIGTERM or SIGINT lets calls in progress finish for [server].drain_s seconds, a second one ends them
    /// at once; SIGHUP reads the configuration again.
    #[command(after_help = "Example:\n  trunkline serve -c /etc/trunkline/config.toml")]
    Serve(ConfigArgs),
    /// Show calls in both directions over loopback, with nothing to configure
    #[cfg(feature = "demo")]
    #[command(after_help = "Example:\n  trunkline demo --calls 200")]
    Demo(demo::Args),
    /// Report all mistakes in the configuration at once
    ///
    /// Each stands in a line of its own: file, line and column, what is wrong, and what to write instead.
    #[command(after_help = "Example:
  trunkline check -c /etc/trunkline/config.toml
  trunkline check --expand")]
    Check(check::Args),
    /// Show what would become of a call, and which rule decides; nothing is sent
    #[command(after_help = "Example:
  trunkline explain --source 198.51.100.7 --from +14155550123 --to +14155550100 --header 'X-Account: 7'")]
    Explain(Box<explain::Args>),
}

/// The one argument of most commands.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// The configuration; `.env` beside it is read too
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    pub(crate) config: PathBuf,
}

/// Says on standard error why `file` can't be `used`, and how the command ends.
fn refuse(file: &Path, used: &str, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        output::complain(problem);
    }
    output::complain(format_args!("{} can't be {used}: {}", file.display(), summary(problems)));
    ExitCode::FAILURE
}

/// What keeps `serve` from starting on this machine, though nothing is wrong with it.
fn obstacles(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| problem.severity == Severity::Obstacle)
}

/// `1 mistake, 2 warnings`.
fn summary(problems: &[Problem]) -> String {
    let counted = |count, word| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mistakes = problems.iter().filter(|problem| problem.severity == Severity::Mistake).count();
    let warnings = problems.len() - mistakes;
    format!("{}, {}", counted(mistakes, "mistake"), counted(warnings, "warning"))
}

/// The exit code of a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

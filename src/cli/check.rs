//! `trunkline check`: every mistake and warning of a configuration, one in a line, then how many there were.
//!
//! Only mistakes make it fail: a warning is for people, and a script that checks before it deploys must not
//! stop at one. Nor at what only this machine lacks, since the configuration may be meant for another; but
//! then it does not say that it can be served.
//!
//! With `--expand` it prints the configuration instead, and complains where the text does not go.

use std::process::ExitCode;

use super::{ConfigArgs, obstacles, output, refuse, summary};
use crate::config::{self, process_environment};

/// Arguments of `trunkline check`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the configuration with what the presets of `provider` give written out
    ///
    /// What else is known of a provider (REFER, codecs, media …) stands beside its name as comments.
    ///
    /// A secret that stands in the file itself is left out: put it back before you use what is printed.
    #[arg(long)]
    expand: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let file = &args.config.config;
    if args.expand {
        return match config::expand(file, &process_environment()) {
            Ok((text, warnings)) => {
                warnings.iter().for_each(output::complain);
                output::finish(&text, ExitCode::SUCCESS)
            }
            Err(problems) => refuse(file, "expanded", &problems),
        };
    }
    let (problems, verdict, code) = match config::load(file, &process_environment()) {
        Ok(loaded) if obstacles(&loaded.warnings).next().is_some() => {
            (loaded.warnings, "is right, but can't be served here as things stand", ExitCode::SUCCESS)
        }
        Ok(loaded) => (loaded.warnings, "can be served", ExitCode::SUCCESS),
        Err(problems) => (problems, "can't be served", ExitCode::FAILURE),
    };
    let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    output::finish(&format!("{lines}{} {verdict}: {}\n", file.display(), summary(&problems)), code)
}

// SPDX-License-Identifier: BSD-2-Clause
//! What was typed: the command line as clap reads it, one file for each heading of the help.
//!
//! argv → [`Cli`], or text to print, or a [`UsageError`]. Each value is parsed to its type here
//! and only here. `resolve` decides what options mean together: [`Cli`] → [`Action`], with no option
//! left as text.

mod advanced;
mod command_options;
mod commands;
mod error;
mod examples;
mod filtering;
mod flight;
mod generate;
mod help;
mod listing;
mod manual;
mod modes;
mod output;
mod processes;
mod resolve;
mod symbolization;
mod targeting;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

pub use advanced::{Advanced, Budget, RingBufferSize};
pub use command_options::CommandOptions;
pub use commands::{Command, DoctorOptions, ListOptions, Listed, PlacesOptions};
pub use examples::EXAMPLES;
pub use filtering::Filtering;
pub use flight::Flight;
pub use generate::generate;
pub use help::{Generated, Help};
pub use modes::Modes;
pub use output::Output;
pub use processes::Processes;
pub use resolve::Action;
pub use symbolization::{DownloadOptions, SymbolizeLevel, SymbolizeOptions};
pub use targeting::Targeting;

use crate::config::UsageError;

/// Show which kernel function failed, at which line, and how the error travelled up
#[derive(Debug, Parser)]
#[command(
    name = "retsnoop-rs",
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    after_help = examples::help(),
)]
pub struct Cli {
    /// What to do instead of tracing.
    #[command(subcommand)]
    pub subcommand: Option<Command>,
    /// Which functions, in which processes.
    #[command(flatten)]
    pub targeting: Targeting,
    /// In which processes, by other things than ids and names.
    #[command(flatten)]
    pub processes: Processes,
    /// How functions are traced.
    #[command(flatten)]
    pub modes: Modes,
    /// Which calls are shown.
    #[command(flatten)]
    pub filtering: Filtering,
    /// Source lines.
    #[command(flatten)]
    pub symbolization: SymbolizeOptions,
    /// How the command is run.
    #[command(flatten)]
    pub running: CommandOptions,
    /// What is printed, and for how long.
    #[command(flatten)]
    pub output: Output,
    /// Calls that are kept, and when they are written out.
    #[command(flatten)]
    pub flight: Flight,
    /// Rarely needed.
    #[command(flatten)]
    pub advanced: Advanced,
    /// Help and version.
    #[command(flatten)]
    pub help: Help,
    /// Command to run and trace, with what it starts; its exit status is passed on
    #[arg(last = true, value_name = "CMD", help_heading = "Command")]
    pub command: Vec<OsString>,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// To go on with.
    Options(Box<Cli>),
    /// To print this on stdout, and no more.
    Text(String),
}

/// Reads a command line; the first argument is the program's name.
///
/// # Errors
///
/// When an option is unknown or a value makes no sense.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Parsed, UsageError> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let first = arguments.get(1).cloned();
    let has_separator = arguments.iter().any(|argument| argument == "--");
    match Cli::try_parse_from(arguments) {
        Ok(cli) if has_separator && cli.subcommand.is_none() && cli.command.is_empty() => {
            Err(UsageError::new("there is no command after `--`")
                .hint("write it there: `retsnoop-rs -c fs -- cat /etc/shadow`"))
        }
        Ok(cli) => Ok(Parsed::Options(Box::new(cli))),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Ok(Parsed::Text(error.render().to_string()))
        }
        Err(error) => Err(error::usage_error(&error, first.as_deref())),
    }
}

/// The command line's description: for the manual's option table, man page and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

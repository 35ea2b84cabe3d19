// SPDX-License-Identifier: BSD-2-Clause
//! Command: how the program behind `--` is run.

use std::time::Duration;

use clap::Args;

use crate::spec::{BareUnit, parse_duration};

/// Options of this heading.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(next_help_heading = "Command")]
pub struct CommandOptions {
    /// Run the command as who called sudo, doas or pkexec: user, groups, HOME [default: as we run]
    #[arg(long, conflicts_with = "user")]
    pub as_invoker: bool,

    /// Run the command as this user (name or number)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Run the command in a session of its own, without the controlling terminal: with --user it
    /// cannot type into the shell of who runs us. Programs that ask for a password there fail
    #[arg(long)]
    pub new_session: bool,

    /// End the command after this time, by SIGTERM, and five seconds later by SIGKILL: 30s, 5m; a
    /// bare number is seconds [default: never]
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// Show also what fails before the command runs: the calls of execve along $PATH
    #[arg(long)]
    pub trace_exec: bool,

    /// Do not trace what the command starts, only itself
    #[arg(long)]
    pub no_follow_forks: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text, BareUnit::Seconds)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

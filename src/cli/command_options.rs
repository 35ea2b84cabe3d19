// SPDX-License-Identifier: BSD-2-Clause
//! Command: how the program after `--` is run.

use std::time::Duration;

use clap::Args;

use crate::spec::{BareUnit, parse_duration};

/// Options of this heading.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(next_help_heading = "Command")]
pub struct CommandOptions {
    /// Run the command as the user who called sudo, doas or pkexec.
    ///
    /// User, groups, HOME, USER, LOGNAME and SHELL are those of that user [default: as retsnoop-rs runs].
    #[arg(long, conflicts_with = "user")]
    pub as_invoker: bool,

    /// Run the command as this user (name or number)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Run the command in a new session, without the controlling terminal.
    ///
    /// With --user, the command then cannot type into the shell that started retsnoop-rs. Programs that
    /// ask for a password on the terminal fail.
    #[arg(long)]
    pub new_session: bool,

    /// Send SIGTERM to the command after this time: 30s, 5m [default: never].
    ///
    /// SIGKILL follows five seconds later. A bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// Run the command again until the verdict is certain.
    ///
    /// At most N more times [default: 3]. Each time, functions are traced in addition that may have
    /// decided instead. A command has its effects each time. This is for commands without -c and -e.
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "3",
        value_parser = clap::value_parser!(u32).range(1..=20)
    )]
    pub again: Option<u32>,

    /// Also show failures of execve along $PATH, before the command runs
    #[arg(long)]
    pub trace_exec: bool,

    /// Trace the command only, not what it starts
    #[arg(long)]
    pub no_follow_forks: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text, BareUnit::Seconds)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

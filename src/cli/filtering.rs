// SPDX-License-Identifier: BSD-2-Clause
//! Filtering: which of the sessions are shown.

use std::time::Duration;

use clap::Args;

use crate::config::Choice;
use crate::spec::{BareUnit, ErrnoSet, parse_duration};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Filtering")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags as typed; `resolve` makes enums of them"
)]
pub struct Filtering {
    /// Show successful calls too [default: failures only]
    #[arg(short = 'S', long = "success", alias = "success-stacks")]
    pub success: bool,

    /// Only sessions whose entry function returns one of these errors.
    ///
    /// ERRNO is EINVAL, -EINVAL, 22, -22 or NULL. Comma list, repeatable [default: any].
    #[arg(
        short = 'x',
        long = "errors",
        alias = "allow-errors",
        value_name = "ERRNO",
        allow_hyphen_values = true
    )]
    pub errors: Vec<ErrnoSet>,

    /// No sessions whose entry function returns one of these errors.
    ///
    /// ERRNO as for -x. Comma list, repeatable.
    #[arg(
        short = 'X',
        long = "no-errors",
        alias = "deny-errors",
        value_name = "ERRNO",
        allow_hyphen_values = true
    )]
    pub no_errors: Vec<ErrnoSet>,

    /// Only failures with one of these errors anywhere on the chain.
    ///
    /// The chain goes from the entry function down to the culprit. Prefix an error with `!` to show only
    /// failures without it: `EPERM,!ENOENT`. Comma list, repeatable.
    #[arg(
        long = "any-error",
        value_name = "ERRNO",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub any_errors: Vec<Choice<ErrnoSet>>,

    /// Only sessions of at least this duration: 500us, 10ms, 2s [default: any].
    ///
    /// The duration is that of the entry function. A bare number is milliseconds.
    #[arg(short = 'L', long = "longer", value_name = "TIME", value_parser = longer)]
    pub longer: Option<Duration>,

    /// Only failures of these system calls.
    ///
    /// NAME is as strace spells it. `!NAME` leaves a system call out. Comma list, repeatable.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "no_args"
    )]
    pub only: Vec<Choice<String>>,

    /// With a verdict on a command: show all failures in full.
    ///
    /// Without it, those that are probably not the reason are only counted.
    #[arg(long, conflicts_with = "stream")]
    pub all: bool,

    /// Show each failure of a command when it happens, and give no verdict at its end
    #[arg(long)]
    pub stream: bool,

    /// Do not read the arguments of system calls and of other entry functions.
    ///
    /// They are read when a call has failed. Paths and texts of programs may be private.
    #[arg(long = "no-args")]
    pub no_args: bool,

    /// Do not show what the kernel says in words while a system call fails.
    ///
    /// Such words are in its log (dmesg), in answers to netlink requests, in the log of a mount, and in
    /// the log of the verifier for BPF programs.
    #[arg(long = "no-messages")]
    pub no_messages: bool,
}

fn longer(text: &str) -> Result<Duration, String> {
    parse_duration(text, BareUnit::Milliseconds)
}

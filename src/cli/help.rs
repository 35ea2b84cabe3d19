// SPDX-License-Identifier: BSD-2-Clause
//! Help: what the program says about itself.

use clap::{ArgAction, Args, ValueEnum};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Help")]
pub struct Help {
    /// Print help: -h in short, --help in full
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,

    /// Print the version; with -v also the features of this kernel
    #[arg(short = 'V', long)]
    pub version: bool,

    /// Check whether this kernel lets us trace; exit code 0 if it does
    #[arg(long, hide = true)]
    pub probe: bool,

    /// Print the manual page or a shell's completions
    #[arg(long, value_name = "WHAT", value_enum, hide = true)]
    pub generate: Option<Generated>,
}

/// What can be generated from the command line's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The manual page, in roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

// SPDX-License-Identifier: BSD-2-Clause
//! Commands: what can be asked for instead of a trace.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::targeting::GlobArg;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this kernel offers for tracing, what will be used, what is missing and what that
    /// costs; exit code 0 if tracing works here, else 1
    Doctor(DoctorOptions),
    /// List what could be traced: `list functions GLOB`
    List(ListOptions),
}

/// Options of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Judge this kernel image instead of looking for one
    #[arg(short = 'k', long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// Options of `list`.
#[derive(Args, Debug)]
pub struct ListOptions {
    /// What to list
    #[arg(value_enum)]
    pub what: Listed,

    /// Which functions: `vfs_*`, `xfs_* [xfs]`, `@FILE` with one of these a line
    #[arg(value_name = "GLOB")]
    pub globs: Vec<GlobArg>,

    /// Print JSON: one object a line for each function
    #[arg(long)]
    pub json: bool,

    /// Say where each function is defined (reads the kernel's debug information)
    #[arg(short = 's', long)]
    pub source: bool,

    /// Print names only: for shell completion
    #[arg(long, hide = true, conflicts_with_all = ["json", "source"])]
    pub names: bool,

    /// The kernel image with debug information [default: `vmlinux` in the usual places]
    #[arg(short = 'k', long, value_name = "PATH", requires = "source")]
    pub kernel: Option<PathBuf>,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Kernel functions: back end, prototype, and why one cannot be traced
    Functions,
}

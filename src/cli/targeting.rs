// SPDX-License-Identifier: BSD-2-Clause
//! Targeting: which functions are traced, and in which processes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::filtering::Comm;
use crate::spec::{GlobSpec, Pid};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Targeting")]
pub struct Targeting {
    /// Use case, a ready-made set of globs; `-c help` lists them.
    ///
    /// Comma list, repeatable.
    #[arg(short = 'c', long = "case", value_name = "NAME", value_delimiter = ',')]
    pub cases: Vec<String>,

    /// Entry functions: a call opens a session, which is shown if it fails.
    ///
    /// GLOB is a function name with `*`, `?`, `[a-z]` or `{a,b}`. `GLOB [MODULE]` selects functions of
    /// these modules only. `:kernel/bpf/*.c` selects the functions that these source files define.
    /// `@FILE` reads globs from a file, one a line. Repeatable.
    #[arg(short = 'e', long = "entry", value_name = "GLOB")]
    pub entry: Vec<GlobArg>,

    /// Inner functions: traced inside sessions, besides the entry functions.
    ///
    /// GLOB as for -e. Repeatable.
    #[arg(short = 'a', long = "allow", value_name = "GLOB")]
    pub allow: Vec<GlobArg>,

    /// Functions that are never traced; overrides -e, -a and -c.
    ///
    /// GLOB as for -e. Repeatable.
    #[arg(short = 'd', long = "deny", value_name = "GLOB")]
    pub deny: Vec<GlobArg>,

    /// Trace the functions of a module that is not loaded yet.
    ///
    /// The functions are armed before the module is loaded. Failures of its init function and of its
    /// drivers' probes are then shown. MODULE is a name, or a file with a `/` in its path. Without -e
    /// and -c, this option implies `-c module`. Comma list, repeatable.
    #[arg(long, value_name = "MODULE", value_delimiter = ',', value_parser = module, conflicts_with = "record_raw")]
    pub on_load: Vec<String>,

    /// Only these processes (thread group ids) [default: all].
    ///
    /// Comma list, repeatable.
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',', value_parser = pid)]
    pub pids: Vec<Pid>,

    /// Exclude these processes.
    ///
    /// Comma list, repeatable.
    #[arg(short = 'P', long = "no-pid", value_name = "PID", value_delimiter = ',', value_parser = pid)]
    pub no_pids: Vec<Pid>,

    /// Only threads with these names (at most 15 bytes) [default: all].
    ///
    /// Comma list, repeatable.
    #[arg(short = 'n', long = "comm", value_name = "COMM", value_delimiter = ',')]
    pub comms: Vec<Comm>,

    /// Exclude threads with these names.
    ///
    /// Comma list, repeatable.
    #[arg(
        short = 'N',
        long = "no-comm",
        value_name = "COMM",
        value_delimiter = ','
    )]
    pub no_comms: Vec<Comm>,
}

/// A glob, or a file of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobArg {
    /// `GLOB`.
    Glob(GlobSpec),
    /// `@FILE`.
    File(PathBuf),
}

impl FromStr for GlobArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some("") => Err("a file name must follow the `@`".to_owned()),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => Ok(Self::Glob(text.parse()?)),
        }
    }
}

/// A name as the kernel or its file has it, or a path.
fn module(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_name = !text.is_empty() && text.bytes().all(is_part);
    if is_name || text.contains('/') {
        Ok(text.to_owned())
    } else if text.contains(".ko") {
        Err(format!("a file needs a `/` in its path: `./{text}`"))
    } else {
        Err("a module's name has letters, digits, `_` and `-`".to_owned())
    }
}

pub(super) fn pid(text: &str) -> Result<Pid, String> {
    match text.trim().parse() {
        Ok(0) => Err("process ids start at 1".to_owned()),
        Ok(number @ 1..=PID_MAX) => Ok(Pid(number)),
        Ok(_) => Err(format!("process ids end at {PID_MAX}")),
        Err(_) => Err("a process id is a number".to_owned()),
    }
}

/// `PID_MAX_LIMIT` of 64-bit kernels.
const PID_MAX: u32 = 4 * 1024 * 1024;

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
    /// Use case: a ready-made set of globs; `help` lists them. Comma list, repeatable
    #[arg(short = 'c', long = "case", value_name = "NAME", value_delimiter = ',')]
    pub cases: Vec<String>,

    /// Entry functions: a session opens when one is called and is shown when it fails.
    /// GLOB is a function name with `*`, `?`, `[a-z]`; `GLOB [MODULE]` means functions of
    /// modules only; `:kernel/bpf/*.c` means what such source files define; `@FILE` reads globs from a file, one a line. Repeatable
    #[arg(short = 'e', long = "entry", value_name = "GLOB")]
    pub entry: Vec<GlobArg>,

    /// Functions to trace inside of sessions, besides the entry functions. Repeatable
    #[arg(short = 'a', long = "allow", value_name = "GLOB")]
    pub allow: Vec<GlobArg>,

    /// Functions never to trace; wins over -e, -a and -c. Repeatable
    #[arg(short = 'd', long = "deny", value_name = "GLOB")]
    pub deny: Vec<GlobArg>,

    /// Arm the functions of a module before it is loaded, so that its start and its drivers' probes
    /// are seen. MODULE is a name, or a file with a `/` in its path. Alone it means `-c module`
    /// with these functions. Comma list, repeatable
    #[arg(long, value_name = "MODULE", value_delimiter = ',', value_parser = module, conflicts_with = "record_raw")]
    pub on_load: Vec<String>,

    /// Only these processes (ids of thread groups). Comma list, repeatable [default: all]
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',', value_parser = pid)]
    pub pids: Vec<Pid>,

    /// Not these processes. Comma list, repeatable
    #[arg(short = 'P', long = "no-pid", value_name = "PID", value_delimiter = ',', value_parser = pid)]
    pub no_pids: Vec<Pid>,

    /// Only threads of these names (15 bytes at most). Comma list, repeatable [default: all]
    #[arg(short = 'n', long = "comm", value_name = "COMM", value_delimiter = ',')]
    pub comms: Vec<Comm>,

    /// Not threads of these names. Comma list, repeatable
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

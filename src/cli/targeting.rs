// SPDX-License-Identifier: BSD-2-Clause
//! Targeting: which functions are traced, and in which processes.

use clap::Args;

use crate::config::{Comm, GlobArg};
use crate::spec::Pid;

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Targeting")]
pub struct Targeting {
    /// Use case, a ready-made set of globs; `-c help` lists them.
    ///
    /// `-c all` is all of them but `any`: slow on kernels that attach functions one by one. Comma list, repeatable.
    #[arg(short = 'c', long = "case", value_name = "NAME", value_delimiter = ',')]
    pub cases: Vec<String>,

    /// Entry functions: a call opens a session, which is shown if it fails.
    ///
    /// GLOB is a function name with `*`, `?`, `[a-z]` or `{a,b}`. `GLOB [MODULE]` selects functions of
    /// these modules only. `:kernel/bpf/*.c` selects the functions that these source files define.
    /// `u:PATH:GLOB` selects functions of an executable or a library (`u:libc:getaddrinfo`), `p:PID:GLOB`
    /// those of the executable of a process, `p:PID:LIBRARY:GLOB` those of a library that it has mapped.
    /// Failures of these are -1 and -Exxx, or what follows: `:int` (-Exxx), `:neg1` (-1), `:ptr` (NULL),
    /// `:bool` (false). `usdt:PATH:PROVIDER:NAME` selects USDT probes:
    /// a hit opens a session, which ends when the function returns that the probe is in, or at a hit of the
    /// probe behind `=>` (`usdt:app:app:start=>done`). `lsm:HOOK` selects `security_HOOK`, and the functions
    /// that the security modules have for this hook. `@FILE` reads globs from a file, one a line.
    /// Repeatable.
    #[arg(short = 'e', long = "entry", value_name = "GLOB")]
    pub entry: Vec<GlobArg>,

    /// Inner functions: traced inside sessions, besides the entry functions.
    ///
    /// Without -a and -c, the functions of the kernel are chosen that can fail, but for those that are
    /// called all the time (`--only-entries` chooses none). GLOB as for -e. `tp:CATEGORY:NAME` and `rawtp:NAME` select tracepoints: what they say while a
    /// session is open is shown with it. Repeatable.
    #[arg(short = 'a', long = "allow", value_name = "GLOB")]
    pub allow: Vec<GlobArg>,

    /// No inner functions: only the entry functions of -e or -c are traced.
    ///
    /// A call costs others the least then. The culprit is the entry function, unless another entry
    /// function is called inside of it.
    #[arg(long, conflicts_with = "allow")]
    pub only_entries: bool,

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
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<Pid>,

    /// Exclude these processes.
    ///
    /// Comma list, repeatable.
    #[arg(
        short = 'P',
        long = "no-pid",
        value_name = "PID",
        value_delimiter = ','
    )]
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

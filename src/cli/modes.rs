// SPDX-License-Identifier: BSD-2-Clause
//! Modes: how functions are traced.

use clap::Args;

use crate::config::BackendChoice;

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Modes")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags as typed; `resolve` makes one enum of them"
)]
pub struct Modes {
    /// How to attach to functions
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value = "auto",
        conflicts_with_all = ["kprobe_multi", "fentry", "kprobe"],
        hide_possible_values = false
    )]
    pub backend: BackendChoice,

    /// Same as --backend kprobe-multi
    #[arg(short = 'M', long, alias = "kprobes-multi", conflicts_with_all = ["fentry", "kprobe"])]
    pub kprobe_multi: bool,

    /// Same as --backend fentry
    #[arg(short = 'F', long, conflicts_with = "kprobe")]
    pub fentry: bool,

    /// Same as --backend kprobe
    #[arg(short = 'K', long, alias = "kprobes")]
    pub kprobe: bool,

    /// Attach to all functions that match, even if this is slow.
    ///
    /// This matters on kernels that attach to one function at a time, if more than 64 match. There, only
    /// those functions are attached to by default that can fail and that the entry functions
    /// reach by direct calls.
    #[arg(long)]
    pub all_matching: bool,

    /// Print what would be traced, and attach to nothing; -v lists the functions
    #[arg(long)]
    pub dry_run: bool,
}

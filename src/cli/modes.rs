// SPDX-License-Identifier: BSD-2-Clause
//! Modes: how functions are traced.

use clap::{Args, ValueEnum};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Modes")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags as typed; `config` makes one enum of them"
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

    /// Attach to all functions that match, even where this is slow; without it only to those that can
    /// fail and that the entry functions reach by direct calls, on kernels that attach one by one
    #[arg(long)]
    pub all_matching: bool,

    /// Select functions and say what would be traced, but attach nothing; -v lists them
    #[arg(long)]
    pub dry_run: bool,
}

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// The best that this kernel has for these functions
    #[default]
    Auto,
    /// One fsession.multi link for all functions, cheap to run and blind nowhere: newest kernels
    TracingMulti,
    /// A fentry.multi and a fexit.multi link for all functions: newest kernels
    FentryMulti,
    /// One kprobe.session link for all functions: needs 6.10 and fprobe
    KprobeSession,
    /// Two kprobe.multi links for all functions: needs fprobe (`CONFIG_FPROBE`)
    KprobeMulti,
    /// A pair of fentry and fexit programs for each function: any kernel, slow to attach
    Fentry,
    /// A kprobe and a kretprobe for each function: any kernel and any symbol, slow to attach
    Kprobe,
}

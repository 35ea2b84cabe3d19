// SPDX-License-Identifier: BSD-2-Clause
//! Symbolization: source lines and inlined functions.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Symbolization")]
pub struct SymbolizeOptions {
    /// Detail of stacks: `-s` source lines, `-ss` inlined functions too, `-sn` neither
    /// [default: as -ss where debug information is found, else as -sn]
    // As in the reference, the second letter may be glued on (`-ss` is `-s` with the value `s`)
    // or the option given twice (`-s -s`).
    #[arg(
        short = 's',
        long = "symbolize",
        value_name = "LEVEL",
        num_args = 0..=1,
        default_missing_value = "lines",
        value_enum
    )]
    pub levels: Vec<SymbolizeLevel>,

    /// The kernel image with debug information [default: `vmlinux` in the usual places]
    #[arg(short = 'k', long = "kernel", value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Keep about so many MiB in memory of what was read of debug information, 4 to 4096
    #[arg(long, value_name = "MB", default_value = "60",
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub symbol_memory: u32,
}

/// How much a stack shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SymbolizeLevel {
    /// Source lines
    Lines,
    /// Source lines and inlined functions
    #[value(alias = "s")]
    Inlines,
    /// Names and offsets only
    #[value(alias = "n")]
    None,
}

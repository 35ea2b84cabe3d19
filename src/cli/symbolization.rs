// SPDX-License-Identifier: BSD-2-Clause
//! Symbolization: source lines and inlined functions.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::Download;

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Symbolization")]
pub struct SymbolizeOptions {
    /// Stack detail: -s lines, -ss inlined functions too, -sn neither.
    ///
    /// [default: as -ss if debug information is found, else as -sn]
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

    /// Kernel image with debug information.
    ///
    /// [default: `vmlinux` in the usual places]
    #[arg(short = 'k', long = "kernel", value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Memory for debug information that was read, in MiB.
    ///
    /// Approximate, 4 to 4096.
    #[arg(long, value_name = "MB", default_value = "60",
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub symbol_memory: u32,

    /// What may be fetched.
    #[command(flatten)]
    pub download: DownloadOptions,
}

/// What may be fetched from servers: nothing, unless it is asked for.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadOptions {
    /// Fetch missing debug information from debuginfod servers.
    ///
    /// The servers are those of `DEBUGINFOD_URLS`, or else of `/etc/debuginfod`. Files are found by build
    /// id, and are kept in debuginfod's cache.
    #[arg(long)]
    pub debuginfod: bool,

    /// Fetch no file larger than this, in MiB.
    ///
    /// [default: `DEBUGINFOD_MAXSIZE`, else 2048]
    #[arg(long, value_name = "MB", requires = "debuginfod",
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub debuginfod_max_size: Option<u32>,
}

impl From<DownloadOptions> for Download {
    fn from(options: DownloadOptions) -> Self {
        Self {
            is_allowed: options.debuginfod,
            max_size: options.debuginfod_max_size,
        }
    }
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

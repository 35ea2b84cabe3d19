// SPDX-License-Identifier: BSD-2-Clause
//! Commands: what can be asked for instead of a trace.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::symbolization::DownloadOptions;
use super::targeting::GlobArg;
use crate::spec::{CodePlace, parse_hex};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this kernel offers for tracing, what will be used, what is missing and what that
    /// costs; exit code 0 if tracing works here, else 1
    Doctor(DoctorOptions),
    /// List what could be traced: `list functions GLOB`, `list containers`
    List(ListOptions),
    /// Say which function, line and inlined functions an address or `symbol+0x1/0x2` is; without
    /// one, do so for all in a text on stdin: `dmesg | retsnoop-rs symbolize`
    Symbolize(PlacesOptions),
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
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct ListOptions {
    /// What to list
    #[arg(value_enum)]
    pub what: Listed,

    /// Which functions: `vfs_*`, `xfs_* [xfs]`, `@FILE` with one of these a line
    #[arg(value_name = "GLOB")]
    pub globs: Vec<GlobArg>,

    /// Print JSON: one object a line
    #[arg(long)]
    pub json: bool,

    /// Say where each function is defined (reads the kernel's debug information)
    #[arg(short = 's', long)]
    pub source: bool,

    /// Read what container runtimes keep below DIR instead of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub host_root: PathBuf,

    /// Print names only: for shell completion
    #[arg(long, hide = true, conflicts_with_all = ["json", "source"])]
    pub names: bool,

    /// The kernel image with debug information [default: `vmlinux` in the usual places]
    #[arg(short = 'k', long, value_name = "PATH", requires = "source")]
    pub kernel: Option<PathBuf>,

    /// Keep nothing for the next run, and use nothing that was kept
    #[arg(long)]
    pub no_cache: bool,

    /// What may be fetched.
    #[command(flatten)]
    pub download: DownloadOptions,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Kernel functions: back end, prototype, and why one cannot be traced
    Functions,
    /// Containers that run: name, id, runtime, image, pod, namespace, processes; GLOB is not for them
    Containers,
}

/// Options of `symbolize`.
#[derive(Args, Clone, Debug)]
pub struct PlacesOptions {
    /// Addresses in hex, or symbols with an offset: `0xffffffff81234567`, `vfs_read+0x1b/0x340`,
    /// `ext4_sync_fs+0x10/0x50 [ext4]` [default: what a text on stdin has of them]
    #[arg(value_name = "ADDR")]
    pub places: Vec<CodePlace>,

    /// Take addresses as they are [default: they are return addresses, behind the call that is
    /// meant]
    #[arg(long)]
    pub exact: bool,

    /// The kernel image with debug information [default: that of the running kernel]. If it is
    /// another kernel's, addresses are the image's own
    #[arg(short = 'k', long, value_name = "IMAGE")]
    pub kernel: Option<PathBuf>,

    /// Where the kernel's text (`_text`) began when the addresses were printed, or the `Kernel
    /// Offset` that an oops tells
    #[arg(long, value_name = "ADDR", value_parser = base, requires = "kernel")]
    pub base: Option<u64>,

    /// Print JSON: one object a line for each address
    #[arg(long)]
    pub json: bool,

    /// Keep nothing for the next run, and use nothing that was kept
    #[arg(long)]
    pub no_cache: bool,

    /// What may be fetched.
    #[command(flatten)]
    pub download: DownloadOptions,

    /// Keep about so many MiB in memory of what was read of debug information, 4 to 4096
    #[arg(long, value_name = "MB", default_value = "60",
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub symbol_memory: u32,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

fn base(text: &str) -> Result<u64, String> {
    parse_hex(text).ok_or_else(|| "an address in hex: 0xffffffff9a000000".to_owned())
}

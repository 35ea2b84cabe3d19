// SPDX-License-Identifier: BSD-2-Clause
//! Commands: what can be asked for instead of a trace.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::symbolization::DownloadOptions;
use crate::config::{DoctorConfig, SymbolizeConfig};
use crate::spec::{CodePlace, parse_hex};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report whether tracing works here, and what is missing.
    ///
    /// Says what this kernel offers for tracing, what will be used, what is missing and what that costs.
    /// The exit status is 0 if tracing works here, else 1.
    Doctor(DoctorOptions),
    /// List functions, USDT probes or containers that can be traced.
    ///
    /// `list functions GLOB`, `list usdt PATH|PID` or `list containers`.
    List(ListOptions),
    /// Show function, line and inlined functions of kernel addresses.
    ///
    /// ADDR is an address or `symbol+0x1/0x2`. Without ADDR, a text on stdin is passed through, and this
    /// is added to each address in it: `dmesg | retsnoop-rs symbolize`.
    Symbolize(PlacesOptions),
}

/// Options of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Examine this kernel image instead of searching for one
    #[arg(short = 'k', long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Print help: -h in short, --help in full
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

    /// Functions: `vfs_*`, `xfs_* [xfs]`, `:fs/*.c`, `u:libc:open*`, or `@FILE`.
    ///
    /// A file has one glob a line. `list usdt` takes a path, the name of a library or a program, or the
    /// id of a process. `list containers` takes no GLOB.
    #[arg(value_name = "GLOB")]
    pub globs: Vec<String>,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,

    /// Show where each function is defined.
    ///
    /// This reads the kernel's debug information.
    #[arg(short = 's', long)]
    pub source: bool,

    /// Read what container runtimes keep below DIR instead of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub host_root: PathBuf,

    /// Print names only: for shell completion
    #[arg(long, hide = true, conflicts_with_all = ["json", "source"])]
    pub names: bool,

    /// Kernel image with debug information.
    ///
    /// [default: `vmlinux` in the usual places]
    #[arg(short = 'k', long, value_name = "PATH", requires = "source")]
    pub kernel: Option<PathBuf>,

    /// Neither use nor keep cached results of earlier runs
    #[arg(long)]
    pub no_cache: bool,

    /// What may be fetched.
    #[command(flatten)]
    pub download: DownloadOptions,

    /// Print help: -h in short, --help in full
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Functions: back end and prototype, or why one cannot be traced
    Functions,
    /// USDT probes of a file or a process: arguments, sites, semaphore
    Usdt,
    /// Running containers: name, id, runtime, image, pod, namespace, processes
    Containers,
}

/// Options of `symbolize`.
#[derive(Args, Clone, Debug)]
pub struct PlacesOptions {
    /// Addresses, or symbols with an offset [default: those in a text on stdin].
    ///
    /// `0xffffffff81234567`, `vfs_read+0x1b/0x340`, `ext4_sync_fs+0x10/0x50 [ext4]`.
    #[arg(value_name = "ADDR")]
    pub places: Vec<CodePlace>,

    /// Look up the addresses themselves.
    ///
    /// By default, addresses are taken as return addresses, and the call before each is looked up.
    #[arg(long)]
    pub exact: bool,

    /// Kernel image with debug information [default: the running kernel's].
    ///
    /// If it is the image of another kernel, addresses are those in the image.
    #[arg(short = 'k', long, value_name = "IMAGE")]
    pub kernel: Option<PathBuf>,

    /// Run-time address of `_text`, or the `Kernel Offset` of an oops.
    ///
    /// It is the address that the kernel's text had when the addresses were printed.
    #[arg(long, value_name = "ADDR", value_parser = base, requires = "kernel")]
    pub base: Option<u64>,

    /// Print JSON, one object a line for each address
    #[arg(long)]
    pub json: bool,

    /// Neither use nor keep cached results of earlier runs
    #[arg(long)]
    pub no_cache: bool,

    /// What may be fetched.
    #[command(flatten)]
    pub download: DownloadOptions,

    /// Memory for debug information that was read, in MiB.
    ///
    /// Approximate, 4 to 4096.
    #[arg(long, value_name = "MB", default_value = "60",
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub symbol_memory: u32,

    /// Print help: -h in short, --help in full
    #[arg(short = 'h', long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

impl From<DoctorOptions> for DoctorConfig {
    fn from(options: DoctorOptions) -> Self {
        let DoctorOptions {
            json,
            kernel,
            help: _,
        } = options;
        Self {
            json,
            kernel_image: kernel,
        }
    }
}

impl From<PlacesOptions> for SymbolizeConfig {
    fn from(options: PlacesOptions) -> Self {
        let PlacesOptions {
            places,
            exact,
            kernel,
            base,
            json,
            no_cache,
            download,
            symbol_memory,
            help: _,
        } = options;
        Self {
            places,
            exact,
            kernel_image: kernel,
            base,
            json,
            cache: !no_cache,
            download: download.into(),
            symbol_memory,
        }
    }
}

fn base(text: &str) -> Result<u64, String> {
    parse_hex(text).ok_or_else(|| "an address in hex: 0xffffffff9a000000".to_owned())
}

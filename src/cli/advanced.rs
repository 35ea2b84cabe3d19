// SPDX-License-Identifier: BSD-2-Clause
//! Advanced: what hardly anyone needs.

use std::path::PathBuf;

use clap::Args;

use crate::config::DEFAULT_MAX_RATE;

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Advanced")]
pub struct Advanced {
    /// Also read use cases from DIR; DIR/NAME.toml overrides the built-in NAME.
    ///
    /// [default: $XDG_CONFIG_HOME/retsnoop-rs/usecases]
    #[arg(long, value_name = "DIR")]
    pub cases_dir: Option<PathBuf>,

    /// Size of the ring buffer between kernel and program, in MiB.
    ///
    /// 1 to 1024, rounded up to a power of two.
    #[arg(long, value_name = "MB", default_value = "8", value_parser = ring_buffer)]
    pub ringbuf_size: RingBufferSize,

    /// Record traced calls up to this depth.
    ///
    /// 1 to 64. Deeper calls are only counted.
    #[arg(long, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub max_depth: u32,

    /// Detach from functions called more often per second.
    ///
    /// Calls of all tasks count, in scope or not. They are counted by sampling. A message names the
    /// function. 0: never detach.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_RATE)]
    pub max_rate: u32,

    /// Limit the CPU time that tracing takes: `5%` [default: no limit].
    ///
    /// PERCENT is of one CPU and holds for all traced functions together. The time is an estimate. Above
    /// the limit, the most expensive functions are detached until the rest fits.
    #[arg(long, value_name = "PERCENT", value_parser = budget)]
    pub budget: Option<Budget>,

    /// Trace functions that are denied otherwise: the machine may hang.
    ///
    /// This holds for functions that -e or -a name in full (no globs). Denied by default are functions
    /// of the tracing machinery and functions that do not return.
    #[arg(long)]
    pub force: bool,

    /// Neither use nor keep cached results of earlier runs
    #[arg(long)]
    pub no_cache: bool,

    /// Write the raw event stream to FILE as well
    #[arg(long, value_name = "FILE", hide = true)]
    pub record_raw: Option<PathBuf>,

    /// Optimizations that are off.
    #[command(flatten)]
    pub switches: Switches,
}

/// Turn off optimizations of the start, to find out whether one is the reason of a fault.
#[derive(Args, Clone, Copy, Debug)]
pub struct Switches {
    /// Load programs without constant folding and dead-code elimination
    #[arg(long, hide = true)]
    pub no_specialize: bool,

    /// Do not read symbols and machine code from /proc/kcore
    #[arg(long, hide = true)]
    pub no_kcore: bool,

    /// Give each function whole programs of its own where functions are attached one by one
    #[arg(long, hide = true)]
    pub no_shared: bool,
}

/// The size of the ring buffer: a power of two, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingBufferSize {
    /// In bytes.
    pub bytes: u32,
}

fn ring_buffer(text: &str) -> Result<RingBufferSize, String> {
    match text.parse::<u32>() {
        Ok(mib @ 1..=1024) => Ok(RingBufferSize {
            bytes: mib.next_power_of_two() << 20,
        }),
        _ => Err("a number of MiB, 1 to 1024".to_owned()),
    }
}

/// A part of one CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// 1.0 is all of it.
    pub share: f64,
}

fn budget(text: &str) -> Result<Budget, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Budget {
            share: percent / 100.0,
        }),
        _ => Err("a percentage of one CPU, more than 0 and at most 100: `5%`".to_owned()),
    }
}

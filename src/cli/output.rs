// SPDX-License-Identifier: BSD-2-Clause
//! Output: what is printed, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::ColorChoice;
use crate::spec::{BareUnit, parse_duration};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print one JSON object a line: each session, then a summary
    #[arg(long)]
    pub json: bool,

    /// Print one line for each failure: time, thread, call, result, culprit.
    ///
    /// Equal failures in a row become one line with their number, such as `12×`.
    #[arg(long, conflicts_with_all = ["json", "all"])]
    pub oneline: bool,

    /// Write to FILE [default: stdout; with a command: stderr].
    ///
    /// With a command, stdout is the command's. SIGHUP makes retsnoop-rs open FILE again.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Append to FILE instead of replacing it
    #[arg(long, requires = "file")]
    pub append: bool,

    /// Start a new FILE before it exceeds this: 100K, 100M, 2G [default: never].
    ///
    /// A bare number is bytes. The old file becomes FILE.1.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "file")]
    pub max_size: Option<u64>,

    /// Number of old files to keep, FILE.1 to FILE.N [default: 5]
    #[arg(long, value_name = "N", requires = "max_size", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub keep: Option<u32>,

    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub color: ColorChoice,

    /// Show more: -v, -vv or -vvv.
    ///
    /// -v: functions that are left out, with the reason, and raw addresses. -vv: also the frames of the
    /// tracing itself. -vvv: also the messages of libbpf.
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Stop after showing this many sessions [default: never]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_events: Option<u64>,

    /// Stop after this time: 30s, 5m [default: never].
    ///
    /// A bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
}

pub(super) fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("a number, at least 1".to_owned()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes >= 4096 => Ok(bytes),
        _ => Err("at least 4096 bytes".to_owned()),
    }
}

/// Parses a number of bytes, or one with a unit.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        unit => return Err(format!("the unit `{unit}` is none of K, M, G")),
    };
    let number = digits.parse::<u64>().ok();
    let bytes = number.and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| "a number of bytes, or one with a unit: 100M".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text, BareUnit::Seconds)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

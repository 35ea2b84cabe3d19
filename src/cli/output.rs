// SPDX-License-Identifier: BSD-2-Clause
//! Output: what is printed, and for how long.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::spec::{BareUnit, parse_duration};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print JSON: one object a line for each session, a summary last
    #[arg(long)]
    pub json: bool,

    /// When to colour
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub color: ColorChoice,

    /// Say more on stderr: -v functions left out, raw addresses; -vv the tracing's own frames;
    /// -vvv libbpf's messages
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Stop after showing this many sessions [default: never]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_events: Option<u64>,

    /// Stop after this time: 30s, 5m; a bare number is seconds [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("a number, at least 1".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text, BareUnit::Seconds)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

// SPDX-License-Identifier: BSD-2-Clause
//! Flight recorder: calls that are kept, and when they are written out.

use std::ops::RangeInclusive;

use clap::Args;

use super::output::{at_least_one, bytes};
use crate::config::{DumpTrigger, FlightConfig};

/// Size of the recorder if none is given.
const DEFAULT_SIZE: &str = "64M";

/// Bounds of the size. The kernel keeps it in memory as a whole.
const SIZES: RangeInclusive<u64> = 64 << 10..=2 << 30;

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Flight recorder")]
pub struct Flight {
    /// Keep the last traced calls of all sessions, also of those not shown.
    ///
    /// SIZE is the memory that is kept in the kernel: 64K to 2G, 64M by default; 1M holds about 11,900
    /// calls. When it is full, new calls overwrite old ones. The calls are written out, to where sessions
    /// go, on SIGUSR1, when the command ends with another status than 0, and when --dump-on or --dump-after
    /// say so. Recording goes on meanwhile. Each call is written out at most once.
    #[arg(
        long = "flight",
        value_name = "SIZE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_SIZE,
        value_parser = size
    )]
    pub size: Option<u32>,

    /// Write the recorded calls when a shown session failed.
    ///
    /// TRIGGER is `error` (any failed session), `error:GLOB` (a call of a traced function that GLOB
    /// matches failed in it), or `error:GLOB=ERRNO` (with this error; a comma list). If the session ran in
    /// a container, only the calls of this container are written. Repeatable.
    #[arg(long, value_name = "TRIGGER", requires = "size")]
    pub dump_on: Vec<DumpTrigger>,

    /// Write the recorded calls whenever N more sessions were shown.
    #[arg(long, value_name = "N", requires = "size", value_parser = at_least_one)]
    pub dump_after: Option<u64>,
}

impl From<Flight> for Option<FlightConfig> {
    fn from(options: Flight) -> Self {
        let Flight {
            size,
            dump_on,
            dump_after,
        } = options;
        size.map(|bytes| FlightConfig {
            bytes,
            on: dump_on,
            after: dump_after,
        })
    }
}

fn size(text: &str) -> Result<u32, String> {
    let size = bytes(text)?;
    match u32::try_from(size) {
        Ok(bytes) if SIZES.contains(&size) => Ok(bytes),
        _ => Err("64K to 2G".to_owned()),
    }
}

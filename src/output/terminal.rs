// SPDX-License-Identifier: BSD-2-Clause
//! What stdout and stderr are, and the clocks: facts about this process that output depends on.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use terminal_size::{Width, terminal_size_of};

use crate::config::ColorChoice;
use crate::render::Clock;

/// A standard stream that sessions are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Returns whether this process has a controlling terminal; `None` if it cannot be determined.
pub(crate) fn is_controlled() -> Option<bool> {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open("/dev/tty");
    match opened {
        Ok(_) => Some(true),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Some(false),
        Err(_) => None,
    }
}

/// Returns the width of the terminal in columns; `None` if the stream is none.
pub(crate) fn width(stream: Option<Stream>) -> Option<usize> {
    let (Width(columns), _) = match stream? {
        Stream::Stdout => terminal_size_of(io::stdout()),
        Stream::Stderr => terminal_size_of(io::stderr()),
    }?;
    Some(usize::from(columns))
}

/// Returns true if output is colored. With `auto`, a non-empty `NO_COLOR` disables it, as that
/// convention demands.
pub(crate) fn color(choice: ColorChoice, stream: Option<Stream>) -> bool {
    let is_terminal = || match stream {
        Some(Stream::Stdout) => io::stdout().is_terminal(),
        Some(Stream::Stderr) => io::stderr().is_terminal(),
        None => false,
    };
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// Measures the offset from the kernel's monotonic clock to local time.
pub(crate) fn clock() -> Clock {
    // Of several pairs of readings, the one that took the least time is used.
    let offset = (0..10)
        .filter_map(|_| {
            let before = monotonic_ns()?;
            let real = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            let after = monotonic_ns()?;
            let middle = before + (after - before) / 2;
            let offset = i64::try_from(real.as_nanos()).ok()? - i64::try_from(middle).ok()?;
            Some((after - before, offset))
        })
        .min()
        .map_or(0, |(_, offset)| offset);
    Clock {
        realtime_offset_ns: offset,
        utc_offset_seconds: utc_offset_seconds(),
    }
}

/// Reads `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
pub(crate) fn monotonic_ns() -> Option<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    u64::try_from(Duration::from(time).as_nanos()).ok()
}

fn utc_offset_seconds() -> i32 {
    chrono::Local::now().offset().local_minus_utc()
}

// SPDX-License-Identifier: BSD-2-Clause
//! Output of `--json`: newline-delimited JSON with one object per session (`"kind": "session"`) and
//! per dump of the flight recorder (`"kind": "flight"`), and the summary as the last one (`"kind":
//! "summary"`). `tests/data/session.schema.json`
//! describes it, and a test validates the output against it. It has everything that the text shows,
//! with exact numbers:
//!
//! * Addresses and return registers are strings, `"0xffffffff81234567"`, because JSON numbers lose
//!   bits beyond 2^53. Keys that end in `_ns` are in nanoseconds, those that end in `_time` are RFC
//!   3339.
//! * `result` is what the text has in brackets, `raw` is the register, `errno` is the positive
//!   number.
//! * Every key is always present; an unknown value is `null`. Two rows that mean the same have the
//!   same keys.

mod context;
mod flight;
mod messages;
mod notes;
mod objects;
#[cfg(test)]
mod schema;
mod summary;
mod syscall;
mod verdict;

use std::io::{self, Write};

use serde::Serialize;

use self::flight::FlightObject;
use self::objects::SessionObject;
use self::summary::SummaryObject;
use self::verdict::VerdictObject;
use super::{RenderContext, Summary, SymbolizedSession};
use crate::explain::Verdict;
use crate::session::FlightDump;

/// Version of the schema. It is raised when a key is removed or changes its meaning, but not when
/// one is added.
const SCHEMA: u32 = 1;

/// Writes a session as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_session(
    shown: SymbolizedSession<'_>,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_line(&SessionObject::new(shown, context), out)
}

/// Writes what the flight recorder held as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_flight(
    dump: &FlightDump,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_line(&FlightObject::new(dump, context), out)
}

/// Writes the summary as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_summary(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    write_line(&SummaryObject::new(summary), out)
}

/// Writes the verdict on a command as one line. `status` is its exit status.
///
/// # Errors
///
/// When writing fails.
pub fn write_verdict(
    verdict: &Verdict<'_>,
    status: Option<u8>,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_line(&VerdictObject::new(verdict, status, context), out)
}

fn write_line(object: &impl Serialize, mut out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, object)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;

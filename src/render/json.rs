// SPDX-License-Identifier: BSD-2-Clause
//! `--json`: newline-delimited JSON, one object a session (`"kind": "session"`) and the summary as
//! the last (`"kind": "summary"`). `tests/data/session.schema.json` is its description, and a test
//! holds the output to it. What the text shows is here too, with exact numbers:
//!
//! * addresses and return registers are strings, `"0xffffffff81234567"`, because JSON's numbers
//!   lose bits beyond 2^53; what ends in `_ns` is in nanoseconds; `*_time` is RFC 3339;
//! * `result` is what the text has in brackets, `raw` the register, `errno` the positive number;
//! * every key is always there; what is not known is `null`. Two rows that mean the same are
//!   described by the same keys.

mod context;
mod objects;
#[cfg(test)]
mod schema;
mod summary;

use std::io::{self, Write};

use serde::Serialize;

use self::objects::SessionObject;
use self::summary::SummaryObject;
use super::{RenderContext, Summary};
use crate::session::Session;

/// The version of the schema: raised when a key changes its meaning or goes, not when one comes.
const SCHEMA: u32 = 1;

/// Writes one session as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_session(
    session: &Session,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_line(&SessionObject::new(session, context), out)
}

/// Writes the summary as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_summary(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    write_line(&SummaryObject::new(summary), out)
}

fn write_line(object: &impl Serialize, mut out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, object)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;

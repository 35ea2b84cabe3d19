// SPDX-License-Identifier: BSD-2-Clause
//! A little-endian reader of DWARF 2 to 5, for lines and inlined functions only.
//!
//! It exists because one pass over a kernel's debug information dominates the cost. The reader
//! skips entries at once if their abbreviation gives the length, and keeps only what was asked for.
//! It does not trust any byte: malformed data gives `None`, and every loop either consumes bytes or
//! counts down.

mod abbreviations;
mod aranges;
mod cursor;
mod entries;
mod forms;
mod line_program;
mod ranges;
mod sections;
#[cfg(test)]
mod tests;
mod unit;

pub(super) use abbreviations::{Abbreviation, Abbreviations};
pub(super) use aranges::address_ranges;
pub(super) use cursor::Cursor;
pub(super) use entries::{EntryAt, Function, function_at, read_function, read_inlined_call, skip};
pub(super) use line_program::{Files, LineRow, Lines};
pub(super) use ranges::Extents;
pub(super) use sections::{DebugSections, Section};
pub(super) use unit::{Header, Headers, Unit, headers};

// SPDX-License-Identifier: BSD-2-Clause
//! DWARF 2 to 5 as far as lines and inlined functions need it, little-endian.
//!
//! A reader of our own, because what a kernel's debug information costs is going through it once:
//! entries whose length their abbreviation tells are stepped over at once, and nothing is kept but
//! what was asked for. All bytes are hostile: what makes no sense is `None`, and every loop either
//! consumes bytes or counts down.

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

// SPDX-License-Identifier: BSD-2-Clause
//! Converts a compilation unit into a table of a few kilobytes that answers addresses. The table
//! holds what 80 KB of `.debug_info` and 8 KB of `.debug_line` say about lines and inlined
//! functions.
//!
//! Tables are bytes. The same code reads new tables and those of an index (`index`), so that
//! answers are the same with and without an index.

mod definitions;
mod encode;
mod paint;
mod table;
#[cfg(test)]
mod tests;
mod unit;
mod walk;

pub(super) use definitions::{Definition, definitions};
pub(super) use table::{Located, Table};
pub(super) use unit::Digester;

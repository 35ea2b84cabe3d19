// SPDX-License-Identifier: BSD-2-Clause
//! A compilation unit → a table of a few kilobytes that answers addresses: what 80 KB of
//! `.debug_info` and 8 KB of `.debug_line` say about lines and inlined functions.
//!
//! Tables are bytes: those that were just made and those of an index (`index`) are read by the
//! same code, so that answers are the same with and without one.

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

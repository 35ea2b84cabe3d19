// SPDX-License-Identifier: BSD-2-Clause
//! Addresses → symbols, source lines, inlined functions.
//!
//! Names and offsets come from kallsyms, which is exact for what runs. Lines come from the DWARF
//! of a kernel image, read by a thread that parses a compilation unit when an address first falls
//! into it (`engine`); what it cannot answer is a missing line and a count, never an error.

mod engine;
mod found;
mod functions;
mod inflate;
mod lines;
mod map;
mod modules;
mod paths;
mod relocate;
mod sections;
mod symbolizer;
#[cfg(test)]
mod tests;
mod types;
mod units;

pub use found::{FoundPlace, find_places};
pub use functions::{SourceFunctions, Where};
pub use lines::{Answer, LineSource, Missing, PendingLines};
pub use modules::ModuleLines;
pub use sections::OpenError;
pub use symbolizer::{Symbolizer, Unresolved};
pub use types::{Frame, Inlined, Level, SourceLine, SymbolAt};

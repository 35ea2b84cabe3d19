// SPDX-License-Identifier: BSD-2-Clause
//! Translates addresses to symbols, source lines and inlined functions.
//!
//! Names and offsets come from kallsyms, which is exact for the running kernel. Lines come from the
//! DWARF of a kernel image (read by `dwarf`). A compilation unit is converted into a table of a few
//! kilobytes (`digest`) when an address first falls into it (`engine`), or earlier (`index`). An
//! address without an answer is a missing line and a count, never an error.

mod digest;
mod dwarf;
mod engine;
mod fgkaslr;
mod found;
mod functions;
mod guard;
mod image;
mod index;
mod inflate;
mod lines;
mod map;
mod modules;
mod paths;
mod readable;
mod relocate;
mod shared;
mod strings;
mod symbolizer;
mod tables;
#[cfg(test)]
mod tests;
mod types;
mod units;

pub use found::{FoundPlace, find_places};
pub use functions::SourceFunctions;
pub use guard::{Caught, take_caught};
pub use image::OpenError;
pub use index::{Built, build_index};
pub use lines::{
    DEFAULT_LINE_MEMORY, IndexUse, LineAnswer, LineOptions, LineSource, Missing, PendingLines,
};
pub use modules::ModuleLines;
pub(crate) use strings::PlaceHash;
pub use symbolizer::{Symbolizer, Unresolved};
pub use types::{Frame, Frames, Inlined, Level, SourceLine, SymbolAt};

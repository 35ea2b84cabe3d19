// SPDX-License-Identifier: BSD-2-Clause
//! A recorded run: the bytes from the kernel and the facts needed to interpret them, in one JSON
//! file.
//!
//! A replay gives the same output on any machine. The file is small, because it has symbols and
//! lines only for addresses that occur in the records.

mod fate;
mod recording;
mod trail;

#[cfg(test)]
mod tests;

pub use fate::{RecordedFate, RecordedResult};
pub use recording::{RecordedFunction, RecordedInline, RecordedLine, RecordedSymbol, Recording};
pub use trail::{RecordedCallee, RecordedTrail};

// SPDX-License-Identifier: BSD-2-Clause
//! A recorded run: the bytes from the kernel and the facts that they need, in one JSON file.
//!
//! A recording replays to the very same output on any machine. It is small, because only the
//! symbols and lines of addresses that occur in its records are kept.

mod recording;
mod trail;

#[cfg(test)]
mod tests;

pub use recording::{RecordedFunction, RecordedInline, RecordedLine, RecordedSymbol, Recording};
pub use trail::{RecordedCallee, RecordedTrail};

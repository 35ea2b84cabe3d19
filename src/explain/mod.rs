// SPDX-License-Identifier: BSD-2-Clause
//! Why a command failed: which of its failing system calls is the reason, and which are not.
//!
//! Evidence is what the programs wrote to their standard error, how they ended, and which failures
//! happen in programs that work. Everything here is a function of these values.

mod complaint;
mod facts;
mod story;
mod verdict;

#[cfg(test)]
mod tests;

pub use complaint::Line;
pub use story::Story;
pub use verdict::{Cause, Reason, Verdict};

pub(crate) use facts::{is_harmless, outcome};

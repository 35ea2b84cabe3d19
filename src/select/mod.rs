// SPDX-License-Identifier: BSD-2-Clause
//! Globs × kernel facts → the functions to trace, and every function left out with its reason.
//!
//! Pure: nothing is read here. Symbols decide what there is, ftrace's list what can be traced,
//! BTF how results are judged and what trampolines can take.

mod assign;
mod blind;
mod candidates;
mod deny;
mod matching;
mod reason;
mod report;
mod selecting;
#[cfg(test)]
mod tests;
mod types;
mod typing;

pub use assign::{Assigned, BackendPolicy, Offered, Why, assign, counts};
pub use candidates::matching_modules;
pub use reason::{LeftOut, Reason};
pub use report::GlobReport;
pub use selecting::{Capabilities, select};
pub use types::{BtfOrigin, EntryPoint, Prototype, Selection, TracedFunction};

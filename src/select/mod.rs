// SPDX-License-Identifier: BSD-2-Clause
//! Selects the functions to trace from globs and kernel facts. Each function that is left out gets
//! a reason.
//!
//! This module does no I/O. The symbols determine which functions exist, ftrace's list which can be
//! traced, and BTF how results are judged and what trampolines can take.

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

pub use assign::{Assigned, BackendPolicy, BackendReason, Offered, assign, counts};
pub use candidates::matching_modules;
pub use reason::{LeftOut, LeftOutReason};
pub use report::GlobReport;
pub(crate) use selecting::entry_reason;
pub use selecting::{BackendCapabilities, select};
pub use types::{BtfOrigin, Prototype, Selection, TracedFunction};

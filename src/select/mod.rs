// SPDX-License-Identifier: BSD-2-Clause
//! Globs × kernel facts → the functions to trace, and every function left out with its reason.

mod types;

pub use types::{BtfOrigin, EntryPoint, Prototype, Selection, TracedFunction};

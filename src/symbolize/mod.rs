// SPDX-License-Identifier: BSD-2-Clause
//! Addresses → symbols, source lines, inlined functions.

mod types;

pub use types::{Frame, Inlined, SourceLine, SymbolAt};

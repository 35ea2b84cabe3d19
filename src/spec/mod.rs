// SPDX-License-Identifier: BSD-2-Clause
//! Leaf value types that every stage speaks: addresses, ids, globs, errnos, results.
//!
//! Nothing here reads a file, knows libbpf or prints; a type is here when more than one
//! stage needs it and it means the same thing in each.

mod backend;
mod duration;
mod errno;
mod errno_table;
mod glob;
mod ids;
mod name_glob;
mod nearest;
mod place;
mod result;
#[cfg(test)]
mod tests;

pub use backend::{BackendKind, Needs};
pub use duration::{BareUnit, parse_duration};
pub use errno::{Errno, ErrnoSet};
pub use glob::{FunctionName, GlobKind, GlobSpec};
pub use ids::{Addr, FuncId, Pid};
pub use name_glob::{NameGlob, base_name};
pub use nearest::nearest;
pub use place::{CodePlace, SymbolPlace, parse_hex};
pub use result::{Outcome, ResultType};

// SPDX-License-Identifier: BSD-2-Clause
//! Leaf value types that every stage speaks: addresses, ids, globs, errnos, results.
//!
//! Nothing here reads a file, knows libbpf or prints; a type is here when more than one
//! stage needs it and it means the same thing in each.

mod ids;
mod result;

pub use ids::{Addr, FuncId, Pid};
pub use result::{Outcome, ResultType};

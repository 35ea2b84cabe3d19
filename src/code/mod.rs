// SPDX-License-Identifier: BSD-2-Clause
//! Machine code of kernel functions: which functions they call, which errnos they make, and what is
//! reachable from them. The caller provides the bytes (`KernelText`), so this module does no I/O.
//!
//! Only x86-64 is decoded (`arch`). For other architectures there are no results.

mod arch;
mod decode;
mod errnos;
mod flow;
mod functions;
mod pointers;
mod reach;
// With functions of x86-64.
#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests;
mod text;
mod trail;

pub use decode::ResultUse;
pub use errnos::{ErrnoSite, Errnos};
pub use flow::{Flow, FlowQuestion, Flows, Repetition, ResultFate, Returned};
pub use functions::{Callee, Code, FunctionCode};
pub use pointers::{Pointer, pointers};
pub use reach::{Reached, reachable};
pub use text::{FromFn, KernelText};
pub use trail::{TrailCallee, TrailFacts, Trails};

// SPDX-License-Identifier: BSD-2-Clause
//! Machine code of the kernel's functions: whom they call, which errnos they make, what can be
//! reached. Pure over bytes: where they come from (`Text`) is up to the caller.
//!
//! Only x86-64 is decoded; on other machines there is just nothing to be said.

mod decode;
mod errnos;
mod functions;
mod pointers;
mod reach;
#[cfg(test)]
mod tests;
mod text;
mod trail;

pub use decode::ResultUse;
pub use errnos::Errnos;
pub use functions::{Callee, Code, Function};
pub use pointers::{Pointer, pointers};
pub use reach::{Reached, reachable};
pub use text::{FromFn, Text};
pub use trail::{TrailCallee, TrailFacts, Trails};

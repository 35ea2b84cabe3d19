// SPDX-License-Identifier: BSD-2-Clause
//! Whether the result of a call can become the result of its caller, read from the caller's machine
//! code.
//!
//! A function is followed along all ways from the return of a call on, with the value that the
//! call returned: copies in registers and in the frame, tests of it, and the constants that are
//! made behind these tests. What was made before the call is known from a run from the entry on.
//! Ways that are merged are not told apart afterwards, so more is taken as possible than is. Not
//! followed are exceptions, and what is in memory outside of the frame.
//!
//! Work is bounded. If the bound is met, or if a jump leads to an unknown place (a jump table),
//! there is no answer.

mod fate;
mod flows;
mod graph;
mod operations;
mod run;
mod source;
mod state;
mod value;

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests;

pub use fate::{Flow, FlowQuestion, Repetition, ResultFate, Returned};
pub use flows::Flows;
pub(super) use operations::{
    Calculation, Condition, Extension, Frame, Onward, Operand, Operation, Place, Translated,
};

// SPDX-License-Identifier: BSD-2-Clause
//! Assembles events into finished sessions: call tree, chain, culprit and stack.
//!
//! This module does no I/O and has no callbacks. The caller passes in facts about the kernel: what
//! each address of the stack is, and what the machine code says about the culprit and about results
//! of calls.

mod assemble;
mod explain;
mod fates;
mod filter;
mod flight;
mod merge;
mod messages;
mod placement;
mod provenance;
mod told;
mod trail;
mod types;

#[cfg(test)]
mod tests;

pub use crate::events::FunctionArguments;
pub use assemble::{Assembler, Malformed};
pub use explain::{Assembled, CodeLevel, CulpritCode, SessionFacts};
pub use fates::ResultFates;
pub use filter::ErrorFilter;
pub use flight::{DumpReason, FlightCall, FlightDump, FlightThread, flight_threads};
pub use merge::AddrRole;
pub use messages::{Message, Speaker, messages};
pub use placement::Placement;
pub use told::{TaskExit, TaskOutput, Told};
pub use trail::only_callee;
pub use types::{
    Call, Chain, ChainLink, ContainerName, ExecutionContext, LinkKind, MonotonicNs, Note, Session,
    SessionHeader, SessionLosses, StackRow, TaskContext, Trail, UntracedCallee, UntracedMaker,
    Workload,
};

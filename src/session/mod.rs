// SPDX-License-Identifier: BSD-2-Clause
//! Events → finished sessions: the call tree, the chain of the failure, its culprit, the stack.
//!
//! Sans-I/O: what an address is (code, our own tracing, an interrupt's door) comes in as a value.

mod assemble;
mod filter;
mod merge;
mod placement;
mod provenance;
mod trail;
mod types;

#[cfg(test)]
mod tests;

pub use assemble::{Assembler, Malformed};
pub use filter::ErrorFilter;
pub use merge::AddrRole;
pub use placement::Placement;
pub use trail::TrailSource;
pub use types::{
    Call, ChainLink, ContainerName, Lane, Link, MonotonicNs, Session, SessionLosses, StackRow,
    TaskContext, Trail, UntracedCallee, Workload,
};

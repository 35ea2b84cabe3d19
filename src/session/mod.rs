// SPDX-License-Identifier: BSD-2-Clause
//! Assembles events into finished sessions: call tree, chain, culprit and stack.
//!
//! This module does no I/O. The caller passes in what an address is: code, our own tracing, or an
//! interrupt's entry code.

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
    Call, Chain, ChainLink, ContainerName, Lane, Link, MonotonicNs, Session, SessionHeader,
    SessionLosses, StackRow, TaskContext, Trail, UntracedCallee, Workload,
};

// SPDX-License-Identifier: BSD-2-Clause
//! Events → finished sessions: the call tree, the chain of the failure, its culprit.

mod types;

pub use types::{Call, ChainLink, Lane, Link, MonotonicNs, Session, SessionLosses, StackRow};

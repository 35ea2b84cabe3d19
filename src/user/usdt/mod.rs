// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes: which ones a file has, which ones globs name, and what ends the sessions that they
//! open.

mod arguments;
mod enclosing;
mod listing;
mod notes;
mod selecting;
mod unwinding;

pub use listing::{FileProbes, ListedProbe, ListedSite, list_probes};

pub(super) use notes::{Probes, probes};
pub(super) use selecting::WantedProbes;

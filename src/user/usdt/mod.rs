// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes: which ones a file has.

mod arguments;
mod listing;
mod notes;
mod processes;

pub use listing::{FileProbes, ListedProbe, ListedSite, list_probes};

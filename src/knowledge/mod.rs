// SPDX-License-Identifier: BSD-2-Clause
//! Tables of what is known about kernel functions. Each has its reason, and version and commit
//! where they matter. Review these tables first for a new kernel; `docs/kernels.md` lists what
//! depends on versions.

pub(crate) mod arch;
pub(crate) mod blind;
pub(crate) mod callees;
pub(crate) mod complaints;
pub(crate) mod deciders;
pub(crate) mod denied;
pub(crate) mod frames;
pub(crate) mod harmless;
pub(crate) mod helpers;
pub(crate) mod messages;
pub(crate) mod reasons;
pub(crate) mod refusals;
pub(crate) mod requests;
pub(crate) mod results;
pub(crate) mod syscalls;

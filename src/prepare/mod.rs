// SPDX-License-Identifier: BSD-2-Clause
//! From options to a selection: facts about the running kernel, functions that match, what this
//! process may do. Nothing is attached here.

pub(crate) mod features;
pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod on_load;
pub(crate) mod preflight;
pub(crate) mod selection_cache;
pub(crate) mod sources;

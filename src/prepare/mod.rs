// SPDX-License-Identifier: BSD-2-Clause
//! From options to a selection: reads facts about the running kernel, selects functions and checks
//! what this process may do. Attaches to nothing.

mod arch;
pub(crate) mod features;
pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod learnt;
mod messages;
pub(crate) mod notes;
pub(crate) mod on_load;
pub(crate) mod preflight;
mod refusals;
pub(crate) mod selection_cache;
pub(crate) mod sources;
pub(crate) mod users;

// SPDX-License-Identifier: BSD-2-Clause
//! The acceptance set of `retsnoop-rs -- CMD`: failures of ordinary programs whose reason is known
//! beforehand. The cases are data (`tests/data/why`); this runs them in a guest and scores the answers.
//!
//! Shared by the program `why` (see scripts/why) and the guest tests.

pub(crate) mod case;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod table;

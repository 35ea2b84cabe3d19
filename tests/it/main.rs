// SPDX-License-Identifier: BSD-2-Clause
//! The one integration crate: command line goldens, replays, and (module `root`) guest tests.
#![allow(
    clippy::unwrap_used,
    reason = "tests: the helpers are no #[test] functions themselves"
)]

mod cli;
mod fuzz;
mod noise;
mod replay;
mod root;
mod scripts;

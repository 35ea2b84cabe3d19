// SPDX-License-Identifier: BSD-2-Clause
//! The one integration crate: command line goldens, replays, and (module `root`) guest tests.
#![allow(
    clippy::unwrap_used,
    reason = "tests: the helpers are no #[test] functions themselves"
)]

mod cli;
mod flags;
#[path = "../forge.rs"]
mod forge;
mod forge_user;
mod fuzz;
mod gcc;
mod heart;
mod hostile;
mod noise;
mod programs;
mod replay;
mod root;
mod scripts;
mod usdt;
mod user_types;
mod why;

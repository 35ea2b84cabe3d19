// SPDX-License-Identifier: BSD-2-Clause
//! The command line as users meet it: what it answers, what it says of itself, what documents
//! say of it. No privileges are needed, and no kernel is touched.
//!
//! Expected texts are under `tests/golden/cli` and in the documents; `UPDATE_GOLDEN=1` writes them
//! anew.

mod answers;
mod debuginfod;
mod documents;
mod golden;
mod hints;
mod program;
pub(crate) mod server;
mod streams;
mod symbolize;

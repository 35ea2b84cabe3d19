// SPDX-License-Identifier: BSD-2-Clause
//! Output files and streams, the terminal, and the signals that end a run.

#[allow(unsafe_code)]
mod default_action;
pub(crate) mod rotating;
pub(crate) mod stop;
pub(crate) mod stream;
pub(crate) mod terminal;
pub(crate) mod writer;

use std::io::{self, Write};

use anyhow::{Context, Result};

/// Writes bytes to stdout and flushes it.
///
/// # Errors
/// Fails if stdout cannot be written to.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("failed to write to stdout")
}

// SPDX-License-Identifier: BSD-2-Clause
//! Manual page and shell completions, made from the command line's description.

use std::io::{self, Write};

use clap_complete::{Shell, aot};

use super::Generated;

/// Writes one of them.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn generate(what: Generated, out: &mut dyn Write) -> io::Result<()> {
    let shell = match what {
        Generated::Man => return clap_mangen::Man::new(super::command()).render(out),
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
    };
    let mut bytes = Vec::new();
    aot::generate(shell, &mut super::command(), "retsnoop-rs", &mut bytes);
    out.write_all(&bytes)
}

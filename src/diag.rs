// SPDX-License-Identifier: BSD-2-Clause
//! The only writer of stderr: errors, warnings, notes, hints, progress.

use std::cell::Cell;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Talks to the user. Text from outside is escaped; a line that cannot be written is lost.
#[derive(Debug)]
pub struct Diag {
    verbosity: u8,
    terminal: bool,
    color: bool,
    /// Length of the progress line that stands on the terminal.
    progress: Cell<usize>,
    /// When the current phase of the start-up began.
    phase: Cell<Instant>,
}

impl Diag {
    /// On stderr; with colours where it is a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn for_stderr(verbosity: u8) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            verbosity,
            terminal,
            color: terminal && !no_color,
            progress: Cell::new(0),
            phase: Cell::new(Instant::now()),
        }
    }

    /// What ends the run.
    pub fn error(&self, text: &str) {
        self.line("retsnoop-rs: ", Some(("error", "\x1b[1;31m")), text);
    }

    /// What makes the result smaller or less sure.
    pub fn warning(&self, text: &str) {
        self.line("retsnoop-rs: ", Some(("warning", "\x1b[1;33m")), text);
    }

    /// What is good to know.
    pub fn note(&self, text: &str) {
        self.line("retsnoop-rs: ", Some(("note", "\x1b[1m")), text);
    }

    /// What to do about the error or warning before it.
    pub fn hint(&self, text: &str) {
        self.line("", Some(("hint", "\x1b[1;36m")), text);
    }

    /// What is part of every run.
    pub fn say(&self, text: &str) {
        self.line("", None, text);
    }

    /// What is told from this many `-v` on.
    pub fn info(&self, verbosity: u8, text: &str) {
        if self.verbosity >= verbosity {
            self.line("", None, text);
        }
    }

    /// What was just done, with the time since the last of these (`-vv`).
    pub fn phase(&self, done: &str) {
        let took = self.phase.replace(Instant::now()).elapsed();
        self.info(2, &format!("{:6.1} ms  {done}", took.as_secs_f64() * 1e3));
    }

    /// How far long work is; only on a terminal, where the next line replaces it.
    pub fn progress(&self, text: &str) {
        if !self.terminal {
            return;
        }
        let text = escape(text);
        let padding = self.progress.get().saturating_sub(text.len());
        self.progress.set(text.len());
        let mut stderr = io::stderr().lock();
        let _lost = write!(stderr, "\r{text}{:padding$}", "");
        let _lost = stderr.flush();
    }

    /// Takes the progress line away.
    pub fn end_progress(&self) {
        let width = self.progress.replace(0);
        if width > 0 {
            let _lost = write!(io::stderr().lock(), "\r{:width$}\r", "");
        }
    }

    fn line(&self, program: &str, label: Option<(&str, &str)>, text: &str) {
        self.end_progress();
        let label = match label {
            None => String::new(),
            Some((label, color)) if self.color => format!("{program}{color}{label}:\x1b[0m "),
            Some((label, _)) => format!("{program}{label}: "),
        };
        let _lost = writeln!(io::stderr().lock(), "{label}{}", escape(text));
    }
}

/// Control characters are shown, never sent; line breaks are ours.
fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hostile = c.is_control() && c != '\n';
            let plain = (!hostile).then_some(c);
            let escaped = hostile.then(|| c.escape_default()).into_iter().flatten();
            plain.into_iter().chain(escaped)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn hostile_text_never_reaches_the_terminal_raw() {
        assert_eq!(escape("a\x1b[31mb\u{9b}c\r"), "a\\u{1b}[31mb\\u{9b}c\\r");
        assert_eq!(escape("two\nlines é"), "two\nlines é");
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! The only writer of stderr: errors, warnings, notes, hints, progress.
//!
//! There is one value, which is created once and passed to all code that reports something; there
//! is no global and no logger. Every text is escaped, so that file names, thread names and kernel
//! strings cannot control the terminal.

use std::env;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[cfg(test)]
mod tests;

/// The program's name, with which messages begin.
const PROGRAM: &str = "retsnoop-rs";

/// When messages are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always, also in files and pipes.
    Always,
    /// Never.
    Never,
}

/// Whether stderr is a terminal. Only a terminal gets progress lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// A terminal: lines can be rewritten.
    Terminal,
    /// A file or a pipe: lines cannot be rewritten.
    Stream,
}

/// Writes to stderr.
pub struct Diag {
    out: Mutex<Box<dyn Write + Send>>,
    screen: Screen,
    coloured: bool,
    verbosity: u8,
    /// Whether a progress line is on the screen.
    in_progress: AtomicBool,
    /// When the current phase of the start began.
    phase: Mutex<Instant>,
}

impl Diag {
    /// Writes to this process's stderr.
    #[must_use]
    pub fn stderr(paint: Paint, verbosity: u8) -> Self {
        let stderr = io::stderr();
        let screen = if stderr.is_terminal() {
            Screen::Terminal
        } else {
            Screen::Stream
        };
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = match paint {
            Paint::Auto => screen == Screen::Terminal && !no_color,
            Paint::Always => true,
            Paint::Never => false,
        };
        Self::new(Box::new(stderr), screen, coloured, verbosity)
    }

    fn new(out: Box<dyn Write + Send>, screen: Screen, coloured: bool, verbosity: u8) -> Self {
        Self {
            out: Mutex::new(out),
            screen,
            coloured,
            verbosity,
            in_progress: AtomicBool::new(false),
            phase: Mutex::new(Instant::now()),
        }
    }

    /// How often `-v` was given.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbosity
    }

    /// Reports an error that ends the run: `retsnoop-rs: error: …`.
    pub fn error(&self, message: impl fmt::Display) {
        self.labelled("error", "31", &message);
    }

    /// Reports a problem that makes the result smaller or less certain.
    pub fn warning(&self, message: impl fmt::Display) {
        self.labelled("warning", "33", &message);
    }

    /// Reports useful information.
    pub fn note(&self, message: impl fmt::Display) {
        self.labelled("note", "36", &message);
    }

    /// Suggests what to do about the previous message. Options that it names must exist.
    pub fn hint(&self, message: impl fmt::Display) {
        let label = self.painted("hint:", "36");
        self.line(&format!("{label} {}", escape(&message.to_string())));
    }

    /// Writes a plain line if `-v` was given at least `level` times; 0 means always.
    pub fn info(&self, level: u8, message: impl fmt::Display) {
        if self.verbosity >= level {
            self.line(&escape(&message.to_string()));
        }
    }

    /// Reports a finished phase with its duration (`-vv`).
    pub fn phase(&self, done: &str) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let took = phase.elapsed().as_secs_f64() * 1e3;
        *phase = Instant::now();
        self.info(2, format_args!("{took:7.1} ms  {done}"));
    }

    /// Shows what is being done. The next call replaces the line. Does nothing unless stderr is a
    /// terminal.
    pub fn progress(&self, message: impl fmt::Display) {
        if self.screen == Screen::Terminal {
            self.in_progress.store(true, Ordering::Relaxed);
            self.write(&format!("\r\x1b[K{}", escape(&message.to_string())));
        }
    }

    /// Removes the progress line.
    pub fn end_progress(&self) {
        if self.in_progress.swap(false, Ordering::Relaxed) {
            self.write("\r\x1b[K");
        }
    }

    fn labelled(&self, label: &str, colour: &str, message: &dyn fmt::Display) {
        let label = self.painted(&format!("{label}:"), colour);
        self.line(&format!(
            "{PROGRAM}: {label} {}",
            escape(&message.to_string())
        ));
    }

    fn painted(&self, label: &str, colour: &str) -> String {
        if self.coloured {
            format!("\x1b[1;{colour}m{label}\x1b[0m")
        } else {
            label.to_owned()
        }
    }

    fn line(&self, line: &str) {
        self.end_progress();
        self.write(&format!("{line}\n"));
    }

    /// Errors are ignored, because there is nowhere to report them.
    fn write(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl fmt::Debug for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diag")
            .field("screen", &self.screen)
            .field("coloured", &self.coloured)
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

/// Makes the text a single line and control characters visible: `\n`, `\x1b`, `\u{202e}`. Otherwise
/// a file name could look like a message of ours.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') {
            escaped.extend(c.escape_default());
        } else if !(c.is_control() || turns_text(c)) {
            escaped.push(c);
        } else if c.is_ascii() {
            // Writing to a `String` cannot fail.
            let _ = write!(escaped, "\\x{:02x}", u32::from(c));
        } else {
            escaped.extend(c.escape_unicode());
        }
    }
    escaped
}

/// Whether a character changes the direction in which the rest of a line is shown.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// SPDX-License-Identifier: BSD-2-Clause
//! `--oneline`: equal failures in a row become one line with their number.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::render::Clock;
use crate::session::MonotonicNs;

/// How long a line waits for equal ones.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The last line, which is not written yet.
#[derive(Debug)]
struct Waiting {
    at: MonotonicNs,
    line: String,
    count: u64,
    since: Instant,
}

/// Writes lines, equal ones once.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Option<Waiting>,
}

impl Lines {
    /// Adds the line of a failure that began at this time.
    pub(crate) fn add(
        &mut self,
        at: MonotonicNs,
        line: String,
        clock: Clock,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if let Some(waiting) = self.waiting.as_mut().filter(|last| last.line == line) {
            waiting.count += 1;
            return Ok(());
        }
        self.write(clock, out)?;
        self.waiting = Some(Waiting {
            at,
            line,
            count: 1,
            since: Instant::now(),
        });
        Ok(())
    }

    /// Returns when the waiting line is due; `None` if there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting
            .as_ref()
            .map(|waiting| waiting.since + MAX_WAIT)
    }

    /// Writes the waiting line.
    pub(crate) fn write(&mut self, clock: Clock, out: &mut dyn Write) -> io::Result<()> {
        let Some(waiting) = self.waiting.take() else {
            return Ok(());
        };
        let mut text = String::new();
        clock.push_time_of_day(&mut text, waiting.at);
        text.push(' ');
        text.push_str(&waiting.line);
        if waiting.count > 1 {
            text.push_str(&format!(" {}×", waiting.count));
        }
        writeln!(out, "{text}")
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! The last line of a run: how many sessions were shown, how many were not, and why. The counts add
//! up.

use std::io::{self, Write};
use std::time::Duration;

use super::escape;

/// The outcome of the sessions of a run: `started == shown + filtered + succeeded + drops.total() +
/// open_at_end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of sessions that were opened in the kernel.
    pub started: u64,
    /// Number of sessions that were shown.
    pub shown: u64,
    /// Number of failed sessions that filters (`-x`, `-L`, `-n`, …) excluded.
    pub filtered: u64,
    /// Number of sessions that did not fail, if successes were not requested.
    pub succeeded: u64,
    /// Dropped sessions, by cause.
    pub dropped: Drops,
    /// Number of sessions that had not ended when the run ended.
    pub open_at_end: u64,
    /// What the kernel missed. These are parts of sessions, not sessions.
    pub missed: Missed,
    /// Tasks that were in scope but were not traced, or not from their start.
    pub untraced: UntracedTasks,
    /// Number of traced functions.
    pub functions: u64,
    /// Time from "Receiving data…" to the end.
    pub run_time: Duration,
    /// Functions that the governor detached, in that order.
    pub detached: Vec<Detached>,
    /// System calls of a command that failed and whose functions were not traced: the most frequent
    /// first, and those with `ENOENT` last.
    pub unexamined: Vec<Unexamined>,
}

/// System calls that failed in the same way and were not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexamined {
    /// Name of the system call, as strace has it.
    pub call: &'static str,
    /// The errno, positive.
    pub errno: u16,
    /// How often it failed so.
    pub count: u64,
}

/// A function that was called too often or cost too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// Name of the function.
    pub function: String,
    /// Name of its module; `None` for the kernel itself.
    pub module: Option<String>,
    /// Calls per second when it was detached.
    pub rate: u64,
    /// The option whose limit was exceeded: `max-rate` or `budget`.
    pub option: &'static str,
}

/// Calls, returns and stacks that were missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// How often our programs did not run, because one was running on that CPU already, or because
    /// tracing was disabled there. Most are traced helpers of our own programs.
    pub recursion: u64,
    /// How often a probe had no free slot for a return.
    pub probes: u64,
    /// Number of kernel stacks that did not fit into the ring buffer.
    pub stacks: u64,
}

/// Processes and control groups that appeared during the run and were not traced as requested. How
/// many sessions they would have had is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntracedTasks {
    /// Number of descendants and control groups that did not fit into the scope map.
    pub no_room: u64,
    /// Number of new control groups whose report did not fit into the buffer. Each may belong to a
    /// requested container, which was then searched for late.
    pub noticed_late: u64,
}

/// Number of dropped sessions by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The ring buffer had no room for their records.
    pub ring_full: u64,
    /// No slot was free when their entry function was called.
    pub no_slot: u64,
    /// The ring buffer had not been read for half a minute when their entry function was called.
    pub stalled: u64,
    /// Their task exited or called `exec` before the entry function returned.
    pub task_exited: u64,
    /// The return of their entry function was never reported.
    pub abandoned: u64,
    /// Their records were incomplete or malformed.
    pub undecodable: u64,
    /// The kernel sent them, but they were not written, because the output failed or because the
    /// run ended with an error before they were read.
    pub unwritten: u64,
}

impl Drops {
    /// Sum over all causes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }

    fn by_cause(&self) -> [(&'static str, u64); 7] {
        let Self {
            ring_full,
            no_slot,
            stalled,
            task_exited,
            abandoned,
            undecodable,
            unwritten,
        } = *self;
        [
            ("ring full", ring_full),
            ("no slot", no_slot),
            ("nobody read", stalled),
            ("task exited", task_exited),
            ("return never seen", abandoned),
            ("undecodable", undecodable),
            ("not written", unwritten),
        ]
    }
}

/// Writes the summary as one line.
///
/// # Errors
///
/// When writing fails.
pub fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", line(summary))
}

fn line(summary: &Summary) -> String {
    let Summary {
        started: _,
        shown,
        filtered,
        succeeded,
        dropped,
        open_at_end,
        missed: _,
        untraced,
        functions,
        run_time,
        detached,
        // They have a line of their own.
        unexamined: _,
    } = summary;
    let mut parts = vec![count(*shown, "session") + " shown"];
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    add(*filtered, "filtered out");
    add(*succeeded, "succeeded");
    let causes = dropped.by_cause();
    let causes: Vec<String> = causes
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    add(dropped.total(), &format!("dropped ({})", causes.join(", ")));
    add(*open_at_end, "still open");
    add(untraced.no_room, "too many to follow");
    add(untraced.noticed_late, "new control groups noticed late");
    let seconds = run_time.as_secs_f64();
    let mut line = format!(
        "{}; {} traced for {seconds:.1} s",
        parts.join(", "),
        count(*functions, "function")
    );
    if !detached.is_empty() {
        let detached = detached.iter().map(|of| {
            format!(
                "{} ({} calls a second)",
                escape(of.function.as_bytes()),
                of.rate
            )
        });
        line += &format!(
            ", detached from {}",
            detached.collect::<Vec<_>>().join(", ")
        );
    }
    line
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Detached, Drops, Missed, Summary, UntracedTasks, line};

    #[test]
    fn the_summary_names_what_happened_and_nothing_else() {
        let summary = Summary {
            functions: 1,
            ..Summary::default()
        };
        assert_eq!(
            line(&summary),
            "0 sessions shown; 1 function traced for 0.0 s"
        );
        let summary = Summary {
            started: 113,
            shown: 3,
            filtered: 2,
            succeeded: 100,
            dropped: Drops {
                ring_full: 4,
                no_slot: 0,
                stalled: 0,
                task_exited: 3,
                abandoned: 0,
                undecodable: 0,
                unwritten: 0,
            },
            open_at_end: 1,
            missed: Missed::default(),
            untraced: UntracedTasks {
                no_room: 2,
                noticed_late: 5,
            },
            functions: 1781,
            run_time: Duration::from_millis(61_240),
            detached: vec![Detached {
                function: "__fdget\x1b".to_owned(),
                module: None,
                rate: 250_000,
                option: "max-rate",
            }],
            unexamined: Vec::new(),
        };
        assert_eq!(
            line(&summary),
            "3 sessions shown, 2 filtered out, 100 succeeded, \
             7 dropped (ring full 4, task exited 3), 1 still open, 2 too many to follow, \
             5 new control groups noticed late; \
             1781 functions traced for 61.2 s, detached from __fdget\\x1b (250000 calls a second)"
        );
        let Summary {
            started,
            shown,
            filtered,
            succeeded,
            dropped,
            open_at_end,
            ..
        } = summary;
        assert_eq!(
            started,
            shown + filtered + succeeded + dropped.total() + open_at_end
        );
    }
}

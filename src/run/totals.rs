// SPDX-License-Identifier: BSD-2-Clause
//! Combines the counters of the kernel side and of user space, and reports them at the end of a
//! run.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use super::consumer::Counts;
use super::unexamined;
use crate::bpf::{KernelStats, Misses, Tracer};
use crate::config::OutputFormat;
use crate::diag::Diag;
use crate::render::{
    Detached, Drops, Missed, Summary, UntracedTasks, write_summary_json, write_summary_text,
};
use crate::scope::Scoping;

/// Warns about missed calls and other losses, with hints.
fn say_misses(misses: Misses, stats: &KernelStats, diag: &Diag) {
    if misses.probes > 0 {
        diag.warning(format_args!(
            "{} probes had no free slot for a return: chains may lack calls",
            misses.probes
        ));
        diag.hint(
            "functions that many tasks sleep in: leave them out (-d), or use --backend fentry",
        );
    }
    if misses.recursion > 0 {
        diag.info(
            1,
            format_args!(
                "{} calls, returns, or starts and ends of tasks came while a program of ours ran on \
                 that CPU (most are traced helpers of our own), or where the kernel allows no \
                 kprobe programs",
                misses.recursion
            ),
        );
    }
    if stats.unrecognized > 0 {
        diag.warning(format_args!(
            "this kernel reports calls of entry functions at another address than expected: {} were \
             told by their cookies, which takes longer",
            stats.unrecognized
        ));
    }
    if stats.failed_tail_calls > 0 {
        diag.warning(format_args!(
            "{} calls and returns were not seen, because a tail call failed: chains may lack calls",
            stats.failed_tail_calls
        ));
    }
    if stats.lost_slots > 0 {
        diag.warning(format_args!(
            "room for {} sessions was lost to a lock of the kernel's",
            stats.lost_slots
        ));
    }
    if stats.called_before > 0 {
        diag.warning(format_args!(
            "{} hits of USDT probes opened no session: the functions that they are in had been \
             called before tracing began, so that their ends would not be seen",
            stats.called_before
        ));
        diag.hint("name the probe that ends the sessions: `usdt:PATH:PROVIDER:NAME=>NAME`");
    }
    if stats.ring_full + stats.stack_ring_full > 0 {
        diag.hint("a larger buffer (--ringbuf-size), fewer functions or -x lose less");
    }
}

/// Tells how much of what the command wrote is not known.
fn say_untold(n_untold: u64, diag: &Diag) {
    if n_untold > 0 {
        diag.note(format!(
            "{n_untold} writes to standard error, or ends of processes, were not taken into account: \
             there were too many at once"
        ));
    }
}

/// Warns about processes and cgroups that were not traced as requested.
fn say_untraced(untraced: UntracedTasks, diag: &Diag) {
    let UntracedTasks {
        no_room,
        noticed_late,
    } = untraced;
    if no_room > 0 {
        diag.warning(format!(
            "{no_room} processes or control groups found no room in the scope: rules for them \
             had no effect"
        ));
    }
    if noticed_late > 0 {
        diag.warning(format!(
            "{noticed_late} new control groups were noticed late: if they are of containers that \
             were asked for, what these did first was not traced"
        ));
        diag.hint("a larger buffer (--ringbuf-size) has room for what the kernel tells of them");
    }
}

/// What the summary is made of.
pub(crate) struct Totals<'a> {
    pub(crate) tracer: &'a Tracer<'a>,
    pub(crate) scoping: &'a Scoping,
    pub(crate) counts: Counts,
    /// Functions that the governor detached from.
    pub(crate) detached: Vec<Detached>,
    pub(crate) run_time: Duration,
    /// Names of the traced entry functions.
    pub(crate) entries: Vec<String>,
    /// Whether a command has ended with another status than 0.
    pub(crate) command_failed: bool,
    /// Whether there is a verdict on a command.
    pub(crate) has_verdict: bool,
}

/// Prints the warnings and writes the summary.
pub(crate) fn sum_up(
    totals: Totals<'_>,
    format: OutputFormat,
    out: &mut dyn Write,
    diag: &Diag,
) -> Result<()> {
    let Totals {
        tracer,
        scoping,
        counts,
        detached,
        run_time,
        entries,
        command_failed,
        has_verdict,
    } = totals;
    let (stats, misses) = (tracer.stats(), tracer.misses());
    say_misses(misses, &stats, diag);
    if has_verdict {
        say_untold(tracer.told_left_out(), diag);
    }
    let untraced = UntracedTasks {
        no_room: tracer.left_out_of_scope(),
        noticed_late: scoping.n_unnoticed(tracer),
    };
    say_untraced(untraced, diag);
    let counted = summary(&stats, misses, counts, tracer.n_functions(), run_time);
    let (failing, n_uncounted) = tracer.failing_calls().unwrap_or_else(|error| {
        diag.warning(format!("{error:#}"));
        Default::default()
    });
    let unexamined = unexamined::unexamined(&failing, &entries);
    if command_failed || diag.verbosity() > 0 {
        unexamined::say(&unexamined, n_uncounted, diag);
    }
    let summary = Summary {
        untraced,
        detached,
        unexamined,
        ..counted
    };
    write_summary(&summary, format, out, diag)
}

/// Returns the number of sessions that the kernel side sent and that were neither shown nor counted
/// otherwise here.
fn unwritten(stats: &KernelStats, counts: Counts) -> u64 {
    let Counts {
        records: _,
        received: _,
        shown,
        filtered,
        succeeded,
        undecodable,
    } = counts;
    stats
        .shown
        .saturating_sub(shown + filtered + succeeded + undecodable)
}

/// Builds the summary from the counters of a run.
fn summary(
    stats: &KernelStats,
    misses: Misses,
    counts: Counts,
    n_functions: usize,
    run_time: Duration,
) -> Summary {
    Summary {
        started: stats.started + stats.no_slot + stats.stalled,
        shown: counts.shown,
        filtered: counts.filtered + stats.too_short + stats.other_errors,
        succeeded: stats.succeeded + counts.succeeded,
        dropped: Drops {
            ring_full: stats.ring_full,
            no_slot: stats.no_slot,
            stalled: stats.stalled,
            task_exited: stats.task_exit,
            abandoned: stats.abandoned,
            undecodable: counts.undecodable,
            unwritten: unwritten(stats, counts),
        },
        open_at_end: stats.open(),
        missed: Missed {
            recursion: misses.recursion,
            probes: misses.probes,
            stacks: stats.stack_ring_full,
        },
        untraced: UntracedTasks::default(),
        functions: n_functions as u64,
        run_time,
        detached: Vec::new(),
        unexamined: Vec::new(),
    }
}

/// Writes the summary. As JSON it goes to the output, as data; as text it goes to stderr, as a
/// message.
fn write_summary(
    summary: &Summary,
    format: OutputFormat,
    out: &mut dyn Write,
    diag: &Diag,
) -> Result<()> {
    match format {
        OutputFormat::Json => write_summary_json(summary, out)
            .and_then(|()| out.flush())
            .context("failed to write the summary"),
        OutputFormat::Text | OutputFormat::Lines => {
            let mut line = Vec::new();
            write_summary_text(summary, &mut line)?;
            diag.info(0, String::from_utf8_lossy(&line).trim_end());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counts, KernelStats, Misses, summary};

    /// Of 400 sessions, 96 were shown and 272 filtered when the reader of the output went away; 32
    /// were in no count.
    #[test]
    fn sessions_that_were_sent_and_not_written_are_in_the_sum() {
        let stats = KernelStats {
            started: 400,
            shown: 400,
            ..KernelStats::default()
        };
        let counts = Counts {
            received: 400,
            shown: 96,
            filtered: 272,
            ..Counts::default()
        };
        let sum = |counts| summary(&stats, Misses::default(), counts, 1, Duration::ZERO);
        let summed = sum(counts);
        assert_eq!(summed.dropped.unwritten, 32);
        let fates = summed.shown + summed.filtered + summed.succeeded + summed.dropped.total();
        assert_eq!(summed.started, fates);
        // A run that failed before anything was read.
        assert_eq!(sum(Counts::default()).dropped.unwritten, 400);
        let all = Counts {
            shown: 128,
            ..counts
        };
        assert_eq!(sum(all).dropped.unwritten, 0);
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel side counted: every session by its fate, every call and return that was missed.

/// Sessions by their fate; the counters of `struct stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// Sessions opened.
    pub started: u64,
    /// Sessions sent to user space.
    pub shown: u64,
    /// Sessions whose entry function succeeded.
    pub succeeded: u64,
    /// Failing sessions shorter than `--longer`.
    pub too_short: u64,
    /// Failing sessions without an error of `-x`, or that report one of `-X`.
    pub other_errors: u64,
    /// Failing sessions lost because the ring buffer was full.
    pub ring_full: u64,
    /// Sessions that ended with their task.
    pub task_exit: u64,
    /// Sessions whose entry function's return was never reported.
    pub abandoned: u64,
    /// Calls of entry functions that found no free slot, so that no session was opened.
    pub no_slot: u64,
    /// Kernel stacks lost because the ring buffer was full.
    pub stack_ring_full: u64,
    /// Calls of entry functions that opened no session because user space had stopped to read.
    pub stalled: u64,
    /// Calls of entry functions that were told by their cookies, because the kernel reported
    /// another address than was expected.
    pub unrecognized: u64,
    /// Calls and returns that were not seen because a tail call failed.
    pub failed_tail_calls: u64,
    /// Room for sessions that is lost for the rest of the run.
    pub lost_slots: u64,
}

/// How often a function was called so far: numbers that wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Calls, by whomever.
    pub calls: u32,
    /// Those in tasks that had a session or opened one.
    pub inside: u32,
}

impl KernelStats {
    /// Sessions that are open still (or were when tracing stopped).
    #[must_use]
    pub fn open(&self) -> u64 {
        let ended = self.shown
            + self.succeeded
            + self.too_short
            + self.other_errors
            + self.ring_full
            + self.task_exit
            + self.abandoned;
        self.started.saturating_sub(ended)
    }
}

/// Calls and returns that the kernel did not report to our programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Programs not run because one of them was running on that CPU (`recursion_misses`).
    pub recursion: u64,
    /// Probes missed by links: no free return slot, recursion (`missed` of the link).
    pub probes: u64,
}

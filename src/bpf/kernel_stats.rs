// SPDX-License-Identifier: BSD-2-Clause
//! Counters of the kernel side: sessions by their outcome, and calls and returns that were missed.

/// Sessions by their outcome. The counters of `struct stats` in `maps.bpf.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// Sessions that were opened.
    pub started: u64,
    /// Sessions that were sent to user space.
    pub shown: u64,
    /// Sessions whose entry function succeeded.
    pub succeeded: u64,
    /// Failed sessions that were shorter than `--longer`.
    pub too_short: u64,
    /// Failed sessions that `-x`, `-X` or `--any-error` left out.
    pub other_errors: u64,
    /// Failed sessions that were lost because the ring buffer was full.
    pub ring_full: u64,
    /// Sessions that ended because their task exited.
    pub task_exit: u64,
    /// Sessions whose entry function's return was not reported.
    pub abandoned: u64,
    /// Calls of entry functions that opened no session because there was no free slot.
    pub no_slot: u64,
    /// Kernel stacks that were lost because the ring buffer was full.
    pub stack_ring_full: u64,
    /// Calls of entry functions that opened no session because user space had stopped reading.
    pub stalled: u64,
    /// Calls of entry functions that were recognized by their cookies only, because the kernel
    /// reported another address than expected.
    pub unrecognized: u64,
    /// Calls and returns that were not seen because a tail call failed.
    pub failed_tail_calls: u64,
    /// Slots that were lost for the rest of the run, because they could not be returned to the
    /// pool.
    pub lost_slots: u64,
    /// Hits of USDT probes that opened no session, because the functions that the probes are in had
    /// been called before their returns were traced.
    pub called_before: u64,
}

/// How often a function was called so far. Estimated from every 61st call; the numbers wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Calls in all tasks.
    pub calls: u32,
    /// Calls in tasks that had a session or opened one.
    pub inside: u32,
}

impl KernelStats {
    /// Returns the number of sessions that are still open, or were when tracing stopped.
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

/// Calls and returns for which the kernel did not run our programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Runs of programs that were skipped because one of them was running on that CPU
    /// (`recursion_misses`).
    pub recursion: u64,
    /// Events that links missed: no free slot for the return, or recursion (`missed` of the link).
    pub probes: u64,
}

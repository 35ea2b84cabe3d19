// SPDX-License-Identifier: BSD-2-Clause
//! What user space decides before the programs are loaded.

use crate::spec::{Addr, Pid};

/// Where `preempt_count` is, for kernels whose BTF has no per-CPU variables (5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerCpu {
    /// Address (per-CPU offset) of `__preempt_count`.
    pub preempt_count: Addr,
    /// Address of `__per_cpu_offset[]`.
    pub per_cpu_offset: Addr,
}

/// Settings of the kernel side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Sessions shorter than this, in nanoseconds, are not shown.
    pub longer_ns: u64,
    /// Show sessions that succeed, too.
    pub show_success: bool,
    /// Only these processes open sessions; empty: all.
    pub pids_allowed: Vec<Pid>,
    /// These never do.
    pub pids_denied: Vec<Pid>,
    /// Only threads of these names open sessions; empty: all. At most 15 bytes count.
    pub comms_allowed: Vec<String>,
    /// These never do.
    pub comms_denied: Vec<String>,
    /// Size of the ring buffer in bytes: a power of two of at least a page.
    pub ring_bytes: u32,
    /// Sessions that can be open at once: 1..=4096.
    pub max_sessions: u32,
    /// Traced calls that are recorded in depth: 1..=64. Deeper ones are counted.
    pub max_depth: u32,
    /// See [`PerCpu`].
    pub per_cpu: Option<PerCpu>,
}

// SPDX-License-Identifier: BSD-2-Clause
//! What user space decides before the programs are loaded.

use serde::{Deserialize, Serialize};

use crate::spec::{Addr, Pid};

/// Where `preempt_count` is, for kernels whose BTF has no per-CPU variables (5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerCpu {
    /// Address (per-CPU offset) of `__preempt_count`.
    pub preempt_count: Addr,
    /// Address of `__per_cpu_offset[]`.
    pub per_cpu_offset: Addr,
}

/// How a program finds out whether it runs in an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preempt {
    /// A per-CPU variable that BTF has, and where in it the count stands (bytes).
    Variable {
        /// BTF id of the variable.
        btf_id: u32,
        /// Of the count in it.
        offset: u32,
    },
    /// See [`PerCpu`].
    Address(PerCpu),
    /// It cannot: interrupts are not told from tasks.
    Unknown,
}

/// How single kprobes are asked for by `perf_event_open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KprobePmu {
    /// The type of its events.
    pub kind: u32,
    /// The bit of `config` that asks for a function's return.
    pub return_bit: u8,
}

/// What the programs have to know of this kernel's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Offset of `comm` in `struct task_struct`, in bytes.
    pub task_comm: u32,
    /// Offset of `group_leader` in `struct task_struct`, in bytes.
    pub task_group_leader: u32,
    /// Where `preempt_count` is.
    pub preempt: Preempt,
    /// BTF id of `bpf_session_is_return`, where the kernel has it.
    pub session_is_return: Option<u32>,
    /// BTF id of `bpf_session_cookie`, where the kernel has it.
    pub session_cookie: Option<u32>,
    /// `BPF_TRACE_FSESSION_MULTI`, where the kernel has it.
    pub fsession_multi: Option<u32>,
    /// Single kprobes, where the kernel has them.
    pub kprobe_pmu: Option<KprobePmu>,
    /// Whether kprobe programs can ask for cookies.
    pub has_cookies: bool,
}

/// Settings of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Functions that are or may be traced: all ids are below it.
    pub n_functions: u32,
    /// What this kernel's types look like.
    pub layout: Layout,
}

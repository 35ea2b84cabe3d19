// SPDX-License-Identifier: BSD-2-Clause
//! What user space decides before the programs are loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::Addr;

/// Where `preempt_count` is, for kernels whose BTF has no per-CPU variables: Debian's 5.10
/// (a0b8200d06ad, "kbuild: skip per-CPU BTF generation for pahole v1.18-v1.21").
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

/// The numbers of the attach types of programs that trampolines of many functions run. They are
/// newer than libbpf, so the kernel's own types tell them; `None` where it has not that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracingMulti {
    /// `BPF_TRACE_FSESSION_MULTI`: calls and returns.
    pub session: Option<u32>,
    /// `BPF_TRACE_FENTRY_MULTI`: calls.
    pub entry: Option<u32>,
    /// `BPF_TRACE_FEXIT_MULTI`: returns.
    pub exit: Option<u32>,
}

/// Where members stand in structs that tell what a task is a part of: offsets in bytes, named as
/// struct and member are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see above")]
pub struct TaskLayout {
    pub task_group_leader: u32,
    pub task_comm: u32,
    pub task_tgid: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub task_thread_pid: u32,
    pub task_cred: u32,
    pub cred_euid: u32,
    pub cred_egid: u32,
    pub pid_level: u32,
    pub pid_numbers: u32,
    pub task_nsproxy: u32,
    pub nsproxy_mnt: u32,
    pub nsproxy_net: u32,
    /// Of `ns.inum`; so are the next two.
    pub mnt_inum: u32,
    pub net_inum: u32,
    pub pidns_inum: u32,
    /// Of `self.parent`.
    pub cgroup_parent: u32,
    pub cgroup_node: u32,
    pub cgroup_root: u32,
    pub root_hierarchy: u32,
    pub node_id: u32,
}

/// Bits of `preempt_count` that count interrupts (`include/linux/preempt.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptMasks {
    /// Hard interrupts.
    pub hardirq: u32,
    /// NMIs.
    pub nmi: u32,
}

impl PreemptMasks {
    /// Until 7.2.
    pub const ADJACENT: Self = Self {
        hardirq: 0x000f_0000,
        nmi: 0x00f0_0000,
    };
    /// Since 7.3 (9634d860ac15, "preempt: Introduce `HARDIRQ_DISABLE_BITS`") eight bits below them
    /// count how often interrupts were disabled.
    pub const ABOVE_DISABLED: Self = Self {
        hardirq: 0x0f00_0000,
        nmi: 0xf000_0000,
    };
}

/// What the programs have to know of this kernel's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Tasks, and what they are a part of.
    pub task: TaskLayout,
    /// Whether programs can ask for the current task by type: since 5.11 (3ca1032ab7ab, "bpf:
    /// Implement `get_current_task_btf` and `RET_PTR_TO_BTF_ID`").
    pub has_task_btf: bool,
    /// Whether the verifier finds a type by its name without going through all of them: since 7.0
    /// (8c3070e159ba, "btf: Optimize type lookup with binary search"), where types are sorted.
    pub finds_types_fast: bool,
    /// Size of a task's kernel stack (`THREAD_SIZE`), in bytes; a power of two.
    pub stack_size: u32,
    /// Where `preempt_count` is.
    pub preempt: Preempt,
    /// Which of its bits say that an interrupt is being served.
    pub preempt_masks: PreemptMasks,
    /// BTF id of `bpf_session_is_return`, where the kernel has it.
    pub session_is_return: Option<u32>,
    /// BTF id of `bpf_session_cookie`, where the kernel has it.
    pub session_cookie: Option<u32>,
    /// Links of trampolines for many functions.
    pub tracing_multi: TracingMulti,
    /// Single kprobes, where the kernel has them.
    pub kprobe_pmu: Option<KprobePmu>,
    /// Whether kprobe programs can ask for cookies.
    pub has_cookies: bool,
}

/// By what a task is told to be in scope, as `enum scope_kind` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// Process (thread group) id.
    Process = 0,
    /// Effective user id, as the host counts.
    User = 1,
    /// Effective group id, as the host counts.
    Group = 2,
    /// Id of a cgroup of the unified hierarchy.
    Cgroup = 3,
    /// Inode number of the mount namespace.
    MountNamespace = 4,
    /// Inode number of the PID namespace.
    PidNamespace = 5,
    /// Inode number of the network namespace.
    NetNamespace = 6,
}

/// What a rule says of those that it names; `enum scope_rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// They open sessions; if there is any such rule of a kind, others do not.
    Allow = 1,
    /// They never do.
    Deny = 2,
    /// A process that opens none before it has executed a program, and then is allowed.
    HeldUntilExec = 3,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeEntry {
    /// By what.
    pub kind: ScopeKind,
    /// Which one.
    pub id: u64,
    /// Whether it is wanted.
    pub rule: ScopeRule,
}

/// Whose calls open sessions: "and" between kinds, "or" within.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSettings {
    /// By numbers.
    pub entries: Vec<ScopeEntry>,
    /// Rules to come, once programs are loaded or while we trace: a kind with such is no longer
    /// unrestricted.
    pub awaited: Vec<(ScopeKind, ScopeRule)>,
    /// Only threads of these names; empty: all. At most 15 bytes count.
    pub comms_allowed: Vec<String>,
    /// Not threads of these names.
    pub comms_denied: Vec<String>,
    /// What a process's rule says goes for its future children, too.
    pub follow_forks: bool,
    /// How many cgroups are chosen now.
    pub n_cgroups: u32,
    /// Cgroups that come and go are reported, and inherit the rule that they are made in.
    pub watch_cgroups: bool,
}

impl ScopeSettings {
    /// Whether there is a rule of this kind.
    #[must_use]
    pub fn has(&self, kind: ScopeKind) -> bool {
        self.awaited.iter().any(|(awaited, _)| *awaited == kind)
            || self.entries.iter().any(|entry| entry.kind == kind)
    }
}

/// Errors by number, 0 for `NULL`: what they leave out for certain is not even sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorSettings {
    /// A failing session in which none of these was returned is not sent; `None`: any is.
    pub any: Option<Vec<u16>>,
    /// A session whose entry function failed with none of these is not sent; `None`: any is.
    pub only: Option<Vec<u16>>,
    /// A session whose entry function failed with one of these is not sent.
    pub never: Option<Vec<u16>>,
}

/// Settings of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sessions shorter than this, in nanoseconds, are not shown.
    pub longer_ns: u64,
    /// Show sessions that succeed, too.
    pub show_success: bool,
    /// Which failures are wanted.
    pub errors: ErrorSettings,
    /// Whose calls open sessions.
    pub scope: ScopeSettings,
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
    /// Where tracefs is mounted; only functions of modules to come need it, and kernels that
    /// preempt programs.
    pub tracefs: Option<PathBuf>,
    /// Whether the kernel preempts programs that are not of kprobes.
    pub preempts_programs: bool,
}

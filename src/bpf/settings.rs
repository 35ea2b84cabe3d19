// SPDX-License-Identifier: BSD-2-Clause
//! Settings that are fixed before the programs are loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::flight::FlightLayout;
use crate::config::Optimizations;
use crate::spec::Addr;

/// Location of `preempt_count` on kernels whose BTF has no per-CPU variables: Debian's 5.10
/// (a0b8200d06ad, "kbuild: skip per-CPU BTF generation for pahole v1.18-v1.21").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerCpu {
    /// Per-CPU offset of `__preempt_count`.
    pub preempt_count: Addr,
    /// Address of `__per_cpu_offset[]`.
    pub per_cpu_offset: Addr,
}

/// How a program determines whether it runs in an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preempt {
    /// `preempt_count` is in a per-CPU variable that BTF describes.
    Variable {
        /// BTF id of the variable.
        btf_id: u32,
        /// Offset of the count in the variable, in bytes.
        offset: u32,
    },
    /// `preempt_count` is at a known per-CPU address.
    Address(PerCpu),
    /// `preempt_count` is in the task, at this offset in bytes (arm64).
    InTask(u32),
    /// The location is not known: interrupts cannot be distinguished from tasks.
    Unknown,
}

/// How `perf_event_open` is asked for single kprobes or single uprobes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbePmu {
    /// Type of the events (`perf_event_attr.type`).
    pub kind: u32,
    /// Number of the bit of `config` that selects the function's return.
    pub return_bit: u8,
}

/// Attach types of programs for trampolines of many functions. libbpf does not know them yet, so
/// their numbers are read from the kernel's BTF. `None` if the kernel does not have the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracingMultiTypes {
    /// `BPF_TRACE_FSESSION_MULTI`: calls and returns.
    pub session: Option<u32>,
    /// `BPF_TRACE_FENTRY_MULTI`: calls.
    pub entry: Option<u32>,
    /// `BPF_TRACE_FEXIT_MULTI`: returns.
    pub exit: Option<u32>,
}

/// Offsets of members in structs that lead to a task's ids, namespaces and cgroup, in bytes. Names
/// consist of struct and member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see above")]
pub struct TaskLayout {
    pub task_group_leader: u32,
    pub task_exit_code: u32,
    pub task_comm: u32,
    pub task_tgid: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub signal_flags: u32,
    pub signal_group_exit_code: u32,
    pub task_thread_pid: u32,
    pub task_cred: u32,
    pub task_stack: u32,
    pub cred_euid: u32,
    pub cred_egid: u32,
    pub pid_level: u32,
    pub pid_numbers: u32,
    pub task_nsproxy: u32,
    pub nsproxy_mnt: u32,
    pub nsproxy_net: u32,
    /// Offset of `ns.inum`, as in the next two.
    pub mnt_inum: u32,
    pub net_inum: u32,
    pub pidns_inum: u32,
    /// Offset of `self.parent`.
    pub cgroup_parent: u32,
    pub cgroup_node: u32,
    pub cgroup_root: u32,
    pub root_hierarchy: u32,
    pub node_id: u32,
    /// `task_struct.thread_info.status`, or 0 if there is none.
    pub thread_status: u32,
    /// Offset of `thread.fsbase`; 0 if the architecture has none.
    pub task_fsbase: u32,
}

/// Offsets of members in structs that lead from a descriptor to the names of its file, in bytes. Names
/// consist of struct and member. All are 0 if one is not known, and where each function has programs of
/// its own: these are verified in a third more time with what reads names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see above")]
pub struct FileLayout {
    pub task_files: u32,
    pub task_fs: u32,
    pub files_fdt: u32,
    pub fdt_max_fds: u32,
    pub fdt_fd: u32,
    pub file_path: u32,
    pub path_mnt: u32,
    pub path_dentry: u32,
    pub fs_pwd: u32,
    pub dentry_parent: u32,
    pub dentry_name: u32,
    pub dentry_pprev: u32,
    pub dentry_inode: u32,
    pub inode_ino: u32,
    pub inode_sb: u32,
    pub sb_type: u32,
    pub type_name: u32,
    pub mount_mnt: u32,
    pub mount_parent: u32,
    pub mount_mountpoint: u32,
    pub mnt_root: u32,
    pub fs_root: u32,
}

/// Bits of `preempt_count` that count interrupts (`include/linux/preempt.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptMasks {
    /// Bits that count hardirqs.
    pub hardirq: u32,
    /// Bits that count NMIs.
    pub nmi: u32,
}

impl PreemptMasks {
    /// The layout until 7.2.
    pub const ADJACENT: Self = Self {
        hardirq: 0x000f_0000,
        nmi: 0x00f0_0000,
    };
    /// The layout since 7.3 (9634d860ac15, "preempt: Introduce `HARDIRQ_DISABLE_BITS`"): the eight
    /// bits below count how often interrupts were disabled.
    pub const ABOVE_DISABLED: Self = Self {
        hardirq: 0x0f00_0000,
        nmi: 0xf000_0000,
    };
}

/// Facts about this kernel's types and features that the programs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLayout {
    /// Offsets of members for a task's identity and scope.
    pub task: TaskLayout,
    /// Offsets of members for the names of files.
    pub files: FileLayout,
    /// Whether `bpf_get_current_task_btf()` exists: since 5.11 (3ca1032ab7ab, "bpf: Implement
    /// `get_current_task_btf` and `RET_PTR_TO_BTF_ID`").
    pub has_task_btf: bool,
    /// Whether the verifier finds a type by name without a linear search: since 7.0 (8c3070e159ba,
    /// "btf: Optimize type lookup with binary search"), if the types are sorted.
    pub finds_types_fast: bool,
    /// Size of a task's kernel stack (`THREAD_SIZE`), in bytes; a power of two.
    pub stack_size: u32,
    /// Offset on a task's kernel stack of the register that holds the result of its system call;
    /// 0 if it is not known.
    pub answer_at: u32,
    /// Location of `preempt_count`.
    pub preempt: Preempt,
    /// Which bits of `preempt_count` are set while an interrupt is served.
    pub preempt_masks: PreemptMasks,
    /// BTF id of `bpf_session_is_return`, if the kernel has it.
    pub session_is_return: Option<u32>,
    /// BTF id of `bpf_session_cookie`, if the kernel has it.
    pub session_cookie: Option<u32>,
    /// Attach types for trampolines of many functions.
    pub tracing_multi: TracingMultiTypes,
    /// The PMU of single kprobes, if the kernel has it.
    pub kprobe_pmu: Option<ProbePmu>,
    /// The PMU of single uprobes, if the kernel has it.
    pub uprobe_pmu: Option<ProbePmu>,
    /// Whether kprobe programs can call `bpf_get_attach_cookie()`.
    pub has_cookies: bool,
}

/// The attribute of a task that a scope rule matches, numbered as in `enum scope_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// Process (thread group) id.
    Process = 0,
    /// Effective user id in the initial user namespace.
    User = 1,
    /// Effective group id in the initial user namespace.
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

/// What a rule says about the tasks that it matches, numbered as in `enum scope_rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// They open sessions. If a kind has such a rule, tasks that match none of them do not.
    Allow = 1,
    /// They open no sessions.
    Deny = 2,
    /// A process that opens no sessions before it has executed a program, and then is allowed.
    HeldUntilExec = 3,
}

/// A rule of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeEntry {
    /// The attribute that the rule matches.
    pub kind: ScopeKind,
    /// The value that it matches.
    pub id: u64,
    /// Whether matching tasks open sessions.
    pub rule: ScopeRule,
}

/// Which tasks open sessions. A task must match the rules of every kind; of the rules of one kind,
/// one must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSettings {
    /// Rules that match a number.
    pub entries: Vec<ScopeEntry>,
    /// Rules that are added later, once programs are loaded or while tracing. Their kinds count as
    /// restricted from the start.
    pub awaited: Vec<(ScopeKind, ScopeRule)>,
    /// Names of threads that open sessions; empty: all. Only the first 15 bytes of a name count.
    pub comms_allowed: Vec<String>,
    /// Names of threads that open no sessions.
    pub comms_denied: Vec<String>,
    /// Whether future children inherit the rule of their process.
    pub follow_forks: bool,
    /// The number of cgroups that are selected now.
    pub n_cgroups: u32,
    /// Whether creation and removal of cgroups is reported. A new cgroup inherits the rule of its
    /// parent.
    pub watch_cgroups: bool,
}

impl ScopeSettings {
    /// Returns whether there is a rule of this kind, or one is awaited.
    #[must_use]
    pub fn has(&self, kind: ScopeKind) -> bool {
        self.awaited.iter().any(|(awaited, _)| *awaited == kind)
            || self.entries.iter().any(|entry| entry.kind == kind)
    }
}

/// Filters by errno, 0 for `NULL`. Sessions that a filter certainly excludes are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorSettings {
    /// Sends failed sessions only if any call in them returned one of these errors; `None`: no
    /// filter.
    pub any: Option<Vec<u16>>,
    /// Does not send sessions whose entry function failed with any other error; `None`: no filter.
    pub only: Option<Vec<u16>>,
    /// Does not send sessions whose entry function failed with one of these errors; `None`: no
    /// filter.
    pub never: Option<Vec<u16>>,
}

/// What is read of the memory of tasks, besides calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadMemory {
    /// The arguments of failed system calls.
    pub arguments: bool,
    /// The errno of failed functions of the C library.
    pub errno: bool,
    /// Number and errno of each failing system call, which are counted; what tasks write to their
    /// standard error; and how processes end.
    pub failing_calls: bool,
}

/// Settings of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sessions shorter than this are not shown, in nanoseconds. 0: no limit.
    pub longer_ns: u64,
    /// Whether successful sessions are shown, too.
    pub show_success: bool,
    /// Filters by error.
    pub errors: ErrorSettings,
    /// What is read of the tasks that fail.
    pub read: ReadMemory,
    /// Which tasks open sessions.
    pub scope: ScopeSettings,
    /// Size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Number of sessions that can be open at the same time: 1 to 4096.
    pub max_sessions: u32,
    /// Number of traced calls that are recorded in depth: 1 to 64. Deeper calls are only counted.
    pub max_depth: u32,
    /// Upper bound of function ids: all are smaller. Includes functions that may be traced later.
    pub n_functions: u32,
    /// Number of sources of notes.
    pub n_notes: u32,
    /// Number of entry functions with arguments that are texts.
    pub n_entry_texts: u32,
    /// Number of sites of USDT probes.
    pub n_usdt_sites: u32,
    /// Facts about this kernel's types and features.
    pub layout: KernelLayout,
    /// Mount point of tracefs. It is needed only for functions of modules that are loaded later,
    /// and on kernels that preempt programs.
    pub tracefs: Option<PathBuf>,
    /// Whether the kernel preempts programs other than those of kprobes.
    pub preempts_programs: bool,
    /// How the memory of the flight recorder is divided; `None`: it is off.
    pub flight: Option<FlightLayout>,
    /// Which optimizations of the programs are on; `kcore` does not matter here.
    pub optimizations: Optimizations,
}

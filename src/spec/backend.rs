// SPDX-License-Identifier: BSD-2-Clause
//! Back ends: the ways to run a program when a function is called and when it returns.

use std::fmt;

/// A back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackendKind {
    /// One `fsession.multi` link, with trampolines for all functions at once. Since 7.2
    /// (ba042ed6446f, "bpf: Add support for `tracing_multi` link session").
    TracingMulti,
    /// A `fentry.multi` and a `fexit.multi` link: trampolines for all functions at once, with two
    /// programs. Since 7.2 (c1d32dea5d46, "bpf: Add support for tracing multi link").
    FentryMulti,
    /// One `kprobe.session` link for calls and returns of all functions. Since 6.10 (535a3692ba72,
    /// "bpf: Add support for kprobe session attach").
    KprobeSession,
    /// A `kprobe.multi` and a `kretprobe.multi` link. Since 5.18 (0dcac2725406, "bpf: Add multi
    /// kprobe link").
    KprobeMulti,
    /// fentry/fexit: two programs per function. Since 5.5 (fec56f5890d9, "bpf: Introduce BPF
    /// trampoline").
    Trampoline,
    /// A kprobe and a kretprobe per function. Works on any kernel.
    Kprobe,
    /// Raw tracepoints `sys_enter` and `sys_exit`: two programs for the functions of all system calls.
    /// Since 4.17 (c4f6699dfcb8, "bpf: introduce `BPF_RAW_TRACEPOINT`"). The user cannot choose it:
    /// it takes no other functions.
    SystemCalls,
    /// As `Kprobe`, but by name, for functions of modules that are not loaded yet. Works on any
    /// kernel. The user cannot choose it, because it is the only way for such functions.
    OnLoad,
    /// A `uprobe.multi` and a `uretprobe.multi` link per file, for user functions. Since 6.6
    /// (89ae89f53d20, "bpf: Add multi uprobe link").
    UprobeMulti,
    /// A uprobe and a uretprobe per user function. Since 4.17 (33ea4b24277b, "perf/core: Implement
    /// the '`perf_uprobe`' PMU").
    Uprobe,
}

/// What a back end requires of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The first kernel version that has it: major and minor number.
    pub since: (u16, u16),
    /// The kernel configuration option that it depends on, in addition to those that all tracing
    /// depends on.
    pub option: Option<&'static str>,
}

impl BackendKind {
    /// All back ends that the user can choose, best first.
    pub const ALL: [Self; 6] = [
        Self::TracingMulti,
        Self::FentryMulti,
        Self::KprobeSession,
        Self::KprobeMulti,
        Self::Trampoline,
        Self::Kprobe,
    ];

    /// The back ends for user functions, best first.
    pub const OF_USER_FUNCTIONS: [Self; 2] = [Self::UprobeMulti, Self::Uprobe];

    /// Whether its programs are kprobe programs. The kernel runs only one of them at a time on a
    /// CPU. Since 6.0 (8c7dcb84e3b7, "bpf: implement sleepable uprobes by chaining gps") programs
    /// of uprobes are not among them.
    #[must_use]
    pub fn is_of_kprobes(self) -> bool {
        !self.needs_prototype() && !self.is_of_user_functions() && self != Self::SystemCalls
    }

    /// Whether it is for user functions. Others are for kernel functions.
    #[must_use]
    pub fn is_of_user_functions(self) -> bool {
        matches!(self, Self::UprobeMulti | Self::Uprobe)
    }

    /// Whether it attaches by BTF id, which requires a prototype for each function.
    #[must_use]
    pub fn needs_prototype(self) -> bool {
        matches!(
            self,
            Self::TracingMulti | Self::FentryMulti | Self::Trampoline
        )
    }

    /// A short description for the report of `doctor`.
    #[must_use]
    pub fn what_it_is(self) -> &'static str {
        match self {
            Self::TracingMulti => "one link of trampolines for all functions",
            Self::FentryMulti => "two links of trampolines for all functions",
            Self::KprobeSession => "one link for calls and returns of all functions",
            Self::KprobeMulti => "two links for all functions",
            Self::Trampoline => "two programs for each function: slow to attach",
            Self::Kprobe => "two probes for each function: slow to attach",
            Self::SystemCalls => "two programs for all system calls",
            Self::OnLoad => "two named probes for each function of a module to come",
            Self::UprobeMulti => "two links for all user functions of a file",
            Self::Uprobe => "two probes for each user function",
        }
    }

    /// What it requires of the kernel.
    #[must_use]
    pub fn needs(self) -> Needs {
        let needs = |major, minor, option| Needs {
            since: (major, minor),
            option,
        };
        match self {
            Self::TracingMulti | Self::FentryMulti => {
                needs(7, 2, Some("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"))
            }
            Self::KprobeSession => needs(6, 10, Some("CONFIG_FPROBE")),
            Self::KprobeMulti => needs(5, 18, Some("CONFIG_FPROBE")),
            Self::Trampoline => needs(5, 5, None),
            Self::Kprobe | Self::OnLoad => needs(4, 17, Some("CONFIG_KPROBE_EVENTS")),
            Self::SystemCalls => needs(4, 17, None),
            Self::UprobeMulti => needs(6, 6, Some("CONFIG_UPROBES")),
            Self::Uprobe => needs(4, 17, Some("CONFIG_UPROBE_EVENTS")),
        }
    }

    /// Whether it attaches to functions one by one, which is slow for many.
    #[must_use]
    pub fn is_one_by_one(self) -> bool {
        matches!(
            self,
            Self::Trampoline | Self::Kprobe | Self::OnLoad | Self::Uprobe
        )
    }

    /// Whether it runs where kprobe programs are skipped: while `bpf_disable_instrumentation()` is
    /// in effect, and in functions that kprobe programs call.
    #[must_use]
    pub fn sees_blind_regions(self) -> bool {
        self.needs_prototype()
    }
}

/// Formats the name as `--backend` has it.
impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TracingMulti => "tracing-multi",
            Self::FentryMulti => "fentry-multi",
            Self::KprobeSession => "kprobe-session",
            Self::KprobeMulti => "kprobe-multi",
            Self::Trampoline => "fentry",
            Self::Kprobe => "kprobe",
            Self::SystemCalls => "sys_enter",
            Self::OnLoad => "kprobe-on-load",
            Self::UprobeMulti => "uprobe-multi",
            Self::Uprobe => "uprobe",
        })
    }
}

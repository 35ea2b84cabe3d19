// SPDX-License-Identifier: BSD-2-Clause
//! The ways to have a program run when a function is called and when it returns.

use std::fmt;

/// A way to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackendKind {
    /// One `fsession.multi` link: trampolines for all functions at once. Since 7.2 (ba042ed6446f,
    /// "bpf: Add support for `tracing_multi` link session").
    TracingMulti,
    /// A `fentry.multi` and a `fexit.multi` link: the same with two programs. Since 7.2
    /// (c1d32dea5d46, "bpf: Add support for tracing multi link").
    FentryMulti,
    /// One `kprobe.session` link for call and return of all functions. Since 6.10 (535a3692ba72,
    /// "bpf: Add support for kprobe session attach").
    KprobeSession,
    /// A `kprobe.multi` and a `kretprobe.multi` link. Since 5.18 (0dcac2725406, "bpf: Add multi
    /// kprobe link").
    KprobeMulti,
    /// fentry/fexit: two programs for each function. Since 5.5 (fec56f5890d9, "bpf: Introduce BPF
    /// trampoline").
    Trampoline,
    /// A kprobe and a kretprobe for each function: any kernel.
    Kprobe,
    /// The same by name, for functions of modules that are not loaded yet: any kernel, and not a
    /// choice, since such functions can be had in no other way.
    OnLoad,
}

/// What a kernel needs to have for a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The first version that has it.
    pub since: (u16, u16),
    /// The build option that it depends on, besides those that tracing depends on anyway.
    pub option: Option<&'static str>,
}

impl BackendKind {
    /// All that there is a choice between.
    pub const ALL: [Self; 6] = [
        Self::TracingMulti,
        Self::FentryMulti,
        Self::KprobeSession,
        Self::KprobeMulti,
        Self::Trampoline,
        Self::Kprobe,
    ];

    /// Whether its programs are those of kprobes, of which the kernel runs one at a time on a CPU.
    #[must_use]
    pub fn is_of_kprobes(self) -> bool {
        !self.needs_prototype()
    }

    /// Whether it is attached by BTF id, so that it takes only functions with a prototype.
    #[must_use]
    pub fn needs_prototype(self) -> bool {
        matches!(
            self,
            Self::TracingMulti | Self::FentryMulti | Self::Trampoline
        )
    }

    /// In a few words, for the feature report.
    #[must_use]
    pub fn what_it_is(self) -> &'static str {
        match self {
            Self::TracingMulti => "one link of trampolines for all functions",
            Self::FentryMulti => "two links of trampolines for all functions",
            Self::KprobeSession => "one link for calls and returns of all functions",
            Self::KprobeMulti => "two links for all functions",
            Self::Trampoline => "two programs for each function: slow to attach",
            Self::Kprobe => "two probes for each function: slow to attach",
            Self::OnLoad => "two named probes for each function of a module to come",
        }
    }

    /// What a kernel needs to have for it.
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
        }
    }

    /// Whether it attaches to functions one by one, which takes long for many.
    #[must_use]
    pub fn is_one_by_one(self) -> bool {
        matches!(self, Self::Trampoline | Self::Kprobe | Self::OnLoad)
    }

    /// Whether it runs where kprobe programs are skipped: below `bpf_disable_instrumentation()`,
    /// and in what BPF programs of kprobes call.
    #[must_use]
    pub fn sees_blind_regions(self) -> bool {
        self.needs_prototype()
    }
}

/// As `--backend` names it.
impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TracingMulti => "tracing-multi",
            Self::FentryMulti => "fentry-multi",
            Self::KprobeSession => "kprobe-session",
            Self::KprobeMulti => "kprobe-multi",
            Self::Trampoline => "fentry",
            Self::Kprobe => "kprobe",
            Self::OnLoad => "kprobe-on-load",
        })
    }
}

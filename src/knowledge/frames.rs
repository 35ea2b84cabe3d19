// SPDX-License-Identifier: BSD-2-Clause
//! Functions of kernel stacks that do not belong to the traced kernel code.

/// Prefixes of functions that occur between a traced function and our program.
pub(crate) const TRACER_PREFIXES: &[&str] = &[
    "bpf_trampoline_",
    "bpf_get_stack",
    "__bpf_get_stack",
    // Before 5.16 (df91c5bccb0c, "kprobes: Enable stacktrace from pt_regs in kretprobe handler") a
    // stack has the trampoline of kretprobes instead of the caller, and ends there. It is a return
    // address at the first byte, so that looking up the byte before finds another function.
    "kretprobe_trampoline",
    "__kretprobe_trampoline",
    "arch_rethook_",
    "rethook_",
    "kprobe_multi_link_",
    "fprobe_",
    "ftrace_",
    "return_to_handler",
];

/// Suffixes of our own programs in kallsyms, which names them `bpf_prog_<tag>_<name>`.
pub(crate) const OWN_PROGRAMS: &[&str] = &[
    "_retsnoop_entry",
    "_retsnoop_exit",
    "_retsnoop_probe",
    "_retsnoop_sess",
    "_retsnoop_shared",
    "_retsnoop_task",
    "_retsnoop_trial",
    "_session_any",
    "_session_inner",
    "_session_opening",
    "_kprobe_inner",
    "_kprobe_opening",
    "_kprobe_return",
    "_on_load_inner",
    "_on_load_opening",
    "_uprobe_inner",
    "_uprobe_opening",
    "_uprobe_return",
];

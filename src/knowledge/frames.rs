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

/// Prefixes of functions that call those of system calls.
pub(crate) const SYSCALL_ENTRY: &[&str] = &[
    "entry_SYSCALL_64",
    "do_syscall_64",
    "do_syscall_x64",
    "x64_sys_call",
    "el0t_64_sync",
    "el0_sync",
    "el0_svc",
    "do_el0_svc",
    "invoke_syscall",
];

/// How the names of our own programs begin. kallsyms has `bpf_prog_<tag>_<name>`. The name is that of
/// the C function or, for programs that are loaded without BTF, the one that they are loaded by, of
/// which the kernel keeps 15 characters. Other names are too common: a foreign program may well be
/// called `kprobe_return`.
pub(crate) const OWN_PROGRAMS: &str = "retsnoop_";

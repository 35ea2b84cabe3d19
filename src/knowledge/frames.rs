// SPDX-License-Identifier: BSD-2-Clause
//! Functions of kernel stacks that are not of the traced kernel code.

/// Functions that stand between a traced function and our program.
pub(crate) const TRACER_PREFIXES: &[&str] = &[
    "bpf_trampoline_",
    "bpf_get_stack",
    "__bpf_get_stack",
    "arch_rethook_",
    "rethook_",
    "kprobe_multi_link_",
    "fprobe_",
    "ftrace_",
    "return_to_handler",
];

/// Our own programs, as kallsyms names them: `bpf_prog_<tag>_<name>`.
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
];

/// Where interrupts and exceptions enter.
pub(crate) const INTERRUPT_PREFIXES: &[&str] = &[
    "asm_sysvec_",
    "asm_exc_",
    "asm_common_interrupt",
    "common_interrupt_return",
];

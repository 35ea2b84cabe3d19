// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: names of system calls, of functions that do not return, and of interrupts.

/// See the constants of the same names in the module above.
#[cfg(target_arch = "x86_64")]
pub(super) const SELDOM_CALLED: &str = "__x64_sys_bpf";

/// Since 4.17 (`d5a00528b58c`, "syscalls/core, syscalls/x86: Rename struct `pt_regs`-based
/// `sys_*()` to `__x64_sys_*()`").
pub(super) const SYSTEM_CALLS: &[&str] = &[
    "__x64_sys_",
    "__x64_compat_sys_",
    "__ia32_sys_",
    "__ia32_compat_sys_",
];

/// Of a `__x64_` system call without arguments.
pub(super) const SYSTEM_CALL_ALIAS: &str = "__ia32_";

/// Sorted.
pub(super) const NO_RETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "hlt_play_dead",
    "machine_real_restart",
    "mwait_play_dead",
    "play_dead_common",
    "snp_abort",
    "x86_64_start_kernel",
    "x86_64_start_reservations",
];

pub(super) const INTERRUPTS: &[&str] = &[
    "asm_sysvec_",
    "asm_exc_",
    "asm_common_interrupt",
    "common_interrupt_return",
];

/// The patched call is five bytes long and follows an `endbr64` of at most four bytes.
pub(super) const PATCHED_CALL_END: u64 = 16;

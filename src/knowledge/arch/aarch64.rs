// SPDX-License-Identifier: BSD-2-Clause
//! arm64: names of system calls, and of functions that do not return. Nothing of it was run.

/// See the constants of the same names in the module above.
#[cfg(target_arch = "aarch64")]
pub(super) const SELDOM_CALLED: &str = "__arm64_sys_bpf";

pub(super) const SYSTEM_CALLS: &[&str] = &["__arm64_sys_", "__arm64_compat_sys_"];

/// Sorted.
pub(super) const NO_RETURN: &[&str] = &["__arm64_sys_exit", "__arm64_sys_exit_group"];

/// Those of arm64 are not known yet: the address of an interrupted function is taken for that of a
/// call.
pub(super) const INTERRUPTS: &[&str] = &[];

/// The patched call follows a `bti` and an instruction that saves the return address.
pub(super) const PATCHED_CALL_END: u64 = 3 * 4;

// SPDX-License-Identifier: BSD-2-Clause
//! Names of the functions that the system call tables have.

use super::arch::SYSTEM_CALLS;

/// Returns whether a function is the entry of a system call. `__sys_bpf` and the like are not: the
/// kernel may call them itself.
pub(crate) fn is_syscall_entry(name: &str) -> bool {
    let mut prefixes = SYSTEM_CALLS.into_iter().flatten();
    prefixes.any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_syscall_entry;

    #[test]
    fn entries_of_system_calls_are_told_from_what_they_call() {
        assert!(is_syscall_entry("__x64_sys_bpf"));
        assert!(is_syscall_entry("__ia32_compat_sys_openat"));
        assert!(is_syscall_entry("__arm64_sys_bpf"));
        assert!(!is_syscall_entry("__sys_bpf"));
        assert!(!is_syscall_entry("ksys_read"));
    }
}
